"""What forecasts of several kinds of run have in common: they rest on earlier runs of this machine, at no cost.

What is measured for the purpose is prediction.py's. Runs of another machine, which came with a copied folder, do not
count.
"""

from collections.abc import Iterable
from typing import Any

from engine.contract import catalog, events, kinds
from engine.kinds.rows import RunRow, of_here

# Of two cores of a laptop, from docs/benchmarks.md: for the first run, which then measures this machine.
STARTING = 15.0  # seconds of a run around its work
MULTIPLY_ADDS = 1.5e10  # a second, learning
_PHOTOS = {299: 12.0, 224: 110.0}  # a second, through a backbone of that input


def guess_of_photos(backbone: str, photos: int) -> float:
    """Seconds of a run that looks at photos once, where nothing like it has run here."""
    return STARTING + photos / _PHOTOS.get(catalog.backbone(backbone).size, 60.0)


def alike(known: Iterable[RunRow], spec: Any) -> list[RunRow]:
    """The finished runs of this machine of the same kind, backbone and device, in their order."""
    asked = kinds.of(spec), events.DONE, getattr(spec, "backbone", ""), spec.device
    return [row for row in of_here(known) if (row.kind, row.state, row.backbone, row.device.lower()) == asked]
