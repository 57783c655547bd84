"""One run, redrawn until it ends: state, stages, time left, curves, and what came out of it."""

import io
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import streamlit as st
from PIL import Image

from engine import photos, runs
from engine.contract import catalog, events, specs
from engine.curves import LaneRow, lane_rows, percent, verdict
from engine.errors import EngineError, PhotosError
from engine.metrics import confusion, per_class
from ui import charts, lab
from ui.words import age, count, duration

Colour = Literal["blue", "green", "red", "gray"]
BADGES: dict[str, tuple[str, str, Colour]] = {  # by state: word, icon, colour
    events.QUEUED: ("Queued", ":material/hourglass_empty:", "gray"),
    events.RUNNING: ("Running", ":material/play_arrow:", "blue"),
    events.DONE: ("Done", ":material/check:", "green"),
    events.FAILED: ("Failed", ":material/error:", "red"),
    events.CANCELLED: ("Cancelled", ":material/stop_circle:", "gray"),
    events.LOST: ("Lost", ":material/error:", "red"),
}
TABS = ["Results", "Try it", "Confusion", "Hardest photos", "Settings", "Log"]
SMOOTHING = {"Raw": 0.0, "Smooth 0.6": 0.6, "Smooth 0.9": 0.9}
HARDEST = 24  # photos shown
REFRESH_SECONDS = 0.5


def show(run_id: str) -> None:
    """The run with everything it has; redraws itself twice a second until the run ends. Raises RunNotFound."""
    run = lab.open_run(run_id)
    was_active = run.is_active

    def live() -> None:
        run = lab.open_run(run_id)
        if was_active and not run.is_active:
            st.rerun()  # the form comes back, the tables fill
        _draw(run)

    st.fragment(live, run_every=REFRESH_SECONDS if was_active else None)()


def card(run_id: str) -> None:
    """The panel alone, for Home; redraws itself while the run goes on."""

    def live() -> None:
        run = lab.open_run(run_id)
        if not run.is_active:
            st.rerun()
        _panel(run)

    st.fragment(live, run_every=REFRESH_SECONDS)()


def share(stage: runs.StageStory) -> float:
    """How much of a stage is done, 0..1."""
    if stage.ended is not None:
        return 1.0
    return min(1.0, stage.done / stage.total) if stage.total else 0.0


def time_left(stage: runs.StageStory, now: float) -> str:
    """ "46 s left"; "estimating" before 5 % and 5 s have passed; "finishing" where a stage cannot be counted."""
    if stage.name in (events.EVALUATING, events.EXPORTING):
        return "finishing"
    elapsed, done = now - stage.began, share(stage)
    if done < 0.05 or elapsed < 5:
        return "estimating"
    left = duration(max(1.0, elapsed * (1 - done) / done))
    return f"{left} left" if stage.name == events.TRAINING else f"{left} to training"


def _draw(run: runs.Run) -> None:
    _panel(run)
    _ending(run)
    _remarks(run)
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


# --- the card at the top ---------------------------------------------------------------------------------------------


