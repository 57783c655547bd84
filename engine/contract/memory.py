"""How much memory is left for a run, as both sides see it. Python 3.6, standard library only.

On a board the CPU and the GPU share it. What a run takes is measured by `python -m benchmarks memory`.
"""

import os
from typing import Optional

# What a run of the usual kinds gets, and what the classifier makes room for: bytes. 1.5e9 was the most that one took.
RUN = 2 * 10**9


def available(root: str = "/") -> Optional[int]:
    """Bytes that a new process may take: of the machine, and of the container that this process may not leave.

    None where the system does not tell. What the kernel keeps only as copies of files counts as free. `root`: where
    proc/ and sys/ lie, for tests.
    """
    found = _machines(root)
    for folder, limit_file, used_file, files in (
        ("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
        ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        place = os.path.join(root, folder)
        limit, used = _number(os.path.join(place, limit_file)), _number(os.path.join(place, used_file))
        if limit is None or used is None:
            continue
        left = max(0, limit - used + (_row(os.path.join(place, "memory.stat"), files) or 0))
        found = left if found is None else min(found, left)
    return found


def _machines(root: str) -> Optional[int]:
    kilobytes = _row(os.path.join(root, "proc/meminfo"), "MemAvailable:")
    return None if kilobytes is None else kilobytes * 1024


def _row(path: str, name: str) -> Optional[int]:
    """The number behind `name` in a file of names and numbers."""
    try:
        with open(path) as file:
            rows = [line.split() for line in file]
        return next((int(row[1]) for row in rows if row[:1] == [name]), None)
    except (OSError, ValueError, IndexError):
        return None


def _number(path: str) -> Optional[int]:
    try:
        with open(path) as file:
            return int(file.read())
    except (OSError, ValueError):  # not there, or "max"
        return None
