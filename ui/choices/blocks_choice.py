"""Which backbone's blocks learn, how many of them, and in how much memory."""

import streamlit as st

from engine import assets
from engine.contract import choices
from ui import lab, parts
from ui.choices import backbone_choice

DEPTHS = (0, 1, 2, 4, 8, choices.ALL_BLOCKS)


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


def depths_offered(key: str) -> list[int]:
    """From none to all, with those that were copied from a run."""
    return sorted({*DEPTHS, *parts.copied(key)}, key=lambda blocks: (blocks == choices.ALL_BLOCKS, blocks))
