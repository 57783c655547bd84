"""Widgets -> the spec of a fine-tuning run; the parts that trying batch sizes shares."""

from dataclasses import dataclass
from typing import TypeVar

import streamlit as st

from engine import assets, forecast
from engine.contract import choices, events
from engine.contract.kinds.fine_tuning import FineTuningSpec
from engine.words import count
from ui import lab, parts
from ui.retraining import backbone_choice, distortions, foresight, retraining_form

DEPTHS = (0, 1, 2, 4, 8, choices.ALL_BLOCKS)
Number = TypeVar("Number", int, float)

EPOCHS = [1, 2, 3, 5, 8, 10, 20, 50]
BATCHES = [1, 2, 4, 8, 16, 32, 64, 128]
HEAD_RATES = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1]
BODY_RATES = [0.00001, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01]


@dataclass(frozen=True)
class Form:
    spec: FineTuningSpec
    photos: retraining_form.Photos
    backbone: backbone_choice.Choice
    start: bool  # the button was pressed, and nothing is wrong
    expected: events.Expected | None = None  # what it was said to take


def show() -> Form:
    """The form, in the place where it is called."""
    usual = FineTuningSpec()
    chosen = retraining_form.choose_photos()
    backbone = choose_backbone()
    parts.say_copied()
    offered = depths_offered("tune_blocks")
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
        distortions.preview(spec, chosen.scan)
    with st.expander("More settings", type="compact", key="tune_more"):
        spec = spec._replace(
            memory_limit=memory_limit(),
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
        known = forecast.of_depths(lab.rows(), spec, len(chosen.dataset.photos))
        expected = foresight.expect_depths(spec, chosen.dataset, known)
    return Form(spec, chosen, backbone, start, expected)


def start(form: Form) -> None:
    """Queue the run and make it the page's address; the sentence of what is wrong otherwise."""
    if form.photos.dataset is None:
        return  # nothing to learn from: the button was not to be pressed
    parts.start_run(form.spec, form.photos.dataset, form.expected)


def choose_backbone() -> backbone_choice.Choice:
    """Of the backbones whose blocks can learn."""
    rows = {row.name: row for row in choices.tunable()}
    name = st.selectbox(
        "Backbone", list(rows), format_func=lambda one: rows[one].title, key="tune_backbone", persist_state="session",
        help="Those whose layers the lab builds itself; the others come as finished graphs.",
    )  # fmt: skip
    row = rows[name]
    if assets.find_backbone(lab.home(), row) is None:
        return backbone_choice.Choice(row, f"{row.title} is not on this machine yet; fetch it first.")
    return backbone_choice.Choice(row)


def memory_limit() -> int:
    """MB, 0 for none."""
    low, high = choices.MEMORY_LIMITS
    return st.number_input(
        "Memory limit, MB", 0, high, 0, step=low, key="tune_memory", persist_state="session",
        help="Of the process that learns; 0: what the machine has. Where the memory runs out, it begins anew in a new "
        "process with half as many photos at once.",
    )  # fmt: skip


def _slider(label: str, options: list[Number], default: Number, key: str) -> Number:
    offered = sorted([*options, *[value for value in parts.copied(key) if value not in options]])
    return st.select_slider(label, offered, default, lambda value: f"{value:g}", key=key, persist_state="session")


def depths_offered(key: str) -> list[int]:
    """From none to all, with those that were copied from a run."""
    return sorted({*DEPTHS, *parts.copied(key)}, key=lambda blocks: (blocks == choices.ALL_BLOCKS, blocks))


def _number(label: str, name: str, low: int, high: int) -> int:
    usual = getattr(FineTuningSpec(), name)
    return st.number_input(label, low, high, usual, key=f"tune_{name}", persist_state="session")
