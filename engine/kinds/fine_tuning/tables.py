"""The table of depths, in words."""

import math
from collections.abc import Sequence

from engine.kinds.fine_tuning.depths import DepthRow
from engine.words import Amount, many, percent, quick, size


def depths(rows: Sequence[DepthRow]) -> list[dict[str, str | None]]:
    """The depths of a fine-tuning run."""
    return [
        {
            "Learns": row.title,
            "Test accuracy": Amount(
                row.test_accuracy,
                f"{percent(row.test_accuracy)} ({percent(row.test_low)[:-1]}–{percent(row.test_high)})",
            ),
            "Change": _change(row),
            "Validation": percent(row.validation_accuracy),
            "Parameters": many(row.parameters),
            "Peak memory": size(row.peak_memory_bytes),
            "An epoch": quick(row.epoch_seconds),
            "At once": Amount(
                row.at_once,
                f"{row.at_once:,} of {row.batch_size:,}" if row.at_once < row.batch_size else f"{row.at_once:,}",
            ),
        }
        for row in rows
    ]


def _change(row: DepthRow) -> Amount | None:
    if row.diverged:
        return Amount(-math.inf, "diverged")
    return Amount(row.against.change, str(row.against)) if row.against else None
