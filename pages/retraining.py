"""What can a pretrained network learn from my photos, and at which learning rate?"""

import streamlit as st

from ui import frame, rooms, run_panel
from ui.choices import backbone_choice
from ui.kinds.race import device_comparison
from ui.kinds.race import form as race_form

PAGE = "pages/retraining.py"
PURPOSE = (
    "Train a new last layer on your photos, see what the learning rate does, and what it costs when more layers learn."
)

run_id = st.query_params.get("run", "")
header = frame.begin("Retraining", PURPOSE, shown_run=run_id)

run, missing = run_panel.find(run_id, PAGE)
compared = "" if run_id else st.query_params.get("compare", "")
halves, not_compared = device_comparison.group_of(compared)
missing = missing or not_compared
offered = {mode: (title, form) for mode, title, form in rooms.forms_on(PAGE)}


def change_mode() -> None:
    st.query_params["mode"] = st.session_state["mode"]
    run_panel.forget_run()


shown = (run_id, compared, st.query_params.get("mode"))
if st.session_state.get("_mode_of") != shown:  # another address: the switch follows it
    st.session_state["_mode_of"] = shown
    asked = st.query_params.get("mode")
    if run is not None:
        asked = rooms.mode_of(run)
    elif halves:
        asked = race_form.DEVICES
    if asked in offered:
        st.session_state["mode"] = asked
with header:
    mode = (
        st.segmented_control(
            "Experiment",
            list(offered),
            format_func=lambda each: offered[each][0],
            default=None if "mode" in st.session_state else race_form.RACE,
            required=True,
            key="mode",
            on_change=change_mode,
            label_visibility="collapsed",
            persist_state="session",
        )
        or race_form.RACE
    )

form_column, result_column = st.columns([1, 3.1], gap="medium")
room, form = offered[mode][1], None
with form_column:
    place = device_comparison.form_place(halves) if halves else run_panel.form_place(run)
    if place is not None:
        with place:
            form = room.show(mode)

with result_column:
    if form is not None and form.start:
        room.start(form)
    if missing:
        st.error(missing, icon=":material/error:")
    if form is not None and hasattr(form, "backbone"):
        backbone_choice.show(form.backbone)
    if run is not None:
        run_panel.show(run.id)
    elif halves:
        device_comparison.show(compared)
    elif form is not None:
        room.describe(form)
