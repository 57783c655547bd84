"""A run in a few words and figures, for tables, choices and what later runs are going to take."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from engine.contract import catalog, choices, events, hardware, kinds
from engine.contract.kinds.learning_curve import ALL_PHOTOS
from engine.contract.kinds.race import RaceSpec
from engine.kinds.batch_classification import many_pictures
from engine.kinds.learning_curve import photo_counts as learning_curve
from engine.runs import Curve, Run
from engine.stats import thin
from engine.words import count

CURVE_POINTS = 60  # of a row's small curve

KINDS = {  # of runs, for people
    kinds.RETRAIN: "Retraining",
    kinds.MNIST: "MNIST comparison",
    kinds.CLASSIFY: "Many pictures",
    kinds.IMPORTED: "Imported",
    kinds.FINE_TUNE: "Fine-tuning",
    kinds.BATCH_SIZE: "Batch size",
    kinds.LEARNING_CURVE: "How many photos",
}


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
    kind: str = ""  # of KINDS
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


def of_here(rows: Iterable[RunRow]) -> list[RunRow]:
    """Those whose times hold for this machine. Earlier versions did not write down where: theirs are among them."""
    here = hardware.here()
    return [row for row in rows if row.hardware is None or hardware.is_same(row.hardware, here)]


def read(run: Run) -> RunRow:
    """Of any kind and in any state. Never raises: a list must show damaged runs too."""
    story = run.story
    newest = {
        lane: curve.accuracy[-1]
        for (lane, split), curve in story.curves.items()
        if split == "validation" and curve.step
    }
    best = max(newest, key=newest.__getitem__, default="")
    lane = story.result.kept if story.result else best
    curve = story.curves.get((lane, "validation"), Curve())
    spent = {stage.name: (stage.ended or story.last_t) - stage.began for stage in story.stages}
    row = RunRow(
        id=run.id,
        title=run.title,
        short="",
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
        kind=run.kind,
        hardware=story.hardware,
    )
    try:
        return _of_its_kind(row, run, lane, spent)
    except Exception:  # damaged: it is listed, so that it can be deleted
        return replace(row, short=run.title, contents="whatever is left of it")


def _of_its_kind(row: RunRow, run: Run, lane: str, spent: dict[str, float]) -> RunRow:
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


def _of_retraining(row: RunRow, run: Run, lane: str, spent: dict[str, float]) -> RunRow:
    story, result = run.story, run.story.result
    final = story.lane_results.get(lane)
    rates = run.spec.learning_rates
    varied = f"lr {rates[0]:g}" if len(rates) == 1 else f"{len(rates)} rates"
    if run.spec.group:
        varied += f" · {run.spec.machine_title()}"
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


def _of_comparison(row: RunRow, run: Run, lane: str, spent: dict[str, float]) -> RunRow:
    """`lane`: the best by validation; "" where no network holds anything out, and then the first one speaks."""
    networks: list[catalog.Network] = list(run.spec.networks)
    data = catalog.digit_set(run.spec.data).title
    results = run.story.network_results
    final = results.get(lane or networks[0].name)
    if not lane:
        curve = run.story.curves.get((networks[0].name, "training"), Curve())
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


def _of_fine_tuning(row: RunRow, run: Run, lane: str) -> RunRow:
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


def _of_learning_curve(row: RunRow, run: Run, spent: dict[str, float]) -> RunRow:
    found, trainings = learning_curve.rows(run), len(run.story.learning_curve)
    whole = found and found[-1].size == ALL_PHOTOS
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


def _before_training(run: Run) -> float:
    return sum(spent for name, spent in run.stage_seconds if name != events.TRAINING)


def _depths(run: Run) -> Iterator[Depth]:
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


def _of_pictures(row: RunRow, run: Run) -> RunRow:
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


def distorted_photos(spec: RaceSpec, training: int) -> int:
    """How many photos go through the backbone while it races, of so many training photos; 0 without distortions."""
    if not choices.is_distorted(spec):
        return 0
    return spec.steps * (training if spec.train_batch_size == -1 else spec.train_batch_size)
