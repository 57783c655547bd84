"""What a question still needs: which run would answer it, what that takes, and the button that queues exactly it."""

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import streamlit as st

from engine import assets, photos
from engine.contract import catalog, events
from engine.contract.dataset import Dataset
from engine.errors import EngineError, PhotosError, RunNotFound
from engine.machine import device, devices
from engine.photos import Source
from engine.questions import plans
from engine.questions.evidence import Evidence, Query
from engine.questions.plans import Plan, Planner
from engine.words import plain
from ui import lab, parts, rooms, run_panel
from ui.choices import photos_choice

REFRESH_SECONDS = 1.0


def _planner() -> Planner:
    """By what is on this machine now."""
    return Planner(lab.load_settings(), lab.rows(), _gpu(), _counted)


def _gpu() -> bool:
    """As the forms have it: what the driver says, until TensorFlow has been asked."""
    if not device.has_gpu():
        return False
    found = lab.devices()
    return found is None or bool(found.gpus)


def _counted(source: Source) -> int:
    return _count(source.key, str(source.root))


@st.cache_data(ttl=60, show_spinner=False)
def _count(key: str, root: str) -> int:
    """`root`: so that another home's set of that name is counted for itself."""
    return plans.count_photos(lab.load_settings(), key)


# --- start -----------------------------------------------------------------------------------------------------------


def start(found: Plan) -> None:
    """Queue what the plan says. Raises EngineError with a sentence."""
    dataset = _dataset(found) if found.source else None
    for spec in plans.runs(found, _devices):
        lab.queue().start(spec, dataset)


def _dataset(found: Plan) -> Dataset:
    source, spec = found.source, found.spec
    if source is None or source.root is None:
        raise PhotosError("There are no photos on this machine yet. Bring some first.")
    chosen = photos_choice.looked_at(Path(source.root), source.title, source.attribution)
    if chosen.faults or chosen.scan is None:
        raise PhotosError(chosen.faults[0] if chosen.faults else f"{source.title} cannot be read.")
    return photos.split(chosen.scan, spec.validation_percentage, spec.testing_percentage)


def _devices() -> devices.Devices:
    """What there is to compute on; TensorFlow is asked once per server, which takes some seconds."""
    with st.spinner("Looking for a GPU"):
        while (found := lab.devices()) is None:
            time.sleep(0.1)
    return found


# --- draw ------------------------------------------------------------------------------------------------------------


def box(found: Evidence, key: str) -> None:
    """In the place of evidence that is missing: which run, why, and its button, or how far it is."""
    if found.pending:
        return progress([each.id for each in found.pending])
    planned = _planner().plan(found.query)
    st.info(f"**Not measured yet.** {_why(found, planned)}", icon=":material/hourglass_empty:")
    _way(found, planned, key, "primary")
    if planned.can_start and planned.guessed:
        st.caption("The time is a guess: nothing like it has run on this machine.")
    return None


def rows(missing: Mapping[str, Evidence], key: str) -> None:
    """The same for several, a line each."""
    planner = _planner()
    for name, found in missing.items():
        if found.pending:
            progress([each.id for each in found.pending])
            continue
        planned = planner.plan(found.query)
        with st.container(border=True, gap="small"):
            st.markdown(f":material/hourglass_empty: **Not measured yet.** {_why(found, planned)}")
            _way(found, planned, f"{key}_{name}", "secondary")


def _way(found: Evidence, planned: Plan, key: str, kind: Literal["primary", "secondary"]) -> None:
    """What there is to press."""
    if planned.own:
        st.page_link("pages/retraining.py", label="Bring your own photos", icon=":material/upload:")
    elif planned.fetch:
        _fetch(planned.fetch, key)
    else:
        with st.container(horizontal=True, gap="small", vertical_alignment="center"):
            words = f"Measure, {plans.price([planned])}"
            if st.button(words, key=f"measure_{key}", type=kind, icon=":material/play_arrow:"):
                _start_all([planned])
            row = next((row for row in lab.rows() if found.failed and row.id == found.failed.id), None)
            if row:
                st.page_link(rooms.page_of(row.kind), label="Open the failed run", query_params={"run": row.id})


def _why(found: Evidence, planned: Plan) -> str:
    said = f"It takes {plans.words(planned)}."
    if found.gone:
        return f"The run that this answer was pinned to has been deleted. {said}"
    if found.failed:
        return f"The newest try did not end well. {said}"
    if planned.own:
        return f"{said} Nobody has brought photos of their own yet: one folder a class, as a path or as a zip."
    return said


def _fetch(name: str, key: str) -> None:
    asset, home = assets.asset(name), lab.home()
    backbone = catalog.backbone_of_asset(name)

    def fetch(bar: assets.Progress) -> None:
        if backbone:
            assets.fetch_backbone(home, backbone, progress=bar)
        else:
            assets.fetch(home, name, bar)

    st.markdown(f"To fetch first: **{backbone.title if backbone else asset.title}**")
    parts.fetch_button(asset, fetch, f"fetch_{key}")


def _start_all(found: Iterable[Plan]) -> None:
    try:
        for planned in found:
            start(planned)
    except EngineError as error:
        st.error(str(error), icon=":material/error:")
    else:
        st.rerun()


def measure_all(missing: Sequence[Query]) -> None:
    """One button for all that can start; each run once, however many answers want it."""
    planner = _planner()
    ready = plans.each_once(planner.plan(asked) for asked in dict.fromkeys(missing))
    if not ready:
        return
    st.button(
        f"Measure all {len(ready)} that are missing" if len(ready) > 1 else "Measure the one that is missing",
        key="measure_all",
        icon=":material/playlist_play:",
        width="stretch",
        on_click=_remember_all,
    )
    st.caption(f"{plans.price(ready).capitalize()} in all, one after the other.")
    if st.session_state.pop("_measure_all", False):
        _start_all(ready)


def _remember_all() -> None:
    st.session_state["_measure_all"] = True


def progress(ids: Sequence[str]) -> None:
    """A bar for each run that will answer; the page is drawn anew when one has ended."""

    def live() -> None:
        for run_id in ids:
            try:
                with lab.following(run_id) as run:
                    if not run.is_active:
                        st.rerun()
                    share, words = run_panel.progress(run, time.time())
                    waits = run.state == events.QUEUED
                    title, page = run.title, rooms.page_of(run.kind)
            except RunNotFound:  # deleted just now
                st.rerun()
            st.progress(share, text=f"{plain(title)} · {'waits for its turn' if waits else words or 'starting'}")
            st.page_link(page, label="Open this run", query_params={"run": run_id})

    st.fragment(live, run_every=REFRESH_SECONDS)()
