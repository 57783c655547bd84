"""What the Playground shows below an answer: is it fed rightly, why it says that, how far to believe it, and how to get
the same without the page."""

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from engine.charts import answer_charts
from engine.errors import ClassifierError, EngineError
from engine.models import calibration, heat, models, recipes
from engine.models.classifier import Answer, Heat, Neighbour, Skew
from engine.models.models import Model, ModelCard
from engine.words import Amount, count, many, percent, plain, size
from ui import lab, parts, sorting
from ui.playground import playground_answer
from ui.playground import playground_models as asking
from ui.playground.playground_pictures import Picture

OCCLUSION, GRAD_CAM = "occlusion", "grad_cam"
GRADIENTS_LOAD = "TensorFlow is loaded for the gradients, which takes 4 to 8 seconds the first time."
NEAREST = 8
LABELS_SHOWN = 40


def show(model: Model, card: ModelCard, picture: Picture, answer: Answer) -> None:
    draw = {
        "Why": lambda: _why(model, picture, answer),
        "Skew check": lambda: _skew(model, card, picture),
        "Nearest photos": lambda: _nearest(model, picture),
        "Reliability": lambda: _reliability(model),
        "Command line": lambda: _command_line(model, card, picture),
        "Model": lambda: _model(model, card, answer),
    }
    if model.group != models.RUNS:
        del draw["Nearest photos"], draw["Reliability"]
    if card.is_digit:
        del draw["Skew check"]
    parts.tabs(draw, "playground_tabs")


# --- is it fed rightly -----------------------------------------------------------------------------------------------


def _skew(model: Model, card: ModelCard, picture: Picture) -> None:
    try:
        rows: list[Skew] = asking.ask("skew", model, picture, lambda: lab.classifier().skew(model.key, picture.data))
    except EngineError as error:
        st.caption(str(error))
        return
    usual = next(row for row in rows if row.is_usual)
    st.markdown(skew_verdict(rows))
    if card.by_guess:
        st.warning(card.by_guess, icon=":material/info:")
    label = usual.top[0][0]
    table = [
        {
            "Seen": heat.data_url(row.seen_png),
            "Setting": row.name,
            "Says": row.top[0][0] if row.top[0][0] == label else f"≠ {row.top[0][0]}",
            "Score": percent(row.top[0][1]),
            f"{label}": percent(dict(row.top)[label]) if label in dict(row.top) else Amount(-1, "not among them"),
            "Top five": ", ".join(f"{name} {percent(score)}" for name, score in row.top),
        }
        for row in rows
    ]
    st.dataframe(
        sorting.by_number(table),
        hide_index=True,
        height="content",
        row_height=48,
        column_config={"Seen": st.column_config.ImageColumn(width=60), "Setting": st.column_config.Column(width=280)},
        key="skew_table",
        alt="; ".join(f"{row['Setting']}: {row['Says']} {row['Score']}" for row in table),
    )
    st.caption("Each row is this picture, prepared as a program with that mistake would prepare it for this model.")


def skew_verdict(rows: Sequence[Skew]) -> str:
    """What the wrong settings do to the answer, the worst of them named."""
    usual = next(row for row in rows if row.is_usual)
    label, score = usual.top[0]
    wrong = [row for row in rows if not row.is_usual]
    if not wrong:
        return "**There is no plausible wrong setting for this model.**"
    turned = [row for row in wrong if row.top[0][0] != label]
    moved = {row.name: abs(dict(row.top).get(label, 0.0) - score) for row in wrong}
    worst = max(moved, key=moved.__getitem__)
    if turned:
        names = ", ".join(f"{row.name} says {row.top[0][0]}" for row in turned[:3])
        more = f", and {len(turned) - 3} more" if len(turned) > 3 else ""
        return (
            f"**{count(len(turned), 'wrong setting')} of {len(wrong)} would change the answer**: {names}{more}. A "
            "program that answers otherwise than the lab likely makes one of these mistakes."
        )
    return (
        f"**No wrong setting changes the answer here.** The score of {label} moves most with: {worst}, by "
        f"{moved[worst] * 100:.1f} pt."
    )


# --- why -------------------------------------------------------------------------------------------------------------


def _why(model: Model, picture: Picture, answer: Answer) -> None:
    labels = [label for label, _ in answer.top]
    left, right = st.columns([1, 3.1], gap="medium")
    with left:
        label = st.selectbox("Why", labels, key="why_label") or labels[0]
        occlude = st.button("Occlusion map", key="why_occlusion", width="stretch")
        gradients = st.button("Grad-CAM", key="why_grad_cam", width="stretch")
        st.caption(
            "Occlusion covers one square after another and looks how far the score falls; it works with any model. "
            "Grad-CAM asks the last convolutions; it needs gradients."
        )
    with right:
        shown = 0
        with st.container(horizontal=True, gap="medium"):
            shown += _map(OCCLUSION, "Occlusion map", model, picture, label, occlude)
            shown += _map(GRAD_CAM, "Grad-CAM", model, picture, label, gradients)
        if not shown:
            st.caption("Choose a label and a method; neither runs before that.")


