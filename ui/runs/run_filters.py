"""Which runs are listed: one select for each thing that people choose by, kept in the address."""

from collections.abc import Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from engine import kinds
from engine.kinds.rows import RunRow
from ui import lab
from ui.run_panel import BADGES

# Name in the address -> label, and words where nothing is chosen
FILTERS = {
    "kind": ("Kind", "Every kind"),
    "data": ("Data", "All data"),
    "model": ("Backbone or network", "Every model"),
    "state": ("State", "Every state"),
    "device": ("Device", "Every device"),
}
WIDTH = 172  # pixels: five beside each other


def choose(rows: Sequence[RunRow]) -> list[RunRow]:
    """Draw the selects and return the rows that pass all of them."""
    asked = {name: st.query_params[name] for name in FILTERS if st.query_params.get(name)}
    if lab.is_phone():
        words = f"Filter · {len(asked)} set" if asked else "Filter"
        place: DeltaGenerator = st.expander(words, type="compact", expanded=bool(asked), key="filters")
    else:
        place = st.container(horizontal=True, gap="small", key="filters")
    with place:
        for name in FILTERS:
            _select(name, rows, asked.get(name))
    return [row for row in rows if all(value in _values(row)[name] for name, value in asked.items())]


def clear() -> None:
    """List every run again."""
    for name in FILTERS:
        st.query_params.pop(name, None)


def _values(row: RunRow) -> dict[str, tuple[str, ...]]:
    return {
        "kind": (kinds.named(row.kind).title,),
        "data": (row.data,),
        "model": row.models,
        "state": (BADGES[row.state][0],),
        "device": (row.device,),
    }


def _select(name: str, rows: Sequence[RunRow], asked: str | None) -> None:
    label, nothing = FILTERS[name]
    options = {value for row in rows for value in _values(row)[name] if value}
    if asked:
        options.add(asked)  # a link may ask for what no run has any more: it is said, and not passed over
    key = f"filter_{name}"
    st.session_state[key] = asked  # the address is what counts
    st.selectbox(
        label,
        sorted(options, key=str.casefold),
        index=None,
        placeholder=nothing,
        key=key,
        label_visibility="collapsed",
        width="stretch" if lab.is_phone() else WIDTH,
        on_change=_keep,
        args=(name,),
    )


def _keep(name: str) -> None:
    value = st.session_state[f"filter_{name}"]
    if value:
        st.query_params[name] = value
    else:
        st.query_params.pop(name, None)
