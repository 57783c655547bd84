"""Runs and questions as one HTML file that needs nothing else, or as Markdown with pictures and tables in a zip.

`of_runs` and `of_questions` say what goes in; `html` and `markdown_zip` write it. The HTML asks no host for anything
and runs no script but its own: names and answers are whatever people wrote, and are shown as they are written.
"""

import base64
import csv
import io
import re
import secrets
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markdown_it import MarkdownIt
from markupsafe import Markup

from engine.charts import vega
from engine.charts.base import LIGHT, Spec
from engine.contract import VERSION, hardware
from engine.errors import RunNotFound
from engine.kinds import results
from engine.kinds.batch_classification.many_pictures import harmless
from engine.kinds.blocks import Block, Chart, Pictures, Section, Table, Text
from engine.questions import answers, evidence, questions, write_up
from engine.questions.evidence import Evidence
from engine.questions.write_up import Answer, Figure
from engine.runs import open_run
from engine.settings import Settings
from engine.words import count, join, plain

HERE = Path(__file__).parent
FONT = "-apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif"
_TO_SECTION = re.compile(r"\]\(#([A-Za-z0-9._-]+)\)")
CONFIG = {"background": "transparent", "font": FONT, "view": {"strokeWidth": 0}}  # of every chart
PICTURE_WIDTH = 720  # of a chart in the zip, pixels on a screen
DIGITS = 5  # significant ones of a number in a chart: a pixel needs fewer

Progress = Callable[[int, int], object]  # done, of so many


@dataclass(frozen=True)
class Report:
    title: str  # plain
    sections: Sequence[Section]
    note: str = ""  # below the title, plain


def of_runs(settings: Settings, run_ids: Sequence[str], progress: Progress = lambda done, total: None) -> Report:
    """A section for each run, in their order; one that cannot be read says so in its place."""
    sections = []
    for number, run_id in enumerate(dict.fromkeys(run_ids), 1):
        try:
            sections.append(results.section(open_run(settings.home, run_id), settings))
        except RunNotFound as error:
            sections.append(Section(run_id, run_id, "", [Text(plain(str(error)))]))
        progress(number, len(run_ids))
    return Report(sections[0].title if len(sections) == 1 else f"Report of {count(len(sections), 'run')}", sections)


def of_questions(
    settings: Settings, find: write_up.Find | None = None, progress: Progress = lambda done, total: None
) -> Report:
    """Every question with its answer, the visitor's own below it, then the runs that the figures come from.

    `find`: query -> what there is for it; by itself it looks through all runs.
    """
    asked = questions.pinned(questions.read_all(), settings.home)
    find = find or evidence.finder(settings)
    sections, evidence_of = [], dict[str, None]()  # run ids, in the order in which they are spoken of
    for number, question in enumerate(asked, 1):
        answer = write_up.answer(question, find, settings, _mark)
        evidence_of |= {run.id: None for found in answer.evidence.values() for run in found.runs}
        sections.append(_question(answer, settings))
        progress(number, len(asked))
    sections += of_runs(settings, list(evidence_of)).sections
    return Report("Questions and answers", sections, write_up.KEY)


def _mark(figure: Figure) -> str:
    """As elsewhere, and measured figures lead to the section of their run."""
    words = write_up.plain_mark(figure)
    is_link = figure.state == write_up.MEASURED_HERE and not write_up.is_sentence(figure)
    return f"[{words}](#{_name(figure.run_id)})" if is_link else words


def _question(answer: Answer, settings: Settings) -> Section:
    question = answer.question
    blocks: list[Block] = list(answer.blocks)
    told = [_measured(found) for found in answer.evidence.values() if found.runs]
    if answer.missing:
        told.append("A run that this answer needs has not been made on this machine yet.")
    if told:
        blocks.append(Text("  \n".join(told)))
    if own := answers.newest(settings.home, question.number):
        blocks += [Text("### Own answer"), Text(answers.harmless(own.text))]
    if answer.original:
        blocks += [Text("### What the original write-up said"), *answer.original]
    sources = [plain(source) for source in question.sources] + [f"*Quoted*: {plain(each)}" for each in answer.quoted]
    if sources:
        blocks.append(Text("\n".join(["### Sources", "", *(f"- {source}" for source in sources)])))
    return Section(f"question-{question.number}", f"{question.number}. {question.question}", "", blocks, False)


