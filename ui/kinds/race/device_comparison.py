"""CPU against GPU, or one thread against all: two runs that differ in nothing else, beside each other."""

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from engine import runs
from engine.charts import curve_charts, time_charts
from engine.contract import events
from engine.contract.dataset import Dataset
from engine.contract.events import Predicted
from engine.contract.kinds.race import RaceSpec
from engine.errors import EngineError, RunNotFound
from engine.kinds import curve_lines
from engine.kinds.race import device_comparison as comparison
from engine.kinds.race import tables
from engine.kinds.race.device_comparison import Half
from engine.words import duration, percent
from ui import lab, parts, run_panel, sorting

REFRESH_SECONDS = 1.0
WITHOUT_CACHE = "Neither run reads or keeps bottlenecks, so each computes all of them."


def start(spec: RaceSpec, dataset: Dataset, predicted: Sequence[Predicted]) -> None:
    """Queue both halves and make their comparison the page's address; the sentence of what is wrong otherwise."""
    found = lab.devices()
    if found is None:
        return
    halves = comparison.halves_to_start(spec, found)
    try:
        for number, half in enumerate(halves):
            lab.queue().start(half, dataset, *predicted[number : number + 1])
    except EngineError as error:
        st.error(str(error), icon=":material/error:")
    else:
        st.query_params.from_dict({"compare": halves[0].group})
        st.rerun()


def group_of(address: str) -> tuple[list[runs.Run], str]:
    """The runs that an address compares, and the sentence of what is wrong with it."""
    if not address:
        return [], ""
    remembered = st.session_state.setdefault("_compared", {})  # each session reads on from where it stopped
    ids = [row.id for row in lab.rows() if row.group == address]
    found = []
    for run_id in ids:
        try:
            if run_id not in remembered:
                remembered[run_id] = runs.open_run(lab.home(), run_id)
            found.append(remembered[run_id].refresh())
        except (RunNotFound, OSError):  # deleted just now
            remembered.pop(run_id, None)
    if not found:
        return [], f"There is no comparison {address!r}. Its runs may have been deleted."
    return found, ""


def show(address: str) -> None:
    """The comparison; redraws itself until both halves have ended."""
    group, _ = group_of(address)
    was_active = any(run.is_active for run in group)

    def live() -> None:
        group, missing = group_of(address)
        if missing or (was_active and not any(run.is_active for run in group)):
            st.rerun()  # the form comes back
        _draw(comparison.halves(group))

    st.fragment(live, run_every=REFRESH_SECONDS if was_active else None)()


def _draw(halves: Sequence[Half]) -> None:
    _cards(halves)
    said = comparison.verdict(halves)
    st.markdown(f"**{said.conclusion}** {said.reasons}")
    begun = [half for half in halves if half.run.stage_seconds]
    if begun:
        bars = [parts.stage_bar(half.run, half.name) for half in begun]
        chart = time_charts.stage_bars(bars, lab.is_dark(), lab.is_phone())
        st.vega_lite_chart(chart, width="stretch", key="compared_stages", alt=time_charts.stages_in_words(bars))
    _curves(halves)
    _table(halves)
    found = lab.devices()
    why = f" No GPU was found. {found.why_no_gpu}" if found and not found.gpus else ""
    st.caption(WITHOUT_CACHE + why)


def _cards(halves: Sequence[Half]) -> None:
    """A line for each half: its state, its page, and a button that stops it."""
    with st.container(border=True, gap="small", key="halves"):
        for half in halves:
            word, icon, colour = run_panel.BADGES[half.run.state]
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.badge(word, icon=icon, color=colour)
                st.page_link("pages/retraining.py", label=half.run.title, query_params={"run": half.run.id})
                st.markdown(f":gray[{_note(half.run)}]", width="content")
                if half.run.is_active:
                    st.button(
                        "Cancel",
                        key=f"cancel_{half.run.id}",
                        icon=":material/stop:",
                        on_click=lab.queue().cancel,
                        args=(half.run.id,),
                        disabled=half.run.cancel_asked,
                    )


def _note(run: runs.Run) -> str:
    if run.is_active and run.cancel_asked:
        return "stopping"
    if run.state == events.RUNNING:
        stage = run.story.stages[-1] if run.story.stages else None
        return f"{stage.name} {parts.share(stage):.0%}" if stage else "starting"
    if run.state == events.QUEUED:
        return "waits for its turn"
    return f"{duration(run.seconds)} in total" if run.seconds is not None else ""


def _curves(halves: Sequence[Half]) -> None:
    """Validation accuracy of the same lane in each half, over the seconds since the half began."""
    drawn = []
    for number, half in enumerate(halves):
        training = next((stage for stage in reversed(half.run.story.stages) if stage.name == events.TRAINING), None)
        began = half.run.story.time_of(events.RUNNING)
        lines = curve_lines.lines(
            half.run.story,
            {half.lane: half.name},
            curve_charts.VALIDATION,
            curve_charts.ACCURACY,
            curve_charts.SECONDS,
            0.6,
        )
        if lines and training and began is not None:
            before = training.began - began  # seconds until the first step
            line = replace(lines[0], number=number, x=[before + second for second in lines[0].x])
            drawn.append(line)
    if not drawn:
        return
    rates = f" at lr {halves[0].lane}" if len(halves[0].run.lanes) > 1 else ""
    st.markdown(f":small[Validation accuracy{rates}, smoothed by 0.6]")
    chart = curve_charts.curves(
        drawn,
        [half.name for half in halves],
        measure=curve_charts.ACCURACY,
        axis=curve_charts.RUN_SECONDS,
        end=max(line.x[-1] for line in drawn),
        height=230,
        dark=lab.is_dark(),
        narrow=lab.is_phone(),
    )
    active = any(half.run.is_active for half in halves)
    ends = ", ".join(f"{line.name} {percent(line.shown[-1])} after {duration(line.x[-1])}" for line in drawn)
    alt = f"Validation accuracy over the seconds of the run: {'growing as the runs go on' if active else ends}."
    st.vega_lite_chart(chart, width="stretch", key="compared_curves", alt=alt)


def _table(halves: Sequence[Half]) -> None:
    table = tables.halves(halves)
    right = {name: st.column_config.Column(alignment="right") for name in table[0] if name != "Device"}
    right["Plateau at seconds"] = st.column_config.Column(
        alignment="right", help="Of training: from there on the validation accuracy stays within 1 pt of its end."
    )
    st.dataframe(
        sorting.by_number(table),
        hide_index=True,
        height="content",
        placeholder="–",
        column_config=right,
        key="compared_table",
        alt="; ".join(
            f"{line['Device']}: {line['End to end'] or 'not done'}, {line['Photos/s'] or 'no'} photos a second"
            for line in table
        )
        + ".",
    )


def form_place(group: Sequence[runs.Run]) -> DeltaGenerator | None:
    """As run_panel.form_place, of all halves."""
    active = [run for run in group if run.is_active]
    return run_panel.form_place(active[0] if active else group[0])
