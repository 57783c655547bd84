"""What a learning curve shows below its card: how many photos are enough, the curve, and tabs."""

from collections.abc import Sequence

import streamlit as st

from engine import runs
from engine.charts import learning_curve_charts
from engine.contract import events
from engine.contract.kinds.learning_curve import LearningCurvePoint, LearningCurveResult
from engine.kinds import settings as run_settings
from engine.kinds.compared import Side
from engine.kinds.learning_curve import photo_counts as learning_curve
from engine.kinds.learning_curve import tables
from engine.kinds.learning_curve.photo_counts import SizeRow
from engine.words import count
from ui import compared_curves, lab, parts, sorting
from ui.machine import machine_tab

PAGE = "pages/retraining.py"
CONTENTS = CONTENTS_CANCELLED = ""  # there is nothing to download
LOST = "The sizes that were measured are below, and bottlenecks are kept."
HEIGHT = 340  # pixels of the chart


def show(run: runs.Run) -> None:
    parts.remarks(run)
    rows = learning_curve.rows(run)
    if rows and not run.is_active:
        found = learning_curve.verdict(rows)
        st.markdown(f"**{found.conclusion}** {found.reasons}")
    if rows:
        curve = learning_curve_charts.Curve("", 0, rows)
        st.vega_lite_chart(
            learning_curve_charts.accuracy_against_photos([curve], HEIGHT, lab.is_dark()),
            width="stretch",
            key="learning_curve",
            alt=f"Test accuracy against photos per class: {learning_curve_charts.chart_in_words([curve])}",
        )
    elif run.is_active:
        parts.empty("The first size is being measured", "A point appears for each number of photos per class.", HEIGHT)
    parts.tabs(
        {
            "Results": lambda: _results(run, rows),
            "Machine": lambda: machine_tab.show(run),
            "Settings": lambda: _settings(run),
            "Log": lambda: parts.log(run),
        },
        "sizes_tabs",
    )


def time_left(run: runs.Run, now: float) -> str:
    return parts.time_left(run.story.stages[-1], now)


def note(run: runs.Run, now: float) -> str:
    """The quiet words beside the name of a run that has begun: how many trainings are over."""
    stage = run.story.stages[-1]
    if stage.name != events.TRAINING:
        return time_left(run, now)
    trainings = stage.total // max(1, run.spec.steps)
    at = min(trainings, len(run.story.every(LearningCurvePoint)) + 1)
    return f"training {at} of {trainings} · {time_left(run, now)}"


# --- tabs ------------------------------------------------------------------------------------------------------------


def _results(run: runs.Run, rows: Sequence[SizeRow]) -> None:
    if not rows:
        st.caption("Each size has a row here once it was measured." if run.is_active else "No size was measured.")
        return
    st.caption(
        f"Accuracy on the same {count(rows[0].test_n, 'testing photo')}, the mean of "
        f"{count(run.spec.seeds, 'training')}. In the chart the band is one standard deviation, faint points are the "
        "trainings."
    )
    table = tables.sizes(rows)
    columns = {name: st.column_config.Column(alignment="right") for name in table[0]}
    columns["Spread of seeds"] = st.column_config.Column(alignment="right", help="Standard deviation of the trainings")
    columns["Gain"] = st.column_config.Column(
        alignment="right", width="medium",
        help="Against the row before, seed by seed, with its 95 % interval over the seeds (Student's t)",
    )  # fmt: skip
    st.dataframe(
        sorting.by_number(table), hide_index=True, height="content", placeholder="–",
        column_config=columns, key="sizes_table",
        alt=f"{learning_curve.in_words(rows)}.",
    )  # fmt: skip


def _settings(run: runs.Run) -> None:
    result = run.story.last(LearningCurveResult)
    rows = run_settings.everything(run)
    if result:
        rows["Photos used"] = (
            f"{result.training:,} training, {result.validation:,} validation, {result.testing:,} testing"
        )
        rows["Bottlenecks"] = f"{result.cached:,} known, {result.computed:,} computed"
        if result.runtime:
            rows["Runtime"] = result.runtime
    parts.settings_table(rows)
    parts.time_spent(run)


def compare(group: Sequence[Side], names: Sequence[str]) -> None:
    """Accuracy against photos per class of several runs in one chart."""
    curves = [
        learning_curve_charts.Curve(side.name, side.number, rows)
        for side in group
        if (rows := learning_curve.rows(side.run))
    ]
    if curves:
        st.markdown("**Test accuracy against photos per class**")
        chart = learning_curve_charts.accuracy_against_photos(curves, compared_curves.HEIGHT, lab.is_dark())
        alt = learning_curve_charts.chart_in_words(curves)
        st.vega_lite_chart(chart, width="stretch", key="compared_photo_counts", alt=alt)
