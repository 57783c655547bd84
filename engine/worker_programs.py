"""Runs a program of the worker that answers one question and ends: JSON in, JSON out, no TensorFlow in the server."""

import contextlib
import json
import os
import signal
import subprocess
from typing import Any

from engine.errors import EngineError, WorkerStartError
from engine.queue import worker_environment
from engine.settings import APP_ROOT


def ask(
    worker_python: str, module: str, arguments: list[str], question: dict[str, Any] | None, seconds: float
) -> dict[str, Any]:
    """The JSON object that `module` prints as its last line; `question` is its stdin.

    After that many seconds it is killed with everything that it started. Raises WorkerStartError, and EngineError
    with a sentence where no answer came.
    """
    try:
        process = subprocess.Popen(
            [worker_python, "-m", module, *arguments],
            cwd=APP_ROOT,
            env=worker_environment(os.environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # can be killed as a group
        )
    except OSError as error:
        raise WorkerStartError(f"Cannot run WORKER_PYTHON={worker_python}: {error.strerror}.") from error
    try:
        said, complaint = process.communicate(json.dumps(question or {}), timeout=seconds)
    except subprocess.TimeoutExpired:
        raise EngineError(
            f"No answer came within {seconds:.0f} seconds, so it was given up. Try again later."
        ) from None
    finally:
        if process.returncode is None:  # late, or the caller was interrupted
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    lines = said.splitlines()
    try:
        answer = json.loads(lines[-1])
    except (IndexError, ValueError):
        raise EngineError(_death(process.returncode, complaint)) from None
    if not isinstance(answer, dict):
        raise EngineError(_death(process.returncode, complaint))
    return answer


def _death(code: int, complaint: str) -> str:
    if code == -signal.SIGKILL:
        return "The process was ended from outside, usually because the memory ran out. Use a smaller model."
    last = next((line.strip() for line in reversed(complaint.splitlines()) if line.strip()), "it said nothing")
    return f"The process that works on the file stopped without an answer ({last[:300]}). The file may be damaged."
