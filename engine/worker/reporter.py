"""What a story tells the outside while it goes on. Python 3.6."""

import errno
import os
import time
import traceback
from typing import Any, Callable, Tuple

from engine.contract import events
from engine.contract.run_folder import RunFolder

DONE, FAILED, AGAIN, CANCELLED = 0, 1, 3, 130  # exit codes of a process that tells a story
GPU_GONE = ("CUDA_ERROR", "CUDA error", "CUDNN_STATUS", "CUBLAS_STATUS")  # words of the driver in TensorFlow's errors
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # no space, quota used up, larger than a file may be


class RunFailed(Exception):
    """A run that cannot go on, in words for the visitor: what happened, and what to do."""

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.code, self.message, self.hint = code, message, hint


class RunCancelled(Exception):
    """Somebody asked the run to stop."""


class RunEnded(Exception):
    """The run failed, and whoever told its story has said why."""


class Reporter:
    """Appends events to one run's folder and knows whether somebody asked it to stop."""

    def __init__(self, folder: RunFolder, clock: Callable[[], float] = time.time) -> None:
        self.folder, self.clock = folder, clock

    def tell(self, record: Any, **fields: Any) -> None:
        """Append one event of that kind, now."""
        events.append(self.folder.events, record(t=self.clock(), **fields))

    def stage(self, name: str, total: int) -> None:
        if self.stop():
            raise RunCancelled()
        self.tell(events.Stage, name=name, total=total)

    def progress(self, done: int) -> None:
        self.tell(events.Progress, done=done)

    def stop(self) -> bool:
        return os.path.exists(self.folder.cancel)

    def fail(self, error: Exception) -> None:
        """Say why the run cannot go on: in words for the visitor, with the traceback in log.txt."""
        if isinstance(error, RunFailed):
            self.tell(events.Error, code=error.code, message=error.message, hint=error.hint)
            return
        traceback.print_exception(type(error), error, error.__traceback__)
        code, message, hint = _in_words(error)
        self.tell(events.Error, code=code, message=message, hint=hint)


def is_out_of_memory(error: BaseException) -> bool:
    """Python's own error, or TensorFlow's, which is not imported for this."""
    return isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"


def _in_words(error: Exception) -> Tuple[str, str, str]:
    """(code, message, hint) of what no part of the story expected."""
    number = getattr(error, "errno", None)
    # TensorFlow has no error of its own for this: only the text tells.
    if number in DISK_FULL or any(os.strerror(full) in str(error) for full in DISK_FULL):
        return (
            "disk_full",
            "The disk is full.",
            "Free some space and start again; the bottlenecks computed so far are kept, so it will be quick.",
        )
    if is_out_of_memory(error):
        return (
            "out_of_memory",
            "The machine ran out of memory.",
            "Close other programs, or take a smaller backbone or batch size, and start again.",
        )
    if any(words in str(error) for words in GPU_GONE):
        return (
            "gpu_gone",
            "The GPU stopped answering during the run: {}".format((str(error).splitlines() or [""])[0]),
            "Start the run on the CPU, or again once the machine was restarted; the log has the driver's own words.",
        )
    return (
        "unexpected",
        "The run stopped at an error that the lab did not expect: {}: {}".format(
            type(error).__name__, (str(error).splitlines() or [""])[0]
        ),
        "The log has the details.",
    )
