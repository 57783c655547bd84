"""Free the memory that the kernel keeps copies of files in: on a board, CPU and GPU share what is left.

Only root may, and only where /proc/sys is writable, which it is not in an ordinary container: scripts/flush_buffers.sh
does the same on the host.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import psutil

from engine.errors import EngineError

DROP_CACHES = Path("/proc/sys/vm/drop_caches")
ALL = "3\n"  # file contents, and what is known of folders


@dataclass(frozen=True)
class Freed:
    """Bytes free for anything, without what the kernel would give back by itself."""

    before: int
    after: int


def can_be_freed(path: Path = DROP_CACHES) -> bool:
    return os.access(path, os.W_OK)


def free(path: Path = DROP_CACHES) -> Freed:
    """Nothing is lost: what is not on disk yet is written first. Raises EngineError."""
    before = psutil.virtual_memory().free
    os.sync()
    try:
        path.write_text(ALL)
    except OSError as error:
        raise EngineError(
            f"The buffers cannot be freed from here: {error.strerror}. Run scripts/flush_buffers.sh on the host."
        ) from error
    return Freed(before, psutil.virtual_memory().free)