def _panel(run: runs.Run) -> None:
    word, icon, colour = BADGES[run.state]
    with st.container(border=True, gap="small", key="run_panel"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            with st.container(horizontal=True, vertical_alignment="center", width="content", gap="small"):
                st.badge(word, icon=icon, color=colour)
                st.markdown(f"**{run.title}**", width="content")
                st.markdown(f":gray[{_note(run)}]", width="content")
            if run.is_active:
                st.button(
                    "Cancel",
                    key="cancel",
                    icon=":material/stop:",
                    on_click=_cancel,
                    args=(run.id,),
                    disabled=run.cancel_asked,
                )
            elif run.state == events.DONE:
                _download(
                    run, "Weights and labels of every lane, the SavedModel and TFLite file of the kept one, as one zip"
                )
        if run.state == events.RUNNING and run.story.stages:
            _bars(run)
        elif run.story.stages:
            st.caption(stage_line(run))


def _download(run: runs.Run, contents: str) -> None:
    st.download_button(
        "Download",
        data=lambda: runs.zip_artifacts(run),  # made when it is asked for
        file_name=f"{run.id}.zip",
        mime="application/zip",
        key="download",
        icon=":material/download:",
        type="tertiary",
        on_click="ignore",
        help=contents,
    )


def _cancel(run_id: str) -> None:
    lab.queue().cancel(run_id)


def _note(run: runs.Run) -> str:
    """The quiet words beside the run's name: how long it takes, took, or has to wait."""
    now = time.time()
    if run.is_active and run.cancel_asked:
        return "stopping"
    if run.state == events.QUEUED:
        ahead = lab.queue().ahead(run.id)
        if not ahead:
            return "starting"
        try:
            first = runs.open_run(lab.home(), ahead[0]).title
        except EngineError:
            return f"number {len(ahead) + 1} in line"
        return f"number {len(ahead) + 1} in line, behind {first}"
    if run.state == events.RUNNING:
        return _progress_note(run.story, now) if run.story.stages else "starting"
    took = duration(run.seconds) if run.seconds is not None else ""
    if run.state == events.DONE:
        return f"{took} in total · finished {_ago(run, now)}"
    if run.state == events.CANCELLED:
        return f"you stopped it after {took}" if took else "you stopped it before its turn"
    return f"stopped after {took} · {_ago(run, now)}" if took else f"stopped before its turn · {_ago(run, now)}"


def _progress_note(story: runs.Story, now: float) -> str:
    stage = story.stages[-1]
    left, elapsed = time_left(stage, now), story.last_t - stage.began
    if stage.name == events.BOTTLENECKS and stage.done and elapsed > 1:
        return f"{stage.done / elapsed:.0f} photos/s · {left}"
    return left


def _ago(run: runs.Run, now: float) -> str:
    passed = age(run.story.last_t, now)
    return "just now" if passed == "now" else passed


def _bars(run: runs.Run) -> None:
    begun = {stage.name: stage for stage in run.story.stages}
    current = run.story.stages[-1]
    if lab.is_phone():
        st.progress(share(current), text=_bar_words(current))
        names = [f"**{name}**" if name == current.name else name for name in events.RETRAIN_STAGES]
        st.caption(" → ".join(names))
        return
    for column, name in zip(st.columns(len(events.RETRAIN_STAGES), gap="small"), events.RETRAIN_STAGES, strict=True):
        with column:
            if name in begun:
                st.progress(share(begun[name]), text=_bar_words(begun[name]))
            else:
                st.progress(0.0, text=f":gray[{name}]")


def _bar_words(stage: runs.StageStory) -> str:
    if stage.ended is not None:
        return f"{stage.name} {duration(stage.ended - stage.began)}"
    if not stage.total:
        return f"**{stage.name}**"
    return f"**{stage.name}** {stage.done:,} / {stage.total:,}"


def stage_line(run: runs.Run) -> str:
    """ "Scanning 1 s → Bottlenecks 41 s → Training stopped at 1,480 / 4,000", ending where the run did."""
    parts = []
    for stage in run.story.stages:
        is_last = stage is run.story.stages[-1]
        if is_last and run.state != events.DONE:
            at = f" at {stage.done:,} / {stage.total:,}" if stage.total else ""
            parts.append(f"{stage.name} stopped{at}")
        else:
            parts.append(f"{stage.name} {duration((stage.ended or run.story.last_t) - stage.began)}")
    return " → ".join(parts)


# --- how it ended, and what it said on the way -----------------------------------------------------------------------


def _ending(run: runs.Run) -> None:
    if run.state == events.FAILED:
        error = run.story.error
        if error:
            st.error(f"**{error.message}** {error.hint}", icon=":material/error:")
        else:
            st.error("**The run failed and did not say why.** Its log has the last lines.", icon=":material/error:")
        _again(run, "primary")
        if tail := run.log_tail(12):
            st.code(tail, language=None, wrap_lines=True)
    elif run.state == events.LOST:
        st.error(
            "**The worker died without a word.** It was killed, ran out of memory, or the machine lost its power. "
            "What it had computed is kept, so starting it again is quicker.",
            icon=":material/error:",
        )
        _again(run, "primary")
        if tail := run.log_tail(12):
            st.code(tail, language=None, wrap_lines=True)
    elif run.state == events.CANCELLED:
        with st.container(horizontal=True, gap="small"):
            _again(run, "secondary")
            if os.path.isfile(run.folder.labels):
                _download(run, "Weights and labels of every lane up to where it stopped, as one zip")


def _again(run: runs.Run, kind: Literal["primary", "secondary"]) -> None:
    if st.button("Start again with these settings", key="again", type=kind, icon=":material/replay:"):
        try:
            st.query_params["run"] = lab.queue().start(run.spec, run.dataset)
        except EngineError as error:
            st.error(str(error))
        else:
            st.rerun()


def _remarks(run: runs.Run) -> None:
    for warning in run.story.warnings:
        st.warning(warning.message, icon=":material/info:")
    for diverged in run.story.diverged.values():
        st.warning(f"**lr {diverged.lane} diverged.** {diverged.why}", icon=":material/trending_down:")
    if skipped := run.story.skipped:
        with st.expander(f"{count(len(skipped), 'photo')} left out", type="compact", key="skipped"):
            listed = [f"- `{one.file}`: {one.why}" for one in skipped[:50]]
            more = [f"- and {len(skipped) - 50:,} more"] if len(skipped) > 50 else []
            st.markdown("\n".join(listed + more))


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
    training = next(stage for stage in run.story.stages if stage.name == events.TRAINING)
    columns[3].metric(
        "Training", duration((training.ended or 0) - training.began), help="Without bottlenecks and export"
    )


def _first_reaching(run: runs.Run, lane: str, accuracy: float) -> float | None:
    curve = run.story.curves.get((lane, charts.VALIDATION), runs.Curve())
    return next((s for s, value in zip(curve.seconds, curve.accuracy, strict=True) if value >= accuracy), None)


def _curves(run: runs.Run) -> None:
    race = len(run.lanes) > 1
    with st.container(horizontal=True, gap="small", key="chart_controls"):
        split = _choice("Photos", ["Validation", "Training"], "curve_split")
        measure = _choice("Measure", ["Accuracy", "Loss"], "curve_measure")
        axis = _choice("Axis", ["Steps", "Seconds"], "curve_axis")
        smoothing = list(SMOOTHING)
        usual = smoothing[2] if len(run.lanes) > 2 else smoothing[1]
        weight = _choice("Smoothing", smoothing, f"curve_smoothing_{len(run.lanes) > 2}", usual)
    measure_field = charts.ACCURACY if measure == "Accuracy" else charts.LOSS
    axis_field = charts.STEPS if axis == "Steps" else charts.SECONDS
    drawn = charts.lines(run.story, run.lanes, split.lower(), measure_field, axis_field, SMOOTHING[weight])
    end = charts.x_end(run.story, run.spec.steps, axis_field)
    height = 350 if race else 300 if run.state == events.DONE else 440
    chart = charts.curves(
        drawn,
        [f"lr {lane}" for lane in run.lanes],
        measure=measure_field,
        axis=axis_field,
        end=end,
        height=height,
        dark=lab.is_dark(),
        narrow=lab.is_phone(),
    )
    # The figures are in the words once they rest: new words make the browser build the chart anew.
    figures = (
        "growing as the run goes on." if run.is_active else charts.curves_in_words(drawn, measure_field, axis_field)
    )
    alt = f"{split} {measure.lower()} of {count(len(drawn), 'lane')}, {figures}"
    st.vega_lite_chart(chart, width="stretch", key="curves", alt=alt)
    if len(run.lanes) > charts.SHOWN_LANES:
        rest = ", ".join(f"lr {lane}" for lane in run.lanes[charts.SHOWN_LANES :])
        st.caption(f"The chart shows the first six lanes; {rest} are in the table.")


def _choice(label: str, options: list[str], key: str, default: str = "") -> str:
    return st.segmented_control(
        label,
        options,
        default=default or options[0],
        required=True,
        key=key,
        label_visibility="collapsed",
        persist_state="session",
    )


# --- tabs ------------------------------------------------------------------------------------------------------------


def _tabs(run: runs.Run, rows: list[LaneRow]) -> None:
    names = TABS if run.can_classify and run.state == events.DONE else [name for name in TABS if name != "Try it"]
    draw: dict[str, Callable[[], None]] = {
        "Results": lambda: _results(run, rows),
        "Try it": lambda: _try_it(run),
        "Confusion": lambda: _confusion(run, rows),
        "Hardest photos": lambda: _hardest(run, rows),
        "Settings": lambda: _settings(run),
        "Log": lambda: _log(run),
    }
    for name, tab in zip(names, st.tabs(names, key="run_tabs", on_change="rerun"), strict=True):
        if tab.open:
            with tab:
                draw[name]()


def _waiting(run: runs.Run, what: str) -> None:
    """Says when a tab will fill, or why it never will."""
    if run.is_active:
        st.caption(f"{what} after Evaluating.")
    else:
        st.caption("No test result: the run stopped before Evaluating.")


def _results(run: runs.Run, rows: list[LaneRow]) -> None:
    if not rows:
        _waiting(run, "The table of the race arrives" if len(run.lanes) > 1 else "Test accuracy per class arrives")
    elif len(run.lanes) > 1:
        _race_table(rows)
    else:
        _class_table(run, rows[0].lane)


def _race_table(rows: list[LaneRow]) -> None:
    table = [
        {
            "Learning rate": f"lr {row.lane}" + (" · kept" if row.kept else ""),
            "Test accuracy": f"{percent(row.test_accuracy)} ({percent(row.test_low)[:-1]}–{percent(row.test_high)}, "
            f"N={row.test_n:,})",
            "Best validation": percent(row.best_validation_accuracy),
            "Best at step": f"{row.best_step:,}",
            "Plateau at step": "diverged" if row.diverged else f"{row.plateau.step:,}" if row.plateau else None,
            "Plateau at seconds": f"{row.plateau.seconds:.1f} s" if row.plateau else None,
            "Spread": f"±{row.spread * 100:.1f} pt" if row.spread is not None else None,
        }
        for row in rows
    ]
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
        table,
        hide_index=True,
        height="content",
        placeholder="–",
        column_config=right,
        key="race_table",
        alt=charts.race_in_words(rows),
    )
    st.caption("Ordered by validation accuracy at the end. All lanes shared every step, so seconds belong to the race.")


