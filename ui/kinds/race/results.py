"""What a retraining run shows below its card: verdict or figures, curves, and tabs."""

import streamlit as st

from engine import photos, runs
from engine.charts import curve_charts
from engine.contract import choices, events
from engine.contract.kinds.race import RaceResult
from engine.errors import EngineError
from engine.kinds import curve_lines, results
from engine.kinds import settings as run_settings
from engine.kinds.race import tables
from engine.kinds.race.curves import LaneRow, lane_rows, verdict
from engine.models import models, pictures
from engine.stats import confusion
from engine.words import count, duration, percent
from ui import exports, lab, parts, sorting, tensorboard_panel
from ui.choices import foresight, imported_curves
from ui.machine import machine_tab
from ui.playground import playground_answer
from ui.playground import playground_models as asking
from ui.playground.playground_pictures import Picture

PAGE = "pages/retraining.py"
CONTENTS = "Weights and labels of every lane, the SavedModel and TFLite file of the kept one, as one zip"
CONTENTS_CANCELLED = "Weights and labels of every lane up to where it stopped, as one zip"
LOST = "What it had computed is kept, so starting it again is quicker."
HARDEST = 24  # photos shown


def show(run: runs.Run) -> None:
    if run.spec.group:
        st.page_link(
            "pages/retraining.py",
            label="One half of a comparison: see both",
            icon=":material/compare_arrows:",
            query_params={"compare": run.spec.group},
        )
    parts.remarks(run)
    # The figures are there once a lane is chosen: they do not wait for the export, and its failure does not hide them.
    rows = lane_rows(run.story, run.lanes) if run.story.kept and run.state != events.CANCELLED else []
    if len(run.lanes) > 1 and rows:
        found = verdict(rows, run.predictions())
        st.markdown(f"**{found.conclusion}** {found.reasons}")
    elif rows:
        _metrics(run, rows[0])
    if run.story.curves or run.is_active:
        _curves(run)
    _tabs(run, rows)


def time_left(run: runs.Run, now: float) -> str:
    """Of the stage it is in, "46 s left"."""
    return parts.time_left(run.story.stages[-1], now)


def note(run: runs.Run, now: float) -> str:
    """The quiet words beside the name of a run that has begun."""
    stage = run.story.stages[-1]
    left, elapsed = time_left(run, now), run.story.last_t - stage.began
    through_backbone = stage.name == events.BOTTLENECKS or (
        stage.name == events.TRAINING and choices.is_distorted(run.spec)
    )
    if through_backbone and stage.done and elapsed > 1:
        return f"{stage.done / elapsed:.0f} photos/s · {left}"
    return left


# --- figures and curves ----------------------------------------------------------------------------------------------


def _metrics(run: runs.Run, row: LaneRow) -> None:
    interval = f"95 % interval {percent(row.test_low)} to {percent(row.test_high)}, {count(row.test_n, 'photo')}"
    reached = _first_reaching(run, row.lane, 0.85)
    columns = st.columns(4)
    columns[0].metric("Test accuracy", percent(row.test_accuracy), help=interval)
    columns[1].metric("Best validation", percent(row.best_validation_accuracy), help=f"At step {row.best_step:,}")
    columns[2].metric(
        "Time to 85%", duration(reached) if reached is not None else "–", help="Of training, on validation"
    )
    training = next(stage for stage in reversed(run.story.stages) if stage.name == events.TRAINING)
    columns[3].metric(
        "Training", duration((training.ended or 0) - training.began), help="Without bottlenecks and export"
    )


def _first_reaching(run: runs.Run, lane: str, accuracy: float) -> float | None:
    curve = run.story.curves.get((lane, curve_charts.VALIDATION), runs.Curve())
    return next((s for s, value in zip(curve.seconds, curve.accuracy, strict=True) if value >= accuracy), None)


