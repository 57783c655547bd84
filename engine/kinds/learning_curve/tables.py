"""The table of numbers of photos, in words."""

from collections.abc import Sequence

from engine.kinds.learning_curve.photo_counts import SizeRow
from engine.words import Amount, number, percent, spread


def sizes(rows: Sequence[SizeRow]) -> list[dict[str, str | None]]:
    """The numbers of photos of a learning curve."""
    return [
        {
            "Photos per class": row.title,
            "Photos learned from": number(row.photos),
            "Test accuracy": percent(row.mean),
            "Spread of seeds": None if row.deviation is None else Amount(row.deviation, spread(row.deviation)),
            "Lowest and highest": Amount(
                min(row.accuracies), f"{percent(min(row.accuracies))[:-1]}–{percent(max(row.accuracies))}"
            ),
            "Gain": Amount(row.gain.mean, str(row.gain)) if row.gain else None,
        }
        for row in rows
    ]
