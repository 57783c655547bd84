"""Whether a value read from JSON fits the annotation of a record's field: what lies in a folder may come from anywhere.

Whole numbers and others stand for each other, as JSON has it. Python 3.6, standard library only.
"""

import base64
from typing import Any, Dict, List, Optional, Tuple, Union

LARGEST = 1e100  # of a whole number: no count or size of the lab comes near it
INFINITE = float("inf")


def misfit(record: Any, values: Dict[str, Any]) -> str:
    """The first field of a NamedTuple class whose value does not fit its annotation; "" where all do."""
    for name, kind in record.__annotations__.items():
        if name in values and not fits(values[name], kind):
            return str(name)
    return ""


def from_json(record: Any, values: Dict[str, Any]) -> Dict[str, Any]:
    """The fields of a NamedTuple class among what was read from JSON, with the tuples, records and bytes that they are.

    What fits no annotation is left as it is. Raises KeyError where a tuple is missing, TypeError where a record in a
    list lacks a field, and ValueError where bytes are no base64.
    """
    kinds = record.__annotations__
    named = [name for name in kinds if name in values or _is_tuple(kinds[name])]
    return {name: _of_kind(values[name], kinds[name]) for name in named}


def _of_kind(value: Any, kind: Any) -> Any:
    if hasattr(kind, "_fields") and isinstance(value, dict):
        return kind(**from_json(kind, value))
    if _is_tuple(kind) and isinstance(value, list):
        return tuple(_of_kind(each, kind.__args__[0]) for each in value)
    if _is_list(kind) and isinstance(value, list):
        return [_of_kind(each, kind.__args__[0]) for each in value]
    if kind is bytes and isinstance(value, str):
        return base64.b64decode(value, validate=True)
    return value


def _is_tuple(kind: Any) -> bool:
    return getattr(kind, "__origin__", None) in (tuple, Tuple)


def _is_list(kind: Any) -> bool:
    return getattr(kind, "__origin__", None) in (list, List)


def fits(value: Any, kind: Any) -> bool:
    """Of the annotations that the contract uses.

    bool, int, float, str, bytes, List, Tuple[X, ...], Optional, NamedTuples.
    """
    if kind is Any:
        return True
    if kind in (int, float):
        return _is_number(value)
    if kind is bool:
        return type(value) is bool or (type(value) is int and value in (0, 1))
    if kind in (str, bytes):
        return type(value) is kind
    if hasattr(kind, "_fields"):
        return isinstance(value, kind) and not misfit(kind, value._asdict())
    if kind is type(None):
        return value is None
    origin = getattr(kind, "__origin__", None)
    if origin is Union:
        return any(fits(value, each) for each in kind.__args__)
    if _is_list(kind) or _is_tuple(kind):
        return isinstance(value, (list, tuple)) and _all_fit(value, kind.__args__[0])
    raise TypeError(f"the contract has no annotation like {kind}")


def _all_fit(values: Any, kind: Any) -> bool:
    """Fast for the long lists of numbers that curves are."""
    if kind == Optional[float]:
        values, kind = [value for value in values if value is not None], float
    if kind in (int, float):
        return all(map(_is_number, values))
    return all(fits(value, kind) for value in values)


def _is_number(value: Any) -> bool:
    """Finite, and no bool. A loss may be as large as a float can be."""
    if type(value) is float:
        return abs(value) < INFINITE  # False for NaN too
    return type(value) is int and abs(value) < LARGEST
