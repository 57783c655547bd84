"""Where the Playground's picture comes from: a sample, an upload, the camera, the web, a set of photos, a drawing."""

import functools
import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import streamlit as st
from PIL import Image
from streamlit.runtime.uploaded_file_manager import UploadedFile

from engine import photos
from engine.contract import specs
from engine.contract.dataset import SPLITS, Dataset
from engine.digits import digits
from engine.errors import DigitsError, EngineError, PhotosError
from engine.models import addresses, pictures, samples
from engine.models.models import Model
from engine.settings import Settings
from ui import lab, parts
from ui.playground import digit_pad

SAMPLES, UPLOAD, CAMERA, ADDRESS, PHOTOS, DRAWING = "Samples", "Upload", "Camera", "Address", "Photos", "Drawing"
SOURCES = (SAMPLES, UPLOAD, CAMERA, ADDRESS, PHOTOS)
DIGIT_SOURCES = (DRAWING, SAMPLES, UPLOAD, CAMERA, ADDRESS)
ALL_SPLITS = "All"


StartMany = Callable[[Settings, Model, list[UploadedFile]], str]


@dataclass(frozen=True)
class Picture:
    name: str  # "daisy.jpg"
    data: bytes  # the encoded file
    path: Path | None = None  # where it lies on this machine; None where only the visitor has it
    sample: str = ""  # its key in engine/models/samples.py, for the page's address
    attribution: str = ""
    label: str = ""  # what it shows, where that is known
    alt: str = ""  # in words, for those who do not see it; its name where there are none

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True)
class Chosen:
    """What the form has found out; a picture, or why there is none."""

    picture: Picture | None = None
    fault: str = ""  # a sentence
    to_fetch: str = ""  # the asset that would bring samples


def choose(model: Model, start_many: StartMany) -> Chosen:
    """The widgets of the form, and what they say; `start_many`: starts a run of several uploads and returns its id."""
    offered = DIGIT_SOURCES if model.group == "Digits" else SOURCES
    key = "picture_source_digits" if offered is DIGIT_SOURCES else "picture_source"
    _follow_address(key, offered)
    source = st.segmented_control(
        "Image",
        offered,
        default=None if key in st.session_state else offered[0],
        required=True,
        key=key,
        width="stretch",
        on_change=_leave_sample,
        persist_state="session",
    )
    draw: dict[str, Callable[[Model], Chosen]] = {
        SAMPLES: _digit_samples if offered is DIGIT_SOURCES else _samples,
        UPLOAD: functools.partial(_upload, start_many=start_many),
        CAMERA: _camera,
        ADDRESS: _address,
        PHOTOS: _photos,
        DRAWING: _drawing,
    }
    try:
        found = draw[source or offered[0]](model)
        if found.picture and offered is DIGIT_SOURCES and source not in (SAMPLES, DRAWING):
            found = replace(found, picture=_as_digit(found.picture))
        return found
    except EngineError as error:
        return Chosen(fault=str(error))


def _follow_address(key: str, offered: tuple[str, ...]) -> None:
    """A link that names a picture opens the source that has it."""
    asked = st.query_params.get("sample", "")
    if st.session_state.get("_source_of") == asked:
        return
    st.session_state["_source_of"] = asked
    if asked:
        listed = offered is DIGIT_SOURCES or any(each.key == asked for each in _listed_samples())
        st.session_state[key] = SAMPLES if listed else PHOTOS
        for name in ("sample", "photo_set", "photo_class", "photo_split", "photo_file", "digit_sample"):
            st.session_state.pop(name, None)


def _leave_sample() -> None:
    st.query_params.pop("sample", None)
    st.session_state["_source_of"] = ""


def _name_in_address(sample: str, model: Model) -> None:
    """The page's address says which picture is shown, and to which model; a link to it shows the same."""
    st.session_state["_source_of"] = sample
    if st.query_params.get("sample", "") != sample:
        # At once, so that going back is one step.
        st.query_params.update({"sample": sample} | ({} if "model" in st.query_params else {"model": model.key}))


# --- samples ---------------------------------------------------------------------------------------------------------


