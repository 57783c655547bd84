"""The Playground's cards: what the model sees, what it says, how long that takes, and what other models say."""

import io
from collections.abc import Sequence

import streamlit as st
from PIL import Image, ImageOps

from engine import runs
from engine.charts import answer_charts, playground_charts
from engine.errors import EngineError
from engine.models import calibration, models
from engine.models.classifier import Answer, Outlier
from engine.models.models import Model, ModelCard
from engine.questions import quoted
from engine.words import count, duration, join, percent, plain
from ui import lab, parts, sorting
from ui.playground import playground_models as asking
from ui.playground.playground_pictures import Picture

SMALL = 224  # pixels: pictures that a network sees smaller are enlarged on the page


# --- what the model sees ---------------------------------------------------------------------------------------------


def seen(answer: Answer, picture: Picture, card: ModelCard) -> None:
    with st.container(border=True, gap="small", key="seen"):
        st.markdown("**What the model sees**")
        with Image.open(io.BytesIO(answer.seen_png)) as image:
            size = f"{image.width}×{image.height}"
            is_small = card.is_digit or image.width < SMALL
        shown = _enlarged(answer.seen_png, card.is_digit) if is_small else answer.seen_png
        st.image(shown, width="stretch", alt=f"{picture.alt or picture.name} as the network reads it, {size} pixels")
        words = f"{answer.width}×{answer.height} photo, resized to {size}"
        st.caption(f"{size}, centred as MNIST's digits are" if card.is_digit else words)
        if picture.attribution:
            st.caption(picture.attribution)
        if not lab.is_phone():
            contract(answer, card)


