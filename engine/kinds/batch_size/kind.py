"""Batch size: which ones fit into the memory, and how fast each is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from engine.charts import fine_tuning_charts
from engine.contract import choices
from engine.contract.kinds.batch_size import BatchSizeResult, BatchSizeSpec, BatchTried
from engine.kinds import figures, results
from engine.kinds.batch_size import batch_sizes, forecast, tables
from engine.kinds.blocks import Block, Chart, Table
from engine.kinds.forecast import STARTING
from engine.kinds.kind import Kind
from engine.kinds.rows import RunRow
from engine.runs import Run
from engine.settings import Settings


class BatchSize(Kind[BatchSizeSpec]):
    title = "Batch size"
    contents = "the sizes that were tried"
    stays = "The backbone stays."
    figures = figures.concluded(batch_sizes.recommend)
    block_ids = ("memory", "speed", "sizes")

    def row(self, run: Run[BatchSizeSpec], row: RunRow, lane: str, spent: Mapping[str, float]) -> RunRow:
        return replace(
            row,
            models=(run.backbone_title,),
            backbone=run.spec.backbone,
            took=forecast.Took(run.spec.blocks, len(run.story.every(BatchTried))),
        )

    def settings(self, run: Run[BatchSizeSpec]) -> dict[str, str]:
        spec = run.spec
        return {
            "Backbone": run.backbone_title,
            "Blocks that learn": choices.depth_title(spec.blocks),
            "Tried up to": f"{spec.largest:,}",
            "Memory limit": f"{spec.memory_limit:,} MB" if spec.memory_limit else "what is free",
            "Device": spec.device.upper(),
        }

    def more_settings(self, run: Run[BatchSizeSpec]) -> dict[str, str]:
        return {"Pictures": "noise, of the backbone's size"}

    def results(self, run: Run[BatchSizeSpec], lab: Settings, height: int) -> Iterator[Block]:
        taken, tried = batch_sizes.recommend(run), batch_sizes.tried(run.story)
        if taken:
            yield results.verdict(taken)
        if not tried:
            return
        result = run.story.last(BatchSizeResult)
        limit = result.memory_limit_bytes if result else 1_000_000 * run.spec.memory_limit

        def chart(what: str, title: str) -> Chart:
            return Chart(
                lambda dark: fine_tuning_charts.against_batch(
                    tried, what, limit, taken.batch_size if taken else 0, dark
                ),
                "; ".join(batch_sizes.in_words(each) for each in tried) + ".",
                f"{title} against the batch size",
                id=what,
            )

        yield chart("memory", "Memory")
        yield chart("speed", "Speed")
        yield Table(tables.sizes(tried), "Sizes that were tried", id="sizes")

    def fits(self, asked: Any, spec: BatchSizeSpec) -> bool:
        return spec.blocks == (asked.blocks[0] if asked.blocks else self.usual.blocks)

    def asked_for(self, asked: Any) -> dict[str, Any]:
        return {"blocks": asked.blocks[0]} if asked.blocks else {}

    def seconds(self, known: Sequence[RunRow], spec: BatchSizeSpec, photos: int) -> float | None:
        found = forecast.expected(known, spec)
        return found.seconds if found else None

    def guess(self, spec: BatchSizeSpec, photos: int) -> float:
        return 8 * STARTING


KIND = BatchSize
