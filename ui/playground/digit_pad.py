"""Draw a digit: a field to draw on, what the networks of a run are given, and what each of them says of it."""

import io
import random
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import streamlit as st
from PIL import Image

from engine import runs
from engine.charts import base
from engine.contract import catalog
from engine.contract.kinds.mnist import NetworkExported
from engine.digits import digits
from engine.errors import DigitsError, EngineError
from engine.models.classifier import DigitAnswer
from engine.words import count, percent
from ui import lab

PICTURE_SIDE = 170  # pixels on the page: 28 x 28 squares of 6, and a line around them
CARD_WIDTH = 184  # pixels: four side by side
PHOTO_TYPES = ["jpg", "jpeg", "png", "webp", "bmp", "gif"]

# --- the field -------------------------------------------------------------------------------------------------------

HTML = """
<div class="pad">
  <canvas width="560" height="560" role="img"
    aria-label="Drawing field. Draw a digit with mouse, pen or finger; a test picture or a photo does without drawing.">
  </canvas>
  <div class="row">
    <button type="button" class="undo">Undo</button>
    <button type="button" class="clear">Clear</button>
  </div>
</div>
"""

# Paper is white and ink black in both schemes, as the digits elsewhere; the rest follows the theme.
CSS = """
.pad { max-width: 280px; }
canvas {
  display: block; box-sizing: border-box; width: 100%; aspect-ratio: 1; background: #fff; cursor: crosshair;
  border: 1px solid var(--st-border-color); border-radius: var(--st-base-radius);
  touch-action: none; user-select: none; -webkit-user-select: none;
}
.row { display: flex; gap: 8px; margin-top: 8px; }
button {
  flex: 1; min-height: 34px; font: inherit; font-family: var(--st-font); font-size: 0.875rem;
  color: var(--st-text-color); background: var(--st-background-color); cursor: pointer;
  border: 1px solid var(--st-border-color); border-radius: var(--st-button-radius);
}
@media (hover: hover) { button:hover { border-color: var(--st-primary-color); color: var(--st-primary-color); } }
button:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 2px; }
"""

# `ink`, the component's state: the drawing as a PNG in a data URL after each stroke, "" where nothing is drawn.
# `data`: {"ink": a drawing to go on with, "wiped": a number that changes when the page wants the field blank}.
JS = """
const SIDE = 560, BRUSH = 46;  // about a twelfth: a digit that fills the field gets strokes as thick as those of MNIST

export default function ({ parentElement, data, setStateValue }) {
  const canvas = parentElement.querySelector("canvas");
  const known = canvas.pad;  // this runs again for all that the page hands over, on the same canvas
  if (known) {
    known.send = setStateValue;
    if (data.wiped !== known.wiped) {
      known.wiped = data.wiped;
      known.before = null;
      known.strokes = [];
      known.draw();
    }
    return;
  }

  const pen = canvas.getContext("2d");
  const pad = { send: setStateValue, wiped: data.wiped, before: null, strokes: [], draw };
  canvas.pad = pad;
  let pointer = null;  // the one that draws: a palm that rests on the glass does not

  function draw() {
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, SIDE, SIDE);
    if (pad.before) pen.drawImage(pad.before, 0, 0, SIDE, SIDE);
    pen.strokeStyle = pen.fillStyle = "#000";
    pen.lineWidth = BRUSH;
    pen.lineCap = pen.lineJoin = "round";
    for (const stroke of pad.strokes) {
      pen.beginPath();
      pen.arc(...stroke[0], BRUSH / 2, 0, 2 * Math.PI);  // a line without length would leave no dot
      pen.fill();
      pen.beginPath();
      for (const point of stroke) pen.lineTo(...point);
      pen.stroke();
    }
  }

  function send() {
    const blank = !pad.before && pad.strokes.length === 0;
    pad.send("ink", blank ? "" : canvas.toDataURL("image/png"));
  }

  function place(event) {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * SIDE / box.width, (event.clientY - box.top) * SIDE / box.height];
  }

  canvas.addEventListener("pointerdown", event => {
    if (pointer !== null || event.button !== 0) return;
    event.preventDefault();
    pointer = event.pointerId;
    canvas.setPointerCapture(pointer);  // a stroke that leaves the field comes back to it
    pad.strokes.push([place(event)]);
    draw();
  });
  canvas.addEventListener("pointermove", event => {
    if (event.pointerId !== pointer) return;
    const all = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
    for (const each of all.length ? all : [event]) pad.strokes.at(-1).push(place(each));
    draw();
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, event => {
      if (event.pointerId !== pointer) return;
      pointer = null;
      send();
    });
  }
  parentElement.querySelector(".clear").addEventListener("click", () => {
    pad.before = null;
    pad.strokes = [];
    draw();
    send();
  });
  parentElement.querySelector(".undo").addEventListener("click", () => {
    if (pad.strokes.length) pad.strokes.pop();
    else pad.before = null;
    draw();
    send();
  });

  draw();
  if (data.ink) {  // drawn before another tab was looked at
    const image = new Image();
    image.onload = () => { pad.before = image; draw(); };
    image.src = data.ink;
  }
}
"""

