"""WORKER_PYTHON -m engine.worker.classify LAB_HOME: answers pictures until its stdin closes.
(With a backbone's name and a path behind it: writes that backbone as TFLite there and ends.)

One JSON object a line on stdin, one on stdout:

    {"model": "<run id or backbone>", "image": "<base64>", "top": 5, "repeats": 0}
    {"top": [["daisy", 0.998], ...], "runtime": ..., "device": ..., "..._seconds": ..., "seen": "<base64 PNG>", ...}
    {"error": "<a sentence for people>"}

    {"graph": "<path>", "labels": "<path>", "image": ..., "top": ..., "repeats": ...}: a frozen graph of TensorFlow
        with any of "input_layer", "output_layer", "input_height", "input_width", "input_mean", "input_std"; what is
        left out, or None, is found in the graph, and "found" says why. "labels": None calls outputs by their numbers

    {"model": "<run id>", "digit": "<base64 of 28 x 28 gray bytes>"}: every network of a comparison
    {"networks": [{"lane": "beginner", "probabilities": [0.01, ...], "seconds": ...}, ...], "runtime": ..., ...}

    {"distort": "<base64>", "backbone": ..., "settings": {...}, "seed": 0, "count": 8}: a photo as it is learned from,
        with specs.DISTORTIONS as settings
    {"samples": ["<base64 JPEG>", ...]}

Of a run or a backbone the TFLite file answers, through LiteRT where it is installed: then TensorFlow is never loaded
and the first answer takes a second. Graph files go through TensorFlow, with label_image.py's decoding and resizing.
Python 3.6.
"""

import base64
import collections
import io
import json
import os
import subprocess
import sys
import time
from typing import Any, Dict, List, NamedTuple, Optional

import numpy as np
from PIL import Image

from engine.contract import catalog, specs
from engine.contract.run_folder import LabHome, read_json
from engine.worker import backbones, bottlenecks, distortions, graphs, images

# Models kept in memory; the one not used for longest leaves. One takes about 40 MB.
MODEL_LIMIT = 4
NETWORK_LIMIT = 24  # networks for digits, which take up to 10 MB each

# What can be said of a graph file; the rest is found in it.
GRAPH_FIELDS = ("input_layer", "output_layer", "input_height", "input_width", "input_mean", "input_std")

