"""Weights are read, and nothing but weights."""

import os
import pickle

import pytest

from engine.contract import catalog
from engine.worker import backbones
from engine.worker.formats import torch_file


def test_the_checkpoint_holds_every_tensor_of_the_paper(assets):
    tensors = torch_file.read(backbones.weights_path(assets, catalog.backbone("mobilenet_v2")))
    assert tensors["features.0.0.weight"].shape == (32, 3, 3, 3)
    assert tensors["classifier.1.weight"].shape == (1000, 1280)
    # Sandler et al. 2018 name 3.4 M parameters; torchvision counts 3,504,872.
    counted = [t.size for name, t in tensors.items() if not name.endswith(("running_mean", "running_var", "tracked"))]
    assert sum(counted) == 3504872


def test_a_file_that_would_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    path = str(tmp_path / "evil.pth")
    with open(path, "wb") as file:
        pickle.dump(Evil(), file, protocol=2)
    with pytest.raises(pickle.UnpicklingError, match="has no place in a file of weights"):
        torch_file.read(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("keep", [0, 10, 5000, 9000000], ids=["nothing", "a few bytes", "the head", "half"])
def test_a_file_cut_short_is_missing_weights_and_never_random_ones(assets, home, tmp_path, keep):
    row = catalog.backbone("mobilenet_v2")
    with open(backbones.weights_path(assets, row), "rb") as file:
        data = file.read(keep)
    os.unlink(home.assets)
    cut = backbones.weights_path(home, row)
    os.makedirs(os.path.dirname(cut))
    with open(cut, "wb") as file:
        file.write(data)
    with pytest.raises(backbones.MissingWeights, match="MobileNet v2 cannot be read"):
        backbones.load(home, row)


def test_no_file_is_missing_weights(home):
    os.unlink(home.assets)
    with pytest.raises(backbones.MissingWeights, match="not on this machine"):
        backbones.load(home, catalog.backbone("mobilenet_v2"))
