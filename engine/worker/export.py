"""What is kept in artifacts/: files that answer without the lab.

    lanes/<learning rate>.npz   weights (width, classes), bias (classes,): every lane's last layer
    labels.txt                  one label a line, line number = output index
    retrained_graph.pb          the kept lane as retrain.py left it: a frozen graph for label_image.py and its defaults
        input                   (RGB - 128) / 128, (1, size, size, 3) float32; the true normalisation is inside
        final_result            probabilities (1, classes)
    saved_model/                the kept lane; constants only, so that TensorFlow 2.6 can load what 2.21 wrote
        serving_default         uint8 RGB (N, H, W, 3) of any one size -> probabilities (N, classes)
        float                   the same from float32, 0..255
    model.tflite                RGB (1, size, size, 3) float32, 0..255, already resized -> probabilities (1, classes)
    model-8bit.tflite           the same with weights and activations of 8 bits
    contract.json               what a picture must go through, and where the weights come from

As a program, `python -m engine.worker.export RUN_FOLDER`, it loads these files in a process that knows
nothing else and compares their answers with those it reads from stdin. Python 3.6.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import Any, Callable, Dict, Iterator, List, Sequence

import numpy as np

from engine.contract import catalog
from engine.contract.run_folder import RunFolder, read_json, write_bytes, write_json
from engine.worker import backbones, children, images
from engine.worker.formats import tflite

# label_image.py's own mean and std, which it takes for every graph unless it is told others.
LABEL_IMAGE_MEAN = LABEL_IMAGE_STD = 128.0

# Output of the frozen graph where nobody asked for another name.
FINAL_TENSOR = "final_result"

# Largest difference of a probability that is still rounding: TFLite and TensorFlow add in another order.
TOLERANCE = 1e-3

# Photos that the SavedModel also resizes itself when it is compared.
RESIZED_PHOTOS = 16

# Photos of the testing split on which exported files are compared with what was trained; at most, from all over it.
COMPARED = 200


def write_lane(folder: RunFolder, lane: str, weights: np.ndarray, bias: np.ndarray) -> None:
    os.makedirs(folder.lanes, exist_ok=True)
    np.savez(os.path.join(folder.lanes, lane + ".npz"), weights=weights, bias=bias)


def write_labels(folder: RunFolder, labels: List[str]) -> None:
    with open(folder.labels, "w", encoding="utf-8") as file:
        file.write("".join(label + "\n" for label in labels))


def write_saved_model(folder: RunFolder, network: backbones.Network, weights: np.ndarray, bias: np.ndarray) -> None:
    import tensorflow as tf

    size = network.row.size
    module = tf.Module()
    square = tf.function(
        lambda rgb: classify(network, weights, bias, rgb),
        input_signature=[tf.TensorSpec([None, size, size, 3], tf.float32)],
        autograph=False,
    )
    module.bytes = tf.function(
        lambda images: {"probabilities": square(_resize(images, network.row))},
        input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")],
        autograph=False,
    )
    module.floats = tf.function(
        lambda images: {"probabilities": square(_resize(images, network.row))},
        input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32, name="images")],
        autograph=False,
    )
    part = folder.saved_model + ".part"
    try:
        tf.saved_model.save(module, part, signatures={"serving_default": module.bytes, "float": module.floats})
        shutil.rmtree(folder.saved_model, ignore_errors=True)
        os.rename(part, folder.saved_model)
    finally:
        shutil.rmtree(part, ignore_errors=True)  # whole or not at all


def write_graph(
    path: str, network: backbones.Network, weights: np.ndarray, bias: np.ndarray, final_tensor_name: str
) -> None:
    """A frozen graph in the words of an early TensorFlow 1, so that old programs read it."""
    import tensorflow as tf

    row = network.row
    graph = tf.Graph()
    with graph.as_default():
        shape = [None if network.body.takes_batches else 1, row.size, row.size, 3]
        # By both names that label_image.py's users have in their fingers: a MobileNet's input, and Inception's Mul.
        pictures = tf.identity(tf.compat.v1.placeholder(tf.float32, shape, name="input"), name="Mul")
        levels = tf.multiply(pictures, LABEL_IMAGE_STD, name="bottleneck_lab/levels")
        rgb = tf.add(levels, LABEL_IMAGE_MEAN, name="bottleneck_lab/rgb")
        tf.identity(classify(network, weights, bias, rgb), name=final_tensor_name)
        whole = tf.compat.v1.train.export_meta_graph(graph=graph, strip_default_attrs=True).graph_def
    for node in whole.node:
        if node.op == "AddV2":  # since 2018 the name of an addition
            node.op = "Add"
    write_bytes(path, whole.SerializeToString())


def write_tflite(
    path: str, network: backbones.Network, weights: np.ndarray, bias: np.ndarray, paths: Sequence[str] = ()
) -> None:
    """Float, or with `paths` of photos to calibrate with 8 bits. Raises tflite.NotConvertible."""
    row = network.row

    def samples() -> Iterator[np.ndarray]:
        for photo in paths:
            with open(photo, "rb") as file:
                image = images.decode(file.read(), row.preprocessing)
            yield images.resize(image, row.size, row.preprocessing)[None].astype(np.float32)

    tflite.keep(
        path,
        lambda rgb: classify(network, weights, bias, rgb),
        [1, row.size, row.size, 3],
        samples if paths else None,
    )


def write_contract(folder: RunFolder, network: backbones.Network, labels: List[str], lane: Dict[str, Any]) -> None:
    """`lane`: what names the kept one, {"learning_rate": 0.01} or {"blocks": 2}; see contract/models.py."""
    row = network.row
    contract: Dict[str, Any] = {
        "input": {"height": row.size, "width": row.size, "channels": "RGB", "range": [0, 255]},
        "mean": list(row.mean),
        "std": list(row.std),
        "normalised_inside_the_model": True,
        "preprocessing": row.preprocessing,
        "resize": images.KERNEL[row.preprocessing],
        "decoder": images.DECODER[row.preprocessing],
        "exif_orientation": "applied" if row.preprocessing == catalog.PILLOW else "ignored",
        "labels": list(labels),
        "backbone": row.name,
        "backbone_source": row.source,
        "backbone_licence": row.licence,
        "weights_sha256": network.digest,
    }
    write_json(folder.contract, dict(contract, **lane))


def classify(network: backbones.Network, weights: np.ndarray, bias: np.ndarray, rgb: Any) -> Any:
    """TensorFlow's description of the whole model: RGB (N, size, size, 3) float32, 0..255 -> probabilities."""
    import tensorflow as tf

    logits = tf.matmul(backbones.features(network, rgb), weights) + bias
    return tf.nn.softmax(logits)


