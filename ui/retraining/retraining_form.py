"""Widgets -> the spec of a retraining run. What is chosen here is looked at before anything starts."""

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import streamlit as st

from engine import forecast, photos, runs
from engine.contract import choices, events
from engine.contract.dataset import SPLITS, Dataset
from engine.contract.kinds.fine_tuning import FineTuningSpec
from engine.contract.kinds.learning_curve import LearningCurveSpec
from engine.contract.kinds.race import RaceSpec, lane_name
from engine.errors import EngineError, PhotosError
from engine.kinds.race import device_comparison as comparison
from engine.machine.devices import Devices
from engine.words import count, duration
from ui import lab, parts
from ui.retraining import backbone_choice, distortions, foresight

SINGLE, RACE, DEVICES, FINE_TUNING, BATCH_SIZE = "single", "race", "devices", "fine_tune", "batch_size"
LEARNING_CURVE = "learning_curve"
MODES = {
    SINGLE: "Single run",
    RACE: "Learning-rate race",
    DEVICES: "CPU vs GPU",
    FINE_TUNING: "Fine-tuning",
    BATCH_SIZE: "Batch size",
    LEARNING_CURVE: "How many photos",
}


def mode_of(run: runs.Run) -> str:
    """Which of MODES shows this run."""
    if run.is_fine_tune:
        return FINE_TUNING
    if run.is_batch_size:
        return BATCH_SIZE
    if run.is_learning_curve:
        return LEARNING_CURVE
    return RACE if len(run.lanes) > 1 else SINGLE


FOLDER, ZIP = "a folder on this machine", "a zip"  # options beside the names of sets
MANTISSAS = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)  # about evenly spaced on a logarithmic scale
RATES = [float(f"{m}e{exponent}") for exponent in range(-4, 1) for m in MANTISSAS] + [10.0]
STEPS = [100, 200, 500, 1000, 2000, 4000, 8000, 16000, 32000]
RACE_DEFAULTS = RaceSpec().learning_rates
SINGLE_DEFAULT = 0.01  # retrain.py's own
THUMBNAILS = 14  # in the strip
THUMBNAIL_HEIGHT = 72  # pixels


@dataclass(frozen=True)
class Photos:
    """What the visitor has chosen to learn from, as far as it is known."""

    title: str = ""
    attribution: str = ""
    scan: photos.Scan | None = None
    dataset: Dataset | None = None
    faults: tuple[str, ...] = ()  # sentences that stop a start
    to_fetch: str = ""  # the name of an asset that is not on this machine yet

    def split(self, spec: RaceSpec | FineTuningSpec | LearningCurveSpec) -> "Photos":
        """The same with the dataset that a run of `spec` learns from, where the photos allow it."""
        if self.scan is None or self.faults:
            return self
        return replace(self, dataset=photos.split(self.scan, spec.validation_percentage, spec.testing_percentage))

    def in_the_way(self, backbone: backbone_choice.Choice) -> str:
        """The sentence that stops a start with that backbone; "" where nothing does."""
        return self.faults[0] if self.faults else backbone.fault


@dataclass(frozen=True)
class Form:
    spec: RaceSpec
    photos: Photos
    backbone: backbone_choice.Choice
    start: bool  # the button was pressed, and nothing is wrong
    predicted: tuple[events.Predicted, ...] = ()  # what was measured for exactly this; of a comparison each half's


