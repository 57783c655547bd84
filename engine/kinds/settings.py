"""The settings of a run as people read them, for its page, for comparisons and for reports: setting -> value."""

from collections.abc import Iterable

from engine import kinds
from engine.contract import hardware
from engine.contract.kinds.fine_tuning import FineTuningSpec
from engine.contract.kinds.race import RaceSpec
from engine.runs import Run


class OwnPath(str):
    """A path of the machine that shows it: for its own pages, and left out of what is handed on."""


def rows(run: Run) -> dict[str, str]:
    """What a run of any kind was asked for, the shortest first."""
    return kinds.of(run).settings(run)


def which(run: Run) -> dict[str, str]:
    """Where it ran, on which version of the lab, and which run it is."""
    found = run.story.hardware  # None in runs of earlier versions
    return (
        ({"Machine": hardware.describe(found)} if found else {})
        | ({"Lab": f"version {run.version}"} if run.version else {})
        | {"Run": run.id}
    )


def everything(run: Run) -> dict[str, str]:
    """With all the others that were asked for; some kinds have none."""
    return rows(run) | kinds.of(run).more_settings(run) | which(run)


def to_hand_on(run: Run) -> dict[str, str]:
    """Everything but paths of this machine, which are nobody else's business."""
    return {name: value for name, value in everything(run).items() if not isinstance(value, OwnPath)}


def batch(size: int) -> str:
    return "all photos" if size == -1 else f"{size:,}"


def distortions(spec: RaceSpec | FineTuningSpec) -> str:
    """ "flip, crop 10%, brightness ±20%", or "none" """
    words = [
        "flip" if spec.flip_left_right else "",
        f"crop {spec.random_crop}%" if spec.random_crop else "",
        f"scale {spec.random_scale}%" if spec.random_scale else "",
        f"brightness ±{spec.random_brightness}%" if spec.random_brightness else "",
    ]
    return ", ".join(filter(None, words)) or "none"


def each(values: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(values))
