"""Tables of races and of comparisons of devices, in words. A row is column -> words, None where there are none."""

import math
from collections.abc import Sequence

from engine.kinds.race.curves import LaneRow, Plateau
from engine.kinds.race.device_comparison import Half
from engine.words import Amount, number, percent, short_duration, size, spread

Row = dict[str, str | None]
DIVERGED = Amount(math.inf, "diverged")


def lanes(rows: Sequence[LaneRow]) -> list[Row]:
    """The lanes of a retraining run."""
    return [
        {
            "Learning rate": f"lr {row.lane}" + (" · kept" if row.kept else ""),
            "Test accuracy": Amount(
                row.test_accuracy,
                f"{percent(row.test_accuracy)} ({percent(row.test_low)[:-1]}–{percent(row.test_high)}, "
                f"N={row.test_n:,})",
            ),
            "Best validation": percent(row.best_validation_accuracy),
            "Best at step": number(row.best_step),
            "Plateau at step": DIVERGED if row.diverged else number(row.plateau.step) if row.plateau else None,
            "Plateau at seconds": _seconds(row.plateau) if row.plateau else None,
            "Spread": None if row.spread is None else Amount(row.spread, spread(row.spread)),
        }
        for row in rows
    ]


def halves(found: Sequence[Half]) -> list[Row]:
    """The parts of a comparison of devices."""

    def took(seconds: float | None) -> Amount | None:
        return None if seconds is None else short_duration(seconds)

    rows: list[Row] = [
        {
            "Device": half.name,
            "End to end": took(half.seconds),
            "Bottlenecks": took(half.bottleneck_seconds),
            "Photos/s": None if half.images_per_second is None else _rate(half.images_per_second),
            "Last layer": took(half.training_seconds),
            "Plateau at step": number(half.plateau.step) if half.plateau else None,
            "Plateau at seconds": _seconds(half.plateau) if half.plateau else None,
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


def _seconds(plateau: Plateau) -> Amount:
    return Amount(plateau.seconds, f"{plateau.seconds:.1f} s")


def _rate(photos_per_second: float) -> Amount:
    return Amount(photos_per_second, f"{photos_per_second:.1f}")


def _energy(joules: float) -> Amount:
    return Amount(joules, f"{joules:.0f} J" if joules < 3600 else f"{joules / 3600:.1f} Wh")


def in_words(rows: Sequence[LaneRow]) -> str:
    """The lanes' table for those who hear it."""
    return (
        "; ".join(f"lr {row.lane}: {percent(row.test_accuracy)} of {row.test_n:,} testing photos" for row in rows) + "."
    )
