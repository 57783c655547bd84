"""What does this model say about this picture, how sure is it, and how long does that take?"""

import streamlit as st

from engine.errors import EngineError
from engine.models import models
from ui import frame, lab, parts, run_panel
from ui.kinds.batch_classification import results as many_pictures
from ui.playground import playground_answer, playground_pictures, playground_tabs
from ui.playground import playground_models as asking

PURPOSE = "Classify an image, see how sure the model is, and how long an evaluation really takes."
ONE, MANY = "One picture", "Many pictures"
NOTHING = "Its five likeliest labels, how far to believe them, and how long that took appear here."

run_id = st.query_params.get("run", "")
header = frame.begin("Playground", PURPOSE, shown_run=run_id)
run, missing_run = run_panel.find(run_id, "pages/playground.py")


def change_mode() -> None:
    st.query_params.pop("run", None)
    if st.session_state["playground_mode"] == MANY:
        st.query_params["many"] = "1"
        model = asking.offered().models.get(st.session_state.get("playground_model", ""))
        if model is not None and model.group != models.DIGITS and not model.needs:
            st.session_state["many_model"] = model.key  # the one that was asked about a single picture
    else:
        st.query_params.pop("many", None)


is_many = run is not None or bool(missing_run) or st.query_params.get("many") == "1"
st.session_state["playground_mode"] = MANY if is_many else ONE
with header:
    st.segmented_control(
        "How many",
        [ONE, MANY],
        required=True,
        key="playground_mode",
        on_change=change_mode,
        label_visibility="collapsed",
    )


def many() -> None:
    form_column, result_column = st.columns([1, 3.1], gap="medium")
    with form_column:
        place = run_panel.form_place(run)
        if place is not None:
            with place:
                started = many_pictures.form(lab.load_settings())
                if started:
                    st.query_params["run"] = started
                    st.rerun()
    with result_column:
        if missing_run:
            st.error(missing_run, icon=":material/error:")
        if run is not None:
            run_panel.show(run.id)
        else:
            parts.empty("Many pictures", "A table with what each of them shows, and how many are right, appears here.")


def one() -> None:
    offer = asking.offered()
    phone = lab.is_phone()
    left, results = st.columns([1, 3.1], gap=20)
    asked = bool(st.query_params.get("sample"))
    with left:
        place = st.expander("Model and image", expanded=not asked) if phone else st.container(border=True, key="form")
        with place:
            model, missing = asking.choose(offer)
            asking.prepare(model)
            chosen = playground_pictures.choose(model, many_pictures.start_uploads)
            device = parts.device_choice()
            repeats = st.slider("Timing repeats", 10, 200, 50, step=10, key="repeats", persist_state="session")
            measure = st.button(
                "Classify",
                type="primary",
                width="stretch",
                icon=":material/play_arrow:",
                disabled=chosen.picture is None or bool(model.needs),
                help="Asks again, and measures so many repeats",
            )
        with st.expander("Add a model", type="compact"):
            asking.add(lab.load_settings())
    if missing:
        results.warning(missing, icon=":material/info:")
    if model.needs:
        with results:
            parts.fetch(model.needs, model.title, "")
        return
    if chosen.fault:
        with results:
            st.error(f"**There is no picture to classify.** {chosen.fault}", icon=":material/broken_image:")
            st.caption("Nothing was stored. Pick a sample or give another picture to continue.")
        return
    picture = chosen.picture
    if picture is None:
        with results:
            parts.empty("Choose a picture", NOTHING)
            if chosen.to_fetch:
                parts.fetch(chosen.to_fetch, "A sample photo, Grace Hopper,", "")
        return
    with results:
        try:
            card = asking.card(model)
            answer = asking.answer(model, picture, repeats if measure else 0, device)
        except EngineError as error:
            st.error(f"**{picture.name} could not be classified.** {error}", icon=":material/broken_image:")
            st.caption("Nothing was stored. Pick a sample or give another picture to continue.")
            return
    middle, right = results.columns([1.3, 1.8], gap=20)
    with middle:
        playground_answer.seen(answer, picture, card)
    with right:
        playground_answer.said(model, card, picture, answer)
        playground_answer.took(answer)
        playground_answer.quoted_figures(picture, answer, offer.titles[model.key])
        playground_answer.beside(offer, model, picture, answer, repeats if measure else 0, device)
    playground_tabs.show(model, card, picture, answer)
    if phone:
        with st.container(border=True, gap="small"):
            playground_answer.contract(answer, card)


if is_many:
    many()
else:
    one()
