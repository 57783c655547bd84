"""Widgets -> the spec of a learning curve: accuracy against photos per class."""

from dataclasses import dataclass
from typing import TypeVar

import streamlit as st

from engine import photos
from engine.contract.dataset import TRAINING
from engine.contract.kinds.learning_curve import SEEDS_LIMIT, LearningCurveSpec
from engine.kinds.learning_curve import forecast
from engine.runs import Run
from engine.words import count, duration
from ui import lab, parts
from ui.choices import backbone_choice, photos_choice

MODES = {"learning_curve": "How many photos"}
SIZES = [2, 5, 10, 20, 50, 100, 200, 500]
SEEDS = [1, 3, 5, 10, 20]
RATES = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]
STEPS = [100, 200, 500, 1000, 2000, 4000]
# Fields of the spec, which widgets are named after.
SLIDERS = ("seeds", "learning_rate", "steps")
NUMBERS = ("train_batch_size", "validation_percentage", "testing_percentage", "seed")
Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Form:
    spec: LearningCurveSpec
    photos: photos_choice.Photos
    backbone: backbone_choice.Choice
    start: bool  # the button was pressed, and nothing is wrong


def show(mode: str) -> Form:
    """The form, in the place where it is called."""
    parts.say_copied()
    chosen = photos_choice.choose()
    backbone = backbone_choice.choose()
    usual = LearningCurveSpec()
    offered = sorted({*SIZES, *parts.copied("sizes_sizes")})
    sizes = st.pills(
        "Photos per class", offered, selection_mode="multi", default=list(usual.sizes), key="sizes_sizes",
        format_func=lambda size: f"{size:,}", persist_state="session",
        help="To learn from. A larger number holds the photos of the smaller ones; all photos come last, always.",
    )  # fmt: skip
    spec = usual._replace(
        backbone=backbone.name,
        sizes=tuple(size for size in offered if size in sizes),
        seeds=_slider("Trainings of each", SEEDS, "seeds", "Each from other photos, first weights and batches"),
        learning_rate=_slider("Learning rate", RATES, "learning_rate"),
        steps=_slider("Steps", STEPS, "steps"),
        device=parts.device_choice(),
    )
    with st.expander("More settings", type="compact", key="sizes_more"):
        spec = spec._replace(
            train_batch_size=_number("Training batch", "train_batch_size", -1, 100_000, "-1 takes every photo once"),
            validation_percentage=_number("Validation, % of photos", "validation_percentage", 1, 80),
            testing_percentage=_number("Testing, % of photos", "testing_percentage", 1, 80),
            seed=_number("Seed", "seed", 0, 2**31 - 1 - SEEDS_LIMIT, "Of the first training of each"),
        )
    chosen = chosen.split(spec)
    faults = spec.faults() if sizes else ["Choose one number of photos at least."]
    measured = _measured(spec, chosen)
    in_the_way = chosen.in_the_way(backbone)
    start = parts.start_button(f"Measure {count(measured, 'size')}", faults, in_the_way, chosen.dataset is not None)
    if not in_the_way:
        st.caption(_cost(spec, measured * spec.seeds))
    return Form(spec, chosen, backbone, start)


def start(form: Form) -> None:
    """Queue the run and make it the page's address; the sentence of what is wrong otherwise."""
    if form.photos.dataset is None:
        return  # nothing to learn from: the button was not to be pressed
    parts.start_run(form.spec, form.photos.dataset)


def _measured(spec: LearningCurveSpec, chosen: photos_choice.Photos) -> int:
    """How many sizes: those that a class has more photos than, and all of them."""
    if chosen.dataset is None:
        return len(spec.sizes) + 1
    most = max(splits[TRAINING] for splits in photos.counts(chosen.dataset))
    return len([size for size in spec.sizes if size < most]) + 1


def _cost(spec: LearningCurveSpec, trainings: int) -> str:
    seconds = forecast.seconds(lab.rows(), spec, trainings)
    takes = f"about {duration(seconds)} for " if seconds else ""
    words = f"{takes}{count(trainings, 'training')} of the last layer; bottlenecks that are not kept yet come first."
    return words[:1].upper() + words[1:]


def _slider(label: str, options: list[Number], name: str, help_text: str = "") -> Number:
    key: str = f"sizes_{name}"
    offered = sorted([*options, *[value for value in parts.copied(key) if value not in options]])
    return st.select_slider(
        label, offered, getattr(LearningCurveSpec(), name),
        lambda value: f"{value:,g}", key=key, help=help_text or None, persist_state="session",
    )  # fmt: skip


def _number(label: str, name: str, low: int, high: int, help_text: str = "") -> int:
    usual = getattr(LearningCurveSpec(), name)
    return st.number_input(
        label, low, high, usual, key=f"sizes_{name}", help=help_text or None, persist_state="session"
    )  # fmt: skip


def describe(form: Form) -> None:
    """What stands in the place of results before a run is shown."""
    photos_choice.show(form.photos)


def mode_of(run: Run[LearningCurveSpec]) -> str:
    return next(iter(MODES))


def fill(run: Run[LearningCurveSpec]) -> list[str]:
    """Choose what a run was asked for; sentences about what the form has no place for."""
    spec, state = run.spec, st.session_state
    missing = photos_choice.fill(run) + backbone_choice.fill(run)
    asked = {f"sizes_{name}": getattr(spec, name) for name in SLIDERS}
    parts.copy({key: (value,) for key, value in asked.items()} | {"sizes_sizes": spec.sizes})
    asked |= {f"sizes_{name}": getattr(spec, name) for name in NUMBERS}
    for key, value in (asked | {"sizes_sizes": list(spec.sizes)}).items():
        state[key] = value
    return missing
