"""How long fine-tuning takes here, from earlier runs of its depths."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from engine.contract.events import Expected
from engine.contract.kinds.fine_tuning import FineTuningSpec
from engine.kinds import forecast
from engine.kinds.rows import RunRow


@dataclass(frozen=True)
class Depth:
    """One depth of fine-tuning that was measured."""

    blocks: int  # that learned
    starting_seconds: float  # of its process
    epoch_seconds: float
    around_seconds: float  # of everything else: what is frozen, validation, testing


@dataclass(frozen=True)
class Took:
    before_seconds: float  # until the first depth begins
    depths: tuple[Depth, ...]


def expected(known: Iterable[RunRow], spec: FineTuningSpec, photos: int) -> Expected | None:
    """How long such a fine-tuning run takes here, from the newest finished runs of its depths; None without them."""
    rows = [row for row in forecast.alike(known, spec) if row.photos]
    if not rows:
        return None
    seconds = rows[0].took.before_seconds * photos / rows[0].photos
    for blocks in spec.blocks:
        found = next(((row, each) for row in rows for each in row.took.depths if each.blocks == blocks), None)
        if found is None:
            return None
        row, depth = found
        seconds += depth.starting_seconds
        seconds += (depth.around_seconds + spec.epochs * depth.epoch_seconds) * photos / row.photos
    return Expected(
        time.time(), seconds, "earlier runs of " + ("this depth" if len(spec.blocks) == 1 else "these depths")
    )
