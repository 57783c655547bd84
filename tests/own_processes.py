"""The processes that this one has started, for tests that look for one of theirs among them."""

import contextlib
from collections.abc import Iterator

import psutil


def children() -> Iterator[tuple[psutil.Process, list[str]]]:
    """The living ones, with their command lines."""
    for process in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):  # a zombie that nobody has asked for is one too
            yield process, process.cmdline()
