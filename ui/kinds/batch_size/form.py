"""Widgets -> the spec of trying batch sizes. It needs no photos: what a step takes depends on their number alone."""

from dataclasses import dataclass

import streamlit as st

from engine.contract import choices, events
from engine.contract.kinds.batch_size import BatchSizeSpec
from engine.kinds.batch_size import forecast
from engine.runs import Run
from ui import lab, parts
from ui.choices import backbone_choice, blocks_choice, foresight

MODES = {"batch_size": "Batch size"}
LARGEST = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]


@dataclass(frozen=True)
class Form:
    spec: BatchSizeSpec
    backbone: backbone_choice.Choice
    start: bool  # the button was pressed, and nothing is wrong
    expected: events.Expected | None = None  # what it was said to take


def show(mode: str) -> Form:
    """The form, in the place where it is called."""
    usual = BatchSizeSpec()
    parts.say_copied()
    backbone = blocks_choice.choose_backbone()
    depths = blocks_choice.depths_offered("batch_blocks")
    blocks = st.selectbox(
        "Blocks that learn", depths, depths.index(usual.blocks), choices.depth_title,
        key="batch_blocks", persist_state="session",
    )  # fmt: skip
    sizes = sorted({*LARGEST, *parts.copied("batch_largest")})
    largest = st.select_slider("Try batches up to", sizes, usual.largest, key="batch_largest", persist_state="session")
    limit = st.number_input(
        "Memory limit, MB", 0, choices.MEMORY_LIMITS[1], 0, step=choices.MEMORY_LIMITS[0], key="batch_memory",
        persist_state="session",
        help="Of each process that tries a size; 0: nine tenths of what is free when it begins.",
    )  # fmt: skip
    spec = usual._replace(
        backbone=backbone.name, blocks=blocks, largest=largest, memory_limit=limit, device=parts.device_choice()
    )
    faults = spec.faults()
    expected: events.Expected | None = None
    start = parts.start_button("Try batch sizes", faults, backbone.fault)
    if not faults and not backbone.fault:
        expected = foresight.expect_sizes(spec, forecast.expected(lab.rows(), spec))
    return Form(spec, backbone, start, expected)


def describe(form: Form) -> None:
    """What stands in the place of results before a run is shown."""
    parts.empty(
        "Memory and speed against the batch size",
        "Sizes are doubled until one no longer fits, then halved between, and one of them is recommended.",
    )


def start(form: Form) -> None:
    """Queue the run and make it the page's address; the sentence of what is wrong otherwise."""
    parts.start_run(form.spec, None, form.expected)


def mode_of(run: Run[BatchSizeSpec]) -> str:
    return next(iter(MODES))


def fill(run: Run[BatchSizeSpec]) -> list[str]:
    """Choose what a run was asked for; sentences about what the form has no place for."""
    spec, state = run.spec, st.session_state
    parts.copy({"batch_blocks": (spec.blocks,), "batch_largest": (spec.largest,)})
    asked = {"tune_backbone": spec.backbone, "batch_blocks": spec.blocks, "batch_largest": spec.largest}
    for key, value in (asked | {"batch_memory": spec.memory_limit}).items():
        state[key] = value
    return []
