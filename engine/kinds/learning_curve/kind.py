"""The learning curve: accuracy against the photos that are learned from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from engine.charts import learning_curve_charts
from engine.contract import choices, events
from engine.contract.kinds.learning_curve import ALL_PHOTOS, LearningCurvePoint, LearningCurveSpec
from engine.kinds import figures, results, settings
from engine.kinds.blocks import Block, Chart, Table
from engine.kinds.compared import Side, Tested
from engine.kinds.forecast import guess_of_photos
from engine.kinds.kind import Kind
from engine.kinds.learning_curve import forecast, photo_counts, tables
from engine.kinds.rows import RunRow
from engine.runs import Run
from engine.settings import Settings
from engine.words import count


class LearningCurve(Kind[LearningCurveSpec]):
    title = "How many photos"
    stays = "The photos and their bottlenecks stay."
    figures = {  # noqa: RUF012
        **figures.concluded(lambda run: photo_counts.verdict(rows) if (rows := photo_counts.rows(run)) else None),
        "photos": figures.photos,
    }
    block_ids = ("curve", "results")

    def row(self, run: Run[LearningCurveSpec], row: RunRow, lane: str, spent: Mapping[str, float]) -> RunRow:
        found, trainings = photo_counts.rows(run), len(run.story.every(LearningCurvePoint))
        whole = found and found[-1].size == ALL_PHOTOS
        return replace(
            row,
            short=f"{run.dataset.title} · photos per class",
            data=run.dataset.title,
            models=(run.backbone_title,),
            accuracy=found[-1].mean if whole else None,
            contents=f"the figures of {count(trainings, 'training')}",
            backbone=run.spec.backbone,
            photos=len(run.dataset.photos),
            took=forecast.Took(run.spec.steps * trainings, spent.get(events.TRAINING, 0.0)),
        )

    def settings(self, run: Run[LearningCurveSpec]) -> dict[str, str]:
        spec = run.spec
        return {
            "Photos": f"{run.dataset.title}, {count(len(run.dataset.labels), 'class')}",
            "Backbone": run.backbone_title,
            "Photos per class": ", ".join([*(f"{size:,}" for size in sorted(spec.sizes)), "all"]),
            "Trainings of each": count(spec.seeds, "seed"),
            "Learning rate": choices.lane_name(spec.learning_rate),
            "Steps": f"{spec.steps:,}",
            "Batch": settings.batch(spec.train_batch_size),
            "Device": spec.device.upper(),
            "Seed": str(spec.seed) if spec.seeds == 1 else f"{spec.seed} to {spec.seed + spec.seeds - 1}",
        }

    def more_settings(self, run: Run[LearningCurveSpec]) -> dict[str, str]:
        spec = run.spec
        return {
            "Validation and testing": f"{spec.validation_percentage}% and {spec.testing_percentage}% of the photos",
            "Folder": settings.OwnPath(run.dataset.root),
        }

    def results(self, run: Run[LearningCurveSpec], lab: Settings, height: int) -> Iterator[Block]:
        rows = photo_counts.rows(run)
        if not rows:
            return
        yield results.verdict(photo_counts.verdict(rows))
        curve = learning_curve_charts.Curve("", 0, rows)
        yield Chart(
            lambda dark: learning_curve_charts.accuracy_against_photos([curve], height, dark),
            learning_curve_charts.chart_in_words([curve]),
            "Accuracy against photos per class",
            "The band is one standard deviation over the seeds, faint points are the seeds.",
            "learning_curve",
            [
                {"size": point.size, "seed": point.seed, "photos": point.photos, "correct": point.correct}
                | {"tested": point.test_n}
                for point in run.story.every(LearningCurvePoint)
            ],
            "curve",
        )
        yield Table(tables.sizes(rows), "Results", "Gain: against the row before, with its 95 % interval.", "results")

    def side(self, run: Run[LearningCurveSpec], side: Side) -> Side:
        """With all photos, where that was measured."""
        found = photo_counts.rows(run)
        last = found[-1] if found and found[-1].size == ALL_PHOTOS else None
        return replace(side, tested=Tested(last.mean, *last.tested, last.test_n)) if last else side

    def lane_title(self, run: Run[LearningCurveSpec], lane: str) -> str:
        return run.backbone_title

    def seconds(self, known: Sequence[RunRow], spec: LearningCurveSpec, photos: int) -> float | None:
        """Bottlenecks that are not kept yet come on top."""
        return forecast.seconds(known, spec, (len(spec.sizes) + 1) * spec.seeds)

    def guess(self, spec: LearningCurveSpec, photos: int) -> float:
        return guess_of_photos(spec.backbone, photos)


KIND = LearningCurve
