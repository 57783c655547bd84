"""The engine as pages reach it: one set of objects for all visitors, and the runs as rows.

Nothing that matters is kept here: every row is read from a run's folder and can be read again.
"""

import math
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import streamlit as st

from engine import learning_curve, many_pictures, prediction, runs, sampler, settings
from engine.classifier import Classifier
from engine.contract import catalog, events, specs
from engine.contract.run_folder import LabHome
from engine.curves import thin
from engine.device import HISTORY, Machine, Reading
from engine.devices import Devices, Finder, Worker, found_or_why, look_at
from engine.errors import RunNotFound
from engine.queue import Queue
from engine.words import count

CURVE_POINTS = 60  # of a row's small curve
BUILT_IN_IMAGES = 60_000  # training images of the built-in digits

KINDS = {  # of runs, for people
    specs.RETRAIN: "Retraining",
    specs.MNIST: "MNIST comparison",
    specs.CLASSIFY: "Many pictures",
    specs.IMPORTED: "Imported",
    specs.FINE_TUNE: "Fine-tuning",
    specs.BATCH_SIZE: "Batch size",
    specs.LEARNING_CURVE: "How many photos",
}


def load_settings() -> settings.Settings:
    return settings.load()


def home() -> LabHome:
    return load_settings().home


def queue() -> Queue:
    found = load_settings()
    return Queue(found.home, found.worker_python, found.worker_module)


def readings(seconds: float = HISTORY, now: float | None = None) -> list[Reading]:
    """What the device did in so many seconds before `now`, oldest first; at least one. Whoever asks keeps the sampler
    alive. `now`: Unix seconds; None for the present."""
    found = load_settings()
    sampler.look(found.home, found.tegrastats)
    # Before the sampler has said anything, and where it cannot write: what this process sees itself.
    known = _history(found.home.path).last(seconds, time.time() if now is None else now)
    return known or [_machine(found.home.path).read()]


@st.cache_resource
def _history(home_path: str) -> sampler.History:
    return sampler.History(LabHome(home_path))


@st.cache_resource
def _machine(home_path: str) -> Machine:
    return Machine(home_path)


def card_name() -> str:
    """The graphics card that the NVIDIA driver names, "" where there is none."""
    return _machine(home().path).card.name


def devices() -> Devices | None:
    """What the worker's TensorFlow computes on; None while it is being asked, which begins with the first call."""
    return _finder().now(load_settings().worker_python)


@st.cache_resource
def _finder() -> Finder[Devices]:
    return Finder(found_or_why)


def worker() -> Worker | None:
    """What the worker's Python has installed, and what is wrong with it; None while it is being asked."""
    return _worker_finder().now(load_settings().worker_python)


@st.cache_resource
def _worker_finder() -> Finder[Worker]:
    return Finder(look_at)


def classifier() -> Classifier:
    found = load_settings()
    return _classifier(found.home.path, found.worker_python)


@st.cache_resource
def _classifier(home_path: str, worker_python: str) -> Classifier:
    return Classifier(LabHome(home_path), worker_python)


def is_dark() -> bool:
    return st.context.theme.type == "dark"


def is_phone() -> bool:
    return "Mobi" in st.context.headers.get("User-Agent", "")


def open_run(run_id: str) -> runs.Run:
    """The run, read up to now. Raises RunNotFound.

    The visitor's session remembers where it stopped reading, so that a live page reads what is new and nothing twice.
    """
    remembered = st.session_state.get("_opened")
    if not isinstance(remembered, runs.Run) or remembered.id != run_id or not os.path.isfile(remembered.folder.spec):
        remembered = st.session_state["_opened"] = runs.open_run(home(), run_id)
    return remembered.refresh()


def page_of(run: runs.Run) -> str:
    """The page that shows this kind of run."""
    if run.is_classify:
        return "pages/playground.py"
    return "pages/mnist.py" if run.is_mnist else "pages/retraining.py"


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
class Depth:
    """One depth of fine-tuning that was measured."""

    blocks: int  # that learned
    starting_seconds: float  # of its process
    epoch_seconds: float
    around_seconds: float  # of everything else: what is frozen, validation, testing


