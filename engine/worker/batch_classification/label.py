"""The story of many pictures: a model -> what it says of each picture.

Whether an answer is right is not judged here: engine/kinds/batch_classification/ does, by the names of labels. As a
program, `python -m engine.worker.batch_classification.label RUN_FOLDER AT_ONCE`, it works for the run's own process,
with so many pictures in memory at a time; see children.run_story. Python 3.6.
"""

import hashlib
import os
import sys
import time
from typing import Any, List, NamedTuple, Set, Union

import numpy as np

from engine.contract import choices, events
from engine.contract import dataset as datasets
from engine.contract.dataset import TRAINING
from engine.contract.kinds.batch_classification import (
    BatchClassificationResult,
    BatchClassificationSpec,
    Classified,
    ModelLoaded,
)
from engine.contract.run_folder import LabHome, RunFolder, read_json
from engine.worker import children, export, images
from engine.worker.classify import classifier, models
from engine.worker.features import bottlenecks
from engine.worker.machine import cores, peak_memory
from engine.worker.reporter import Reporter, RunCancelled, RunFailed

FILE_LIMIT = 200 * 1000 * 1000  # bytes, as engine/photos/decoding.py has it
BLOCK_SECONDS = 0.3  # between two reports


class Prepared(NamedTuple):
    pixels: Any  # (1, height, width, 3) float32, as the network takes them
    is_learned: bool
    seconds: float  # of reading, decoding and resizing


def in_memory(stage: str, spec: BatchClassificationSpec, folder: RunFolder, at_once: int) -> int:
    """See children.run_story."""
    taken = bottlenecks.AHEAD * cores() if stage == events.CLASSIFYING else 1
    return min(taken, at_once or taken)


def label(spec: BatchClassificationSpec, folder: RunFolder, report: Reporter, at_once: int) -> None:
    dataset = datasets.read(folder.dataset)
    report.stage(events.LOADING, 0)
    began = time.perf_counter()
    try:
        model = models.Models(folder.home, through_tensorflow=spec.device == choices.GPU).get(spec.model)
    except models.Refused as error:
        raise RunFailed("no_model", str(error), "Choose another model and start again.") from error
    # One label a line, and a label is no more than a line.
    export.write_labels(folder, [" ".join(each.splitlines()) for each in model.labels])
    report.tell(
        ModelLoaded,
        runtime=model.runtime,
        device=model.device,
        input_height=model.input_height,
        input_width=model.input_width,
        load_seconds=time.perf_counter() - began,
    )
    learned = _learned_from(folder.home, spec.model)
    report.stage(events.CLASSIFYING, len(dataset.photos))
    top = min(spec.top, len(model.labels))
    told = _Told(report)
    decode_seconds = 0.0
    network_seconds: List[float] = []
    paths = [os.path.join(dataset.root, photo.file) for photo in dataset.photos]
    try:
        for place, prepared in enumerate(
            bottlenecks.ahead(lambda path: _prepared(path, model, learned), paths, cores(), at_once)
        ):
            if isinstance(prepared, str):
                told.skip(dataset.photos[place].file, prepared)
                continue
            decode_seconds += prepared.seconds
            asked = time.perf_counter()
            scores = model.run(prepared.pixels)[0]  # (classes,) float32
            network_seconds.append(time.perf_counter() - asked)
            if np.isfinite(scores).all():
                told.say(place, scores, top, prepared.is_learned)
            else:
                told.skip(dataset.photos[place].file, "the model answers with values that are no numbers")
    finally:
        told.flush()  # what was classified so far is kept
    if not told.classified:
        raise RunFailed(
            "no_pictures",
            f"None of the {len(dataset.photos):,} pictures could be classified.",
            "The list of what was left out says why; choose other pictures.",
        )
    report.tell(
        BatchClassificationResult,
        photos=told.classified,
        decode_seconds=decode_seconds,
        network_seconds=sum(network_seconds),
        photo_seconds=float(np.median(network_seconds)),
        peak_memory_bytes=peak_memory(),
    )


class _Told:
    """Reports in blocks of a fraction of a second, and hears there whether the run is to stop."""

    def __init__(self, report: Reporter) -> None:
        self.report, self.done, self.classified, self.last = report, 0, 0, time.perf_counter()
        self._clear()

    def _clear(self) -> None:
        self.photo: List[int] = []
        self.label: List[int] = []
        self.score: List[float] = []
        self.learned: List[bool] = []

    def say(self, place: int, scores: np.ndarray, top: int, is_learned: bool) -> None:
        order = np.argsort(-scores, kind="stable")[:top]
        self.photo.append(place)
        self.label += [int(at) for at in order]
        self.score += [round(float(scores[at]), 6) for at in order]
        self.learned.append(is_learned)
        self.classified += 1
        self._look()

    def skip(self, file: str, why: str) -> None:
        self.report.tell(events.Skipped, file=file, why=why)
        self._look()

    def _look(self) -> None:
        self.done += 1
        if time.perf_counter() - self.last < BLOCK_SECONDS:
            return
        self.flush()
        if self.report.stop():
            raise RunCancelled()

    def flush(self) -> None:
        if self.photo:
            self.report.tell(Classified, photo=self.photo, label=self.label, score=self.score, learned=self.learned)
            self._clear()
        self.report.progress(self.done)
        self.last = time.perf_counter()


def _prepared(path: str, model: models.Model, learned: Set[str]) -> Union[Prepared, str]:
    """The picture as the network takes it, or why it cannot be used, for people."""
    began = time.perf_counter()
    try:
        if os.path.getsize(path) > FILE_LIMIT:
            return f"larger than {FILE_LIMIT // 1000000:,} MB"
        with open(path, "rb") as file:
            data = file.read()
        image = images.decode(data, model.preprocessing)
    except images.ImageError as error:
        return str(error)
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    pixels = classifier.normalised(classifier.resized(image, model), model)
    is_learned = bool(learned) and hashlib.sha256(data).hexdigest() in learned
    return Prepared(pixels, is_learned, time.perf_counter() - began)


def _learned_from(home: LabHome, key: str) -> Set[str]:
    """The sha256 of every photo that a run of ours learned from; empty where the model is none or its list is gone."""
    run = home.run(key.partition(":")[0])
    try:
        photos = read_json(run.photos)
        return {sha256 for sha256, split in zip(photos["sha256"], photos["split_of_file"]) if split == TRAINING}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


if __name__ == "__main__":
    sys.exit(children.tell(sys.argv[1:], label))
