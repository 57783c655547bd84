"""One run of any kind, redrawn until it ends: state, stages, time left, how it ended, and its kind's results."""

import os
import time
from typing import Literal

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from engine import runs
from engine.contract import events, kinds, memory
from engine.errors import EngineError, RunNotFound
from engine.kinds import settings as run_settings
from engine.words import age, duration
from ui import copied_settings, lab, parts, reports, rooms
from ui.choices import foresight
from ui.machine import machine_tab

Colour = Literal["blue", "green", "red", "gray"]
BADGES: dict[str, tuple[str, str, Colour]] = {  # by state: word, icon, colour
    events.QUEUED: ("Queued", ":material/hourglass_empty:", "gray"),
    events.RUNNING: ("Running", ":material/play_arrow:", "blue"),
    events.DONE: ("Done", ":material/check:", "green"),
    events.FAILED: ("Failed", ":material/error:", "red"),
    events.CANCELLED: ("Cancelled", ":material/stop_circle:", "gray"),
    events.LOST: ("Lost", ":material/error:", "red"),
}
REFRESH_SECONDS = 0.5


def show(run_id: str) -> None:
    """The run with everything it has; redraws itself twice a second until the run ends. Raises RunNotFound."""
    run = lab.open_run(run_id)
    was_active = run.is_active

    def live() -> None:
        run = lab.open_run(run_id)
        if was_active and not run.is_active:
            st.rerun()  # the form comes back, the tables fill
        _draw(run)

    st.fragment(live, run_every=REFRESH_SECONDS if was_active else None)()


def card(run_id: str) -> None:
    """The panel alone, for Home; redraws itself while the run goes on."""

    def live() -> None:
        run = lab.open_run(run_id)
        if not run.is_active:
            st.rerun()
        _panel(run)

    st.fragment(live, run_every=REFRESH_SECONDS)()


def progress(run: runs.Run, now: float) -> tuple[float, str]:
    """How much of its stage a running run has done, 0..1, and "Training · 46 s left"; (0, "") before the first."""
    if not run.story.stages:
        return 0.0, ""
    stage = run.story.stages[-1]
    return parts.share(stage), f"{stage.name} · {_kind(run).time_left(run, now)}"


def _draw(run: runs.Run) -> None:
    _panel(run)
    _ending(run)
    for warning in run.story.warnings:
        st.warning(warning.message, icon=":material/info:")
    _kind(run).show(run)


def _kind(run: runs.Run) -> rooms.Results:
    return rooms.results(run.kind)


# --- the place of the form -------------------------------------------------------------------------------------------


def find(run_id: str, page: str) -> tuple[runs.Run | None, str]:
    """The run of a page's address and the sentence of what is wrong with it; goes to the page where it belongs."""
    if not run_id:
        return None, ""
    try:
        run = lab.open_run(run_id)
    except RunNotFound as error:
        return None, str(error)
    if rooms.page_of(run.kind) != page:
        st.switch_page(rooms.page_of(run.kind), query_params={"run": run.id})
    return run, ""


def form_place(run: runs.Run | None) -> DeltaGenerator | None:
    """Where the form goes; None beside a run, whose settings stand there instead."""
    folded = lab.is_phone()
    if run is None:
        place = st.expander("New run", expanded=True) if folded else st.container(border=True, key="form")
        with place:
            foresight.warn_of(memory.RUN)
            foresight.warn_of_full_disk()
        return place
    place = st.expander("Settings of this run") if folded else st.container(border=True, gap="small", key="this_run")
    with place:
        if not folded:
            st.markdown("**This run**")
        parts.settings_table(run_settings.rows(run))
        if kinds.KINDS[run.kind].form:
            _copy_settings(run)
        st.button("New run", key="new_run", width="stretch", icon=":material/add:", on_click=forget_run)
        if run.is_active:
            st.caption("A further run lines up behind this one.")
    return None


def _copy_settings(run: runs.Run) -> None:
    if not st.button("Copy settings", key="copy_settings", width="stretch", icon=":material/content_copy:"):
        return
    try:
        page, query = copied_settings.fill(run)
    except EngineError as error:
        st.error(str(error), icon=":material/error:")
    else:
        forget_run()
        st.switch_page(page, query_params=query)


def forget_run() -> None:
    """Show the form and what it chooses instead of a run."""
    st.query_params.pop("run", None)
    st.query_params.pop("compare", None)


# --- the card at the top ---------------------------------------------------------------------------------------------


