"""What a question still needs: which run would answer it, what that takes, and the button that queues exactly it."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import streamlit as st

from engine import assets, device, device_comparison, devices, evidence, photos, samples
from engine.contract import catalog, events, layers, specs
from engine.contract.dataset import Dataset
from engine.errors import EngineError, PhotosError, RunNotFound
from engine.evidence import DEVICES, Evidence, Query
from engine.photos import Source
from engine.words import count, plain
from ui import lab, parts, retraining_form, run_panel

REFRESH_SECONDS = 1.0
FLOWERS, TRAFFIC_LIGHTS = "flower_photos", "traffic_lights"
OF_PHOTOS = (specs.RETRAIN, DEVICES, specs.FINE_TUNE, specs.LEARNING_CURVE)


@dataclass(frozen=True)
class Plan:
    """What would answer a query."""

    spec: Any  # of engine/contract/specs.py; of a comparison of devices, what its parts have in common
    source: Source | None  # of its photos, which are here
    photos: int
    fetch: str  # the name of the asset that has to be fetched first, or ""
    own: bool  # nobody has brought photos of their own yet
    seconds: float  # that it takes, about
    guessed: bool  # nothing like it has run here

    @property
    def can_start(self) -> bool:
        return not self.fetch and not self.own


def plan(asked: Query) -> Plan:
    home = lab.home()
    spec = evidence.spec(asked, home)
    if not asked.device and _gpu():
        spec = spec._replace(device=specs.GPU)
    source, fetch = None, ""
    if asked.kind in OF_PHOTOS:
        source = _photos(asked.own)
        if source is None and not asked.own:
            fetch = TRAFFIC_LIGHTS
    if asked.kind == specs.MNIST and assets.find(home, spec.data) is None:
        fetch = spec.data
    if asked.backbone and assets.find_backbone(home, row := catalog.backbone(spec.backbone)) is None:
        fetch = row.asset
    number = _count(source.key, str(source.root)) if source else 0
    known = _known_seconds(asked, spec, number)
    seconds = known if known is not None else _guess(asked, spec, number or 1484)
    return Plan(spec, source, number, fetch, asked.own and source is None, seconds, known is None)


def _gpu() -> bool:
    """As the forms have it: what the driver says, until TensorFlow has been asked."""
    if not device.has_gpu():
        return False
    found = lab.devices()
    return found is None or bool(found.gpus)


def _photos(own: bool) -> Source | None:
    """Flowers where they are here, else the set that was used last, else traffic lights, else whatever there is."""
    here = [source for source in photos.sources(lab.load_settings()) if source.root is not None]
    if own:
        here = [source for source in here if not source.attribution]
    used = {row.data: number for number, row in reversed(list(enumerate(lab.rows()))) if row.photos}
    order = {FLOWERS: -2} if not own else {}

    def rank(source: Source) -> tuple[int, bool]:
        return order.get(source.key, used.get(source.title, len(used) + 10_000)), source.key != TRAFFIC_LIGHTS

    return min(here, key=rank, default=None)


@st.cache_data(ttl=60, show_spinner=False)
def _count(key: str, root: str) -> int:
    """Photos in a set, by their names. `root`: so that another home's set of that name is counted for itself."""
    try:
        return len(samples.listed(lab.load_settings(), key).photos)
    except PhotosError:
        return 0


# --- what it takes ---------------------------------------------------------------------------------------------------


def _known_seconds(asked: Query, spec: specs.Spec, number: int) -> float | None:
    """From earlier runs on this machine; None where nothing like it has run."""
    rows = lab.rows()
    if isinstance(spec, specs.RetrainSpec):
        once = lab.expected_seconds(rows, spec, number)
        return once if once is None or asked.kind != DEVICES else 2 * once
    if isinstance(spec, specs.MnistSpec):
        found = lab.expected_of_comparison(rows, spec)
        return None if found.unknown else found.seconds
    if isinstance(spec, specs.FineTuneSpec):
        depths = lab.expected_of_depths(rows, spec, number)
        return depths.seconds if depths else None
    if isinstance(spec, specs.BatchSizeSpec):
        sizes = lab.expected_of_sizes(rows, spec)
        return sizes.seconds if sizes else None
    if isinstance(spec, specs.LearningCurveSpec):  # bottlenecks that are not kept yet come on top
        return lab.expected_of_trainings(rows, spec, (len(spec.sizes) + 1) * spec.seeds)
    return None


# Of two cores of a laptop, from docs/benchmarks.md: for the first run, which then measures this machine.
_STARTING = 15.0  # seconds of a run around its work
_MULTIPLY_ADDS = 1.5e10  # a second, learning
_PHOTOS = {299: 12.0, 224: 110.0}  # a second, through a backbone of that input


def _guess(asked: Query, spec: specs.Spec, number: int) -> float:
    if isinstance(spec, specs.MnistSpec):
        images = spec.epochs * lab.BUILT_IN_IMAGES
        costs = [sum(cost.multiply_adds for cost in layers.costs(layers.read(row.layers))) for row in spec.networks]
        return _STARTING + sum(images * (cost / _MULTIPLY_ADDS + 1.5e-5) for cost in costs)
    if isinstance(spec, specs.BatchSizeSpec):
        return 8 * _STARTING
    speed = _PHOTOS.get(catalog.backbone(getattr(spec, "backbone", "mobilenet_v2")).size, 60.0)
    once = _STARTING + number / speed
    if asked.kind == DEVICES:
        return 3 * once  # one of them is slower
    if isinstance(spec, specs.FineTuneSpec):
        return len(spec.blocks) * (_STARTING + spec.epochs * number * 0.01) + once
    return once


