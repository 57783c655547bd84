"""On Runs: make a run of TensorBoard's files from elsewhere."""

import streamlit as st

from engine import photos
from engine.errors import EngineError, PhotosError
from engine.kinds.imported import importing as imported
from ui import lab


def show() -> None:
    done: imported.Imported | None = st.session_state.pop("_imported", None)
    with st.expander("Import TensorBoard files", type="compact", key="import_expander"):
        st.caption(
            "Event files that retrain.py wrote to its summaries_dir, or that Keras wrote, become a run whose curves "
            "can be laid over those of any retraining run."
        )
        with (
            st.form("import_form", border=False),
            st.container(horizontal=True, vertical_alignment="bottom", gap="small"),
        ):
            typed = st.text_input("Folder with train and validation", key="import_folder", width=420)
            title = st.text_input("Title", key="import_title", placeholder="The folder's name", width=240)
            asked = st.form_submit_button("Import", icon=":material/upload:")
        if asked:
            _import(typed, title)
    if done is not None:
        for warning in done.warnings[:5]:
            st.warning(warning, icon=":material/info:")


def _import(typed: str, title: str) -> None:
    settings = lab.load_settings()
    try:
        folder = photos.allowed(typed, settings.data_roots)
    except PhotosError:
        where = ", ".join(str(root) for root in settings.data_roots)
        st.error(
            f"**{typed.strip() or 'Nothing'} is no folder that the lab may read.** Give the path of a folder on the "
            f"machine that runs the lab, below one of: {where}. LAB_DATA names others.",
            icon=":material/error:",
        )
        return
    try:
        with st.spinner("Reading event files"):
            st.session_state["_imported"] = imported.import_summaries(settings, folder, title)
    except EngineError as error:
        st.error(str(error), icon=":material/error:")
    else:
        st.rerun()