def _samples(model: Model) -> Chosen:
    listed = _listed_samples()
    here = {each.key: each for each in listed if each.path is not None}
    to_fetch = "" if samples.GRACE_HOPPER in here else samples.GRACE_HOPPER
    if not here:
        return Chosen(to_fetch=to_fetch)
    asked = st.query_params.get("sample", "")
    if asked in here and "sample" not in st.session_state:
        st.session_state["sample"] = asked
    if st.session_state.get("sample") not in here:
        st.session_state["sample"] = None
    key = st.pills(
        "Samples",
        list(here),
        format_func=lambda key: here[key].title,
        key="sample",
        label_visibility="collapsed",
        persist_state="session",
    )
    if key is None:
        _leave_sample()
        return Chosen(to_fetch=to_fetch)
    _name_in_address(key, model)
    return Chosen(_of_sample(here[key]))


def _listed_samples() -> list[samples.Sample]:
    return samples.samples(lab.load_settings())


def _of_sample(sample: samples.Sample) -> Picture:
    data = samples.read(sample)
    label = samples.label(sample.key)
    return Picture(sample.title, data, sample.path, sample.key, sample.attribution, label)


def _digit_samples(model: Model) -> Chosen:
    """Test pictures of the set that the networks learned from, one of each class."""
    name = specs.read(lab.home().run(model.run).spec).data
    source = next((row for row in digits.sources(lab.load_settings()) if row.key == name), None)
    if source is None or source.path is None:
        raise DigitsError("The digits that these networks learned from are not on this machine. Draw one instead.")
    shown = _digit_pictures(str(source.path), source.path.stat().st_mtime_ns)
    known = {f"{source.key}/{number}": label for number, (label, _) in shown.items()}
    asked = st.query_params.get("sample", "")
    if asked in known and "digit_sample" not in st.session_state:
        st.session_state["digit_sample"] = asked
    if st.session_state.get("digit_sample") not in known:
        st.session_state["digit_sample"] = None
    key = st.pills(
        "Test pictures",
        list(known),
        format_func=lambda key: source.labels[known[key]],
        key="digit_sample",
        label_visibility="collapsed",
        persist_state="session",
    )
    if key is None:
        _leave_sample()
        return Chosen()
    _name_in_address(key, model)
    number = int(key.rpartition("/")[2])
    label, data = shown[number]
    words = f"Test picture {number:,}"
    return Chosen(Picture(f"{words}.png", data, None, key, source.attribution, source.labels[label], words))


@st.cache_data(max_entries=8, show_spinner=False)
def _digit_pictures(path: str, changed: int) -> dict[int, tuple[int, bytes]]:
    """Of the first test picture of each class: number -> class, and the picture as a PNG, 0 paper, 255 ink."""
    first = digits.first_of_each(Path(path))
    return {
        number: (label, _png(Image.fromarray(digits.test_picture(Path(path), number)[0])))
        for label, number in first.items()
    }


# --- uploads ---------------------------------------------------------------------------------------------------------


def _upload(model: Model, start_many: StartMany) -> Chosen:
    # Every type may be chosen: what a file is, its content says, and the page names what it found.
    given = st.file_uploader(
        f"{photos.FORMATS_TEXT}, up to {pictures.UPLOAD_MEGABYTES} MB",
        accept_multiple_files=True,
        key="playground_upload",
        max_upload_size=pictures.UPLOAD_MEGABYTES,
    )
    if not given:
        return Chosen()
    if len(given) > 1:
        st.caption(f"The first of {len(given):,} is answered here.")
        if model.group != "Digits" and not model.needs:
            all_of_them = f"Classify all {len(given):,}"
            if st.button(all_of_them, key="all_uploads", width="stretch", help="As a run of its own, with a table"):
                st.query_params["run"] = start_many(lab.load_settings(), model, given)
                st.rerun()
    first = given[0]
    data = first.getvalue()
    pictures.check(first.name, data)
    return Chosen(Picture(first.name, data))


def _camera(model: Model) -> Chosen:
    given = st.camera_input("Take a photo", key="playground_camera", label_visibility="collapsed")
    if given is None:
        return Chosen()
    data = given.getvalue()
    pictures.check("The photo", data)
    return Chosen(Picture("camera.jpg", data))


# --- an address ------------------------------------------------------------------------------------------------------


def _address(model: Model) -> Chosen:
    url = st.text_input(
        "Address of a picture",
        key="picture_address",
        placeholder="https://",
        type="url",
        help="Fetched by this machine: public http and https addresses, up to 20 MB, within 10 seconds.",
        persist_state="session",
    )
    if not url:
        return Chosen()
    known = st.session_state.get("_fetched")
    if known is None or known[0] != url:
        with st.spinner("Fetching"):
            try:
                known = (url, addresses.fetch(url), "")
            except EngineError as error:
                known = (url, b"", str(error))
        st.session_state["_fetched"] = known
    _, data, fault = known
    if fault:
        st.button("Try again", key="fetch_again", on_click=lambda: st.session_state.pop("_fetched", None))
        return Chosen(fault=fault)
    name = url.partition("?")[0].rstrip("/").rpartition("/")[2][:80] or "picture"
    pictures.check(name, data)
    return Chosen(Picture(name, data))


