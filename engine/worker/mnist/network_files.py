"""What is kept of the networks of a comparison, in artifacts/: files that answer without the lab.

    lanes/<network>.npz        its weights by name: "<layer> kernel", "<layer> bias", ...
    networks/<network>.tflite  gray (1, 28, 28) float32, 0..255 -> probabilities (1, 10)
    networks/<network>/        a SavedModel of constants: gray (N, 28, 28) uint8 or float32, 0..255 -> (N, 10)
    contract.json              what a picture must go through, and the networks' layers

As a program, `python -m engine.worker.mnist.network_files RUN_FOLDER`, it loads these files in a process that
knows nothing else, compares their answers with those it reads from stdin, and times them. Python 3.6.
"""

import json
import os
import shutil
import sys
import time
from typing import Any, Dict, List

import numpy as np

from engine.contract.catalog import Network
from engine.contract.layers import Cost
from engine.contract.run_folder import RunFolder, write_json
from engine.worker.formats import tflite
from engine.worker.mnist import networks

TIMED_CALLS = 60  # of one picture; the median counts


def write_weights(folder: RunFolder, lane: str, arrays: Dict[str, np.ndarray]) -> None:
    os.makedirs(folder.lanes, exist_ok=True)
    np.savez(os.path.join(folder.lanes, lane + ".npz"), **arrays)  # type: ignore[arg-type]  # its own options


def write(folder: RunFolder, network: Network, rows: List[Cost], arrays: Dict[str, np.ndarray]) -> None:
    """The TFLite file and the SavedModel of one network, each whole or not at all. Raises OSError (disk full)."""
    import tensorflow as tf

    def probabilities(pixels: Any) -> Any:
        return tf.nn.softmax(networks.logits(rows, arrays, pixels[..., None] / np.float32(255)))

    tflite.keep(folder.network_tflite(network.name), probabilities, [1, 28, 28])
    module = tf.Module()
    signatures = {}
    for name, kind in (("serving_default", tf.uint8), ("float", tf.float32)):
        function = tf.function(
            lambda images: {"probabilities": probabilities(tf.cast(images, tf.float32))},
            input_signature=[tf.TensorSpec([None, 28, 28], kind, name="images")],
        )
        setattr(module, name, function)
        signatures[name] = function
    target = folder.network_saved_model(network.name)
    part = target + ".part"
    try:
        tf.saved_model.save(module, part, signatures=signatures)
        shutil.rmtree(target, ignore_errors=True)
        os.rename(part, target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_contract(folder: RunFolder, trained: List[Network]) -> None:
    with open(folder.labels, encoding="utf-8") as file:
        labels = file.read().splitlines()
    write_json(
        folder.contract,
        {
            "input": {"height": 28, "width": 28, "channels": "gray, 0 paper, 255 ink", "range": [0, 255]},
            "normalised_inside_the_model": True,
            "centring": "fitted into 20 x 20, then the centre of mass moved to the middle of 28 x 28",
            "labels": labels,
            "networks": [network._asdict() for network in trained],
        },
    )


def _compare(folder: RunFolder, pixels: np.ndarray, expected: Dict[str, np.ndarray]) -> Dict[str, Any]:
    """For every network the largest |difference| of a probability, and seconds for one picture with TFLite."""
    import tensorflow as tf

    found = {}
    for lane, truth in expected.items():
        run = tflite.open_file(folder.network_tflite(lane))
        answers, seconds = [], []
        for number in range(max(len(pixels), TIMED_CALLS)):
            began = time.perf_counter()
            answers.append(run(pixels[number % len(pixels)][None].astype(np.float32)))
            seconds.append(time.perf_counter() - began)
        signatures = tf.saved_model.load(folder.network_saved_model(lane)).signatures
        said = [
            np.stack(answers[: len(pixels)]),
            signatures["serving_default"](images=tf.constant(pixels))["probabilities"].numpy(),
            signatures["float"](images=tf.constant(pixels.astype(np.float32)))["probabilities"].numpy(),
        ]
        difference = max(float(np.abs(each - truth).max()) for each in said)
        found[lane] = {"difference": difference, "image_seconds": float(np.median(seconds))}
    return found


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    truths = {name: np.array(values, np.float32) for name, values in asked["expected"].items()}
    print(json.dumps(_compare(RunFolder(sys.argv[1]), np.array(asked["pixels"], np.uint8), truths)))