@dataclass(frozen=True)
class RunRow:
    """A run as tables show it."""

    id: str
    title: str
    short: str  # "Traffic lights · lr 0.01"
    page: str  # that shows it
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
    # As people choose by:
    kind: str = ""  # one of the words of KINDS
    data: str = ""  # photos, digits, pictures, or what was imported
    models: tuple[str, ...] = ()  # the backbone, the networks, or the model that classified
    # Of a retraining run:
    backbone: str = ""
    photos: int = 0
    steps: int = 0
    computed: int = 0  # photos whose bottleneck this run computed
    bottleneck_seconds: float = 0.0
    race_seconds: float = 0.0
    distorted: int = 0  # photos that went through the backbone while it raced; 0 without distortions
    threads: int = 0  # that it was held to; 0 for all
    group: str = ""  # of the comparison that it belongs to
    # Of fine-tuning, which has photos too, and of batch sizes:
    depths: tuple[Depth, ...] = ()
    before_seconds: float = 0.0  # until the first depth begins
    tried: int = 0  # batch sizes
    # Of an imported run:
    lanes: tuple[str, ...] = ()
    # Of a comparison:
    networks: tuple[Learned, ...] = ()
    around_seconds: float = 0.0  # of everything but training


def rows() -> list[RunRow]:
    """Every run, newest first. Finished ones are read once per server; of the others, what is new."""
    found, place = [], home()  # asked once: reading the settings takes longer than looking at a run
    try:
        names = os.listdir(place.runs)
    except FileNotFoundError:
        return []
    for gone in _settled().keys() - {(place.path, name) for name in names}:
        _settled().pop(gone, None)
    for name in names:
        if name.startswith("."):
            continue
        try:
            row = _current(place, name)
        except (RunNotFound, OSError):
            continue  # not a run of ours, or one that is being made or deleted just now
        found.append(row)
    # By ticket and not by time: a clock may be set back.
    return sorted(found, key=lambda row: (row.ticket, row.started, row.id), reverse=True)


SETTLED_AFTER = 60.0  # seconds without a word, after which a lost run stays lost


@st.cache_resource
def _settled() -> dict[tuple[str, str], tuple[tuple[int, int], RunRow]]:
    """The rows of runs that change no more, by home and id, each with the size and time of its events.

    Not st.cache_data: that would copy every row for everybody who asks, and every page asks every two seconds.
    """
    return {}


def _current(place: LabHome, run_id: str) -> RunRow:
    found = os.stat(place.run(run_id).events)
    key, stamp = (place.path, run_id), (found.st_size, found.st_mtime_ns)
    known, row = _settled().get(key, ((0, 0), None))
    if row is not None and known == stamp:
        return row
    with following(run_id) as run:
        row = _summary(run)
    if row.state in events.FINAL or (row.state == events.LOST and time.time() - found.st_mtime > SETTLED_AFTER):
        _settled()[key] = (stamp, row)
        _followed().runs.pop(run_id, None)  # a lost one: nothing more will come
    return row


@dataclass(frozen=True)
class _Followed:
    runs: dict[str, runs.Run]
    lock: threading.Lock


@st.cache_resource
def _followed() -> _Followed:
    """The runs that go on, for all visitors: a comparison writes megabytes, which nobody should read from the start
    every two seconds."""
    return _Followed({}, threading.Lock())


@contextmanager
def following(run_id: str) -> Iterator[runs.Run]:
    """A run read up to now, to be looked at and let go; it is kept for the next look until it has ended.

    Raises RunNotFound.
    """
    followed, place = _followed(), home()
    with followed.lock:  # two visitors reading at once would take in every event twice
        run = followed.runs.pop(run_id, None)
        if run is None or run.folder.home.path != place.path or not os.path.isfile(run.folder.spec):
            run = runs.open_run(place, run_id)
        else:
            run.refresh()
        if run.state not in events.FINAL:
            followed.runs[run_id] = run
        yield run


