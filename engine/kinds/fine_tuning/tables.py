"""The table of depths, in words."""

from collections.abc import Sequence

from engine.kinds.fine_tuning.depths import DepthRow
from engine.words import many, percent, quick, size


def depths(rows: Sequence[DepthRow]) -> list[dict[str, str | None]]:
    """The depths of a fine-tuning run."""
    return [
        {
            "Learns": row.title,
            "Test accuracy": f"{percent(row.test_accuracy)} ({percent(row.test_low)[:-1]}–{percent(row.test_high)})",
            "Change": "diverged" if row.diverged else str(row.against) if row.against else None,
            "Validation": percent(row.validation_accuracy),
            "Parameters": many(row.parameters),
            "Peak memory": size(row.peak_memory_bytes),
            "An epoch": quick(row.epoch_seconds),
            "At once": f"{row.at_once:,} of {row.batch_size:,}" if row.at_once < row.batch_size else f"{row.at_once:,}",
        }
        for row in rows
    ]
