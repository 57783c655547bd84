"""One run, read from its folder: what its events say, and its state, which is judged from evidence and never stored."""

import os
from dataclasses import dataclass, field
from typing import Any

from engine.contract import catalog, choices, events, kinds, specs
from engine.contract import dataset as datasets
from engine.contract.kinds.batch_classification import (
    BatchClassificationResult,
    BatchClassificationSpec,
    Classified,
    ModelLoaded,
)
from engine.contract.kinds.batch_size import BatchSizeResult, BatchSizeSpec, BatchTried
from engine.contract.kinds.fine_tuning import FineTuned, FineTuningResult, FineTuningSpec
from engine.contract.kinds.imported import ImportedSpec
from engine.contract.kinds.learning_curve import LearningCurvePoint, LearningCurveResult, LearningCurveSpec
from engine.contract.kinds.mnist import MnistResult, MnistSpec, NetworkExported, NetworkResult
from engine.contract.kinds.race import LaneResult, RaceResult
from engine.contract.run_folder import RunFolder, is_locked, read_json
from engine.runs.queue import judge
from engine.words import count


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
    lane_results: dict[str, LaneResult] = field(default_factory=dict)
    diverged: dict[str, events.Diverged] = field(default_factory=dict)
    skipped: list[events.Skipped] = field(default_factory=list)
    warnings: list[events.Warning] = field(default_factory=list)
    kept: str = ""  # the lane that was chosen, "" before that
    exported: dict[str, events.Exported] = field(default_factory=dict)  # by file, of a retraining run
    result: RaceResult | None = None  # of a retraining run
    predicted: events.Predicted | None = None  # before it was started
    expected: events.Expected | None = None  # likewise
    lanes_started: dict[str, events.LaneStarted] = field(default_factory=dict)  # of a comparison of networks
    lanes_ended: dict[str, events.LaneEnded] = field(default_factory=dict)
    network_results: dict[str, NetworkResult] = field(default_factory=dict)
    networks_exported: dict[str, NetworkExported] = field(default_factory=dict)
    mnist_result: MnistResult | None = None
    model_loaded: ModelLoaded | None = None  # of many pictures
    classified: list[Classified] = field(default_factory=list)
    classify_result: BatchClassificationResult | None = None
    fine_tuned: dict[str, FineTuned] = field(default_factory=dict)  # by lane
    fine_tune_result: FineTuningResult | None = None
    batches_halved: list[events.BatchHalved] = field(default_factory=list)
    batches_tried: list[BatchTried] = field(default_factory=list)
    batch_size_result: BatchSizeResult | None = None
    learning_curve: list[LearningCurvePoint] = field(default_factory=list)
    learning_curve_result: LearningCurveResult | None = None
    error: events.Error | None = None
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
            case LaneResult():
                self.lane_results[event.lane] = event
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
            case RaceResult():
                self.kept, self.result = event.kept, event
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
            case NetworkResult():
                self.network_results[event.lane] = event
            case NetworkExported():
                self.networks_exported[event.lane] = event
            case MnistResult():
                self.mnist_result = event
            case ModelLoaded():
                self.model_loaded = event
            case Classified():
                self.classified.append(event)
            case BatchClassificationResult():
                self.classify_result = event
            case FineTuned():
                self.fine_tuned[event.lane] = event
            case FineTuningResult():
                self.fine_tune_result = event
            case events.BatchHalved():
                self.batches_halved.append(event)
                if not event.lane:  # all that was told of photos and lanes is told again
                    for told in (self.curves, self.lane_results, self.diverged, self.exported):
                        told.clear()
                    self.skipped.clear()
                    self.classified.clear()
                    self.learning_curve.clear()
                    self.kept = ""
            case BatchTried():
                self.batches_tried.append(event)
            case BatchSizeResult():
                self.batch_size_result = event
            case LearningCurvePoint():
                self.learning_curve.append(event)
            case LearningCurveResult():
                self.learning_curve_result = event
            case events.Error():
                self.error = event


