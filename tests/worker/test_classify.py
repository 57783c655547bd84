"""The resident classifier, spoken to through its pipe."""

import base64
import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from engine.contract import catalog
from engine.worker import backbones, export

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Pipe(object):
    def __init__(self, home):
        command = [sys.executable, "-m", "engine.worker.classify", home.path]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, model, image, top=5):
        question = {"model": model, "image": base64.b64encode(image).decode(), "top": top}
        self.process.stdin.write(json.dumps(question).encode() + b"\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline().decode())


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
    export.write_tflite(folder, mobilenet, weights, bias)
    export.write_contract(folder, mobilenet, ["one", "two", "three"], 0.5)
    return folder, weights, bias


def picture(size=(120, 90)):
    pixels = np.random.RandomState(4).randint(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_it_answers_with_what_the_network_says(pipe, model, mobilenet):
    _, weights, bias = model
    answer = pipe.ask("a-run", picture())
    seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["seen"]))))
    assert seen.shape == (224, 224, 3)
    logits = np.asarray(backbones.features(mobilenet, seen[None].astype(np.float32)))[0].dot(weights) + bias
    probabilities = np.exp(logits - logits.max())
    probabilities /= probabilities.sum()
    expected = dict(zip(["one", "two", "three"], probabilities))
    assert [label for label, _ in answer["top"]] == sorted(expected, key=expected.get, reverse=True)
    assert all(abs(expected[label] - score) <= 1e-4 for label, score in answer["top"])
    assert (answer["width"], answer["height"], answer["device"]) == (120, 90, "CPU")
    assert answer["runtime"]
    assert answer["seconds"] > 0


def test_a_model_that_was_replaced_is_loaded_again(pipe, model, mobilenet):
    folder, weights, bias = model
    before = pipe.ask("a-run", picture())
    export.write_tflite(folder, mobilenet, -weights, bias)
    os.utime(folder.tflite, (1, 1))
    after = pipe.ask("a-run", picture())
    assert before["top"][0][0] != after["top"][0][0]


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
    assert complaint in pipe.ask(name, image)["error"]
    assert "top" in pipe.ask("a-run", picture())


def test_a_model_whose_labels_do_not_fit_is_refused_with_both_numbers(pipe, model, mobilenet):
    folder, _, _ = model
    export.write_contract(folder, mobilenet, ["one", "two"], 0.5)
    assert "3 outputs but 2 labels" in pipe.ask("a-run", picture())["error"]


def test_a_backbone_answers_with_imagenet_s_names(pipe, assets):
    answer = pipe.ask("mobilenet_v2", picture(), top=3)
    with open(os.path.join(assets.assets, catalog.IMAGENET_NAMES)) as file:
        names = json.load(file)
    assert len(answer["top"]) == 3
    assert all(label in names for label, _ in answer["top"])


def test_a_flower_is_known_to_imagenet(pipe, assets):
    data = os.environ.get("LAB_TEST_DATA")
    if not data:
        pytest.skip("LAB_TEST_DATA names no folder with the larger test data")
    with open(os.path.join(data, "flower_photos", "daisy", "21652746_cc379e0eea_m.jpg"), "rb") as file:
        answer = pipe.ask("mobilenet_v2", file.read())
    assert answer["top"][0][0] == "daisy"
    assert answer["top"][0][1] > 0.9
