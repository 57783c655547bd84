"""Curves that were imported: what such a run shows below its card, and one of them beside those of another run."""

import os
from dataclasses import dataclass

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

NAME_LIMIT = 24  # letters of a label at the right edge of a chart


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


# --- beside another run ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Other:
    """One curve to compare with."""

    run_id: str
    lane: str
    name: str  # for people


def choose() -> Other | None:
    """The imported lane that the visitor compares with; asks only where something was imported."""
    others = [
        Other(row.id, lane, row.short if len(row.lanes) == 1 else f"{row.short} · {lane}")
        for row in lab.rows()
        for lane in row.lanes
    ]
    if not others:
        return None
    return st.selectbox(
        "Compare with",
        others,
        index=None,
        format_func=lambda other: other.name,
        placeholder="Compare with",
        key="compare_with",
        label_visibility="collapsed",
        width=220,
    )


def line(
    other: Other | None, run: runs.Run, split: str, measure: str, axis: str, weight: float
) -> curve_charts.Line | None:
    """Its line for the chart of another run; None, and why, where it has none."""
    if other is None:
        return None
    folder = lab.home().run(other.run_id)
    try:
        stamp = os.stat(folder.events)
    except OSError:
        return None  # deleted just now
    story = _story(lab.home().path, other.run_id, stamp.st_size, stamp.st_mtime_ns)
    name = other.name if len(other.name) <= NAME_LIMIT else f"{other.name[: NAME_LIMIT - 1]}…"
    if name in run.titles.values():
        name += " "  # a colour belongs to a name
    found = curve_lines.compared_line(story, other.lane, name, len(run.lanes), split, measure, axis, weight)
    if found is None:
        st.caption(f"{other.name} has no {split} curve of that.")
    return found


@st.cache_resource(max_entries=8, show_spinner=False)
def _story(home_path: str, run_id: str, size: int, changed: int) -> runs.Story:
    """Read once for all visitors; nobody changes it. `size` and `changed` of its events are part of the key."""
    return runs.open_run(lab.home(), run_id).story