class Run:
    """One run, read from its folder. `refresh` reads what was appended since."""

    def __init__(self, folder: RunFolder):
        self.folder = folder
        self.id = folder.id
        self.spec: Any = specs.read(folder.spec)  # a RetrainSpec, or another kind's where is_... says so
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
        """As engine/contract/specs.py names the kinds; the next ones ask for one of them."""
        return kinds.of(self.spec)

    @property
    def is_mnist(self) -> bool:
        """Whether it compares networks for digits; otherwise it retrains on photos, or was imported."""
        return isinstance(self.spec, MnistSpec)

    @property
    def is_imported(self) -> bool:
        """Whether it is curves alone, read from TensorBoard's files."""
        return isinstance(self.spec, ImportedSpec)

    @property
    def is_classify(self) -> bool:
        """Whether a model says what many pictures show."""
        return isinstance(self.spec, BatchClassificationSpec)

    @property
    def is_fine_tune(self) -> bool:
        """Whether blocks of a backbone learn along, one lane for each depth."""
        return isinstance(self.spec, FineTuningSpec)

    @property
    def is_batch_size(self) -> bool:
        """Whether batch sizes are tried against the memory; it has no photos and no lanes."""
        return isinstance(self.spec, BatchSizeSpec)

    @property
    def is_learning_curve(self) -> bool:
        """Whether it measures accuracy against the photos that were learned from; it has no lanes."""
        return isinstance(self.spec, LearningCurveSpec)

    @property
    def has_dataset(self) -> bool:
        """Whether it was given photos or pictures, which dataset.json then names."""
        return not (self.is_mnist or self.is_imported or self.is_batch_size)

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
        if self.is_imported:
            return f"{self.spec.title} · imported"
        if self.is_mnist:
            networks = self.spec.networks
            what = networks[0].title if len(networks) == 1 else f"{len(networks)} networks"
            return f"{catalog.digit_set(self.spec.data).title} · {what} · {count(self.spec.epochs, 'epoch')}"
        if self.is_batch_size:
            return f"Batch size · {self.backbone_title} · {choices.depth_title(self.spec.blocks).lower()}"
        try:
            photos, number = self.dataset.title, count(len(self.dataset.photos), "picture")
        except (OSError, ValueError, KeyError, TypeError):
            photos, number = "unknown photos", "unknown number"
        if self.is_classify:
            return f"{photos} · {self.spec.model_title} · {number}"
        if self.is_fine_tune:
            return f"{photos} · {self.backbone_title} · {self.depths}"
        if self.is_learning_curve:
            return f"{photos} · {self.backbone_title} · photos per class"
        rates = self.spec.learning_rates
        varied = f"lr {rates[0]:g}" if len(rates) == 1 else f"{len(rates)} learning rates"
        if self.spec.group:
            varied += f" · {self.spec.machine_title()}"
        return f"{photos} · {self.backbone_title} · {varied}"

    @property
    def depths(self) -> str:
        """Of fine-tuning, what is varied: "frozen against all blocks"."""
        titles = [title.lower() for title in self.titles.values()]
        return " against ".join(titles) if len(titles) < 3 else f"{len(titles)} depths"

    @property
    def backbone(self) -> catalog.Backbone | None:
        """Of a retraining run; None where it was an added module that has been deleted since."""
        try:
            return catalog.backbone(self.spec.backbone, self.folder.home)
        except KeyError:
            return None

    @property
    def backbone_title(self) -> str:
        row = self.backbone
        return row.title if row else self.spec.backbone

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
        newest = {
            lane: curve.accuracy[-1]
            for (lane, split), curve in self.story.curves.items()
            if split == "validation" and curve.step
        }
        return self.story.kept or max(newest, key=newest.__getitem__, default=next(iter(self.lanes), ""))

    def seconds_left(self) -> float | None:
        """Of training in a comparison: each network's steps left, at its own pace; None where a pace is not known."""
        story, left = self.story, 0.0
        if not story.lanes_started or story.stages[-1].name != events.TRAINING or self.is_fine_tune:
            return None  # depths begin one after the other: those that have not begun would be missing
        for lane, started in story.lanes_started.items():
            curve = story.curves.get((lane, "training"), Curve())
            if lane in story.lanes_ended:
                continue
            if len(curve.step) < 2:
                return None
            # The first call of a network, a few steps, also builds its function and says nothing of its pace.
            first = 4 if len(curve.step) > 8 else 0
            pace = (curve.seconds[-1] - curve.seconds[first]) / (curve.step[-1] - curve.step[first])
            left += pace * (started.steps - curve.step[-1])
        return left

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
