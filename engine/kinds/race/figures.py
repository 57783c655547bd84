"""The figures of a race, and of a comparison of devices, that answers may name."""

import os
from collections.abc import Callable, Sequence
from typing import Any

from engine.contract.events import TRAINING
from engine.kinds import figures
from engine.kinds.compared import Tested
from engine.kinds.kind import Runs, Words
from engine.kinds.race.curves import LaneRow, lane_rows, verdict
from engine.kinds.race.device_comparison import Half, halves
from engine.kinds.race.device_comparison import verdict as device_verdict
from engine.runs import Run
from engine.words import join, percent, quick, short_duration


def _lane(runs: Runs, lane: str) -> LaneRow | None:
    rows = lane_rows(runs[0].story, runs[0].lanes)
    return next((row for row in rows if row.lane == (lane or runs[0].best_lane)), None)


def _of_lane(say: Callable[[LaneRow, Run], str | None]) -> Words:
    def words(runs: Runs, lane: str) -> str | None:
        row = _lane(runs, lane)
        return None if row is None else say(row, runs[0])

    return words


def _plateau(row: LaneRow, run: Run) -> str:
    if row.diverged:
        return "diverges"
    if row.plateau is None:
        return f"does not level out within {run.spec.steps:,} steps"
    return f"levels out at step {row.plateau.step:,} of {run.spec.steps:,}"


def _usable(row: LaneRow, run: Run) -> str:
    """Whether a rate is worth using, against the others of its race, by validation."""
    rows = [other for other in lane_rows(run.story, run.lanes) if other.lane != row.lane and not other.diverged]
    if row.diverged:
        return f"Not here: lr {row.lane} diverged."
    best = max(rows, key=lambda other: other.validation_accuracy, default=None)
    own = f"lr {row.lane} ends at {percent(row.validation_accuracy)} of the validation photos"
    wobble = "" if row.spread is None else f", and wobbles by ±{row.spread * 100:.1f} pt at its end"
    if best is None:
        return f"It learns here: {own}{wobble}."
    return f"It learns here: {own}, lr {best.lane} at {percent(best.validation_accuracy)}{wobble}."


def _race(run: Run) -> Any:
    rows = lane_rows(run.story, run.lanes)
    return verdict(rows, run.predictions()) if rows else None


def _pace(runs: Runs, lane: str) -> str | None:
    """ "2.1 s for 4,000 steps of 3 rates at once" """
    took = dict(runs[0].stage_seconds).get(TRAINING)
    if took is None:
        return None
    rates = len(runs[0].lanes)
    at_once = f" of {rates} rates at once" if rates > 1 else ""
    return f"{short_duration(took)} for {runs[0].spec.steps:,} steps{at_once}"


RACE: dict[str, Words] = {
    "test_accuracy": _of_lane(lambda row, run: percent(row.test_accuracy)),
    "tested": _of_lane(lambda row, run: str(Tested(row.test_accuracy, row.test_low, row.test_high, row.test_n))),
    "validation_accuracy": _of_lane(lambda row, run: percent(row.validation_accuracy)),
    "plateau": _of_lane(_plateau),
    "spread": _of_lane(lambda row, run: None if row.spread is None else f"±{row.spread * 100:.1f} pt"),
    "usable": _of_lane(_usable),
    "lane": _of_lane(lambda row, run: f"lr {row.lane}"),
    **figures.concluded(_race),
    "photos": figures.photos,
    "backbone": figures.backbone,
    "steps": lambda runs, lane: f"{runs[0].spec.steps:,}",
    "pace": _pace,
}


def _compared(say: Callable[[Sequence[Half]], str | None]) -> Words:
    return lambda runs, lane: say(halves(runs))


def _each(found: Sequence[Half], seconds: Callable[[Half], float | None]) -> str | None:
    """ "40m 20s on CPU and 14m 02s on GPU" """
    known = [(half.name, took) for half in found if (took := seconds(half)) is not None]
    return join([f"{quick(took)} on {name}" for name, took in known]) or None


def _one_photo(half: Half) -> float | None:
    """Seconds: the median of the exported TFLite file."""
    exported = half.run.story.exported.get(os.path.basename(half.run.folder.tflite))
    return exported.seconds if exported else None


DEVICES: dict[str, Words] = {
    "verdict": _compared(lambda found: device_verdict(found).conclusion),
    "reasons": _compared(lambda found: device_verdict(found).reasons or None),
    "bottlenecks": _compared(lambda found: _each(found, lambda half: half.bottleneck_seconds)),
    "training": _compared(lambda found: _each(found, lambda half: half.training_seconds)),
    "total": _compared(lambda found: _each(found, lambda half: half.seconds)),
    "one_photo": _compared(lambda found: _each(found, _one_photo)),
    "photos": figures.photos,
    "backbone": figures.backbone,
}