def _class_table(run: runs.Run, lane: str) -> None:
    predictions = run.predictions()
    if predictions is None:
        st.caption("The predictions of this run are gone.")
        return
    labels = run.dataset.labels
    counts = confusion(predictions["truth"], predictions["lanes"][lane]["predicted"], len(labels))
    table = [
        {"Class": label, "Test photos": figures.photos, "Recall": _hundreds(figures.recall)}
        | {"Precision": _hundreds(figures.precision)}
        for label, figures in zip(labels, per_class(counts), strict=True)
    ]
    bar = st.column_config.ProgressColumn(format="%.1f%%", min_value=0.0, max_value=100.0)
    st.dataframe(
        table,
        hide_index=True,
        height="content" if len(table) <= 12 else 440,
        placeholder="–",
        column_config={"Recall": bar, "Precision": bar},
        key="class_table",
        alt="; ".join(f"{row['Class']}: {row['Test photos']} photos" for row in table),
    )


def _hundreds(share: float | None) -> float | None:
    return None if share is None else 100 * share


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
        _waiting(run, "The confusion matrix arrives")
        return
    lane = _lane_choice(run, rows, "confusion_lane")
    labels = run.dataset.labels
    counts = confusion(predictions["truth"], predictions["lanes"][lane]["predicted"], len(labels))
    right = int(counts.trace())
    st.vega_lite_chart(
        charts.confusion(counts, labels, lab.is_dark()),
        width="stretch",
        key="confusion_chart",
        alt=f"{right:,} of {len(predictions['truth']):,} testing photos right at lr {lane}; rows are the true class.",
    )
    if len(run.lanes) > 1:
        _class_table(run, lane)


