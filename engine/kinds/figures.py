"""What figures of answers have in common; each kind names its own (engine/kinds/kind.py)."""

from collections.abc import Callable
from typing import Any

from engine.kinds.kind import Runs, Words
from engine.runs import Run
from engine.words import count


def concluded(judge: Callable[[Run], Any]) -> dict[str, Words]:
    """The two figures of what has a conclusion and reasons; `judge` gives None where nothing is measured."""

    def words(part: str) -> Words:
        return lambda runs, lane: getattr(found, part) if (found := judge(runs[0])) else None

    return {"verdict": words("conclusion"), "reasons": words("reasons")}


def photos(runs: Runs, lane: str) -> str:
    dataset = runs[0].dataset
    photos, classes = count(len(dataset.photos), "photo"), count(len(dataset.labels), "class")
    return f"{photos} in {classes} of {dataset.title}"


def backbone(runs: Runs, lane: str) -> str:
    return runs[0].backbone_title