def _resize(rgb: Any, row: catalog.Backbone) -> Any:
    """uint8 or float32 (N, H, W, 3), 0..255 -> float32 (N, size, size, 3), with the kernel that feeds the backbone."""
    import tensorflow as tf

    if row.preprocessing == catalog.TENSORFLOW:
        return tf.compat.v1.image.resize_bilinear(tf.cast(rgb, tf.float32), [row.size, row.size])
    return resize_bytes(rgb, row.size) if rgb.dtype == tf.uint8 else resize_floats(rgb, row.size)


def resize_bytes(rgb: Any, size: int) -> Any:
    """Pillow's bilinear resize of 8-bit pixels in TensorFlow's words, bit for bit.

    uint8 (N, H, W, 3) -> float32 (N, size, size, 3), whole levels. Source: src/libImaging/Resample.c of Pillow, which
    rounds its weights to 22 bits, resizes horizontally, rounds to 8 bits, resizes vertically and rounds again.
    """
    import tensorflow as tf

    unit = 2.0**22
    rgb = tf.cast(rgb, tf.float64)  # sums of 30 bits stay whole numbers
    for axis, product in ((2, "ow,nhwc->nhoc"), (1, "oh,nhwc->nowc")):
        weights = tf.floor(_triangle(tf.shape(rgb)[axis], size) * unit + 0.5)
        rgb = tf.floor((tf.einsum(product, weights, rgb) + unit / 2) / unit)
    return tf.cast(tf.clip_by_value(rgb, 0, 255), tf.float32)


def resize_floats(rgb: Any, size: int) -> Any:
    """The same kernel without rounding: float32 (N, H, W, 3), 0..255 -> (N, size, size, 3). Identity at that size."""
    import tensorflow as tf

    for axis, product in ((2, "ow,nhwc->nhoc"), (1, "oh,nhwc->nowc")):
        rgb = tf.einsum(product, tf.cast(_triangle(tf.shape(rgb)[axis], size), tf.float32), rgb)
    return rgb


def _triangle(given: Any, wanted: int) -> Any:
    """The kernel as a matrix (wanted, given) float64: row o holds the weights of the given pixels in output pixel o."""
    import tensorflow as tf

    scale = tf.cast(given, tf.float64) / wanted  # given pixels for each output pixel
    reach = tf.maximum(scale, 1.0)  # the triangle is widened when it shrinks, so that no pixel is left out
    centre = (tf.range(wanted, dtype=tf.float64) + 0.5) * scale
    place = tf.cast(tf.range(given), tf.float64) + 0.5
    weights = tf.nn.relu(1.0 - tf.abs((place[None] - centre[:, None]) / reach))
    return weights / tf.reduce_sum(weights, axis=1, keepdims=True)


