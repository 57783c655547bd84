"""The tab Machine of a run: what the machine did meanwhile, below the run's curves on the same time axis."""

import math

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from engine import kinds, runs
from engine.charts import curve_charts, device_charts
from engine.charts.device_charts import Band
from engine.contract import events
from engine.kinds import curve_lines
from engine.words import duration, percent
from ui import lab
from ui.machine import device_tabs

LAST_SECONDS = 60.0  # of a run that failed, whose memory is shown


def show(run: runs.Run) -> None:
    readings = device_tabs.run_readings(run.id)
    stages = run.story.stages
    if not readings or not stages:
        if run.is_active:
            st.caption("Load, memory, temperature and power are drawn here from the run's first second on.")
        else:
            st.caption("Nobody read the device during this run: it ended within a second, or the lab was older.")
        return
    began, ended = stages[0].began, max(run.story.last_t, stages[-1].ended or 0.0)
    axis = device_charts.of_a_run(began, ended)
    bands = [Band(stage.name, run.title, stage.began, stage.ended or ended) for stage in stages]
    during = [reading for reading in readings if began - 1 <= reading.t <= ended + 1]
    shown = device_charts.present(during)
    if not during or not shown:
        st.caption("The run was too short for a reading.")
        return
    column = st.container(gap="small")
    with_curve = _curve(run, bands, axis, column)
    for number, sensor in enumerate(shown):
        values = [value for reading in during if (value := sensor.value(reading)) is not None]
        left, right = column.columns([1, 5.6], vertical_alignment="center")
        with left.container(gap=None):
            most = sensor.words(max(values))
            mean = sensor.words(sum(values) / len(values))
            st.metric(sensor.title, mean)
            st.caption(f"mean, at most {most}")
        first, last = number == 0 and not with_curve, number == len(shown) - 1
        chart = device_charts.strip(sensor, during, bands, axis, lab.is_dark(), first=first, last=last)
        # Words that change make the browser build the chart anew.
        figures = "growing as the run goes on." if run.is_active else f"{mean} on average, at most {most}."
        alt = f"{sensor.title} during the run: {figures}"
        right.vega_lite_chart(chart, width="stretch", key=f"machine_{sensor.name}", alt=alt)
    st.caption(
        f"The whole machine over {duration(ended - began)}, read about once a second, other programs included. "
        "Shaded: the run's stages."
    )


def show_memory(run: runs.Run) -> None:
    """The memory in the last minute of a run that ran out of it or died without a word; nothing without readings."""
    error, stages = run.story.error, run.story.stages
    if not stages or not (run.state == events.LOST or (error and error.code == "out_of_memory")):
        return
    ended = run.story.last_t
    axis = device_charts.of_a_run(max(stages[0].began, ended - LAST_SECONDS), ended + 1)
    during = [each for each in device_tabs.run_readings(run.id) if axis.origin <= each.t <= axis.origin + axis.high]
    memory = next((sensor for sensor in device_charts.present(during) if sensor.name == "memory"), None)
    if memory is None or len(during) < 2:
        return
    bands = [Band(stage.name, run.title, stage.began, stage.ended or ended) for stage in stages]
    chart = device_charts.strip(memory, during, bands, axis, lab.is_dark(), first=True, last=True)
    most = memory.words(max(memory.value(reading) or 0.0 for reading in during))
    st.caption(
        f"Memory of the machine up to the end, {device_charts.caption(memory, during[-1], 0, '')}; most was {most}"
    )
    st.vega_lite_chart(chart, width="stretch", key="memory_of_failure", alt=f"Memory up to the end, at most {most}.")


def _curve(run: runs.Run, bands: list[Band], axis: device_charts.Axis, column: DeltaGenerator) -> bool:
    """Validation accuracy in the machine's time; False where there is none, as of networks that hold nothing out."""
    weight = 0.0 if kinds.of(run).whole_split else 0.9
    lines = curve_lines.lines(
        run.story, run.titles, curve_charts.VALIDATION, curve_charts.ACCURACY, curve_charts.CLOCK, weight
    )
    if not lines:
        return False
    best = max(lines, key=lambda line: line.shown[-1] if math.isfinite(line.shown[-1]) else 0.0)
    left, right = column.columns([1, 5.6], vertical_alignment="center")
    with left.container(gap=None):
        st.metric("Validation accuracy", percent(best.shown[-1]))
        st.caption(best.name if len(lines) == 1 else f"{best.name}, best of {len(lines)} lanes")
    chart = device_charts.curve_strip(lines, bands, axis, lab.is_dark())
    figures = "growing as the run goes on." if run.is_active else f"{percent(best.shown[-1])} at {best.name}."
    alt = f"Validation accuracy in the time of the machine: {figures}"
    right.vega_lite_chart(chart, width="stretch", key="machine_curve", alt=alt)
    return True
