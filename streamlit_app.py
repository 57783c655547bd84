"""Home: what this machine is, what ran last, where to go."""

import os
import shutil

import psutil
import streamlit as st

from engine import assets
from engine.charts import time_charts
from engine.contract import catalog, events
from engine.kinds.rows import Learned, RunRow, of_here
from engine.machine import device
from engine.words import size
from ui import frame, lab, rooms, run_panel
from ui.kinds.race import form as retraining_form
from ui.runs import tables

RECENT = 12  # rows


def first_visit() -> None:
    st.subheader("No runs yet. Three ways to start", anchor=False)
    photos_built_in, retraining = "Traffic lights are built in, nothing to download", "pages/retraining.py"
    ways: list[tuple[str, str, str, str, dict[str, str], str]] = [
        (
            "Compare networks",
            "Train the beginner's network, the coursework's and stronger ones side by side on the same digits, and see "
            "which one earns its training time.",
            "Set up a comparison",
            "pages/mnist.py",
            {},
            "The 70,000 digits of MNIST are built in, nothing to download",
        ),
        (
            "Race learning rates",
            "Keep MobileNet frozen, train a new last layer on your photos at several learning rates at once, "
            "and see which one to keep.",
            "Set up a race",
            retraining,
            {"mode": retraining_form.RACE},
            photos_built_in,
        ),
        (
            "Retrain once",
            "One learning rate, its curve, its recall and precision per class, and a saved model that classifies "
            "your next photo.",
            "Set up a run",
            retraining,
            {"mode": retraining_form.SINGLE},
            photos_built_in,
        ),
    ]
    for column, (title, words, link, page, query, built_in) in zip(st.columns(3, gap="small"), ways, strict=True):
        with column.container(border=True, gap="small"):
            st.markdown(f"**{title}**")
            st.markdown(words)
            st.page_link(page, label=link, icon=":material/arrow_forward:", icon_position="right", query_params=query)
            st.caption(built_in)
    questions_link()
    st.subheader("This device", anchor=False)
    st.table(readiness(), hide_header=True, hide_index=True, border="horizontal")


def questions_link() -> None:
    st.page_link(
        "pages/qa.py",
        label="The coursework's questions, answered with what this machine measures",
        icon=":material/quiz:",
    )


def readiness() -> list[dict[str, str]]:
    """What a run needs and whether it is here: (what, how it stands), with a sign."""
    memory, home = psutil.virtual_memory(), lab.home()
    free = shutil.disk_usage(next(path for path in (home.path, ".") if os.path.isdir(path))).free
    found = [
        (device.has_gpu(), "GPU", "An NVIDIA driver is loaded" if device.has_gpu() else "None found, runs use the CPU"),
        (memory.available > 2e9, "Memory", f"{size(memory.available)} of {size(memory.total)} free"),
        (free > 2e9, "Disk", f"{size(free)} free"),
    ]
    for backbone in [*catalog.BACKBONES, *catalog.added_backbones(home)]:
        here = assets.find_backbone(home, backbone) is not None
        if here or backbone.asset in assets.EMBEDDED:  # the others come when they are chosen
            missing = f"Not here yet, {backbone.megabytes} MB; python -m engine assets fetches it"
            found.append((here, backbone.title, "Weights are here" if here else missing))
    originals = [row.title for row in assets.ORIGINALS if assets.find_asset(home, row)]
    if originals:
        found.append((True, "Backbones of retrain.py", f"{', '.join(originals)}: weights are here"))
    for row in assets.ASSETS:
        if row.kind != assets.FILE:
            here = assets.find(home, row.name) is not None
            what = "Photos" if row.kind == assets.PHOTOS else "Images"
            words = f"{what} are here" if here else f"Not here yet, {size(row.sources[0].bytes)} to fetch"
            found.append((here, row.title, words))
    signs = {True: ":green[:material/check:]", False: ":orange[:material/info:]"}
    return [{"What": f"{signs[good]} {what}", "State": words} for good, what, words in found]


def accuracy_against_time(rows: list[RunRow], height: int) -> None:
    """The best run of each backbone and photo set, and of each network, on this machine."""
    points = [*_photo_points(rows), *_digit_points(rows)]
    if not points:
        return
    st.subheader("Accuracy against time", anchor=False)
    words = "; ".join(f"{point.name}: {point.accuracy:.1%} after {point.seconds:.0f} s" for point in points)
    chart = time_charts.accuracy_against_time(points, height, lab.is_dark())
    st.vega_lite_chart(chart, width="stretch", key="accuracy_against_time", alt=f"{words}.")
    kinds = {point.digits for point in points}
    shapes = {
        True: "Circles: networks on digits, over the time spent training each.",
        False: "Squares: backbones on photos, over the time of the whole run.",
    }
    said = " ".join(shapes[kind] for kind in (True, False) if kind in kinds)
    st.caption(f"{said} The best run of each, by validation; the accuracy is that of its test.")


def _photo_points(rows: list[RunRow]) -> list[time_charts.TimedRun]:
    best: dict[str, RunRow] = {}
    for row in rows:
        if row.accuracy is None or not row.seconds or not row.backbone:
            continue
        name = row.title.rsplit(" · ", 1)[0]
        # Chosen by validation; the testing figure is only shown.
        if name not in best or (row.validation or 0) > (best[name].validation or 0):
            best[name] = row
    return [time_charts.TimedRun(name, row.seconds or 1.0, row.accuracy or 0.0) for name, row in best.items()]


def _digit_points(rows: list[RunRow]) -> list[time_charts.TimedRun]:
    best: dict[str, Learned] = {}
    for each in [network for row in rows for network in row.networks]:
        title = each.network.title
        name = title if each.data == catalog.DIGIT_SETS[0].title else f"{each.data} · {title}"
        # Without a validation split the newest stays.
        if name not in best or (each.validation or 0) > (best[name].validation or 0):
            best[name] = each
    return [time_charts.TimedRun(name, max(0.1, each.seconds), each.accuracy, True) for name, each in best.items()]


def main() -> None:
    header = frame.begin(
        "Home", "Train small image classifiers, watch them learn, and measure what they cost on this device."
    )
    rows = lab.rows()
    with header:
        if st.button("Compare networks", type="primary", icon=":material/add:"):
            st.switch_page("pages/mnist.py")
        if st.button("Retrain"):
            st.switch_page("pages/retraining.py")
        if st.button("Classify an image"):
            st.switch_page("pages/playground.py")
    if not rows:
        first_visit()
        return
    working = next((row for row in rows if row.state == events.RUNNING), None)
    if working:
        run_panel.card(working.id)
    left, right = st.columns([1.9, 1], gap="medium")
    with left:
        st.subheader("Recent runs", anchor=False)
        picked = tables.recent_runs(rows[:RECENT])
        if picked:
            st.switch_page(rooms.page_of(picked.kind), query_params={"run": picked.id})
        st.caption("Select a run to open it.")
        questions_link()
    with right:
        accuracy_against_time(of_here(rows), 250 if working else 400)


main()