def _summary(run: runs.Run) -> RunRow:
    story = run.story
    newest = {
        lane: curve.accuracy[-1]
        for (lane, split), curve in story.curves.items()
        if split == "validation" and curve.step
    }
    best = max(newest, key=newest.__getitem__, default="")
    lane = story.result.kept if story.result else best
    curve = story.curves.get((lane, "validation"), runs.Curve())
    spent = {stage.name: (stage.ended or story.last_t) - stage.began for stage in story.stages}
    row = RunRow(
        id=run.id,
        title=run.title,
        short="",
        page=page_of(run),
        state=run.state,
        device=run.spec.device.upper(),
        accuracy=None,
        validation=newest.get(lane),
        curve=[curve.accuracy[i] for i in thin(len(curve.accuracy), CURVE_POINTS)],
        seconds=run.seconds,
        started=run.started,
        ticket=run.story.ticket,
        stage=story.stages[-1].name if story.stages else "",
        contents="",
        stays="",
        stages=tuple(
            (stage.name, stage.began, stage.ended or (math.inf if run.is_active else story.last_t))
            for stage in story.stages
        ),
        kind=KINDS[run.kind],
    )
    try:
        return _of_its_kind(row, run, lane, spent)
    except (OSError, ValueError, LookupError, TypeError):  # damaged: it is listed, so that it can be deleted
        return replace(row, short=run.title, contents="whatever is left of it")


def _of_its_kind(row: RunRow, run: runs.Run, lane: str, spent: dict[str, float]) -> RunRow:
    if run.is_imported:
        return replace(
            row,
            short=run.spec.title,
            data=run.spec.title,
            contents="copies of the event files",
            stays="The folder that it was imported from stays.",
            lanes=tuple(run.lanes),
        )
    if run.is_classify:
        return _of_pictures(row, run)
    if run.is_fine_tune:
        return _of_fine_tuning(row, run, lane)
    if run.is_batch_size:
        return replace(
            row,
            short=run.title,
            models=(run.backbone_title,),
            contents="the sizes that were tried",
            stays="The backbone stays.",
            backbone=run.spec.backbone,
            depths=(Depth(run.spec.blocks, 0.0, 0.0, 0.0),),
            tried=len(run.story.batches_tried),
        )
    if run.is_learning_curve:
        return _of_learning_curve(row, run, spent)
    return _of_comparison(row, run, lane, spent) if run.is_mnist else _of_retraining(row, run, lane, spent)


def _of_retraining(row: RunRow, run: runs.Run, lane: str, spent: dict[str, float]) -> RunRow:
    story, result = run.story, run.story.result
    final = story.lane_results.get(lane)
    rates = run.spec.learning_rates
    varied = f"lr {rates[0]:g}" if len(rates) == 1 else f"{len(rates)} rates"
    if run.spec.group:
        varied += f" · {specs.machine_title(run.spec)}"
    return replace(
        row,
        short=f"{run.dataset.title} · {varied}",
        data=run.dataset.title,
        models=(run.backbone_title,),
        accuracy=final.test_accuracy if final and result else None,
        validation=final.final_validation_accuracy if final else row.validation,
        contents=f"{count(len(rates), 'lane')} of weights and the exported model",
        stays="The photos and their bottlenecks stay.",
        backbone=run.spec.backbone,
        photos=result.images if result else len(run.dataset.photos),
        steps=run.spec.steps,
        computed=result.computed if result else 0,
        bottleneck_seconds=spent.get(events.BOTTLENECKS, 0.0),
        race_seconds=result.race_seconds if result else 0.0,
        distorted=distorted_photos(run.spec, result.training) if result else 0,
        threads=run.spec.threads,
        group=run.spec.group,
    )


def _of_comparison(row: RunRow, run: runs.Run, lane: str, spent: dict[str, float]) -> RunRow:
    """`lane`: the best by validation; "" where no network holds anything out, and then the first one speaks."""
    networks: list[catalog.Network] = list(run.spec.networks)
    data = catalog.digit_set(run.spec.data).title
    results = run.story.network_results
    final = results.get(lane or networks[0].name)
    if not lane:
        curve = run.story.curves.get((networks[0].name, "training"), runs.Curve())
        row = replace(row, curve=[curve.accuracy[i] for i in thin(len(curve.accuracy), CURVE_POINTS)])
    learned = [
        Learned(each, data, found.test_accuracy, found.validation_accuracy, found.train_seconds,
                found.images_per_second)
        for each in networks
        if (found := results.get(each.name))
    ]  # fmt: skip
    what = networks[0].title if len(networks) == 1 else count(len(networks), "network")
    return replace(
        row,
        short=f"{data} · {what}",
        data=data,
        models=tuple(network.title for network in networks),
        accuracy=final.test_accuracy if final else None,
        contents=f"weights and exported files of {count(len(networks), 'network')}",
        stays="The images stay.",
        networks=tuple(learned),
        around_seconds=(row.seconds or 0.0) - spent.get(events.TRAINING, 0.0),
    )


