"""The table of batch sizes, in words."""

from collections.abc import Sequence

from engine.contract.kinds.batch_size import BatchTried
from engine.words import number, size, speed


def sizes(tried: Sequence[BatchTried]) -> list[dict[str, str | None]]:
    """The batch sizes that were tried."""
    return [
        {
            "Batch size": number(each.batch_size),
            "Fits": "yes" if each.fits else "no",
            "Peak memory": size(each.peak_memory_bytes) if each.fits else None,
            "Speed": speed(each.images_per_second) if each.fits else None,
            "Why not": each.why or None,
        }
        for each in tried
    ]
