"""The strips of the page Device, redrawn while somebody looks: a number and a line for each sensor there is."""

import time

import psutil
import streamlit as st

from engine.charts import device_charts
from engine.charts.device_charts import Band
from engine.contract import hardware
from engine.machine import sampler
from engine.words import duration
from ui import lab

WINDOWS = {"90 s": 90, "10 min": 600, "1 h": 3600}  # seconds
REFRESH = {90: 1.0, 600: 3.0, 3600: 10.0}  # seconds between two pictures: a line of 300 points moves no sooner
STALE_AFTER = 10.0  # seconds without a reading, after which that is said


def show(window: int, live: bool) -> None:
    """`window`: one of WINDOWS; without `live` the picture stays as it was when that was switched off."""
    _trouble()
    if live:
        st.session_state.pop("_device_at", None)
    else:
        st.session_state.setdefault("_device_at", time.time())
    st.fragment(_strips, run_every=REFRESH[window] if live else None)(window)


def _trouble() -> None:
    """What is not shown and why, once."""
    said = sampler.status(lab.home())
    missing = " ".join(why for _, why in said.missing)
    if said.tegrastats == sampler.NO_TEGRASTATS:
        if missing:
            rest = "What is shown is read with psutil."
            st.info(f"**{said.tegrastats}** {missing} {rest}", icon=":material/computer:")
    elif said.tegrastats:
        rest = f"Meanwhile psutil reads what it can. {missing}"
        st.warning(f"**{_plain(said.tegrastats)}** {rest}", icon=":material/info:")
    elif missing:
        st.info(missing, icon=":material/computer:")


def _plain(words: str) -> str:
    """Words of a program that are not to be read as Markdown."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]<>()#+!|~$:" else letter for letter in words)


def _strips(window: int) -> None:
    at = st.session_state.get("_device_at")
    now = time.time() if at is None else at
    readings = lab.readings(window, now)
    if now - readings[-1].t > STALE_AFTER:
        st.caption(f"Nothing has been read for {duration(now - readings[-1].t)}.")
    bands = [
        Band(stage, row.short, began, min(ended, now))
        for row in lab.rows()
        for stage, began, ended in row.stages
        if ended > now - window and began < now
    ]
    shown = device_charts.present(readings)
    axis, mode, cores = device_charts.before_now(now, window), hardware.power_mode(), psutil.cpu_count() or 1
    column = st.container(gap="small")
    for number, sensor in enumerate(shown):
        newest = device_charts.newest(sensor, readings)
        left, right = column.columns([1, 5.6], vertical_alignment="center")
        with left.container(gap=None):
            st.metric(sensor.title, sensor.words(sensor.value(newest) or 0.0))
            st.caption(device_charts.caption(sensor, newest, len(newest.cores) or cores, mode))
        first, last = number == 0, number == len(shown) - 1
        chart = device_charts.strip(sensor, readings, bands, axis, lab.is_dark(), first=first, last=last)
        # The words stay as they are: new ones would make the browser build the chart anew every second.
        alt = f"{sensor.title} of the last {duration(window)}; the newest value stands beside it."
        right.vega_lite_chart(chart, width="stretch", key=f"device_{sensor.name}", alt=alt)