def _of_fine_tuning(row: RunRow, run: runs.Run, lane: str) -> RunRow:
    """`lane`: the best by validation, where none is kept yet."""
    final = run.story.fine_tuned.get(run.story.kept or lane)
    return replace(
        row,
        short=f"{run.dataset.title} · {run.depths}",
        data=run.dataset.title,
        models=(run.backbone_title,),
        accuracy=final.test_accuracy if final else None,
        validation=final.validation_accuracy if final else row.validation,
        contents=f"the weights that {count(len(run.lanes), 'depth')} learned",
        stays="The photos and their bottlenecks stay.",
        backbone=run.spec.backbone,
        photos=len(run.dataset.photos),
        depths=tuple(_depths(run)),
        before_seconds=_before_training(run),
    )


def _of_learning_curve(row: RunRow, run: runs.Run, spent: dict[str, float]) -> RunRow:
    found, trainings = learning_curve.rows(run), len(run.story.learning_curve)
    whole = found and found[-1].size == specs.ALL_PHOTOS
    return replace(
        row,
        short=f"{run.dataset.title} · photos per class",
        data=run.dataset.title,
        models=(run.backbone_title,),
        accuracy=found[-1].mean if whole else None,
        contents=f"the figures of {count(trainings, 'training')}",
        stays="The photos and their bottlenecks stay.",
        backbone=run.spec.backbone,
        photos=len(run.dataset.photos),
        steps=run.spec.steps * trainings,
        race_seconds=spent.get(events.TRAINING, 0.0),
    )


def _before_training(run: runs.Run) -> float:
    return sum(spent for name, spent in run.stage_seconds if name != events.TRAINING)


def _depths(run: runs.Run) -> Iterator[Depth]:
    """Those that were trained to their end without running out of memory."""
    story = run.story
    ended = next((stage.began for stage in story.stages if stage.name == events.TRAINING), 0.0)
    halved = {event.lane for event in story.batches_halved}
    for lane, blocks in zip(run.lanes, run.spec.blocks, strict=True):
        began, tuned = story.lanes_started.get(lane), story.fine_tuned.get(lane)
        if began is None or tuned is None:
            continue
        if lane not in halved:
            around = tuned.t - began.t - tuned.epochs * tuned.epoch_seconds
            yield Depth(blocks, max(0.0, began.t - ended), tuned.epoch_seconds, max(0.0, around))
        ended = tuned.t


def _of_pictures(row: RunRow, run: runs.Run) -> RunRow:
    judged = many_pictures.judged(many_pictures.rows(run)) if run.state in events.FINAL else None
    return replace(
        row,
        short=f"{run.dataset.title} · {count(len(run.dataset.photos), 'picture')}",
        data=run.dataset.title,
        models=(run.spec.model_title,),
        accuracy=judged.share if judged else None,
        contents=f"the answers about {count(len(run.dataset.photos), 'picture')}",
        stays="The pictures stay, except those that were uploaded for this run alone.",
    )


def distorted_photos(spec: specs.RetrainSpec, training: int) -> int:
    """How many photos go through the backbone while it races, of so many training photos; 0 without distortions."""
    if not specs.is_distorted(spec):
        return 0
    return spec.steps * (training if spec.train_batch_size == -1 else spec.train_batch_size)


