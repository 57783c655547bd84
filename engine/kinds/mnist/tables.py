"""The table of networks, in words."""

from collections.abc import Sequence

from engine.kinds.mnist.comparison import NetworkRow
from engine.words import Amount, duration, number


def networks(rows: Sequence[NetworkRow]) -> list[dict[str, str | None]]:
    """The networks of a comparison; one at least."""
    wrong = f"Wrong of {rows[0].test_n:,}"
    return [
        {
            "Network": row.title + (" · stopped" if row.stopped else ""),
            # so many decimals that one of 10,000 images shows
            "Test accuracy": Amount(
                row.test_accuracy,
                f"{row.test_accuracy:.2%} ({row.test_low * 100:.2f}–{row.test_high * 100:.2f})",
            ),
            wrong: number(row.wrong),
            "Training": duration(row.train_seconds),
            "Images/s": Amount(row.images_per_second, f"{row.images_per_second:,.0f}"),
            "Per image": None if row.image_seconds is None else _per_image(row.image_seconds),
            "Parameters": number(row.parameters),
            "Multiply-adds": number(row.multiply_adds),
            "Best epoch": number(row.best_epoch) if row.best_epoch else None,
        }
        for row in rows
    ]


def _per_image(seconds: float) -> Amount:
    """0.06 ms, 1.4 ms, 21.0 ms"""
    thousandths = seconds * 1000
    return Amount(seconds, f"{thousandths:.2f} ms" if thousandths < 1 else f"{thousandths:.1f} ms")
