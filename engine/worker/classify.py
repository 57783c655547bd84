"""WORKER_PYTHON -m engine.worker.classify LAB_HOME: answers pictures until its stdin closes.
(With a backbone's name and a path behind it: writes that backbone as TFLite there and ends.)

One JSON object a line on stdin, one on stdout:

    {"model": "<run id or backbone>", "image": "<base64>", "top": 5}
    {"top": [["daisy", 0.998], ...], "runtime": ..., "device": ..., "..._seconds": ..., "seen": "<base64 PNG>"}
    {"error": "<a sentence for people>"}

    {"model": "<run id>", "digit": "<base64 of 28 x 28 gray bytes>"}: every network of a comparison
    {"networks": [{"lane": "beginner", "probabilities": [0.01, ...], "seconds": ...}, ...], "runtime": ..., ...}

The exported TFLite file answers, through LiteRT where it is installed: then TensorFlow is never loaded and the first
answer takes a second. Python 3.6.
"""

import base64
import collections
import io
import json
import os
import subprocess
import sys
import time
from typing import Any, Dict, List, NamedTuple

import numpy as np
from PIL import Image

from engine.contract import catalog
from engine.contract.run_folder import LabHome, read_json
from engine.worker import backbones, bottlenecks, export, images

# Models kept in memory; the one not used for longest leaves. One takes about 40 MB.
MODEL_LIMIT = 4
NETWORK_LIMIT = 24  # networks for digits, which take up to 10 MB each

Model = NamedTuple(
    "Model",
    [
        ("name", str),
        ("changed", float),  # mtime of its file: a model of that name that was replaced is loaded again
        ("labels", List[str]),
        ("size", int),  # input height and width, pixels
        ("run", Any),  # (1, size, size, 3) float32 -> (1, classes) float32
        ("runtime", str),
        ("device", str),
        ("load_seconds", float),
        ("first_seconds", float),  # of the first call, which is slower than the others
    ],
)


class Refused(Exception):
    """The question cannot be answered; the text says why, for people."""


