"""How long a race takes here, from earlier ones."""

from collections.abc import Iterable
from dataclasses import dataclass

from engine.contract import choices
from engine.contract.kinds.race import RaceSpec
from engine.kinds import forecast
from engine.kinds.rows import RunRow


@dataclass(frozen=True)
class Took:
    """What a race took, in parts."""

    steps: int
    computed: int  # photos whose bottleneck it computed
    bottleneck_seconds: float
    race_seconds: float
    distorted: int  # photos that went through the backbone while it raced; 0 without distortions
    threads: int  # that it was held to; 0 for all


def seconds(known: Iterable[RunRow], spec: RaceSpec, photos: int) -> float | None:
    """How long such a race takes here, from the newest finished one of the same backbone and device; None without one.

    The photos are counted as if none of their bottlenecks were kept from earlier.
    """
    alike: list[tuple[float, Took]] = [
        (row.seconds, row.took)
        for row in forecast.alike(known, spec)
        if row.seconds and row.took.threads == spec.threads
    ]
    usual = [(whole, took) for whole, took in alike if not took.distorted]
    counted = next((took for _, took in usual if took.computed >= 20), None)
    a_photo = counted.bottleneck_seconds / counted.computed if counted else None  # seconds
    if choices.is_distorted(spec):
        measured = next((took for _, took in alike if took.distorted >= 20), None)
        a_photo = measured.race_seconds / measured.distorted if measured else a_photo
        held_out = photos * (spec.validation_percentage + spec.testing_percentage) // 100
        through = held_out + distorted_photos(spec, photos - held_out)
        return None if a_photo is None else through * a_photo + _around(*alike[0])
    if a_photo is None:
        return None
    whole, newest = usual[0]
    return photos * a_photo + spec.steps * newest.race_seconds / newest.steps + _around(whole, newest)


def _around(whole: float, took: Took) -> float:
    """Seconds of everything but bottlenecks and race."""
    return whole - took.bottleneck_seconds - took.race_seconds


def distorted_photos(spec: RaceSpec, training: int) -> int:
    """How many photos go through the backbone while it races, of so many training photos; 0 without distortions."""
    if not choices.is_distorted(spec):
        return 0
    return spec.steps * (training if spec.train_batch_size == -1 else spec.train_batch_size)
