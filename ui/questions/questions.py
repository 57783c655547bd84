"""The coursework's questions with the evidence that is on this machine, as pages and reports share them."""

import threading
from collections.abc import Callable
from pathlib import Path

import streamlit as st

from engine import runs
from engine.contract import events
from engine.contract.run_folder import LabHome
from engine.errors import EngineError, RunNotFound
from engine.kinds.rows import RunRow
from engine.questions import evidence, questions, write_up
from engine.questions.evidence import DEVICES, Evidence, Known, Query
from engine.questions.questions import Question
from engine.questions.write_up import Answer, Figure
from engine.runs import Run
from engine.words import join, plain
from ui import blocks, lab, rooms
from ui.questions import measuring, own_answers

LONGEST_LINK = 120  # characters; whole paragraphs are no links, the line below them says where they come from
KEPT_RUNS = 24  # of those that answers were drawn from


def read_all() -> list[Question]:
    """With the runs that were pinned here."""
    return questions.pinned(_read_once(), lab.home())


@st.cache_resource
def _read_once() -> list[Question]:
    return questions.read_all()


class Shelf:
    """The runs of this moment, looked through once for each query."""

    def __init__(self) -> None:
        home, kept = lab.home(), _kept()
        self._settings, self._found = lab.load_settings(), dict[Query, Evidence]()
        self._known = [kept.known(home, row) for row in lab.rows()]

    def find(self, asked: Query) -> Evidence:
        if asked not in self._found:
            known = [each for each in self._known if each is not None]
            self._found[asked] = evidence.find(asked, known, self._open, self._settings)
        return self._found[asked]

    def fitting(self, asked: Query) -> dict[str, str]:
        """The finished runs that might answer, the newest first: id -> title."""
        done = {row.id: row.title for row in lab.rows() if row.state == events.DONE}
        known = [each for each in self._known if each is not None and each.id in done]
        return {each.id: done[each.id] for each in known if evidence.fits(asked, each.spec)}

    def _open(self, run_id: str) -> Run:
        return _kept().open(self._settings.home, run_id)

    def answer(self, question: Question, mark: write_up.Mark = write_up.plain_mark, height: int = 300) -> Answer:
        return write_up.answer(question, self.find, self._settings, mark, height)


class _Kept:
    """For all visitors: what never changes about a run, and those finished runs that answers are drawn from.

    Runs are a megabyte each, so that only the ones asked for last are kept.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._specs: dict[tuple[str, str], Known | None] = {}
        self._runs: dict[str, tuple[float, Run]] = {}  # by path, with the time of its events

    def known(self, home: LabHome, row: RunRow) -> Known | None:
        """The run of a row; None where its folder can no longer be read."""
        key = (home.path, row.id)
        if key not in self._specs:
            try:
                self._specs[key] = evidence.known(home.run(row.id), row.state, row.started)
            except Exception:  # whatever a damaged folder makes of it, the others still answer
                return None
        known = self._specs[key]
        return None if known is None else Known(row.id, row.state, row.started, known.spec, known.root)

    def open(self, home: LabHome, run_id: str) -> Run:
        folder = home.run(run_id)
        try:
            changed = Path(folder.events).stat().st_mtime
        except OSError as error:
            raise RunNotFound(f"There is no run {run_id!r}. It may have been deleted.") from error
        with self._lock:
            before, run = self._runs.pop(folder.path, (0.0, None))
            if run is None or before != changed:
                run = runs.open_run(home, run_id)
            self._runs[folder.path] = (changed, run)  # the newest last
            while len(self._runs) > KEPT_RUNS:
                self._runs.pop(next(iter(self._runs)))
            return run


@st.cache_resource
def _kept() -> _Kept:
    return _Kept()


# --- draw ------------------------------------------------------------------------------------------------------------


def sign(question: Question, shelf: Shelf) -> str:
    """Beside its name: whether its evidence is here; nothing for those that need none."""
    if not question.runs:
        return ""
    here = all(shelf.find(query).runs for query in question.runs.values())
    return MEASURED if here else MISSING


MEASURED = ":green[:material/monitoring:]"
MISSING = ":orange[:material/hourglass_empty:]"


def missing(asked: list[Question], shelf: Shelf) -> list[Query]:
    """The queries that no run answers and none is about to, each once."""
    queries = dict.fromkeys(query for question in asked for query in question.runs.values())
    return [query for query in queries if not (found := shelf.find(query)).runs and not found.pending]


def show(question: Question, shelf: Shelf, height: int = 300, alone: bool = True) -> None:
    """One question with everything it has; `alone` on its page it has the form for one's own answer too."""
    st.header(plain(question.question), anchor=False)
    drawn, key = shelf.answer(question, _mark(shelf, question), height), f"answer_{question.number}"
    first = next(iter(drawn.blocks), None)
    if first:
        blocks.draw(first, f"{key}_0")
    if len(drawn.missing) == 1:
        measuring.box(drawn.evidence[drawn.missing[0]], str(question.number))
    for number, block in enumerate(drawn.blocks[1:], 1):
        blocks.draw(block, f"{key}_{number}", light=not alone)
    if len(drawn.missing) > 1:
        measuring.rows({name: drawn.evidence[name] for name in drawn.missing}, str(question.number))
    for found in {each.runs: each for each in drawn.evidence.values() if each.runs}.values():
        _evidence_line(found)
    if alone:
        _choose_runs(question, shelf)
    _sources(drawn)
    if drawn.original:
        with st.expander("What the original write-up said", type="compact", key=f"original_{question.number}"):
            for number, block in enumerate(drawn.original):
                blocks.draw(block, f"original_{question.number}_{number}")
    if alone:
        own_answers.show(question.number)
    else:
        own_answers.show_newest(question.number)


