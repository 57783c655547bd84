"""The questions of the coursework, as content/questions/*.md holds them: read and checked, without any run.

A file begins with TOML between two lines of "+++":

    number = 8
    name = "Low learning rate"             # in lists
    question = "How does a low learning rate affect precision?"
    sources = ["Howard et al. 2017, MobileNets. arXiv:1704.04861"]
    [runs.race]               # evidence, under the name that the text uses: a query of engine/questions/evidence.py
    kind = "retrain"
    backbone = ["mobilenet_v2"]
    learning_rates = [0.005, 0.5]

Markdown follows, one sentence a line, the conclusion first and bold. No figure is typed into it; it is named:

    {{race.test_accuracy lane=0.005}}      from the newest run that fits the query, or the one it is pinned to
    {{quoted.imagenet_images}}             a row of engine/questions/quoted.py, with its source

A name alone in its paragraph may be a chart or a table: {{race.curves}}. What stands below the line
"## What the original write-up said" is folded on the page. engine/questions/write_up.py fills in the figures.
"""

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.contract.run_folder import LabHome, read_json, write_json
from engine.errors import EngineError
from engine.questions import evidence, quoted
from engine.questions.evidence import Query
from engine.settings import APP_ROOT

CONTENT = APP_ROOT / "content" / "questions"
ORIGINAL = "## What the original write-up said"
QUOTED = "quoted"
_NAMED = re.compile(r"\{\{\s*([a-z0-9_]+)\.([a-z0-9_]+)((?:\s+[a-z_]+=\S+?)*)\s*\}\}")


@dataclass(frozen=True)
class Reference:
    """A place in the text where evidence goes."""

    source: str  # the name of one of the question's queries, or QUOTED
    field: str
    options: Mapping[str, str]


@dataclass(frozen=True)
class Paragraph:
    parts: Sequence[str | Reference]  # Markdown, and figures in it


@dataclass(frozen=True)
class Question:
    number: int
    name: str  # "Low learning rate"
    question: str
    sources: Sequence[str]
    runs: Mapping[str, Query]
    answer: Sequence[Paragraph | Reference]  # a Reference among them is a chart or a table
    original: Sequence[Paragraph | Reference]  # what the coursework's own write-up said; may be empty

    @property
    def title(self) -> str:
        """ "8. Low learning rate" """
        return f"{self.number}. {self.name}"


def read_all(folder: Path = CONTENT) -> list[Question]:
    """By number. Raises ValueError with the file's name where one is not as the docstring above says."""
    found = [read(path) for path in sorted(folder.glob("*.md"))]
    numbers = [question.number for question in found]
    if twice := {number for number in numbers if numbers.count(number) > 1}:
        raise ValueError(f"Two questions have the number {min(twice)}.")
    return sorted(found, key=lambda question: question.number)


def read(path: Path) -> Question:
    """One file. Raises ValueError."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path.name}: {error}") from error


def parse(text: str) -> Question:
    """The content of a file. Raises ValueError, KeyError or TypeError with what is wrong."""
    begin, _, rest = text.partition("+++\n")
    head, fence, body = rest.partition("\n+++\n")
    if begin.strip() or not fence:
        raise ValueError("it must begin with TOML between two lines of +++")
    fields: dict[str, Any] = tomllib.loads(head)
    runs = {name: evidence.query(values) for name, values in fields.pop("runs", {}).items()}
    answer, _, original = body.partition(ORIGINAL)
    question = Question(
        number=int(fields.pop("number")),
        name=str(fields.pop("name")),
        question=str(fields.pop("question")),
        sources=tuple(map(str, fields.pop("sources", ()))),
        runs=runs,
        answer=_paragraphs(answer, runs),
        original=_paragraphs(original, runs),
    )
    if fields:
        raise ValueError(f"unknown fields {', '.join(sorted(fields))}")
    return question


# --- runs that a visitor holds on to ---------------------------------------------------------------------------------


def pinned(asked: Sequence[Question], home: LabHome) -> list[Question]:
    """The same questions, with the runs that were pinned in this home instead of the newest."""
    pins = _pins(home)
    found = []
    for question in asked:
        runs = {name: _pinned(query, pins.get(f"{question.number}.{name}")) for name, query in question.runs.items()}
        found.append(replace(question, runs=runs))
    return found


def _pinned(query: Query, run_id: object) -> Query:
    return replace(query, pinned=run_id) if isinstance(run_id, str) and run_id else query


def pin(home: LabHome, question: Question, name: str, run_id: str) -> None:
    """Have that query of the question answered by this run, "" for the newest. Raises EngineError on a full disk."""
    pins = _pins(home) | {f"{question.number}.{name}": run_id}
    path = _pins_file(home)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write_json(path, {key: value for key, value in pins.items() if value})
    except OSError as error:
        raise EngineError(f"{path} cannot be written: {error.strerror}. Free some disk space and try again.") from error


def _pins(home: LabHome) -> dict[str, object]:
    """By "<number>.<name of the query>"."""
    try:
        return dict(read_json(_pins_file(home)))
    except (OSError, ValueError, TypeError):
        return {}


def _pins_file(home: LabHome) -> str:
    return os.path.join(home.path, "answers", "pinned.json")


# --- reading ---------------------------------------------------------------------------------------------------------


def _paragraphs(body: str, runs: Mapping[str, Query]) -> tuple[Paragraph | Reference, ...]:
    return tuple(_paragraph(part.strip(), runs) for part in re.split(r"\n\s*\n", body) if part.strip())


def _paragraph(text: str, runs: Mapping[str, Query]) -> Paragraph | Reference:
    alone = _NAMED.fullmatch(text)
    if alone and alone[1] in runs and alone[2] in evidence.kind_of(runs[alone[1]]).block_ids:
        return _reference(alone, runs)
    parts: list[str | Reference] = []
    at = 0
    for found in _NAMED.finditer(text):
        reference = _reference(found, runs)
        if reference.source != QUOTED and reference.field in evidence.kind_of(runs[reference.source]).block_ids:
            raise ValueError(f"{found[0]} is a chart or a table and must stand alone in its paragraph")
        parts += [text[at : found.start()], reference]
        at = found.end()
    parts.append(text[at:])
    if broken := next((part for part in parts if isinstance(part, str) and ("{{" in part or "}}" in part)), ""):
        raise ValueError(f"figures are written {{{{name.field option=value}}}}, not as in: {broken.strip()}")
    return Paragraph(tuple(part for part in parts if part))


def _reference(found: re.Match[str], runs: Mapping[str, Query]) -> Reference:
    source, field = found[1], found[2]
    options = dict(option.split("=", 1) for option in found[3].split())
    if source == QUOTED:
        if field not in quoted.FIGURES or options:
            raise ValueError(f"{found[0]}: engine/questions/quoted.py has no such figure")
    elif source not in runs:
        raise ValueError(f"{found[0]}: there is no [runs.{source}] above")
    else:
        evidence.check(runs[source], field, options)
    return Reference(source, field, options)
