"""What a fine-tuning run amounts to: one row for each depth, and what unfreezing changed, with intervals.

Tables, sentences and charts all read the rows made here.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.contract import choices
from engine.contract.kinds.fine_tuning import FineTuned
from engine.runs import Run
from engine.stats import Z_95, Numbers, Verdict, interval
from engine.words import count, quick, signed


@dataclass(frozen=True)
class Difference:
    """Of two lanes that answered the same photos, what the second has more than the first."""

    change: float  # of accuracy, -1..1
    low: float  # 95 % interval of it
    high: float
    n: int  # photos

    @property
    def is_clear(self) -> bool:
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        """ "−2.1 pt (−5.0 to +0.9)" """
        return f"{signed(self.change)} pt ({signed(self.low)} to {signed(self.high)})"


def difference(truth: Numbers, first: Numbers, second: Numbers) -> Difference:
    """The change of accuracy from the first to the second answers for the same photos, with its 95 % interval.

    The interval is that of Agresti and Min 2005 (Statistics in Medicine 24): half a photo is added to each of the four
    cells of the table of right and wrong, so that it does not shrink to nothing where both are right on every photo.
    """
    first_right = np.asarray(first) == np.asarray(truth)
    second_right = np.asarray(second) == np.asarray(truth)
    n = len(first_right)
    if not n:
        return Difference(0.0, -1.0, 1.0, 0)
    gained = int(np.sum(~first_right & second_right))
    lost = int(np.sum(first_right & ~second_right))
    more, less, total = gained + 0.5, lost + 0.5, n + 2
    middle = (more - less) / total
    spread = Z_95 * math.sqrt(more + less - (more - less) ** 2 / total) / total
    return Difference((gained - lost) / n, max(-1.0, middle - spread), min(1.0, middle + spread), n)


@dataclass(frozen=True)
class DepthRow:
    """One lane that was measured."""

    lane: str
    title: str
    number: int  # in the order of creation, from 0: its colour
    parameters: int  # that learned
    peak_memory_bytes: int
    epoch_seconds: float
    batch_size: int
    at_once: int  # photos whose gradients were computed at once
    validation_accuracy: float  # 0..1
    validation_n: int
    test_accuracy: float
    test_low: float  # 95 % Wilson interval
    test_high: float
    test_n: int
    diverged: bool
    against: Difference | None  # the frozen lane, or the first where none is frozen; None of that one itself


def rows(run: Run) -> list[DepthRow]:
    """The lanes that have figures, in the order of creation."""
    found, said = [], run.predictions() or {}
    base = base_lane(run)
    for number, (lane, title) in enumerate(run.titles.items()):
        figures = run.story.by_lane(FineTuned).get(lane)
        if figures is None:
            continue
        low, high = interval(figures.test_accuracy, figures.test_n)
        answers = said.get("lanes", {})
        against = None
        if lane != base and lane in answers and base in answers:
            against = difference(said["truth"], answers[base]["predicted"], answers[lane]["predicted"])
        found.append(
            DepthRow(
                lane=lane,
                title=title,
                number=number,
                parameters=figures.parameters,
                peak_memory_bytes=figures.peak_memory_bytes,
                epoch_seconds=figures.epoch_seconds,
                batch_size=figures.batch_size,
                at_once=figures.at_once,
                validation_accuracy=figures.validation_accuracy,
                validation_n=figures.validation_n,
                test_accuracy=figures.test_accuracy,
                test_low=low,
                test_high=high,
                test_n=figures.test_n,
                diverged=lane in run.story.diverged,
                against=against,
            )
        )
    return found


def base_lane(run: Run) -> str:
    """The lane that the others are held against: the frozen one, or the first."""
    frozen = choices.depth_name(0)
    return frozen if frozen in run.lanes else run.lanes[0]


def verdict(found: Sequence[DepthRow]) -> Verdict:
    """What unfreezing changed, in words; `found` as `rows` gives them, at least one."""
    compared = [row for row in found if row.against is not None]
    if not compared:
        row = found[0]
        return Verdict(
            f"{row.title}: {row.test_accuracy:.1%} of {count(row.test_n, 'testing photo')} right.",
            "There is nothing to hold it against: a second depth would show what unfreezing changes.",
        )
    first = _extreme(compared)
    sentences = [_changed(row) for row in compared if row is not first]
    if len(found) > 1:
        base = next(row for row in found if row.against is None)
        slowest = max(compared, key=lambda row: row.epoch_seconds)
        if base.epoch_seconds > 0:
            sentences.append(
                f"With {slowest.title.lower()} learning an epoch took {quick(slowest.epoch_seconds)}, "
                f"{base.title.lower()} {quick(base.epoch_seconds)}."
            )
    return Verdict(_changed(first), " ".join(sentences))


def _extreme(compared: Sequence[DepthRow]) -> DepthRow:
    """The depth to speak of first: a clear difference before an unclear one, then the deepest."""
    return max(compared, key=lambda row: (bool(row.against and row.against.is_clear), row.parameters))


def _changed(row: DepthRow) -> str:
    against = row.against
    assert against is not None
    photos = count(against.n, "photo")
    what = f"Unfreezing {_in_sentence(row)} changed accuracy by {against}"
    if row.diverged:
        return f"{what}: it diverged."
    if not against.is_clear:
        return f"{what}: on {photos} that is no difference."
    return f"{what}: on {photos} it {'gained' if against.change > 0 else 'lost'} more than chance."


def _in_sentence(row: DepthRow) -> str:
    return row.title.lower() if row.title == "All blocks" else f"the {row.title.lower()}"