def _curves(run: runs.Run) -> None:
    race = len(run.lanes) > 1
    with st.container(horizontal=True, gap="small", key="chart_controls"):
        split, measure, axis, weight = parts.curve_controls(len(run.lanes))
        other = imported_curves.choose()
    drawn = curve_lines.lines(run.story, run.titles, split, measure, axis, weight)
    end = curve_lines.x_end(run.story, run.spec.steps, axis)
    compared = imported_curves.line(other, run, split, measure, axis, weight)
    if compared is not None:
        drawn, end = [*drawn, compared], max(end, compared.x[-1])
    height = 350 if race else 300 if run.state == events.DONE else 440
    chart = curve_charts.curves(
        drawn,
        list(run.titles.values()),
        measure=measure,
        axis=axis,
        end=end,
        height=height,
        dark=lab.is_dark(),
        narrow=lab.is_phone(),
    )
    # The figures are in the words once they rest: new words make the browser build the chart anew.
    figures = "growing as the run goes on." if run.is_active else curve_charts.curves_in_words(drawn, measure, axis)
    what = "accuracy" if measure == curve_charts.ACCURACY else "loss"
    alt = f"{split.capitalize()} {what} of {count(len(drawn), 'lane')}, {figures}"
    st.vega_lite_chart(chart, width="stretch", key="curves", alt=alt)
    if len(run.lanes) > curve_charts.SHOWN_LANES:
        rest = ", ".join(list(run.titles.values())[curve_charts.SHOWN_LANES :])
        st.caption(f"The chart shows the first six lanes; {rest} are in the table.")


# --- tabs ------------------------------------------------------------------------------------------------------------


def _tabs(run: runs.Run, rows: list[LaneRow]) -> None:
    draw = {
        "Results": lambda: _results(run, rows),
        "Try it": lambda: _try_it(run),
        "Confusion": lambda: _confusion(run, rows),
        "Hardest photos": lambda: _hardest(run, rows),
        "Files": lambda: exports.show(run),
        "Machine": lambda: machine_tab.show(run),
        "TensorBoard": lambda: tensorboard_panel.show(run),
        "Settings": lambda: _settings(run),
        "Log": lambda: parts.log(run),
    }
    if not run.can_classify or run.state != events.DONE:
        del draw["Try it"]
    parts.tabs(draw, "run_tabs")


def _results(run: runs.Run, rows: list[LaneRow]) -> None:
    if not rows:
        parts.waiting(run, "The table of the race arrives" if len(run.lanes) > 1 else "Test accuracy per class arrives")
    elif len(run.lanes) > 1:
        _race_table(rows)
    else:
        _class_table(run, rows[0].lane)


def _race_table(rows: list[LaneRow]) -> None:
    # Words first: on a phone a table's own buttons lie over what is above it, and that would be the tabs.
    st.caption("Ordered by validation accuracy at the end. All lanes shared every step, so seconds belong to the race.")
    table = tables.lanes(rows)
    right = {name: st.column_config.Column(alignment="right") for name in table[0] if name != "Learning rate"}
    right["Test accuracy"] = st.column_config.Column(
        alignment="right", width="medium", help="With its 95 % Wilson interval. Reported, never chosen by."
    )
    right["Plateau at step"] = st.column_config.Column(
        alignment="right",
        help="From here on the 0.9-smoothed validation accuracy stays within 1 pt of its last 500 steps.",
    )
    right["Spread"] = st.column_config.Column(
        alignment="right", help="Standard deviation of the validation accuracy over the last 500 steps."
    )
    st.dataframe(
        sorting.by_number(table),
        hide_index=True,
        height="content",
        placeholder="–",
        column_config=right,
        key="race_table",
        alt=tables.in_words(rows),
    )


def _class_table(run: runs.Run, lane: str) -> None:
    predictions = run.predictions()
    if predictions is None:
        st.caption("The predictions of this run are gone.")
        return
    labels = run.dataset.labels
    parts.class_table(confusion(predictions["truth"], predictions["lanes"][lane]["predicted"], len(labels)), labels)


def _lane_choice(run: runs.Run, rows: list[LaneRow], key: str) -> str:
    if len(run.lanes) == 1:
        return rows[0].lane
    lanes = [row.lane for row in rows]
    return st.segmented_control(
        "Lane", lanes, default=lanes[0], required=True, format_func=lambda lane: f"lr {lane}", key=f"{key}_{run.id}"
    )


