"""What the workers' Python is and whether TensorFlow finds a GPU there: asked in a process of its own."""

import re
from dataclasses import dataclass

from engine import worker_programs
from engine.errors import EngineError
from engine.settings import Settings

MODULE = "engine.worker.environment"
SECONDS = 60.0  # TensorFlow takes 5 s to load, on a small board half a minute
SAID_LIMIT = 12  # lines
# What TensorFlow says about itself in every case, whatever it finds.
USUAL = re.compile(r"oneDNN|instructions in performance-critical|rebuild TensorFlow|absl::InitializeLog|Ignore above")
OF_A_GPU = re.compile(r"cuda|cudnn|cublas|gpu|tensorrt|dlerror|nvidia|libnv", re.IGNORECASE)
# "2026-11-25 10:15:00.123456: W external/xla/file.cc:256] "
STAMP = re.compile(r"^(?:[WIE]\d{4} [\d:.]+ +\d+|\d{4}-\d\d-\d\d [\d:.]+: [IWEF]) (?:\S+\.cc:\d+\] )?")


@dataclass(frozen=True)
class WorkerPython:
    python: str  # "3.11.7"
    tensorflow: str  # "2.21.0", "" where there is none


@dataclass(frozen=True)
class Found:
    """What TensorFlow computes on, as it says itself."""

    tensorflow: str
    gpus: tuple[str, ...]
    why_not: str  # a whole sentence where there is no GPU
    said: tuple[str, ...]  # what its loader said about GPUs, line by line


def worker_python(settings: Settings) -> WorkerPython:
    """Without loading TensorFlow. Raises EngineError."""
    answer = worker_programs.ask(settings.worker_python, MODULE, [], {"load": False}, SECONDS)
    return WorkerPython(str(answer.get("python", "")), str(answer.get("tensorflow", "")))


def find_gpu(settings: Settings) -> Found:
    """Has TensorFlow loaded and asked; takes seconds. Raises EngineError where it cannot be."""
    heard: list[str] = []
    answer = worker_programs.ask(settings.worker_python, MODULE, [], {"load": True}, SECONDS, heard.append)
    if error := answer.get("error"):
        raise EngineError(f"{error}. Set WORKER_PYTHON to a Python that has TensorFlow.")
    lines = [STAMP.sub("", line) for line in heard if not USUAL.search(line)]
    said = tuple(dict.fromkeys(line[:300] for line in lines if OF_A_GPU.search(line)))[:SAID_LIMIT]
    gpus = tuple(map(str, answer.get("gpus", [])))
    why_not = ""
    if not gpus and not answer.get("is_built_for_gpu"):
        why_not = "This TensorFlow was built without support for GPUs."
    elif not gpus:
        why_not = "TensorFlow found no GPU that it can use; its loader says why." if said else (
            "TensorFlow found no GPU and does not say why."
        )  # fmt: skip
    return Found(str(answer.get("tensorflow", "")), gpus, why_not, said)
