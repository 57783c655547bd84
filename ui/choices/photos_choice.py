"""Which photos to learn from: a set, a folder on this machine or a zip, looked at before anything starts."""

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import streamlit as st

from engine import photos
from engine.contract.dataset import SPLITS, Dataset
from engine.errors import PhotosError
from engine.runs import Run
from engine.words import count, number
from ui import lab, parts, sorting
from ui.choices import backbone_choice

FOLDER, ZIP = "a folder on this machine", "a zip"  # options beside the names of sets
THUMBNAILS = 14  # in the strip
THUMBNAIL_HEIGHT = 72  # pixels


@dataclass(frozen=True)
class Photos:
    """What the visitor has chosen to learn from, as far as it is known."""

    title: str = ""
    attribution: str = ""
    scan: photos.Scan | None = None
    dataset: Dataset | None = None
    faults: tuple[str, ...] = ()  # sentences that stop a start
    to_fetch: str = ""  # the name of an asset that is not on this machine yet

    def split(self, spec: Any) -> "Photos":
        """The same with the dataset that a run with the splits of `spec` learns from, where the photos allow it."""
        if self.scan is None or self.faults:
            return self
        return replace(self, dataset=photos.split(self.scan, spec.validation_percentage, spec.testing_percentage))

    def in_the_way(self, backbone: backbone_choice.Choice) -> str:
        """The sentence that stops a start with that backbone; "" where nothing does."""
        return self.faults[0] if self.faults else backbone.fault


def choose() -> Photos:
    """The photos to learn from, looked at."""
    found = photos.sources(lab.load_settings())
    titles = {source.key: source.title for source in found} | {
        FOLDER: "A folder on this machine",
        ZIP: "Upload a zip",
    }
    if wanted := st.session_state.pop("_choose_photos", ""):
        st.session_state["photos"] = wanted  # a set that was uploaded just now
    key = st.selectbox("Photos", list(titles), format_func=titles.__getitem__, key="photos", persist_state="session")
    if key == FOLDER:
        return _typed_folder()
    if key == ZIP:
        return _uploaded_zip()
    source = next(source for source in found if source.key == key)
    if source.root is None:
        return Photos(source.title, source.attribution, to_fetch=source.key)
    return looked_at(source.root, source.title, source.attribution)


def _typed_folder() -> Photos:
    typed = st.text_input(
        "Folder", key="folder", placeholder="/home/you/photos", persist_state="session",
        help="One folder inside it per class; a path on the machine that runs the lab",
    )  # fmt: skip
    if not typed.strip():
        return Photos()
    try:
        root = photos.allowed(typed, lab.load_settings().data_roots)
    except PhotosError as error:
        return Photos(typed, faults=(str(error),))
    return looked_at(root, root.name, "")


def _uploaded_zip() -> Photos:
    given = st.file_uploader("One zip, one folder per class", type=["zip"], key="zip")
    if given is None:
        return Photos()
    bar = st.progress(0.0, text="Unpacking")

    def progress(done: int, total: int) -> None:
        bar.progress(min(1.0, done / max(1, total)), text="Unpacking")

    try:
        root = photos.unpack(given, lab.home().datasets, Path(given.name).stem, progress)
    except PhotosError as error:
        return Photos(given.name, faults=(str(error),))
    finally:
        bar.empty()
    # From now on it is a set of its own in the list; the uploader would unpack it again on every click.
    st.session_state["_choose_photos"] = root.name
    st.rerun()


def looked_at(root: Path, title: str, attribution: str) -> Photos:
    """The photos of a folder, with a bar while they are read for the first time."""
    try:
        found = _scan(root, title)
    except PhotosError as error:
        return Photos(title, attribution, faults=(str(error),))
    return Photos(title, attribution, found, None, tuple(photos.faults(found)))


@st.cache_resource
def _scans() -> dict[str, tuple[tuple, photos.Scan]]:
    """The newest look at each folder, with what it looked like from outside: reading every photo takes seconds."""
    return {}