_field = st.components.v2.component("digit_pad", html=HTML, css=CSS, js=JS)
FIELD_KEY = "digit_pad"


def pad(ink: str, wiped: int, on_ink: Callable[[], None]) -> None:
    """The field. `ink`: a drawing to go on with; a new `wiped` blanks it; after `on_ink` ask `drawn`."""
    _field(key=FIELD_KEY, data={"ink": ink, "wiped": wiped}, on_ink_change=on_ink)


def drawn() -> str:
    """The drawing as a PNG in a data URL, "" where nothing is drawn."""
    return st.session_state[FIELD_KEY].get("ink") or ""


# --- the tab ---------------------------------------------------------------------------------------------------------

DRAWING, TEST_PICTURE, PHOTO = "drawing", "test picture", "photo"


@dataclass
class Visitor:
    """What this visitor did last. Kept for the session, so that a drawing meets the networks of the next run too."""

    source: str = DRAWING
    ink: str = ""
    wiped: int = 0  # counts up to blank the field
    photos: int = 0  # counts up to empty the uploader
    seed: int = field(default_factory=lambda: random.randrange(2**31))  # of the test picture

    def draw(self) -> None:
        self.source, self.ink = DRAWING, drawn()
        self.photos += 1

    def take_test_picture(self) -> None:
        self.source, self.ink, self.seed = TEST_PICTURE, "", random.randrange(2**31)
        self.photos += 1
        self.wiped += 1

    def take_photo(self) -> None:
        self.source, self.ink = PHOTO, ""
        self.wiped += 1


@dataclass(frozen=True)
class Given:
    """What the networks are asked about."""

    pixels: np.ndarray  # (28, 28) uint8, 0 paper, 255 ink
    words: str  # where it comes from
    truth: int | None  # its class, where that is known
    mass: tuple[float, float] | None  # row and column of its centre of mass before it was moved; None: it came centred


def show(run: runs.Run) -> None:
    """The tab of a comparison; redraws itself alone after each stroke."""
    if not run.story.by_lane(NetworkExported):
        words = "You can draw as soon as the networks are exported." if run.is_active else "No network was exported."
        st.caption(words)
        return
    st.fragment(_tab)(run)


def _tab(run: runs.Run) -> None:
    visitor: Visitor = st.session_state.setdefault("_digit_visitor", Visitor())
    labels = _labels(run)
    left, right = st.columns([1, 1.7], gap="medium")
    with left:
        pad(visitor.ink, visitor.wiped, visitor.draw)
        source = _source(run)
        if source is not None:
            st.button(
                "One from the test pictures",
                key="digit_test",
                icon=":material/casino:",
                on_click=visitor.take_test_picture,
            )
        uploaded = st.file_uploader(
            "Or a photo of one digit",
            type=PHOTO_TYPES,
            key=f"digit_photo_{visitor.photos}",
            max_upload_size=50,
            on_change=visitor.take_photo,
        )
    with right:
        try:
            given = _given(visitor, source, uploaded.getvalue() if uploaded else None)
        except DigitsError as error:
            given = None
            if visitor.source == DRAWING:
                st.caption(str(error))
            else:
                st.error(str(error), icon=":material/error:")
        else:
            if given is None:
                st.markdown(f"**Draw a digit, and {_all(run)} once say what they see.**")
        answers = _ask(run, given) if given else []
        if given and answers:
            st.markdown(verdict(answers, run.titles, labels, given.truth))
        _pictures(run, given)
    if answers:
        _cards(answers, run.titles, labels)
    st.page_link(
        "pages/playground.py",
        label="Open in the Playground",
        icon=":material/arrow_forward:",
        icon_position="right",
        query_params={"model": f"{run.id}:{run.lanes[0]}"},
    )


