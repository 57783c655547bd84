"""What a run said of many pictures: rows, how many are right, confusion, a table for other programs.

Whether an answer is right is judged here and nowhere else, by names: the folder that a picture lies in against the
label that the model gives it, both as retrain.py writes labels. A folder whose name is no label of the model says
nothing about its pictures.
"""

import csv
import functools
import io
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from engine.contract.kinds.batch_classification import Classified
from engine.photos import label as as_retrain_writes_it
from engine.runs import Run
from engine.stats import wilson
from engine.words import count, percent, plain

ELSE = "anything else"  # an answer that is none of the pictures' labels

label = functools.lru_cache(maxsize=8192)(as_retrain_writes_it)  # the same few, for tens of thousands of pictures


@dataclass(frozen=True)
class Row:
    """One picture that was classified."""

    file: str  # relative to the folder of the pictures
    known: str  # the model's own label for what the picture shows; "" where nobody says
    top: tuple[tuple[str, float], ...]  # label, score 0..1; most probable first
    is_learned: bool  # the model learned from these very bytes

    @property
    def is_right(self) -> bool | None:
        """None where it is not known what the picture shows."""
        return label(self.top[0][0]) == label(self.known) if self.known else None


@dataclass(frozen=True)
class Accuracy:
    right: int
    n: int  # pictures of which it is known what they show
    low: float  # 95 % Wilson interval of the share
    high: float

    @property
    def share(self) -> float:
        return self.right / self.n


def read_labels(run: Run) -> list[str]:
    """The labels of the model, in the order of its outputs; empty before it is loaded."""
    try:
        with open(run.folder.labels, encoding="utf-8") as file:
            return file.read().split("\n")[:-1]
    except (FileNotFoundError, UnicodeDecodeError):
        return []


def known_labels(folders: Sequence[str], labels: Sequence[str]) -> list[str]:
    """For each folder the model's own label of that name, "" where there is none."""
    names = {label(one): one for one in reversed(labels) if label(one).strip()}  # the first of two equals
    return [names.get(label(folder), "") for folder in folders]


def rows(run: Run) -> list[Row]:
    """Every picture that was classified so far, in the order of the dataset."""
    return list(_rows(run, run.story.every(Classified)))


def newest(run: Run, number: int) -> list[Row]:
    """The last so many of them, the newest first; quick however many there are."""
    blocks: list[Classified] = []
    for block in reversed(run.story.every(Classified)):
        blocks.insert(0, block)
        if sum(len(each.photo) for each in blocks) >= number:
            break
    return list(_rows(run, blocks))[::-1][:number]


def _rows(run: Run, blocks: Sequence[Classified]) -> Iterator[Row]:
    labels, photos = read_labels(run), run.dataset.photos
    known = [*known_labels(run.dataset.labels, labels), ""]  # the last is for -1
    for block in blocks:
        each = len(block.label) // max(1, len(block.photo))
        for at, (place, is_learned) in enumerate(zip(block.photo, block.learned, strict=True)):
            said = slice(at * each, (at + 1) * each)
            top = [(_name(labels, one), score) for one, score in zip(block.label[said], block.score[said], strict=True)]
            yield Row(photos[place].file, known[photos[place].label], tuple(top), is_learned)


def _name(labels: Sequence[str], index: int) -> str:
    """Of a label; its number where the file with the labels is gone or was cut short."""
    return labels[index] if index < len(labels) else f"class {index}"


def accuracy(judged: Sequence[Row]) -> Accuracy | None:
    """None where it is known of no picture what it shows."""
    said = [row.is_right for row in judged if row.is_right is not None]
    return Accuracy(sum(said), len(said), *wilson(sum(said), len(said))) if said else None


def judged(found: Sequence[Row]) -> Accuracy | None:
    """On the pictures that the model did not learn from: the figure that says how it does on others."""
    return accuracy([row for row in found if not row.is_learned])


