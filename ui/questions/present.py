"""Questions and runs for others to look at: one a screen, large, without sidebar and forms, by arrow keys."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from engine import runs
from engine.errors import RunNotFound
from engine.kinds import results
from engine.kinds.blocks import Block, Chart, Section, Table, Text
from engine.questions import evidence, write_up
from engine.questions.questions import Question
from engine.words import join, plain
from ui import blocks, frame, lab, rooms
from ui.questions import questions

ENLARGED = 1.5  # of charts
HEIGHT = 270  # of curves before that, pixels
WORDS = 1200  # pixels of a line at most
# Whatever is measured in rem grows with the screen; on a phone letters are as everywhere.
LARGE_TYPE = "<style>html{font-size:clamp(16px,1.25vw,32px)!important}</style>"


@dataclass(frozen=True)
class Screen:
    address: Mapping[str, str]  # the query of the page that shows it
    section: Callable[[], Section]
    page: str  # where Escape leads, and its query
    query: Mapping[str, str]


def of_runs(ids: Sequence[str]) -> list[Screen]:
    """A screen for each run."""
    if len(ids) == 1:
        return [_of_run(ids[0], {"run": ids[0]})]
    return [_of_run(each, {"runs": ",".join(ids), "at": str(at)}) for at, each in enumerate(ids, 1)]


def of_questions() -> list[Screen]:
    """A screen for each question of the coursework, by number."""
    shelf = questions.Shelf()
    return [_of_question(question, shelf) for question in questions.read_all()]


def _of_question(question: Question, shelf: questions.Shelf) -> Screen:
    def section() -> Section:
        answer = shelf.answer(question, height=HEIGHT)
        behind = [
            f"{evidence.where(found)}: {join([run.id for run in found.runs])}, {evidence.described(found)}"
            for found in answer.evidence.values()
            if found.runs
        ]
        facts = ". ".join([*dict.fromkeys(behind), write_up.KEY])
        return Section(question.title, f"{question.number}. {question.question}", facts, answer.blocks)

    address = {"q": str(question.number)}
    return Screen(address, section, "pages/qa.py", address)


def _of_run(run_id: str, address: Mapping[str, str]) -> Screen:
    if "runs" in address:
        return Screen(address, lambda: _section(run_id), "pages/runs.py", {})
    try:
        page = rooms.page_of(runs.open_run(lab.home(), run_id).kind)
    except RunNotFound:
        return Screen(address, lambda: _section(run_id), "pages/runs.py", {})
    return Screen(address, lambda: _section(run_id), page, {"run": run_id})


def _section(run_id: str) -> Section:
    """What is said of a run up to its first table: the conclusion, its curves and figures."""
    try:
        whole = results.section(runs.open_run(lab.home(), run_id), lab.load_settings(), HEIGHT)
    except RunNotFound as error:
        return Section(run_id, "This run is not here", "", [Text(plain(str(error)))])
    ends = next((at for at, block in enumerate(whole.blocks) if isinstance(block, Table)), len(whole.blocks))
    return Section(whole.name, whole.title, whole.facts, whole.blocks[: ends + 1])


def show(screens: Sequence[Screen], at: int) -> None:
    """The screen at this place, from 0, with the way to its neighbours and back."""
    shown = screens[at]
    section = shown.section()
    frame.bare(section.title)
    st.html(LARGE_TYPE)
    _way(screens, at)
    with st.container(gap=None):
        st.title(plain(section.title), anchor=False)
        if section.facts:
            st.caption(plain(section.facts))
    texts = [block for block in section.blocks if isinstance(block, Text)]
    shown_charts = [block for block in section.blocks if isinstance(block, Chart)]
    rest = [block for block in section.blocks if not isinstance(block, Text | Chart)]
    left, right = [st.container()] * 2
    if texts and shown_charts:
        left, right = st.columns([1, 1.5], gap="large")
    elif not rest and not lab.is_phone():
        left = st.container(width=WORDS)
    enlarged = 1.0 if lab.is_phone() else ENLARGED
    _draw(left, texts, "text", enlarged)
    _draw(right, shown_charts, "chart", enlarged)
    _draw(st.container(), rest, "below", enlarged)


def _draw(place: st.delta_generator.DeltaGenerator, drawn: Sequence[Block], key: str, enlarged: float) -> None:
    with place:
        for number, block in enumerate(drawn):
            blocks.draw(block, f"{key}_{number}", enlarged)


def _way(screens: Sequence[Screen], at: int) -> None:
    shown = screens[at]
    with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center"):
        if len(screens) > 1:
            st.caption(f"{at + 1} of {len(screens)}", width="content")
            for label, icon, key, to in (
                ("Back", ":material/chevron_left:", "Left", at - 1),
                ("Next", ":material/chevron_right:", "Right", at + 1),
            ):
                there = 0 <= to < len(screens)
                st.button(
                    label,
                    key=key.lower(),
                    icon=icon,
                    shortcut=key,
                    disabled=not there,
                    on_click=_go,
                    args=(screens[to].address,) if there else (),
                )
        if st.button("Leave", key="leave", icon=":material/close:", shortcut="Esc"):
            st.switch_page(shown.page, query_params=dict(shown.query))


def _go(address: Mapping[str, str]) -> None:
    st.query_params.from_dict(dict(address))
