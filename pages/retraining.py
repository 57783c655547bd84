"""What can a pretrained network learn from my photos, and at which learning rate?"""

import streamlit as st

from ui import (
    backbone_choice,
    batch_size_form,
    device_comparison,
    fine_tuning_form,
    frame,
    learning_curve_form,
    retraining_form,
    run_panel,
)

PURPOSE = (
    "Train a new last layer on your photos, see what the learning rate does, and what it costs when more layers learn."
)

run_id = st.query_params.get("run", "")
header = frame.begin("Retraining", PURPOSE, shown_run=run_id)

run, missing = run_panel.find(run_id, "pages/retraining.py")
compared = "" if run_id else st.query_params.get("compare", "")
halves, not_compared = device_comparison.group_of(compared)
missing = missing or not_compared


def change_mode() -> None:
    st.query_params["mode"] = st.session_state["mode"]
    run_panel.forget_run()


shown = (run_id, compared, st.query_params.get("mode"))
if st.session_state.get("_mode_of") != shown:  # another address: the switch follows it
    st.session_state["_mode_of"] = shown
    asked = st.query_params.get("mode")
    if run is not None:
        asked = retraining_form.mode_of(run)
    elif halves:
        asked = retraining_form.DEVICES
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
form: retraining_form.Form | None = None
tuning: fine_tuning_form.Form | None = None
sizes: batch_size_form.Form | None = None
curve: learning_curve_form.Form | None = None
with form_column:
    place = device_comparison.form_place(halves) if halves else run_panel.form_place(run)
    if place is not None:
        with place:
            if mode == retraining_form.BATCH_SIZE:
                sizes = batch_size_form.show()
            elif mode == retraining_form.FINE_TUNING:
                tuning = fine_tuning_form.show()
            elif mode == retraining_form.LEARNING_CURVE:
                curve = learning_curve_form.show()
            else:
                form = retraining_form.retrain(mode or retraining_form.RACE)
            if (run_id or compared) and sizes is None:
                st.button("Look at the photos", key="look", type="tertiary", on_click=run_panel.forget_run)

with result_column:
    if form is not None and form.start:
        (device_comparison if mode == retraining_form.DEVICES else retraining_form).start(form)
    if tuning is not None and tuning.start:
        fine_tuning_form.start(tuning)
    if sizes is not None and sizes.start:
        batch_size_form.start(sizes)
    if curve is not None and curve.start:
        learning_curve_form.start(curve)
    if missing:
        st.error(missing, icon=":material/error:")
    if filled := form or tuning or curve or sizes:
        backbone_choice.show(filled.backbone)
    if run is not None:
        run_panel.show(run.id)
    elif halves:
        device_comparison.show(compared)
    elif chosen := form or tuning or curve:
        retraining_form.show_photos(chosen.photos)
    elif sizes is not None:
        batch_size_form.describe()
