"""Which imported curve to draw over those of a run."""

import os
from dataclasses import dataclass

import streamlit as st

from engine import runs
from engine.charts import curve_charts
from engine.kinds import curve_lines
from ui import lab

NAME_LIMIT = 24  # letters of a label at the right edge of a chart


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
