"""What is kept in artifacts/: files that answer without the lab.

    lanes/<learning rate>.npz   weights (width, classes), bias (classes,): every lane's last layer
    labels.txt                  one label a line, line number = output index
    saved_model/                the kept lane; constants only, so that TensorFlow 2.6 can load what 2.21 wrote
        serving_default         uint8 RGB (N, H, W, 3) of any one size -> probabilities (N, classes)
        float                   the same from float32, 0..255
    model.tflite                RGB (1, size, size, 3) float32, 0..255, already resized -> probabilities (1, classes)
    contract.json               what a picture must go through, and where the weights come from

As a program, `python -m engine.worker.export RUN_FOLDER`, it loads these files in a process that knows nothing else
and compares their answers with those it reads from stdin. Python 3.6.
"""

import json
import os
import shutil
import subprocess
import sys
from typing import Any, Dict, List

import numpy as np

from engine.contract import catalog
from engine.contract.run_folder import RunFolder, read_json, write_json
from engine.worker import backbones, bottlenecks, images

# Largest difference of a probability that is still rounding: TFLite and TensorFlow add in another order.
TOLERANCE = 1e-3


def write_lane(folder, lane, weights, bias):
    # type: (RunFolder, str, np.ndarray, np.ndarray) -> None
    os.makedirs(folder.lanes, exist_ok=True)
    np.savez(os.path.join(folder.lanes, lane + ".npz"), weights=weights, bias=bias)


def write_labels(folder, labels):
    # type: (RunFolder, List[str]) -> None
    with open(folder.labels, "w", encoding="utf-8") as file:
        file.write("".join(label + "\n" for label in labels))


def write_saved_model(folder, network, weights, bias):
    # type: (RunFolder, backbones.Network, np.ndarray, np.ndarray) -> None
    import tensorflow as tf

    size = network.row.size
    module = tf.Module()
    square = tf.function(
        lambda rgb: classify(network, weights, bias, rgb),
        input_signature=[tf.TensorSpec([None, size, size, 3], tf.float32)],
    )
    module.bytes = tf.function(
        lambda images: {"probabilities": square(resize_bytes(images, size))},
        input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")],
    )
    module.floats = tf.function(
        lambda images: {"probabilities": square(resize_floats(images, size))},
        input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32, name="images")],
    )
    part = folder.saved_model + ".part"
    try:
        tf.saved_model.save(module, part, signatures={"serving_default": module.bytes, "float": module.floats})
        shutil.rmtree(folder.saved_model, ignore_errors=True)
        os.rename(part, folder.saved_model)
    finally:
        shutil.rmtree(part, ignore_errors=True)  # whole or not at all


def write_tflite(folder, network, weights, bias):
    # type: (RunFolder, backbones.Network, np.ndarray, np.ndarray) -> None
    shape = [1, network.row.size, network.row.size, 3]
    bottlenecks.keep_tflite(folder.tflite, lambda rgb: classify(network, weights, bias, rgb), shape)


def write_contract(folder, network, labels, learning_rate):
    # type: (RunFolder, backbones.Network, List[str], float) -> None
    row = network.row
    write_json(
        folder.contract,
        {
            "input": {"height": row.size, "width": row.size, "channels": "RGB", "range": [0, 255]},
            "mean": list(row.mean),
            "std": list(row.std),
            "normalised_inside_the_model": True,
            "resize": images.KERNEL[row.preprocessing],
            "decoder": images.DECODER[row.preprocessing],
            "exif_orientation": "applied" if row.preprocessing == catalog.PILLOW else "ignored",
            "labels": list(labels),
            "backbone": row.name,
            "backbone_source": row.source,
            "backbone_licence": row.licence,
            "weights_sha256": network.digest,
            "learning_rate": learning_rate,
        },
    )