def _given(visitor: Visitor, source: digits.Source | None, photo: bytes | None) -> Given | None:
    """None before the visitor did anything. Raises DigitsError."""
    if visitor.source == TEST_PICTURE and source is not None and source.path is not None:
        index = visitor.seed % digits.how_many(source.path)
        pixels, truth = digits.test_picture(source.path, index)
        return Given(pixels, f"test picture {index:,}", truth, None)
    if visitor.source == PHOTO and photo is not None:
        ink, words = digits.ink_of(photo), "your photo"
    elif visitor.source == DRAWING and visitor.ink:
        ink, words = digits.drawing(visitor.ink), "your drawing"
    else:
        return None
    centred = digits.centre(ink)
    return Given(centred.pixels, words, None, (centred.row, centred.column))


def _ask(run: runs.Run, given: Given) -> list[DigitAnswer]:
    try:
        return lab.classifier().digit(run.id, given.pixels)
    except EngineError as error:
        st.error(f"**The networks could not be asked.** {error}", icon=":material/error:")
        return []


def _source(run: runs.Run) -> digits.Source | None:
    """The set that the run learned from, if it is here."""
    found = digits.sources(lab.load_settings())
    return next((row for row in found if row.key == run.spec.data and row.path is not None), None)


def _labels(run: runs.Run) -> tuple[str, ...]:
    return catalog.digit_set(run.spec.data).labels


def _all(run: runs.Run) -> str:
    return "the network will at" if len(run.lanes) == 1 else f"all {len(run.lanes)} networks will at"


# --- words -----------------------------------------------------------------------------------------------------------


def verdict(
    answers: Sequence[DigitAnswer], titles: dict[str, str], labels: Sequence[str], truth: int | None = None
) -> str:
    """ "**3 of 4 networks say 7.** Small says 1. It is labelled 7." """
    says: dict[int, list[str]] = {}
    for answer in answers:
        says.setdefault(_likeliest(answer), []).append(titles[answer.lane])
    groups = sorted(says.items(), key=lambda group: -len(group[1]))  # stable: of equal ones the first lane's leads
    most, agreed = groups[0]
    total = len(answers)
    if total == 1:
        found = f"**{agreed[0]} says {labels[most]}.**"
    elif len(groups) == 1:
        found = f"**{'Both' if total == 2 else f'All {total}'} networks say {labels[most]}.**"
    elif len(agreed) == 1:
        found = "**The networks disagree.** " + " ".join(f"{names[0]} says {labels[at]}." for at, names in groups)
    else:
        found = f"**{len(agreed)} of {total} networks say {labels[most]}.** " + " ".join(
            f"{' and '.join(names)} {'say' if len(names) > 1 else 'says'} {labels[at]}." for at, names in groups[1:]
        )
    if truth is None:
        return found
    right = len(says.get(truth, []))
    return f"{found} It is labelled {labels[truth]}: {count(right, 'network') if right else 'no network'} right."


def _likeliest(answer: DigitAnswer) -> int:
    return max(range(len(answer.probabilities)), key=answer.probabilities.__getitem__)


def _milliseconds(seconds: float) -> str:
    """ "0.01 ms", "0.4 ms", "12 ms": networks this small take less than the whole milliseconds of other pages."""
    return f"{1000 * seconds:.2g} ms" if seconds < 0.00995 else f"{1000 * seconds:.0f} ms"


# --- pictures --------------------------------------------------------------------------------------------------------


def _pictures(run: runs.Run, given: Given | None) -> None:
    mean = _mean(run)
    with st.container(horizontal=True, gap="small", key="digit_pictures"):
        if given:
            with st.container(width=PICTURE_SIDE, gap=4):
                st.image(
                    enlarged(given.pixels),
                    width=PICTURE_SIDE,
                    alt=f"{given.words}, as 28 x 28 gray pixels".capitalize(),
                )
                st.caption("What the networks see")
        if mean is not None:
            with st.container(width=PICTURE_SIDE, gap=4):
                st.image(enlarged(mean, cross=True), width=PICTURE_SIDE, alt="A round blot, darkest around its middle")
                st.caption("The mean of the training pictures")
    if given and given.mass:
        row, column = given.mass
        st.caption(
            f"Scaled to 20 pixels on its longer side and put into 28 × 28, your digit had its centre of mass at row "
            f"{row:.1f}, column {column:.1f}. It was moved to row 14, column 14, the cross, where the makers of MNIST "
            "put every digit, so that the networks need not know digits elsewhere."
        )
    elif given:
        st.caption("A test picture comes centred as the networks learned it: 28 × 28, nothing is moved.")
    else:
        st.caption(
            "A drawing is scaled to 20 pixels on its longer side, and its centre of mass is moved to the middle of "
            "28 × 28, the cross: that is how the makers of MNIST centred every digit."
        )


