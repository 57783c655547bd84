"""Runs a program of the worker that answers one question and ends: JSON in, JSON out, no TensorFlow in the server."""

import collections
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from engine import interpreter
from engine.errors import EngineError, WorkerStartError
from engine.settings import APP_ROOT


class NoAnswer(EngineError):
    def __init__(self, sentence: str, last_words: str = "", is_late: bool = False):
        super().__init__(sentence)
        self.last_words, self.is_late = last_words, is_late


def worker_environment(environ: Mapping[str, str], python: str) -> dict[str, str]:
    """The environment for a program of this interpreter: without what ours says about itself.

    Where `python` is not ours, with what was taken out of our own environment for its sake.
    """
    own = {"VIRTUAL_ENV", "__PYVENV_LAUNCHER__"}
    kept = {name: value for name, value in environ.items() if name not in own and not name.startswith("PYTHON")}
    if python != sys.executable:
        kept |= interpreter.taken_out
    return kept | {"PYTHONUNBUFFERED": "1"}  # the log's last words must not be lost with the process


@contextlib.contextmanager
def started(worker_python: str) -> Iterator[None]:
    """Around the start of the workers' interpreter. Raises WorkerStartError where it cannot be run."""
    try:
        yield
    except OSError as error:
        raise WorkerStartError(f"Cannot run WORKER_PYTHON={worker_python}: {error.strerror}.") from error


def ask(
    worker_python: str,
    module: str,
    arguments: list[str],
    question: dict[str, Any] | None,
    seconds: float,
    heard: Callable[[str], None] = lambda line: None,
    refused: type[EngineError] | None = None,
) -> dict[str, Any]:
    """The JSON object that `module` prints as its last line; `question` is its stdin.

    `heard` gets each line of its stderr, from another thread. After that many seconds it is killed with everything
    that it started. Raises WorkerStartError, NoAnswer with a sentence where no answer came, and `refused`, where it
    is given, with the sentence of an answer that is an error.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8") as asked:  # a pipe could be full before somebody reads it
        json.dump(question or {}, asked)
        asked.seek(0)
        with started(worker_python):
            process = subprocess.Popen(
                [worker_python, "-m", module, *arguments],
                cwd=APP_ROOT,
                env=worker_environment(os.environ, worker_python),
                stdin=asked,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,  # can be killed as a group
            )
    late = threading.Event()

    def give_up() -> None:
        late.set()
        _kill(process)

    clock = threading.Timer(seconds, give_up)
    complaint: collections.deque[str] = collections.deque(maxlen=20)
    listener = threading.Thread(target=_listen, args=(process, complaint, heard), daemon=True)
    clock.start()
    listener.start()
    try:
        assert process.stdout
        with process.stdout:
            said = process.stdout.read()
        process.wait()
        listener.join()
    finally:
        clock.cancel()
        if process.poll() is None:  # the caller was interrupted
            _kill(process)
            process.wait()
    if late.is_set():
        raise NoAnswer(
            f"No answer came within {seconds:.0f} seconds, so it was given up. Try again later.", is_late=True
        )
    lines = said.splitlines()
    try:
        answer = json.loads(lines[-1])
    except (IndexError, ValueError):
        answer = None
    if not isinstance(answer, dict):
        last_words = complaint[-1] if complaint else "it said nothing"
        raise NoAnswer(_death(process.returncode, last_words), last_words)
    if refused and "error" in answer:
        raise refused(str(answer["error"]))
    return answer


def _listen(process: subprocess.Popen[str], complaint: collections.deque[str], heard: Callable[[str], None]) -> None:
    assert process.stderr
    with process.stderr:
        for line in process.stderr:
            if line.strip():
                complaint.append(line.strip())
                heard(line.strip())


def _kill(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):  # it ended just now
        os.killpg(process.pid, signal.SIGKILL)


def _death(code: int, last_words: str) -> str:
    if code == -signal.SIGKILL:
        return "The process was ended from outside, usually because the memory ran out. Use a smaller model."
    return (
        f"The process that works on the file stopped without an answer ({last_words[:300]}). The file may be damaged."
    )