def price(found: Sequence[Plan]) -> str:
    """ "about 30 s", "about 14 min", "about 1 h 20 min": as rough as it is known."""
    seconds = sum(each.seconds for each in found)
    if seconds < 55:
        return f"about {max(1, round(seconds)) if seconds < 10 else 5 * round(seconds / 5)} s"
    minutes = round(seconds / 60)
    return f"about {minutes} min" if minutes < 60 else f"about {minutes // 60} h {minutes % 60:02d} min"


# --- start -----------------------------------------------------------------------------------------------------------


def start(found: Plan, asked: Query) -> None:
    """Queue what the plan says. Raises EngineError with a sentence."""
    dataset = _dataset(found) if found.source else None
    halves = [found.spec]
    if asked.kind == DEVICES:
        halves = list(device_comparison.halves_to_start(found.spec, _devices()))
        if len(halves) < 2:
            raise EngineError("This machine has one core and no GPU: there is nothing to compare.")
    elif found.spec.device == specs.GPU:
        devices.check(found.spec, _devices())
    for spec in halves:
        lab.queue().start(spec, dataset)


def _dataset(found: Plan) -> Dataset:
    source, spec = found.source, found.spec
    if source is None or source.root is None:
        raise PhotosError("There are no photos on this machine yet. Bring some first.")
    chosen = retraining_form.looked_at(Path(source.root), source.title, source.attribution)
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
    planned = plan(found.query)
    st.info(f"**Not measured yet.** {_why(found, planned)}", icon=":material/hourglass_empty:")
    _way(found, planned, key, "primary")
    if planned.can_start and planned.guessed:
        st.caption("The time is a guess: nothing like it has run on this machine.")
    return None


def rows(missing: Mapping[str, Evidence], key: str) -> None:
    """The same for several, a line each."""
    for name, found in missing.items():
        if found.pending:
            progress([each.id for each in found.pending])
            continue
        planned = plan(found.query)
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
            words = f"Measure, {price([planned])}"
            if st.button(words, key=f"measure_{key}", type=kind, icon=":material/play_arrow:"):
                _start_all([(planned, found.query)])
            row = next((row for row in lab.rows() if found.failed and row.id == found.failed.id), None)
            if row:
                st.page_link(row.page, label="Open the failed run", query_params={"run": row.id})


def _why(found: Evidence, planned: Plan) -> str:
    said = f"It takes {words(found.query, planned)}."
    if found.gone:
        return f"The run that this answer was pinned to has been deleted. {said}"
    if found.failed:
        return f"The newest try did not end well. {said}"
    if planned.own:
        return f"{said} Nobody has brought photos of their own yet: one folder a class, as a path or as a zip."
    return said


def words(asked: Query, planned: Plan) -> str:
    """ "a run of Retraining with MobileNet v2 at lr 0.005, 0.5 and 1.0 on Flowers, 3,670 photos" """
    spec, said = planned.spec, ""
    if isinstance(spec, specs.MnistSpec):
        said = " with " + ", ".join(network.title for network in spec.networks)
    elif asked.backbone:
        said = f" with {catalog.backbone(spec.backbone).title}"
    if isinstance(spec, specs.RetrainSpec):
        said += " at lr " + ", ".join(specs.lane_name(rate) for rate in spec.learning_rates)
    if planned.source:
        said += f" on {plain(planned.source.title)}, {count(planned.photos, 'photo')}"
    runs = (
        "two runs of Retraining, one on each device," if asked.kind == DEVICES else f"a run of {lab.KINDS[asked.kind]}"
    )
    return f"{runs}{said}"


def _fetch(name: str, key: str) -> None:
    asset, home = assets.asset(name), lab.home()
    backbone = next((row for row in (*catalog.BACKBONES, *catalog.ORIGINALS) if row.asset == name), None)

    def fetch(bar: assets.Progress) -> None:
        if backbone:
            assets.fetch_backbone(home, backbone, progress=bar)
        else:
            assets.fetch(home, name, bar)

    st.markdown(f"To fetch first: **{backbone.title if backbone else asset.title}**")
    parts.fetch_button(asset, fetch, f"fetch_{key}")


def _start_all(found: Iterable[tuple[Plan, Query]]) -> None:
    try:
        for planned, asked in found:
            start(planned, asked)
    except EngineError as error:
        st.error(str(error), icon=":material/error:")
    else:
        st.rerun()


def measure_all(missing: Sequence[Query]) -> None:
    """One button for all that can start; each run once, however many answers want it."""
    plans = [(plan(asked), asked) for asked in dict.fromkeys(missing)]
    ready = [(planned, asked) for planned, asked in plans if planned.can_start]
    # What another one of them answers too is not run for itself.
    for each in list(ready):
        asked = each[1]
        others = [its for its, other in ready if other is not asked and (other.own or not asked.own)]
        if any(evidence.fits(asked, its.spec) for its in others):
            ready.remove(each)
    if not ready:
        return
    st.button(
        f"Measure all {len(ready)} that are missing" if len(ready) > 1 else "Measure the one that is missing",
        key="measure_all",
        icon=":material/playlist_play:",
        width="stretch",
        on_click=_remember_all,
    )
    st.caption(f"{price([planned for planned, _ in ready]).capitalize()} in all, one after the other.")
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
                    title, page = run.title, lab.page_of(run)
            except RunNotFound:  # deleted just now
                st.rerun()
            st.progress(share, text=f"{plain(title)} · {'waits for its turn' if waits else words or 'starting'}")
            st.page_link(page, label="Open this run", query_params={"run": run_id})

    st.fragment(live, run_every=REFRESH_SECONDS)()
