"""Curves that were imported: what such a run shows below its card, and one of them beside those of another run."""

import streamlit as st

from engine import runs
from engine.charts import curve_charts
from engine.kinds import curve_lines
from engine.kinds import settings as run_settings
from engine.words import count
from ui import lab, parts, tensorboard_panel

# What run_panel asks of every kind of run; an imported one is never at work, and there is nothing to download.
PAGE = "pages/retraining.py"
CONTENTS = CONTENTS_CANCELLED = LOST = ""


def show(run: runs.Run) -> None:
    with st.container(horizontal=True, gap="small", key="chart_controls"):
        split, measure, axis, weight = parts.curve_controls(len(run.lanes))
    drawn = curve_lines.lines(run.story, run.titles, split, measure, axis, weight)
    if not drawn:
        others = sorted({other for _, other in run.story.curves})
        st.caption(f"No {split} curve of this was imported: its files hold {' and '.join(others)}.")
    chart = curve_charts.curves(
        drawn,
        list(run.titles.values()),
        measure=measure,
        axis=axis,
        end=max((line.x[-1] for line in drawn), default=1.0),
        height=350,
        dark=lab.is_dark(),
        narrow=lab.is_phone(),
    )
    words = curve_charts.curves_in_words(drawn, measure, axis)
    alt = f"{split.capitalize()} curves of {count(len(drawn), 'lane')}, {words}"
    st.vega_lite_chart(chart, width="stretch", key="curves", alt=alt)
    parts.tabs(
        {
            "Settings": lambda: parts.settings_table(run_settings.everything(run)),
            "TensorBoard": lambda: tensorboard_panel.show(run),
        },
        "imported_tabs",
    )


def note(run: runs.Run, now: float) -> str:
    return ""


def time_left(run: runs.Run, now: float) -> str:
    return ""
