"""Several runs beside each other: the figures of each, which is better, and what differs in what they were asked.

The table, the chart and the sentences read the rows made here, so that no number is said in two ways.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine import kinds
from engine.runs import Run
from engine.stats import Verdict, interval
from engine.words import Amount, join, percent

FEWEST, MOST = 2, 6  # runs beside each other; the palette has six colours that stay apart


@dataclass(frozen=True)
class Tested:
    """An accuracy on pictures that nothing was learned from."""

    accuracy: float  # 0..1
    low: float  # 95 % Wilson interval of it
    high: float
    n: int  # pictures

    def __str__(self) -> str:
        """ "91.3% (88.2–93.7)" """
        share, low, high = (in_words(each, self.n) for each in (self.accuracy, self.low, self.high))
        return f"{share} ({low[:-1]}–{high[:-1]})"


def in_words(share: float, n: int = 0) -> Amount:
    """91.3%, or 99.47% of so many pictures that one of them shows."""
    return Amount(share, f"{share:.2%}") if n >= 2000 else percent(share)


@dataclass(frozen=True)
class Side:
    """One of the runs, by its best lane."""

    run: Run
    number: int  # from 0, in the order of the comparison: its colour
    lane: str  # "" where the run has none
    name: str  # "2 · lr 0.5", on charts and in sentences
    measured_on: tuple | None  # equal where validation figures may be compared; None where nobody knows
    validation: float | None  # 0..1, at the end, or the newest
    tested: Tested | None


def sides(found: Sequence[Run]) -> list[Side]:
    """The runs in their order, each with its kept lane, or the lane that is best by validation so far."""
    return [_side(run, number) for number, run in enumerate(found)]


def _side(run: Run, number: int) -> Side:
    kind, lane = kinds.of(run), run.best_lane
    title = kind.lane_title(run, lane)
    curve = run.story.curves.get((lane, "validation"))
    validation = curve.accuracy[-1] if curve and curve.accuracy else None
    name = f"{number + 1} · {title}" if title else str(number + 1)
    side = Side(run, number, lane, name, kind.measured_on(run), validation, None)
    try:
        return kind.side(run, side)
    except (OSError, ValueError, LookupError, TypeError):  # its files are damaged
        return side


def _test_accuracy(side: Side) -> float:
    return side.tested.accuracy if side.tested else -1.0


def tested(accuracy: float, n: int) -> Tested:
    return Tested(accuracy, *interval(accuracy, n), n)


def verdict(shown: Sequence[Side]) -> Verdict:
    """Which run is better by validation, and whether the test tells it from the next one.

    Tests are reported and never chosen by.
    """
    if len({side.run.kind for side in shown}) > 1:
        return Verdict("These runs are of different kinds, so none of them is called better.", "")
    kind = kinds.of(shown[0].run)
    if any(kind.not_compared):
        return Verdict(*kind.not_compared)
    if kind.judged_by_test:
        return _by_test(shown)
    known = [side for side in shown if side.validation is not None]
    without = [side.name for side in shown if side.validation is None]
    remark = f"{join(without)} {'has' if len(without) == 1 else 'have'} no validation figure." if without else ""
    if len(known) < FEWEST:
        tested = sorted((side for side in shown if side.tested), key=_test_accuracy, reverse=True)
        told = _test(*tested[:2]) if len(tested) >= FEWEST and not _apart(tested) else ""
        return Verdict("There is nothing to choose by.", " ".join(filter(None, [remark, told])))
    if _apart(known):
        return Verdict(f"They were validated on different {kind.data_word}, so none of them is called better.", remark)
    ranked = sorted(known, key=lambda side: -(side.validation or 0.0))
    shares = [in_words(side.validation or 0.0, side.tested.n if side.tested else 0) for side in ranked]
    return Verdict(
        _ranked(ranked, shares, "by validation"), " ".join(filter(None, [_test(ranked[0], ranked[1]), remark]))
    )


def _by_test(shown: Sequence[Side]) -> Verdict:
    """Of models that answered the same pictures; nothing was chosen by those either."""
    known = [side for side in shown if side.tested]
    if len(known) < FEWEST:
        return Verdict("There is nothing to compare:", "of fewer than two of them it is known how many are right.")
    if _apart(known):
        return Verdict("They were given different pictures, so none of them is called better.", "")
    ranked = sorted(known, key=_test_accuracy, reverse=True)
    shares = [in_words(_test_accuracy(side), side.tested.n if side.tested else 0) for side in ranked]
    return Verdict(_ranked(ranked, shares, "on these pictures"), _test(ranked[0], ranked[1]))


def _apart(known: Sequence[Side]) -> bool:
    """Whether figures of these runs were measured on different pictures, as far as anybody knows."""
    return known[0].measured_on is None or len({side.measured_on for side in known}) > 1


def _ranked(ranked: Sequence[Side], shares: Sequence[str], by: str) -> str:
    level = [side.name for side, share in zip(ranked, shares, strict=True) if share == shares[0]]
    if len(level) > 1:
        return f"{join(level)} are level {by}: {shares[0]}."
    better = "better" if len(ranked) == FEWEST else "best"
    return f"{ranked[0].name} is {better} {by}: {shares[0]} against {shares[1]} of {ranked[1].name}."


def _test(best: Side, second: Side) -> str:
    one, other = best.tested, second.tested
    if one is None or other is None:
        return "Without a test of both, nobody knows whether that is chance."
    said = f"On the test {best.name} has {one}, {second.name} {other}"
    if one.low <= other.high and other.low <= one.high:
        return f"{said}: the 95 % intervals overlap, so the difference may be chance."
    if one.accuracy < other.accuracy:
        return f"{said}: the 95 % intervals lie apart, against the choice, which stays with validation."
    return f"{said}: the 95 % intervals lie apart, more than chance."


@dataclass(frozen=True)
class Setting:
    name: str
    values: tuple[str | None, ...]  # of each run; None where its kind has no such setting

    @property
    def differs(self) -> bool:
        return len(set(self.values)) > 1


def settings(each: Sequence[Mapping[str, str]]) -> list[Setting]:
    """The settings of several runs, those that differ first. `each`: name -> value, of one run after the other."""
    names = list(dict.fromkeys(name for values in each for name in values))
    found = [Setting(name, tuple(values.get(name) for values in each)) for name in names]
    return sorted(found, key=lambda setting: not setting.differs)


def by_kind(shown: Sequence[Side]) -> list[list[Side]]:
    """Those whose curves may share a chart, together; kinds in the order of their first run."""
    found: dict[str, list[Side]] = {}
    for side in shown:
        found.setdefault(side.run.kind, []).append(side)
    return list(found.values())
