"""Statistics: smoothed series, intervals, confusion, figures per class, and whether two answers differ significantly.

numpy and the standard library only: the dashboard stays small. The tests hold these against scikit-learn and scipy.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Z_95 = 1.959963984540054  # standard normal, two-sided 95 %
# Photos in a bin below which its share of right answers is not said: 95 % intervals are then wider than 50 points.
FEW = 10
PLATEAU_BAND = 0.01  # accuracy, 0..1
CHANCE = 0.05  # two answers whose McNemar p is at least this do not differ by more than chance

Numbers = Sequence[int] | np.ndarray


def wilson(correct: int, n: int) -> tuple[float, float]:
    """The 95 % Wilson interval of a share, both ends 0..1; (0, 1), which says nothing, where n is 0."""
    if n == 0:
        return 0.0, 1.0
    share = correct / n
    spread = Z_95 * math.sqrt(share * (1 - share) / n + (Z_95 / (2 * n)) ** 2)
    middle, scale = share + Z_95**2 / (2 * n), 1 + Z_95**2 / n
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def interval(share: float, n: int) -> tuple[float, float]:
    """The same of a share, 0..1, of n that were counted."""
    return wilson(round(share * n), n)


def confusion(truth: Numbers, predicted: Numbers, n_classes: int) -> np.ndarray:
    """(n_classes, n_classes) int64: rows are the true class, columns the predicted one."""
    counts = np.zeros((n_classes, n_classes), dtype=np.int64)
    np.add.at(counts, (np.asarray(truth, dtype=np.int64), np.asarray(predicted, dtype=np.int64)), 1)
    return counts


@dataclass(frozen=True)
class ClassFigures:
    photos: int  # of this class, tested
    recall: float | None  # 0..1, None where no photo of the class was tested
    precision: float | None  # 0..1, None where the class was never predicted


def per_class(counts: np.ndarray) -> list[ClassFigures]:
    """One row per class of a confusion matrix (rows true, columns predicted)."""
    rows = []
    for label in range(len(counts)):
        right, true, predicted = (int(x) for x in (counts[label, label], counts[label].sum(), counts[:, label].sum()))
        rows.append(ClassFigures(true, right / true if true else None, right / predicted if predicted else None))
    return rows


@dataclass(frozen=True)
class Difference:
    """Two answers to the same photos, compared where exactly one of them is right."""

    only_first: int  # photos that only the first got right
    only_second: int  # photos that only the second got right
    p: float  # McNemar's exact test, two-sided: how often chance alone would differ at least as much


def mcnemar(truth: Numbers, first: Numbers, second: Numbers) -> Difference:
    """McNemar's exact test on the predictions of two lanes for the same photos."""
    first_right = np.asarray(first) == np.asarray(truth)
    second_right = np.asarray(second) == np.asarray(truth)
    only_first = int(np.sum(first_right & ~second_right))
    only_second = int(np.sum(~first_right & second_right))
    differ = only_first + only_second
    # The sum of the binomial coefficients from 0 to the smaller count, each made from the one before it: math.comb
    # would take most of a second where two networks differ on thousands of digits.
    tail = ways = 1
    for k in range(min(only_first, only_second)):
        ways = ways * (differ - k) // (k + 1)
        tail += ways
    # Whole numbers until the last division: 2 ** differ is too large for a float beyond 1,023 photos.
    return Difference(only_first, only_second, min(1.0, 2 * tail / 2**differ))


@dataclass(frozen=True)
class Verdict:
    conclusion: str  # which is better, or why nobody can say; shown in bold
    reasons: str  # why, and whether the difference is larger than chance


def chance_in_words(found: Difference, n: int, pictures: str, remark: str = "") -> str:
    """Whether two answers to the same n pictures differ by more than chance; `remark` follows where they do."""
    differ = found.only_first + found.only_second
    if differ == 0:
        return f"Of the {n:,} {pictures} both get the same ones right."
    score = (
        f"On {differ:,} of the {n:,} {pictures} only one of them is right "
        f"({found.only_first:,} to {found.only_second:,})"
    )
    if found.p >= CHANCE:
        return f"{score}, no more than chance (McNemar p = {found.p:.2f})."
    p = "p < 0.001" if found.p < 0.001 else f"p = {found.p:.3f}"
    return f"{score}, more than chance{remark} (McNemar {p})."


def smooth(values: Sequence[float], weight: float) -> list[float]:
    """TensorBoard's smoothing: an exponential mean with the bias of its start removed. weight 0 changes nothing.

    Equal to pandas' ewm(alpha=1 - weight).mean().
    """
    mean, share, result = 0.0, 0.0, []
    for value in values:
        mean = weight * mean + (1 - weight) * value
        share = weight * share + (1 - weight)
        result.append(mean / share)
    return result


def thin(count: int, limit: int) -> list[int]:
    """At most `limit` indices into `count` values, evenly spread, the first and the last among them.

    Smooth first, thin afterwards: the other way round smooths over the points that were kept.
    """
    if count <= limit:
        return list(range(count))
    return sorted({round(i * (count - 1) / (limit - 1)) for i in range(limit)})


def frontier(points: Sequence[tuple[float, float]]) -> list[int]:
    """Which (cost, accuracy) no other point beats, being as cheap and more accurate or as accurate and cheaper.

    Indices, the cheapest first; the Pareto frontier. Of equal points all are on it.
    """
    found: list[int] = []
    for i in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        best = points[found[-1]] if found else (math.nan, -math.inf)
        if points[i][1] > best[1] or points[i] == best:
            found.append(i)
    return found


@dataclass(frozen=True)
class Bin:
    """The photos of the testing split whose most probable label has a calibrated score in low..high."""

    low: float  # 0..1
    high: float  # included, and low is not, except in the first bin
    photos: int
    confidence: float | None  # 0..1, the mean of their calibrated scores; None without photos
    right: float | None  # 0..1, the share of them that is answered right; None without photos
