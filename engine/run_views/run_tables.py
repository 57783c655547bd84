"""What a run found, as tables in words, for its page and for reports. A row is column -> words, None where none are."""

from collections.abc import Sequence

import numpy as np

from engine.contract.kinds.batch_size import BatchTried
from engine.kinds.batch_size import batch_sizes
from engine.kinds.fine_tuning import depths as fine_tuning
from engine.kinds.fine_tuning.depths import DepthRow
from engine.kinds.learning_curve import photo_counts as learning_curve
from engine.kinds.learning_curve.photo_counts import SizeRow
from engine.kinds.mnist.comparison import NetworkRow
from engine.kinds.race.curves import LaneRow
from engine.kinds.race.device_comparison import Half
from engine.stats import per_class
from engine.words import duration, many, percent, short_duration, size

Row = dict[str, str | None]


def lanes(rows: Sequence[LaneRow]) -> list[Row]:
    """The lanes of a retraining run."""
    return [
        {
            "Learning rate": f"lr {row.lane}" + (" · kept" if row.kept else ""),
            "Test accuracy": f"{percent(row.test_accuracy)} ({percent(row.test_low)[:-1]}–{percent(row.test_high)}, "
            f"N={row.test_n:,})",
            "Best validation": percent(row.best_validation_accuracy),
            "Best at step": f"{row.best_step:,}",
            "Plateau at step": "diverged" if row.diverged else f"{row.plateau.step:,}" if row.plateau else None,
            "Plateau at seconds": f"{row.plateau.seconds:.1f} s" if row.plateau else None,
            "Spread": f"±{row.spread * 100:.1f} pt" if row.spread is not None else None,
        }
        for row in rows
    ]


def networks(rows: Sequence[NetworkRow]) -> list[Row]:
    """The networks of a comparison; one at least."""
    wrong = f"Wrong of {rows[0].test_n:,}"
    return [
        {
            "Network": row.title + (" · stopped" if row.stopped else ""),
            # so many decimals that one of 10,000 images shows
            "Test accuracy": f"{row.test_accuracy:.2%} ({row.test_low * 100:.2f}–{row.test_high * 100:.2f})",
            wrong: f"{row.wrong:,}",
            "Training": duration(row.train_seconds),
            "Images/s": f"{row.images_per_second:,.0f}",
            "Per image": None if row.image_seconds is None else _per_image(row.image_seconds),
            "Parameters": f"{row.parameters:,}",
            "Multiply-adds": f"{row.multiply_adds:,}",
            "Best epoch": str(row.best_epoch) if row.best_epoch else None,
        }
        for row in rows
    ]


def _per_image(seconds: float) -> str:
    """0.06 ms, 1.4 ms, 21.0 ms"""
    thousandths = seconds * 1000
    return f"{thousandths:.2f} ms" if thousandths < 1 else f"{thousandths:.1f} ms"


def depths(rows: Sequence[DepthRow]) -> list[Row]:
    """The depths of a fine-tuning run."""
    return [
        {
            "Learns": row.title,
            "Test accuracy": f"{percent(row.test_accuracy)} ({percent(row.test_low)[:-1]}–{percent(row.test_high)})",
            "Change": "diverged" if row.diverged else str(row.against) if row.against else None,
            "Validation": percent(row.validation_accuracy),
            "Parameters": many(row.parameters),
            "Peak memory": size(row.peak_memory_bytes),
            "An epoch": fine_tuning.epoch_in_words(row.epoch_seconds),
            "At once": f"{row.at_once:,} of {row.batch_size:,}" if row.at_once < row.batch_size else f"{row.at_once:,}",
        }
        for row in rows
    ]


def sizes(tried: Sequence[BatchTried]) -> list[Row]:
    """The batch sizes that were tried."""
    return [
        {
            "Batch size": f"{each.batch_size:,}",
            "Fits": "yes" if each.fits else "no",
            "Peak memory": size(each.peak_memory_bytes) if each.fits else None,
            "Speed": batch_sizes.speed(each.images_per_second) if each.fits else None,
            "Why not": each.why or None,
        }
        for each in tried
    ]


def photo_counts(rows: Sequence[SizeRow]) -> list[Row]:
    """The numbers of photos of a learning curve."""
    return [
        {
            "Photos per class": row.title,
            "Photos learned from": f"{row.photos:,}",
            "Test accuracy": percent(row.mean),
            "Spread of seeds": learning_curve.spread(row) or None,
            "Lowest and highest": f"{percent(min(row.accuracies))[:-1]}–{percent(max(row.accuracies))}",
            "Gain": str(row.gain) if row.gain else None,
        }
        for row in rows
    ]


def halves(found: Sequence[Half]) -> list[Row]:
    """The parts of a comparison of devices."""

    def took(seconds: float | None) -> str | None:
        return None if seconds is None else short_duration(seconds)

    rows: list[Row] = [
        {
            "Device": half.name,
            "End to end": took(half.seconds),
            "Bottlenecks": took(half.bottleneck_seconds),
            "Photos/s": None if half.images_per_second is None else f"{half.images_per_second:.1f}",
            "Last layer": took(half.training_seconds),
            "Plateau at step": f"{half.plateau.step:,}" if half.plateau else None,
            "Plateau at seconds": f"{half.plateau.seconds:.1f} s" if half.plateau else None,
            "Test accuracy": None if half.accuracy is None else percent(half.accuracy),
            "Energy": None if half.joules is None else _energy(half.joules),
            "Peak memory": None if half.peak_memory is None else size(half.peak_memory),
        }
        for half in found
    ]
    if all(half.joules is None for half in found):  # no sensor: left out, never shown as zero
        for row in rows:
            del row["Energy"]
    return rows


def _energy(joules: float) -> str:
    return f"{joules:.0f} J" if joules < 3600 else f"{joules / 3600:.1f} Wh"


def classes(counts: np.ndarray, labels: Sequence[str], one: str) -> list[Row]:
    """Recall and precision of each class; `counts` (classes, classes), rows true; `one`: what is counted, "photo"."""
    return [
        {
            "Class": label,
            f"Test {one}s": f"{figures.photos:,}",
            "Recall": None if figures.recall is None else percent(figures.recall),
            "Precision": None if figures.precision is None else percent(figures.precision),
        }
        for label, figures in zip(labels, per_class(counts), strict=True)
    ]
