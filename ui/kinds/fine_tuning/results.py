"""What a fine-tuning run shows below its card: what unfreezing changed, curves, and tabs."""

from collections.abc import Sequence

import streamlit as st

from engine import runs
from engine.charts import curve_charts, fine_tuning_charts
from engine.contract import events
from engine.contract.kinds.fine_tuning import FineTuned, FineTuningResult
from engine.kinds import curve_lines
from engine.kinds import settings as run_settings
from engine.kinds.fine_tuning import depths as fine_tuning
from engine.kinds.fine_tuning import tables
from engine.kinds.fine_tuning.depths import DepthRow
from engine.stats import confusion
from engine.words import count, duration
from ui import exports, lab, parts, sorting, tensorboard_panel
from ui.choices import foresight
from ui.machine import machine_tab

PAGE = "pages/retraining.py"
CONTENTS = "SavedModel, frozen graph and TFLite of the depth that was kept, TFLite of the others, weights, as one zip"
CONTENTS_CANCELLED = "The weights of the depths that were finished, and the labels, as one zip"
LOST = "Bottlenecks are kept; the depths learn from the beginning when it is started again."


def show(run: runs.Run) -> None:
    for diverged in run.story.diverged.values():
        st.warning(
            f"**{run.titles.get(diverged.lane, diverged.lane)}**: {diverged.why}", icon=":material/trending_down:"
        )
    rows = fine_tuning.rows(run)
    if rows and not run.is_active:
        found = fine_tuning.verdict(rows)
        st.markdown(f"**{found.conclusion}** {found.reasons}")
    if run.story.curves or run.is_active:
        _curves(run)
    parts.tabs(
        {
            "Results": lambda: _results(run, rows),
            "Confusion": lambda: _confusion(run, rows),
            "Files": lambda: _files(run),
            "Machine": lambda: machine_tab.show(run),
            "TensorBoard": lambda: tensorboard_panel.show(run),
            "Settings": lambda: _settings(run),
            "Log": lambda: parts.log(run),
        },
        "tune_tabs",
    )


def time_left(run: runs.Run, now: float) -> str:
    """Of the stage it is in; "estimating" where the depth that learns has not begun its first epoch."""
    stage = run.story.stages[-1]
    if stage.name != events.TRAINING:
        return parts.time_left(stage, now)
    left, known = 0.0, []
    for lane in run.lanes:
        tuned, curve = (
            run.story.by_lane(FineTuned).get(lane),
            run.story.curves.get((lane, curve_charts.TRAINING), runs.Curve()),
        )
        learned = tuned.epochs if tuned else len(curve.step)
        if learned and curve.seconds:
            known.append(curve.seconds[-1] / learned)
        if tuned is None:
            left += (run.spec.epochs - learned) * (known[-1] if known else 0.0)
    unknown = [lane for lane in run.lanes if not run.story.curves.get((lane, curve_charts.TRAINING))]
    return "estimating" if unknown or not known else f"{duration(max(1.0, left))} left"


def note(run: runs.Run, now: float) -> str:
    """The quiet words beside the name of a run that has begun: which depth learns."""
    if run.story.stages[-1].name != events.TRAINING:
        return time_left(run, now)
    begun = [lane for lane in run.lanes if lane in run.story.lanes_started]
    return f"depth {max(1, len(begun))} of {len(run.lanes)} · {time_left(run, now)}"


def _curves(run: runs.Run) -> None:
    with st.container(horizontal=True, gap="small", key="chart_controls"):
        split = parts.choice("Photos", ["Validation", "Training"], "tune_split").lower()
        measure = parts.choice("Measure", ["Accuracy", "Loss"], "tune_measure")
        axis = parts.choice("Axis", ["Epochs", "Seconds"], "tune_axis")
    field = curve_charts.ACCURACY if measure == "Accuracy" else curve_charts.LOSS
    x = curve_charts.SECONDS if axis == "Seconds" else curve_charts.STEPS
    drawn = curve_lines.lines(run.story, run.titles, split, field, x, 0.0)  # a point an epoch: nothing to smooth
    end = max((line.x[-1] for line in drawn), default=1.0) if x == curve_charts.SECONDS else run.spec.epochs
    chart = curve_charts.curves(
        drawn,
        list(run.titles.values()),
        measure=field,
        axis=curve_charts.SECONDS if x == curve_charts.SECONDS else curve_charts.EPOCHS,
        end=max(end, 0.001),
        height=300,
        dark=lab.is_dark(),
        narrow=lab.is_phone(),
    )
    figures = "growing as the run goes on." if run.is_active else curve_charts.curves_in_words(drawn, field, x)
    alt = f"{split.capitalize()} {measure.lower()} of {count(len(drawn), 'depth')}, {figures}"
    st.vega_lite_chart(chart, width="stretch", key="curves", alt=alt)