def _hardest(run: runs.Run, rows: list[LaneRow]) -> None:
    predictions = run.predictions()
    if not rows or predictions is None:
        _waiting(run, "Misclassified photos arrive")
        return
    lane = _lane_choice(run, rows, "hardest_lane")
    answers = predictions["lanes"][lane]
    wrong = [
        (score, file, true, predicted)
        for file, true, predicted, score in zip(
            predictions["files"], predictions["truth"], answers["predicted"], answers["score"], strict=True
        )
        if true != predicted
    ]
    wrong.sort(reverse=True)
    if not wrong:
        st.caption(f"Every one of the {len(predictions['truth']):,} testing photos is right.")
        return
    st.caption(f"{len(wrong):,} of {len(predictions['truth']):,} testing photos are wrong, the surest errors first.")
    labels, gone = run.dataset.labels, []
    with st.container(horizontal=True, gap="small", key="hardest"):
        for score, file, true, predicted in wrong[:HARDEST]:
            words = f"{labels[true]} → {labels[predicted]} {percent(score)}"
            found = thumbnail(f"{run.dataset.root}/{file}", 96)
            if found is None:
                gone.append(f"{file} ({words})")
            else:
                picture, width = found
                with st.container(width=max(width, 130), gap=None, horizontal_alignment="center"):
                    st.image(picture, width=width, alt=f"{file}: {words}")
                    st.caption(words, text_alignment="center")
    if gone:
        st.caption(f"No longer readable at their place: {'; '.join(gone)}.")


