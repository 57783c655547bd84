"""Which network stays frozen: the catalogue's, a module that was added, or one that retrain.py used.

What is chosen may not be on this machine yet; `show` then draws the card that brings it here.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from engine import assets
from engine.assets import hub
from engine.contract import catalog
from engine.contract.kinds.race import RaceSpec
from engine.errors import AssetError, EngineError, NeedsSize
from engine.runs import Run
from engine.words import size
from ui import lab, parts

ADD = "a TensorFlow Hub module"  # an option beside the names of backbones; no name has spaces
MODULE_ARCHIVES = (".tar.gz", ".tgz")
MODULE_SIZES = (32, 1024)  # pixels, of a module that takes pictures of any size


@dataclass(frozen=True)
class Choice:
    """The visitor's choice, which a run can start with where `fault` is empty."""

    row: catalog.Backbone | None  # None: a module that is to be added
    fault: str = ""  # the sentence that stops a start

    @property
    def name(self) -> str:
        """For a spec."""
        return self.row.name if self.row else RaceSpec().backbone


def choose() -> Choice:
    """The select box, with a line about what is chosen."""
    home = lab.home()
    rows = {row.name: row for row in _rows()}
    titles = {name: _title(row) for name, row in rows.items()} | {ADD: "Add a TensorFlow Hub module"}
    if wanted := st.session_state.pop("_choose_backbone", ""):
        st.session_state["backbone"] = wanted  # a module that was added just now
    if st.session_state.get("backbone", next(iter(titles))) not in titles:
        del st.session_state["backbone"]  # a module that was deleted since
    name = st.selectbox(
        "Backbone", list(titles), format_func=titles.__getitem__, key="backbone", persist_state="session",
        help="↓: not on this machine yet, to fetch",
    )  # fmt: skip
    if name == ADD:
        return Choice(None, "Add the module first, or choose another backbone.")
    row = rows[name]
    came_from = assets.source_of(home, assets.asset(row.asset)) if row.asset else ""
    st.caption(
        f"{row.size}×{row.size} pixels, bottleneck {row.width:,} wide, {size(1e6 * row.megabytes)}",
        help=f"{row.source}. {row.licence}." + (f" Here from {came_from}." if came_from else ""),
    )
    if assets.find_backbone(home, row) is None:
        return Choice(row, f"{row.title} is not on this machine yet; fetch it first.")
    return Choice(row)


def _rows() -> list[catalog.Backbone]:
    return [*catalog.BACKBONES, *catalog.added_backbones(lab.home()), *catalog.ORIGINALS]


def _title(row: catalog.Backbone) -> str:
    # The mark comes first: the ends of long titles are cut off in a narrow column.
    return row.title if assets.find_backbone(lab.home(), row) else f"↓ {row.title}"


def show(choice: Choice) -> None:
    """The card in the place of results that brings the chosen backbone here; nothing where it is here."""
    if choice.row is None:
        _add_module()
    elif choice.fault and not choice.row.asset:
        st.error(f"The weights of {choice.row.title} are no longer on this machine. Add the module again.")
    elif choice.fault:
        _fetch(choice.row)


def _select(name: str) -> None:
    st.session_state["backbone"] = name


# --- a backbone of the tables ----------------------------------------------------------------------------------------


def _fetch(row: catalog.Backbone) -> None:
    asset = assets.asset(row.asset)

    def fetch(progress: assets.Progress) -> None:
        assets.fetch_backbone(lab.home(), row, progress=progress)

    with st.container(border=True, gap="small", key="backbone_card"):
        st.markdown(f"**{row.title} is not on this machine yet.**")
        parts.fetch_button(asset, fetch, "fetch_backbone")
        stand_in = catalog.STAND_INS.get(row.name)
        if stand_in:
            other = catalog.backbone(stand_in)
            st.button(f"Use {other.title} instead", key="stand_in", on_click=_select, args=(stand_in,))
            st.caption(f"The same architecture, other weights and other figures. {other.source}.")
        if asset.kind == assets.GRAPHS:
            _given_archive(asset, row)


