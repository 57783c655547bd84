"""What a visitor may upload as a model: asked of the program that checks it, and hostile files one by one."""

import io
import json
import os
import re
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from engine.contract import models as keys
from engine.worker.classify import keras_archives, models, tflite_files, uploads
from engine.worker.classify.models import Refused

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WEIGHTS = np.array([[2, 0, -1], [-1, 2, 0], [0, -1, 2]], np.float32)
PICTURE = np.random.RandomState(1).uniform(0, 255, (1, 6, 10, 3)).astype(np.float32)


def written(folder, data, labels=None):
    """An upload as the program finds it."""
    (folder / "upload").write_bytes(data)
    if labels is not None:
        (folder / "labels.txt").write_bytes(labels)
    return str(folder)


def told(folder, data, labels=None, name="model", **given):
    """What the program says of an upload."""
    command = [sys.executable, "-m", "engine.worker.classify.uploads", written(folder, data, labels)]
    question = json.dumps({"file": name, "given": given}).encode()
    said = subprocess.run(command, cwd=ROOT, input=question, stdout=subprocess.PIPE, check=True).stdout
    return json.loads(said.decode().splitlines()[-1])


def record(answer):
    return keys.Uploaded(**answer["model"])


def mean_colour(rgb):
    import tensorflow as tf

    return tf.nn.softmax(tf.matmul(tf.reduce_mean(rgb, [1, 2]) / 64, WEIGHTS))


def expected(value):
    logits = (value.mean(axis=(1, 2)) / 64).dot(WEIGHTS)
    return np.exp(logits) / np.exp(logits).sum()


def converted(folder, function, shape=(1, 6, 10, 3), prepare=lambda converter: None):
    """A TFLite file of a function."""
    import tensorflow as tf

    graph = tf.function(function, input_signature=[tf.TensorSpec(shape, tf.float32, name="pictures")], autograph=False)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([graph.get_concrete_function()])
    prepare(converter)
    return converter.convert()


def frozen(function):
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        pictures = tf.compat.v1.placeholder(tf.float32, [1, 6, 10, 3], name="pictures")
        tf.identity(function(pictures), name="answer")
    return graph.as_graph_def().SerializeToString()


