"""The kinds of run, and on each floor of the lab the room of each. This is the only table of them.

A room is a module. Each floor imports those that it needs, by name, so that workers never load the dashboard's and the
dashboard never TensorFlow. CONTRIBUTING.md says what is in each. Python 3.6, standard library only.
"""

import functools
import importlib
from typing import Any, Dict, NamedTuple, Tuple

RETRAIN, MNIST, IMPORTED, CLASSIFY, FINE_TUNE, BATCH_SIZE, LEARNING_CURVE = (
    "retrain",
    "mnist",
    "imported",
    "classify",
    "fine_tune",
    "batch_size",
    "learning_curve",
)


class Rooms(NamedTuple):
    """Where a kind of run is at home."""

    contract: str  # its spec, its stages and its events
    worker: str  # run(spec, folder, report) computes it


def _rooms(name: str) -> Rooms:
    return Rooms(f"engine.contract.kinds.{name}", f"engine.worker.{name}")


# By the name in spec.json, which stays as it is.
KINDS = {
    "retrain": _rooms("race"),
    "mnist": _rooms("mnist"),
    "imported": _rooms("imported"),
    "classify": _rooms("batch_classification"),
    "fine_tune": _rooms("fine_tuning"),
    "batch_size": _rooms("batch_size"),
    "learning_curve": _rooms("learning_curve"),
}


def contract(kind: str) -> Any:
    """The module with SPEC, STAGES and EVENTS of a kind. Raises KeyError for a kind that this version does not know."""
    return importlib.import_module(KINDS[kind].contract)


def worker(kind: str) -> Any:
    """The module with run(spec, folder, report) of a kind, which returns when all is computed."""
    return importlib.import_module(KINDS[kind].worker)


def of(spec: Any) -> str:
    """The kind of a spec. Raises KeyError for what is none."""
    return _by_spec(tuple(KINDS))[type(spec)]


@functools.lru_cache(maxsize=2)
def _by_spec(names: Tuple[str, ...]) -> Dict[Any, str]:
    return {contract(name).SPEC: name for name in names}


def events() -> Dict[str, Any]:
    """The events of all kinds, by their names in logs."""
    return _events(tuple(KINDS))


@functools.lru_cache(maxsize=2)
def _events(names: Tuple[str, ...]) -> Dict[str, Any]:
    return {event: record for name in names for event, record in contract(name).EVENTS.items()}