# --- photos of sets and runs -----------------------------------------------------------------------------------------


def _photos(model: Model) -> Chosen:
    settings = lab.load_settings()
    sets = {source.key: source.title for source in photos.sources(settings) if source.root}
    if model.run and model.group != "Digits":
        sets = {model.run: "What this run learned from"} | sets
    if not sets:
        return Chosen(fault="There are no photos on this machine yet. Add some on the page Retraining, or upload one.")
    asked, fault = st.query_params.get("sample", "").split("/"), ""
    if asked != [""]:
        try:
            samples.find(settings, "/".join(asked))
            sets = {asked[0]: "What another run learned from"} | sets  # where it is none of these
        except PhotosError as error:
            fault = str(error)  # and below is what can be chosen in its place
    if len(asked) != 3 or asked[0] not in sets:
        asked = [next(iter(sets)), "", ""]
    name = _pick("Photos of", list(sets), asked[0], "photo_set", lambda key: sets[key])
    dataset = _listed(name, _stamp(name))
    folders = sorted({photo.file.partition("/")[0] for photo in dataset.photos})
    if not folders:
        raise PhotosError("This set holds no photos. Choose another one.")
    folder = _pick("Class", folders, asked[1], "photo_class", photos.label)
    split = parts.choice("Split", [ALL_SPLITS, "Train", "Valid", "Test"], "photo_split")
    wanted = dict(zip(("Train", "Valid", "Test"), SPLITS, strict=True)).get(split)
    files = [
        photo.file.partition("/")[2]
        for photo in dataset.photos
        if photo.file.startswith(f"{folder}/") and wanted in (None, photo.split)
    ]
    if not files:
        return Chosen(fault=f"No photo of {photos.label(folder)} is in that split. Choose another split.")
    file = _pick("Photo", files, asked[2], "photo_file")
    if fault:
        return Chosen(fault=fault)
    key = f"{name}/{folder}/{file}"
    sample = samples.find(settings, key)
    _name_in_address(key, model)
    return Chosen(_of_sample(sample))


def _pick(label: str, options: list[str], default: str, key: str, words: Callable[[str], str] = str) -> str:
    """A select box that keeps what was chosen for as long as it is offered."""
    if st.session_state.get(key) not in options:
        st.session_state[key] = default if default in options else options[0]
    return st.selectbox(label, options, format_func=words, key=key, on_change=_leave_sample, persist_state="session")


@st.cache_data(max_entries=16, show_spinner=False)
def _listed(name: str, stamp: tuple) -> Dataset:
    return samples.listed(lab.load_settings(), name)


def _stamp(name: str) -> tuple:
    """Changes when files come or go."""
    settings = lab.load_settings()
    source = next((each for each in photos.sources(settings) if each.key == name), None)
    try:
        if source is None or source.root is None:
            return (Path(settings.home.run(name).dataset).stat().st_mtime_ns,)
        return tuple(sorted((each.name, each.stat().st_mtime_ns) for each in source.root.iterdir()))
    except OSError:
        return ()


# --- digits ----------------------------------------------------------------------------------------------------------


def _drawing(model: Model) -> Chosen:
    visitor: digit_pad.Visitor = st.session_state.setdefault("_digit_visitor", digit_pad.Visitor())
    digit_pad.pad(visitor.ink, visitor.wiped, visitor.draw)
    if not visitor.ink:
        return Chosen()
    pixels = digits.centre(digits.drawing(visitor.ink)).pixels
    return Chosen(Picture("drawing-28x28.png", _png(Image.fromarray(pixels)), alt="Your drawing"))


def _as_digit(picture: Picture) -> Picture:
    """As the makers of MNIST would have it: 28 x 28, 0 paper, 255 ink, the centre of mass in the middle."""
    pixels = _centred(picture.data)
    return replace(picture, name=f"{Path(picture.name).stem}-28x28.png", data=pixels, path=None)


@st.cache_data(max_entries=32, show_spinner=False)
def _centred(data: bytes) -> bytes:
    return _png(Image.fromarray(digits.centre(digits.ink_of(data)).pixels))


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
