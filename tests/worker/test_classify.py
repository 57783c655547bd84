"""The resident classifier, spoken to through its pipe."""

import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from engine.contract import catalog, protocol, signatures
from engine.contract.run_folder import LabHome
from engine.worker import backbones, export, images

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Pipe:
    def __init__(self, home):
        command = [sys.executable, "-m", "engine.worker.classify.classifier", home.path]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, model, image, top=5):
        return self.answer(protocol.Classify(model, image, top))

    def ask_graph(self, paths, image, **given):
        return self.answer(protocol.ClassifyGraph(image=image, **dict(paths, **given)))

    def answer(self, request):
        self.process.stdin.write(protocol.encode(request).encode() + b"\n")
        self.process.stdin.flush()
        return protocol.decode(self.process.stdout.readline().decode(), protocol.ANSWERS)


@pytest.fixture
def pipe(home):
    opened = Pipe(home)
    yield opened
    opened.process.stdin.close()
    opened.process.wait()
    opened.process.stdout.close()


@pytest.fixture
def model(home, mobilenet):
    """A finished run's folder with a head of three classes."""
    folder = home.run("a-run")
    os.makedirs(folder.artifacts)
    random = np.random.RandomState(0)
    weights, bias = random.randn(1280, 3).astype(np.float32) * 0.05, np.zeros(3, np.float32)
    export.write_tflite(folder.tflite, mobilenet, weights, bias)
    export.write_contract(folder, mobilenet, ["one", "two", "three"], {"learning_rate": 0.5})
    signatures.sign(folder)
    return folder, weights, bias


