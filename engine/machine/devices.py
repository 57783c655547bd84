"""What the workers have: which Python and TensorFlow, which devices it finds, and why there is no GPU among them.

Versions are known without loading anything. What there is to compute on, only TensorFlow itself knows, and it loads for
seconds; so a process of the worker's interpreter is asked once, in the background, and its answer holds until that
interpreter changes or the server starts again.
"""

import os
import re
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from engine import worker_programs
from engine.contract import choices, specs
from engine.errors import EngineError, SpecError, WorkerStartError

MODULE = "engine.worker.environment"
# Seconds: Python, and then TensorFlow, load slowly from a small board's card.
PATIENCE, PATIENCE_LOADING = 30.0, 180.0


NEEDED = "Set WORKER_PYTHON to a Python that has TensorFlow."
OLDEST_PYTHON, OLDEST_TENSORFLOW = (3, 6), (2, 6)


@dataclass(frozen=True)
class WorkerPython:
    python: str  # "3.11.7"
    tensorflow: str  # "2.21.0", "" where there is none


def versions(worker_python: str, patience: float = PATIENCE) -> WorkerPython:
    """As they are installed. Raises WorkerStartError with what is wrong with an interpreter that does not answer."""
    try:
        said = worker_programs.ask(worker_python, MODULE, [], None, patience)
    except worker_programs.NoAnswer as error:
        if error.is_late:
            why = f"does not start: it has said nothing for {patience:.0f} seconds."
        else:
            why = f"cannot run the lab's workers: {error.last_words[:300].rstrip('.')}."
        raise WorkerStartError(f"WORKER_PYTHON={worker_python} {why}") from error
    return WorkerPython(str(said.get("python", "")), str(said.get("tensorflow", "")))


def require(worker_python: str) -> None:
    """Raises WorkerStartError with a sentence for an interpreter that cannot do a run. One that can is asked once."""
    key = _key(worker_python)
    if key in _can_do_runs:
        return
    if fault := fault_of(worker_python, versions(worker_python)):
        raise WorkerStartError(fault)
    _can_do_runs.add(key)


_can_do_runs: set[tuple[str, int]] = set()


def fault_of(worker_python: str, found: WorkerPython) -> str:
    """Why such an interpreter cannot do a run, a sentence; "" where it can."""
    for title, version, oldest in (
        ("Python", found.python, OLDEST_PYTHON),
        ("TensorFlow", found.tensorflow, OLDEST_TENSORFLOW),
    ):
        if not version:
            return f"WORKER_PYTHON={worker_python} has no {title}."
        if tuple(map(int, re.findall(r"\d+", version)[:2])) < oldest:
            needed = ".".join(map(str, oldest))
            return f"WORKER_PYTHON={worker_python} has {title} {version}; the workers need {needed} or newer."
    return ""


@dataclass(frozen=True)
class Worker:
    installed: WorkerPython | None  # None where it could not be asked
    fault: str  # why it cannot do a run, a sentence; "" where it can


def look_at(worker_python: str) -> Worker:
    try:
        found = versions(worker_python)
    except WorkerStartError as error:
        return Worker(None, str(error))
    return Worker(found, fault_of(worker_python, found))


@dataclass(frozen=True)
class Gpu:
    name: str  # "NVIDIA H100 80GB HBM3"
    memory_bytes: int  # that TensorFlow may use


@dataclass(frozen=True)
class Devices:
    tensorflow: str  # its version; "" where it cannot be loaded or was not asked
    gpus: tuple[Gpu, ...]
    why_no_gpu: str  # a sentence, in TensorFlow's own words; "" where there is one
    cores: int  # that a run may use


def probe(worker_python: str) -> Devices:
    """Ask now; takes seconds. Raises WorkerStartError, and EngineError where no answer came."""
    said = worker_programs.ask(worker_python, MODULE, ["devices"], None, PATIENCE_LOADING)
    gpus = tuple(Gpu(str(each["name"]), int(each["memory_bytes"])) for each in said["gpus"])
    return Devices(str(said["tensorflow"]), gpus, str(said["why_no_gpu"]), int(said["cores"]))


def found_or_why(worker_python: str) -> Devices:
    """The same; where no answer came, the sentence that says so takes the place of why there is no GPU."""
    try:
        return probe(worker_python)
    except (EngineError, LookupError, TypeError, ValueError) as error:
        return Devices("", (), f"The worker could not be asked: {error}", os.cpu_count() or 1)


Found = TypeVar("Found")


class Finder(Generic[Found]):
    """Asks each interpreter once and keeps the answer. For all visitors of a server. `ask`: raises nothing."""

    def __init__(self, ask: Callable[[str], Found]) -> None:
        self._of = ask
        self._known: dict[tuple[str, int], Found] = {}
        self._asking: dict[tuple[str, int], threading.Thread] = {}
        self._lock = threading.Lock()

    def now(self, worker_python: str) -> Found | None:
        """What is known; None while it is being asked, which begins with the first call."""
        key = _key(worker_python)
        with self._lock:
            if key not in self._known and key not in self._asking:
                self._asking[key] = threading.Thread(target=self._ask, args=(key,), daemon=True, name="device probe")
                self._asking[key].start()
            return self._known.get(key)

    def wait(self, worker_python: str) -> Found:
        """The same, once it is known."""
        while True:
            found = self.now(worker_python)
            if found is not None:
                return found
            self._asking[_key(worker_python)].join()

    def _ask(self, key: tuple[str, int]) -> None:
        found = self._of(key[0])
        with self._lock:
            self._known[key] = found


def _key(worker_python: str) -> tuple[str, int]:
    """An interpreter and when it was changed: another TensorFlow often comes with another environment."""
    try:
        return worker_python, os.stat(shutil.which(worker_python) or worker_python).st_mtime_ns
    except OSError:
        return worker_python, 0


def check(spec: specs.Spec, found: Devices) -> None:
    """Raises SpecError for a GPU where there is none, before anything is started."""
    if spec.device == choices.GPU and not found.gpus:
        raise SpecError(f"There is no GPU for this run. {found.why_no_gpu} Start it on the CPU.")