def _measured(found: Evidence) -> str:
    links = join([f"[{plain(each.id)}](#{_name(each.id)})" for each in found.runs])
    return f"{evidence.where(found)}: {links}, {plain(evidence.described(found))}."


def made(now: float) -> str:
    """For people: "Made on 24 Nov 2026 21:14 with Bottleneck Lab 1.0.0 on Jetson TX2 · MAXN · GPU found"."""
    when = time.strftime("%-d %b %Y %H:%M", time.localtime(now))
    return f"Made on {when} with Bottleneck Lab {VERSION} on {hardware.describe(hardware.here())}"


# --- one HTML file ---------------------------------------------------------------------------------------------------


def html(given: Report, settings: Settings, now: float) -> str:
    """The whole page. Raises EngineError where the charts' script cannot be had. `now`: Unix seconds."""
    charts: list[Spec] = []
    drawn = [
        {
            "name": _name(each.name),
            "title": each.title,
            "facts": each.facts,
            "begins_page": each.begins_page,
            "blocks": list(_drawn(each.blocks, charts)),
        }
        for each in given.sections
    ]
    loader = jinja2.FileSystemLoader(HERE)
    page = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return page.get_template("page.html").render(
        title=given.title,
        note=given.note,
        made=made(now),
        sections=drawn,
        charts=charts,
        nonce=secrets.token_urlsafe(16),
        style=Markup((HERE / "page.css").read_text(encoding="utf-8")),
        script=Markup((HERE / "page.js").read_text(encoding="utf-8")),
        vega=Markup(vega.javascript(settings.home) if charts else ""),
    )


def _drawn(blocks: Sequence[Block], charts: list[Spec]) -> Iterator[dict[str, Any]]:
    """What the template reads, block by block; charts are added to the list that its script reads."""
    for block in blocks:
        match block:
            case Text():
                yield {"kind": "text", "html": Markup(_markdown().render(block.markdown))}
            case Table():
                columns = _columns(block.rows)
                pairs = [name for name, _ in columns] == ["Setting", "Value"]  # short: two beside each other
                yield {"kind": "table", "block": block, "columns": columns, "pairs": pairs}
            case Pictures():
                sources = [(_data_url(each.file), each) for each in block.pictures]
                yield {"kind": "pictures", "block": block, "pictures": sources}
            case Chart():
                light, dark = (_rounded(block.draw(scheme) | {"config": CONFIG}) for scheme in (False, True))
                yield {"kind": "chart", "block": block, "number": len(charts), "height": light.get("height", 300)}
                charts.append({"light": packed(light), "dark": list(differences(light, dark))})


def packed(value: Any) -> Any:
    """The same with rows as columns, a third of their size: curves of twenty runs would be megabytes.

    page.js unpacks it, at once: what is compressed would be there too late for whoever prints at once.
    """
    if isinstance(value, dict):
        return {key: packed(each) for key, each in value.items()}
    if not isinstance(value, list):
        return value
    if len(value) > 1 and isinstance(value[0], dict) and all(isinstance(row, dict) for row in value):
        names = value[0].keys()
        if names and all(row.keys() == names for row in value):
            return {"$rows": {name: _column([packed(row[name]) for row in value]) for name in names}}
    return [packed(each) for each in value]


def _column(values: list[Any]) -> Any:
    """Words that come again and again are written once."""
    if (
        not all(isinstance(each, str) for each in values)
        or len(distinct := list(dict.fromkeys(values))) > len(values) / 4
    ):
        return values
    place = {word: number for number, word in enumerate(distinct)}
    return {"of": distinct, "at": [place[each] for each in values]}


def _markdown() -> MarkdownIt:
    """Raw HTML is shown as it is written, and no picture is asked of another host."""
    return MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")


def _columns(rows: Sequence[Mapping[str, str | None]]) -> list[tuple[str, bool]]:
    """The columns and whether they hold numbers, which stand at the right."""
    if not rows:
        return []
    number = re.compile(r"[±+−<-]?\d")
    columns = list(rows[0])
    return [(name, name != columns[0] and all(number.match(row[name] or "0") for row in rows)) for name in columns]


def _data_url(file: bytes) -> str:
    return f"data:image/{_format(file)};base64,{base64.b64encode(file).decode()}"


