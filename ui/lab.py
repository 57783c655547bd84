"""The engine as pages reach it: one set of objects for all visitors, and the runs as rows.

Nothing that matters is kept here: every row is read from a run's folder and can be read again.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import streamlit as st

from engine import runs, settings
from engine.contract import events
from engine.contract.run_folder import LabHome
from engine.kinds.rows import RunRow
from engine.kinds.rows import read as read_row
from engine.machine import sampler
from engine.machine.device import HISTORY, Machine, Reading
from engine.machine.devices import Devices, Finder, Worker, found_or_why, look_at
from engine.models.classifier import Classifier
from engine.runs.queue import Queue


def load_settings() -> settings.Settings:
    return settings.load()


def home() -> LabHome:
    return load_settings().home


def queue() -> Queue:
    found = load_settings()
    return Queue(found.home, found.worker_python, found.worker_module)


def readings(seconds: float = HISTORY, now: float | None = None) -> list[Reading]:
    """What the device did in so many seconds before `now`, oldest first; at least one. Whoever asks keeps the sampler
    alive. `now`: Unix seconds; None for the present."""
    found = load_settings()
    sampler.look(found.home, found.tegrastats)
    # Before the sampler has said anything, and where it cannot write: what this process sees itself.
    known = _history(found.home.path).last(seconds, time.time() if now is None else now)
    return known or [_machine(found.home.path).read()]


@st.cache_resource
def _history(home_path: str) -> sampler.History:
    return sampler.History(LabHome(home_path))


@st.cache_resource
def _machine(home_path: str) -> Machine:
    return Machine(home_path)


def card_name() -> str:
    """The graphics card that the NVIDIA driver names, "" where there is none."""
    return _machine(home().path).card.name


def devices() -> Devices | None:
    """What the worker's TensorFlow computes on; None while it is being asked, which begins with the first call."""
    return _finder().now(load_settings().worker_python)


@st.cache_resource
def _finder() -> Finder[Devices]:
    return Finder(found_or_why)


def worker() -> Worker | None:
    """What the worker's Python has installed, and what is wrong with it; None while it is being asked."""
    return _worker_finder().now(load_settings().worker_python)


@st.cache_resource
def _worker_finder() -> Finder[Worker]:
    return Finder(look_at)


def classifier() -> Classifier:
    found = load_settings()
    return _classifier(found.home.path, found.worker_python)


@st.cache_resource
def _classifier(home_path: str, worker_python: str) -> Classifier:
    return Classifier(LabHome(home_path), worker_python)


def is_dark() -> bool:
    return st.context.theme.type == "dark"


def is_phone() -> bool:
    return "Mobi" in st.context.headers.get("User-Agent", "")


def open_run(run_id: str) -> runs.Run:
    """The run, read up to now. Raises RunNotFound.

    The visitor's session remembers where it stopped reading, so that a live page reads what is new and nothing twice.
    """
    remembered = st.session_state.get("_opened")
    if not isinstance(remembered, runs.Run) or remembered.id != run_id or not os.path.isfile(remembered.folder.spec):
        remembered = st.session_state["_opened"] = runs.open_run(home(), run_id)
    return remembered.refresh()


def rows() -> list[RunRow]:
    """Every run, newest first. Finished ones are read once per server; of the others, what is new."""
    found, place = [], home()  # asked once: reading the settings takes longer than looking at a run
    try:
        names = os.listdir(place.runs)
    except FileNotFoundError:
        return []
    for gone in _settled().keys() - {(place.path, name) for name in names}:
        _settled().pop(gone, None)
    for name in names:
        if name.startswith("."):
            continue
        try:
            row = _current(place, name)
        except Exception:
            continue  # no run, see unreadable(); or one that is being made or deleted just now
        found.append(row)
    # By ticket and not by time: a clock may be set back.
    return sorted(found, key=lambda row: (row.ticket, row.started, row.id), reverse=True)


def unreadable() -> list[tuple[str, str]]:
    """The folders that rows() leaves out for good: (name, why, a sentence)."""
    return runs.list_unreadable(home(), {row.id for row in rows()})


SETTLED_AFTER = 60.0  # seconds without a word, after which a lost run stays lost


@st.cache_resource
def _settled() -> dict[tuple[str, str], tuple[tuple[int, int], RunRow]]:
    """The rows of runs that change no more, by home and id, each with the size and time of its events.

    Not st.cache_data: that would copy every row for everybody who asks, and every page asks every two seconds.
    """
    return {}


def _current(place: LabHome, run_id: str) -> RunRow:
    found = os.stat(place.run(run_id).events)
    key, stamp = (place.path, run_id), (found.st_size, found.st_mtime_ns)
    known, row = _settled().get(key, ((0, 0), None))
    if row is not None and known == stamp:
        return row
    with following(run_id) as run:
        row = read_row(run)
    if row.state in events.FINAL or (row.state == events.LOST and time.time() - found.st_mtime > SETTLED_AFTER):
        _settled()[key] = (stamp, row)
        _followed().runs.pop(run_id, None)  # a lost one: nothing more will come
    return row


@dataclass(frozen=True)
class _Followed:
    runs: dict[str, runs.Run]
    lock: threading.Lock


@st.cache_resource
def _followed() -> _Followed:
    """The runs that go on, for all visitors: a comparison writes megabytes, which nobody should read from the start
    every two seconds."""
    return _Followed({}, threading.Lock())


@contextmanager
def following(run_id: str) -> Iterator[runs.Run]:
    """A run read up to now, to be looked at and let go; it is kept for the next look until it has ended.

    Raises RunNotFound.
    """
    followed, place = _followed(), home()
    with followed.lock:  # two visitors reading at once would take in every event twice
        run = followed.runs.pop(run_id, None)
        if run is None or run.folder.home.path != place.path or not os.path.isfile(run.folder.spec):
            run = runs.open_run(place, run_id)
        else:
            run.refresh()
        if run.state not in events.FINAL:
            followed.runs[run_id] = run
        yield run
