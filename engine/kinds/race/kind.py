"""The race: learning rates side by side, and the same run on two devices."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from engine.charts import curve_charts, time_charts
from engine.contract import catalog, choices, events
from engine.contract import models as keys
from engine.contract.kinds.race import LaneResult, RaceResult, RaceSpec
from engine.contract.run_folder import RunFolder
from engine.kinds import results, settings
from engine.kinds.blocks import Block, Chart, Table, Text
from engine.kinds.compared import Side, tested
from engine.kinds.forecast import guess_of_photos
from engine.kinds.kind import Kind, ModelOfRun, Runs
from engine.kinds.race import curves, figures, forecast, tables
from engine.kinds.race.curves import LaneRow, lane_rows
from engine.kinds.race.device_comparison import halves
from engine.kinds.rows import RunRow
from engine.runs import Run
from engine.settings import Settings
from engine.words import count, percent


class Race(Kind[RaceSpec]):
    title = "Retraining"
    stays = "The photos and their bottlenecks stay."
    figures = figures.RACE
    block_ids = ("curves", "results")

    def row(self, run: Run[RaceSpec], row: RunRow, lane: str, spent: Mapping[str, float]) -> RunRow:
        story, result = run.story, run.story.last(RaceResult)
        final = story.by_lane(LaneResult).get(lane)
        rates = run.spec.learning_rates
        varied = f"lr {rates[0]:g}" if len(rates) == 1 else f"{len(rates)} rates"
        if run.spec.group:
            varied += f" · {run.spec.machine_title()}"
        return replace(
            row,
            short=f"{run.dataset.title} · {varied}",
            data=run.dataset.title,
            models=(run.backbone_title,),
            accuracy=final.test_accuracy if final and result else None,
            validation=final.final_validation_accuracy if final else row.validation,
            contents=f"{count(len(rates), 'lane')} of weights and the exported model",
            backbone=run.spec.backbone,
            photos=result.images if result else len(run.dataset.photos),
            took=forecast.Took(
                steps=run.spec.steps,
                computed=result.computed if result else 0,
                bottleneck_seconds=spent.get(events.BOTTLENECKS, 0.0),
                race_seconds=result.race_seconds if result else 0.0,
                distorted=forecast.distorted_photos(run.spec, result.training) if result else 0,
                threads=run.spec.threads,
            ),
            group=run.spec.group,
        )

    def settings(self, run: Run[RaceSpec]) -> dict[str, str]:
        spec = run.spec
        rates = ", ".join(choices.lane_name(rate) for rate in spec.learning_rates)
        return {
            "Photos": f"{run.dataset.title}, {count(len(run.dataset.labels), 'class')}",
            "Backbone": run.backbone_title,
            "Learning rate" if len(spec.learning_rates) == 1 else "Learning rates": rates,
            "Steps": f"{spec.steps:,}",
            "Device": spec.device.upper() + (f", {count(spec.threads, 'thread')}" if spec.threads else ""),
            "Batch": settings.batch(spec.train_batch_size),
            "Distortions": settings.distortions(spec),
            "Seed": str(spec.seed),
        }

    def more_settings(self, run: Run[RaceSpec]) -> dict[str, str]:
        spec, row = run.spec, run.backbone
        return {
            "Validation batch": settings.batch(spec.validation_batch_size),
            "Testing batch": settings.batch(spec.test_batch_size),
            "Bottleneck cache": "read and kept" if spec.use_cache else "neither read nor kept",
            "Evaluated every": f"{spec.eval_step_interval:,} steps",
            "Validation and testing": f"{spec.validation_percentage}% and {spec.testing_percentage}% of the photos",
            "Weights": f"{row.source}. {row.licence}" if row else "deleted since",
            "Folder": settings.OwnPath(run.dataset.root),
        }

    def results(self, run: Run[RaceSpec], lab: Settings, height: int) -> Iterator[Block]:
        rows = lane_rows(run.story, run.lanes) if run.story.kept and run.state != events.CANCELLED else []
        predictions = results.predictions(run)
        if len(rows) > 1:
            yield results.verdict(curves.verdict(rows, predictions))
        elif rows:
            yield Text(_one_lane(rows[0]))
        yield from results.curves(run, curve_charts.STEPS, run.spec.steps, height)
        if rows:
            yield Table(
                tables.lanes(rows),
                "Results",
                "Ordered by validation accuracy at the end; lanes are chosen by it. The test accuracy, with its 95 % "
                "interval, is reported and never chosen by.",
                "results",
            )
            yield from results.answers(run, lab, predictions, rows[0].lane)

    def side(self, run: Run[RaceSpec], side: Side) -> Side:
        found = run.story.by_lane(LaneResult).get(side.lane)
        if found is None:
            return side
        return replace(
            side, validation=found.final_validation_accuracy, tested=tested(found.test_accuracy, found.test_n)
        )

    def models(self, folder: RunFolder, spec: RaceSpec, contract: Any, photos: str) -> Iterable[ModelOfRun]:
        try:
            row: catalog.Backbone | None = catalog.backbone(spec.backbone, folder.home)
        except KeyError:  # deleted since
            row = None
        kept, words = choices.lane_name(contract["learning_rate"]), f"{photos} · {row.title if row else spec.backbone}"
        yield ModelOfRun(kept, f"{words} · lr {kept}")
        for lane in spec.lane_names():
            if lane != kept and row and os.path.isfile(keys.lane_file(folder, lane)):
                yield ModelOfRun(lane, f"{words} · lr {lane}", is_kept=False, needs=row.name)

    def fits(self, asked: Any, spec: RaceSpec) -> bool:
        rates = set(asked.learning_rates) <= set(spec.learning_rates)
        return rates and not spec.group and not choices.is_distorted(spec)

    def asked_for(self, asked: Any) -> dict[str, Any]:
        return {"learning_rates": asked.learning_rates} if asked.learning_rates else {}

    def seconds(self, known: Sequence[RunRow], spec: RaceSpec, photos: int) -> float | None:
        return forecast.seconds(known, spec, photos)

    def guess(self, spec: RaceSpec, photos: int) -> float:
        return guess_of_photos(spec.backbone, photos)

    def in_a_plan(self, spec: RaceSpec) -> str:
        return " at lr " + ", ".join(spec.lane_names())


class Devices(Race):
    """Of answers alone: the same run on two devices, whose parts are races of a group."""

    figures = figures.DEVICES
    block_ids = ("stages", "results")

    @property
    def usual(self) -> RaceSpec:
        """One of its parts."""
        return RaceSpec(learning_rates=(0.01,), use_cache=False, group="devices")

    def fits(self, asked: Any, spec: RaceSpec) -> bool:
        return bool(spec.group) and super().fits(asked, spec._replace(group=""))

    def blocks_of(self, runs: Runs, lab: Settings, height: int) -> Iterator[Block]:
        found = halves(runs)
        bars = [time_charts.StageBar(half.name, tuple(half.run.stage_seconds)) for half in found]
        yield Chart(
            lambda dark: time_charts.stage_bars(bars, dark),
            time_charts.stages_in_words(bars),
            "Where the time went",
            id="stages",
        )
        yield Table(tables.halves(found), "Side by side", id="results")

    def seconds(self, known: Sequence[RunRow], spec: RaceSpec, photos: int) -> float | None:
        once = super().seconds(known, spec, photos)
        return once if once is None else 2 * once

    def guess(self, spec: RaceSpec, photos: int) -> float:
        return 3 * super().guess(spec, photos)  # one of them is slower

    def machine(self, spec: RaceSpec) -> str:
        return spec.machine_title()


def _one_lane(row: LaneRow) -> str:
    return (
        f"**{percent(row.test_accuracy)} of {count(row.test_n, 'testing photo')} right** (95 % interval "
        f"{percent(row.test_low)} to {percent(row.test_high)}) at lr {row.lane}. The best validation accuracy was "
        f"{percent(row.best_validation_accuracy)}, at step {row.best_step:,}."
    )


KIND = Race
