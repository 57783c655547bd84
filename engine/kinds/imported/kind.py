"""Curves that were imported from TensorBoard's files."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from engine.charts import curve_charts
from engine.contract.kinds.imported import ImportedSpec
from engine.kinds import results, settings
from engine.kinds.blocks import Block
from engine.kinds.kind import Kind
from engine.kinds.rows import RunRow
from engine.runs import Run
from engine.settings import Settings


class Imported(Kind[ImportedSpec]):
    title = "Imported"
    contents = "copies of the event files"
    stays = "The folder that it was imported from stays."
    not_compared = ("None of these curves is called better:", "nobody knows which photos they were measured on.")

    def row(self, run: Run[ImportedSpec], row: RunRow, lane: str, spent: Mapping[str, float]) -> RunRow:
        return replace(row, short=run.spec.title, data=run.spec.title, lanes=tuple(run.lanes))

    def settings(self, run: Run[ImportedSpec]) -> dict[str, str]:
        steps = {lane: max(curve.step) for (lane, _), curve in run.story.curves.items() if curve.step}
        return {
            "Imported from": settings.OwnPath(run.spec.source),
            "Lanes": ", ".join(run.lanes),
            "Last step": ", ".join(f"{step:,}" for step in dict.fromkeys(steps.values())),
        }

    def results(self, run: Run[ImportedSpec], lab: Settings, height: int) -> Iterator[Block]:
        last = max((max(curve.step) for curve in run.story.curves.values() if curve.step), default=1)
        yield from results.curves(run, curve_charts.STEPS, last, height)

    def measured_on(self, run: Run[ImportedSpec]) -> tuple[Any, ...] | None:
        return None


KIND = Imported
