"""What every page has: configuration, logo, page links, device strip, what runs now, title and purpose."""

import time
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from engine.charts import device_charts
from engine.contract import events
from engine.door import is_loopback
from engine.machine import device
from ui import lab, rooms, run_panel

IMAGES = Path(__file__).parent / "images"

PAGES = (  # file, name, icon: one question of a visitor each
    ("streamlit_app.py", "Home", ":material/home:"),
    ("pages/mnist.py", "MNIST comparison", ":material/grid_view:"),
    ("pages/retraining.py", "Retraining", ":material/local_florist:"),
    ("pages/playground.py", "Playground", ":material/image_search:"),
    ("pages/qa.py", "Q&A", ":material/quiz:"),
    ("pages/runs.py", "Runs", ":material/list_alt:"),
    ("pages/device.py", "Device", ":material/monitor_heart:"),
)


def begin(name: str, purpose: str, shown_run: str = "") -> DeltaGenerator:
    """Draw the frame of a page and return the place at the right of its title, for a switch or actions.

    `shown_run` is the run that the page itself shows, which the sidebar then leaves out.
    """
    dark = _configure(name, initial_sidebar_state=232)
    st.logo(
        str(IMAGES / ("logo-dark.png" if dark else "logo-light.png")),
        size="medium",
        icon_image=str(IMAGES / "mark.png"),
    )
    with st.sidebar:
        with st.container(gap=9):
            for file, title, icon in PAGES:
                st.page_link(file, label=title, icon=icon, width="stretch")
        st.space("small")
        st.fragment(_now, run_every=2)(shown_run, dark)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom"):
        with st.container(width="content", gap=None):
            st.title(name, anchor=False)
            st.caption(purpose)
        return st.container(horizontal=True, width="content", vertical_alignment="bottom")


def _configure(name: str, **more: Any) -> bool:
    """What comes before anything else on a page; whether it is dark."""
    st.set_page_config(
        page_title=f"{name} · Bottleneck Lab",
        page_icon=str(IMAGES / "mark.png"),
        layout="wide",
        **more,
    )
    if not is_loopback(st.get_option("server.address") or ""):  # serve.py sees to that, wherever it listens itself
        st.error(
            "**The lab was started without its door, where others can reach it.** End it and start it with "
            "`python serve.py --address 0.0.0.0`, which asks visitors for a token.",
            icon=":material/error:",
        )
        st.stop()
    dark = lab.is_dark()
    if dark:
        # On a dark page no colour passes as small text on it and under white text too; the only rule of our own.
        st.html("<style>button[data-testid='stBaseButton-primary']{color:#0b1220}</style>")
    return dark


def bare(name: str) -> None:
    """A page without frame: no sidebar, no title."""
    st.fragment(_follow_scheme, run_every=2)(_configure(name))


def _follow_scheme(dark: bool) -> None:
    """Draw all of the page anew where the system has changed its scheme since: the colours of charts are data.

    `dark`: as the page was drawn.
    """
    if lab.is_dark() != dark:
        st.rerun()


def _now(shown_run: str, dark: bool) -> None:
    _follow_scheme(dark)
    readings = lab.readings()
    st.caption(device.describe())
    words = ", ".join(f"{sensor.short} {value}" for sensor, value in device_charts.beside_rows(readings))
    chart = device_charts.beside(readings, dark)
    st.vega_lite_chart(chart, width="stretch", key="device_strip", alt=f"The last minute of this device: {words}.")
    active = [row for row in lab.rows() if row.state in (events.QUEUED, events.RUNNING) and row.id != shown_run]
    if not active:
        return
    st.space("small")
    st.caption("Running now")
    for row in active[:3]:
        st.page_link(
            rooms.page_of(row.kind), label=row.short, icon=":material/play_arrow:", query_params={"run": row.id}
        )
        if row.state == events.QUEUED:
            st.progress(0.0, text="Queued")
            continue
        with lab.following(row.id) as run:
            share, words = run_panel.progress(run, time.time())
        if words:
            st.progress(share, text=words)
