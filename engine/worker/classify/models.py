"""What a model is to the classifier, and how each kind is loaded.

    a run                its exported TFLite file; its frozen graph where there is no such file
    another lane of it   the backbone as TFLite, and behind it the lane's own last layer, in numpy
    a depth of fine-tuning its TFLite file; in TensorFlow the backbone with what its blocks have learned
    a network for digits its exported TFLite file
    a backbone           as TFLite with its own last layer, converted the first time
    an uploaded model    a TFLite file as it is; .pb and .keras as frozen graphs, through TensorFlow
    a graph file         through TensorFlow, with label_image.py's decoding and resizing

So TensorFlow is loaded for graphs alone. With `through_tensorflow` all but uploaded TFLite files answer as graphs of
TensorFlow: that is the way of a GPU, on which TFLite does not run.

As a program, `python -m engine.worker.classify.models LAB_HOME BACKBONE PATH features|answers`, it converts a
backbone, so that the memory TensorFlow takes for it goes with the process: exit code 0, or 3 where TFLite has no words
for it. Python 3.6.
"""

import collections
import json
import os
import subprocess
import sys
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from engine.contract import catalog, protocol, signatures, specs
from engine.contract import models as keys
from engine.contract.run_folder import LabHome, RunFolder, read_json
from engine.worker import backbones, export, machine
from engine.worker.features import bottlenecks
from engine.worker.formats import graphs, tflite
from engine.worker.learning import heads

# Models kept at most, however small: each has threads of its own.
MODEL_LIMIT = 48
# Of the machine's memory, for all models together; the rest is for a run, the dashboard and what else the machine does.
MEMORY_SHARE = 0.125
SMALLEST_LIMIT = 256 << 20  # bytes

# What can be said of a graph file; the rest is found in it.
GRAPH_FIELDS = ("input_layer", "output_layer", "input_height", "input_width", "input_mean", "input_std")

NOT_CONVERTIBLE = 3  # exit code


class Model(NamedTuple):
    changed: Any  # mtimes of its files: a model that was replaced is loaded again
    labels: List[str]
    preprocessing: str  # who decodes and resizes, see engine/contract/catalog.py
    # (1, height, width, 3) float32, normalised by input_mean and input_std -> (1, classes) float32. Networks for
    # digits take the same: gray as RGB, 0 paper, 255 ink
    run: Callable[[np.ndarray], np.ndarray]
    runtime: str
    device: str
    input_layer: str
    output_layer: str
    input_height: int  # pixels
    input_width: int
    input_mean: float  # subtracted from RGB 0..255; 0 where the model does that itself
    input_std: float  # then divided by; 1 likewise
    found: str  # why these, for people; "" where nothing had to be found
    load_seconds: float
    first_seconds: float  # of the first call, which is slower than the others


class Refused(Exception):
    """The question cannot be answered; the text says why, for people."""


