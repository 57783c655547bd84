"""Questions and runs -> answers as blocks (engine/run_views/blocks.py), which pages, reports and screens draw.

Every figure in an answer is one of three things: measured here, quoted with its source, or not measured yet. `mark`
turns each into Markdown, so that a page can link to the run's address and a report to its own section. A line of the
text (a sentence, or a cell of a table) is left out where one of its figures is not measured, and that is said:

    answer = write_up.answer(question, lambda query: evidence.find(query, known, open_run), settings)
    answer.blocks, answer.original, answer.figures, answer.evidence
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from engine.kinds.blocks import Block, Text
from engine.questions import evidence, quoted
from engine.questions.evidence import Evidence, Query
from engine.questions.questions import QUOTED, Paragraph, Question, Reference
from engine.settings import Settings
from engine.words import plain

# How a figure stands.
MEASURED_HERE, QUOTED_FROM, NOT_MEASURED = "measured", "quoted", "missing"
MISSING_WORDS = "not measured yet"
KEY = "Bold: measured here. Italic: quoted."
_LEFT_OUT = "*What this machine says is not measured yet.*"  # for the sentences of a paragraph that wait for a run
_MISSING = "\0"  # its place in a text that is being filled in


@dataclass(frozen=True)
class Figure:
    state: str  # MEASURED_HERE, QUOTED_FROM or NOT_MEASURED
    words: str  # plain: "91.8%", a sentence, or MISSING_WORDS
    run_id: str = ""  # of a measured one
    source: str = ""  # of a quoted one, a sentence
    query: str = ""  # name of the question's query; "" of a quoted one


Mark = Callable[[Figure], str]
Find = Callable[[Query], Evidence]


def plain_mark(figure: Figure) -> str:
    """As KEY says."""
    if figure.state == MEASURED_HERE:
        return plain(figure.words) if is_sentence(figure) else f"**{plain(figure.words)}**"
    return f"*{plain(figure.words)}*" if figure.state == QUOTED_FROM else f"({MISSING_WORDS})"


def is_sentence(figure: Figure) -> bool:
    """Whether its words are whole sentences, which are neither bold nor a link."""
    return figure.words.endswith(".")


@dataclass(frozen=True)
class Answer:
    question: Question
    blocks: Sequence[Block]
    original: Sequence[Block]
    figures: Sequence[Figure]  # all that stand in the answer and below it, in order; charts and tables are none
    evidence: dict[str, Evidence]  # by the names of the question's queries

    @property
    def missing(self) -> list[str]:
        """The queries that no finished run fits."""
        return [name for name, found in self.evidence.items() if not found.runs]

    @property
    def quoted(self) -> list[str]:
        """The sources of what is quoted in it, each once."""
        return list(dict.fromkeys(figure.source for figure in self.figures if figure.state == QUOTED_FROM))


def answer(question: Question, find: Find, settings: Settings, mark: Mark = plain_mark, height: int = 300) -> Answer:
    """`find`: query -> what there is for it; `height` of charts in pixels. Never raises because of a run's folder."""
    found = {name: find(query) for name, query in question.runs.items()}
    figures: list[Figure] = []

    def fill(parts: Sequence[Paragraph | Reference]) -> Iterator[Block]:
        for part in parts:
            if isinstance(part, Reference):
                yield from evidence.blocks(found[part.source], part.field, settings, height)
            else:
                yield Text(paragraph(part))

    def paragraph(given: Paragraph) -> str:
        text = "".join(piece if isinstance(piece, str) else written(piece) for piece in given.parts)
        if text.startswith("|"):  # a table: its other cells stand
            missing = mark(Figure(NOT_MEASURED, MISSING_WORDS))
            return "|".join(f" {missing} " if _MISSING in cell else cell for cell in text.split("|"))
        lines = text.split("\n")
        known = [line for line in lines if _MISSING not in line]
        return "\n".join(known if len(known) == len(lines) else [*known, _LEFT_OUT])

    def written(reference: Reference) -> str:
        figure = _figure(reference, found)
        figures.append(figure)
        return _MISSING if figure.state == NOT_MEASURED else mark(figure)

    return Answer(question, list(fill(question.answer)), list(fill(question.original)), figures, found)


def _figure(reference: Reference, found: dict[str, Evidence]) -> Figure:
    if reference.source == QUOTED:
        row = quoted.FIGURES[reference.field]
        return Figure(QUOTED_FROM, row.words, source=row.source)
    evidence_here = found[reference.source]
    words = evidence.figure(evidence_here, reference.field, reference.options)
    if words is None:
        return Figure(NOT_MEASURED, MISSING_WORDS, query=reference.source)
    return Figure(MEASURED_HERE, words, run_id=evidence_here.runs[0].id, query=reference.source)