def retrain(mode: str) -> Form:
    """The form of a retraining run, in the place where it is called."""
    parts.say_copied()
    chosen = choose_photos()
    backbone = backbone_choice.choose()
    one_rate = mode == SINGLE
    rates = (_rate("Learning rate", "learning_rate", SINGLE_DEFAULT, "visible"),) if one_rate else _race_rates()
    steps = st.select_slider(
        "Steps", sorted({*STEPS, *parts.copied("steps")}), RaceSpec().steps, lambda n: f"{n:,}",
        key="steps", persist_state="session",
    )  # fmt: skip
    # A comparison runs on every device there is.
    compared = parts.compared_devices() if mode == DEVICES else None
    run_on = choices.CPU if mode == DEVICES else parts.device_choice()
    spec = RaceSpec(backbone=backbone.name, learning_rates=rates, steps=steps, device=run_on)
    with st.expander("Distortions", type="compact", key="distortions"):
        spec = distortions.choose(spec)
        distortions.preview(spec, chosen.scan)
    with st.expander("More settings", type="compact", key="more_settings"):
        spec = _more_settings(spec)
    chosen = chosen.split(spec)
    faults = spec.faults()
    predicted: tuple[events.Predicted, ...] = ()
    in_the_way = chosen.in_the_way(backbone)
    ready = chosen.dataset is not None and (mode != DEVICES or _two(compared))
    start = parts.start_button(_button_words(mode, len(rates), compared), faults, in_the_way, ready)
    if mode == DEVICES and not in_the_way:
        st.caption("One run after the other. Neither reads or keeps bottlenecks, so each computes all of them.")
        if chosen.dataset and compared and _two(compared):
            predicted = foresight.ask(comparison.halves_to_start(spec, compared), chosen.dataset)
    elif chosen.dataset and not in_the_way:
        st.caption(_cost(spec, len(chosen.dataset.photos)))
        predicted = foresight.ask([spec], chosen.dataset)
    return Form(spec, chosen, backbone, start, predicted)


def _button_words(mode: str, rates: int, compared: Devices | None) -> str:
    if mode == SINGLE:
        return "Start training"
    if mode == RACE:
        return f"Race {count(rates, 'rate')}"
    if compared is None or compared.gpus or not _two(compared):
        return "Run on both"
    return f"Run with 1 and {compared.cores} threads"


def _two(compared: Devices | None) -> bool:
    """Whether there is anything to compare."""
    return compared is not None and (bool(compared.gpus) or compared.cores > 1)


# --- photos ----------------------------------------------------------------------------------------------------------


def choose_photos() -> Photos:
    """The photos to learn from, looked at."""
    found = photos.sources(lab.load_settings())
    titles = {source.key: source.title for source in found} | {
        FOLDER: "A folder on this machine",
        ZIP: "Upload a zip",
    }
    if wanted := st.session_state.pop("_choose_photos", ""):
        st.session_state["photos"] = wanted  # a set that was uploaded just now
    key = st.selectbox("Photos", list(titles), format_func=titles.__getitem__, key="photos", persist_state="session")
    if key == FOLDER:
        return _typed_folder()
    if key == ZIP:
        return _uploaded_zip()
    source = next(source for source in found if source.key == key)
    if source.root is None:
        return Photos(source.title, source.attribution, to_fetch=source.key)
    return looked_at(source.root, source.title, source.attribution)


def _typed_folder() -> Photos:
    typed = st.text_input(
        "Folder", key="folder", placeholder="/home/you/photos", persist_state="session",
        help="One folder inside it per class; a path on the machine that runs the lab",
    )  # fmt: skip
    if not typed.strip():
        return Photos()
    try:
        root = photos.allowed(typed, lab.load_settings().data_roots)
    except PhotosError as error:
        return Photos(typed, faults=(str(error),))
    return looked_at(root, root.name, "")


def _uploaded_zip() -> Photos:
    given = st.file_uploader("One zip, one folder per class", type=["zip"], key="zip")
    if given is None:
        return Photos()
    bar = st.progress(0.0, text="Unpacking")

    def progress(done: int, total: int) -> None:
        bar.progress(min(1.0, done / max(1, total)), text="Unpacking")

    try:
        root = photos.unpack(given, lab.home().datasets, Path(given.name).stem, progress)
    except PhotosError as error:
        return Photos(given.name, faults=(str(error),))
    finally:
        bar.empty()
    # From now on it is a set of its own in the list; the uploader would unpack it again on every click.
    st.session_state["_choose_photos"] = root.name
    st.rerun()


