"""The folders in runs/: open one, list all, list those that cannot be read, sign those that this lab made."""

import contextlib
import json
import os
import time
from collections.abc import Container, Iterable

from engine.contract import signatures
from engine.contract.run_folder import LabHome
from engine.errors import EngineError, RunNotFound, RunUnreadable
from engine.runs.record import Run

UNREADABLE = "unreadable"  # beside the states of engine/contract/events.py, for a folder that is no run
BEING_MADE = 10.0  # seconds for which a new folder may lack its files


def open_run(home: LabHome, run_id: str) -> Run:
    """Raises RunNotFound where there is no such run, RunUnreadable where this version cannot read it."""
    folder = home.run(run_id)
    if run_id != folder.id or not os.path.isfile(folder.spec):
        raise RunNotFound(f"There is no run {run_id!r}. It may have been deleted.")
    try:
        run: Run = Run(folder)
        str((run.title, run.started, run.seconds, run.stage_seconds, run.best_lane))  # what every list asks of it
        return run
    except Exception as error:  # whatever a damaged or foreign folder makes of it, the others are still listed
        raise RunUnreadable(f"Run {run_id} cannot be read: {_reason(error)}.") from error


def list_runs(home: LabHome) -> list[Run]:
    """Every readable run, newest first by ticket."""
    found = []
    for name in _names(home):
        with contextlib.suppress(RunNotFound):  # listed by list_unreadable, or being made just now
            found.append(open_run(home, name))
    return sorted(found, key=lambda run: (run.story.ticket, run.id), reverse=True)


def list_unreadable(home: LabHome, readable: Container[str] = ()) -> list[tuple[str, str]]:
    """The folders in runs/ that are no run this version can read: (name, why not, a sentence), by name.

    `readable`: ids that were read already and are not opened again.
    """
    found = []
    for name in sorted(_names(home)):
        if name not in readable and (why := why_unreadable(home, name)):
            found.append((name, why))
    return found


def why_unreadable(home: LabHome, name: str) -> str:
    """Why a folder in runs/ is no readable run, a sentence; "" where it is one, or is being made just now."""
    path = home.run(name).path
    try:
        if not os.path.isdir(path) or time.time() - os.stat(path).st_mtime < BEING_MADE:
            return ""
        open_run(home, name)
    except RunUnreadable as error:
        return str(error)
    except RunNotFound:
        return f"{name} holds no spec.json, so it is no run."
    except OSError as error:
        return f"{name} cannot be read: {error.strerror}."
    return ""


def sign(home: LabHome, ids: Iterable[str]) -> list[str]:
    """Say that these runs are this lab's own, so that their models are used; no question is left about the others.

    Returns the ids. Raises RunNotFound, and EngineError where a signature cannot be written.
    """
    folders = [open_run(home, run_id).folder for run_id in ids]
    try:
        for folder in folders:
            signatures.sign(folder)
        signatures.settle_older(home)
    except OSError as error:
        raise EngineError(f"{error.filename or home.runs} cannot be signed: {error.strerror}.") from error
    return [folder.id for folder in folders]


def _names(home: LabHome) -> list[str]:
    try:
        return [name for name in os.listdir(home.runs) if not name.startswith(".")]
    except FileNotFoundError:
        return []


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "its files are nested too deeply"
    if isinstance(error, json.JSONDecodeError):
        return f"a file of it is no whole JSON ({error})"
    words = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
    return words[:300].rstrip(".")
