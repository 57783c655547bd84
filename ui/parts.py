"""Small parts that forms and results of every kind of run are made of."""

import io
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from PIL import Image

from engine import assets, photos, runs
from engine.charts import answer_charts, base, curve_charts, time_charts
from engine.contract import choices, events, specs
from engine.contract.dataset import Dataset
from engine.contract.kinds.race import RaceResult
from engine.errors import AssetError, EngineError, PhotosError
from engine.machine import device, devices
from engine.machine.devices import Devices
from engine.stats import per_class
from engine.words import count, duration, short_duration, size
from ui import lab, sorting

INSIDE = "Inside Bottlenecks, seconds of all cores together"
SMOOTHING = {"Raw": 0.0, "Smooth 0.6": 0.6, "Smooth 0.9": 0.9}


def choice(label: str, options: Sequence[str], key: str, default: str = "") -> str:
    """A segmented control above a chart, without its label, that is never left empty."""
    return st.segmented_control(
        label,
        options,
        default=default or options[0],
        required=True,
        key=key,
        label_visibility="collapsed",
        persist_state="session",
    )


def curve_controls(lanes: int) -> tuple[str, str, str, float]:
    """The controls above the curves of photos: split, measure and axis as lines takes them, and the weight."""
    split = choice("Photos", ["Validation", "Training"], "curve_split").lower()
    measure = choice("Measure", ["Accuracy", "Loss"], "curve_measure")
    axis = choice("Axis", ["Steps", "Seconds"], "curve_axis")
    weight = smoothing_choice(lanes, "curve_smoothing")
    measure_field = curve_charts.ACCURACY if measure == "Accuracy" else curve_charts.LOSS
    return split, measure_field, curve_charts.STEPS if axis == "Steps" else curve_charts.SECONDS, weight


def smoothing_choice(lanes: int, key: str) -> float:
    """The weight of smoothing; of many lanes the usual one is higher."""
    names, many = list(SMOOTHING), lanes > 2
    return SMOOTHING[choice("Smoothing", names, f"{key}_{many}", names[2 if many else 1])]


def device_choice() -> str:
    """ "cpu" or "gpu"; asks only where there are both."""
    if not device.has_gpu():
        return choices.CPU
    found = lab.devices()
    if found is not None and not found.gpus:  # there is a driver, but nothing that TensorFlow can use
        st.caption(f"Runs on the CPU. {found.why_no_gpu}")
        return choices.CPU
    return st.segmented_control(
        "Device", [choices.CPU, choices.GPU], format_func=str.upper, default=choices.GPU, required=True, key="device",
        persist_state="session",
    )  # fmt: skip


def colour_square(position: int, margin: int = 0) -> str:
    """The colour of the lane or run at this position, as SVG; those that the chart does not show are gray."""
    colours = base.palette(lab.is_dark())
    colour = colours.lanes[position] if position < curve_charts.SHOWN_LANES else colours.rule
    box = f"{-margin} {-margin} {12 + 2 * margin} {12 + 2 * margin}"
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}"><path fill="{colour}" d="M1 1h10v10H1z"/></svg>'


def copied(name: str) -> tuple:
    """Values that were copied from a run and are no usual step: of "rates", "steps", "epochs", "training_images"."""
    return st.session_state.get("_copied", {}).get(name, ())


def copy(values: Mapping[str, Sequence[Any]]) -> None:
    """Let sliders offer these values too, by the key of the slider, however unusual they are."""
    st.session_state["_copied"] = st.session_state.get("_copied", {}) | dict(values)


def say_copied() -> None:
    """Once, in a form that was filled: from which run, and what had no place in it."""
    if note := st.session_state.pop("_copied_from", ""):
        st.caption(note)


def compared_devices() -> Devices | None:
    """What there is to compare, with a line that says so; None while TensorFlow is being asked."""
    found = lab.devices()
    if found is None:
        st.caption("Looking for a GPU: TensorFlow is being asked, which takes some seconds.")
        st.fragment(_look_again, run_every=1.0)()
    elif found.gpus:
        st.caption(f"Runs on the CPU, then on the GPU: {found.gpus[0].name}.")
    elif found.cores > 1:
        st.caption(f"No GPU was found, so 1 thread runs against all {found.cores}. {found.why_no_gpu}")
    else:
        st.caption(f"No GPU was found, and there is one core: nothing to compare. {found.why_no_gpu}")
    return found


