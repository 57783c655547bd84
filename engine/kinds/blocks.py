"""What reports, answers and screens are made of, as values: each draws them in its own way.

Words are Markdown where a field says so, and plain otherwise: names of classes and folders are whatever people wrote.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from engine.charts.base import Spec


@dataclass(frozen=True)
class Text:
    markdown: str


@dataclass(frozen=True)
class Table:
    rows: Sequence[Mapping[str, str | None]]  # column -> words, None where there is nothing to say; same columns in all
    title: str = ""
    note: str = ""
    id: str = ""  # by which answers name it


@dataclass(frozen=True)
class Chart:
    draw: Callable[[bool], Spec]  # for a dark page, or a light one
    alt: str  # what it shows, with the figures
    title: str = ""
    note: str = ""
    name: str = ""  # of its files: "curves"; "" where the title will do
    data: Sequence[Mapping[str, object]] = field(default_factory=tuple)  # what it was drawn from, for other programs
    id: str = ""  # by which answers name it


@dataclass(frozen=True)
class Picture:
    file: bytes  # JPEG or PNG
    words: str  # below it
    alt: str


@dataclass(frozen=True)
class Pictures:
    pictures: Sequence[Picture]
    title: str = ""
    note: str = ""


Block = Text | Table | Chart | Pictures


@dataclass(frozen=True)
class Section:
    """A run, or a question with its answer."""

    name: str  # its own among those of a report: a run's id
    title: str  # plain
    facts: str  # one line below it, plain: "Done · CPU · 24 Nov 2026 21:14 · 1m 52s"
    blocks: Sequence[Block]
    begins_page: bool = True  # on paper
