"""What can be taken away or shown to others: runs and answers as a report, and on a screen of their own."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import streamlit as st

from ui import lab

if TYPE_CHECKING:  # a tenth of what a page loads, for those who ask for a report
    from engine.questions.write_up import Find
    from engine.report import Report

PRESENT = "pages/present.py"


def menu(make: "Callable[[], Report]", tertiary: bool = False) -> None:
    """The button whose list holds a report as HTML and as Markdown; `make` is called once one is asked for."""
    found, day = lab.load_settings(), time.strftime("%Y-%m-%d")

    def html() -> str:
        from engine import report

        return report.html(make(), found, time.time())

    def markdown() -> bytes:
        from engine import report

        return report.markdown_zip(make(), time.time())

    def offer(label: str, data: Callable[[], str | bytes], ending: str, mime: str, key: str, help_text: str) -> None:
        st.download_button(
            label,
            data=data,
            file_name=f"bottleneck-lab-{day}.{ending}",
            mime=mime,
            key=key,
            icon=":material/download:",
            width="stretch",
            on_click="ignore",
            help=help_text,
        )

    look: Literal["secondary", "tertiary"] = "tertiary" if tertiary else "secondary"
    with st.popover("Report", icon=":material/summarize:", type=look, key="report"):
        st.caption("Charts, tables and pictures, made when asked for.")
        offer(
            "One HTML file", html, "html", "text/html", "report_html",
            "Live charts; opens without the lab and without a network, and prints as a clean PDF",
        )  # fmt: skip
        offer(
            "Markdown in a zip", markdown, "zip", "application/zip", "report_markdown",
            "To write on: text, pictures of the charts, and the numbers behind them as CSV",
        )  # fmt: skip


def of_runs(ids: Sequence[str], tertiary: bool = False) -> None:
    """The same for these runs."""
    found = lab.load_settings()

    def make() -> "Report":
        from engine import report

        return report.of_runs(found, ids)

    menu(make, tertiary)


def of_questions(find: "Find") -> None:
    """The same for the whole write-up; `find`: query -> what there is for it."""
    found = lab.load_settings()

    def make() -> "Report":
        from engine import report

        return report.of_questions(found, find)

    menu(make)


def present_link(ids: Sequence[str] = (), question: int = 0) -> None:
    """The way to these runs, or to a question, on a screen of their own."""
    query = {"q": str(question)} if question else {"run": ids[0]} if len(ids) == 1 else {"runs": ",".join(ids)}
    st.page_link(PRESENT, label="Present", icon=":material/slideshow:", query_params=query)