def expected_seconds(known: list[RunRow], spec: specs.RetrainSpec, photos: int) -> float | None:
    """How long such a run takes here, from the newest finished run of the same backbone and device; None without one.

    The photos are counted as if none of their bottlenecks were kept from earlier.
    """
    alike = [row for row in known if row.kind == KINDS[specs.RETRAIN] and _is_like(row, spec) and row.seconds]
    alike = [row for row in alike if row.threads == spec.threads]
    usual = [row for row in alike if not row.distorted]
    counted = next((row for row in usual if row.computed >= 20), None)
    a_photo = counted.bottleneck_seconds / counted.computed if counted else None  # seconds
    if specs.is_distorted(spec):
        measured = next((row for row in alike if row.distorted >= 20), None)
        a_photo = measured.race_seconds / measured.distorted if measured else a_photo
        held_out = photos * (spec.validation_percentage + spec.testing_percentage) // 100
        through = held_out + distorted_photos(spec, photos - held_out)
        return None if a_photo is None else through * a_photo + _around(alike[0])
    if a_photo is None:
        return None
    newest = usual[0]
    return photos * a_photo + spec.steps * newest.race_seconds / newest.steps + _around(newest)


def expected_of_depths(known: list[RunRow], spec: specs.FineTuneSpec, photos: int) -> events.Expected | None:
    """How long such a fine-tuning run takes here, from the newest finished runs of its depths; None without them."""
    rows = [row for row in known if row.kind == KINDS[specs.FINE_TUNE] and _is_like(row, spec) and row.photos]
    if not rows:
        return None
    seconds = rows[0].before_seconds * photos / rows[0].photos
    for blocks in spec.blocks:
        found = next(((row, each) for row in rows for each in row.depths if each.blocks == blocks), None)
        if found is None:
            return None
        row, depth = found
        seconds += depth.starting_seconds
        seconds += (depth.around_seconds + spec.epochs * depth.epoch_seconds) * photos / row.photos
    return events.Expected(
        time.time(), seconds, "earlier runs of " + ("this depth" if len(spec.blocks) == 1 else "these depths")
    )


def expected_of_sizes(known: list[RunRow], spec: specs.BatchSizeSpec) -> events.Expected | None:
    """How long trying batch sizes takes here, from the newest finished run of that kind; None without one."""
    for row in known:
        if row.kind != KINDS[specs.BATCH_SIZE] or not _is_like(row, spec) or not row.seconds:
            continue
        if row.tried and row.depths[0].blocks == spec.blocks:
            seconds = row.seconds / row.tried * len(prediction.sizes(spec.largest))
            return events.Expected(time.time(), seconds, "an earlier run of this depth")
    return None


def expected_of_trainings(known: list[RunRow], spec: specs.LearningCurveSpec, trainings: int) -> float | None:
    """How many seconds so many trainings of a learning curve take here, bottlenecks apart; None before the first."""
    for row in known:
        if row.kind == KINDS[specs.LEARNING_CURVE] and _is_like(row, spec) and row.steps:
            return trainings * spec.steps * row.race_seconds / row.steps
    return None


def _is_like(
    row: RunRow, spec: specs.RetrainSpec | specs.FineTuneSpec | specs.BatchSizeSpec | specs.LearningCurveSpec
) -> bool:
    return (row.state, row.backbone, row.device.lower()) == (events.DONE, spec.backbone, spec.device)


def _around(row: RunRow) -> float:
    """Seconds of everything but bottlenecks and race."""
    return (row.seconds or 0.0) - row.bottleneck_seconds - row.race_seconds


@dataclass(frozen=True)
class Expected:
    seconds: float  # of those networks that were measured here
    unknown: tuple[str, ...]  # titles of those that were not


def expected_of_comparison(known: list[RunRow], spec: specs.MnistSpec) -> Expected:
    """How long a comparison takes here, from the newest finished training of each of its networks on that device.

    How fast a network learns depends on its layers, its batch and whether pictures are moved; nothing else counts.
    """
    rows = [row for row in known if row.state == events.DONE and row.device.lower() == spec.device and row.networks]
    speeds: dict[tuple, float] = {}
    for row in reversed(rows):  # the newest is left
        speeds |= {_speed_key(each.network): each.images_per_second for each in row.networks}
    total, unknown = rows[0].around_seconds if rows else 0.0, []
    for network in spec.networks:
        images = BUILT_IN_IMAGES - network.validation_images
        images = spec.epochs * (min(images, spec.training_images) if spec.training_images else images)
        speed = speeds.get(_speed_key(network))
        if speed:
            total += images / speed
        else:
            unknown.append(network.title)
    return Expected(total, tuple(unknown))


def _speed_key(network: catalog.Network) -> tuple:
    return network.layers, network.batch_size, network.augmentation, network.optimizer
