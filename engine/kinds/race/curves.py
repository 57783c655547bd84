"""What the evaluations of a run amount to: smoothed curves, plateau, spread, the race's table and its verdict.

Tables, sentences and charts all read the rows made here, so that no number is said in two ways.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from engine.contract.kinds.race import LaneResult
from engine.runs import Curve, Story
from engine.stats import PLATEAU_BAND, Verdict, chance_in_words, interval, mcnemar, smooth
from engine.words import percent

PLATEAU_WEIGHT = 0.9  # smoothing under which a plateau is looked for
LAST_STEPS = 500  # how many steps count as the end of a run


@dataclass(frozen=True)
class Plateau:
    step: int
    seconds: float  # since training began


def plateau(curve: Curve, diverged: bool) -> Plateau | None:
    """The first evaluation after which the 0.9-smoothed accuracy stays within 1 pt of its mean over the last 500 steps.

    None where the lane diverged, has no evaluations, or still leaves that band at its end.
    """
    if diverged or not curve.step:
        return None
    smoothed = smooth(curve.accuracy, PLATEAU_WEIGHT)
    last = [value for step, value in zip(curve.step, smoothed, strict=True) if step > curve.step[-1] - LAST_STEPS]
    mean = statistics.fmean(last)
    first = len(smoothed)
    while first and abs(smoothed[first - 1] - mean) <= PLATEAU_BAND:
        first -= 1
    return Plateau(curve.step[first], curve.seconds[first]) if first < len(smoothed) else None


def spread(curve: Curve) -> float | None:
    """Standard deviation (n - 1) of the accuracy over the last 500 steps, 0..1; None below two evaluations."""
    last = [value for step, value in zip(curve.step, curve.accuracy, strict=True) if step > curve.step[-1] - LAST_STEPS]
    return statistics.stdev(last) if len(last) > 1 else None


@dataclass(frozen=True)
class LaneRow:
    """One lane of a finished race, as tables and sentences show it."""

    lane: str
    number: int  # in the order of creation, from 0: its colour
    kept: bool
    diverged: bool
    test_accuracy: float  # 0..1
    test_low: float  # 95 % Wilson interval of it
    test_high: float
    test_n: int  # photos
    validation_accuracy: float  # 0..1, at the end, over the whole validation split; lanes are chosen by it and
    validation_cross_entropy: float | None  # nats, likewise, between equals; None where it is not a number
    best_validation_accuracy: float  # 0..1, the highest evaluation during training
    best_step: int
    plateau: Plateau | None
    spread: float | None  # 0..1


def lane_rows(story: Story, lanes: Sequence[str]) -> list[LaneRow]:
    """The lanes that have final figures, the kept one first, then by validation alone; diverged ones last.

    Equal accuracies come in the order of their cross-entropies.
    """
    rows = []
    for number, lane in enumerate(lanes):
        result = story.by_lane(LaneResult).get(lane)
        if result is None:
            continue
        curve = story.curves.get((lane, "validation"), Curve())
        low, high = interval(result.test_accuracy, result.test_n)
        rows.append(
            LaneRow(
                lane=lane,
                number=number,
                kept=lane == story.kept,
                diverged=result.diverged,
                test_accuracy=result.test_accuracy,
                test_low=low,
                test_high=high,
                test_n=result.test_n,
                validation_accuracy=result.final_validation_accuracy,
                validation_cross_entropy=result.final_validation_cross_entropy,
                best_validation_accuracy=result.best_validation_accuracy,
                best_step=result.best_step,
                plateau=plateau(curve, result.diverged),
                spread=spread(curve),
            )
        )

    def rank(row: LaneRow) -> tuple[bool, bool, float, float]:
        entropy = math.inf if row.validation_cross_entropy is None else row.validation_cross_entropy
        return not row.kept, row.diverged, -row.validation_accuracy, entropy

    return sorted(rows, key=rank)


def verdict(rows: Sequence[LaneRow], predictions: dict | None) -> Verdict:
    """What a race says, in words. `rows` as lane_rows gives them, at least one; `predictions` as the run keeps them."""
    kept, others = rows[0], [row for row in rows[1:] if not row.diverged]
    lost = [f"lr {row.lane}" for row in rows[1:] if row.diverged]
    if kept.diverged:
        return Verdict("No rate is worth keeping.", "Every lane diverged; lower learning rates usually help.")
    conclusion = f"Keep lr {kept.lane}: {percent(kept.validation_accuracy)} of the validation photos right at the end."
    sentences = []
    if others:
        second = others[0]
        if second.validation_accuracy > kept.validation_accuracy:
            # engine/worker/race/retrain.py's choose: accuracies within one standard error count as equal.
            sentences.append(
                f"lr {second.lane} has {percent(second.validation_accuracy)}, no more than chance on so few photos, "
                f"but a validation loss of {_nats(second)} against {_nats(kept)}: it is surer of its mistakes."
            )
        elif second.validation_accuracy == kept.validation_accuracy:
            sentences.append(f"lr {second.lane} gets as many right, with a higher validation loss.")
        else:
            sentences.append(f"Next comes lr {second.lane} with {percent(second.validation_accuracy)}.")
        if predictions:
            sentences.append(_tested(kept, second, predictions))
    level = [(row.plateau.step, row.lane) for row in (kept, *others) if row.plateau]
    if len(level) > 1:
        step, lane = min(level)
        sentences.append(f"lr {lane} levels out first, at step {step:,}.")
    if lost:
        sentences.append(f"{' and '.join(lost)} diverged.")
    return Verdict(conclusion, " ".join(sentences))


def _nats(row: LaneRow) -> str:
    return "–" if row.validation_cross_entropy is None else f"{row.validation_cross_entropy:.2f}"


def _tested(kept: LaneRow, second: LaneRow, predictions: dict) -> str:
    lanes = predictions["lanes"]
    found = mcnemar(predictions["truth"], lanes[kept.lane]["predicted"], lanes[second.lane]["predicted"])
    against = " and against the choice, which stays with validation" if found.only_second > found.only_first else ""
    return chance_in_words(found, len(predictions["truth"]), "testing photos", against)