def looked_at(root: Path, title: str, attribution: str) -> Photos:
    """The photos of a folder, with a bar while they are read for the first time."""
    try:
        found = _scan(root, title)
    except PhotosError as error:
        return Photos(title, attribution, faults=(str(error),))
    return Photos(title, attribution, found, None, tuple(photos.faults(found)))


@st.cache_resource
def _scans() -> dict[str, tuple[tuple, photos.Scan]]:
    """The newest look at each folder, with what it looked like from outside: reading every photo takes seconds."""
    return {}


def _scan(root: Path, title: str) -> photos.Scan:
    try:
        folders = [entry for entry in os.scandir(root) if entry.is_dir()]
        stamp = (title, *sorted((entry.name, entry.stat().st_mtime_ns) for entry in folders))
    except OSError as error:
        raise PhotosError(f"{root} cannot be read: {error.strerror}. Check that it is still there.") from error
    known = _scans().get(str(root))
    if known is not None and known[0] == stamp:
        return known[1]
    bar, shown = st.progress(0.0, text="Looking at the photos"), 0.0

    def progress(done: int, total: int) -> None:
        nonlocal shown
        if time.monotonic() - shown > 0.2:
            shown = time.monotonic()
            bar.progress(done / max(1, total), text=f"Looking at {done:,} of {total:,} photos")

    try:
        found = photos.scan(root, title, progress, roots=lab.load_settings().data_roots)
    finally:
        bar.empty()
    _scans()[str(root)] = (stamp, found)
    return found


def show_photos(chosen: Photos) -> None:
    """What was found, before anything starts: classes, counts, split, a strip of photos, and what is wrong."""
    if not chosen.title:
        return parts.empty("Your own photos", "One folder per class, as a path or as one zip, 20 photos or more.")
    if chosen.to_fetch:
        return parts.fetch(chosen.to_fetch, chosen.title, chosen.attribution)
    for fault in chosen.faults:
        st.error(fault, icon=":material/error:")
    if chosen.scan is None or not chosen.scan.classes:
        return None
    with st.container(border=True, gap="small", key="found_photos"):
        classes = count(len(chosen.scan.classes), "class")
        st.markdown(f"**{chosen.title}** · {classes}, {count(chosen.scan.photos, 'photo')}")
        _strip(chosen.scan)
        splits = photos.counts(chosen.dataset) if chosen.dataset else [{} for _ in chosen.scan.classes]
        table = [
            {"Class": row.label, "Photos": f"{len(row.files):,}"}
            | {name.capitalize(): f"{split[name]:,}" for name in SPLITS if split}
            for row, split in zip(chosen.scan.classes, splits, strict=True)
        ]
        right = {name: st.column_config.Column(alignment="right") for name in table[0] if name != "Class"}
        st.dataframe(
            table,
            hide_index=True,
            height="content" if len(table) <= 8 else 320,
            column_config=right,
            key="found_table",
            alt="; ".join(f"{row['Class']}: {count(len(each.files), 'photo')}" for row, each in
                          zip(table, chosen.scan.classes, strict=True)),
        )  # fmt: skip
        if chosen.attribution:
            st.caption(f"{chosen.attribution}.")
    for remark in photos.remarks(chosen.scan, chosen.dataset):
        st.warning(remark, icon=":material/info:")
    st.caption("Start a run, and what it finds is shown here.")
    return None


