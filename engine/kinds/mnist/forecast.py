"""How long a comparison of networks takes here, from earlier trainings of each of them."""

from collections.abc import Iterable
from dataclasses import dataclass

from engine.contract import catalog
from engine.contract.kinds.mnist import MnistSpec
from engine.kinds import forecast
from engine.kinds.rows import RunRow

BUILT_IN_IMAGES = 60_000  # training images of the built-in digits


@dataclass(frozen=True)
class Expected:
    seconds: float  # of those networks that were measured here
    unknown: tuple[str, ...]  # titles of those that were not


def expected(known: Iterable[RunRow], spec: MnistSpec) -> Expected:
    """How long a comparison takes here, from the newest finished training of each of its networks on that device.

    How fast a network learns depends on its layers, its batch and whether pictures are moved; nothing else counts.
    """
    rows = [row for row in forecast.alike(known, spec) if row.networks]
    speeds: dict[tuple, float] = {}
    for row in reversed(rows):  # the newest is left
        speeds |= {_speed_key(each.network): each.images_per_second for each in row.networks}
    total, unknown = rows[0].took if rows else 0.0, []
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
