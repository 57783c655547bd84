"""The race on the original's bottlenecks, against retrain.py's own training of them: five seeds each."""

import os
import random
import sys
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from benchmarks.measure import finish, record, table
from benchmarks.original.bottlenecks import read
from benchmarks.original.training import OriginalTraining
from engine import assets, photos
from engine.contract import catalog, choices
from engine.contract.dataset import SPLITS, TESTING, TRAINING, Dataset
from engine.contract.kinds.race import LaneResult, RaceSpec
from engine.contract.run_folder import LabHome

SEEDS, STEPS, BATCH, RATES = range(5), 2000, 100, (0.005, 0.01, 0.5)
ARCHITECTURE = "mobilenet_0.25_128"


def run(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        home = LabHome(scratch)
        assets.fetch_backbone(home, catalog.backbone(ARCHITECTURE), _archives())
        dataset = photos.split(photos.scan(folder, folder.name), 10, 10)
        asked = RaceSpec(
            backbone=ARCHITECTURE, learning_rates=RATES, steps=STEPS, train_batch_size=BATCH,
            bottleneck_dir=os.path.join(scratch, "bottlenecks"),
        )  # fmt: skip
        ours = [finish(home, dataset, asked._replace(seed=seed)).story.by_lane(LaneResult) for seed in SEEDS]
        files = _files(dataset, asked.bottleneck_dir)
        rows = []
        for rate in RATES:
            lane = choices.lane_name(rate)
            theirs = [_original(files, len(dataset.labels), rate, seed) for seed in SEEDS]
            rows.append([lane, *_words([each[lane].test_accuracy for each in ours]), *_words(theirs)])
        tested = sum(map(len, files[TESTING]))
    record(
        "Faithful",
        table(["learning rate", "the race, five seeds", "mean", "retrain.py's way, five seeds", "mean"], rows)
        + f"\n\nTesting accuracy after {STEPS:,} steps of {BATCH} on {tested} of the photos of {folder.name}, from the "
        f"same text files of bottlenecks of the original {catalog.backbone(ARCHITECTURE).title}.",
    )


def _archives() -> Path:
    data = os.environ.get("LAB_TEST_DATA")
    if not data:
        sys.exit("LAB_TEST_DATA names no folder with the original archive.")
    return Path(data, "tf1")


def _files(dataset: Dataset, folder: str) -> dict[str, list[list[str]]]:
    """Per split and class the text files."""
    files: dict[str, list[list[str]]] = {split: [[] for _ in dataset.labels] for split in SPLITS}
    for photo in dataset.photos:
        files[photo.split][photo.label].append(os.path.join(folder, f"{photo.file}_{ARCHITECTURE}.txt"))
    return files


class FromMemory(OriginalTraining):
    """The same training with every file read once: accuracy is what counts here."""

    def __init__(self, files: dict[str, list[list[str]]], classes: int, rate: float):
        self.vectors = {path: read(path) for split in files.values() for each in split for path in each}
        super().__init__(len(next(iter(self.vectors.values()))), classes, rate)

    def _batch(self, files: list[list[str]], batch: int) -> dict:
        truth = [random.randrange(len(files)) for _ in range(batch)]
        vectors = np.stack([self.vectors[random.choice(files[label])] for label in truth])
        return {self.input: vectors, self.truth: np.array(truth)}


def _original(files: dict[str, list[list[str]]], classes: int, rate: float, seed: int) -> float:
    """Accuracy on the testing photos, 0..1."""
    random.seed(seed)
    tf.random.set_seed(seed)
    training = FromMemory(files, classes, rate)
    training.train(files[TRAINING], STEPS, BATCH, STEPS)
    paths = [(path, label) for label, each in enumerate(files[TESTING]) for path in each]
    given = {
        training.input: np.stack([training.vectors[path] for path, _ in paths]),
        training.truth: np.array([label for _, label in paths]),
    }
    return float(training.session.run(training.accuracy, given))


def _words(accuracies: list[float]) -> list[str]:
    return [", ".join(f"{each:.3f}" for each in accuracies), f"{np.mean(accuracies):.3f}"]
