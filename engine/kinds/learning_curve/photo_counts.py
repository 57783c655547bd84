"""What a learning curve amounts to: a row for each number of photos per class, and where more of them stop helping.

Tables, sentences and charts all read the rows made here. The curve is never continued beyond what was measured.

    rows(run)       the sizes that were measured whole, ascending; the last one is all photos once the run is done
    flattens(rows)  the row from which on more photos gain nothing clear, None where nobody can say
    verdict(rows)   the same in words
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from engine.contract.kinds.learning_curve import ALL_PHOTOS, LearningCurvePoint
from engine.runs import Run
from engine.stats import PLATEAU_BAND, Verdict, interval
from engine.words import average, count, percent, signed, spread

# Student's t, two-sided 95 %, for 2 to 20 values: of few seeds the deviation is hardly known.
T_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
        2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093)  # fmt: skip


@dataclass(frozen=True)
class Gain:
    """What more photos change, seed by seed: the smaller subset of a seed is part of its larger one."""

    mean: float  # of accuracy, -1..1
    low: float  # 95 % interval of it over the seeds, from Student's t; -1 and 1 with one seed, which says nothing
    high: float

    @property
    def is_clear(self) -> bool:
        return self.low > 0 or self.high < 0

    @property
    def helps(self) -> bool:
        """Whether it is clear, and as much as a plateau's point: less is a photo or two of the testing split."""
        return self.is_clear and self.mean >= PLATEAU_BAND

    def __str__(self) -> str:
        """ "+5.2 pt (+3.9 to +6.5)" """
        between = "" if self.low <= -1 else f" ({signed(self.low)} to {signed(self.high)})"
        return f"{signed(self.mean)} pt{between}"


@dataclass(frozen=True)
class SizeRow:
    """One number of photos per class."""

    size: int  # as it was asked for; ALL_PHOTOS: all
    photos: int  # of all classes, that were learned from
    per_class: float  # of those, the mean: less than `size` where a class has no more
    accuracies: tuple[float, ...]  # 0..1, on the testing split, one for each seed
    test_n: int  # photos of that split
    gain: Gain | None  # against the size before; None of the first one

    @property
    def mean(self) -> float:
        return statistics.fmean(self.accuracies)

    @property
    def deviation(self) -> float | None:
        """Standard deviation over the seeds, 0..1; None with one seed."""
        return statistics.stdev(self.accuracies) if len(self.accuracies) > 1 else None

    @property
    def tested(self) -> tuple[float, float]:
        """The 95 % Wilson interval of the mean: how far other testing photos might have it."""
        return interval(self.mean, self.test_n)

    @property
    def title(self) -> str:
        """ "20", "all" """
        return "all" if self.size == ALL_PHOTOS else f"{self.size:,}"

    @property
    def in_words(self) -> str:
        """ "20 photos a class", "all photos (78.8 a class)" """
        if self.size == ALL_PHOTOS:
            return f"all photos ({average(self.per_class)} a class)"
        return f"{count(self.size, 'photo')} a class"


def rows(run: Run) -> list[SizeRow]:
    """The sizes of which every seed was measured, from the fewest photos to all."""
    found: list[SizeRow] = []
    by_size: dict[int, list[LearningCurvePoint]] = {}
    for point in run.story.every(LearningCurvePoint):
        by_size.setdefault(point.size, []).append(point)
    classes = max(1, len(run.dataset.labels))
    for size, points in by_size.items():
        if len(points) < run.spec.seeds or not points[0].test_n:
            continue
        points = sorted(points, key=lambda point: point.seed)
        accuracies = tuple(point.correct / point.test_n for point in points)
        gain = _gain(found[-1].accuracies, accuracies) if found else None
        row = SizeRow(size, points[0].photos, points[0].photos / classes, accuracies, points[0].test_n, gain)
        found.append(row)
    return found


def _gain(fewer: Sequence[float], more: Sequence[float]) -> Gain:
    """Of equally many seeds in the same order."""
    changes = [b - a for a, b in zip(fewer, more, strict=True)]
    mean, n = statistics.fmean(changes), len(changes)
    if n < 2:
        return Gain(mean, -1.0, 1.0)
    spread = T_95[min(n - 2, len(T_95) - 1)] * statistics.stdev(changes) / math.sqrt(n)
    return Gain(mean, max(-1.0, mean - spread), min(1.0, mean + spread))


def flattens(found: Sequence[SizeRow]) -> SizeRow | None:
    """The smallest size over which no larger one clearly gains a point or more; None where that is only the largest.

    None too with one seed, of which nobody knows what is chance.
    """
    for number, row in enumerate(found[:-1]):
        if row.deviation is None:
            return None
        larger = [_gain(row.accuracies, other.accuracies) for other in found[number + 1 :]]
        if not any(gain.helps for gain in larger):
            return row
    return None


def verdict(found: Sequence[SizeRow]) -> Verdict:
    """How many photos are enough, as far as was measured; `found` as `rows` gives them, at least one."""
    last = found[-1]
    seeds = len(last.accuracies)
    tested = (
        f"{'Each figure is the mean of ' + count(seeds, 'seed') if seeds > 1 else 'Each figure is of one seed'} on the "
        f"same {count(last.test_n, 'testing photo')}; on others {percent(last.mean)} might be "
        f"{percent(last.tested[0])} to {percent(last.tested[1])}."
    )
    if len(found) == 1:
        return Verdict(
            f"{_begin(last)} reach {percent(last.mean)}.", f"There is no other number to hold it against. {tested}"
        )
    before = found[-2]
    if seeds == 1:
        return Verdict(
            f"{_begin(found[0])} reach {percent(found[0].mean)}, {last.in_words} {percent(last.mean)}.",
            f"With one seed nobody knows what is chance. {tested}",
        )
    enough = flattens(found)
    if enough is not None:
        gain = _gain(enough.accuracies, last.accuracies)
        return Verdict(
            f"{_begin(enough)} reach {percent(enough.mean)}; more gained "
            f"{'less than a point' if gain.is_clear and gain.mean > 0 else 'nothing clear'}.",
            f"{_begin(last)} reach {percent(last.mean)}: {gain}, {_against_chance(gain, seeds)}. {tested}",
        )
    gain = last.gain or _gain(before.accuracies, last.accuracies)
    return Verdict(
        f"More photos still helped: {last.in_words} reach {percent(last.mean)}, {before.in_words} "
        f"{percent(before.mean)}.",
        f"The last step gained {gain}, {_against_chance(gain, seeds)}. Where the curve flattens lies "
        f"beyond what was measured. {tested}",
    )


def _against_chance(gain: Gain, seeds: int) -> str:
    return f"{'more than' if gain.is_clear else 'within'} the spread of {count(seeds, 'seed')}"


def _begin(row: SizeRow) -> str:
    return row.in_words[:1].upper() + row.in_words[1:]


def point_in_words(point: LearningCurvePoint) -> str:
    """One training as the progress of a run says it."""
    size = "all photos" if point.size == ALL_PHOTOS else f"{count(point.size, 'photo')} a class"
    right = f"{point.correct:,} of {count(point.test_n, 'testing photo')} right"
    return f"{size}, seed {point.seed}: {right}" + (", diverged" if point.diverged else "")


def in_words(found: Sequence[SizeRow]) -> str:
    """ "5 photos a class: 75.6% ±2.1 pt; …", for who does not see the chart"""
    return "; ".join(f"{row.in_words}: {percent(row.mean)}{spread(row.deviation, ' ')}" for row in found)
