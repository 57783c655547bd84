"""Runs as a table, on Home and on Runs."""

import time
from collections.abc import Sequence
from typing import Any

import streamlit as st

from engine.contract import events, hardware
from engine.kinds.rows import RunRow
from engine.words import age, duration, percent
from ui import lab, sorting
from ui.run_panel import BADGES

# Behind the words of states; the table chooses black or white for the words itself.
STATE_COLOURS = {
    False: {"blue": "#dbe6fb", "green": "#d9efe6", "red": "#fae0e3", "gray": "#e6e9ee"},
    True: {"blue": "#1b3357", "green": "#173d2d", "red": "#4d2529", "gray": "#2c313a"},
}


def recent_runs(rows: Sequence[RunRow]) -> RunRow | None:
    """Draw the narrow table of Home and return the row of which a cell was clicked."""
    event = st.dataframe(**_table(rows, wide=False), key="recent_runs", on_select="rerun", selection_mode="single-cell")
    picked = [row for row, _ in event.selection.cells]
    return rows[picked[0]] if picked and picked[0] < len(rows) else None


def choose_runs(rows: Sequence[RunRow]) -> list[RunRow]:
    """Draw the wide table with a column of boxes and return the chosen rows, in its order.

    A browser says which places of the table are chosen. They are read as the runs that it showed there, whatever has
    been started, deleted or filtered out since: another list of runs becomes another table, and the choice moves on.
    """
    ids = [row.id for row in rows]
    number, shown, chosen = st.session_state.get("_runs_shown", (0, [], []))
    if ids != shown:
        before = st.session_state.get(f"runs_table_{number}")
        if before is not None:
            chosen = [shown[place] for place in before["selection"]["rows"] if place < len(shown)]
        chosen = [each for each in chosen if each in ids]
        number += 1
    event = st.dataframe(
        **_table(rows, wide=True),
        key=f"runs_table_{number}",
        on_select="rerun",
        selection_mode="multi-row",
        selection_default={"selection": {"rows": [ids.index(each) for each in chosen]}},
    )
    picked = [rows[place] for place in sorted(event.selection.rows) if place < len(rows)]
    # The choice is there again when the visitor comes back from a comparison.
    st.session_state["_runs_shown"] = (number, ids, [row.id for row in picked])
    return picked


def _table(rows: Sequence[RunRow], wide: bool) -> dict[str, Any]:
    """What st.dataframe takes for both."""
    now, here = time.time(), hardware.here()
    devices = [_device(row, here) for row in rows]
    table = [
        {
            "Status": [BADGES[row.state][0]],
            "Run": row.title,
            "Device": device,
            "Val. acc.": None if row.validation is None else percent(row.validation),
            "Test acc.": None if row.accuracy is None else percent(row.accuracy),
            "Curve": row.curve or None,
            "Time": None if row.seconds is None else duration(row.seconds),
            "Started": age(row.started, now),
        }
        for row, device in zip(rows, devices, strict=True)
    ]
    if not wide:
        for line in table:
            del line["Test acc."]
    words = [word for word, _, _ in BADGES.values()]
    colours = [STATE_COLOURS[lab.is_dark()][colour] for _, _, colour in BADGES.values()]
    return {
        "data": sorting.by_number(table),
        "hide_index": True,
        "height": "content" if len(table) <= 12 else 470,
        "placeholder": "–",
        "column_config": {
            "Status": st.column_config.MultiselectColumn(options=words, color=colours, width=86),
            "Run": st.column_config.TextColumn(width=None if wide else 242),
            "Device": st.column_config.TextColumn(width=None if any("," in each for each in devices) else 58),
            "Val. acc.": _right(68),
            "Test acc.": _right(68),
            "Curve": st.column_config.LineChartColumn(y_min=0.5, y_max=1.0, width=88),
            "Time": _right(64),
            "Started": _right(84),
        },
        "alt": f"{len(rows)} runs; the newest is {rows[0].title}, {BADGES[rows[0].state][0].lower()}.",
    }


def _right(width: int) -> Any:
    return st.column_config.Column(alignment="right", width=width)


def _device(row: RunRow, here: events.Hardware) -> str:
    """With its machine, where the folder of the run came from another one: "CPU, Jetson TX2"."""
    found = row.hardware
    return row.device if found is None or hardware.is_same(found, here) else f"{row.device}, {hardware.short(found)}"
