"""Fills a form with the settings of a run, wherever its widgets have a place for them."""

import streamlit as st

from engine.contract import choices
from engine.errors import SpecError
from engine.machine import device
from engine.runs import Run
from engine.words import plain
from ui import rooms


def fill(run: Run) -> tuple[str, dict[str, str]]:
    """The page with the form, and its query. Raises SpecError where these settings cannot be asked for here."""
    if faults := run.spec.faults():
        raise SpecError(f"The settings of {run.title} cannot be copied. {' '.join(faults)}")
    form = rooms.form(run.kind)
    missing = form.fill(run)
    note = f"Filled in with the settings of {run.title}."
    st.session_state["_copied_from"] = plain(" ".join([note, *missing]))
    if device.has_gpu():
        st.session_state["device"] = run.spec.device
    elif run.spec.device == choices.GPU:
        st.session_state["_copied_from"] += " There is no GPU here: it runs on the CPU."
    mode = form.mode_of(run)
    return rooms.page_of(run.kind), {"mode": mode} if mode else {}