def _look_again() -> None:
    if lab.devices() is not None:
        st.rerun()


def start_button(words: str, faults: Sequence[str] = (), in_the_way: str = "", ready: bool = True) -> bool:
    """A form's button, below it what keeps it from being pressed: faults of the settings, or of what they are for."""
    start = st.button(
        words,
        key="start",
        type="primary",
        width="stretch",
        icon=":material/play_arrow:",
        disabled=bool(faults) or bool(in_the_way) or not ready,
    )
    for fault in faults:
        st.error(fault)
    if in_the_way:
        st.markdown(f":small[:red[{in_the_way}]]")  # a caption's red would be too pale
    return start


def start_run(spec: specs.Spec, dataset: Dataset | None = None, expected: events.Expected | None = None) -> None:
    """Queue the run and make it the page's address; the sentence of what is wrong otherwise."""
    try:
        check_device(spec)
        st.query_params["run"] = lab.queue().start(spec, dataset, expected)
    except EngineError as error:
        st.error(str(error), icon=":material/error:")
    else:
        st.rerun()


def check_device(spec: specs.Spec) -> None:
    """Raises SpecError for a GPU where it is known that there is none."""
    if spec.device == choices.GPU and (found := lab.devices()):
        devices.check(spec, found)


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


def tabs(draw: Mapping[str, Callable[[], None]], key: str) -> None:
    """Tabs by name, of which only the open one is drawn."""
    for name, tab in zip(draw, st.tabs(list(draw), key=key, on_change="rerun"), strict=True):
        if tab.open:
            with tab:
                draw[name]()


def waiting(run: runs.Run, what: str) -> None:
    """Says when a tab will fill, or why it never will."""
    if run.is_active:
        st.caption(f"{what} after Evaluating.")
    else:
        st.caption("No test result: the run stopped before Evaluating.")


def class_table(counts: np.ndarray, labels: Sequence[str], one: str = "photo") -> None:
    """Recall and precision of each class; `counts` (classes, classes), rows true; `one`: what is counted."""
    tested = f"Test {one}s"
    table = [
        {"Class": label, tested: figures.photos, "Recall": _hundreds(figures.recall)}
        | {"Precision": _hundreds(figures.precision)}
        for label, figures in zip(labels, per_class(counts), strict=True)
    ]
    bar = st.column_config.ProgressColumn(format="%.1f%%", min_value=0.0, max_value=100.0)
    st.dataframe(
        sorting.by_number(table),
        hide_index=True,
        height="content" if len(table) <= 12 else 440,
        placeholder="–",
        column_config={"Recall": bar, "Precision": bar},
        key="class_table",
        alt="; ".join(f"{row['Class']}: {row[tested]} {one}s" for row in table),
    )


def _hundreds(share: float | None) -> float | None:
    return None if share is None else 100 * share


def confusion_chart(counts: np.ndarray, labels: Sequence[str], right: str, one: str) -> None:
    """`counts` (classes, classes), rows true; `right`: what the right ones are, after their number."""
    st.vega_lite_chart(
        answer_charts.confusion(counts, labels, lab.is_dark(), f"{one.capitalize()}s"),
        width="stretch",
        key="confusion_chart",
        alt=f"{int(counts.trace()):,} of {int(counts.sum()):,} {right}; rows are the true class.",
    )


def settings_table(settings: Mapping[str, str]) -> None:
    """`settings`: name -> value"""
    rows = [{"Setting": name, "Value": value} for name, value in settings.items()]
    st.table(rows, hide_header=True, hide_index=True, border="horizontal")


def stage_bar(run: runs.Run, name: str = "") -> time_charts.StageBar:
    """Where the time of a run went, for time_charts.stage_bars; `name` at its left."""
    inside = ""
    if result := run.story.last(RaceResult):
        decoding, backbone = (short_duration(each) for each in (result.decode_seconds, result.backbone_seconds))
        inside = f"decoding {decoding}, backbone {backbone}"
        if result.cache_seconds is not None:
            inside += f", cache {short_duration(result.cache_seconds)}"
    return time_charts.StageBar(name, tuple(run.stage_seconds), inside)


