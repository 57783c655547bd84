"""The frozen graph of a run, run as label_image.py of TensorFlow for Poets runs it."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from engine.contract.run_folder import RunFolder, read_json
from engine.worker import backbones, export, images
from engine.worker.formats import tflite

DAISY = np.random.RandomState(9).randint(0, 256, (180, 240, 3)).astype(np.uint8)


def label_image(graph_path, image_path, size, input_layer="input", output_layer="final_result"):
    """Written from the description of that script: its decoding, its resize, its mean and std of 128."""
    import tensorflow as tf

    tf1 = tf.compat.v1
    graph_def = tf1.GraphDef()
    with open(graph_path, "rb") as file:
        graph_def.ParseFromString(file.read())
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(graph_def)
        pixels = tf.image.decode_png(tf.io.read_file(image_path), channels=3)
        floats = tf.expand_dims(tf.cast(pixels, tf.float32), 0)
        normalised = (tf1.image.resize_bilinear(floats, [size, size]) - 128) / 128
        with tf1.Session(graph=graph) as session:
            feed = {graph.get_operation_by_name("import/" + input_layer).outputs[0]: session.run(normalised)}
            return session.run(graph.get_operation_by_name("import/" + output_layer).outputs[0], feed)[0]


@pytest.fixture
def exported(mobilenet, tmp_path):
    """(folder, network, weights, bias) of a model whose mean and std differ from channel to channel."""
    folder = RunFolder(str(tmp_path / "run"))
    os.makedirs(folder.artifacts)
    weights = np.random.RandomState(0).randn(1280, 4).astype(np.float32) * 0.05
    return folder, mobilenet, weights, np.arange(4, dtype=np.float32)


def test_the_graph_answers_label_image_with_its_defaults_as_the_network_it_came_from(exported, tmp_path):
    folder, network, weights, bias = exported
    export.write_graph(folder.graph, network, weights, bias, "final_result")
    photo = str(tmp_path / "daisy.png")
    Image.fromarray(DAISY).save(photo)
    said = label_image(folder.graph, photo, 224)
    square = images.resize(Image.fromarray(DAISY), 224, "tensorflow")[None]
    plain = np.asarray(export.classify(network, weights, bias, square))[0]
    assert said.shape == (4,)
    assert np.abs(said - plain).max() <= 1e-5


def test_the_graph_has_the_names_that_were_asked_for_and_only_words_of_tensorflow_1(exported, tmp_path):
    import tensorflow as tf

    folder, network, weights, bias = exported
    like_inception = network._replace(row=network.row._replace(input_layer="Mul"))
    export.write_graph(folder.graph, like_inception, weights, bias, "my_flowers")
    photo = str(tmp_path / "daisy.png")
    Image.fromarray(DAISY).save(photo)
    by_mul = label_image(folder.graph, photo, 224, "Mul", "my_flowers")
    by_input = label_image(folder.graph, photo, 224, "input", "my_flowers")
    assert (by_mul == by_input).all()
    graph_def = tf.compat.v1.GraphDef()
    with open(folder.graph, "rb") as file:
        graph_def.ParseFromString(file.read())
    operations = {node.op for node in graph_def.node}
    known_in_2017 = {"Const", "Placeholder", "Identity", "Add", "Sub", "Mul", "Conv2D", "DepthwiseConv2dNative", "Pad"}
    known_in_2017 |= {"BiasAdd", "Relu6", "Mean", "MatMul", "Softmax"}
    assert operations <= known_in_2017
    assert not [node.name for node in graph_def.node if "explicit_paddings" in node.attr]


def test_the_saved_model_resizes_as_the_network_was_fed(exported):
    """With the original's kernel too, on bytes."""
    import tensorflow as tf

    folder, network, weights, bias = exported
    as_original = network._replace(row=network.row._replace(preprocessing="tensorflow"))
    export.write_saved_model(folder, as_original, weights, bias)
    answer = tf.saved_model.load(folder.saved_model).signatures["serving_default"]
    said = answer(images=tf.constant(DAISY[None]))["probabilities"].numpy()[0]
    square = images.resize(Image.fromarray(DAISY), 224, "tensorflow")[None]
    assert np.abs(said - np.asarray(export.classify(network, weights, bias, square))[0]).max() <= 1e-5


def test_an_8_bit_file_is_calibrated_by_photos(exported, photos):
    folder, network, weights, bias = exported
    paths = [os.path.join(photos.root, photo.file) for photo in photos.photos[:10]]
    export.write_tflite(folder.tflite_8bit, network, weights, bias, paths)
    run = tflite.open_file(folder.tflite_8bit)
    with open(paths[0], "rb") as file:
        square = images.resize(images.decode(file.read()), 224)[None].astype(np.float32)
    plain = np.asarray(export.classify(network, weights, bias, square))[0]
    assert run(square).argmax() == plain.argmax()
    assert os.path.getsize(folder.tflite_8bit) < 0.35 * 4 * backbones.parameters(network)


@pytest.mark.parametrize("preprocessing, said", [("pillow", "applied"), ("tensorflow", "ignored")])
def test_the_contract_says_what_is_done_with_a_photo(exported, preprocessing, said):
    folder, network, _, _ = exported
    network = network._replace(row=network.row._replace(preprocessing=preprocessing))
    export.write_contract(folder, network, ["a cat", "b"], {"learning_rate": 0.5})
    contract = read_json(folder.contract)
    assert contract["exif_orientation"] == said
    assert ("EXIF orientation {}".format({"applied": "applied", "ignored": "not applied"}[said])) in contract["decoder"]

    lying = Image.fromarray(np.full((40, 64, 3), 90, np.uint8))
    exif = lying.getexif()
    exif[0x0112] = 6  # to be turned by a quarter
    file = io.BytesIO()
    lying.save(file, "JPEG", exif=exif)
    width, height = images.decode(file.getvalue(), preprocessing).size
    assert (width, height) == {"applied": (40, 64), "ignored": (64, 40)}[contract["exif_orientation"]]


def test_the_contract_holds_what_a_program_needs_to_feed_the_model(exported):
    folder, network, _, _ = exported
    export.write_contract(folder, network, ["a cat", "b"], {"learning_rate": 0.5})
    contract = read_json(folder.contract)
    assert contract["input"] == {"height": 224, "width": 224, "channels": "RGB", "range": [0, 255]}
    assert contract["mean"] == pytest.approx([0.485 * 255, 0.456 * 255, 0.406 * 255])
    assert contract["std"] == pytest.approx([0.229 * 255, 0.224 * 255, 0.225 * 255])
    assert (contract["labels"], contract["backbone"], contract["learning_rate"]) == (
        ["a cat", "b"],
        "mobilenet_v2",
        0.5,
    )
    assert contract["weights_sha256"] == network.digest
