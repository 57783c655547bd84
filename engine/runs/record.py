"""One run, read from its folder: what its events say, and its state, which is judged from evidence and never stored."""

import contextlib
import os
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from engine.contract import catalog, events, kinds, specs
from engine.contract import dataset as datasets
from engine.contract.run_folder import RunFolder, is_locked, read_json
from engine.runs.queue import judge

Event = TypeVar("Event")
Spec = TypeVar("Spec", bound=specs.Spec)


@dataclass
class StageStory:
    name: str
    total: int  # photos or steps; 0 where it cannot be counted
    began: float  # Unix seconds
    done: int = 0
    ended: float | None = None  # None while it goes on


@dataclass
class Curve:
    """Evaluations of one lane on one split, in order; the lists are equally long."""

    step: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)  # since training began
    accuracy: list[float] = field(default_factory=list)  # 0..1
    cross_entropy: list[float | None] = field(default_factory=list)  # nats; None where it was not a number
    told: list[float] = field(default_factory=list)  # when it was measured, Unix seconds


@dataclass
class Story:
    """What the events of a run say so far."""

    reported: list[events.State] = field(default_factory=list)
    hardware: events.Hardware | None = None  # None before its turn, and in runs of earlier versions
    stages: list[StageStory] = field(default_factory=list)
    curves: dict[tuple[str, str], Curve] = field(default_factory=dict)  # by (lane, split)
    diverged: dict[str, events.Diverged] = field(default_factory=dict)
    skipped: list[events.Skipped] = field(default_factory=list)
    warnings: list[events.Warning] = field(default_factory=list)
    kept: str = ""  # the lane that was chosen, "" before that
    exported: dict[str, events.Exported] = field(default_factory=dict)  # by file, of a retraining run
    predicted: events.Predicted | None = None  # before it was started
    expected: events.Expected | None = None  # likewise
    lanes_started: dict[str, events.LaneStarted] = field(default_factory=dict)  # of a comparison of networks
    lanes_ended: dict[str, events.LaneEnded] = field(default_factory=dict)
    batches_halved: list[events.BatchHalved] = field(default_factory=list)
    error: events.Error | None = None
    own: dict[type, list[Any]] = field(default_factory=dict)  # what only the run's kind reports, by type
    last_t: float = 0.0  # Unix seconds of the newest event

    @property
    def ticket(self) -> int:
        return self.reported[0].ticket if self.reported else 0

    def time_of(self, state: str) -> float | None:
        """When the run first reported this state, Unix seconds."""
        return next((event.t for event in self.reported if event.state == state), None)

    def tell(self, event: Any) -> None:
        """Take in one record of engine/contract/events.py."""
        self.last_t = event.t
        match event:
            case events.State():
                self.reported.append(event)
                if event.state in events.FINAL and self.stages and self.stages[-1].ended is None:
                    self.stages[-1].ended = event.t
            case events.Hardware():
                self.hardware = event
            case events.Stage():
                if self.stages:
                    self.stages[-1].ended = event.t
                    if self.stages[-1].total:
                        self.stages[-1].done = self.stages[-1].total
                self.stages.append(StageStory(event.name, event.total, event.t))
            case events.Progress() if self.stages:
                self.stages[-1].done = event.done
            case events.Metric():
                curve = self.curves.setdefault((event.lane, event.split), Curve())
                curve.step += event.step
                curve.seconds += event.seconds
                curve.accuracy += event.accuracy
                curve.cross_entropy += event.cross_entropy
                # A block is told where it ends.
                curve.told += [event.t - (event.seconds[-1] - second) for second in event.seconds]
            case events.Diverged():
                self.diverged[event.lane] = event
            case events.Skipped():
                self.skipped.append(event)
            case events.Warning():
                self.warnings.append(event)
            case events.Kept():
                self.kept = event.lane
            case events.Exported():
                self.exported[event.file] = event
            case events.Predicted():
                self.predicted = event
            case events.Expected():
                self.expected = event
            case events.LaneStarted():
                if event.lane in self.lanes_started:  # once more from the beginning, with a smaller batch
                    for split in ("training", "validation"):
                        self.curves.pop((event.lane, split), None)
                    self.lanes_ended.pop(event.lane, None)
                self.lanes_started[event.lane] = event
            case events.LaneEnded():
                self.lanes_ended[event.lane] = event
            case events.BatchHalved():
                self.batches_halved.append(event)
                if not event.lane:  # all that was told of photos and lanes is told again
                    for told in (self.curves, self.diverged, self.exported, self.skipped, self.own):
                        told.clear()
                    self.kept = ""
            case events.Error():
                self.error = event
            case _:
                self.own.setdefault(type(event), []).append(event)
                self.kept = getattr(event, "kept", self.kept)  # before there was Kept, the result alone said so

    def every(self, kind: type[Event]) -> list[Event]:
        """The events of a type that only the run's kind has, in their order."""
        return self.own.get(kind, [])

    def last(self, kind: type[Event]) -> Event | None:
        """The newest of them."""
        return self.own[kind][-1] if kind in self.own else None

    def by_lane(self, kind: type[Event]) -> dict[str, Event]:
        """The newest of each lane."""
        return {event.lane: event for event in self.own.get(kind, [])}


