"""The table of numbers of photos, in words."""

from collections.abc import Sequence

from engine.kinds.learning_curve.photo_counts import SizeRow
from engine.words import percent, spread


def sizes(rows: Sequence[SizeRow]) -> list[dict[str, str | None]]:
    """The numbers of photos of a learning curve."""
    return [
        {
            "Photos per class": row.title,
            "Photos learned from": f"{row.photos:,}",
            "Test accuracy": percent(row.mean),
            "Spread of seeds": spread(row.deviation) or None,
            "Lowest and highest": f"{percent(min(row.accuracies))[:-1]}–{percent(max(row.accuracies))}",
            "Gain": str(row.gain) if row.gain else None,
        }
        for row in rows
    ]