def headline(rows: Sequence[Row]) -> str:
    """How many are right, with its interval and what is not counted; or what was said most often."""
    fresh = judged(rows)
    learned = accuracy([row for row in rows if row.is_learned])
    unknown = sum(not row.known for row in rows)
    said = []
    if fresh:
        said.append(f"**{percent(fresh.share)} of {count(fresh.n, 'picture')} right** ({_interval(fresh)}).")
        if learned:
            said.append(
                f"{count(learned.n, 'picture')} that the model learned from {'is' if learned.n == 1 else 'are'} not "
                f"counted: {percent(learned.share)} of them right."
            )
    elif learned:
        said.append(
            f"**{percent(learned.share)} of {count(learned.n, 'picture')} right, and the model learned from every one "
            "of them.** How it does on others, they do not tell."
        )
    if unknown and said:
        said.append(f"What {count(unknown, 'picture')} more show{'s' if unknown == 1 else ''} is not known.")
    elif unknown:
        common = Counter(row.top[0][0] for row in rows).most_common(3)
        often = ", ".join(f"{plain(name)} ({number:,})" for name, number in common)
        said.append(f"**{count(len(rows), 'picture')} classified**, most often as {often}.")
    return " ".join(said)


def _interval(found: Accuracy) -> str:
    return f"95 % interval {percent(found.low)} to {percent(found.high)}, {found.right:,} of {found.n:,}"


def confusion(judged: Sequence[Row]) -> tuple[np.ndarray, list[str]]:
    """(n, n) int64 and n names: rows are what the pictures show, columns what the model said, labels as in the model.

    Answers that are no picture's label share the last column, ELSE, which is there where it is needed.
    """
    judged = [row for row in judged if row.known]
    names = sorted({row.known for row in judged})
    place = {label(name): index for index, name in enumerate(names)}
    said = [place.get(label(row.top[0][0]), len(names)) for row in judged]
    if len(names) in said:
        names.append(ELSE)
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, ([place[label(row.known)] for row in judged], said), 1)
    return counts, names


def remarks(folders: Sequence[str], photos: Sequence[int], labels: Sequence[str]) -> list[str]:
    """Sentences about what cannot be judged; `photos`: of each picture the place of its folder, -1 for none.

    Empty where everything can be, and where nobody claims anything.
    """
    without = [
        folder for folder, name in zip(folders, known_labels(folders, labels), strict=True) if not name and labels
    ]
    if not without:
        return []
    counted = Counter(photos)
    number = sum(counted[folders.index(folder)] for folder in without)
    listed = ", ".join(without[:5]) + (f" and {len(without) - 5:,} more" if len(without) > 5 else "")
    if len(without) == 1:
        return [
            f"The folder {listed} is no label of this model: its {number:,} pictures are classified, and neither right "
            "nor wrong. Name a folder as the model names what it shows."
        ]
    return [
        f"The folders {listed} are no labels of this model: their {number:,} pictures are classified, and neither "
        "right nor wrong. Name a folder as the model names what it shows."
    ]


def to_csv(judged: Sequence[Row], root: str) -> str:
    """All rows as CSV (RFC 4180): file, label where known, right or wrong, then the labels and their scores."""
    out = io.StringIO()
    width = max((len(row.top) for row in judged), default=1)
    table = csv.writer(out)
    answers = [column for rank in range(1, width + 1) for column in (f"label_{rank}", f"score_{rank}")]
    table.writerow(["file", "known", "right", "learned_from", *answers])
    for row in judged:
        said = [value for name, score in row.top for value in (harmless(name), f"{score:.6f}")]
        right = "" if row.is_right is None else "right" if row.is_right else "wrong"
        learned = "yes" if row.is_learned else "no"
        table.writerow([harmless(os.path.join(root, row.file)), harmless(row.known), right, learned, *said])
    return out.getvalue()


def harmless(text: str) -> str:
    """A spreadsheet runs what begins like a formula: such a name gets an apostrophe in front."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
