"""What can a pretrained network learn from my photos, and at which learning rate?"""

import streamlit as st

from ui import backbone_choice, frame, retraining_form, run_panel

PURPOSE = (
    "Keep a pretrained network frozen, train a new last layer on your photos, and see what the learning rate does."
)

run_id = st.query_params.get("run", "")
header = frame.begin("Retraining", PURPOSE, shown_run=run_id)

run, missing = run_panel.find(run_id, "pages/retraining.py")


def change_mode() -> None:
    st.query_params["mode"] = st.session_state["mode"]
    run_panel.forget_run()


shown = (run_id, st.query_params.get("mode"))
if st.session_state.get("_mode_of") != shown:  # another address: the switch follows it
    st.session_state["_mode_of"] = shown
    asked = st.query_params.get("mode")
    if run is not None:
        asked = retraining_form.RACE if len(run.lanes) > 1 else retraining_form.SINGLE
    if asked in retraining_form.MODES:
        st.session_state["mode"] = asked
with header:
    mode = st.segmented_control(
        "Experiment",
        list(retraining_form.MODES),
        format_func=retraining_form.MODES.__getitem__,
        default=None if "mode" in st.session_state else retraining_form.RACE,
        required=True,
        key="mode",
        on_change=change_mode,
        label_visibility="collapsed",
        persist_state="session",
    )

form_column, result_column = st.columns([1, 3.1], gap="medium")
form = None
with form_column:
    place = run_panel.form_place(run)
    if place is not None:
        with place:
            form = retraining_form.retrain(mode or retraining_form.RACE)
            if run_id:
                st.button("Look at the photos", key="look", type="tertiary", on_click=run_panel.forget_run)

with result_column:
    if form is not None and form.start:
        retraining_form.start(form)
    if missing:
        st.error(missing, icon=":material/error:")
    if form is not None:
        backbone_choice.show(form.backbone)
    if run is not None:
        run_panel.show(run.id)
    elif form is not None:
        retraining_form.show_photos(form.photos)