# --- TFLite ----------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
def test_a_tflite_file_is_kept_with_what_it_tells(tmp_path):
    data = converted(tmp_path, mean_colour)
    found = record(told(tmp_path, data, b"\xef\xbb\xbfblue\r\ngreen\r\nred\r\n\r\n", "colours.bin"))
    assert (found.suffix, found.title, found.file, found.bytes) == ("tflite", "colours", "colours.bin", len(data))
    assert (found.input_height, found.input_width, found.classes) == (6, 10, 3)
    assert (found.outputs, found.parameters) == (keys.PROBABILITIES, 9)
    assert "127.5 are a guess" in found.by_guess
    assert keys.read_labels(str(tmp_path / "labels.txt")) == ["blue", "green", "red"]
    model = models.load_uploaded(str(tmp_path / "model.tflite"), ["blue", "green", "red"], found)
    assert np.allclose(model.run(PICTURE), expected(PICTURE), atol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_what_was_said_is_no_guess_and_logits_become_probabilities(tmp_path):
    data = converted(tmp_path, lambda rgb: 9 * rgb[:, 0, 0] - 3)
    found = uploads.check(written(tmp_path, data), "m", {"title": "Mine", "input_mean": 0, "input_std": 255})
    assert (found.title, found.input_mean, found.input_std, found.outputs) == ("Mine", 0, 255, keys.LOGITS)
    assert found.by_guess == "Its outputs are no probabilities, so a softmax makes some of them."
    assert keys.read_labels(str(tmp_path / "labels.txt")) == ["class 0", "class 1", "class 2"]
    model = models.load_uploaded(str(tmp_path / "model.tflite"), None, found)
    assert model.run(PICTURE / 255).sum() == pytest.approx(1)


@pytest.mark.filterwarnings("ignore")
def test_an_8_bit_file_tells_how_pictures_go_in(tmp_path):
    import tensorflow as tf

    def as_bytes(converter):
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        samples = np.random.RandomState(0).uniform(-1, 1, (20, 1, 6, 10, 3)).astype(np.float32)
        samples[0], samples[1] = -1, 1
        converter.representative_dataset = lambda: ([sample] for sample in samples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.uint8

    data = converted(tmp_path, lambda value: mean_colour(127.5 * (value + 1)), prepare=as_bytes)
    found = uploads.check(written(tmp_path, data), "m", {})
    assert (found.input_mean, found.input_std) == (pytest.approx(127.5, abs=1), pytest.approx(127.5, abs=1))
    assert (found.by_guess, found.outputs) == ("", keys.PROBABILITIES)
    model = models.load_uploaded(str(tmp_path / "model.tflite"), None, found)
    value = ((PICTURE - found.input_mean) / found.input_std).astype(np.float32)
    assert np.allclose(model.run(value), expected(PICTURE), atol=0.1)  # in 8 bits


def flex(converter):
    import tensorflow as tf

    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    converter.allow_custom_ops = True


def reading(rgb):
    import tensorflow as tf

    return tf.reduce_mean(rgb, [1, 2]) + tf.cast(
        tf.strings.length(tf.io.read_file(tf.strings.as_string(rgb[0, 0, 0, 0]))), tf.float32
    )


def endless(rgb):
    import tensorflow as tf

    return tf.while_loop(lambda value: tf.reduce_sum(value) < 1e9, lambda value: [value + 1], [rgb[:, 0, 0]])[0]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "function, prepare, complaint",
    [
        pytest.param(reading, flex, r"uses \w+, which is none of TFLite's own operations", id="reads a file"),
        pytest.param(endless, lambda converter: None, "uses WHILE: loops, which need not end", id="loops"),
    ],
)
def test_a_tflite_file_that_may_do_anything_is_refused_before_it_is_loaded(tmp_path, function, prepare, complaint):
    with pytest.raises(Refused, match=complaint):
        tflite_files.constants(converted(tmp_path, function, prepare=prepare))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "make, labels, given, complaint",
    [
        pytest.param(lambda data: data[: len(data) // 2], None, {}, "or a damaged one", id="cut off"),
        pytest.param(lambda data: b"\xff\xff\xff\x7fTFL3" * 99, None, {}, "or a damaged one", id="points nowhere"),
        pytest.param(lambda data: data, b"a\nb\n", {}, "m has 3 outputs, but its labels file has 2", id="labels"),
        pytest.param(lambda data: data, b"\xff\xfe\x00", {}, "The labels file is no text", id="no text"),
        pytest.param(lambda data: data, None, {"input_height": 224}, "takes 10 x 6 pixels, not 10 x 224", id="size"),
        pytest.param(lambda data: data, None, {"input_std": -1}, "input_std is -1", id="deviation"),
        pytest.param(lambda data: b"", None, {}, "m is empty", id="empty"),
        pytest.param(lambda data: b"\x89HDF\r\n\x1a\n", None, {}, "an HDF5 file of an older Keras", id="HDF5"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path, colours_tflite, make, labels, given, complaint):
    with pytest.raises(Refused) as refusal:
        uploads.check(written(tmp_path, make(colours_tflite), labels), "m", given)
    assert complaint in str(refusal.value)


@pytest.fixture(scope="module")
def colours_tflite(tmp_path_factory):
    return converted(tmp_path_factory.mktemp("colours"), mean_colour)


@pytest.mark.filterwarnings("ignore")
def test_gray_pictures_are_not_what_it_gets(tmp_path):
    data = converted(tmp_path, lambda gray: gray[:, 0], shape=(1, 28, 28))
    with pytest.raises(Refused, match=r"takes float32 of the shape \[1, 28, 28\]"):
        uploads.check(written(tmp_path, data), "m", {})


# --- frozen graphs ---------------------------------------------------------------------------------------------------


def test_a_frozen_graph_is_kept_with_what_it_tells(tmp_path):
    folder = written(tmp_path, frozen(mean_colour), b"blue\ngreen\nred\n")
    found = uploads.check(folder, "colours.pb", {})
    assert (found.suffix, found.input_layer, found.output_layer) == ("pb", "pictures", "answer")
    assert (found.input_height, found.input_width, found.preprocessing) == (6, 10, "tensorflow")
    assert "127.5 are a guess" in found.by_guess
    model = models.load_uploaded(str(tmp_path / "model.pb"), ["blue", "green", "red"], found)
    assert np.allclose(model.run(PICTURE), expected(PICTURE), atol=1e-5)


# --- Keras -----------------------------------------------------------------------------------------------------------

DENSE = {"module": "keras.layers", "class_name": "Dense", "config": {"units": 2}, "registered_name": None}


def config(*layers):
    return {"module": "keras", "class_name": "Sequential", "config": {"layers": list(layers)}}


def weights(fill=lambda file: None):
    import h5py

    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.create_dataset("layers/dense/vars/0", data=np.zeros((3, 2), np.float32))
        fill(file)
    return content.getvalue()


def archive(configuration=None, h5=None, **more):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("metadata.json", "{}")
        text = configuration if isinstance(configuration, str) else json.dumps(configuration or config(DENSE))
        file.writestr("config.json", text)
        file.writestr("model.weights.h5", weights() if h5 is None else h5)
        for name, data in more.items():
            file.writestr(name.replace("_up_", "../"), data)
    return content.getvalue()


def named(module, word, **more):
    return config(DENSE, dict({"module": module, "class_name": word, "config": {}}, **more))


def soft_link(file):
    import h5py

    file["layers/dense/vars/1"] = h5py.ExternalLink("/etc/secrets.h5", "/all")


def elsewhere(file):
    file.create_dataset("vars/2", (10,), "u1", external=[("/etc/passwd", 0, 10)])


def enormous(file):
    file.create_dataset("vars/3", (1 << 20, 1 << 10), "f4", chunks=(1024, 1024), compression="gzip", fillvalue=0)


@pytest.mark.parametrize(
    "data, complaint",
    [
        pytest.param(lambda: archive(named("keras.layers", "Lambda")), "names 'Lambda' of 'keras.layers'", id="code"),
        pytest.param(lambda: archive(named("os", "system")), "names 'system' of 'os'", id="a function of Python"),
        pytest.param(lambda: archive(named("keras", "utils.get_file")), "names 'utils.get_file'", id="fetches"),
        pytest.param(lambda: archive(named("keras.utils", "get_file")), "names 'get_file' of", id="fetches too"),
        pytest.param(lambda: archive(named("keras.layers", "TFSMLayer")), "names 'TFSMLayer'", id="a SavedModel"),
        pytest.param(lambda: archive(named("keras.layers", "StringLookup")), "names 'StringLookup'", id="reads a file"),
        pytest.param(lambda: archive(named("builtins", "function", config="exec")), "names 'function'", id="function"),
        pytest.param(lambda: archive(named(None, "__lambda__")), "names '__lambda__'", id="marshalled code"),
        pytest.param(lambda: archive([1]), "describes no model", id="no model"),
        pytest.param(lambda: archive('{"a":' * 200000 + "1" + "}" * 200000), "nested without end", id="nested"),
        pytest.param(lambda: archive(_up_evil="x"), r"this has .*'\.\./evil'", id="leads out of the archive"),
        pytest.param(lambda: archive(h5=weights(soft_link)), "weights contain a link, '1'", id="a link"),
        pytest.param(lambda: archive(h5=weights(elsewhere)), "keeps its weights in other files", id="another file"),
        pytest.param(lambda: archive(h5=weights(enormous)), "unfold to more than", id="unfolds"),
        pytest.param(lambda: archive(h5=b"\0" * (300 << 20)), "unfolds to more than", id="a zip bomb"),
        pytest.param(lambda: archive(h5=b"no h5"), "archive is damaged", id="no weights"),
        pytest.param(lambda: archive()[:-60], "archive is damaged", id="cut off"),
        pytest.param(lambda: archive()[:4] + b"\0" * 99, "archive is damaged", id="no zip"),
    ],
)
def test_a_keras_archive_that_is_more_than_layers_and_weights_is_refused_before_keras_sees_it(data, complaint):
    with pytest.raises(Refused) as refusal:
        keras_archives.read(data())
    assert re.search(complaint, str(refusal.value)), str(refusal.value)


def test_plain_layers_and_weights_pass():
    assert keras_archives.read(archive())["class_name"] == "Sequential"


@pytest.mark.filterwarnings("ignore")
def test_a_keras_archive_is_frozen_or_the_old_worker_says_what_to_do_in_its_place(tmp_path):
    import tensorflow as tf

    if int(getattr(tf.keras, "__version__", "2").split(".")[0]) < 3:
        with pytest.raises(Refused, match="archives, which began with Keras 3"):
            uploads.check(written(tmp_path, archive()), "m.keras", {})
        return
    import keras

    network = keras.Sequential(
        [
            keras.Input((6, 10, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    network.compile("adam", "categorical_crossentropy")
    network.save(str(tmp_path / "own.keras"))
    with open(str(tmp_path / "own.keras"), "rb") as file:
        found = record(told(tmp_path, file.read(), b"a\nb\nc\n", "own.keras"))
    assert (found.input_mean, found.input_std, found.by_guess) == (0, 1, "")  # it rescales by itself
    assert (found.parameters, found.outputs) == (network.count_params(), keys.PROBABILITIES)
    model = models.load_uploaded(str(tmp_path / "graph.pb"), ["a", "b", "c"], found)
    assert np.allclose(model.run(PICTURE), network(PICTURE, training=False), atol=1e-4)