class Models:
    """Models by key, kept in memory up to a number of bytes; the one not used for longest leaves."""

    def __init__(self, home: LabHome, through_tensorflow: bool = False, limit: Optional[int] = None) -> None:
        self.home, self.through_tensorflow = home, through_tensorflow
        self.limit = limit or memory_limit()
        self._kept: collections.OrderedDict[str, Tuple[Any, Any, int]] = collections.OrderedDict()

    def get(self, key: str) -> Model:
        """Raises Refused."""
        try:
            place = keys.place(self.home, key)
        except KeyError:
            raise Refused(f"There is no finished model {key!r}. It may have been deleted.") from None
        try:
            if place.kind == keys.BACKBONE:
                return self._pretrained(key, catalog.backbone(place.name, self.home))
            if place.kind == keys.UPLOADED:
                return self._uploaded(key, place.name)
            return self._of_run(key, self.home.run(place.name), place.lane)
        except (OSError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, OSError) and error.filename is None:
                raise
            raise Refused(f"What is kept of {key!r} cannot be read ({error}). It may have been deleted.") from error

    def get_graph(self, request: protocol.ClassifyGraph) -> Model:
        """A graph file. Raises Refused."""
        named = {name: getattr(request, name) for name in GRAPH_FIELDS}
        given = {name: value for name, value in named.items() if value is not None}
        path, labels = request.graph, request.labels
        try:
            changed = [os.path.getmtime(path), os.path.getmtime(labels) if labels else 0]
        except OSError as error:
            raise Refused(f"{error.filename} cannot be read: {error.strerror}.") from error
        key = f"graph:{path} {json.dumps([labels, given], sort_keys=True)}"
        return self.keep(key, changed, os.path.getsize(path), lambda: load_graph(path, labels, given))

    def backbone(self, row: catalog.Backbone) -> Model:
        """A backbone without a last layer: `run` takes RGB 0..255 and gives bottlenecks (1, width). Raises Refused."""
        digest, path = weights(self.home, row)
        size = os.path.getsize(path)
        return self.keep("backbone:" + row.name, digest, size, lambda: self._load_backbone(row, digest, "features"))

    def keep(self, key: str, changed: Any, file_bytes: int, load: Callable[[], Any]) -> Any:
        """What `load` gives, loaded where it is not in memory or `changed` differs from the last time.

        It counts with the bytes by which the process has grown over it, and no less than its file has.
        """
        kept = self._kept.pop(key, None)
        if kept is None or kept[1] != changed:
            del kept  # before the new one is loaded
            before, had_tensorflow = machine.memory(), "tensorflow" in sys.modules
            model = load()
            grown = machine.memory() - before
            if "tensorflow" in sys.modules and not had_tensorflow:
                grown = 2 * file_bytes  # what TensorFlow itself takes would drown what the model does
            kept = (model, changed, max(file_bytes, grown))
        self._kept[key] = kept  # now the one used last
        while len(self._kept) > 1 and (len(self._kept) > MODEL_LIMIT or self._bytes() > self.limit):
            self._kept.popitem(last=False)
        return kept[0]

    def memory(self) -> protocol.Resident:
        sizes = [protocol.ModelSize(key, size) for key, (_, _, size) in self._kept.items()]
        return protocol.Resident(self._bytes(), self.limit, sizes)

    def _bytes(self) -> int:
        return sum(size for _, _, size in self._kept.values())

    # --- runs --------------------------------------------------------------------------------------------------------

    def _of_run(self, key: str, folder: RunFolder, lane: str) -> Model:
        if not os.path.isfile(folder.contract):
            raise Refused(f"There is no finished model {folder.id!r}. It may have been deleted.")
        why_not = signatures.refusal(folder)
        if why_not:
            raise Refused(why_not)
        contract = read_json(folder.contract)
        if "networks" in contract:
            return self._network(key, folder, lane, contract)
        kept = keys.kept_lane(contract)
        if lane and lane != kept:
            return self._lane(key, folder, lane, contract)
        size, how = contract["input"]["height"], contract.get("preprocessing", catalog.PILLOW)
        if os.path.isfile(folder.tflite) and not self.through_tensorflow:
            path = folder.tflite
            changed = [_changed(path), _changed(folder.contract)]
            return self.keep(folder.id, changed, os.path.getsize(path), lambda: load_tflite(
                path, contract["labels"], size, how
            ))  # fmt: skip
        if not os.path.isfile(folder.graph):
            raise Refused(f"There is no finished model {folder.id!r}. It may have been deleted.")
        given = {
            "input_layer": "input",
            "output_layer": getattr(specs.read(folder.spec), "final_tensor_name", export.FINAL_TENSOR),
            "input_height": size,
            "input_width": size,
            "input_mean": export.LABEL_IMAGE_MEAN,
            "input_std": export.LABEL_IMAGE_STD,
        }
        path = folder.graph
        return self.keep(folder.id, _changed(path), os.path.getsize(path), lambda: load_graph(
            path, None, given
        )._replace(labels=contract["labels"], preprocessing=how, found=""))  # fmt: skip

    def _lane(self, key: str, folder: RunFolder, lane: str, contract: Dict[str, Any]) -> Model:
        """Its own last layer behind the backbone, which all lanes share."""
        path = keys.lane_file(folder, lane)
        if not os.path.isfile(path):
            raise Refused(f"Run {folder.id} has no lane {lane!r}.")
        tflite, size = keys.lane_tflite(folder, lane), contract["input"]["height"]
        if os.path.isfile(tflite) and not self.through_tensorflow:
            return self.keep(key, _changed(tflite), os.path.getsize(tflite), lambda: load_tflite(
                tflite, contract["labels"], size, contract["preprocessing"]
            ))  # fmt: skip
        try:
            row = catalog.backbone(contract["backbone"], self.home)
        except KeyError:
            raise Refused(f"The backbone of run {folder.id} was deleted; only its kept lane can answer.") from None
        if weights(self.home, row)[0] != contract["weights_sha256"]:
            text = "The weights of {} are others than those that run {} learned with; only its kept lane can answer."
            raise Refused(text.format(row.title, folder.id))

        def load() -> Model:
            began = time.perf_counter()
            with np.load(path, allow_pickle=False) as file:
                weights, bias = file["weights"], file["bias"]
            if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
                raise Refused(f"Learning rate {lane} diverged: its weights are no numbers. Choose another lane.")

            def run(rgb: np.ndarray) -> np.ndarray:
                return heads.probabilities(self.backbone(row).run(rgb), weights, bias)

            below = self.backbone(row)
            return below._replace(
                labels=_fitting(contract["labels"], weights.shape[1]),
                run=run,
                output_layer="final_result",
                load_seconds=time.perf_counter() - began - below.first_seconds,
            )

        if os.path.isfile(tflite):
            return self.keep(key, _changed(path), os.path.getsize(path), lambda: self._tuned(row, path, contract))
        self.backbone(row)  # now used, and counted on its own
        return self.keep(key, _changed(path), os.path.getsize(path), load)

    def _tuned(self, row: catalog.Backbone, path: str, contract: Dict[str, Any]) -> Model:
        """A depth of fine-tuning in TensorFlow."""
        import tensorflow as tf

        from engine.worker.learning import tuned

        began = time.perf_counter()
        try:
            network, weights, bias = tuned.load(backbones.load(self.home, row), path)
        except backbones.MissingWeights as error:
            raise Refused(str(error)) from error
        function = tf.function(
            lambda rgb: export.classify(network, weights, bias, rgb),
            input_signature=[tf.TensorSpec([1, row.size, row.size, 3], tf.float32)],
            autograph=False,
        ).get_concrete_function()
        how = (row.preprocessing, began, row.input_layer, export.FINAL_TENSOR)
        return _in_tensorflow(function, contract["labels"], row.size, *how)

    def _network(self, key: str, folder: RunFolder, lane: str, contract: Dict[str, Any]) -> Model:
        names = [network["name"] for network in contract["networks"]]
        if lane not in names:
            raise Refused(
                "Run {} has no network {!r}; it has {}.".format(folder.id, lane, ", ".join(names))
                if lane
                else f"Run {folder.id} has several networks; name one of them: {folder.id}:{names[0]}."
            )
        if self.through_tensorflow:
            path = folder.network_saved_model(lane)
            return self.keep(key, _changed(path), 0, lambda: _load_network(path, contract["labels"]))
        path = folder.network_tflite(lane)
        return self.keep(key, _changed(path), os.path.getsize(path), lambda: load_tflite(
            path, contract["labels"], 28, catalog.PILLOW, threads=1
        ))  # fmt: skip

    # --- pretrained --------------------------------------------------------------------------------------------------

    def _pretrained(self, key: str, row: catalog.Backbone) -> Model:
        """A backbone with its own last layer."""
        if not catalog.is_classifier(row):
            raise Refused(f"{row.title} has no names for what it was trained on; retrain it on photos first.")
        try:
            labels = catalog.answer_labels(self.home, row)
        except FileNotFoundError:
            raise Refused(
                f"The names of {row.title}'s classes are not on this machine: run `python -m engine assets`."
            ) from None
        digest, path = weights(self.home, row)

        def load() -> Model:
            model = self._load_backbone(row, digest, "answers")
            outputs = model.run(np.zeros((1, row.size, row.size, 3), np.float32)).shape[1]
            return model._replace(labels=_fitting(labels, outputs))

        return self.keep(key, digest, os.path.getsize(path), load)

    def _load_backbone(self, row: catalog.Backbone, digest: str, part: str) -> Model:
        """`part`: "features" or "answers". Without labels."""
        path = _converted_path(self.home, row, digest, part)
        if not self.through_tensorflow and not os.path.isfile(path):
            # In a process of its own, so that TensorFlow's memory goes when the network is converted.
            command = [sys.executable, "-m", "engine.worker.classify.models", self.home.path, row.name, path, part]
            code = subprocess.call(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            if code not in (0, NOT_CONVERTIBLE):
                raise Refused(f"{row.title} could not be converted; its weights may be damaged.")
        if self.through_tensorflow or not os.path.isfile(path):
            return self._backbone_in_tensorflow(row, part)
        return load_tflite(path, None, row.size, row.preprocessing)

    def _backbone_in_tensorflow(self, row: catalog.Backbone, part: str) -> Model:
        import tensorflow as tf

        began = time.perf_counter()
        try:
            network = backbones.load(self.home, row)
            function = tf.function(
                lambda rgb: _part(network, part, rgb),
                input_signature=[tf.TensorSpec([1, row.size, row.size, 3], tf.float32)],
                autograph=False,
            ).get_concrete_function()
        except backbones.MissingWeights as error:
            raise Refused(str(error)) from error
        return _in_tensorflow(function, [], row.size, row.preprocessing, began, row.input_layer, part)

    # --- uploaded ----------------------------------------------------------------------------------------------------

    def _uploaded(self, key: str, name: str) -> Model:
        try:
            record = keys.uploaded(self.home, name)
        except KeyError:
            raise Refused(f"There is no uploaded model {name!r}. It may have been deleted.") from None
        folder = keys.folder(self.home, name)
        labels = keys.read_labels(os.path.join(folder, "labels.txt"))
        path = os.path.join(folder, "graph.pb" if record.suffix == "keras" else "model." + record.suffix)
        changed = [_changed(path), _changed(os.path.join(folder, "model.json"))]
        return self.keep(key, changed, os.path.getsize(path), lambda: load_uploaded(path, labels, record))


def load_uploaded(path: str, labels: Optional[List[str]], record: keys.Uploaded) -> Model:
    """`path`: of the file that answers. `labels` None: it is not known yet how many there are. Raises Refused."""
    if record.suffix == "tflite":
        model = load_tflite(path, labels, None, record.preprocessing, record.input_mean, record.input_std)
    else:
        given = {name: getattr(record, name) for name in GRAPH_FIELDS}
        model = load_graph(path, None, given)._replace(preprocessing=record.preprocessing, found="")
        model = model if labels is None else model._replace(labels=_fitting(labels, len(model.labels)))
    if record.outputs == keys.LOGITS:
        raw = model.run
        model = model._replace(run=lambda value: softmax(raw(value)))
    return model


def same_size(given: Dict[str, Any], height: int, width: int) -> None:
    """Raise Refused where another size was given than the file has."""
    asked = (given.get("input_height", height), given.get("input_width", width))
    if asked != (height, width):
        raise Refused(f"The model takes {width} x {height} pixels, not {asked[1]} x {asked[0]}.")


def softmax(logits: np.ndarray) -> np.ndarray:
    """(1, classes) -> (1, classes) float32, sum 1."""
    shifted = np.exp(logits.astype(np.float64) - logits.max())
    return (shifted / shifted.sum()).astype(np.float32)


# --- TFLite ----------------------------------------------------------------------------------------------------------


def load_tflite(
    path: str,
    labels: Optional[List[str]],
    size: Optional[int],
    preprocessing: str,
    mean: float = 0.0,
    std: float = 1.0,
    threads: Optional[int] = None,
) -> Model:
    """A TFLite file with one input for one picture. `labels` None: whoever calls knows better; `size` None: the file's.

    Files with 8-bit inputs or outputs are fed and read through their own scales. Raises Refused.
    """
    began = time.perf_counter()
    interpreter_class, runtime = tflite.interpreter()
    try:
        interpreter = interpreter_class(model_path=path, num_threads=threads or machine.threads())
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        if "Didn't find op" not in str(error):
            raise
        raise Refused(
            "This file was written for a newer runtime than {}, which this machine has: {}. The frozen graph "
            "or the SavedModel of the same model may load.".format(runtime, str(error).splitlines()[0].rstrip("."))
        ) from error
    entry, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    shape = [int(length) for length in entry["shape"]]
    height, width = (size, size) if size else (shape[1], shape[2])
    run = _runner(interpreter, entry, result, is_gray=len(shape) == 3)
    loaded = time.perf_counter()
    outputs = run(np.zeros((1, height, width, 3), np.float32)).shape[1]
    first = time.perf_counter()
    return Model(
        changed=None,
        labels=[] if labels is None else _fitting(labels, outputs),
        preprocessing=preprocessing,
        run=run,
        runtime=runtime,
        device="CPU",
        input_layer=entry["name"],
        output_layer=result["name"],
        input_height=height,
        input_width=width,
        input_mean=mean,
        input_std=std,
        found="",
        load_seconds=loaded - began,
        first_seconds=first - loaded,
    )


def _runner(interpreter: Any, entry: Any, result: Any, is_gray: bool) -> Callable[[np.ndarray], np.ndarray]:
    """(1, height, width, 3) float32 -> (1, outputs) float32. `is_gray`: the file takes (1, height, width)."""

    def run(rgb: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(entry["index"], _quantised(rgb[..., 0] if is_gray else rgb, entry))
        interpreter.invoke()
        answer = interpreter.get_tensor(result["index"])
        if answer.dtype != np.float32:
            scale, zero = result["quantization"]
            answer = (answer.astype(np.float32) - zero) * np.float32(scale or 1)
        return answer.reshape(1, -1)

    return run


def _quantised(value: np.ndarray, entry: Any) -> np.ndarray:
    kind = np.dtype(entry["dtype"])
    if kind == np.float32:
        return value
    scale, zero = entry["quantization"]
    limits = np.iinfo(kind)
    return np.clip(np.rint(value / (scale or 1)) + zero, limits.min, limits.max).astype(kind)


# --- TensorFlow ------------------------------------------------------------------------------------------------------


def load_graph(path: str, labels_path: Optional[str], given: Dict[str, Any]) -> Model:
    """A frozen graph; what is not `given` of GRAPH_FIELDS is found in it. Without labels outputs are called by their
    numbers. Raises Refused."""
    import tensorflow as tf

    machine.bound_tensorflow()
    began = time.perf_counter()
    name = os.path.basename(path)
    try:
        labels = _read_labels(labels_path) if labels_path else None
        graph_def, found = graphs.read(path), ""
        if len(given) < len(GRAPH_FIELDS):
            facts = graphs.facts(path)
            missing = [each for each in GRAPH_FIELDS if each not in given and facts[each] in (None, "")]
            if missing:
                raise Refused("{} does not tell its {}; say it.".format(name, " and ".join(missing)))
            given, found = dict({each: facts[each] for each in GRAPH_FIELDS}, **given), facts["guess"]
        height, width = given["input_height"], given["input_width"]
        entry, result = given["input_layer"], given["output_layer"]
        _check_shape(graph_def, entry, height, width)
        function = tf.function(
            lambda value: graphs.call(graph_def, entry, value, result),
            input_signature=[tf.TensorSpec([1, height, width, 3], tf.float32)],
            autograph=False,  # which would hide what it raises behind its own
        ).get_concrete_function()
        loaded = time.perf_counter()
        outputs = _call(function, np.zeros((1, height, width, 3), np.float32)).shape[1]
        first = time.perf_counter()
    except graphs.GraphRefused as error:
        raise Refused(str(error)) from error
    except (ValueError, tf.errors.OpError) as error:
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise Refused(f"The graph cannot take a picture of {height} x {width} at {entry!r}: {reason}.") from error
    if labels is None:
        labels = [f"class {number}" for number in range(outputs)]
    if outputs != len(labels):
        raise Refused(
            "{!r} of {} has {:,} outputs, but {} has {:,} labels. Give the labels that were written with this "
            "graph.".format(result, name, outputs, os.path.basename(labels_path or ""), len(labels))
        )
    return Model(
        changed=None,
        labels=labels,
        preprocessing=catalog.TENSORFLOW,
        run=lambda value: _call(function, value),
        runtime=f"TensorFlow {tf.__version__}",
        device=machine.tensorflow_device(),
        found=found,
        load_seconds=loaded - began,
        first_seconds=first - loaded,
        **given,
    )


def _load_network(path: str, labels: List[str]) -> Model:
    """A network for digits as the SavedModel that the lab exported."""
    import tensorflow as tf

    machine.bound_tensorflow()
    began = time.perf_counter()
    module = tf.saved_model.load(path)
    signature = module.signatures["float"]

    def call(value: Any) -> Any:
        assert module  # kept alive by this function
        return signature(images=value[..., 0])["probabilities"]

    return _in_tensorflow(call, labels, 28, catalog.PILLOW, began, "images", "probabilities")


def _in_tensorflow(
    function: Any, labels: List[str], size: int, preprocessing: str, began: float, entry: str, result: str
) -> Model:
    """`function`: RGB (1, size, size, 3) float32 tensor, 0..255 -> (1, outputs); `began`: perf_counter."""
    import tensorflow as tf

    machine.bound_tensorflow()
    loaded = time.perf_counter()
    _call(function, np.zeros((1, size, size, 3), np.float32))
    first = time.perf_counter()
    return Model(
        changed=None,
        labels=labels,
        preprocessing=preprocessing,
        run=lambda value: _call(function, value),
        runtime=f"TensorFlow {tf.__version__}",
        device=machine.tensorflow_device(),
        input_layer=entry,
        output_layer=result,
        input_height=size,
        input_width=size,
        input_mean=0.0,
        input_std=1.0,
        found="",
        load_seconds=loaded - began,
        first_seconds=first - loaded,
    )


def _call(function: Any, value: np.ndarray) -> np.ndarray:
    """(1, height, width, 3) float32 -> (1, outputs) float32, whatever shape the graph gives its output."""
    import tensorflow as tf

    return function(tf.constant(value)).numpy().astype(np.float32).reshape(1, -1)


def _check_shape(graph_def: Any, layer: str, height: int, width: int) -> None:
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


# --- files -----------------------------------------------------------------------------------------------------------


def memory_limit() -> int:
    """Bytes for all models together: an eighth of the machine's memory, 256 MB at least."""
    return max(SMALLEST_LIMIT, int(machine.total_memory() * MEMORY_SHARE))


def convert(home: LabHome, row: catalog.Backbone, path: str, part: str) -> None:
    """Write a backbone as TFLite, without a last layer ("features") or with ImageNet's own ("answers").

    Raises backbones.MissingWeights and tflite.NotConvertible.
    """
    network = backbones.load(home, row)
    tflite.keep(path, lambda rgb: _part(network, part, rgb), [1, row.size, row.size, 3])


def _part(network: backbones.Network, part: str, rgb: Any) -> Any:
    import tensorflow as tf

    if part == "features":
        return backbones.features(network, rgb)
    if network.row.format == catalog.GRAPH and not network.row.answer_layer:  # a module that leaves out the softmax
        return tf.nn.softmax(backbones.features(network, rgb))
    return network.body.answers(rgb)


def _converted_path(home: LabHome, row: catalog.Backbone, digest: str, part: str) -> str:
    if part == "features":
        return bottlenecks.backbone_tflite_path(home, row, digest)
    return os.path.join(home.derived, f"{row.name}-{digest[:16]}-{backbones.FORM}-imagenet.tflite")


def weights(home: LabHome, row: catalog.Backbone) -> Tuple[str, str]:
    """(sha256, path) of a backbone's weights. Raises Refused."""
    path = backbones.weights_path(home, row)
    try:
        stamp = os.stat(path)
    except FileNotFoundError:
        text = "The weights of {} are not on this machine: run `python -m engine assets {}`."
        if not row.asset:
            text = "The weights of {} are no longer on this machine. Add the module again."
        raise Refused(text.format(row.title, row.asset)) from None
    known = _DIGESTS.get(path)
    if known is None or known[0] != (stamp.st_mtime, stamp.st_size):
        known = _DIGESTS[path] = ((stamp.st_mtime, stamp.st_size), backbones.digest(path))
    return known[1], path


_DIGESTS: Dict[str, Tuple[Any, str]] = {}  # by path: reading 96 MB for every answer would be slow


def _fitting(labels: List[str], outputs: int) -> List[str]:
    """The labels, where there is one for each output. Raises Refused."""
    if outputs != len(labels):
        raise Refused(f"The model has {outputs:,} outputs but {len(labels):,} labels.")
    return labels


def _read_labels(path: str) -> List[str]:
    """Raises Refused."""
    try:
        return keys.read_labels(path)
    except UnicodeDecodeError:
        raise Refused(f"{os.path.basename(path)} is no text; a labels file has one label a line.") from None
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}.") from error


def _changed(path: str) -> float:
    return os.path.getmtime(path)


if __name__ == "__main__":
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    try:
        _own = LabHome(sys.argv[1])
        convert(_own, catalog.backbone(sys.argv[2], _own), sys.argv[3], sys.argv[4])
    except tflite.NotConvertible:
        sys.exit(NOT_CONVERTIBLE)
