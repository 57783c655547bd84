"""The learning-rate race: 4,000 steps, batch 100, 1,280 wide, 5 classes, evaluation every 10 steps included."""

import os
import tempfile

import numpy as np
import tensorflow as tf

from benchmarks.measure import in_turn, record, table
from benchmarks.original.training import OriginalTraining
from engine.worker.learning import heads

RATES = (0.005, 0.05, 0.5, 1.0, 0.01, 0.02, 0.1, 0.2)
CLASSES, WIDTH, STEPS, BATCH, INTERVAL = 5, 1280, 4000, 100, 10
ORIGINAL_STEPS = 20  # measured; its time is proportional to the steps


def run() -> None:
    training, validation = _clusters(2936, 0), _clusters(368, 1)
    asked = heads.Settings((), CLASSES, STEPS, BATCH, BATCH, INTERVAL, 0)

    def race(*rates: float):
        settings = asked._replace(learning_rates=rates)
        return heads.race(heads.batches(training, settings), validation, settings, lambda block: None)

    def keras() -> None:
        model = tf.keras.Sequential([tf.keras.layers.Dense(CLASSES)])
        loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(tf.keras.optimizers.SGD(0.05), loss, metrics=["accuracy"])
        features, labels = training.features[: 29 * BATCH], training.labels[: 29 * BATCH]
        checks = (validation.features[:BATCH], validation.labels[:BATCH])
        # 29 steps an epoch: Keras evaluates at the end of an epoch, so a third as often as ours.
        model.fit(features, labels, BATCH, STEPS // 29, validation_data=checks, validation_batch_size=BATCH, verbose=0)

    with tempfile.TemporaryDirectory() as folder:
        files = _text_files(training, folder)
        original = OriginalTraining(WIDTH, CLASSES, 0.05)
        times = in_turn(
            {
                "1": lambda: race(*RATES[:1]),
                "3": lambda: race(*RATES[:3]),
                "8": lambda: race(*RATES[:8]),
                "keras": keras,
                "original": lambda: original.train(files, ORIGINAL_STEPS, BATCH, INTERVAL),
            }
        )
    together = race(*RATES[:3])
    difference = max(
        float(np.abs(race(rate).weights[0] - together.weights[lane]).max()) for lane, rate in enumerate(RATES[:3])
    )
    scale = STEPS / ORIGINAL_STEPS
    extra = [(eight - one) / 7 / one for one, eight in zip(times.seconds["1"], times.seconds["8"], strict=True)]
    rows = [
        ["ours, 1 lane", f"{times.median('1'):.2f} s", ""],
        ["ours, 3 lanes", f"{times.median('3'):.2f} s", "1"],
        ["ours, 8 lanes", f"{times.median('8'):.2f} s", ""],
        ["three Keras `fit`", f"{3 * times.median('keras'):.1f} s", f"{3 * times.ratio('keras', '3'):.1f}"],
        [
            f"retrain.py's way three times ({ORIGINAL_STEPS} steps measured, times {scale:.0f})",
            f"{3 * scale * times.median('original'):.0f} s",
            f"{3 * scale * times.ratio('original', '3'):.0f}",
        ],
    ]
    record(
        "Race",
        table(["way", "time", "× three lanes of ours"], rows)
        + f"\n\nEach extra lane costs {float(np.median(extra)):.0%} of the first. Largest difference of a weight "
        f"between a lane raced with two others and the same lane alone: {difference:.1e}.",
    )


def _clusters(photos: int, seed: int) -> heads.Split:
    """Bottleneck-like vectors: not negative, half of them 0."""
    random = np.random.RandomState(seed)
    labels = random.randint(0, CLASSES, photos)
    centres = np.random.RandomState(99).randn(CLASSES, WIDTH) * 0.3
    return heads.Split(np.maximum(0, centres[labels] + random.randn(photos, WIDTH) * 0.5).astype(np.float32), labels)


def _text_files(split: heads.Split, folder: str) -> list[list[str]]:
    files: list[list[str]] = [[] for _ in range(CLASSES)]
    for number in range(500):
        path = os.path.join(folder, f"{number}.txt")
        with open(path, "w") as file:
            file.write(",".join(str(value) for value in split.features[number]))
        files[split.labels[number]].append(path)
    return files