def _scan(root: Path, title: str) -> photos.Scan:
    try:
        folders = [entry for entry in os.scandir(root) if entry.is_dir()]
        stamp = (title, *sorted((entry.name, entry.stat().st_mtime_ns) for entry in folders))
    except OSError as error:
        raise PhotosError(f"{root} cannot be read: {error.strerror}. Check that it is still there.") from error
    known = _scans().get(str(root))
    if known is not None and known[0] == stamp:
        return known[1]
    bar, shown = st.progress(0.0, text="Looking at the photos"), 0.0

    def progress(done: int, total: int) -> None:
        nonlocal shown
        if time.monotonic() - shown > 0.2:
            shown = time.monotonic()
            bar.progress(done / max(1, total), text=f"Looking at {done:,} of {total:,} photos")

    try:
        found = photos.scan(root, title, progress, roots=lab.load_settings().data_roots)
    finally:
        bar.empty()
    _scans()[str(root)] = (stamp, found)
    return found


def show(chosen: Photos) -> None:
    """What was found, before anything starts: classes, counts, split, a strip of photos, and what is wrong."""
    if not chosen.title:
        return parts.empty("Your own photos", "One folder per class, as a path or as one zip, 20 photos or more.")
    if chosen.to_fetch:
        return parts.fetch(chosen.to_fetch, chosen.title, chosen.attribution)
    for fault in chosen.faults:
        st.error(fault, icon=":material/error:")
    if chosen.scan is None or not chosen.scan.classes:
        return None
    with st.container(border=True, gap="small", key="found_photos"):
        classes = count(len(chosen.scan.classes), "class")
        st.markdown(f"**{chosen.title}** · {classes}, {count(chosen.scan.photos, 'photo')}")
        _strip(chosen.scan)
        splits = photos.counts(chosen.dataset) if chosen.dataset else [{} for _ in chosen.scan.classes]
        table = [
            {"Class": row.label, "Photos": number(len(row.files))}
            | {name.capitalize(): number(split[name]) for name in SPLITS if split}
            for row, split in zip(chosen.scan.classes, splits, strict=True)
        ]
        right = {name: st.column_config.Column(alignment="right") for name in table[0] if name != "Class"}
        st.dataframe(
            sorting.by_number(table),
            hide_index=True,
            height="content" if len(table) <= 8 else 320,
            column_config=right,
            key="found_table",
            alt="; ".join(f"{row['Class']}: {count(len(each.files), 'photo')}" for row, each in
                          zip(table, chosen.scan.classes, strict=True)),
        )  # fmt: skip
        if chosen.attribution:
            st.caption(f"{chosen.attribution}.")
    for remark in photos.remarks(chosen.scan, chosen.dataset):
        st.warning(remark, icon=":material/info:")
    st.caption("Start a run, and what it finds is shown here.")
    return None


def _strip(scan: photos.Scan) -> None:
    """Some photos of every class, taken in turns."""
    each = max(1, (10 if lab.is_phone() else THUMBNAILS) // len(scan.classes))
    with st.container(horizontal=True, gap=6, key="thumbnails"):
        for row in scan.classes[:THUMBNAILS]:
            step = max(1, len(row.files) // each)
            for file in row.files[::step][:each]:
                found = parts.thumbnail(str(scan.root / row.folder / file), THUMBNAIL_HEIGHT)
                if found:
                    st.image(found[0], width=found[1], alt=f"{row.label}: {file}")


def fill(run: Run[Any]) -> list[str]:
    """Choose the photos of a run; sentences about what cannot be chosen."""
    try:
        root = Path(run.dataset.root)
    except (OSError, ValueError, LookupError, TypeError):  # a damaged dataset.json
        return ["Which photos it learned from can no longer be read: choose them."]
    found = next((source.key for source in photos.sources(lab.load_settings()) if source.root == root), "")
    if found:
        st.session_state["photos"] = found
    else:  # the form says what is wrong with a folder
        st.session_state["photos"] = FOLDER
        st.session_state["folder"] = str(root)
    return []
