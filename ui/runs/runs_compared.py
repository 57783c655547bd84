"""Two to six runs beside each other: verdict, curves, figures, where the time went, and what differs in settings."""

import base64
import os
from collections.abc import Mapping, Sequence

import streamlit as st

from engine import kinds, runs
from engine.charts import time_charts
from engine.contract import events
from engine.contract.run_folder import LabHome
from engine.errors import RunNotFound
from engine.kinds import compared
from engine.kinds import settings as run_settings
from engine.kinds.compared import FEWEST, MOST, Side
from engine.words import Amount, count, duration, join, number, plain
from ui import compared_curves, lab, parts, rooms, sorting
from ui.run_panel import BADGES

HEIGHT = 300  # pixels of a chart


def show(asked: str) -> None:
    """`asked`: ids of the runs, with commas between, in the order of their colours."""
    ids = list(dict.fromkeys(filter(None, (each.strip() for each in asked.split(",")))))
    if len(ids) > MOST:
        st.warning(f"{len(ids):,} runs were asked for; the first {MOST} are shown.", icon=":material/info:")
    found = _found(ids[:MOST])
    if len(found) < FEWEST:
        st.markdown("**A comparison takes two to six runs.** Choose them in the list of all runs.")
        return
    sides = compared.sides(found)
    said = compared.verdict(sides)
    st.markdown(f"**{plain(said.conclusion)}** {plain(said.reasons)}")
    _curves(sides)
    parts.tabs(
        {
            "Results": lambda: _results(sides),
            "Where the time went": lambda: _stages(sides),
            "Settings": lambda: _settings(sides),
        },
        "compared_tabs",
    )


def _found(ids: Sequence[str]) -> list[runs.Run]:
    """Those that can be read; says which cannot."""
    found, missing = [], []
    for run_id in ids:
        try:
            found.append(_run(run_id))
        except (RunNotFound, OSError):
            missing.append(run_id)
    if missing:
        st.error(
            f"There {'is no run' if len(missing) == 1 else 'are no runs'} {plain(join(missing))}. "
            f"{'It' if len(missing) == 1 else 'They'} may have been deleted; the others are shown.",
            icon=":material/error:",
        )
    return found


def _run(run_id: str) -> runs.Run:
    """Raises RunNotFound and OSError."""
    stamp = os.stat(lab.home().run(os.path.basename(run_id)).events)
    run = _read(lab.home().path, run_id, stamp.st_size, stamp.st_mtime_ns)
    return run if run.state in events.FINAL else runs.open_run(lab.home(), run_id)


@st.cache_resource(max_entries=24, show_spinner=False)
def _read(home_path: str, run_id: str, size: int, changed: int) -> runs.Run:
    """Read once for all visitors; nobody changes it. `size` and `changed` of its events are part of the key."""
    return runs.open_run(LabHome(home_path), run_id)


# --- curves ----------------------------------------------------------------------------------------------------------


def _curves(sides: Sequence[Side]) -> None:
    """A chart for each kind of run that has curves, in the way of the kind."""
    groups = compared.by_kind(sides)
    own = [group for group in groups if rooms.comparison(group[0].run.kind)]
    alike = [group for group in groups if group not in own and group[0].run.lanes]
    drawn = [*alike, *own]
    if len(drawn) > 1:
        titles = join([kinds.of(group[0].run).title for group in drawn])
        st.caption(f"Curves of different kinds are drawn apart: {titles}. A run has the same colour everywhere.")
    names = [side.name for side in sides]
    if alike:
        with st.container(horizontal=True, gap="small", key="chart_controls"):
            controls = parts.curve_controls(max(map(len, alike)))
        for group in alike:
            compared_curves.lines(group, names, *controls)
    for group in own:
        if draw := rooms.comparison(group[0].run.kind):
            draw(group, names)


# --- tabs ------------------------------------------------------------------------------------------------------------


