"""The folded networks against Keras' own layers, with their batch normalisation in place."""

import numpy as np
import pytest

from engine.contract import catalog
from engine.worker import backbones
from tests.worker.keras_oracle import keras_model


@pytest.mark.parametrize("row", catalog.BACKBONES, ids=lambda row: row.name)
def test_the_features_are_those_of_keras_layers(assets, row):
    network = backbones.load(assets, row)
    rgb = np.random.RandomState(1).randint(0, 256, (2, 224, 224, 3)).astype(np.float32)
    ours = np.asarray(backbones.features(network, rgb))
    normalised = (rgb - np.array(row.mean, np.float32)) / np.array(row.std, np.float32)
    theirs = keras_model(row, backbones.weights_path(assets, row)).predict(normalised, verbose=0)
    assert ours.shape == (2, row.width)
    assert np.abs(ours).max() > 0.5
    assert np.abs(ours - theirs).max() <= 1e-4


@pytest.mark.parametrize("row", catalog.BACKBONES, ids=lambda row: row.name)
def test_the_catalogue_counts_the_frozen_parameters(assets, row):
    network = backbones.load(assets, row)
    assert backbones.parameters(network) == row.parameters
    assert network.imagenet_weights.shape == (row.width, 1000)
