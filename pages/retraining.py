"""What can a pretrained network learn from my photos, and at which learning rate?"""

import streamlit as st

from engine.errors import RunNotFound
from ui import forms, frame, lab, run_panel

PURPOSE = (
    "Keep a pretrained network frozen, train a new last layer on your photos, and see what the learning rate does."
)

run_id = st.query_params.get("run", "")
header = frame.begin("Retraining", PURPOSE, shown_run=run_id)

run, missing = None, ""
if run_id:
    try:
        run = lab.open_run(run_id)
    except RunNotFound as error:
        missing = str(error)


def change_mode() -> None:
    st.query_params["mode"] = st.session_state["mode"]
    forms.forget_run()


shown = (run_id, st.query_params.get("mode"))
if st.session_state.get("_mode_of") != shown:  # another address: the switch follows it
    st.session_state["_mode_of"] = shown
    asked = st.query_params.get("mode")
    if run is not None:
        asked = forms.RACE if len(run.lanes) > 1 else forms.SINGLE
    if asked in forms.MODES:
        st.session_state["mode"] = asked
with header:
    mode = st.segmented_control(
        "Experiment",
        list(forms.MODES),
        format_func=forms.MODES.__getitem__,
        default=None if "mode" in st.session_state else forms.RACE,
        required=True,
        key="mode",
        on_change=change_mode,
        label_visibility="collapsed",
        persist_state="session",
    )

form_column, result_column = st.columns([1, 3.1], gap="medium")
folded = lab.is_phone()
form = None
with form_column:
    if run is not None and run.is_active:
        place = (
            st.expander("Settings of this run") if folded else st.container(border=True, gap="small", key="this_run")
        )
        with place:
            if not folded:
                st.markdown("**This run**")
            forms.this_run(run)
    else:
        place = st.expander("New run", expanded=run is None) if folded else st.container(border=True, key="form")
        with place:
            form = forms.retrain(mode or forms.RACE)
            if run_id:
                st.button("Look at the photos", key="look", type="tertiary", on_click=forms.forget_run)

with result_column:
    if form is not None and form.start:
        forms.start(form)
    if missing:
        st.error(missing, icon=":material/error:")
    if run is not None:
        run_panel.show(run.id)
    elif form is not None:
        forms.show_photos(form.photos)