# --- tabs ------------------------------------------------------------------------------------------------------------


def _results(run: runs.Run, rows: Sequence[DepthRow]) -> None:
    if not rows:
        st.caption("Each depth has a row here once it was tested." if run.is_active else "No depth was tested.")
        return
    st.caption(
        f"All depths began with the same head and met the same batches. Accuracy is that of the "
        f"{count(rows[0].test_n, 'testing photo')}, with its 95 % interval."
    )
    table = tables.depths(rows)
    base = run.titles[fine_tuning.base_lane(run)].lower()
    columns = {name: st.column_config.Column(alignment="right") for name in table[0] if name != "Learns"}
    columns["Change"] = st.column_config.Column(
        alignment="right", width="medium", help=f"Against {base}, on the same photos, with its 95 % interval."
    )
    columns["Parameters"] = st.column_config.Column(alignment="right", help="That learned, the head's included.")
    columns["Peak memory"] = st.column_config.Column(
        alignment="right", help="Of the depth's own process, TensorFlow included; on a GPU of its memory."
    )
    columns["At once"] = st.column_config.Column(
        alignment="right", help="Photos whose gradients are computed at once; those of a batch are added up."
    )
    st.dataframe(
        sorting.by_number(table), hide_index=True, height="content", placeholder="–",
        column_config=columns, key="depth_table",
        alt="; ".join(f"{row['Learns']}: {row['Test accuracy']}, {row['Peak memory']}" for row in table) + ".",
    )  # fmt: skip
    compared = [row for row in rows if row.against]
    if compared:
        st.markdown(f"**Change of accuracy against {base}**")
        st.vega_lite_chart(
            fine_tuning_charts.changes(compared, lab.is_dark()),
            width="stretch",
            key="change_chart",
            alt="; ".join(f"{row.title}: {row.against}" for row in compared) + ".",
        )


def _confusion(run: runs.Run, rows: Sequence[DepthRow]) -> None:
    predictions = run.predictions()
    known = {row.lane: row.title for row in rows if predictions and row.lane in predictions["lanes"]}
    if predictions is None or not known:
        st.caption("The confusion matrix arrives once a depth was tested." if run.is_active else "No depth was tested.")
        return
    lane = st.segmented_control(
        "Depth", list(known), default=next(iter(known)), required=True, format_func=known.__getitem__,
        key=f"tune_confusion_{run.id}",
    )  # fmt: skip
    labels = run.dataset.labels
    counts = confusion(predictions["truth"], predictions["lanes"][lane]["predicted"], len(labels))
    parts.confusion_chart(counts, labels, f"testing photos right, {known[lane].lower()}", "photo")
    parts.class_table(counts, labels)


def _files(run: runs.Run) -> None:
    """What was exported of the depth that was kept, and that the others are there too."""
    kept = run.titles.get(run.story.kept, "")
    if kept and run.story.exported:
        others = (
            "; every other depth is a TFLite file in the zip and a model in the Playground"
            if len(run.lanes) > 1
            else ""
        )
        st.markdown(f"Of **{kept.lower()}**, kept by its validation split{others}.")
    exports.show(run)


def _settings(run: runs.Run) -> None:
    result, rows = run.story.last(FineTuningResult), run_settings.everything(run)
    if result:
        rows["Photos used"] = (
            f"{result.training:,} training, {result.validation:,} validation, {result.testing:,} testing"
        )
        rows["Runtime"] = result.runtime
    parts.settings_table(rows | foresight.rows(run))
    parts.time_spent(run)