@st.cache_data(max_entries=512, show_spinner=False)
def thumbnail(path: str, height: int) -> tuple[bytes, int] | None:
    """A JPEG of the photo and the width at which it is `height` pixels high; None where it is gone or unreadable."""
    try:
        picture = photos.thumbnail(Path(path), 2 * height)
    except PhotosError:
        return None
    with Image.open(io.BytesIO(picture)) as image:
        return picture, max(1, round(height * image.width / image.height))


def settings_rows(run: runs.Run) -> list[dict[str, str]]:
    """The settings of a run as people read them, shortest first."""
    spec = run.spec
    rates = ", ".join(specs.lane_name(rate) for rate in spec.learning_rates)
    rows = {
        "Photos": f"{run.dataset.title}, {count(len(run.dataset.labels), 'class')}",
        "Backbone": catalog.backbone(spec.backbone).title,
        "Learning rate" if len(spec.learning_rates) == 1 else "Learning rates": rates,
        "Steps": f"{spec.steps:,}",
        "Device": spec.device.upper(),
        "Batch": _batch(spec.train_batch_size),
        "Seed": str(spec.seed),
    }
    return [{"Setting": name, "Value": value} for name, value in rows.items()]


def _batch(size: int) -> str:
    return "all photos" if size == -1 else f"{size:,}"


def _settings(run: runs.Run) -> None:
    spec, result = run.spec, run.story.result
    rows = settings_rows(run) + [
        {"Setting": name, "Value": value}
        for name, value in {
            "Validation batch": _batch(spec.validation_batch_size),
            "Testing batch": _batch(spec.test_batch_size),
            "Evaluated every": f"{spec.eval_step_interval:,} steps",
            "Validation and testing": f"{spec.validation_percentage}% and {spec.testing_percentage}% of the photos",
            "Folder": run.dataset.root,
            "Run": run.id,
        }.items()
    ]
    if result:
        rows += [
            {"Setting": "Photos used", "Value": f"{result.images:,}: {result.training:,} training, "
             f"{result.validation:,} validation, {result.testing:,} testing"},
            {"Setting": "Bottlenecks", "Value": f"{result.computed:,} computed, {result.cached:,} known already"},
            {"Setting": "Runtime", "Value": result.runtime},
            {"Setting": "Export checked", "Value": f"{count(result.export_photos, 'photo')} in a fresh process, "
             f"probabilities differ by at most {result.export_difference:.1e}"},
        ]  # fmt: skip
    st.table(rows, hide_header=True, hide_index=True, border="horizontal")
    attribution = attribution_of(run.dataset.root)
    if attribution:
        st.caption(f"Photos: {attribution}.")


def attribution_of(root: str) -> str:
    """Whose photos a built-in set are; "" for the visitor's own."""
    found = [one for one in photos.sources(lab.load_settings()) if one.root and str(one.root) == root]
    return found[0].attribution if found else ""


def _log(run: runs.Run) -> None:
    tail = run.log_tail()
    if tail:
        st.code(tail, language=None, wrap_lines=True)
    else:
        st.caption("The worker has written nothing to its log.")


# --- try it ----------------------------------------------------------------------------------------------------------


def _try_it(run: runs.Run) -> None:
    given = st.file_uploader(
        "Drop one photo", type=["jpg", "jpeg", "png", "webp", "bmp", "gif"], key="try_photo", max_upload_size=50
    )
    if given is None:
        st.caption("The kept lane answers with its five likeliest classes.")
        return
    try:
        answer = lab.classifier().classify(run.id, given.getvalue(), top=5)
    except EngineError as error:
        st.error(f"**{given.name} could not be classified.** {error}", icon=":material/error:")
        return
    left, right = st.columns([1, 1.8], gap="medium")
    label, probability = answer.top[0]
    with left.container(border=True, gap="small"):
        st.markdown("**What the model sees**")
        size = catalog.backbone(run.spec.backbone).size
        st.image(answer.seen_png, width="stretch", alt=f"{given.name} as the network reads it, {size}×{size} pixels")
        st.caption(f"{answer.width}×{answer.height} photo, resized to {size}×{size}")
    with right.container(border=True, gap="small", key="answer"):
        st.markdown(f"**{label.capitalize()}** {percent(probability)}")
        words = ", ".join(f"{name} {percent(value)}" for name, value in answer.top)
        st.vega_lite_chart(
            charts.top_bars(answer.top, lab.is_dark()), width="stretch", key="top_five", alt=f"Top five: {words}."
        )
        st.caption(
            f"Evaluation time {duration(answer.seconds)} on {answer.device} with {answer.runtime}; decoding "
            f"{duration(answer.decode_seconds)}, resizing {duration(answer.resize_seconds)}."
        )