def _confusion(run: runs.Run, rows: list[LaneRow]) -> None:
    predictions = run.predictions()
    if not rows or predictions is None:
        parts.waiting(run, "The confusion matrix arrives")
        return
    lane = _lane_choice(run, rows, "confusion_lane")
    labels = run.dataset.labels
    counts = confusion(predictions["truth"], predictions["lanes"][lane]["predicted"], len(labels))
    parts.confusion_chart(counts, labels, f"testing photos right at lr {lane}", "photo")
    if len(run.lanes) > 1:
        _class_table(run, lane)


def _hardest(run: runs.Run, rows: list[LaneRow]) -> None:
    predictions = run.predictions()
    if not rows or predictions is None:
        parts.waiting(run, "Misclassified photos arrive")
        return
    lane = _lane_choice(run, rows, "hardest_lane")
    wrong = results.wrong_photos(predictions, lane)
    if not wrong:
        st.caption(f"Every one of the {len(predictions['truth']):,} testing photos is right.")
        return
    st.caption(f"{len(wrong):,} of {len(predictions['truth']):,} testing photos are wrong, the surest errors first.")
    labels, gone = run.dataset.labels, []
    with st.container(horizontal=True, gap="small", key="hardest"):
        for score, file, true, predicted in wrong[:HARDEST]:
            words = f"{labels[true]} → {labels[predicted]} {percent(score)}"
            found = parts.thumbnail(f"{run.dataset.root}/{file}", 96)
            if found is None:
                gone.append(f"{file} ({words})")
            else:
                picture, width = found
                with st.container(width=max(width, 130), gap=None, horizontal_alignment="center"):
                    st.image(picture, width=width, alt=f"{file}: {words}")
                    st.caption(words, text_alignment="center")
    if gone:
        st.caption(f"No longer readable at their place: {'; '.join(gone)}.")


def _settings(run: runs.Run) -> None:
    result = run.story.last(RaceResult)
    rows = run_settings.everything(run)
    if result:
        rows |= {
            "Photos used": f"{result.images:,}: {result.training:,} training, "
            f"{result.validation:,} validation, {result.testing:,} testing",
            "Bottlenecks": f"{result.computed:,} computed, {result.cached:,} known already",
            "Runtime": result.runtime,
            "Export checked": f"{count(result.export_photos, 'photo')} in a fresh process, "
            f"probabilities differ by at most {result.export_difference:.1e}",
        }
    parts.settings_table(rows | foresight.rows(run))
    attribution = attribution_of(run.dataset.root)
    if attribution:
        st.caption(f"Photos: {attribution}.")
    parts.time_spent(run)


def attribution_of(root: str) -> str:
    """Whose photos a built-in set are; "" for the visitor's own."""
    found = [one for one in photos.sources(lab.load_settings()) if one.root and str(one.root) == root]
    return found[0].attribution if found else ""


# --- try it ----------------------------------------------------------------------------------------------------------


def _try_it(run: runs.Run) -> None:
    st.page_link(
        "pages/playground.py",
        label="Open in the Playground",
        icon=":material/arrow_forward:",
        icon_position="right",
        query_params={"model": run.id},
    )
    given = st.file_uploader("Drop one photo", key="try_photo", max_upload_size=pictures.UPLOAD_MEGABYTES)
    if given is None:
        st.caption("The kept lane answers with its five likeliest classes.")
        return
    picture = Picture(given.name, given.getvalue())
    try:
        pictures.check(picture.name, picture.data)
        model = models.find(lab.load_settings(), run.id)
        card, answer = asking.card(model), asking.answer(model, picture)
    except EngineError as error:
        st.error(f"**{given.name} could not be classified.** {error}", icon=":material/error:")
        return
    left, right = st.columns([1, 1.8], gap="medium")
    with left:
        playground_answer.seen(answer, picture, card)
    with right:
        playground_answer.said(model, card, picture, answer)
        playground_answer.took(answer)
