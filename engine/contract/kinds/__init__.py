"""The kinds of run, and on each floor of the lab the room of each. This is the only table of them.

A room is a module. Each floor imports those that it needs, by name, so that workers never load the dashboard's and the
dashboard never TensorFlow. CONTRIBUTING.md says what is in each. Python 3.6, standard library only.
"""

import functools
import importlib
from typing import Any, Dict, NamedTuple, Tuple


class Rooms(NamedTuple):
    """Where a kind of run is at home."""

    contract: str  # SPEC, HAS_DATASET, STAGES and EVENTS: what it is asked for and what it reports
    worker: str  # run(spec, folder, report) computes it
    engine: str  # KIND: what the dashboard and the command line know of it
    form: str  # its form on a page (ui/rooms.py); "" where another place starts it
    results: str  # what its page shows of a run
    command: str  # its command of python -m engine; "" where it has none


def _rooms(name: str, form: bool = True, command: bool = True) -> Rooms:
    return Rooms(
        contract=f"engine.contract.kinds.{name}",
        worker=f"engine.worker.{name}",
        engine=f"engine.kinds.{name}.kind",
        form=f"ui.kinds.{name}.form" if form else "",
        results=f"ui.kinds.{name}.results",
        command=f"engine.cli.{name}" if command else "",
    )


# By the name in spec.json, which stays as it is; in the order in which forms and commands are offered.
KINDS = {
    "retrain": _rooms("race"),
    "fine_tune": _rooms("fine_tuning"),
    "batch_size": _rooms("batch_size"),
    "learning_curve": _rooms("learning_curve"),
    "mnist": _rooms("mnist"),
    "classify": _rooms("batch_classification", form=False, command=False),
    "imported": _rooms("imported", form=False),
}


def contract(kind: str) -> Any:
    """The module that says what a kind is asked for and what it reports. Raises KeyError for an unknown kind."""
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