Model = NamedTuple(
    "Model",
    [
        ("changed", Any),  # mtimes of its files: a model that was replaced is loaded again
        ("labels", List[str]),
        ("preprocessing", str),  # who decodes and resizes, see engine/contract/catalog.py
        ("run", Any),  # (1, height, width, 3) float32, normalised -> (1, classes) float32
        ("runtime", str),
        ("device", str),
        ("input_layer", str),
        ("output_layer", str),
        ("input_height", int),  # pixels
        ("input_width", int),
        ("input_mean", float),  # subtracted from RGB 0..255; 0 where the model does that itself
        ("input_std", float),  # then divided by; 1 likewise
        ("found", str),  # why these, for people; "" where nothing had to be found
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
        if "distort" in question:
            return {"samples": self._distorted(question)}
        model = self._graph(question) if "graph" in question else self._model(question["model"])
        began = time.perf_counter()
        image = _decoded(question["image"], model.preprocessing)
        decoded = time.perf_counter()
        pixels = _resized(image, model)  # (height, width, 3), 0..255
        resized = time.perf_counter()
        value = _normalised(pixels, model.input_mean, model.input_std)
        seconds = []
        for _ in range(1 + int(question.get("repeats", 0))):
            asked = time.perf_counter()
            answer = model.run(value)
            seconds.append(time.perf_counter() - asked)
        probabilities = answer[0]  # (classes,)
        if not np.isfinite(probabilities).all():
            raise Refused("The model answers with values that are no numbers. Check the input's mean and std.")
        order = np.argsort(-probabilities, kind="stable")[: int(question["top"])]
        said = {name: getattr(model, name) for name in model._fields if name not in ("changed", "labels", "run")}
        said.pop("preprocessing")
        return dict(
            said,
            top=[[model.labels[at], float(probabilities[at])] for at in order],
            classes=len(model.labels),
            decode_seconds=decoded - began,
            resize_seconds=resized - decoded,
            seconds=seconds[0],
            p50_seconds=float(np.median(seconds[1:])) if seconds[1:] else None,
            width=image.width,
            height=image.height,
            seen=_png(np.clip(pixels + 0.5, 0, 255).astype(np.uint8) if pixels.dtype == np.float32 else pixels),
        )

    def _distorted(self, question):
        # type: (Dict[str, Any]) -> List[str]
        try:
            row = catalog.backbone(question["backbone"], self.home)
        except KeyError:
            raise Refused("There is no backbone {!r} on this machine.".format(question["backbone"]))
        # Pillow's decoder for every backbone: the difference cannot be seen, and TensorFlow need not be loaded.
        image = _decoded(question["distort"], catalog.PILLOW)
        spec = specs.DEFAULT_RETRAIN._replace(**question["settings"])
        samples = []
        for number in range(int(question["count"])):
            random = np.random.RandomState([int(question["seed"]), number])
            pixels = distortions.distort(image, row.size, spec, random, row.preprocessing)
            file = io.BytesIO()
            Image.fromarray(np.clip(pixels + 0.5, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=85)
            samples.append(base64.b64encode(file.getvalue()).decode("ascii"))
        return samples

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
        path, labels, size, preprocessing = self._files(name)
        return self._kept(name, os.path.getmtime(path), lambda: _load_tflite(path, labels, size, preprocessing))

    def _graph(self, asked):
        # type: (Dict[str, Any]) -> Model
        given = {name: asked[name] for name in GRAPH_FIELDS if asked.get(name) is not None}
        path, labels = asked["graph"], asked.get("labels")
        try:
            changed = [os.path.getmtime(path), os.path.getmtime(labels) if labels else 0]
        except OSError as error:
            raise Refused("{} cannot be read: {}.".format(error.filename, error.strerror))
        name = json.dumps([path, labels, given], sort_keys=True)
        return self._kept(name, changed, lambda: _load_graph(path, labels, given))

    def _kept(self, name, changed, load):
        # type: (str, Any, Any) -> Model
        """The model of that name, loaded where it is not in memory or its files have changed since."""
        model = self._models.pop(name, None)
        if model is None or model.changed != changed:
            model = load()._replace(changed=changed)
        self._models[name] = model  # now the one used last
        while len(self._models) > MODEL_LIMIT:
            self._models.popitem(last=False)
        return model

    def _files(self, name):
        # type: (str) -> Any
        """(path of the TFLite file, labels, input size, preprocessing)"""
        try:
            return self._pretrained(catalog.backbone(name, self.home))
        except KeyError:
            pass
        folder = self.home.run(name)
        if name != folder.id or not (os.path.isfile(folder.tflite) and os.path.isfile(folder.contract)):
            raise Refused("There is no finished model {!r}. It may have been deleted.".format(name))
        contract = read_json(folder.contract)
        preprocessing = contract.get("preprocessing", catalog.PILLOW)
        return folder.tflite, contract["labels"], contract["input"]["height"], preprocessing

    def _pretrained(self, row):
        # type: (catalog.Backbone) -> Any
        """A backbone with its own last layer, converted the first time (which needs TensorFlow)."""
        if not row.labels:
            raise Refused("{} has no names for what it was trained on; retrain it on photos first.".format(row.title))
        try:
            labels = backbones.labels(self.home, row)
        except FileNotFoundError:
            raise Refused(
                "The names of {}'s classes are not on this machine: run `python -m engine assets`.".format(row.title)
            )
        try:
            digest = backbones.digest(backbones.weights_path(self.home, row))
        except FileNotFoundError:
            text = "The weights of {} are not on this machine: run `python -m engine assets {}`."
            raise Refused(text.format(row.title, row.asset))
        path = os.path.join(self.home.derived, "{}-{}-{}-imagenet.tflite".format(row.name, digest[:16], backbones.FORM))
        if not os.path.isfile(path):
            # In a process of its own, so that TensorFlow's memory goes when the network is converted.
            command = [sys.executable, "-m", "engine.worker.classify", self.home.path, row.name, path]
            if subprocess.call(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL):
                raise Refused("{} could not be converted; its weights may be damaged.".format(row.title))
        return path, labels, row.size, row.preprocessing


def convert(home, row, path):
    # type: (LabHome, catalog.Backbone, str) -> None
    """Write a backbone with ImageNet's own last layer as TFLite. Raises backbones.MissingWeights."""
    network = backbones.load(home, row)
    bottlenecks.keep_tflite(path, network.body.answers, [1, row.size, row.size, 3])


def _load_tflite(path, labels, size, preprocessing):
    # type: (str, List[str], int, str) -> Model
    began = time.perf_counter()
    interpreter_class, runtime = bottlenecks.tflite_interpreter()
    interpreter = interpreter_class(model_path=path, num_threads=_threads())
    run = _runner(interpreter)
    loaded = time.perf_counter()
    outputs = run(np.zeros((1, size, size, 3), np.float32)).shape[1]
    first = time.perf_counter()
    if outputs != len(labels):
        raise Refused("The model has {:,} outputs but {:,} labels.".format(outputs, len(labels)))
    return Model(
        changed=None,
        labels=labels,
        preprocessing=preprocessing,
        run=run,
        runtime=runtime,
        device="CPU",
        input_layer=interpreter.get_input_details()[0]["name"],
        output_layer=interpreter.get_output_details()[0]["name"],
        input_height=size,
        input_width=size,
        input_mean=0.0,
        input_std=1.0,
        found="",
        load_seconds=loaded - began,
        first_seconds=first - loaded,
    )


def _load_graph(path, labels_path, given):
    # type: (str, Optional[str], Dict[str, Any]) -> Model
    """Raises Refused."""
    import tensorflow as tf

    began = time.perf_counter()
    try:
        labels = _read_labels(labels_path) if labels_path else None
        graph_def, found = graphs.read(path), ""
        if len(given) < len(GRAPH_FIELDS):
            facts = graphs.facts(path)
            missing = [name for name in GRAPH_FIELDS if name not in given and facts[name] in (None, "")]
            if missing:
                raise Refused("{} does not tell its {}; say it.".format(os.path.basename(path), " and ".join(missing)))
            given, found = dict({name: facts[name] for name in GRAPH_FIELDS}, **given), facts["guess"]
        height, width = given["input_height"], given["input_width"]
        entry, result = given["input_layer"], given["output_layer"]
        _check_shape(graph_def, entry, height, width)
        call = tf.function(
            lambda value: graphs.call(graph_def, entry, value, result),
            input_signature=[tf.TensorSpec([1, height, width, 3], tf.float32)],
            autograph=False,  # which would hide what it raises behind its own
        ).get_concrete_function()
        loaded = time.perf_counter()
        outputs = _call(call, np.zeros((1, height, width, 3), np.float32)).shape[1]
        first = time.perf_counter()
    except graphs.GraphRefused as error:
        raise Refused(str(error))
    except (ValueError, tf.errors.OpError) as error:
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise Refused("The graph cannot take a picture of {} x {} at {!r}: {}.".format(height, width, entry, reason))
    if labels is None:
        labels = ["class {}".format(number) for number in range(outputs)]
    if outputs != len(labels):
        raise Refused(
            "{!r} of {} has {:,} outputs, but {} has {:,} labels. Give the labels that were written with this "
            "graph.".format(result, os.path.basename(path), outputs, os.path.basename(labels_path or ""), len(labels))
        )
    return Model(
        changed=None,
        labels=labels,
        preprocessing=catalog.TENSORFLOW,
        run=lambda value: _call(call, value),
        runtime="TensorFlow {}".format(tf.__version__),
        device="CPU",
        found=found,
        load_seconds=loaded - began,
        first_seconds=first - loaded,
        **given,
    )


def _check_shape(graph_def, layer, height, width):
    # type: (Any, str, int, int) -> None
    """Raises Refused: a picture of another size may pass through a graph all the same, and its answer mean nothing."""
    nodes = {node.name: node for node in graph_def.node}
    node = nodes.get(layer.partition(":")[0])
    while node is not None and node.op == "Identity":
        node = nodes.get(node.input[0].partition(":")[0])
    if node is None or not node.op.startswith("Placeholder"):
        return
    shape = [dimension.size for dimension in node.attr["shape"].shape.dim]  # -1: any
    if len(shape) == 4 and any(known not in (-1, asked) for known, asked in zip(shape[1:], (height, width, 3))):
        text = "{!r} takes {} x {} pixels with {} colours, not {} x {} with 3."
        raise Refused(text.format(layer, shape[2], shape[1], shape[3], width, height).replace("-1", "any"))


def _call(function, value):
    # type: (Any, np.ndarray) -> np.ndarray
    """(1, height, width, 3) float32 -> (1, classes) float32, whatever shape the graph gives its output."""
    import tensorflow as tf

    return function(tf.constant(value)).numpy().astype(np.float32).reshape(1, -1)


def _read_labels(path):
    # type: (str) -> List[str]
    """One label a line, as label_image.py reads them. Raises Refused."""
    try:
        with open(path, encoding="utf-8") as file:
            labels = [line.rstrip() for line in file]
    except UnicodeDecodeError:
        raise Refused("{} is no text; a labels file has one label a line.".format(os.path.basename(path)))
    except OSError as error:
        raise Refused("{} cannot be read: {}.".format(path, error.strerror))
    while labels and not labels[-1]:
        labels.pop()
    return labels


def _resized(image, model):
    # type: (Image.Image, Model) -> np.ndarray
    if model.preprocessing == catalog.TENSORFLOW:
        return images.resize_as_tensorflow_1(image, model.input_height, model.input_width)
    return images.resize(image, model.input_height)


def _normalised(pixels, mean, std):
    # type: (np.ndarray, float, float) -> np.ndarray
    """(height, width, 3) -> (1, height, width, 3) float32."""
    return ((pixels[None].astype(np.float32) - np.float32(mean)) / np.float32(std)).astype(np.float32)


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


def _decoded(encoded, preprocessing):
    # type: (str, str) -> Image.Image
    try:
        return images.decode(base64.b64decode(encoded), preprocessing)
    except images.ImageError as error:
        raise Refused("This picture cannot be used: {}.".format(error))


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
