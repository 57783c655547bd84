"""The rooms of the kinds of run on the pages, by the one table of kinds (engine/contract/kinds/)."""

import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from engine.contract import kinds
from engine.kinds.compared import Side
from engine.runs import Run


class Form(Protocol):
    """The module of a kind's form."""

    MODES: dict[str, str]  # of its page in which it is shown: name in the address -> for people

    def show(self, mode: str) -> Any: ...  # draws it and says what was chosen; `start` where the button was pressed
    def start(self, form: Any) -> None: ...  # queues the run; the sentence of what is wrong otherwise
    def describe(self, form: Any) -> None: ...  # what stands in the place of results before a run is shown
    def mode_of(self, run: Run[Any]) -> str: ...
    def fill(self, run: Run[Any]) -> list[str]: ...  # chooses what a run was asked for; says what it has no place for


class Results(Protocol):
    """The module that shows what a run of a kind found."""

    PAGE: str  # the file of the page that shows it
    CONTENTS: str  # what the download of a finished run holds; "" where there is none
    CONTENTS_CANCELLED: str  # likewise
    LOST: str  # what is left of a run whose worker died

    def show(self, run: Run[Any]) -> None: ...  # all that stands below the card
    def note(self, run: Run[Any], now: float) -> str: ...  # beside the name while it goes on
    def time_left(self, run: Run[Any], now: float) -> str: ...  # "46 s left"


def form(kind: str) -> Form:
    found: Form = importlib.import_module(kinds.KINDS[kind].form)
    return found


def results(kind: str) -> Results:
    found: Results = importlib.import_module(kinds.KINDS[kind].results)
    return found


def comparison(kind: str) -> Callable[[Sequence[Side], Sequence[str]], None] | None:
    """What draws runs of the kind beside each other, where its results have a way of their own: its sides, and the
    names of all runs on the page in the order of their colours."""
    return getattr(results(kind), "compare", None)


def page_of(kind: str) -> str:
    """The page that shows runs of this kind."""
    return results(kind).PAGE


def mode_of(run: Run[Any]) -> str:
    """Of its page, where its settings are shown; "" for kinds without a form there."""
    return form(run.kind).mode_of(run) if kinds.KINDS[run.kind].form else ""


def forms_on(page: str) -> Iterator[tuple[str, str, Form]]:
    """Mode, its title and its form, in the order of the table."""
    for kind, rooms in kinds.KINDS.items():
        if rooms.form and page_of(kind) == page:
            for mode, title in form(kind).MODES.items():
                yield mode, title, form(kind)
