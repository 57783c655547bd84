"""What have I run? Open it, cancel it, delete it."""

import os

import streamlit as st

from engine import runs
from engine.contract import events
from engine.errors import EngineError
from engine.words import count, size
from ui import frame, imported_form, lab, tables

header = frame.begin("Runs", "Everything that was run here, newest first.")
rows = lab.rows()


def remove(run_id: str) -> None:
    try:
        runs.delete(lab.home(), run_id)
    except EngineError as error:
        st.session_state["_not_deleted"] = str(error)


@st.dialog("Delete this run")
def delete(row: lab.RunRow) -> None:
    run = runs.open_run(lab.home(), row.id)
    total = sum(
        os.path.getsize(os.path.join(folder, file)) for folder, _, files in os.walk(run.folder.path) for file in files
    )
    st.markdown(
        f"**{row.title}** goes with everything in its folder, {size(total)}: settings, curves, log, "
        f"{row.contents}. {row.stays}"
    )
    with st.container(horizontal=True):
        if st.button("Delete", key="delete_confirmed", type="primary", on_click=remove, args=(row.id,)):
            st.rerun()
        if st.button("Keep it", key="keep"):
            st.rerun()


if not_deleted := st.session_state.pop("_not_deleted", ""):
    st.error(not_deleted, icon=":material/error:")
if not rows:
    st.markdown("**No runs yet.** They are listed here once one has started.")
    for page, label in (("pages/mnist.py", "Compare networks"), ("pages/retraining.py", "Set up a run")):
        st.page_link(page, label=label, icon=":material/arrow_forward:", icon_position="right")
else:
    actions = st.container(horizontal=True, vertical_alignment="center", key="actions")
    picked = tables.runs_table(rows, key="runs_table", wide=True)
    with actions:
        row = picked
        if row is None:
            st.caption(f"{count(len(rows), 'run')}. Select one to open, cancel or delete it.")
        else:
            active = row.state in (events.QUEUED, events.RUNNING)
            st.page_link(row.page, label="Open", icon=":material/open_in_new:", query_params={"run": row.id})
            if active:
                st.button("Cancel", icon=":material/stop:", on_click=lab.queue().cancel, args=(row.id,))
            elif st.button("Delete", icon=":material/delete:"):
                delete(row)
            st.caption(row.title)
imported_form.show()