def classify(network, weights, bias, rgb):
    # type: (backbones.Network, np.ndarray, np.ndarray, Any) -> Any
    """TensorFlow's description of the whole model: RGB (N, size, size, 3) float32, 0..255 -> probabilities."""
    import tensorflow as tf

    logits = tf.matmul(backbones.features(network, rgb), weights) + bias
    return tf.nn.softmax(logits)


def resize_bytes(rgb, size):
    # type: (Any, int) -> Any
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


def resize_floats(rgb, size):
    # type: (Any, int) -> Any
    """The same kernel without rounding: float32 (N, H, W, 3), 0..255 -> (N, size, size, 3). Identity at that size."""
    import tensorflow as tf

    for axis, product in ((2, "ow,nhwc->nhoc"), (1, "oh,nhwc->nowc")):
        rgb = tf.einsum(product, tf.cast(_triangle(tf.shape(rgb)[axis], size), tf.float32), rgb)
    return rgb


def _triangle(given, wanted):
    # type: (Any, int) -> Any
    """The kernel as a matrix (wanted, given) float64: row o holds the weights of the given pixels in output pixel o."""
    import tensorflow as tf

    scale = tf.cast(given, tf.float64) / wanted  # given pixels for each output pixel
    reach = tf.maximum(scale, 1.0)  # the triangle is widened when it shrinks, so that no pixel is left out
    centre = (tf.range(wanted, dtype=tf.float64) + 0.5) * scale
    place = tf.cast(tf.range(given), tf.float64) + 0.5
    weights = tf.nn.relu(1.0 - tf.abs((place[None] - centre[:, None]) / reach))
    return weights / tf.reduce_sum(weights, axis=1, keepdims=True)


class FreshProcess(object):
    """A process that knows nothing of this one and loads the exported files, as a stranger's program would.

    It is started before the files are written, because importing TensorFlow takes most of its time.
    """

    def __init__(self, module, folder):
        # type: (str, RunFolder) -> None
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, folder.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def ask(self, question):
        # type: (Dict[str, Any]) -> Dict[str, Any]
        """The one answer of the module's main part, JSON to JSON.

        Raises RuntimeError with the process's last words where it could not load the files.
        """
        answer, complaint = self._process.communicate(json.dumps(question).encode())
        if self._process.returncode:
            last_words = complaint.decode(errors="replace")[-2000:]
            raise RuntimeError("The exported files could not be loaded again:\n" + last_words)
        return json.loads(answer.decode().splitlines()[-1])

    def close(self):
        # type: () -> None
        if self._process.returncode is None:  # it was not asked, or it failed over the question
            self._process.kill()
            self._process.communicate()


def _compare(folder, paths, expected):
    # type: (RunFolder, List[str], np.ndarray) -> float
    import tensorflow as tf

    signatures = tf.saved_model.load(folder.saved_model).signatures
    interpreter = bottlenecks.tflite_interpreter()[0](model_path=folder.tflite)
    interpreter.allocate_tensors()
    entry, result = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    size = read_json(folder.contract)["input"]["height"]
    worst = 0.0
    for path, truth in zip(paths, expected):
        with open(path, "rb") as file:
            image = images.decode(file.read())
        square = images.resize(image, size)[None].astype(np.float32)  # (1, size, size, 3)
        interpreter.set_tensor(entry, square)
        interpreter.invoke()
        answers = [
            signatures["serving_default"](images=tf.constant(np.asarray(image)[None]))["probabilities"].numpy(),
            signatures["float"](images=tf.constant(square))["probabilities"].numpy(),
            interpreter.get_tensor(result),
        ]
        worst = max([worst] + [float(np.abs(answer[0] - truth).max()) for answer in answers])
    return worst


if __name__ == "__main__":
    import tensorflow  # while the files are being written

    asked = json.load(sys.stdin)
    found = _compare(RunFolder(sys.argv[1]), asked["paths"], np.array(asked["expected"], np.float32))
    print(json.dumps({"difference": found}))
