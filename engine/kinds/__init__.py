"""The kinds of run, as the dashboard and the command line know them: a room for each, and what their views share."""

import functools
import importlib
from typing import TYPE_CHECKING, Any

from engine.contract import kinds

if TYPE_CHECKING:
    from engine.kinds.kind import Kind
    from engine.runs import Run


@functools.cache
def named(name: str) -> "Kind[Any]":
    """The kind of that name. Raises KeyError for one that this version does not know."""
    found: Kind[Any] = importlib.import_module(kinds.KINDS[name].engine).KIND(name)
    return found


def of(run: "Run[Any]") -> "Kind[Any]":
    return named(run.kind)
