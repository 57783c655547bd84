"""What can a pretrained network learn from my photos, and at which learning rate?"""

from typing import Any

import streamlit as st

from ui import frame, run_panel
from ui.retraining import (
    backbone_choice,
    batch_size_form,
    device_comparison,
    fine_tuning_form,
    learning_curve_form,
    retraining_form,
)

PURPOSE = (
    "Train a new last layer on your photos, see what the learning rate does, and what it costs when more layers learn."
)

Form = retraining_form.Form | fine_tuning_form.Form | batch_size_form.Form | learning_curve_form.Form
# By mode; the others have the form of a retraining run.
FORMS: dict[str, Any] = {
    retraining_form.FINE_TUNING: fine_tuning_form,
    retraining_form.BATCH_SIZE: batch_size_form,
    retraining_form.LEARNING_CURVE: learning_curve_form,
}
STARTED_BY = FORMS | {retraining_form.DEVICES: device_comparison}

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
    mode = (
        st.segmented_control(
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
        or retraining_form.RACE
    )

form_column, result_column = st.columns([1, 3.1], gap="medium")
form: Form | None = None
with form_column:
    place = device_comparison.form_place(halves) if halves else run_panel.form_place(run)
    if place is not None:
        with place:
            form = FORMS[mode].show() if mode in FORMS else retraining_form.retrain(mode)
            if (run_id or compared) and not isinstance(form, batch_size_form.Form):
                st.button("Look at the photos", key="look", type="tertiary", on_click=run_panel.forget_run)

with result_column:
    if form is not None and form.start:
        STARTED_BY.get(mode, retraining_form).start(form)
    if missing:
        st.error(missing, icon=":material/error:")
    if form is not None:
        backbone_choice.show(form.backbone)
    if run is not None:
        run_panel.show(run.id)
    elif halves:
        device_comparison.show(compared)
    elif isinstance(form, batch_size_form.Form):
        batch_size_form.describe()
    elif form is not None:
        retraining_form.show_photos(form.photos)
