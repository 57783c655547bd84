"""A visitor's own answer below a question: shown, edited, saved as a version, and older versions to look at."""

import time

import streamlit as st

from engine.errors import EngineError
from engine.questions import answers
from engine.questions.answers import Version
from engine.words import age
from ui import lab


def show(number: int) -> None:
    """The answer to that question, and the form that changes it."""
    home, key = lab.home(), f"own_{number}"
    found = answers.versions(home, number)
    newest = found[0] if found else None
    with st.expander("Your own answer" if newest else "Write your own answer", type="compact", key=f"{key}_place"):
        if notice := st.session_state.pop(f"{key}_notice", ""):
            st.warning(notice, icon=":material/info:")
        if newest and newest.text:
            _draw(newest)
        with st.form(f"{key}_form", border=False):
            # What is edited is the version that was the newest when the form was drawn for the first time.
            begun = st.session_state.setdefault(f"{key}_begun", newest.name if newest else "")
            started = next((each.text for each in found if each.name == begun), "")
            text = st.text_area(
                "Markdown", started, key=f"{key}_text_{begun}", height=160,
                placeholder="In your own words. Every version is kept, on this machine alone.",
            )  # fmt: skip
            saved = st.form_submit_button("Save", icon=":material/save:")
        if saved:
            _save(number, text, begun)
        if len(found) > 1:
            _older(number, found)


def show_newest(number: int) -> None:
    """The answer alone; nothing where there is none."""
    newest = answers.newest(lab.home(), number)
    if newest and newest.text:
        st.markdown("**Your own answer**")
        _draw(newest)


def _draw(version: Version) -> None:
    with st.container(border=True, gap="small"):
        st.markdown(answers.harmless(version.text))  # HTML in it is shown as it was typed
        st.caption(f"Saved {age(version.saved, time.time())}.")


def _save(number: int, text: str, begun: str) -> None:
    try:
        result = answers.save(lab.home(), number, text, begun)
    except EngineError as error:
        st.error(str(error), icon=":material/error:")
        return
    st.session_state[f"own_{number}_begun"] = result.version.name
    if result.missed:
        st.session_state[f"own_{number}_notice"] = (
            "Somebody else saved an answer while you wrote this one. Both are kept: yours is the newest, the other one "
            "is in the list of versions."
        )
    st.rerun()


def _older(number: int, found: list[Version]) -> None:
    """A version to look at, and the button that makes it the newest again."""
    now = time.time()
    titles = {
        each.name: time.strftime("%-d %b %Y %H:%M:%S", time.localtime(each.saved)) + f", {age(each.saved, now)}"
        for each in found[1:]
    }
    chosen = st.selectbox(
        "Versions", list(titles), None, titles.__getitem__, key=f"own_{number}_version", placeholder="Older versions"
    )
    version = next((each for each in found if each.name == chosen), None)
    if version:
        _draw(version)
        if st.button("Use this version again", key=f"own_{number}_restore", icon=":material/history:"):
            _save(number, version.text, found[0].name)
