"""Batch classification: what one model says of many pictures."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from engine.contract import events
from engine.contract.kinds.batch_classification import BatchClassificationSpec
from engine.kinds import results, settings
from engine.kinds.batch_classification import many_pictures
from engine.kinds.blocks import Block, Picture, Pictures, Text
from engine.kinds.compared import Side, Tested
from engine.kinds.kind import Kind
from engine.kinds.rows import RunRow
from engine.runs import Run
from engine.settings import Settings
from engine.words import count, percent


class BatchClassification(Kind[BatchClassificationSpec]):
    title = "Many pictures"
    stays = "The pictures stay, except those that were uploaded for this run alone."
    judged_by_test = True

    def row(self, run: Run[BatchClassificationSpec], row: RunRow, lane: str, spent: Mapping[str, float]) -> RunRow:
        judged = many_pictures.judged(many_pictures.rows(run)) if run.state in events.FINAL else None
        return replace(
            row,
            short=f"{run.dataset.title} · {count(len(run.dataset.photos), 'picture')}",
            data=run.dataset.title,
            models=(run.spec.model_title,),
            accuracy=judged.share if judged else None,
            contents=f"the answers about {count(len(run.dataset.photos), 'picture')}",
        )

    def settings(self, run: Run[BatchClassificationSpec]) -> dict[str, str]:
        return {
            "Pictures": f"{run.dataset.title}, {count(len(run.dataset.photos), 'picture')}",
            "Model": run.spec.model_title,
            "Device": run.spec.device.upper(),
        }

    def more_settings(self, run: Run[BatchClassificationSpec]) -> dict[str, str]:
        return {"Folder": settings.OwnPath(run.dataset.root), "Model's key": run.spec.model}

    def results(self, run: Run[BatchClassificationSpec], lab: Settings, height: int) -> Iterator[Block]:
        rows = many_pictures.rows(run)
        if not rows:
            return
        yield Text(many_pictures.headline(rows))
        if any(row.known for row in rows):
            counts, names = many_pictures.confusion(rows)
            yield from results.confusion_blocks(counts, names, "picture", "")
        wrong = sorted((row for row in rows if row.is_right is False), key=lambda row: -row.top[0][1])
        shown = []
        for row in wrong[: results.HARDEST]:
            words = f"{row.known} → {row.top[0][0]} {percent(row.top[0][1])}"
            if picture := results.thumbnail(run.dataset.root, row.file, lab):
                shown.append(Picture(picture, words, f"{row.file}: {words}"))
        if shown:
            yield Pictures(shown, "Wrong, surest first")

    def side(self, run: Run[BatchClassificationSpec], side: Side) -> Side:
        found = many_pictures.judged(many_pictures.rows(run))
        return replace(side, tested=Tested(found.share, found.low, found.high, found.n)) if found else side

    def lane_title(self, run: Run[BatchClassificationSpec], lane: str) -> str:
        return run.spec.model_title


KIND = BatchClassification
