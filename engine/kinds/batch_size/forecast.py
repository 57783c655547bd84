"""How long trying batch sizes takes here, from earlier runs."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from engine.contract.events import Expected
from engine.contract.kinds.batch_size import BatchSizeSpec
from engine.kinds import forecast, prediction
from engine.kinds.rows import RunRow


@dataclass(frozen=True)
class Took:
    blocks: int  # that learned
    tried: int  # batch sizes


def expected(known: Iterable[RunRow], spec: BatchSizeSpec) -> Expected | None:
    """How long trying batch sizes takes here, from the newest finished run of that depth; None without one."""
    for row in forecast.alike(known, spec):
        if row.seconds and row.took.tried and row.took.blocks == spec.blocks:
            seconds = row.seconds / row.took.tried * len(prediction.sizes(spec.largest))
            return Expected(time.time(), seconds, "an earlier run of this depth")
    return None
