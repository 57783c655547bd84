"""The figures, charts and tables that answers may name, by kind of run: runs -> words, or blocks.

A figure is asked with the runs of the evidence, mostly one, and a lane, "" for the one that the run kept. It answers in
plain words, or None where the run has no such figure.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from engine.charts import time_charts
from engine.contract import kinds
from engine.contract.events import TRAINING
from engine.kinds.batch_size import batch_sizes
from engine.kinds.fine_tuning import depths as fine_tuning
from engine.kinds.learning_curve import photo_counts as learning_curve
from engine.kinds.mnist import comparison
from engine.kinds.race.curves import LaneRow, lane_rows, verdict
from engine.kinds.race.device_comparison import Half, halves
from engine.kinds.race.device_comparison import verdict as device_verdict
from engine.run_views import run_blocks, run_tables
from engine.run_views.blocks import Block, Chart, Table
from engine.run_views.runs_compared import Tested, in_words
from engine.runs import Run
from engine.settings import Settings
from engine.words import count, join, many, percent, short_duration

Runs = Sequence[Run]
Words = Callable[[Runs, str], str | None]
Blocks = Callable[[Runs, Settings, int], Iterator[Block]]
DEVICES = "devices"


# --- photos ----------------------------------------------------------------------------------------------------------


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


def _concluded(judge: Callable[[Run], Any]) -> dict[str, Words]:
    """The two figures of what has a conclusion and reasons; `judge` gives None where nothing is measured."""

    def words(part: str) -> Words:
        return lambda runs, lane: getattr(found, part) if (found := judge(runs[0])) else None

    return {"verdict": words("conclusion"), "reasons": words("reasons")}


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


def _photos(runs: Runs, lane: str) -> str:
    dataset = runs[0].dataset
    photos, classes = count(len(dataset.photos), "photo"), count(len(dataset.labels), "class")
    return f"{photos} in {classes} of {dataset.title}"


RETRAIN: dict[str, Words] = {
    "test_accuracy": _of_lane(lambda row, run: percent(row.test_accuracy)),
    "tested": _of_lane(lambda row, run: str(Tested(row.test_accuracy, row.test_low, row.test_high, row.test_n))),
    "validation_accuracy": _of_lane(lambda row, run: percent(row.validation_accuracy)),
    "plateau": _of_lane(_plateau),
    "spread": _of_lane(lambda row, run: None if row.spread is None else f"±{row.spread * 100:.1f} pt"),
    "usable": _of_lane(_usable),
    "lane": _of_lane(lambda row, run: f"lr {row.lane}"),
    **_concluded(_race),
    "photos": _photos,
    "backbone": lambda runs, lane: runs[0].backbone_title,
    "steps": lambda runs, lane: f"{runs[0].spec.steps:,}",
    "pace": _pace,
}


def _compared(say: Callable[[Sequence[Half]], str | None]) -> Words:
    return lambda runs, lane: say(halves(runs))


def _each(found: Sequence[Half], seconds: Callable[[Half], float | None]) -> str | None:
    """ "40m 20s on CPU and 14m 02s on GPU" """
    known = [(half.name, took) for half in found if (took := seconds(half)) is not None]
    return join([f"{fine_tuning.epoch_in_words(took)} on {name}" for name, took in known]) or None


def _one_photo(half: Half) -> float | None:
    """Seconds: the median of the exported TFLite file."""
    exported = half.run.story.exported.get(os.path.basename(half.run.folder.tflite))
    return exported.seconds if exported else None


COMPARED: dict[str, Words] = {
    "verdict": _compared(lambda found: device_verdict(found).conclusion),
    "reasons": _compared(lambda found: device_verdict(found).reasons or None),
    "bottlenecks": _compared(lambda found: _each(found, lambda half: half.bottleneck_seconds)),
    "training": _compared(lambda found: _each(found, lambda half: half.training_seconds)),
    "total": _compared(lambda found: _each(found, lambda half: half.seconds)),
    "one_photo": _compared(lambda found: _each(found, _one_photo)),
    "photos": _photos,
    "backbone": lambda runs, lane: runs[0].backbone_title,
}


def _tuned(run: Run) -> Any:
    rows = fine_tuning.rows(run)
    return fine_tuning.verdict(rows) if rows else None


FINE_TUNE: dict[str, Words] = {**_concluded(_tuned), "photos": _photos}


def _curve(run: Run) -> Any:
    rows = learning_curve.rows(run)
    return learning_curve.verdict(rows) if rows else None


LEARNING_CURVE: dict[str, Words] = {**_concluded(_curve), "photos": _photos}

BATCH_SIZE: dict[str, Words] = _concluded(batch_sizes.recommend)


# --- digits ----------------------------------------------------------------------------------------------------------


def _of_network(say: Callable[[comparison.NetworkRow], str | None]) -> Words:
    def words(runs: Runs, lane: str) -> str | None:
        row = next((row for row in comparison.network_rows(runs[0]) if lane in ("", row.lane)), None)
        return None if row is None else say(row)

    return words


MNIST: dict[str, Words] = {
    "test_accuracy": _of_network(lambda row: in_words(row.test_accuracy, row.test_n)),
    "tested": _of_network(lambda row: str(Tested(row.test_accuracy, row.test_low, row.test_high, row.test_n))),
    "wrong": _of_network(lambda row: f"{row.wrong:,} of {row.test_n:,}"),
    "parameters": _of_network(lambda row: f"{row.parameters:,}"),
    "multiply_adds": _of_network(lambda row: many(row.multiply_adds)),
    "training": _of_network(lambda row: short_duration(row.train_seconds)),
    "epochs": lambda runs, lane: count(runs[0].spec.epochs, "epoch"),
    **_concluded(comparison.verdict),
}


FIGURES: dict[str, dict[str, Words]] = {
    kinds.RETRAIN: RETRAIN,
    DEVICES: COMPARED,
    kinds.MNIST: MNIST,
    kinds.FINE_TUNE: FINE_TUNE,
    kinds.BATCH_SIZE: BATCH_SIZE,
    kinds.LEARNING_CURVE: LEARNING_CURVE,
}


# --- charts and tables -----------------------------------------------------------------------------------------------


def _block(kind: type[Chart] | type[Table], title: str) -> Blocks:
    """The one whose title begins so, as a report of the run has it."""

    def found(runs: Runs, settings: Settings, height: int) -> Iterator[Block]:
        for block in run_blocks.KINDS[runs[0].kind](runs[0], settings, height):
            if isinstance(block, kind) and block.title.startswith(title):
                yield block
                return  # what comes later is not computed

    return found


def _stages(runs: Runs, settings: Settings, height: int) -> Iterator[Block]:
    bars = [time_charts.StageBar(half.name, tuple(half.run.stage_seconds)) for half in halves(runs)]
    yield Chart(
        lambda dark: time_charts.stage_bars(bars, dark), time_charts.stages_in_words(bars), "Where the time went"
    )


def _halves(runs: Runs, settings: Settings, height: int) -> Iterator[Block]:
    yield Table(run_tables.halves(halves(runs)), "Side by side")


BLOCKS: dict[str, dict[str, Blocks]] = {
    kinds.RETRAIN: {"curves": _block(Chart, "Validation accuracy"), "results": _block(Table, "Results")},
    DEVICES: {"stages": _stages, "results": _halves},
    kinds.MNIST: {
        "curves": _block(Chart, "Accuracy over the epochs"),
        "results": _block(Table, "Results"),
        "cost": _block(Chart, "Accuracy against training time"),
    },
    kinds.FINE_TUNE: {"change": _block(Chart, "Change of accuracy"), "results": _block(Table, "Results")},
    kinds.LEARNING_CURVE: {
        "curve": _block(Chart, "Accuracy against photos per class"),
        "results": _block(Table, "Results"),
    },
    kinds.BATCH_SIZE: {
        "memory": _block(Chart, "Memory"),
        "speed": _block(Chart, "Speed"),
        "sizes": _block(Table, "Sizes"),
    },
}
