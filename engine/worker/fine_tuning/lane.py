"""python -m engine.worker.fine_tuning.lane RUN_FOLDER BLOCKS AT_ONCE BEFORE: one lane of a fine-tuning run.

BLOCKS: how many of the last blocks learn; AT_ONCE: photos whose gradients are computed at once; BEFORE: photos that
earlier lanes learned from. Ends with 3 where TensorFlow ran out of memory, and is killed where the system did; then
engine/worker/fine_tuning/fine_tune.py begins it anew with fewer at once. Python 3.6.
"""

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Iterator, List, Optional, Tuple

import numpy as np

from engine.contract import catalog, choices, events
from engine.contract import dataset as datasets
from engine.contract.dataset import TRAINING, VALIDATION
from engine.contract.kinds.fine_tuning import FineTuned, FineTuningSpec
from engine.contract.run_folder import RunFolder, write_bytes
from engine.worker import backbones, children, machine
from engine.worker.features import distortions
from engine.worker.fine_tuning import fine_tune
from engine.worker.formats.summaries import Summaries
from engine.worker.learning.tuned import Tuned
from engine.worker.reporter import Reporter, RunCancelled

# Of the memory that is free or allowed, this share at most for what goes into the first block that learns.
KEPT_SHARE = 0.25
REPORT_SECONDS = 0.25
LOOK_AHEAD = 32  # photos through the network at once where nothing learns


