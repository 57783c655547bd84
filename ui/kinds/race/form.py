"""Widgets -> the spec of a retraining run. What is chosen here is looked at before anything starts."""

from dataclasses import dataclass
from typing import Literal

import streamlit as st

from engine import runs
from engine.contract import choices, events
from engine.contract.kinds.race import RaceSpec
from engine.errors import EngineError
from engine.kinds.race import device_comparison as comparison
from engine.kinds.race import forecast
from engine.machine.devices import Devices
from engine.words import count, duration, join
from ui import lab, parts
from ui.choices import backbone_choice, distortions, foresight, photos_choice
from ui.kinds.race import device_comparison

SINGLE, RACE, DEVICES = "single", "race", "devices"
MODES = {SINGLE: "Single run", RACE: "Learning-rate race", DEVICES: "CPU vs GPU"}
# Fields of the spec that widgets are named after.
WIDGETS = (
    "steps",
    *choices.DISTORTIONS,
    "train_batch_size",
    "validation_batch_size",
    "test_batch_size",
    "validation_percentage",
    "testing_percentage",
    "eval_step_interval",
    "seed",
)
PLACED = (*WIDGETS, "backbone", "learning_rates", "device", "group")  # a group is no setting: it was run together
MANTISSAS = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)  # about evenly spaced on a logarithmic scale
RATES = [float(f"{m}e{exponent}") for exponent in range(-4, 1) for m in MANTISSAS] + [10.0]
STEPS = [100, 200, 500, 1000, 2000, 4000, 8000, 16000, 32000]
RACE_DEFAULTS = RaceSpec().learning_rates
SINGLE_DEFAULT = 0.01  # retrain.py's own


@dataclass(frozen=True)
class Form:
    spec: RaceSpec
    mode: str
    photos: photos_choice.Photos
    backbone: backbone_choice.Choice
    start: bool  # the button was pressed, and nothing is wrong
    predicted: tuple[events.Predicted, ...] = ()  # what was measured for exactly this; of a comparison each half's


def show(mode: str) -> Form:
    """The form, in the place where it is called."""
    parts.say_copied()
    chosen = photos_choice.choose()
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
        distortions.preview(spec, chosen.scan, "every photo goes through the backbone once")
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
    return Form(spec, mode, chosen, backbone, start, predicted)


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


# --- learning rates --------------------------------------------------------------------------------------------------


def _rate(label: str, key: str, default: float, label_visibility: Literal["visible", "collapsed"]) -> float:
    st.session_state.setdefault(key, default)
    return st.select_slider(
        label,
        sorted({*RATES, *parts.copied("rates")}),
        None,
        choices.lane_name,
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
    expected = forecast.seconds(known, spec, photo_count)
    where = spec.device.upper()
    if expected is None:
        return f"The first run measures how long it takes on this {where}."
    most = "" if len(spec.learning_rates) == 1 else " The backbone runs once for all rates."
    return f"About {duration(expected)} on this {where}, as measured here.{most}"


def start(form: Form) -> None:
    """Queue the run and make it the page's address; the sentence of what is wrong otherwise."""
    if form.photos.dataset is None:
        return  # nothing to learn from: the button was not to be pressed
    if form.mode == DEVICES:
        device_comparison.start(form.spec, form.photos.dataset, form.predicted)
        return
    try:
        parts.check_device(form.spec)
        st.query_params["run"] = lab.queue().start(form.spec, form.photos.dataset, *form.predicted)
    except EngineError as error:
        st.error(str(error), icon=":material/error:")
    else:
        foresight.forget()
        st.rerun()


def describe(form: Form) -> None:
    """What stands in the place of results before a run is shown."""
    photos_choice.show(form.photos)


def mode_of(run: runs.Run[RaceSpec]) -> str:
    return RACE if len(run.lanes) > 1 else SINGLE


def fill(run: runs.Run[RaceSpec]) -> list[str]:
    """Choose what a run was asked for; sentences about what the form has no place for."""
    spec, state = run.spec, st.session_state
    missing = photos_choice.fill(run) + backbone_choice.fill(run)
    if len(spec.learning_rates) == 1:
        state["learning_rate"] = spec.learning_rates[0]
    else:
        state["_lanes"] = list(range(1, len(spec.learning_rates) + 1))
        for lane, rate in zip(state["_lanes"], spec.learning_rates, strict=True):
            state[f"learning_rate_{lane}"] = rate
    rates = (*parts.copied("rates"), *spec.learning_rates)  # an earlier copy may still be in the other mode's sliders
    parts.copy({"rates": rates, "steps": (spec.steps,)})
    for name in WIDGETS:
        state[name] = getattr(spec, name)
    usual = RaceSpec()._asdict()
    left_out = [name for name, value in spec._asdict().items() if name not in PLACED and value != usual[name]]
    if left_out:
        missing.append(f"The form has no place for {join(left_out)}: left out.")
    return missing