class Classifier(object):
    def __init__(self, home):
        # type: (LabHome) -> None
        self.home = home
        self._models = collections.OrderedDict()  # type: collections.OrderedDict[str, Model]
        self._digits = collections.OrderedDict()  # type: collections.OrderedDict[str, Any]  # path -> (changed, run)

    def answer(self, question):
        # type: (Dict[str, Any]) -> Dict[str, Any]
        """Raises Refused."""
        if "digit" in question:
            return self._networks(question["model"], base64.b64decode(question["digit"]))
        model = self._model(question["model"])
        began = time.perf_counter()
        try:
            image = images.decode(base64.b64decode(question["image"]))
        except images.ImageError as error:
            raise Refused("This picture cannot be used: {}.".format(error))
        decoded = time.perf_counter()
        pixels = images.resize(image, model.size)  # (size, size, 3) uint8
        resized = time.perf_counter()
        probabilities = model.run(pixels[None].astype(np.float32))[0]  # (classes,)
        answered = time.perf_counter()
        order = np.argsort(-probabilities, kind="stable")[: int(question["top"])]
        return {
            "top": [[model.labels[at], float(probabilities[at])] for at in order],
            "runtime": model.runtime,
            "device": model.device,
            "load_seconds": model.load_seconds,
            "first_seconds": model.first_seconds,
            "decode_seconds": decoded - began,
            "resize_seconds": resized - decoded,
            "seconds": answered - resized,
            "width": image.width,
            "height": image.height,
            "seen": _png(pixels),
        }

    def _networks(self, name, gray):
        # type: (str, bytes) -> Dict[str, Any]
        folder = self.home.run(name)
        if name != folder.id or not (os.path.isdir(folder.networks) and os.path.isfile(folder.contract)):
            raise Refused("There are no trained networks of {!r}. The run may have been deleted.".format(name))
        pixels = np.frombuffer(gray, np.uint8).reshape(1, 28, 28).astype(np.float32)
        answers = []
        for network in read_json(folder.contract)["networks"]:
            path = folder.network_tflite(network["name"])
            changed = os.path.getmtime(path)
            runner = self._digits.pop(path, None)
            if runner is None or runner[0] != changed:
                interpreter_class, _ = bottlenecks.tflite_interpreter()
                runner = (changed, _runner(interpreter_class(model_path=path, num_threads=1)))
                runner[1](pixels)  # the first call is slower than the others
            self._digits[path] = runner  # now the one used last
            while len(self._digits) > NETWORK_LIMIT:
                self._digits.popitem(last=False)
            began = time.perf_counter()
            probabilities = runner[1](pixels)[0]
            seconds = time.perf_counter() - began
            answers.append({"lane": network["name"], "probabilities": probabilities.tolist(), "seconds": seconds})
        return {"networks": answers, "runtime": bottlenecks.tflite_interpreter()[1], "device": "CPU"}

    def _model(self, name):
        # type: (str) -> Model
        path, labels, size = self._files(name)
        changed = os.path.getmtime(path)
        model = self._models.pop(name, None)
        if model is None or model.changed != changed:
            began = time.perf_counter()
            interpreter_class, runtime = bottlenecks.tflite_interpreter()
            run = _runner(interpreter_class(model_path=path, num_threads=_threads()))
            loaded = time.perf_counter()
            outputs = run(np.zeros((1, size, size, 3), np.float32)).shape[1]
            first = time.perf_counter()
            if outputs != len(labels):
                raise Refused("The model has {} outputs but {} labels.".format(outputs, len(labels)))
            model = Model(name, changed, labels, size, run, runtime, "CPU", loaded - began, first - loaded)
        self._models[name] = model  # now the one used last
        while len(self._models) > MODEL_LIMIT:
            self._models.popitem(last=False)
        return model

    def _files(self, name):
        # type: (str) -> Any
        """(path of the TFLite file, labels, input size)"""
        rows = [row for row in catalog.BACKBONES if row.name == name]
        if rows:
            return self._pretrained(rows[0])
        folder = self.home.run(name)
        if name != folder.id or not (os.path.isfile(folder.tflite) and os.path.isfile(folder.contract)):
            raise Refused("There is no finished model {!r}. It may have been deleted.".format(name))
        contract = read_json(folder.contract)
        return folder.tflite, contract["labels"], contract["input"]["height"]

    def _pretrained(self, row):
        # type: (catalog.Backbone) -> Any
        """A backbone with ImageNet's own last layer, converted the first time (which needs TensorFlow)."""
        names_path = os.path.join(self.home.assets, catalog.IMAGENET_NAMES)
        if not os.path.isfile(names_path):
            raise Refused("ImageNet's names are not on this machine: run `python -m engine assets`.")
        try:
            digest = backbones.digest(backbones.weights_path(self.home, row))
            path = os.path.join(
                self.home.derived, "{}-{}-{}-imagenet.tflite".format(row.name, digest[:16], backbones.FORM)
            )
        except FileNotFoundError:
            raise Refused("The weights of {} are not on this machine: run `python -m engine assets`.".format(row.title))
        if not os.path.isfile(path):
            # In a process of its own, so that TensorFlow's memory goes when the network is converted.
            command = [sys.executable, "-m", "engine.worker.classify", self.home.path, row.name, path]
            if subprocess.call(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL):
                raise Refused("{} could not be converted; its weights may be damaged.".format(row.title))
        return path, read_json(names_path), row.size


def convert(home, row, path):
    # type: (LabHome, catalog.Backbone, str) -> None
    """Write a backbone with ImageNet's own last layer as TFLite. Raises backbones.MissingWeights."""
    network = backbones.load(home, row)
    weights, bias = network.imagenet_weights, network.imagenet_bias
    shape = [1, row.size, row.size, 3]
    bottlenecks.keep_tflite(path, lambda rgb: export.classify(network, weights, bias, rgb), shape)


def _runner(interpreter):
    # type: (Any) -> Any
    interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]["index"]
    result = interpreter.get_output_details()[0]["index"]

    def run(rgb):
        # type: (np.ndarray) -> np.ndarray
        interpreter.set_tensor(entry, rgb)
        interpreter.invoke()
        return interpreter.get_tensor(result)

    return run


def _threads():
    # type: () -> int
    # Measured: beyond four threads a small network gets slower.
    return min(4, os.cpu_count() or 1)


def _png(pixels):
    # type: (np.ndarray) -> str
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return base64.b64encode(file.getvalue()).decode("ascii")


def main(home):
    # type: (LabHome) -> None
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not look like an answer
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # TFLite answers on the CPU; a run may be using the GPU
    classifier = Classifier(home)
    for line in sys.stdin:
        try:
            answer = classifier.answer(json.loads(line))
        except Refused as error:
            answer = {"error": str(error)}
        except Exception as error:  # the next question must still be answered
            answer = {"error": "The classifier failed: {}: {}".format(type(error).__name__, error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    if len(sys.argv) == 2:
        main(LabHome(sys.argv[1]))
    else:
        convert(LabHome(sys.argv[1]), catalog.backbone(sys.argv[2]), sys.argv[3])