class Lane:
    """A network, the photos, and what was computed of them."""

    def __init__(
        self, spec: FineTuningSpec, blocks: int, at_once: int, before: int, folder: RunFolder, report: Reporter
    ) -> None:
        self.spec, self.at_once, self.before, self.report = spec, at_once, before, report
        self.name, self.title = choices.depth_name(blocks), choices.depth_title(blocks)
        self.memory = children.Memory(spec.device, spec.memory_limit)
        shared, row = fine_tune.Shared(folder), catalog.backbone(spec.backbone)
        with np.load(shared.start) as start:
            self.labels, self.splits = start["labels"], start["splits"]
            weights, bias = start["weights"], start["bias"]
            files = start["files"].tolist()
        self.row, self.root = row, datasets.read(folder.dataset).root
        self.paths = [os.path.join(self.root, file) for file in files]
        self.decoded = distortions.Photos(row.preprocessing)
        network = backbones.load(folder.home, row)
        rates = (spec.head_learning_rate, spec.body_learning_rate)
        self.tuned = Tuned(network.body, blocks, weights, bias, *rates)
        self.pixels = fine_tune.Pixels(shared.pixels, row.size)
        # One photo first, so that TensorFlow's threads are there before the memory is bounded.
        self.tuned.features(self.pixels.take(np.zeros(1, int)))
        self.memory.bound(f"TensorFlow with {row.title}")
        self.training, self.validation, self.testing = [np.flatnonzero(self.splits == split) for split in range(3)]
        # (photos, ...) float32 by [mirrored or not]: what goes into the first block that learns, of the photos that are
        # met in every epoch; none where it would take too much memory
        self._kept: List[Any] = []
        self._place = np.cumsum(self.splits != 2) - 1

    def keep_features(self) -> bool:
        """Compute what the frozen blocks make of the photos once for all epochs, where the memory allows it."""
        if self.spec.is_never_the_same() or self.tuned.blocks == self.tuned.of_blocks:  # then it is the pixels
            return False
        met = np.flatnonzero(self.splits != 2)
        sides = [False, True] if self.spec.flip_left_right else [False]
        needed = len(sides) * len(met) * int(np.prod(self.tuned.feature_shape)) * 4
        free = self.memory.limit - machine.memory() if self.memory.limit else children.free_memory()
        if needed > KEPT_SHARE * free:
            return False
        kept = [np.empty((len(met),) + self.tuned.feature_shape, np.float32) for _ in sides]
        for mirrored, target in zip(sides, kept):
            for start in range(0, len(met), self.look_ahead):
                numbers = met[start : start + self.look_ahead]
                target[start : start + len(numbers)] = self._computed(numbers, np.full(len(numbers), mirrored))
                self.go_on()
        self._kept = kept
        return True

    @property
    def look_ahead(self) -> int:
        """Photos through the network at once where nothing learns: no more than memory is known to be there for."""
        return min(LOOK_AHEAD, max(1, self.at_once))

    def features(self, numbers: np.ndarray, mirrored: Optional[np.ndarray] = None) -> Any:
        """What goes into the first block that learns, of the photos with these numbers; mirrored: (n,) bool."""
        if not self._kept or (self.splits[numbers] == 2).any():
            return self._computed(numbers, mirrored)
        found = self._kept[0][self._place[numbers]]
        if mirrored is not None and mirrored.any():
            found[mirrored] = self._kept[1][self._place[numbers[mirrored]]]
        return found

    def _computed(self, numbers: np.ndarray, mirrored: Optional[np.ndarray]) -> Any:
        return self.tuned.features(self.pixels.take(numbers, mirrored))

    def go_on(self) -> None:
        if self.report.stop():
            raise RunCancelled()

    def epoch(self, number: int, done: int) -> Tuple[float, float]:
        """Learn from every training photo once: mean cross-entropy (nats) and accuracy before each step.

        The order and how each is changed depend on the seed alone: all lanes meet the same batches. `done`: photos that
        the lane learned from before.
        """
        random = np.random.RandomState([self.spec.seed, 20, number])
        order = random.permutation(self.training)
        mirrored = random.random_sample(len(order)) < 0.5 if self.spec.flip_left_right else np.zeros(len(order), bool)
        losses, right, told = 0.0, 0, time.time()
        for start in range(0, len(order), self.spec.batch_size):
            batch = slice(start, start + self.spec.batch_size)
            numbers = order[batch]
            loss, correct = self.tuned.learn(self._parts(numbers, mirrored[batch], number, start), len(numbers))
            self.memory.check()
            losses += loss * len(numbers)
            right += correct
            if time.time() - told > REPORT_SECONDS:
                self.report.progress(self.before + done + start + len(numbers))
                self.go_on()
                told = time.time()
        return losses / len(order), right / float(len(order))

    def _parts(
        self, numbers: np.ndarray, mirrored: np.ndarray, epoch: int, first: int
    ) -> Iterator[Tuple[Any, np.ndarray]]:
        """A batch, at most `at_once` photos at a time; `first`: the place of its first one in the epoch."""
        for at in range(0, len(numbers), self.at_once):
            some = numbers[at : at + self.at_once]
            if self.spec.is_never_the_same():
                features = self.tuned.features(self.distorted(some, epoch, first + at))
            else:
                features = self.features(some, mirrored[at : at + self.at_once])
            yield features, self.labels[some]

    def distorted(self, numbers: np.ndarray, epoch: int, first: int) -> np.ndarray:
        """(n, size, size, 3) float32 of these photos as they are met at these places of an epoch."""

        def one(place: int) -> np.ndarray:
            path = self.paths[numbers[place]]
            image = self.decoded(path)
            if isinstance(image, str):
                raise fine_tune.gone(path, self.root, image)
            random = np.random.RandomState([self.spec.seed, 21, epoch, first + place])
            return distortions.distort(image, self.row.size, self.spec, random, self.row.preprocessing)

        with ThreadPoolExecutor(machine.cores()) as pool:
            return np.stack(list(pool.map(one, range(len(numbers)))))

    def answers(self, numbers: np.ndarray) -> np.ndarray:
        """Probabilities (n, classes) of photos that are not mirrored."""
        found = []
        for start in range(0, len(numbers), self.look_ahead):
            found.append(self.tuned.probabilities(self.features(numbers[start : start + self.look_ahead])))
            self.go_on()
        return np.concatenate(found)

    def measured(self, numbers: np.ndarray) -> Tuple[float, float]:
        """Mean cross-entropy (nats, may be nan) and accuracy 0..1 of these photos."""
        probabilities, truth = self.answers(numbers), self.labels[numbers]
        of_truth = probabilities[np.arange(len(truth)), truth]
        cross_entropy = -np.log(np.maximum(of_truth, np.finfo(np.float32).tiny)).mean()
        return float(cross_entropy), float((probabilities.argmax(axis=1) == truth).mean())


