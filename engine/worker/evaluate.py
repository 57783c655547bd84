"""WORKER_PYTHON -m engine.worker.evaluate: how right a frozen graph is, on photos whose labels are known.

One JSON object on stdin, one as the last line of stdout; meanwhile "<done> of <all>" on stderr, a line at a time:

    {"graph": path, "labels": path or [label, ...], "input_layer", "output_layer", "input_height", "input_width",
     "input_mean", "input_std", "photos": [[path, label index], ...]}
        what is missing, null or "" apart from graph, labels and photos is found in the graph, see graphs.facts
    {"accuracy": 0..1, "cross_entropy": nats, "photos": how many counted, "skipped": [[path, why], ...],
     "classes": how many, "per_class": [[label, right, photos], ...], "input_layer": ..., "input_mean": ..., ...}
    {"error": "<a sentence>"}

Photos are decoded and resized as label_image.py and retrain.py did. Python 3.6.
"""

import json
import os
import sys
import time
from typing import Any, Callable, Dict, Iterator, List, Tuple

import numpy as np

from engine.contract import catalog
from engine.worker import images
from engine.worker.formats import graphs

INPUT = ("input_layer", "output_layer", "input_height", "input_width", "input_mean", "input_std")
BATCH = 16  # photos, where the graph takes several at once
LARGEST = 2048  # pixels, for height and width
SMALLEST_PROBABILITY = 1e-10  # of one that underflowed: a cross entropy of 23 nats instead of an endless one


def evaluate(question: Dict[str, Any], progress: Callable[[int], None]) -> Dict[str, Any]:
    """The answer as above; `progress` gets the number of photos done. Raises graphs.GraphRefused."""
    labels = _labels(question["labels"])
    photos = question["photos"]
    if not photos:
        raise graphs.GraphRefused("There are no photos to evaluate the graph with.")
    wrong = [label for _, label in photos if not 0 <= label < len(labels)]
    if wrong:
        raise graphs.GraphRefused(f"A photo has label {wrong[0]}, but there are {len(labels)} labels.")
    graph_def = graphs.read(question["graph"])
    given = _input(question)
    answers = _answering(graph_def, given, len(labels))
    seen, right, cross_entropy = np.zeros(len(labels), int), np.zeros(len(labels), int), 0.0
    skipped: List[List[str]] = []
    for batch, truth in _batches(photos, given, skipped, progress):
        probabilities = answers(batch)  # (N, classes)
        of_truth = probabilities[np.arange(len(truth)), truth]
        cross_entropy -= float(np.log(np.maximum(of_truth, SMALLEST_PROBABILITY)).sum())
        np.add.at(seen, truth, 1)
        np.add.at(right, truth, probabilities.argmax(axis=1) == truth)
    count = int(seen.sum())
    if not count:
        raise graphs.GraphRefused(f"None of the {len(photos):,} photos can be used: {skipped[0][1]}.")
    return dict(
        given,
        accuracy=float(right.sum()) / count,
        cross_entropy=cross_entropy / count,
        photos=count,
        skipped=skipped,
        classes=len(labels),
        per_class=[[label, int(good), int(all_)] for label, good, all_ in zip(labels, right, seen)],
    )


def _labels(given: Any) -> List[str]:
    if not isinstance(given, str):
        return list(given)
    try:
        with open(given, encoding="utf-8", errors="replace") as file:
            labels = [line.strip() for line in file if line.strip()]
    except OSError as error:
        raise graphs.GraphRefused(f"The labels {os.path.basename(given)} cannot be read: {error.strerror}.") from error
    if not labels:
        raise graphs.GraphRefused(f"There are no labels in {os.path.basename(given)}.")
    return labels


def _input(question: Dict[str, Any]) -> Dict[str, Any]:
    """How pictures go into the graph: what was said, and the graph's own facts where nothing was."""
    given: Dict[str, Any] = {name: question.get(name) for name in INPUT}
    if any(value in (None, "") for value in given.values()):
        facts = graphs.facts(question["graph"])
        given = {name: facts[name] if value in (None, "") else value for name, value in given.items()}
    missing = [name for name, value in given.items() if value in (None, "")]
    if missing:
        raise graphs.GraphRefused("The graph does not tell its {}; say it.".format(" and ".join(sorted(missing))))
    if not all(0 < given[name] <= LARGEST for name in ("input_height", "input_width")):
        raise graphs.GraphRefused(f"Height and width are 1 to {LARGEST:,} pixels.")
    if not given["input_std"]:
        raise graphs.GraphRefused("The std is 0, and pictures cannot be divided by it.")
    return given


def _answering(graph_def: Any, given: Dict[str, Any], classes: int) -> Callable[[np.ndarray], np.ndarray]:
    """(N, height, width, 3) float32 -> (N, classes) float64, also where the graph takes one picture at a time."""
    import tensorflow as tf

    height, width = given["input_height"], given["input_width"]
    entry, result = given["input_layer"], given["output_layer"]
    several = height == width and graphs.takes_batches(graph_def, entry, result, height)
    call = tf.function(
        lambda value: graphs.call(graph_def, entry, value, result),
        input_signature=[tf.TensorSpec([None if several else 1, height, width, 3], tf.float32)],
        autograph=False,
    )

    def run(batch: np.ndarray) -> np.ndarray:
        try:
            answer = np.asarray(call(tf.constant(batch)), np.float64)
        except (tf.errors.OpError, ValueError, TypeError) as error:
            raise graphs.GraphRefused(
                f"The graph cannot take pictures of {width} x {height} at {entry!r}: {graphs.sentence(error)}"
            ) from error
        if answer.size != len(batch) * classes:
            raise graphs.GraphRefused(
                f"{result!r} answers with the shape {list(answer.shape)}, but there are {classes:,} labels. Give those "
                "that were written with this graph."
            )
        return answer.reshape(len(batch), classes)

    run(np.zeros((1, height, width, 3), np.float32))  # what is wrong with the graph shows before the first photo
    return run if several else lambda batch: np.concatenate([run(picture[None]) for picture in batch])


def _batches(
    photos: Any, given: Dict[str, Any], skipped: List[List[str]], progress: Callable[[int], None]
) -> Iterator[Tuple[np.ndarray, np.ndarray]]:
    """(pictures (N, height, width, 3) float32 as the graph takes them, their labels (N,)); fills `skipped`."""
    pictures: List[np.ndarray] = []
    truth: List[int] = []
    for number, (path, label) in enumerate(photos):
        try:
            with open(path, "rb") as file:
                image = images.decode(file.read(), catalog.TENSORFLOW)
        except images.ImageError as error:
            skipped.append([path, str(error)])
        except OSError as error:
            skipped.append([path, f"it cannot be read ({error.strerror})"])
        else:
            rgb = images.resize_as_tensorflow_1(image, given["input_height"], given["input_width"])
            pictures.append((rgb - np.float32(given["input_mean"])) / np.float32(given["input_std"]))
            truth.append(label)
        if pictures and (len(pictures) == BATCH or number == len(photos) - 1):
            yield np.stack(pictures).astype(np.float32), np.array(truth)
            pictures, truth = [], []
        progress(number + 1)


def _report(total: int) -> Callable[[int], None]:
    last = [0.0]

    def progress(done: int) -> None:
        if done == total or time.perf_counter() - last[0] > 0.5:
            last[0] = time.perf_counter()
            sys.stderr.write(f"{done} of {total}\n")
            sys.stderr.flush()

    return progress


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    try:
        print(json.dumps(evaluate(asked, _report(len(asked["photos"])))))
    except graphs.GraphRefused as refusal:
        print(json.dumps({"error": str(refusal)}))
