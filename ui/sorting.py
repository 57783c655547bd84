"""Tables that sort as what they show: by numbers where a column's words stand for some."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from engine.words import Amount


def by_number(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Rows for st.dataframe. Columns of engine.words.Amount hold their numbers and show their words.

    What is no Amount in such a column has no number and is shown as missing.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = {name: [row.get(name) for row in rows] for name in columns}
    amounts = [name for name in columns if any(isinstance(cell, Amount) for cell in cells[name])]
    if not amounts:
        return rows
    frame = pd.DataFrame({name: _numbers(cells[name]) if name in amounts else cells[name] for name in columns})
    shown = frame.style
    for name in amounts:
        known = {cell.number: str(cell) for cell in cells[name] if isinstance(cell, Amount)}
        shown.format(functools.partial(_known, known), subset=[name], na_rep="")
        for place, cell in enumerate(cells[name]):  # the same number in other words, like another interval
            if isinstance(cell, Amount) and known[cell.number] != cell:
                shown.format(functools.partial(_words, cell), subset=pd.IndexSlice[[place], [name]])
    return shown


def _known(words: Mapping[float, str], number: object) -> str:
    return words[number] if isinstance(number, float) else ""


def _words(cell: Amount, number: object) -> str:
    return str(cell)


def _numbers(cells: Sequence[Any]) -> pd.Series:
    return pd.Series([cell.number if isinstance(cell, Amount) else None for cell in cells], dtype="float64")
