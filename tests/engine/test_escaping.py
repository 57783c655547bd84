"""Whatever people write as a name stays a name: in Markdown, in reports and in tables for a spreadsheet."""

import csv
import io
import re
import zipfile
from collections.abc import Mapping
from html.parser import HTMLParser
from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some
from markdown_it import MarkdownIt

from engine import report
from engine import settings as lab_settings
from engine.kinds.blocks import Chart, Picture, Pictures, Section, Table, Text
from engine.words import plain

USUAL = settings(deadline=None, max_examples=60)
NOW = 1_795_630_000.0
HOSTILE = [
    "<script>alert(1)</script>", "</script><script>", "<img src=x onerror=alert(1)>", '" onmouseover="alert(1)', "<!--",
    "{{ 7 * 7 }}", "{% raw %}", "&lt;b&gt;", "&#60;", "javascript:alert(1)", "![p](http://host/p.png)", "[x](http://host)",
    "<http://host>", "`code`", "**bold**", "# head", "| cell | cell |", "> quote", "$x$",
    ":red[x]", ":smile:", ":material/home:", "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "a\nb", "a\n\n# b", "\\",
    "\\*", "x" * 300, "]]>", "\u202e", "\u2028", "'", '"',
]  # fmt: skip
# No file's and no folder's name holds a zero; Markdown has a sign of its own in its place.
PIECES = some.sampled_from(HOSTILE) | some.text(some.characters(codec="utf-8", exclude_characters="\0"), max_size=10)
NAMES = some.lists(PIECES, min_size=1, max_size=4).map("".join)
# One line, as titles are. A name that begins like a list or a rule is drawn as one where it begins a paragraph.
LINES = NAMES.map(lambda text: " ".join(text.split())).filter(lambda text: re.match(r"[^-+=\d]", text) is not None)


class Skeleton(HTMLParser):
    """The tags of a page with the names of their attributes, and its text."""

    def __init__(self, page: str):
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, tuple(name for name, _ in attributes)))
        self.links += [value or "" for name, value in attributes if name in ("href", "src", "action")]

    def handle_endtag(self, tag):
        self.tags.append(("/" + tag, ()))

    def handle_comment(self, data):
        self.tags.append(("comment", ()))

    def handle_data(self, data):
        self.text += data


@USUAL
@given(text=LINES)
@example(text="AT&amp;T &lt;b&gt; &#60; &copy;")
def test_plain_words_are_shown_as_they_are_written(text: str) -> None:
    (paragraph,) = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parseInline(plain(text))
    assert [child.type for child in paragraph.children if child.type not in ("text", "text_special")] == []
    assert "".join(child.content for child in paragraph.children) == text
    # What Streamlit adds to Markdown: colours, icons and formulas.
    bare = re.sub(r"\\[!-/:-@\[-`{-~]", " ", plain(text))
    assert re.findall(r":[\w+/-]|\$", bare) == []


def section(words: str) -> Section:
    """One with the words in every place that takes a name."""
    return Section(
        "a-run",
        words,
        words,
        [
            Text(plain(words)),
            Table([{"Class": words, "Right": "1"}, {"Class": words, "Right": None}], words, words),
            Pictures([Picture(b"\x89PNG", words, words)], words, words),
            Chart(
                lambda dark: {"mark": "point", "data": {"values": [{"a": words}]}},
                words,
                words,
                words,
                "c",
                [{"a": words}],
            ),
        ],
    )


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> lab_settings.Settings:
    found = lab_settings.load({"LAB_HOME": str(tmp_path_factory.mktemp("escaping") / "lab")})
    # Vega's own script is megabytes of other people's text, which says nothing here and takes seconds to make.
    kept = Path(found.home.derived, f"vega-{metadata.version('vl-convert-python')}.js")
    kept.parent.mkdir(parents=True)
    kept.write_text("/* Vega */")
    return found


def page_of(words: str, lab: lab_settings.Settings) -> Skeleton:
    sections = [section(words), Section("other", words, words, [])]
    return Skeleton(report.html(report.Report(words, sections, words), lab, NOW))


@pytest.fixture(scope="module")
def harmless_page(lab) -> Skeleton:
    return page_of("a name", lab)


@settings(deadline=None, max_examples=15)
@given(words=LINES)
@example(words="</script><script>alert(1)</script>")
@example(words='" onmouseover="alert(1)')
def test_a_report_has_the_same_tags_whatever_names_are_in_it(words: str, lab, harmless_page: Skeleton) -> None:
    page = page_of(words, lab)
    assert page.tags == harmless_page.tags
    assert page.links == harmless_page.links
    assert " ".join(page.text.split()).count(words) >= 8


def tokens(markdown: str) -> list[str]:
    """The structure of a document: blocks, and what is in their lines beside text."""
    found = []
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown):
        found.append(token.type)
        found += [child.type for child in token.children or () if child.type not in ("text", "text_special")]
    return found


def written(words: str) -> dict[str, str]:
    # As the lab writes them: a name is the whole of a title or of a cell, and elsewhere a part of a sentence.
    sentence = f"Of {words}"
    blocks = [
        Text(plain(sentence)),
        Table([{"Class": words, "Right": "1"}, {"Class": words, "Right": None}], words, sentence),
        Pictures([Picture(b"\x89PNG", sentence, words)], words, sentence),
    ]
    sections = [Section("a-run", words, sentence, blocks)]
    archive = zipfile.ZipFile(io.BytesIO(report.markdown_zip(report.Report(words, sections), NOW)))
    return {name: archive.read(name).decode() for name in archive.namelist() if name.endswith(".md")}


@USUAL
@given(words=LINES)
@example(words="| a | b |")
def test_markdown_has_the_same_structure_whatever_names_are_in_it(words: str) -> None:
    assert {name: tokens(text) for name, text in written(words).items()} == {
        name: tokens(text) for name, text in written("a name").items()
    }


def read_table(rows: list[tuple[str, str]]) -> list[dict[str, str]]:
    """The table behind a chart as it lies in the zip, read again."""
    data: list[Mapping[str, object]] = [{"label": first, "=said": second, "score": -0.5} for first, second in rows]
    chart = Chart(lambda dark: {"mark": "point", "data": {"values": []}}, "alt", "c", "", "c", data)
    archive = zipfile.ZipFile(
        io.BytesIO(report.markdown_zip(report.Report("R", [Section("s", "s", "", [chart])]), NOW))
    )
    return list(csv.DictReader(io.StringIO(archive.read("data/s-1-c.csv").decode(), newline="")))


@settings(deadline=None, max_examples=1)  # each starts the program that draws charts
@given(rows=some.lists(some.tuples(NAMES, NAMES), min_size=30, max_size=30))
@example(rows=[(text, text) for text in HOSTILE])
def test_a_table_for_a_spreadsheet_has_no_formula_and_loses_no_letter(rows: list[tuple[str, str]]) -> None:
    read = read_table(rows)
    assert len(read) == len(rows)
    for texts, found in zip(rows, read, strict=True):
        assert list(found) == ["label", "'=said", "score"]
        assert found["score"] == "-0.5"  # a number is no formula
        for text, cell in zip(texts, (found["label"], found["'=said"]), strict=True):
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
            assert cell in (text, f"'{text}")
