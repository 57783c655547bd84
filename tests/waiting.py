"""Waiting for what another process or thread does, with an end."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(fact: Callable[[], T], seconds: float = 180) -> T:
    """The first true answer. Fails when there is none for so long; a busy machine is slow, so that is generous."""
    deadline = time.monotonic() + seconds
    while not (answer := fact()):
        assert time.monotonic() < deadline, f"it has not come true within {seconds:.0f} s"
        time.sleep(0.02)
    return answer
