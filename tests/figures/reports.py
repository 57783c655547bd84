"""A report read back: its sections by run or question, and in each the tables, charts, sentences and pictures."""

import csv
import html
import io
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.figures.reading import Layer

Rows = list[list[str]]  # of a table, in words; the first is its head


@dataclass(frozen=True)
class Drawn:
    """A chart of a report: what is read out for it, and its layers on a light and on a dark page."""

    alt: str
    layers: list[Layer]
    dark: list[Layer]


@dataclass(frozen=True)
class Part:
    """A section of a report as one file of HTML."""

    facts: str  # the line below its title; "" where there is none
    texts: list[str]
    tables: list[Rows]
    charts: list[Drawn]
    pictures: list[tuple[str, str]]  # what is read out for it, and the words below it
    pairs: list[tuple[str, str]]  # settings
    written: str  # its sentences, line by line as they were written; cells of a table have | around them


def parts(page: str) -> dict[str, Part]:
    """The sections of the page by the ids of their runs."""
    (data,) = re.findall(r'<script type="application/json" id="charts">(.*?)</script>', page, re.S)
    charts = json.loads(data)
    without = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    found = re.findall(r'<section id="([^"]+)"[^>]*>(.*?)</section>', without, re.S)
    return {name: _part(body, charts) for name, body in found}


def _part(body: str, charts: list[dict[str, Any]]) -> Part:
    tables = re.findall(r"<table.*?</table>", body, re.S)
    rows = [re.findall(r"<tr>(.*?)</tr>", table, re.S) for table in tables]
    drawn = re.findall(r'aria-label="([^"]*)" data-chart="(\d+)"', body)
    pictures = re.findall(r'<img src="data:[^"]*" alt="([^"]*)"><span>(.*?)</span>', body, re.S)
    return Part(
        facts=words("".join(re.findall(r"</h2>\s*<p[^>]*>(.*?)</p>", body, re.S))),
        texts=[words(each) for each in re.findall(r'<div class="text">(.*?)</div>', body, re.S)],
        tables=[
            [[words(cell) for cell in re.findall(r"<t[dh].*?>(.*?)</t[dh]>", row, re.S)] for row in t] for t in rows
        ],
        charts=[_chart(words(alt), charts[int(number)]) for alt, number in drawn],
        pictures=[(words(alt), words(below)) for alt, below in pictures],
        pairs=[(words(a), words(b)) for a, b in re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", body, re.S)],
        written="\n".join(_lines(each) for each in re.findall(r'<div class="text">(.*?)</div>', body, re.S)),
    )


def _lines(markup: str) -> str:
    rows = re.sub(r"<tr>\s*(?=<t[dh])", "", markup)
    cells = re.sub(r"</t[dh]>\s*</tr>", " |", re.sub(r"</t[dh]>\s*(?=<t[dh])", " ", rows))
    return words(re.sub(r"<t[dh][^>]*>", "| ", cells))


def words(markup: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", markup)).strip()


def contents(page: str) -> dict[str, str]:
    """What stands beside each link at the top, by the section that it leads to."""
    (listed,) = re.findall(r"<nav.*?</nav>", page, re.S)
    return {name: words(rest) for name, rest in re.findall(r'<li><a href="#([^"]+)">.*?</a>(.*?)</li>', listed, re.S)}


def _chart(alt: str, given: dict[str, Any]) -> Drawn:
    light = _unpacked(given["light"])
    dark = json.loads(json.dumps(light))
    for (*way, last), value in given["dark"]:
        place = dark
        for key in way:
            place = place[key]
        place[last] = value
    return Drawn(alt, layers(light), layers(dark))


def _unpacked(value: Any) -> Any:
    """As the page's own script does it."""
    if isinstance(value, list):
        return [_unpacked(each) for each in value]
    if not isinstance(value, dict):
        return value
    if "$rows" not in value:
        return {key: _unpacked(each) for key, each in value.items()}
    columns = {
        name: [column["of"][at] for at in column["at"]] if isinstance(column, dict) else _unpacked(column)
        for name, column in value["$rows"].items()
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def layers(spec: dict[str, Any]) -> list[Layer]:
    return list(_layers(spec))


def _layers(spec: dict[str, Any]) -> Iterator[Layer]:
    for each in spec.get("layer", [spec]):
        data = each["data"]
        rows = data["values"] if "values" in data else spec["datasets"][data["name"]]
        yield Layer(each["mark"]["type"], each.get("encoding", {}), rows)


@dataclass(frozen=True)
class Archive:
    """A report as Markdown in a zip."""

    files: dict[str, bytes]

    def text(self, name: str) -> str:
        return self.files[f"{name}.md"].decode()

    def tables(self, name: str) -> list[Rows]:
        """All but those of the settings."""
        found: list[Rows] = []
        for block in re.findall(r"(?:^\|.*\|\n)+", self.text(name), re.M):
            lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in block.splitlines()]
            found.append([[unescaped(cell.strip()) for cell in line] for line in lines if "--" not in line[0]])
        return [rows for rows in found if len(rows[0]) > 2]

    def csv(self, name: str, what: str) -> Rows:
        """The one table of numbers of this section with this in its name."""
        (file,) = (file for file in self.files if re.fullmatch(rf"data/{name}-\d+-{what}\.csv", file))
        return list(csv.reader(io.StringIO(self.files[file].decode())))


def unescaped(markdown: str) -> str:
    return re.sub(r"\\([^\w\s])", r"\1", markdown)


def archive(path: Path) -> Archive:
    with zipfile.ZipFile(path) as opened:
        return Archive({name: opened.read(name) for name in opened.namelist()})
