"""The tab TensorBoard of a run: starts the one TensorBoard there is for all visitors, and shows it."""

import os
from urllib.parse import urlencode

import streamlit as st

from engine import runs, tensorboard
from engine.errors import EngineError
from ui import lab

HEIGHT = 720  # pixels of the embedded view


def show(run: runs.Run) -> None:
    state = tensorboard.state(lab.home())
    if trouble := st.session_state.pop("_tensorboard_trouble", ""):
        st.error(trouble, icon=":material/error:")
    if state.state == tensorboard.READY:
        _ready(run, state.port)
    elif state.state == tensorboard.STARTING:
        st.fragment(_starting, run_every=None if run.is_active else 0.5)()
    else:
        if state.state == tensorboard.FAILED:
            st.error(f"**TensorBoard is not running.** {state.reason}", icon=":material/error:")
            if state.log:
                st.code(state.log, language=None, wrap_lines=True)
        _offer(run)


def _offer(run: runs.Run) -> None:
    if os.path.isdir(run.folder.summaries):
        st.caption("This run's curves as event files, in TensorBoard beside those of every other run.")
    elif run.is_active:
        st.caption("Event files are written from the beginning of Training on.")
    else:
        st.caption("This run has no event files: it ended before Training, or an earlier version of the lab ran it.")
    st.button("Start TensorBoard", key="start_tensorboard", icon=":material/play_arrow:", on_click=_start)


def _starting() -> None:
    if tensorboard.state(lab.home()).state != tensorboard.STARTING:
        st.rerun()
    st.status("TensorBoard is starting", state="running")


def _ready(run: runs.Run, port: int) -> None:
    asked = {"runFilter": run.id} | ({"darkMode": "true"} if lab.is_dark() else {})
    address = f"{tensorboard.PREFIX}/?{urlencode(asked)}#timeseries"
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="tensorboard_actions"):
        st.link_button("Open in a new tab", address, icon=":material/open_in_new:")
        st.button(
            "Stop",
            key="stop_tensorboard",
            icon=":material/stop:",
            on_click=_stop,
            help="Ends it for every visitor; the event files stay",
        )
        taken = "" if port == tensorboard.PORT else f", because {tensorboard.PORT} was taken"
        st.caption(f"Filtered to this run; port {port} of this machine{taken}.", width="content")
    if not lab.is_phone():  # there it has a page of its own
        st.iframe(address, height=HEIGHT, alt="TensorBoard, filtered to this run")


def _start() -> None:
    try:
        tensorboard.start(lab.load_settings())
    except EngineError as error:
        st.session_state["_tensorboard_trouble"] = str(error)


def _stop() -> None:
    tensorboard.stop(lab.home())