def _format(picture: bytes) -> str:
    return "png" if picture.startswith(b"\x89PNG") else "jpeg"


def _rounded(value: Any) -> Any:
    """The chart with numbers as long as a picture needs them."""
    if isinstance(value, float):
        short = float(f"{value:.{DIGITS}g}")
        return int(short) if short.is_integer() else short
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list | tuple) else value


def differences(light: Any, dark: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[list[str | int], Any]]:
    """Where the second of two charts differs from the first, and its value there: colours, mostly."""
    if type(light) is type(dark) and isinstance(light, dict) and light.keys() == dark.keys():
        for key in light:
            yield from differences(light[key], dark[key], (*place, key))
    elif type(light) is type(dark) and isinstance(light, list) and len(light) == len(dark):
        for number, (one, other) in enumerate(zip(light, dark, strict=True)):
            yield from differences(one, other, (*place, number))
    elif light != dark:
        yield list(place), dark


# --- Markdown in a zip -----------------------------------------------------------------------------------------------


def markdown_zip(given: Report, now: float) -> bytes:
    """README.md, a file for each section, charts and photos in images/, and what charts were drawn from in data/.

    Raises EngineError where the charts cannot be drawn.
    """
    charts: dict[str, Spec] = {}  # by file
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        lines = [f"# {plain(given.title)}", "", f"{plain(made(now))}. {given.note}".rstrip(), ""]
        for section in given.sections:
            file = _name(section.name)
            lines.append(f"- [{plain(section.title)}]({file}.md) {plain(section.facts)}".rstrip())
            archive.writestr(f"{file}.md", "\n\n".join(_written(section, file, archive, charts)) + "\n")
        archive.writestr("README.md", "\n".join(lines) + "\n")
        for path, picture in zip(charts, vega.pictures(list(charts.values())), strict=True):
            archive.writestr(path, picture)
    return out.getvalue()


def _written(section: Section, name: str, archive: zipfile.ZipFile, charts: dict[str, Spec]) -> Iterator[str]:
    """The paragraphs of a section; its pictures and data go into the archive, its charts to those to be drawn."""
    yield f"# {plain(section.title)}"
    if section.facts:
        yield plain(section.facts)
    for number, block in enumerate(section.blocks, 1):
        if not isinstance(block, Text) and block.title:
            yield f"## {plain(block.title)}"
        match block:
            case Text():
                yield _TO_SECTION.sub(r"](\1.md)", block.markdown)
            case Table():
                yield _pipes(block.rows)
            case Pictures():
                for place, each in enumerate(block.pictures, 1):
                    path = f"images/{name}-{number}-{place}.{_format(each.file)}"
                    archive.writestr(path, each.file)
                    yield f"![{plain(each.alt)}]({path}) {plain(each.words)}"
            case Chart():
                path = f"{name}-{number}{f'-{block.name}' if block.name else ''}"
                frame = {"width": PICTURE_WIDTH, "autosize": {"type": "fit", "contains": "padding"}}
                config = {"config": CONFIG | {"background": LIGHT.page}}
                charts[f"images/{path}.svg"] = _rounded(block.draw(False) | frame | config)
                yield f"![{plain(block.alt)}](images/{path}.svg)"
                if block.data:
                    archive.writestr(f"data/{path}.csv", _csv(block.data))
                    yield f"[What it was drawn from](data/{path}.csv), {count(len(block.data), 'row')}."
        if not isinstance(block, Text) and block.note:
            yield plain(block.note)


def _name(text: str) -> str:
    """As a file and an anchor may be called."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-") or "section"


def _pipes(rows: Sequence[Mapping[str, str | None]]) -> str:
    columns = _columns(rows)
    lines = [[plain(name) for name, _ in columns], ["--:" if right else "---" for _, right in columns]]
    lines += [[plain(" ".join((row[name] or "–").split())) for name, _ in columns] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _csv(rows: Sequence[Mapping[str, object]]) -> str:
    out = io.StringIO()
    table = csv.DictWriter(out, [harmless(name) for name in rows[0]])
    table.writeheader()
    for row in rows:
        table.writerow({harmless(name): harmless(v) if isinstance(v, str) else v for name, v in row.items()})
    return out.getvalue()