@st.cache_data(max_entries=32, show_spinner=False)
def _enlarged(png: bytes, is_digit: bool) -> bytes:
    """Each pixel a sharp square, so that the browser blurs nothing; digits black on white, as on other pages."""
    with Image.open(io.BytesIO(png)) as small:
        image = small.convert("RGB")
    if is_digit:
        image = ImageOps.invert(image)
    times = max(1, -(-2 * SMALL // image.width))
    out = io.BytesIO()
    image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST).save(out, "PNG")
    return out.getvalue()


def contract(answer: Answer, card: ModelCard) -> None:
    """What a picture has to go through, as a small table."""
    st.markdown("**Contract**")
    labels = count(len(card.labels) or answer.classes, "label")
    channels = "28×28" if card.is_digit else f"{card.height}×{card.width}×3"
    rows = {
        "Input": f"`{answer.input_layer or card.input_layer}` 1×{channels}",
        "Scale": scale(card),
        "Resize": card.resize,
        "Output": f"`{answer.output_layer}`, {labels}" if answer.output_layer else labels,
        "From": card.source.partition(";")[0],
    }
    parts.settings_table(rows)


def scale(card: ModelCard) -> str:
    """ "RGB, 0…255 to −1…1", or mean and std of each colour."""
    what = "gray" if card.is_digit else "RGB"
    if len(set(card.mean)) == 1 and len(set(card.std)) == 1:
        low, high = (0 - card.mean[0]) / card.std[0], (255 - card.mean[0]) / card.std[0]
        if (low, high) == (0, 255):
            return f"{what}, 0…255 as it is"
        return f"{what}, 0…255 to {_number(low)}…{_number(high)}"
    means, stds = (" ".join(f"{value:.4g}" for value in values) for values in (card.mean, card.std))
    return f"{what}, 0…255 minus {means}, divided by {stds}"


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")


# --- what it says ----------------------------------------------------------------------------------------------------


def said(model: Model, card: ModelCard, picture: Picture, answer: Answer) -> None:
    if answer.was_restarted:
        st.info("The classifier had stopped. It was started again and has answered.", icon=":material/replay:")
    with st.container(border=True, gap="small", key="answer"):
        label, score = answer.top[0]
        st.subheader(f"{plain(label.capitalize())} :gray[{percent(score)}]", anchor=False)
        words = ", ".join(f"{name} {percent(value)}" for name, value in answer.top)
        st.vega_lite_chart(
            answer_charts.top_bars(answer.top, lab.is_dark()),
            width="stretch",
            key="top_five",
            alt=f"Top five: {words}.",
        )
        if picture.label and picture.label.casefold() in {each.casefold() for each in card.labels}:
            right = picture.label.casefold() == label.casefold()
            st.caption(f"It is labelled {picture.label}: {'right' if right else 'wrong'}.")
        _believed(model, picture, answer)
        st.caption(f"With {answer.runtime} on {answer.device}. {answer.note}".strip())
        if card.by_guess:
            st.warning(card.by_guess, icon=":material/info:")


def _believed(model: Model, picture: Picture, answer: Answer) -> None:
    """How far the score can be believed, and whether the picture is none of what the run learned."""
    if model.group != models.RUNS:
        return
    measured = measured_of(model)
    if measured is None:
        st.caption("How far such scores can be believed was never measured for this run: it is older, or was stopped.")
        return
    try:
        found = asking.ask("outlier", model, picture, lambda: lab.classifier().outlier(model.key, picture.data))
    except EngineError as error:
        st.caption(str(error))
        return
    st.caption(calibration.reading(measured, found.score))
    if found.is_none_of_these:
        false_alarms = calibration.false_alarms_in_words(measured.none_of_these)
        st.warning(f"**Perhaps none of these.** {none_of_these(found)} {false_alarms}", icon=":material/help:")


def none_of_these(found: Outlier) -> str:
    """Why a picture is taken for none of what was learned."""
    why = []
    if (
        found.distance is not None
        and found.distance_threshold is not None
        and found.distance > found.distance_threshold
    ):
        why.append(
            f"no training photo is near: the nearest lies {found.distance:.2f} away, beyond the usual "
            f"{found.distance_threshold:.2f}"
        )
    if found.score < found.score_threshold:
        why.append(f"its calibrated score, {percent(found.score)}, is below {percent(found.score_threshold)}")
    return f"This picture looks like nothing that the run learned from: {join(why)}." if why else ""


def measured_of(model: Model) -> calibration.Calibration | None:
    return _calibration(lab.home().path, model.run, model.lane)


@st.cache_data(max_entries=64, show_spinner=False)
def _calibration(home_path: str, run_id: str, lane: str) -> calibration.Calibration | None:
    try:
        return calibration.read(runs.open_run(lab.home(), run_id), lane)
    except EngineError:
        return None


# --- how long it takes -----------------------------------------------------------------------------------------------


def took(answer: Answer) -> None:
    with st.container(border=True, gap="small", key="evaluation_time"):
        st.markdown("**Evaluation time**")
        st.markdown(f"`Evaluation time (1-image): {answer.first_seconds:.3f}s`")
        timed = answer.p50_seconds is not None
        rate = 1 / (answer.p50_seconds or answer.seconds)
        with st.container(horizontal=True, horizontal_alignment="distribute", gap="small"):
            usual = _milliseconds(answer.p50_seconds or answer.seconds)
            st.metric("p50" if timed else "This image", usual, width="content")
            st.metric("p95", _milliseconds(answer.p95_seconds), width="content")
            st.metric(
                "First image",
                _milliseconds(answer.load_seconds + answer.first_seconds),
                help=f"Loads the model in {_milliseconds(answer.load_seconds)}, then calls it for the first time in "
                f"{_milliseconds(answer.first_seconds)}. Not part of p50 and p95.",
                width="content",
            )
            st.metric("Rate", f"{rate:,.0f} / s" if rate >= 9.5 else f"{rate:.1f} / s", width="content")
        dark = lab.is_dark()
        if answer.p50_seconds is not None and answer.p95_seconds is not None and answer.repeat_seconds:
            st.vega_lite_chart(
                playground_charts.histogram(answer.repeat_seconds, answer.p50_seconds, answer.p95_seconds, dark),
                width="stretch",
                key="time_histogram",
                alt=f"{len(answer.repeat_seconds)} calls: half take up to {_milliseconds(answer.p50_seconds)}, 95 of "
                f"100 up to {_milliseconds(answer.p95_seconds)}.",
            )
        stages = [("Decode", answer.decode_seconds), ("Resize", answer.resize_seconds), ("Network", answer.seconds)]
        words = " → ".join(f"{name} {_milliseconds(seconds)}" for name, seconds in stages)
        how = f"{count(len(answer.repeat_seconds), 'repeat')} of the same image, {answer.device}, batch 1."
        st.caption(f"{words}. {how if timed else 'Classify measures repeats too.'}")


def _milliseconds(seconds: float | None) -> str:
    """ "20.9 ms", "0.31 ms", "7.88 s" """
    if seconds is None:
        return "–"
    if seconds >= 0.9995:
        return f"{seconds:.2f} s" if seconds < 60 else duration(seconds)
    return f"{seconds * 1000:.2f} ms" if seconds < 0.00995 else f"{seconds * 1000:.1f} ms"


# --- the same image, other models ------------------------------------------------------------------------------------


def beside(offer: asking.Offer, model: Model, picture: Picture, answer: Answer, repeats: int, device: str) -> None:
    """The same picture through up to three more models, and where they disagree."""
    with st.container(border=True, gap="small", key="beside"):
        st.markdown("**Same image, other models**")
        kin = [
            key
            for key, each in offer.models.items()
            if key != model.key and not each.needs and (each.group == models.DIGITS) == (model.group == models.DIGITS)
        ]
        chosen = [key for key in st.session_state.get("beside_models", []) if key in kin]
        left = [key for key in kin if key not in chosen]
        answers = [(model, answer)]
        for key in chosen:
            try:
                answers.append((offer.models[key], asking.answer(offer.models[key], picture, repeats, device)))
            except EngineError as error:
                st.error(f"**{offer.titles[key]} gave no answer.** {error}", icon=":material/error:")
        if len(answers) > 1:
            st.markdown(agreement([(offer.titles[each.key], found) for each, found in answers]))
            _beside_table([(offer.titles[each.key], found) for each, found in answers])
        if left and len(chosen) < asking.BESIDE:
            st.selectbox(
                "Add a model",
                left,
                index=None,
                format_func=lambda key: offer.titles[key],
                placeholder="Add a model",
                key="beside_add",
                on_change=_add_beside,
                label_visibility="collapsed",
            )
        elif not chosen:
            st.caption("There is no other model for such pictures yet.")
        if chosen:
            st.button("Clear", key="beside_clear", type="tertiary", on_click=_clear_beside)


def _add_beside() -> None:
    key = st.session_state.get("beside_add")
    if key:
        st.session_state["beside_models"] = [*st.session_state.get("beside_models", []), key]
        st.session_state["beside_add"] = None


def _clear_beside() -> None:
    st.session_state["beside_models"] = []


def agreement(answers: Sequence[tuple[str, Answer]]) -> str:
    """ "**Both say daisy.**", or who says what."""
    says: dict[str, list[str]] = {}
    for title, answer in answers:
        says.setdefault(answer.top[0][0].casefold(), []).append(title)
    if len(says) == 1:
        return f"**{'Both' if len(answers) == 2 else f'All {len(answers)}'} say {plain(next(iter(says)))}.**"
    groups = [f"{join(titles)} {'say' if len(titles) > 1 else 'says'} {plain(label)}" for label, titles in says.items()]
    return f"**They disagree.** {'; '.join(groups)}."


def _beside_table(answers: Sequence[tuple[str, Answer]]) -> None:
    first = answers[0][1].top[0][0].casefold()
    table = []
    for title, answer in answers:
        label, score = answer.top[0]
        marked = label if label.casefold() == first else f"≠ {label}"
        table.append(
            {"Model": title, "Top class": marked, "Score": percent(score)}
            | {"p50": _milliseconds(answer.p50_seconds or answer.seconds), "p95": _milliseconds(answer.p95_seconds)}
        )
    right = {name: st.column_config.Column(alignment="right") for name in ("Score", "p50", "p95")}
    right["p50"] = st.column_config.Column(alignment="right", help="One call, where repeats were not measured")
    st.dataframe(
        sorting.by_number(table),
        hide_index=True,
        height="content",
        placeholder="–",
        column_config=right,
        key="beside_table",
        alt="; ".join(f"{row['Model']}: {row['Top class']} {row['Score']}" for row in table),
    )


# --- quoted ----------------------------------------------------------------------------------------------------------


def quoted_figures(picture: Picture, answer: Answer, title: str) -> None:
    """The coursework's figures for this very photo beside ours; nothing for any other."""
    found = quoted.of(picture.name, picture.data)
    if found is None:
        return
    with st.container(border=True, gap="small", key="quoted"):
        st.markdown("**The coursework's figures, quoted**")
        here = {label.casefold(): score for label, score in answer.top}
        rows = [
            {"Label": label, "Quoted": f"{score:.5f}", "Here": _score(here.get(label.casefold()))}
            for label, score in found.top
        ]
        rows.append(
            {"Label": "Evaluation time", "Quoted": f"{found.seconds:.3f} s", "Here": f"{answer.first_seconds:.3f} s"}
        )
        right = {name: st.column_config.Column(alignment="right") for name in ("Quoted", "Here")}
        st.dataframe(
            sorting.by_number(rows),
            hide_index=True,
            height="content",
            placeholder="–",
            column_config=right,
            key="quoted_table",
            alt="; ".join(
                f"{row['Label']}: quoted {row['Quoted']}, here {row['Here'] or 'not among the top'}" for row in rows
            ),
        )
        st.caption(f"{found.model}. {found.source} Here: {title}.")


def _score(value: float | None) -> str | None:
    return None if value is None else f"{value:.5f}"
