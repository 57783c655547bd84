"""The coursework's questions, answered with runs measured here."""

import streamlit as st

from ui import frame, lab, reports
from ui.questions import measuring, questions

PURPOSE = "The coursework's questions, each answered with evidence from runs measured on this machine."
ONE, ALL = "One at a time", "All on one page"
ALL_HEIGHT = 240  # of charts, pixels

header = frame.begin("Q&A", PURPOSE)
asked = questions.read_all()
shelf = questions.Shelf()
titles = {question.number: f"{question.title} {questions.sign(question, shelf)}" for question in asked}


def choose() -> None:
    st.query_params["q"] = str(st.session_state["question"])


def switch() -> None:
    if st.session_state["qa_view"] == ALL:
        st.query_params.from_dict({"all": "1"})
    else:
        st.query_params.pop("all", None)


shown = (st.query_params.get("q"), st.query_params.get("all"))
if st.session_state.get("_qa_of") != shown:  # another address: the page follows it
    st.session_state["_qa_of"] = shown
    number = shown[0] or ""
    if number.isdecimal() and int(number) in titles:
        st.session_state["question"] = int(number)
    st.session_state.setdefault("question", asked[0].number)
    st.session_state["qa_view"] = ALL if shown[1] else ONE
with header, st.container(horizontal=True, width="content", vertical_alignment="center"):
    view = st.segmented_control(
        "View", [ONE, ALL], required=True, key="qa_view", on_change=switch, label_visibility="collapsed"
    )
    reports.of_questions(shelf.find)
    reports.present_link(question=st.session_state["question"])


def overview() -> None:
    """The key of the signs, and the button for all that is missing."""
    st.caption(
        f"{questions.MEASURED} measured here  \n{questions.MISSING} a run is missing  \n"
        "linked: measured here, *italic*: quoted"
    )
    measuring.measure_all(questions.missing(asked, shelf))


def listed() -> None:
    st.radio(
        "Questions", list(titles), format_func=titles.__getitem__, key="question", on_change=choose,
        label_visibility="collapsed",
    )  # fmt: skip
    overview()


if view == ALL:
    overview()
    for question in asked:
        with st.container(border=True, gap="small", key=f"question_{question.number}"):
            questions.show(question, shelf, ALL_HEIGHT, alone=False)
else:
    list_column, answer_column = st.columns([1, 3.1], gap="medium")
    with list_column:
        if lab.is_phone():
            with st.expander("All questions"):
                listed()
        else:
            listed()
    with answer_column:
        questions.show(next(each for each in asked if each.number == st.session_state["question"]), shelf)