def _mean(run: runs.Run) -> np.ndarray | None:
    """(28, 28) uint8, None where the run left none."""
    try:
        with open(run.folder.digits, "rb") as file, np.load(file, allow_pickle=False) as parts:
            return parts["mean"]
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return None


def enlarged(pixels: np.ndarray, cross: bool = False) -> bytes:
    """A PNG of (28, 28) uint8, 0 paper, 255 ink: black on white, each pixel a sharp square, a line around it.

    `cross`: marks row and column 14, where the centre of mass of every digit lies.
    """
    square = 12  # twice as large as on the page, for fine screens
    large = np.kron(255 - pixels, np.ones((square, square), np.uint8))  # (336, 336)
    picture = np.stack([np.pad(large, 2, constant_values=0xC8)] * 3, axis=2)  # (340, 340, 3)
    if cross:
        middle = 2 + 14 * square + square // 2
        for arm in (
            (slice(middle - 40, middle + 40), slice(middle - 1, middle + 1)),
            (
                slice(middle - 1, middle + 1),
                slice(middle - 40, middle + 40),
            ),
        ):
            picture[arm] = (0xC5, 0x30, 0x3F)
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    return out.getvalue()


# --- what each network says ------------------------------------------------------------------------------------------


def _cards(answers: Sequence[DigitAnswer], titles: dict[str, str], labels: Sequence[str]) -> None:
    with st.container(horizontal=True, gap="small", key="digit_answers"):
        for answer in answers:
            best = _likeliest(answer)
            with st.container(border=True, gap="small", width="stretch" if lab.is_phone() else CARD_WIDTH):
                st.markdown(f"**{titles[answer.lane]}**  \n**{labels[best]}** {percent(answer.probabilities[best])}")
                words = ", ".join(
                    f"{label} {percent(value)}" for label, value in zip(labels, answer.probabilities, strict=True)
                )
                st.vega_lite_chart(
                    ten_bars(answer.probabilities, labels, lab.is_dark()),
                    width="stretch",
                    key=f"digit_bars_{answer.lane}",
                    alt=f"{titles[answer.lane]}: {words}.",
                )
                st.caption(f"{_milliseconds(answer.seconds)} with {answer.runtime} on {answer.device}")


def ten_bars(probabilities: Sequence[float], labels: Sequence[str], dark: bool) -> base.Spec:
    """A bar for each class in its own order on a full track, the likeliest in the accent."""
    colours = base.palette(dark)
    best = max(range(len(probabilities)), key=probabilities.__getitem__)
    rows = [
        {"label": label, "value": value, "full": 1, "best": at == best, "words": _share(value)}
        for at, (label, value) in enumerate(zip(labels, probabilities, strict=True))
    ]
    axis: base.Spec = {
        "domain": False,
        "ticks": False,
        "labelPadding": 6,
        "labelLimit": 90,
        "labelOverlap": False,
        "labelFlush": False,
    }
    axis |= {"labelColor": colours.text, "labelFontSize": 11}
    y = {"field": "label", "type": "nominal", "sort": list(labels), "title": None, "axis": axis}
    x = {"type": "quantitative", "axis": None, "scale": {"domain": [0, 1], "nice": False}}
    bar = {"type": "bar", "height": 10, "cornerRadius": 2, "aria": False}
    words = {"type": "text", "align": "right", "fontSize": 11, "color": colours.text, "aria": False}
    words |= {"x": {"expr": "width + 44"}}
    chosen = {"condition": {"test": "datum.best", "value": colours.accent}, "value": colours.rule}
    said = {"y": y, "text": {"field": "words", "type": "nominal"}}
    return {
        "data": {"values": rows},
        "layer": [
            {"mark": bar | {"color": colours.track}, "encoding": {"x": x | {"field": "full"}, "y": y}},
            {"mark": bar, "encoding": {"x": x | {"field": "value"}, "y": y, "color": chosen}},
            {"mark": words, "encoding": said, "transform": [{"filter": "!datum.best"}]},
            {"mark": words | {"fontWeight": 600}, "encoding": said, "transform": [{"filter": "datum.best"}]},
        ],
        "height": 18 * len(rows),
        "padding": {"left": 1, "top": 2, "right": 1, "bottom": 2},
        "config": {"view": {"strokeWidth": 0}, "background": "transparent"},
    }


def _share(value: float) -> str:
    return "<0.1%" if value < 0.001 else percent(value)