def learn(spec: FineTuningSpec, folder: RunFolder, report: Reporter, blocks: int, at_once: int, before: int) -> None:
    """The lane from its first photo to its final figures."""
    lane = Lane(spec, blocks, at_once, before, folder, report)
    photos, name = len(lane.training), lane.name
    steps = -(-photos // spec.batch_size)
    report.tell(
        events.LaneStarted,
        lane=name,
        training=photos,
        validation=len(lane.validation),
        batch_size=min(spec.batch_size, photos),
        steps_an_epoch=steps,
        steps=steps * spec.epochs,
    )
    summaries = Summaries(folder, [name], report)

    def tell(split: str, epoch: int, spent: float, cross_entropy: float, accuracy: float) -> None:
        known = round(cross_entropy, 6) if np.isfinite(cross_entropy) else None
        report.tell(
            events.Metric, lane=name, split=split, step=[epoch], seconds=[round(spent, 3)],
            accuracy=[round(accuracy, 6)], cross_entropy=[known],
        )  # fmt: skip
        summaries.scalars(name, split, [(epoch, accuracy, cross_entropy)])
        summaries.flush()

    try:
        kept = lane.keep_features()
        validation = lane.measured(lane.validation)
        tell(VALIDATION, 0, 0.0, *validation)
        seconds: List[float] = []
        diverged = False
        for epoch in range(1, spec.epochs + 1):
            began = time.perf_counter()
            training = lane.epoch(epoch, (epoch - 1) * photos)
            seconds.append(time.perf_counter() - began)
            tell(TRAINING, epoch, sum(seconds), *training)
            validation = lane.measured(lane.validation)
            tell(VALIDATION, epoch, sum(seconds), *validation)
            report.progress(before + epoch * photos)
            diverged = not np.isfinite(training[0])
            if diverged:
                why = f"{lane.title} diverged: its weights left the range of numbers in epoch {epoch}."
                report.tell(events.Diverged, lane=name, step=epoch, why=why + " Lower learning rates usually help.")
                break
    finally:
        summaries.close()
    _end(lane, blocks, seconds, validation, kept, folder)


def _end(
    lane: Lane, blocks: int, seconds: List[float], validation: Tuple[float, float], kept: bool, folder: RunFolder
) -> None:
    """Test the lane once, keep its weights, and say its figures."""
    probabilities, truth = lane.answers(lane.testing), lane.labels[lane.testing]
    predicted, score = probabilities.argmax(axis=1), probabilities.max(axis=1)
    answers = {
        "predicted": predicted.tolist(),
        "score": [round(float(each), 6) if np.isfinite(each) else None for each in score],
    }
    write_bytes(fine_tune.Shared(folder).answers(lane.name), json.dumps(answers).encode())
    np.save(fine_tune.Shared(folder).probabilities(lane.name), probabilities)
    os.makedirs(folder.lanes, exist_ok=True)
    np.savez(os.path.join(folder.lanes, lane.name + ".npz"), **lane.tuned.arrays())
    lane.report.tell(
        FineTuned,
        lane=lane.name,
        blocks=lane.tuned.blocks,
        of_blocks=lane.tuned.of_blocks,
        parameters=lane.tuned.parameters,
        peak_memory_bytes=lane.memory.peak(),
        epoch_seconds=float(np.median(seconds)),
        epochs=len(seconds),
        batch_size=min(lane.spec.batch_size, len(lane.training)),
        at_once=lane.at_once,
        features_kept=kept,
        validation_accuracy=validation[1],
        validation_cross_entropy=validation[0] if np.isfinite(validation[0]) else None,
        validation_n=len(lane.validation),
        test_accuracy=float((predicted == truth).mean()),
        test_n=len(truth),
    )


if __name__ == "__main__":
    sys.exit(children.tell(sys.argv[1:], learn))