def _map(question: str, title: str, model: Model, picture: Picture, label: str, asked: bool) -> int:
    """Draws a map that was asked for, now or before; 1 where there is something to see."""
    remembered = f"{question} {label}"
    if not asked and asking.known(remembered, model, picture) is None:
        return 0
    classifier = lab.classifier()
    call = classifier.occlusion if question == OCCLUSION else classifier.grad_cam
    words = (
        GRADIENTS_LOAD
        if question == GRAD_CAM
        else f"Covering one square of the picture after another. {asking.why_slow(model)}"
    )
    with st.container(width=336, gap="small"):
        try:
            found: Heat = asking.ask(remembered, model, picture, lambda: call(model.key, picture.data, label), words)
        except ClassifierError as error:
            st.markdown(f"**{title}**")
            st.info(str(error), icon=":material/info:")
            return 1
        where = heat.in_words(found.grid)
        st.markdown(f"**{title}: {plain(found.label)}**")
        st.image(
            heat.overlay(found.seen_png, found.grid),
            width="stretch",
            alt=f"{title} of {picture.name} for {found.label}: strongest at {where}",
        )
        strongest = heat.strongest(found.grid)
        if question == OCCLUSION:
            fall = (
                f"covering it takes {strongest * 100:.1f} pt from its score" if strongest > 0 else "no square matters"
            )
            st.caption(f"Strongest at {where}: {fall} ({percent(found.score)}). {found.seconds:.1f} s.")
        else:
            st.caption(f"Strongest at {where}, in yellow. Score {percent(found.score)}. {found.seconds:.1f} s.")
        return 1


def _nearest(model: Model, picture: Picture) -> None:
    try:
        found: list[Neighbour] = asking.ask(
            "neighbours", model, picture, lambda: lab.classifier().neighbours(model.key, picture.data, NEAREST)
        )
    except EngineError as error:
        st.caption(str(error))
        return
    st.markdown(nearest_verdict(found))
    gone = []
    with st.container(horizontal=True, gap="small", key="nearest"):
        for each in found:
            words = f"{each.label} {each.distance:.3f}"
            small = parts.thumbnail(each.path, 96) if each.path else None
            if small is None:
                gone.append(f"{each.file} ({words})")
                continue
            with st.container(width=max(small[1], 110), gap=None, horizontal_alignment="center"):
                st.image(small[0], width=small[1], alt=f"{each.file}: {words}")
                st.caption(words, text_alignment="center")
    if gone:
        st.caption(f"No longer readable at their place: {'; '.join(gone)}.")
    st.caption("By the cosine distance of their bottlenecks: 0 is the same direction, 1 has nothing in common.")


def nearest_verdict(found: Sequence[Neighbour]) -> str:
    """ "**7 of the 8 nearest training photos are daisy.**" """
    if not found:
        return "**There are no training photos to compare with.**"
    labels = [each.label for each in found]
    common = max(set(labels), key=labels.count)
    same = " The nearest is this very picture." if found[0].distance < 1e-5 else ""
    return f"**{labels.count(common)} of the {len(labels)} nearest training photos are {common}.**{same}"


# --- how far to believe it -------------------------------------------------------------------------------------------


def _reliability(model: Model) -> None:
    measured = playground_answer.measured_of(model)
    if measured is None:
        st.caption("Reliability was never measured for this run: it is older than this tab, or it was stopped.")
        return
    st.markdown(f"**{calibration.temperature_in_words(measured)}**")
    st.vega_lite_chart(
        answer_charts.reliability(measured.bins, lab.is_dark()),
        width="stretch",
        key="reliability",
        alt=answer_charts.reliability_in_words(measured.bins),
    )
    st.caption(calibration.false_alarms_in_words(measured.none_of_these))


# --- the same without the page ---------------------------------------------------------------------------------------


def _command_line(model: Model, card: ModelCard, picture: Picture) -> None:
    path = str(picture.path) if picture.path else Path(picture.name).name
    st.markdown("**The same answer on the command line**, in the lab's folder:")
    st.code(recipes.command(lab.load_settings(), model, path), language=None, wrap_lines=True)
    if picture.path is None:
        st.download_button(
            f"Download {Path(picture.name).name}",
            data=picture.data,
            file_name=Path(picture.name).name,
            key="download_picture",
            icon=":material/download:",
            on_click="ignore",
            help="The command reads it from the folder where it is typed",
        )
    folder = lab.home().run(model.run) if model.run else None
    if folder is None or model.group != models.RUNS or not model.is_kept:
        why = "of the lane that a run kept" if model.run else "of runs"
        st.caption(f"Python snippets are shown {why}: only there files are exported.")
        return
    for title, exists, text in (
        ("SavedModel", Path(folder.saved_model).is_dir(), recipes.saved_model(folder, card, path)),
        ("Frozen graph", Path(folder.graph).is_file(), recipes.graph(folder, card, path)),
    ):
        if exists:
            st.markdown(f"**In Python, from the exported {title}**, with TensorFlow:")
            st.code(text, language=None, wrap_lines=True)


def _model(model: Model, card: ModelCard, answer: Answer) -> None:
    rows = {
        "Model": model.title,
        "Key": f"`{model.key}`",
        "Where it comes from": card.source,
        "Licence": card.licence or "not known",
        "Parameters": many(card.parameters) if card.parameters else "not known",
        "Size on disk": size(card.bytes),
        "Input": f"`{answer.input_layer}`, {card.height} × {card.width} pixels",
        "Scale": playground_answer.scale(card),
        "Decode": card.decoder,
        "Resize": card.resize,
        "Output": f"`{answer.output_layer}`, {count(answer.classes, 'class')}",
        "Answered by": f"{answer.runtime} on {answer.device}",
        "Classifier": asking.resident() or "nothing in memory",
    }
    if card.by_guess:
        st.warning(card.by_guess, icon=":material/info:")
    parts.settings_table(rows)
    shown = ", ".join(plain(label) for label in card.labels[:LABELS_SHOWN])
    more = f", and {len(card.labels) - LABELS_SHOWN:,} more" if len(card.labels) > LABELS_SHOWN else ""
    st.caption(f"{count(len(card.labels), 'label')}: {shown}{more}.")
    if model.group == models.UPLOADED:
        asking.delete(model)
