"""Fine-tuning: blocks of a backbone learn along with the last layer."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from engine.charts import curve_charts, fine_tuning_charts
from engine.contract import catalog, events
from engine.contract import models as keys
from engine.contract.kinds.fine_tuning import FineTuned, FineTuningSpec
from engine.contract.run_folder import RunFolder
from engine.kinds import figures, results, settings
from engine.kinds.blocks import Block, Chart, Table
from engine.kinds.compared import Side, tested
from engine.kinds.fine_tuning import depths, forecast, tables
from engine.kinds.fine_tuning.forecast import Depth
from engine.kinds.forecast import STARTING, guess_of_photos
from engine.kinds.kind import Kind, ModelOfRun
from engine.kinds.rows import RunRow
from engine.runs import Run
from engine.settings import Settings
from engine.words import count


class FineTuning(Kind[FineTuningSpec]):
    title = "Fine-tuning"
    stays = "The photos and their bottlenecks stay."
    figures = {  # noqa: RUF012
        **figures.concluded(lambda run: depths.verdict(rows) if (rows := depths.rows(run)) else None),
        "photos": figures.photos,
    }
    steps_are_epochs = True
    whole_split = True
    block_ids = ("change", "results")

    def row(self, run: Run[FineTuningSpec], row: RunRow, lane: str, spent: Mapping[str, float]) -> RunRow:
        """`lane`: the best by validation, where none is kept yet."""
        final = run.story.by_lane(FineTuned).get(run.story.kept or lane)
        return replace(
            row,
            short=f"{run.dataset.title} · {run.spec.depths()}",
            data=run.dataset.title,
            models=(run.backbone_title,),
            accuracy=final.test_accuracy if final else None,
            validation=final.validation_accuracy if final else row.validation,
            contents=f"the weights that {count(len(run.lanes), 'depth')} learned",
            backbone=run.spec.backbone,
            photos=len(run.dataset.photos),
            took=forecast.Took(_before_training(run), tuple(_depths(run))),
        )

    def settings(self, run: Run[FineTuningSpec]) -> dict[str, str]:
        spec = run.spec
        return {
            "Photos": f"{run.dataset.title}, {count(len(run.dataset.labels), 'class')}",
            "Backbone": run.backbone_title,
            "Blocks that learn": ", ".join(run.titles.values()),
            "Learning rate of the blocks": f"{spec.body_learning_rate:g}",
            "Learning rate of the head": f"{spec.head_learning_rate:g}",
            "Epochs": f"{spec.epochs:,}",
            "Batch": f"{spec.batch_size:,}",
            "Distortions": settings.distortions(spec),
            "Memory limit": f"{spec.memory_limit:,} MB" if spec.memory_limit else "none",
            "Device": spec.device.upper(),
            "Seed": str(spec.seed),
        }

    def more_settings(self, run: Run[FineTuningSpec]) -> dict[str, str]:
        spec = run.spec
        return {
            "Optimiser": "gradient descent with momentum 0.9",
            "Batch normalisation": "in inference mode, folded into kernels and biases",
            "The head begins": "as it is after 300 steps on bottlenecks, for all depths alike",
            "Validation and testing": f"{spec.validation_percentage}% and {spec.testing_percentage}% of the photos",
            "Folder": settings.OwnPath(run.dataset.root),
        }

    def results(self, run: Run[FineTuningSpec], lab: Settings, height: int) -> Iterator[Block]:
        rows = depths.rows(run)
        if rows and not run.is_active:
            yield results.verdict(depths.verdict(rows))
        yield from results.curves(run, curve_charts.EPOCHS, run.spec.epochs, height)
        if not rows:
            return
        yield Table(
            tables.depths(rows), "Results", "All depths began with the same head and met the same batches.", "results"
        )
        compared = [row for row in rows if row.against]
        if compared:
            base = run.titles[depths.base_lane(run)].lower()
            yield Chart(
                lambda dark: fine_tuning_charts.changes(compared, dark),
                "; ".join(f"{row.title}: {row.against}" for row in compared) + ".",
                f"Change of accuracy against {base}",
                id="change",
            )
        predictions = results.predictions(run)
        if predictions and run.best_lane in predictions["lanes"]:
            yield from results.answers(run, lab, predictions, run.best_lane)

    def side(self, run: Run[FineTuningSpec], side: Side) -> Side:
        found = run.story.by_lane(FineTuned).get(side.lane)
        if found is None:
            return side
        return replace(side, validation=found.validation_accuracy, tested=tested(found.test_accuracy, found.test_n))

    def models(self, folder: RunFolder, spec: FineTuningSpec, contract: Any, photos: str) -> Iterable[ModelOfRun]:
        """Lanes without a file of their own have diverged."""
        kept, titles = keys.kept_lane(contract), dict(zip(spec.lane_names(), spec.lane_titles(), strict=True))
        words = f"{photos} · {catalog.backbone(spec.backbone, folder.home).title}"
        yield ModelOfRun(kept, f"{words} · {titles[kept].lower()}")
        for lane, title in titles.items():
            if lane != kept and os.path.isfile(keys.lane_tflite(folder, lane)):
                yield ModelOfRun(lane, f"{words} · {title.lower()}", is_kept=False)

    def fits(self, asked: Any, spec: FineTuningSpec) -> bool:
        return not spec.memory_limit and set(asked.blocks) <= set(spec.blocks)

    def asked_for(self, asked: Any) -> dict[str, Any]:
        return {"blocks": asked.blocks} if asked.blocks else {}

    def seconds(self, known: Sequence[RunRow], spec: FineTuningSpec, photos: int) -> float | None:
        found = forecast.expected(known, spec, photos)
        return found.seconds if found else None

    def guess(self, spec: FineTuningSpec, photos: int) -> float:
        learning = len(spec.blocks) * (STARTING + spec.epochs * photos * 0.01)
        return learning + guess_of_photos(spec.backbone, photos)


def _before_training(run: Run) -> float:
    return sum(spent for name, spent in run.stage_seconds if name != events.TRAINING)


def _depths(run: Run) -> Iterator[Depth]:
    """Those that were trained to their end without running out of memory."""
    story = run.story
    ended = next((stage.began for stage in story.stages if stage.name == events.TRAINING), 0.0)
    halved = {event.lane for event in story.batches_halved}
    for lane, blocks in zip(run.lanes, run.spec.blocks, strict=True):
        began, tuned = story.lanes_started.get(lane), story.by_lane(FineTuned).get(lane)
        if began is None or tuned is None:
            continue
        if lane not in halved:
            around = tuned.t - began.t - tuned.epochs * tuned.epoch_seconds
            yield Depth(blocks, max(0.0, began.t - ended), tuned.epoch_seconds, max(0.0, around))
        ended = tuned.t


KIND = FineTuning