def _mark(shelf: Shelf, question: Question) -> Callable[[Figure], str]:
    """Measured figures are links to their runs; what is missing has the colour of its sign."""

    def mark(figure: Figure) -> str:
        if figure.state == write_up.NOT_MEASURED:
            return f":orange[{figure.words}]"
        marked = write_up.plain_mark(figure)
        if figure.state != write_up.MEASURED_HERE or len(figure.words) > LONGEST_LINK:
            return marked
        return f"[{marked}]({_address(shelf.find(question.runs[figure.query]))})"

    return mark


def _address(found: Evidence) -> str:
    run = found.runs[0]
    page = Path(rooms.page_of(run.kind)).stem
    return f"{page}?compare={run.spec.group}" if found.query.kind == DEVICES else f"{page}?run={run.id}"


def _evidence_line(found: Evidence) -> None:
    """Which runs, of what, when and where, and the way there."""
    run = found.runs[0]
    compared = found.query.kind == DEVICES
    ids = join([each.id for each in found.runs])
    newer = " A newer run goes on." if found.pending else ""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption(f"{evidence.where(found)}: {plain(f'{ids}, {evidence.described(found)}')}.{newer}", width="stretch")
        st.page_link(
            rooms.page_of(run.kind),
            label="Open the comparison" if compared else "Open the run",
            icon=":material/arrow_forward:",
            icon_position="right",
            query_params={"compare": run.spec.group} if compared else {"run": run.id},
        )


NEWEST = ""  # the choice beside the ids of runs


def _choose_runs(question: Question, shelf: Shelf) -> None:
    """Which run answers, where there is more than one, or where one was pinned."""
    choices = {name: (query, shelf.fitting(query)) for name, query in question.runs.items()}
    choices = {name: each for name, each in choices.items() if len(each[1]) > 1 or each[0].pinned}
    if not choices:
        return
    with st.expander("Which run answers", type="compact", key=f"runs_{question.number}"):
        for name, (query, fitting) in choices.items():
            titles = {NEWEST: "The newest"} | {run_id: f"{title} · {run_id}" for run_id, title in fitting.items()}
            if query.pinned:
                titles.setdefault(query.pinned, f"{query.pinned} · deleted")
            chosen = st.selectbox(
                f"For “{name}”" if len(question.runs) > 1 else "Run", list(titles),
                list(titles).index(query.pinned), titles.__getitem__, key=f"pin_{question.number}_{name}",
            )  # fmt: skip
            if chosen != query.pinned:
                try:
                    questions.pin(lab.home(), question, name, chosen)
                except EngineError as error:
                    st.error(str(error), icon=":material/error:")
                else:
                    st.rerun()


def _sources(drawn: Answer) -> None:
    listed = [f"- {plain(source)}" for source in drawn.question.sources]
    listed += [f"- *Quoted*: {plain(source)}" for source in drawn.quoted]
    if listed:
        with st.expander("Sources", type="compact", key=f"sources_{drawn.question.number}"):
            st.markdown("\n".join(listed))
