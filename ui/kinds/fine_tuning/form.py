"""Widgets -> the spec of a fine-tuning run."""

from dataclasses import dataclass
from typing import Any, TypeVar

import streamlit as st

from engine.contract import choices, events
from engine.contract.kinds.fine_tuning import FineTuningSpec
from engine.kinds.fine_tuning import forecast
from engine.runs import Run
from engine.words import count
from ui import lab, parts
from ui.choices import backbone_choice, blocks_choice, distortions, foresight, photos_choice

Number = TypeVar("Number", int, float)

MODES = {"fine_tune": "Fine-tuning"}
EPOCHS = [1, 2, 3, 5, 8, 10, 20, 50]
BATCHES = [1, 2, 4, 8, 16, 32, 64, 128]
HEAD_RATES = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1]
BODY_RATES = [0.00001, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01]


@dataclass(frozen=True)
class Form:
    spec: FineTuningSpec
    photos: photos_choice.Photos
    backbone: backbone_choice.Choice
    start: bool  # the button was pressed, and nothing is wrong
    expected: events.Expected | None = None  # what it was said to take


def show(mode: str) -> Form:
    """The form, in the place where it is called."""
    usual = FineTuningSpec()
    chosen = photos_choice.choose()
    backbone = blocks_choice.choose_backbone()
    parts.say_copied()
    offered = blocks_choice.depths_offered("tune_blocks")
    depths = st.pills(
        "Blocks that learn", offered, selection_mode="multi", default=list(usual.blocks), key="tune_blocks",
        format_func=choices.depth_title, persist_state="session",
        help="A lane each, all on the same photos. Frozen: the new last layer alone learns.",
    )  # fmt: skip
    spec = usual._replace(
        backbone=backbone.name,
        blocks=tuple(depth for depth in offered if depth in depths),
        body_learning_rate=_slider("Learning rate of the blocks", BODY_RATES, usual.body_learning_rate, "tune_body"),
        head_learning_rate=_slider("Learning rate of the head", HEAD_RATES, usual.head_learning_rate, "tune_head"),
        epochs=_slider("Epochs", EPOCHS, usual.epochs, "tune_epochs"),
        batch_size=_slider("Batch size", BATCHES, usual.batch_size, "tune_batch"),
        device=parts.device_choice(),
    )
    with st.expander("Distortions", type="compact", key="distortions"):
        spec = distortions.choose(spec)
        distortions.preview(spec, chosen.scan, "nothing changes")
    with st.expander("More settings", type="compact", key="tune_more"):
        spec = spec._replace(
            memory_limit=blocks_choice.memory_limit(),
            validation_percentage=_number("Validation, % of photos", "validation_percentage", 1, 80),
            testing_percentage=_number("Testing, % of photos", "testing_percentage", 1, 80),
            seed=_number("Seed", "seed", 0, 2**31 - 1),
        )
    chosen = chosen.split(spec)
    faults = spec.faults()
    if not depths:
        faults = ["Choose one depth at least."]
    expected: events.Expected | None = None
    in_the_way = chosen.in_the_way(backbone)
    words = f"Train {count(len(spec.blocks), 'depth')}"
    start = parts.start_button(words, faults, in_the_way, chosen.dataset is not None)
    if chosen.dataset and not faults and not in_the_way:
        known = forecast.expected(lab.rows(), spec, len(chosen.dataset.photos))
        expected = foresight.expect_depths(spec, chosen.dataset, known)
    return Form(spec, chosen, backbone, start, expected)


def start(form: Form) -> None:
    """Queue the run and make it the page's address; the sentence of what is wrong otherwise."""
    if form.photos.dataset is None:
        return  # nothing to learn from: the button was not to be pressed
    parts.start_run(form.spec, form.photos.dataset, form.expected)


def _slider(label: str, options: list[Number], default: Number, key: str) -> Number:
    offered = sorted([*options, *[value for value in parts.copied(key) if value not in options]])
    return st.select_slider(label, offered, default, lambda value: f"{value:g}", key=key, persist_state="session")


def _number(label: str, name: str, low: int, high: int) -> int:
    usual = getattr(FineTuningSpec(), name)
    return st.number_input(label, low, high, usual, key=f"tune_{name}", persist_state="session")


def describe(form: Form) -> None:
    """What stands in the place of results before a run is shown."""
    photos_choice.show(form.photos)


def mode_of(run: Run[FineTuningSpec]) -> str:
    return next(iter(MODES))


def fill(run: Run[FineTuningSpec]) -> list[str]:
    """Choose what a run was asked for; sentences about what the form has no place for."""
    spec, state = run.spec, st.session_state
    missing = photos_choice.fill(run)
    asked: dict[str, Any] = {
        "tune_body": spec.body_learning_rate,
        "tune_head": spec.head_learning_rate,
        "tune_epochs": spec.epochs,
        "tune_batch": spec.batch_size,
    }
    parts.copy({key: (value,) for key, value in asked.items()} | {"tune_blocks": spec.blocks})
    asked |= {"tune_blocks": list(spec.blocks), "tune_backbone": spec.backbone}
    asked |= {name: getattr(spec, name) for name in choices.DISTORTIONS}
    asked |= {"tune_memory": spec.memory_limit, "tune_seed": spec.seed}
    asked |= {f"tune_{name}": getattr(spec, name) for name in ("validation_percentage", "testing_percentage")}
    for key, value in asked.items():
        state[key] = value
    return missing
