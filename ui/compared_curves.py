"""Curves of several runs of a kind in one chart, a colour for each run."""

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from engine import kinds
from engine.charts import curve_charts
from engine.kinds import curve_lines
from engine.kinds.compared import Side
from engine.words import count, join, plain
from ui import lab

HEIGHT = 300  # pixels of a chart


def lines(group: Sequence[Side], names: Sequence[str], split: str, measure: str, axis: str, weight: float) -> None:
    """The curve of each run's best lane; `names` of all runs on the page, in the order of their colours."""
    drawn = [
        replace(line, name=side.name, number=side.number)
        for side in group
        for line in curve_lines.lines(side.run.story, {side.lane: side.name}, split, measure, axis, weight)
    ]
    chart(group, drawn, names, split, measure, axis)


def chart(
    group: Sequence[Side], drawn: list[curve_charts.Line], names: Sequence[str], split: str, measure: str, axis: str
) -> None:
    without = [side.name for side in group if side.name not in [line.name for line in drawn]]
    if without:
        st.caption(f"{plain(join(without))}: no {split} curve of that.")
    if not drawn:
        return
    in_epochs = kinds.of(group[0].run).steps_are_epochs and axis == curve_charts.STEPS
    spec = curve_charts.curves(
        drawn,
        names,
        measure=measure,
        axis=curve_charts.EPOCHS if in_epochs else axis,
        end=max(line.x[-1] for line in drawn),
        height=HEIGHT,
        dark=lab.is_dark(),
        narrow=lab.is_phone(),
    )
    what = "accuracy" if measure == curve_charts.ACCURACY else "loss"
    ends = curve_charts.networks_in_words(drawn, measure)
    alt = f"{split.capitalize()} {what} of {count(len(drawn), 'run')} at their ends: {ends}"
    st.vega_lite_chart(spec, width="stretch", key=f"curves_{group[0].run.kind}", alt=alt)