def picture(size=(120, 90)):
    pixels = np.random.RandomState(4).randint(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_it_answers_with_what_the_network_says(pipe, model, mobilenet):
    _, weights, bias = model
    answer = pipe.ask("a-run", picture())
    seen = np.asarray(Image.open(io.BytesIO(answer.seen_png)))
    assert seen.shape == (224, 224, 3)
    logits = np.asarray(backbones.features(mobilenet, seen[None].astype(np.float32)))[0].dot(weights) + bias
    probabilities = np.exp(logits - logits.max())
    probabilities /= probabilities.sum()
    expected = dict(zip(["one", "two", "three"], probabilities))
    assert [label for label, _ in answer.top] == sorted(expected, key=expected.get, reverse=True)
    assert all(abs(expected[label] - score) <= 1e-4 for label, score in answer.top)
    assert (answer.width, answer.height, answer.device) == (120, 90, "CPU")
    assert answer.runtime
    assert answer.seconds > 0


def test_a_model_that_was_replaced_is_loaded_again(pipe, model, mobilenet):
    folder, weights, bias = model
    before = pipe.ask("a-run", picture())
    export.write_tflite(folder.tflite, mobilenet, -weights, bias)
    os.utime(folder.tflite, (1, 1))
    signatures.sign(folder)
    after = pipe.ask("a-run", picture())
    assert before.top[0][0] != after.top[0][0]


@pytest.mark.parametrize(
    "name, image, complaint",
    [
        pytest.param("a-run", b"", "the file is empty", id="no picture"),
        pytest.param("a-run", b"%PDF-1.7", "no JPEG", id="another kind of file"),
        pytest.param("gone", picture(), "There is no finished model", id="a run that was deleted"),
        pytest.param("../runs/a-run", picture(), "There is no finished model", id="a path"),
    ],
)
def test_what_cannot_be_answered_is_said_and_the_next_question_is_answered(pipe, model, name, image, complaint):
    assert complaint in pipe.ask(name, image).error
    assert pipe.ask("a-run", picture()).top


def test_a_model_whose_labels_do_not_fit_is_refused_with_both_numbers(pipe, model, mobilenet):
    folder, _, _ = model
    export.write_contract(folder, mobilenet, ["one", "two"], {"learning_rate": 0.5})
    signatures.sign(folder)
    assert "3 outputs but 2 labels" in pipe.ask("a-run", picture()).error


def test_a_backbone_answers_with_imagenet_s_names(pipe, assets):
    answer = pipe.ask("mobilenet_v2", picture(), top=3)
    with open(os.path.join(assets.assets, catalog.IMAGENET_NAMES)) as file:
        names = json.load(file)
    assert len(answer.top) == 3
    assert all(label in names for label, _ in answer.top)


def test_a_flower_is_known_to_imagenet(pipe, assets):
    data = os.environ.get("LAB_TEST_DATA")
    if not data:
        pytest.skip("LAB_TEST_DATA names no folder with the larger test data")
    with open(os.path.join(data, "flower_photos", "daisy", "21652746_cc379e0eea_m.jpg"), "rb") as file:
        answer = pipe.ask("mobilenet_v2", file.read())
    assert answer.top[0][0] == "daisy"
    assert answer.top[0][1] > 0.9


# --- graph files -----------------------------------------------------------------------------------------------------

COLOUR_WEIGHTS = np.array([[2, 0, -1], [-1, 2, 0], [0, -1, 2]], np.float32)


@pytest.fixture(scope="module")
def graph_pipe(tmp_path_factory):
    """One process for all questions about graphs, because importing TensorFlow takes most of the time."""
    opened = Pipe(LabHome(str(tmp_path_factory.mktemp("lab"))))
    yield opened
    opened.process.stdin.close()
    opened.process.wait()
    opened.process.stdout.close()


def colour_graph(tf, height=6, width=10):
    """In the manner of retrain.py: the mean colour of the picture, three probabilities."""
    x = tf.compat.v1.placeholder(tf.float32, [1, height, width, 3], name="input")
    tf.nn.softmax(tf.matmul(tf.reduce_mean(x, [1, 2]), COLOUR_WEIGHTS), name="final_result")


def undefined_graph(tf):
    x = tf.compat.v1.placeholder(tf.float32, [1, 6, 10, 3], name="input")
    tf.math.log(tf.reduce_mean(x, [1, 2]) - 10, name="final_result")


def reading_graph(tf):
    x = tf.compat.v1.placeholder(tf.float32, [1, 6, 10, 3], name="input")
    secret = tf.strings.length(tf.io.read_file("/etc/passwd"))
    tf.reduce_mean(x, [1, 2]) + tf.cast(secret, tf.float32)


def write_graph(folder, build=colour_graph, labels="blue\ngreen\nred\n", cut=None):
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        build(tf)
    paths = {"graph": str(folder / "graph.pb"), "labels": str(folder / "labels.txt")}
    with open(paths["graph"], "wb") as file:
        file.write(graph.as_graph_def().SerializeToString()[:cut])
    with open(paths["labels"], "w") as file:
        file.write(labels)
    return paths


def test_a_graph_file_answers_as_label_image_py_asked_it(graph_pipe, tmp_path):
    paths = write_graph(tmp_path)
    answer = graph_pipe.ask_graph(paths, picture(), repeats=3)
    pixels = images.resize_as_tensorflow_1(images.decode(picture()), 6, 10)
    logits = ((pixels - 127.5) / 127.5).mean(axis=(0, 1)).dot(COLOUR_WEIGHTS)
    expected = np.exp(logits) / np.exp(logits).sum()
    assert dict(answer.top) == {
        label: pytest.approx(score, abs=1e-5) for label, score in zip(["blue", "green", "red"], expected)
    }
    assert (answer.input_layer, answer.output_layer) == ("input", "final_result")
    assert (answer.input_height, answer.input_width) == (6, 10)
    assert (answer.input_mean, answer.input_std) == (127.5, 127.5)
    assert "guess" in answer.found
    assert answer.runtime.startswith("TensorFlow 2.")
    assert len(answer.repeat_seconds) == 3
    assert answer.p50_seconds == pytest.approx(np.median(answer.repeat_seconds))
    assert answer.p95_seconds == pytest.approx(np.percentile(answer.repeat_seconds, 95))
    assert answer.p50_seconds < answer.p95_seconds
    assert Image.open(io.BytesIO(answer.seen_png)).size == (10, 6)


def test_what_is_said_of_a_graph_is_not_looked_for(graph_pipe, tmp_path):
    paths = write_graph(tmp_path)
    said = {"input_layer": "input", "output_layer": "final_result", "input_height": 6, "input_width": 10}
    bright, dark = [
        graph_pipe.ask_graph(paths, picture(), input_mean=mean, input_std=255, **said).top for mean in (0, 255)
    ]
    assert bright != dark
    answer = graph_pipe.ask_graph(dict(paths, labels=None), picture(), input_mean=0, input_std=255, **said)
    assert answer.found == ""
    assert sorted(label for label, _ in answer.top) == ["class 0", "class 1", "class 2"]


@pytest.mark.parametrize(
    "changes, said, complaint",
    [
        pytest.param({"cut": 100}, {}, "is no TensorFlow graph, or one that was cut off", id="cut off"),
        pytest.param(
            {"build": reading_graph},
            {},
            "uses ReadFile and StringLength, which can read or write files",
            id="reads a file",
        ),
        pytest.param({"build": undefined_graph}, {}, "values that are no numbers", id="answers nan"),
        pytest.param({"labels": "a\nb\n"}, {}, "has 3 outputs, but labels.txt has 2 labels", id="too few labels"),
        pytest.param({"labels": ""}, {}, "has 3 outputs, but labels.txt has 0 labels", id="no labels"),
        pytest.param({}, {"labels": "/no/labels.txt"}, "/no/labels.txt cannot be read: No such file", id="no file"),
        pytest.param({}, {"graph": "/no/graph.pb"}, "/no/graph.pb cannot be read: No such file", id="no graph"),
        pytest.param({}, {"input_layer": "Mul"}, "The graph has no layer 'Mul'. It has ", id="no such input"),
        pytest.param({}, {"output_layer": "softmax"}, "The graph has no layer 'softmax'", id="no such output"),
        pytest.param(
            {},
            {"input_height": 224},
            "'input' takes 10 x 6 pixels with 3 colours, not 10 x 224 with 3.",
            id="another size",
        ),
    ],
)
def test_a_graph_that_cannot_answer_is_said_and_the_next_question_is_answered(
    graph_pipe, tmp_path, changes, said, complaint
):
    assert complaint in graph_pipe.ask_graph(write_graph(tmp_path, **changes), picture(), **said).error
    assert graph_pipe.ask_graph(write_graph(tmp_path), picture()).top


def test_any_other_bytes_are_no_graph(graph_pipe, tmp_path):
    paths = write_graph(tmp_path)
    for other in (b"", b"PK\x03\x04", np.random.RandomState(0).bytes(3000), picture()):
        with open(paths["graph"], "wb") as file:
            file.write(other)
        assert "graph.pb is " in graph_pipe.ask_graph(paths, picture()).error
    os.remove(paths["graph"])
    os.mkdir(paths["graph"])
    assert "graph.pb cannot be read: Is a directory" in graph_pipe.ask_graph(paths, picture()).error
    os.rmdir(paths["graph"])
    with open(write_graph(tmp_path)["labels"], "wb") as file:
        file.write(b"\xff\xfe\x00")
    assert "labels.txt is no text" in graph_pipe.ask_graph(paths, picture()).error