class FreshProcess:
    """A process that knows nothing of this one and loads the exported files, as a stranger's program would.

    It is started before the files are written, because importing TensorFlow takes most of its time; not `beside` them
    where the memory is short.
    """

    def __init__(self, module: str, folder: RunFolder, beside: bool = True) -> None:
        self._command = [sys.executable, "-m", module, folder.path]
        self._process: Any = self._start() if beside else None

    def _start(self) -> Any:
        pipe = subprocess.PIPE
        return subprocess.Popen(self._command, stdin=pipe, stdout=pipe, stderr=pipe)

    def ask(self, question: Dict[str, Any]) -> Dict[str, Any]:
        """The one answer of the module's main part, JSON to JSON.

        Raises RuntimeError with the process's last words where it could not load the files, children.OtherKilled where
        it was killed, and MemoryError where it was refused the memory.
        """
        self._process = self._process or self._start()
        answer, complaint = self._process.communicate(json.dumps(question).encode())
        if self._process.returncode:
            last_words = complaint.decode(errors="replace")[-2000:]
            if self._process.returncode == -signal.SIGKILL:
                raise children.OtherKilled("The process that loads the exported files was killed")
            if any(each in last_words for each in ("MemoryError", "ResourceExhausted", "bad_alloc")):
                raise MemoryError("The process that loads the exported files was refused the memory")
            raise RuntimeError("The exported files could not be loaded again:\n" + last_words)
        return json.loads(answer.decode().splitlines()[-1])

    def close(self) -> None:
        if self._process and self._process.returncode is None:  # it was not asked, or it failed over the question
            self._process.kill()
            self._process.communicate()


class Exported:
    """The files of one run as a stranger loads them, each a function (1, size, size, 3) float32 RGB -> (classes,)."""

    def __init__(self, folder: RunFolder, final_tensor_name: str) -> None:
        import tensorflow as tf

        self._tf, self.folder, self.final_tensor_name = tf, folder, final_tensor_name
        self.signatures = tf.saved_model.load(folder.saved_model).signatures
        self.ways = {"saved_model": self._saved_model, "retrained_graph.pb": self._graph()}
        for path in (folder.tflite, folder.tflite_8bit):
            if os.path.isfile(path):
                self.ways[os.path.basename(path)] = tflite.open_file(path)

    def from_bytes(self, image: Any) -> np.ndarray:
        """Of a whole picture, which the SavedModel resizes itself."""
        pixels = self._tf.constant(np.asarray(image)[None])
        return self.signatures["serving_default"](images=pixels)["probabilities"].numpy()[0]

    def _saved_model(self, square: np.ndarray) -> np.ndarray:
        return self.signatures["float"](images=self._tf.constant(square))["probabilities"].numpy()[0]

    def _graph(self) -> Callable[[np.ndarray], np.ndarray]:
        """As label_image.py runs it."""
        tf1 = self._tf.compat.v1
        graph_def = tf1.GraphDef()
        with open(self.folder.graph, "rb") as file:
            graph_def.ParseFromString(file.read())
        with tf1.Graph().as_default() as graph:
            tf1.import_graph_def(graph_def, name="import")
        entry = graph.get_operation_by_name("import/input").outputs[0]
        result = graph.get_operation_by_name("import/" + self.final_tensor_name).outputs[0]
        session = tf1.Session(graph=graph)

        def run(square: np.ndarray) -> np.ndarray:
            return session.run(result, {entry: (square - LABEL_IMAGE_MEAN) / LABEL_IMAGE_STD})[0]

        return run


def _bytes_of(path: str) -> int:
    if os.path.isfile(path):
        return os.path.getsize(path)
    return sum(os.path.getsize(os.path.join(where, name)) for where, _, names in os.walk(path) for name in names)


def _compare(
    folder: RunFolder, paths: List[str], truth: List[int], expected: np.ndarray, final_tensor_name: str
) -> List[Dict[str, Any]]:
    """For each file: its size, and what it says of these photos beside what was trained."""
    exported = Exported(folder, final_tensor_name)
    contract = read_json(folder.contract)
    size, preprocessing = contract["input"]["height"], contract["preprocessing"]
    squares, from_bytes = [], 0.0
    for number, path in enumerate(paths):
        with open(path, "rb") as file:
            image = images.decode(file.read(), preprocessing)
        squares.append(images.resize(image, size, preprocessing)[None].astype(np.float32))  # (1, size, size, 3)
        if number < RESIZED_PHOTOS:
            from_bytes = max(from_bytes, float(np.abs(exported.from_bytes(image) - expected[number]).max()))
    found = []
    for name, run in exported.ways.items():
        run(squares[0])  # the first call is slower than the others
        answers, seconds = [], []
        for square in squares:
            began = time.perf_counter()
            answers.append(run(square))
            seconds.append(time.perf_counter() - began)
        differences = np.abs(np.stack(answers) - expected)
        found.append(
            {
                "file": name,
                "bytes": _bytes_of(os.path.join(folder.artifacts, name)),
                "accuracy": float((np.argmax(answers, axis=1) == np.array(truth)).mean()),
                "photos": len(paths),
                "difference": max(float(differences.max()), from_bytes if name == "saved_model" else 0.0),
                "seconds": float(np.median(seconds)),
            }
        )
    return found


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    wanted = np.array(asked["expected"], np.float32)
    said = _compare(RunFolder(sys.argv[1]), asked["paths"], asked["truth"], wanted, asked["final_tensor_name"])
    print(json.dumps({"exported": said}))
