"""What several kinds of run let one choose, with its limits and a sentence for what is beyond them.

Each check adds its sentence to a list of what is wrong. Python 3.6, standard library only.
"""

import re
from typing import Any, List

from engine.contract import catalog

CPU, GPU = "cpu", "gpu"
DEVICES = (CPU, GPU)

LEARNING_RATE_LIMITS = (0.0001, 10.0)
LANE_LIMIT = 8
EPOCH_LIMIT = 100
FINE_TUNE_BATCH_LIMIT = 1024
MEMORY_LIMITS = (100, 1000000)  # MB
ALL_BLOCKS = -1
BLOCKS_LIMIT = 16  # the smallest of these backbones has 18 blocks; beyond, all of them are meant
DISTORTIONS = ("flip_left_right", "random_crop", "random_scale", "random_brightness")


def within(found: List[str], name: str, value: int, low: int, high: int, otherwise: str = "") -> None:
    if not low <= value <= high:
        found.append(f"{name} is {value:,}; choose {low:,} to {high:,}{otherwise}.")


def seed(found: List[str], value: int) -> None:
    within(found, "Seed", value, 0, 2**31 - 1)


def device(found: List[str], value: str) -> None:
    if value not in DEVICES:
        found.append(f"Device is {value!r}; choose one of {', '.join(DEVICES)}.")


def rate(found: List[str], value: float) -> None:
    low, high = LEARNING_RATE_LIMITS
    if not low <= value <= high:  # False for NaN too
        found.append(f"Learning rate is {value:g}; choose {low:g} to {high:g}.")


def lane_name(learning_rate: float) -> str:
    """The lane's name from slider to axis: "0.005", "1.0", "10.0"."""
    return repr(float(learning_rate))


def splits(found: List[str], spec: Any) -> None:
    """Of a spec with percentages of the photos."""
    within(found, "Validation percentage", spec.validation_percentage, 1, 80)
    within(found, "Testing percentage", spec.testing_percentage, 1, 80)
    if spec.validation_percentage + spec.testing_percentage > 90:
        found.append(
            f"Validation and testing take {spec.validation_percentage + spec.testing_percentage} % of the photos; "
            "leave at least 10 % for training."
        )


def distortions(found: List[str], spec: Any) -> None:
    """Of a spec with DISTORTIONS."""
    within(found, "Random crop", spec.random_crop, 0, 90, " percent")
    within(found, "Random scale", spec.random_scale, 0, 100, " percent")
    within(found, "Random brightness", spec.random_brightness, 0, 100, " percent")


def is_distorted(spec: Any) -> bool:
    """Whether photos are changed at random each time they are learned from."""
    return any(getattr(spec, name) for name in DISTORTIONS)


def retrained_backbone(found: List[str], name: str) -> None:
    known = [row.name for row in catalog.BACKBONES + catalog.ORIGINALS]
    if name in known or re.match(catalog.ADDED_NAME, name):
        return
    names = ", ".join([row.name for row in catalog.BACKBONES] + ["inception_v3"])
    originals = "mobilenet_<1.0|0.75|0.50|0.25>_<224|192|160|128>[_quantized]"
    found.append(f"Backbone is {name!r}; choose one of {names}, or {originals}.")


# --- blocks that learn -----------------------------------------------------------------------------------------------


def depth_name(blocks: int) -> str:
    """The lane's name: "frozen", "last_2", "all"."""
    return {0: "frozen", ALL_BLOCKS: "all"}.get(blocks, f"last_{blocks}")


def depth_title(blocks: int) -> str:
    """The lane as people read it: "Frozen", "Last 2 blocks", "All blocks"."""
    return {0: "Frozen", 1: "Last block", ALL_BLOCKS: "All blocks"}.get(blocks, f"Last {blocks} blocks")


def depth(found: List[str], blocks: int) -> None:
    if blocks != ALL_BLOCKS:
        within(found, "Number of blocks that learn", blocks, 0, BLOCKS_LIMIT, " or -1 for all")


def tunable() -> List[catalog.Backbone]:
    """The backbones whose blocks can learn: those whose layers the lab builds itself."""
    return [row for row in catalog.BACKBONES if row.format == catalog.CHECKPOINT]


def tuned_backbone(found: List[str], name: str) -> None:
    names = [row.name for row in tunable()]
    if name not in names:
        found.append(
            f"Backbone is {name!r}, whose blocks cannot learn: it is not there, or it comes as a finished graph. "
            f"Choose {' or '.join(names)}."
        )


def memory(found: List[str], limit: int) -> None:
    if limit:
        low, high = MEMORY_LIMITS
        within(found, "Memory limit in MB", limit, low, high, " or 0 for none")