def _given_archive(asset: assets.Asset, row: catalog.Backbone) -> None:
    given = st.file_uploader(
        f"Or give its archive, {asset.archive}", type=["tgz", "gz"], key=f"archive_{asset.name}", max_upload_size=200
    )
    if given is None:
        return
    try:
        assets.give_archive(lab.home(), asset, given, given.name)
    except AssetError as error:
        st.error(str(error), icon=":material/error:")
    else:
        if assets.find_backbone(lab.home(), row):
            st.rerun()
        st.error(f"{given.name} has no {Path(row.weights).name}.", icon=":material/error:")


# --- a module of TensorFlow Hub ---------------------------------------------------------------------------------------


def _add_module() -> None:
    with st.container(border=True, gap="small", key="backbone_card"):
        st.markdown("**Add a TensorFlow Hub module**")
        st.caption(
            "A feature vector or a classifier for pictures, as a SavedModel. It is checked, frozen and kept on this "
            "machine, and is then one of the backbones."
        )
        handle = st.text_input(
            "Its address, or the path of its folder or .tar.gz on the machine that runs the lab",
            key="module_handle",
            placeholder="https://tfhub.dev/google/imagenet/mobilenet_v2_100_224/feature_vector/5",
            persist_state="session",
        ).strip()
        pixels = None
        if handle and st.session_state.get("_module_without_size") == handle:
            pixels = st.number_input("Height and width of its pictures, pixels", *MODULE_SIZES, 224, key="module_size")
            st.caption("The module takes pictures of any size, so that somebody has to choose. 224 is usual.")
        if st.button("Add", key="add_module", icon=":material/add:", type="primary", disabled=not handle):
            _add(handle, pixels)


def _add(handle: str, pixels: int | None) -> None:
    try:
        source = module_source(handle, lab.load_settings().data_roots)
        with st.spinner("Fetching the module and reading it with TensorFlow"):
            row = hub.add(lab.home(), lab.load_settings().worker_python, source, pixels)
    except NeedsSize:
        st.session_state["_module_without_size"] = handle
    except EngineError as error:
        st.error(str(error), icon=":material/error:")
        return
    else:
        st.session_state["_choose_backbone"] = row.name
    st.rerun()


def module_source(handle: str, roots: tuple[Path, ...]) -> str:
    """The address, or the path with its links resolved: a folder or an archive below the roots.

    Raises AssetError. Whether something exists outside the roots is not told.
    """
    if "://" in handle:
        if handle.startswith("https://"):
            return handle
        raise AssetError(f"{handle} is no address that modules are fetched from. Give one that begins with https://.")
    typed = Path(os.path.expanduser(handle)) if "\0" not in handle else Path()
    candidates = [typed] if typed.is_absolute() else [root / typed for root in roots]
    for path in _inside(candidates, roots):
        if os.path.isdir(path) or (os.path.isfile(path) and path.name.endswith(MODULE_ARCHIVES)):
            return str(path)
    where = ", ".join(str(root) for root in roots)
    raise AssetError(
        f"There is no folder and no .tar.gz {handle} below {where}. Move the module there, start the lab with LAB_DATA "
        "set to its folder, or give an address that begins with https://."
    )


def _inside(candidates: list[Path], roots: tuple[Path, ...]) -> list[Path]:
    try:
        resolved = [each.resolve() for each in candidates]
    except (OSError, RuntimeError):  # a loop of links, a name that is too long
        return []
    return [each for each in resolved if any(root in each.parents for root in roots)]


def fill(run: Run[Any]) -> list[str]:
    """Choose the backbone of a run; a sentence where it is gone."""
    st.session_state["backbone"] = run.spec.backbone
    if run.backbone is None:
        return [f"The backbone {run.spec.backbone} has been deleted since: choose another one."]
    return []
