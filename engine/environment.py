"""Which Python and which TensorFlow the workers have, without loading it; engine/devices.py has it loaded and asked."""

from dataclasses import dataclass

from engine import worker_programs

MODULE = "engine.worker.environment"
SECONDS = 30.0  # a Python that starts slowly, from a small board's card


@dataclass(frozen=True)
class WorkerPython:
    python: str  # "3.11.7"
    tensorflow: str  # "2.21.0", "" where there is none


def worker_python(path: str) -> WorkerPython:
    """Raises WorkerStartError, and EngineError where no answer came."""
    answer = worker_programs.ask(path, MODULE, [], None, SECONDS)
    return WorkerPython(str(answer.get("python", "")), str(answer.get("tensorflow", "")))
