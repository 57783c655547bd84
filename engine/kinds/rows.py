"""A run in a few words and figures, for tables, choices and what later runs are going to take."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from engine import kinds
from engine.contract import catalog, events, hardware
from engine.runs import Curve, Run
from engine.stats import thin

CURVE_POINTS = 60  # of a row's small curve


@dataclass(frozen=True)
class Learned:
    """One network of a comparison that was tested."""

    network: catalog.Network
    data: str  # the set, for people
    accuracy: float  # 0..1, on the testing images
    validation: float | None  # 0..1, at the end
    seconds: float  # of training, this network alone
    images_per_second: float  # learned from


@dataclass(frozen=True)
class RunRow:
    """A run as tables show it."""

    id: str
    title: str
    short: str  # "Traffic lights · lr 0.01"
    state: str
    device: str
    # 0..1, on the testing split, of the kept lane or the network best by validation; of pictures that were classified,
    # on those whose label is known
    accuracy: float | None
    validation: float | None  # 0..1, of that lane at the end, or the best lane's newest evaluation
    curve: list[float]  # validation accuracy of that lane, thinned
    seconds: float | None  # wall time from its turn on
    started: float  # Unix seconds
    stage: str  # the current or last stage, "" before the first
    contents: str  # what its folder holds besides settings, curves and log
    stays: str  # what deleting it leaves
    ticket: int = 0  # its place in the order of all runs of this lab; 0 for one whose events are gone
    stages: tuple[tuple[str, float, float], ...] = ()  # name, Unix seconds of its begin and its end; inf: it goes on
    hardware: events.Hardware | None = None  # where it ran; None for runs of earlier versions
    # As people choose by:
    kind: str = ""  # its name in engine/contract/kinds/
    data: str = ""  # photos, digits, pictures, or what was imported
    models: tuple[str, ...] = ()  # the backbone, the networks, or the model that classified
    backbone: str = ""  # "" without one
    photos: int = 0
    group: str = ""  # of the comparison of devices that it belongs to
    lanes: tuple[str, ...] = ()  # of an imported run
    networks: tuple[Learned, ...] = ()  # those that were tested
    took: Any = None  # what it took, in parts, as the forecasts of its kind need it


def of_here(rows: Iterable[RunRow]) -> list[RunRow]:
    """Those whose times hold for this machine. Earlier versions did not write down where: theirs are among them."""
    here = hardware.here()
    return [row for row in rows if row.hardware is None or hardware.is_same(row.hardware, here)]


def read(run: Run) -> RunRow:
    """Of any kind and in any state. Never raises: a list must show damaged runs too."""
    story, kind = run.story, kinds.of(run)
    lane = (story.kept if run.state == events.DONE else "") or run.best_by_validation
    curve = story.curves.get((lane, "validation"), Curve())
    spent = {stage.name: (stage.ended or story.last_t) - stage.began for stage in story.stages}
    row = RunRow(
        id=run.id,
        title=run.title,
        short=run.title,
        state=run.state,
        device=run.spec.device.upper(),
        accuracy=None,
        validation=curve.accuracy[-1] if curve.step else None,
        curve=[curve.accuracy[i] for i in thin(len(curve.accuracy), CURVE_POINTS)],
        seconds=run.seconds,
        started=run.started,
        ticket=run.story.ticket,
        stage=story.stages[-1].name if story.stages else "",
        contents=kind.contents,
        stays=kind.stays,
        stages=tuple(
            (stage.name, stage.began, stage.ended or (math.inf if run.is_active else story.last_t))
            for stage in story.stages
        ),
        kind=run.kind,
        hardware=story.hardware,
    )
    try:
        return kind.row(run, row, lane, spent)
    except Exception:  # damaged: it is listed, so that it can be deleted
        return replace(row, contents="whatever is left of it", stays="")