def time_spent(run: runs.Run) -> None:
    """The stages of a run that has ended, as one bar."""
    bar = stage_bar(run)
    if run.is_active or not bar.stages:
        return
    st.markdown("**Where the time went**")
    chart = time_charts.stage_bars([bar], lab.is_dark(), lab.is_phone())
    st.vega_lite_chart(chart, width="stretch", key="stage_bar", alt=time_charts.stages_in_words([bar]))
    if bar.inside:
        st.caption(f"{INSIDE}: {bar.inside}.")
    if result := run.story.last(RaceResult):
        st.caption(_warmth(result))


def _warmth(result: RaceResult) -> str:
    """How much was known from earlier, and what loading TensorFlow took."""
    if not result.cached:
        said = f"Cold: none of the bottlenecks was known, {result.computed:,} were computed."
    elif not result.computed:
        said = f"Warm: all {result.cached:,} bottlenecks were known."
    else:
        said = f"Partly warm: {result.cached:,} bottlenecks were known, {result.computed:,} were computed."
    if result.import_seconds:
        said += f" Loading TensorFlow took {short_duration(result.import_seconds)}, in the stage that needed it first."
    return said


def log(run: runs.Run) -> None:
    tail = run.log_tail()
    if tail:
        st.code(tail, language=None, wrap_lines=True)
    else:
        st.caption("The worker has written nothing to its log.")


def empty(title: str, words: str, height: int = 440) -> None:
    """The card in the place of results that are not there yet."""
    with st.container(
        border=True, height=height, horizontal_alignment="center", vertical_alignment="center", key="empty_card"
    ):
        st.markdown(":material/show_chart:", width="content")
        st.markdown(f"**{title}**", width="content")
        st.markdown(words, width="content")


def fetch(name: str, title: str, attribution: str) -> None:
    """The card of an asset that is not on this machine yet, with a button that fetches it."""
    asset = assets.asset(name)
    with st.container(border=True, gap="small"):
        st.markdown(f"**{title} is not on this machine yet.**")
        fetch_button(asset, lambda progress: assets.fetch(lab.home(), name, progress), "fetch", attribution)


def fetch_button(
    asset: assets.Asset, fetch: Callable[[assets.Progress], object], key: str, attribution: str = ""
) -> None:
    """What there is to fetch, and the button that has `fetch` fetch it and then draws the page anew."""
    source = asset.sources[0]
    to_fetch = f"{'about ' if isinstance(source, assets.Url) and source.limit else ''}{size(source.bytes)}"
    place = source.title.partition("://")[2] or source.title  # with its scheme it would become a link, a pale one
    st.caption(f"{attribution or asset.attribution}. To fetch once: {to_fetch}, from {place}.")
    if not st.button(f"Fetch {to_fetch}", key=key, icon=":material/download:"):
        return
    bar, shown = st.progress(0.0, text="Fetching"), 0.0

    def progress(done: int, total: int) -> None:
        nonlocal shown
        if time.monotonic() - shown > 0.2:
            shown = time.monotonic()
            bar.progress(min(1.0, done / max(1, total)), text=f"Fetching {size(done)} of {size(total)}")

    try:
        fetch(progress)
    except AssetError as error:
        bar.empty()
        st.error(str(error), icon=":material/error:")
    else:
        st.rerun()


@st.cache_data(max_entries=512, show_spinner=False)
def thumbnail(path: str, height: int) -> tuple[bytes, int] | None:
    """A JPEG of the photo and the width at which it is `height` pixels high; None where it is gone or unreadable."""
    try:
        picture = photos.thumbnail(Path(path), 2 * height)
    except PhotosError:
        return None
    with Image.open(io.BytesIO(picture)) as image:
        return picture, max(1, round(height * image.width / image.height))


def remarks(run: runs.Run) -> None:
    """Lanes that diverged, and photos that were left out."""
    for diverged in run.story.diverged.values():
        st.warning(f"**lr {diverged.lane} diverged.** {diverged.why}", icon=":material/trending_down:")
    if skipped := run.story.skipped:
        with st.expander(f"{count(len(skipped), 'photo')} left out", type="compact", key="skipped"):
            listed = [f"- `{one.file}`: {one.why}" for one in skipped[:50]]
            more = [f"- and {len(skipped) - 50:,} more"] if len(skipped) > 50 else []
            st.markdown("\n".join(listed + more))