def _panel(run: runs.Run) -> None:
    word, icon, colour = BADGES[run.state]
    with st.container(border=True, gap="small", key="run_panel"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            with st.container(horizontal=True, vertical_alignment="center", width="content", gap="small"):
                st.badge(word, icon=icon, color=colour)
                st.markdown(f"**{run.title}**", width="content")
                st.markdown(f":gray[{_note(run)}]", width="content")
            if run.is_active:
                st.button(
                    "Cancel",
                    key="cancel",
                    icon=":material/stop:",
                    on_click=_cancel,
                    args=(run.id,),
                    disabled=run.cancel_asked,
                )
            elif run.state == events.DONE and (contents := _kind(run).CONTENTS):
                _download(run, contents)
        if run.state == events.RUNNING and run.story.stages:
            _bars(run)
        elif not run.is_active:
            _for_others(run)


def _for_others(run: runs.Run) -> None:
    """Of a run that has ended: where its time went, and the ways to show it."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        if run.story.stages:
            st.caption(stage_line(run), width="content")
        with st.container(horizontal=True, width="content", vertical_alignment="center", gap="small"):
            reports.present_link([run.id])
            reports.of_runs([run.id], tertiary=True)


def _download(run: runs.Run, contents: str) -> None:
    st.download_button(
        "Download",
        data=lambda: runs.zip_artifacts(run),  # made when it is asked for
        file_name=f"{run.id}.zip",
        mime="application/zip",
        key="download",
        icon=":material/download:",
        type="tertiary",
        on_click="ignore",
        help=contents,
    )


def _cancel(run_id: str) -> None:
    lab.queue().cancel(run_id)


def _note(run: runs.Run) -> str:
    """The quiet words beside the run's name: how long it takes, took, or has to wait."""
    now = time.time()
    if run.is_active and run.cancel_asked:
        return "stopping"
    if run.state == events.QUEUED:
        ahead = lab.queue().ahead(run.id)
        if not ahead:
            return "starting"
        try:
            first = runs.open_run(lab.home(), ahead[0]).title
        except EngineError:
            return f"number {len(ahead) + 1} in line"
        return f"number {len(ahead) + 1} in line, behind {first}"
    if run.state == events.RUNNING:
        return _kind(run).note(run, now) if run.story.stages else "starting"
    if not run.stages:
        return _ago(run, now)
    took = duration(run.seconds) if run.seconds is not None else ""
    if run.state == events.DONE:
        return f"{took} in total · finished {_ago(run, now)}"
    if run.state == events.CANCELLED:
        return f"you stopped it after {took}" if took else "you stopped it before its turn"
    return f"stopped after {took} · {_ago(run, now)}" if took else f"stopped before its turn · {_ago(run, now)}"


def _ago(run: runs.Run, now: float) -> str:
    passed = age(run.story.last_t, now)
    return "just now" if passed == "now" else passed


def _bars(run: runs.Run) -> None:
    begun = {stage.name: stage for stage in run.story.stages}
    current = run.story.stages[-1]
    if lab.is_phone():
        st.progress(parts.share(current), text=_bar_words(current))
        names = [f"**{name}**" if name == current.name else name for name in run.stages]
        st.caption(" → ".join(names))
        return
    for column, name in zip(st.columns(len(run.stages), gap="small"), run.stages, strict=True):
        with column:
            if name in begun:
                st.progress(parts.share(begun[name]), text=_bar_words(begun[name]))
            else:
                st.progress(0.0, text=f":gray[{name}]")


def _bar_words(stage: runs.StageStory) -> str:
    if stage.ended is not None:
        return f"{stage.name} {duration(stage.ended - stage.began)}"
    if not stage.total:
        return f"**{stage.name}**"
    return f"**{stage.name}** {stage.done:,} / {stage.total:,}"


def stage_line(run: runs.Run) -> str:
    """ "Scanning 1 s → Bottlenecks 41 s → Training stopped at 1,480 / 4,000", ending where the run did."""
    parts = []
    for stage in run.story.stages:
        is_last = stage is run.story.stages[-1]
        if is_last and run.state != events.DONE:
            at = f" at {stage.done:,} / {stage.total:,}" if stage.total else ""
            parts.append(f"{stage.name} stopped{at}")
        else:
            parts.append(f"{stage.name} {duration((stage.ended or run.story.last_t) - stage.began)}")
    return " → ".join(parts)


# --- how it ended -----------------------------------------------------------------------------------------------------


def _ending(run: runs.Run) -> None:
    if run.state == events.FAILED:
        error = run.story.error
        if error:
            st.error(f"**{error.message}** {error.hint}", icon=":material/error:")
        else:
            st.error("**The run failed and did not say why.** Its log has the last lines.", icon=":material/error:")
        _again(run, "primary")
        machine_tab.show_memory(run)
        if tail := run.log_tail(12):
            st.code(tail, language=None, wrap_lines=True)
    elif run.state == events.LOST:
        st.error(
            "**The worker died without a word.** It was killed, ran out of memory, or the machine lost its power. "
            + _kind(run).LOST,
            icon=":material/error:",
        )
        _again(run, "primary")
        machine_tab.show_memory(run)
        if tail := run.log_tail(12):
            st.code(tail, language=None, wrap_lines=True)
    elif run.state == events.CANCELLED:
        with st.container(horizontal=True, gap="small"):
            _again(run, "secondary")
            if os.path.isfile(run.folder.labels) and (contents := _kind(run).CONTENTS_CANCELLED):
                _download(run, contents)


def _again(run: runs.Run, kind: Literal["primary", "secondary"]) -> None:
    if st.button("Start again with these settings", key="again", type=kind, icon=":material/replay:"):
        try:
            st.query_params["run"] = lab.queue().start(run.spec, run.dataset if run.has_dataset else None)
        except EngineError as error:
            st.error(str(error))
        else:
            st.rerun()
