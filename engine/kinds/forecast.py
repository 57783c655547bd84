"""How long a run takes, from earlier runs of this machine (engine/run_views/rows.py): before it starts, at no cost.

What is measured for the purpose is engine/prediction.py's. Runs of another machine, which came with a copied folder,
do not count.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from engine.contract import catalog, choices, events, kinds
from engine.contract.kinds.batch_size import BatchSizeSpec
from engine.contract.kinds.fine_tuning import FineTuningSpec
from engine.contract.kinds.learning_curve import LearningCurveSpec
from engine.contract.kinds.mnist import MnistSpec
from engine.contract.kinds.race import RaceSpec
from engine.kinds import prediction
from engine.kinds.rows import RunRow, of_here

BUILT_IN_IMAGES = 60_000  # training images of the built-in digits


def of_retraining(known: Iterable[RunRow], spec: RaceSpec, photos: int) -> float | None:
    """How long such a run takes here, from the newest finished run of the same backbone and device; None without one.

    The photos are counted as if none of their bottlenecks were kept from earlier.
    """
    alike = [row for row in of_here(known) if row.kind == kinds.RETRAIN and _is_like(row, spec) and row.seconds]
    alike = [row for row in alike if row.threads == spec.threads]
    usual = [row for row in alike if not row.distorted]
    counted = next((row for row in usual if row.computed >= 20), None)
    a_photo = counted.bottleneck_seconds / counted.computed if counted else None  # seconds
    if choices.is_distorted(spec):
        measured = next((row for row in alike if row.distorted >= 20), None)
        a_photo = measured.race_seconds / measured.distorted if measured else a_photo
        held_out = photos * (spec.validation_percentage + spec.testing_percentage) // 100
        through = held_out + distorted_photos(spec, photos - held_out)
        return None if a_photo is None else through * a_photo + _around(alike[0])
    if a_photo is None:
        return None
    newest = usual[0]
    return photos * a_photo + spec.steps * newest.race_seconds / newest.steps + _around(newest)


def of_depths(known: Iterable[RunRow], spec: FineTuningSpec, photos: int) -> events.Expected | None:
    """How long such a fine-tuning run takes here, from the newest finished runs of its depths; None without them."""
    rows = [row for row in of_here(known) if row.kind == kinds.FINE_TUNE and _is_like(row, spec) and row.photos]
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


def of_sizes(known: Iterable[RunRow], spec: BatchSizeSpec) -> events.Expected | None:
    """How long trying batch sizes takes here, from the newest finished run of that kind; None without one."""
    for row in of_here(known):
        if row.kind != kinds.BATCH_SIZE or not _is_like(row, spec) or not row.seconds:
            continue
        if row.tried and row.depths[0].blocks == spec.blocks:
            seconds = row.seconds / row.tried * len(prediction.sizes(spec.largest))
            return events.Expected(time.time(), seconds, "an earlier run of this depth")
    return None


def of_trainings(known: Iterable[RunRow], spec: LearningCurveSpec, trainings: int) -> float | None:
    """How many seconds so many trainings of a learning curve take here, bottlenecks apart; None before the first."""
    for row in of_here(known):
        if row.kind == kinds.LEARNING_CURVE and _is_like(row, spec) and row.steps:
            return trainings * spec.steps * row.race_seconds / row.steps
    return None


def _is_like(row: RunRow, spec: RaceSpec | FineTuningSpec | BatchSizeSpec | LearningCurveSpec) -> bool:
    return (row.state, row.backbone, row.device.lower()) == (events.DONE, spec.backbone, spec.device)


def _around(row: RunRow) -> float:
    """Seconds of everything but bottlenecks and race."""
    return (row.seconds or 0.0) - row.bottleneck_seconds - row.race_seconds


@dataclass(frozen=True)
class OfComparison:
    seconds: float  # of those networks that were measured here
    unknown: tuple[str, ...]  # titles of those that were not


def of_comparison(known: Iterable[RunRow], spec: MnistSpec) -> OfComparison:
    """How long a comparison takes here, from the newest finished training of each of its networks on that device.

    How fast a network learns depends on its layers, its batch and whether pictures are moved; nothing else counts.
    """
    rows = [
        row for row in of_here(known) if row.state == events.DONE and row.device.lower() == spec.device and row.networks
    ]
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
    return OfComparison(total, tuple(unknown))


def _speed_key(network: catalog.Network) -> tuple:
    return network.layers, network.batch_size, network.augmentation, network.optimizer


def distorted_photos(spec: RaceSpec, training: int) -> int:
    """How many photos go through the backbone while it races, of so many training photos; 0 without distortions."""
    if not choices.is_distorted(spec):
        return 0
    return spec.steps * (training if spec.train_batch_size == -1 else spec.train_batch_size)


# Of two cores of a laptop, from docs/benchmarks.md: for the first run, which then measures this machine.
STARTING = 15.0  # seconds of a run around its work
MULTIPLY_ADDS = 1.5e10  # a second, learning
_PHOTOS = {299: 12.0, 224: 110.0}  # a second, through a backbone of that input


def guess_of_photos(backbone: str, photos: int) -> float:
    """Seconds of a run that looks at photos once, where nothing like it has run here."""
    return STARTING + photos / _PHOTOS.get(catalog.backbone(backbone).size, 60.0)
