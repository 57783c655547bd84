"""Every format of weights against what is known of it from elsewhere."""

import glob
import os
import shutil

import numpy as np
import pytest

from engine.contract import catalog
from engine.contract.run_folder import LabHome
from engine.worker import backbones, images
from engine.worker.features import bottlenecks
from engine.worker.formats import tflite
from engine.worker.formats.bottleneck_files import BottleneckFiles
from tests.assets_home import with_assets
from tests.worker.keras_oracle import keras_model

CHECKPOINTS = [row for row in catalog.BACKBONES if row.format == catalog.CHECKPOINT]


@pytest.mark.parametrize("row", CHECKPOINTS, ids=lambda row: row.name)
def test_the_features_of_a_checkpoint_are_those_of_keras_layers(assets, row):
    network = backbones.load(assets, row)
    rgb = np.random.RandomState(1).randint(0, 256, (2, 224, 224, 3)).astype(np.float32)
    ours = np.asarray(backbones.features(network, rgb))
    normalised = (rgb - np.array(row.mean, np.float32)) / np.array(row.std, np.float32)
    theirs = keras_model(row, backbones.weights_path(assets, row)).predict(normalised, verbose=0)
    assert ours.shape == (2, row.width)
    assert np.abs(ours).max() > 0.5
    assert np.abs(ours - theirs).max() <= 1e-4


@pytest.mark.parametrize("row", CHECKPOINTS, ids=lambda row: row.name)
def test_the_catalogue_counts_the_frozen_parameters_of_a_checkpoint(assets, row):
    network = backbones.load(assets, row)
    assert backbones.parameters(network) == row.parameters
    assert network.body.imagenet_weights.shape == (row.width, 1000)


# --- TFLite files that become Keras networks -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keras_home():
    return with_assets("inception_v3_keras", "mobilenet_v1_keras", "imagenet_names", "traffic_lights")


def test_mobilenet_v1_answers_as_the_tflite_file_its_weights_come_from(keras_home):
    row = catalog.backbone("mobilenet_v1_keras")
    network = backbones.load(keras_home, row)
    rgb = np.random.RandomState(2).randint(0, 256, (1, 224, 224, 3)).astype(np.float32)
    interpreter = tflite.interpreter()[0](model_path=backbones.weights_path(keras_home, row))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], (rgb / 127.5 - 1).astype(np.float32))
    interpreter.invoke()
    theirs = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    ours = np.asarray(network.body.answers(rgb))
    assert ours.shape == (1, 1001) == (1, len(catalog.answer_labels(keras_home, row)))
    assert np.abs(ours - theirs).max() <= 1e-5
    assert np.asarray(backbones.features(network, rgb)).shape == (1, row.width)
    assert abs(backbones.parameters(network) - row.parameters) < 0.03 * row.parameters  # some forms fold, some do not


@pytest.mark.once
def test_inception_v3_of_eight_bits_knows_what_it_sees(keras_home):
    row = catalog.backbone("inception_v3_keras")
    network = backbones.load(keras_home, row)
    photo = glob.glob(os.path.join(keras_home.assets, "traffic_lights", "photos", "yellow", "*8b2386b275a1.jpg"))[0]
    rgb = np.stack([prepared(photo, row), np.zeros((row.size, row.size, 3))]).astype(np.float32)
    answers = np.asarray(network.body.answers(rgb))
    labels = catalog.answer_labels(keras_home, row)
    assert labels[answers[0].argmax()] == "traffic light"
    assert answers[0].max() > 0.9
    assert np.abs(np.asarray(network.body.answers(rgb[:1]))[0] - answers[0]).max() <= 1e-4
    assert np.asarray(backbones.features(network, rgb[:1])).shape == (1, 2048)


def test_another_file_in_the_place_of_the_weights_is_refused_with_a_sentence(keras_home, tmp_path):
    home = LabHome(str(tmp_path))
    row = catalog.backbone("inception_v3_keras")
    path = backbones.weights_path(home, row)
    with pytest.raises(backbones.MissingWeights, match="are not on this machine"):
        backbones.load(home, row)
    os.makedirs(os.path.dirname(path))
    shutil.copy(backbones.weights_path(keras_home, catalog.backbone("mobilenet_v1_keras")), path)
    with pytest.raises(backbones.MissingWeights, match="cannot be read: 27 convolutions where 94 were expected"):
        backbones.load(home, row)


# --- the original graphs ---------------------------------------------------------------------------------------------


@pytest.fixture
def original(tmp_path):
    """(home with the original MobileNet v1 0.25 128, folder with eight photos and their bottlenecks of back then)"""
    if not os.environ.get("LAB_TEST_DATA"):
        pytest.skip("LAB_TEST_DATA names no folder with the original files")
    folder = os.path.join(os.environ["LAB_TEST_DATA"], "tf1")
    home = LabHome(str(tmp_path / "lab"))
    with_the_original(home, folder)
    return home, os.path.join(folder, "plates_mobilenet_0.25_128", "golden")


def with_the_original(home, folder):
    import tarfile

    target = os.path.join(home.assets, "mobilenet_0.25_128", "files")
    os.makedirs(target)
    with tarfile.open(os.path.join(folder, "mobilenet_v1_0.25_128_frozen.tgz")) as archive:
        for name in ("frozen_graph.pb", "quantized_graph.pb", "labels.txt"):
            with open(os.path.join(target, name), "wb") as file:
                shutil.copyfileobj(archive.extractfile("mobilenet_v1_0.25_128/" + name), file)


def test_the_bottlenecks_of_the_original_come_out_as_they_were(original):
    home, golden = original
    network = backbones.load(home, catalog.backbone("mobilenet_0.25_128"))
    files = BottleneckFiles(os.path.join(golden, "bottlenecks"), network.row)
    photos = sorted(glob.glob(os.path.join(golden, "images", "*", "*.jpg")))
    runtime = bottlenecks.choose_runtime(network, home, "cpu", 2)
    differences = [
        np.abs(vector - files.read("/".join(path.split("/")[-2:]))).max()
        for path, vector, _ in runtime.run(photos, lambda path: prepared(path, network.row))
    ]
    assert len(differences) == 8
    assert max(differences) <= 5e-5
    assert list(files.remarks()) == []


def prepared(path, row):
    with open(path, "rb") as file:
        return images.resize(images.decode(file.read(), row.preprocessing), row.size, row.preprocessing)


def test_the_quantized_graph_of_the_same_archive_gives_bottlenecks_too(original):
    home, golden = original
    network = backbones.load(home, catalog.backbone("mobilenet_0.25_128_quantized"))
    plain = backbones.load(home, catalog.backbone("mobilenet_0.25_128"))
    path = sorted(glob.glob(os.path.join(golden, "images", "*", "*.jpg")))[0]
    rgb = prepared(path, network.row)[None]
    ours, theirs = (np.asarray(backbones.features(each, rgb))[0] for each in (network, plain))
    assert np.corrcoef(ours, theirs)[0, 1] > 0.95
    assert len(catalog.answer_labels(home, network.row)) == 1001
    assert catalog.answer_labels(home, network.row)[1] == "tench, Tinca tinca"


def test_a_damaged_original_is_refused_with_a_sentence(original):
    home, _ = original
    row = catalog.backbone("mobilenet_0.25_128")
    with open(backbones.weights_path(home, row), "r+b") as file:
        file.truncate(100000)
    with pytest.raises(backbones.MissingWeights, match="cannot be used"):
        backbones.features(backbones.load(home, row), np.zeros((1, 128, 128, 3), np.float32))