def _results(sides: Sequence[Side]) -> None:
    st.caption("Each run by the lane that it kept, or that is best by validation. Test figures are never chosen by.")
    table = [
        {
            "Colour": _square(side.number),
            "Run": f"{side.number + 1} · {side.run.title}",
            "Lane": side.run.titles.get(side.lane) if side.lane else None,
            "State": BADGES[side.run.state][0],
            "Validation": None if side.validation is None else compared.in_words(side.validation, _n(side)),
            "Test accuracy": Amount(side.tested.accuracy, str(side.tested)) if side.tested else None,
            "Tested": number(side.tested.n) if side.tested else None,
            "Time": None if side.run.seconds is None or not side.run.stages else duration(side.run.seconds),
            "Device": side.run.spec.device.upper() or None,
        }
        for side in sides
    ]
    right = {name: st.column_config.Column(alignment="right") for name in ("Validation", "Tested", "Time")}
    st.dataframe(
        sorting.by_number(table),
        hide_index=True,
        height="content",
        placeholder="–",
        column_config=right
        | {
            "Colour": st.column_config.ImageColumn("", width=34),
            "Test accuracy": st.column_config.Column(alignment="right", help="With its 95 % Wilson interval"),
            "Tested": st.column_config.Column(alignment="right", help="Pictures of the test"),
        },
        key="compared_table",
        alt="; ".join(_in_words(row) for row in table) + ".",
    )
    with st.container(horizontal=True, gap="small", key="open_compared"):
        for side in sides:
            st.page_link(
                rooms.page_of(side.run.kind),
                label=f"Open {side.number + 1}",
                icon=":material/open_in_new:",
                query_params={"run": side.run.id},
            )


def _in_words(row: Mapping[str, str | None]) -> str:
    return f"{row['Run']}: validation {row['Validation'] or 'unknown'}, test {row['Test accuracy'] or 'unknown'}"


def _n(side: Side) -> int:
    return side.tested.n if side.tested else 0


def _square(number: int) -> str:
    """The colour of a run, as a picture."""
    drawing = parts.colour_square(number, margin=5)
    return f"data:image/svg+xml;base64,{base64.b64encode(drawing.encode()).decode()}"


def _stages(sides: Sequence[Side]) -> None:
    bars = [parts.stage_bar(side.run, side.name) for side in sides]
    shown = [bar for bar in bars if bar.stages]
    if not shown:
        st.caption("None of these runs has begun its first stage.")
        return
    chart = time_charts.stage_bars(shown, lab.is_dark(), lab.is_phone())
    st.vega_lite_chart(chart, width="stretch", key="compared_stages", alt=time_charts.stages_in_words(shown))
    inside = [f"{plain(bar.name)}: {bar.inside}" for bar in shown if bar.inside]
    if inside:
        st.caption(f"{parts.INSIDE}. {'; '.join(inside)}.")
    without = [side.name for side, bar in zip(sides, bars, strict=True) if not bar.stages]
    if without:
        st.caption(f"Without stages: {plain(join(without))}.")


def _settings(sides: Sequence[Side]) -> None:
    found = compared.settings([_settings_of(side.run) for side in sides])
    apart = [setting for setting in found if setting.differs]
    alike = [setting for setting in found if not setting.differs]
    if not apart:
        st.markdown("**All settings are the same.**")
    else:
        differ = "differs" if len(apart) == 1 else "differ"
        st.markdown(f"**{count(len(apart), 'setting')} {differ}**; ≠ marks what is not as in 1.")
        table = [
            {"Setting": setting.name}
            | {side.name: _marked(value, setting.values[0]) for side, value in zip(sides, setting.values, strict=True)}
            for setting in apart
        ]
        # No st.table: as wide as this, it would scroll where no keyboard reaches it.
        st.dataframe(
            sorting.by_number(table),
            hide_index=True,
            height="content",
            key="settings_apart",
            alt="; ".join(f"{row['Setting']}: {join(list(row.values())[1:])}" for row in table) + ".",
        )
    if alike:
        st.markdown(f"**{count(len(alike), 'setting')} the same in all**")
        parts.settings_table({setting.name: plain(setting.values[0] or "–") for setting in alike})


def _settings_of(run: runs.Run) -> dict[str, str]:
    rows = run_settings.everything(run)
    # One row for the rates of single runs and of races.
    names = {"Learning rates": "Learning rate"}
    return {names.get(name, name): value for name, value in rows.items() if name != "Run"}


def _marked(value: str | None, first: str | None) -> str:
    words = "–" if value is None else value
    return words if value == first else f"≠ {words}"