def _strip(scan: photos.Scan) -> None:
    """Some photos of every class, taken in turns."""
    each = max(1, (10 if lab.is_phone() else THUMBNAILS) // len(scan.classes))
    with st.container(horizontal=True, gap=6, key="thumbnails"):
        for row in scan.classes[:THUMBNAILS]:
            step = max(1, len(row.files) // each)
            for file in row.files[::step][:each]:
                found = parts.thumbnail(str(scan.root / row.folder / file), THUMBNAIL_HEIGHT)
                if found:
                    st.image(found[0], width=found[1], alt=f"{row.label}: {file}")


# --- learning rates --------------------------------------------------------------------------------------------------


def _rate(label: str, key: str, default: float, label_visibility: Literal["visible", "collapsed"]) -> float:
    st.session_state.setdefault(key, default)
    return st.select_slider(
        label,
        sorted({*RATES, *parts.copied("rates")}),
        None,
        lane_name,
        key=key,
        label_visibility=label_visibility,
        persist_state="session",
    )


def _race_rates() -> tuple[float, ...]:
    """One compact row for each lane: its colour, its slider, and a button that removes it."""
    lanes = st.session_state.setdefault("_lanes", list(range(1, len(RACE_DEFAULTS) + 1)))
    st.markdown(":small[Learning rates]")
    rates: list[float] = []
    with st.container(gap=None, key="learning_rates"):
        for position, lane in enumerate(lanes):
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.image(parts.colour_square(position), width=12, alt="")
                default = RACE_DEFAULTS[lane - 1] if lane <= len(RACE_DEFAULTS) else _unused(rates)
                rates.append(_rate(f"Learning rate {position + 1}", f"learning_rate_{lane}", default, "collapsed"))
                if len(lanes) > 1:
                    st.button(
                        "",
                        key=f"remove_rate_{lane}",
                        icon=":material/close:",
                        type="tertiary",
                        help=f"Remove learning rate {position + 1}",
                        on_click=lanes.remove,
                        args=(lane,),
                    )
    if len(lanes) < choices.LANE_LIMIT:
        st.button("Add a rate", key="add_rate", type="tertiary", icon=":material/add:", on_click=_add_rate)
    return tuple(rates)


def _add_rate() -> None:
    lanes = st.session_state["_lanes"]
    lanes.append(max(lanes) + 1)


def _unused(rates: list[float]) -> float:
    """A rate for a new lane that none has yet."""
    return next(rate for rate in (0.05, 0.01, 0.1, 0.001, 2.0, 0.2, 0.0005, 5.0, 0.02) if rate not in rates)


# --- the rest --------------------------------------------------------------------------------------------------------


def _more_settings(usual: RaceSpec) -> RaceSpec:
    def number(label: str, key: str, low: int, high: int, help_text: str = "") -> int:
        return st.number_input(
            label, low, high, getattr(usual, key), key=key, help=help_text or None, persist_state="session"
        )

    all_photos = "-1 takes every photo once"
    return usual._replace(
        train_batch_size=number("Training batch", "train_batch_size", -1, 100_000, all_photos),
        validation_batch_size=number("Validation batch", "validation_batch_size", -1, 100_000, all_photos),
        test_batch_size=number("Testing batch", "test_batch_size", -1, 100_000, all_photos),
        validation_percentage=number("Validation, % of photos", "validation_percentage", 1, 80),
        testing_percentage=number("Testing, % of photos", "testing_percentage", 1, 80),
        eval_step_interval=number("Steps between evaluations", "eval_step_interval", 1, 10_000),
        seed=number("Seed", "seed", 0, 2**31 - 1),
    )


def _cost(spec: RaceSpec, photo_count: int) -> str:
    known = lab.rows()
    if choices.is_distorted(spec):
        return distortions.cost(known, spec, photo_count)
    expected = forecast.of_retraining(known, spec, photo_count)
    where = spec.device.upper()
    if expected is None:
        return f"The first run measures how long it takes on this {where}."
    most = "" if len(spec.learning_rates) == 1 else " The backbone runs once for all rates."
    return f"About {duration(expected)} on this {where}, as measured here.{most}"


def start(form: Form) -> None:
    """Queue the run and make it the page's address; the sentence of what is wrong otherwise."""
    if form.photos.dataset is None:
        return  # nothing to learn from: the button was not to be pressed
    try:
        parts.check_device(form.spec)
        st.query_params["run"] = lab.queue().start(form.spec, form.photos.dataset, *form.predicted)
    except EngineError as error:
        st.error(str(error), icon=":material/error:")
    else:
        foresight.forget()
        st.rerun()