class Run(Generic[Spec]):
    """One run, read from its folder. `refresh` reads what was appended since."""

    def __init__(self, folder: RunFolder):
        self.folder = folder
        self.id = folder.id
        self.spec: Spec = specs.read(folder.spec)
        self.story = Story()
        self._reader = events.Reader(folder.events)
        self._dataset: datasets.Dataset | None = None
        self.state = events.QUEUED
        self.refresh()

    def refresh(self) -> "Run":
        # Alive is asked first: a run that ends between the two looks finished, never lost.
        is_alive = is_locked(self.folder.lock)
        for event in self._reader.read():
            self.story.tell(event)
        self.state = judge(self.story.reported, is_alive)
        return self

    @property
    def is_active(self) -> bool:
        return self.state in (events.QUEUED, events.RUNNING)

    @property
    def dataset(self) -> datasets.Dataset:
        """The photos of a retraining run, or the pictures that were classified."""
        if self._dataset is None:
            self._dataset = datasets.read(self.folder.dataset)
        return self._dataset

    @property
    def kind(self) -> str:
        """Its name in engine/contract/kinds/."""
        return kinds.of(self.spec)

    @property
    def has_dataset(self) -> bool:
        """Whether it was given photos or pictures, which dataset.json then names."""
        return bool(kinds.contract(self.kind).HAS_DATASET)

    @property
    def version(self) -> str:
        """Of the lab that made it; "" for runs of before it was written down."""
        return specs.version(self.folder.spec)

    @property
    def lanes(self) -> list[str]:
        """In the order of creation, which is the order of their colours."""
        return self.spec.lane_names()

    @property
    def titles(self) -> dict[str, str]:
        """The lanes as people read them, by lane, in the same order."""
        return dict(zip(self.lanes, self.spec.lane_titles(), strict=True))

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages that this kind of run has, in order."""
        return tuple(kinds.contract(self.kind).STAGES)

    @property
    def title(self) -> str:
        """dataset · model · the one thing varied. Never raises: a list must show damaged runs too."""
        photos, number = "unknown photos", None
        if self.has_dataset:
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                photos, number = self.dataset.title, len(self.dataset.photos)
        return self.spec.run_title(photos, number, self.backbone_title)

    @property
    def backbone(self) -> catalog.Backbone | None:
        """None for kinds without one, and where it was an added module that has been deleted since."""
        name = getattr(self.spec, "backbone", "")
        try:
            return catalog.backbone(name, self.folder.home) if name else None
        except KeyError:
            return None

    @property
    def backbone_title(self) -> str:
        row = self.backbone
        return row.title if row else getattr(self.spec, "backbone", "")

    @property
    def started(self) -> float:
        """Unix seconds at which it was queued."""
        return self.story.reported[0].t if self.story.reported else os.path.getmtime(self.folder.spec)

    @property
    def seconds(self) -> float | None:
        """Wall time from its turn to its end, or to its newest event; None before its turn."""
        began = self.story.time_of(events.RUNNING)
        return None if began is None else self.story.last_t - began

    @property
    def stage_seconds(self) -> list[tuple[str, float]]:
        """Stage and its wall time so far, in order; they add up to `seconds`. Starting comes before the first stage."""
        began = self.story.time_of(events.RUNNING)
        if began is None or not self.story.stages:
            return []
        spent = {"Starting": max(0.0, self.story.stages[0].began - began)}
        for stage in self.story.stages:  # a run that began anew with a smaller batch has some of them twice
            spent[stage.name] = spent.get(stage.name, 0.0) + (stage.ended or self.story.last_t) - stage.began
        return list(spent.items())

    @property
    def best_lane(self) -> str:
        """The kept one, or the one whose newest validation is the highest; the first where nothing is held out."""
        return self.story.kept or self.best_by_validation or next(iter(self.lanes), "")

    @property
    def best_by_validation(self) -> str:
        """The lane whose newest validation is the highest; "" where nothing is held out."""
        held_out = {lane: curve for (lane, split), curve in self.story.curves.items() if split == "validation"}
        newest = {lane: curve.accuracy[-1] for lane, curve in held_out.items() if curve.step}
        return max(newest, key=newest.__getitem__, default="")

    @property
    def cancel_asked(self) -> bool:
        return os.path.exists(self.folder.cancel)

    @property
    def can_classify(self) -> bool:
        return os.path.isfile(self.folder.contract) and os.path.isfile(self.folder.tflite)

    def predictions(self) -> dict | None:
        """What each lane said of each testing photo, as the worker wrote it; None before Evaluating ends."""
        try:
            return read_json(self.folder.predictions)
        except FileNotFoundError:
            return None

    def log_tail(self, lines: int = 40) -> str:
        try:
            with open(self.folder.log, "rb") as log:
                log.seek(max(0, os.path.getsize(self.folder.log) - 65536))
                return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return ""
