"""Which model the Playground asks, and what it answers: remembered, so that a click elsewhere asks nothing again."""

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import streamlit as st

from engine import settings
from engine.contract import catalog, choices
from engine.contract import models as keys
from engine.errors import EngineError, ModelNotFound
from engine.models import models
from engine.models.classifier import Answer, Classifier
from engine.models.models import Model, ModelCard
from engine.words import count, size
from ui import lab
from ui.playground.playground_pictures import Picture

TOP = 5
BESIDE = 3  # further models on the same picture
KEPT = 64  # answers, each with a small picture: about 10 MB


@dataclass(frozen=True)
class Offer:
    models: dict[str, Model]  # by key, in the order of the list
    titles: dict[str, str]  # for people; no two are the same


def offered() -> Offer:
    found = {each.key: each for each in models.list_models(lab.load_settings())}
    by_title: dict[str, list[Model]] = {}
    for each in found.values():
        by_title.setdefault(each.title, []).append(each)
    titles = {}
    for each in found.values():
        twins = len(by_title[each.title]) > 1
        titles[each.key] = f"{each.title} · {each.run[-6:] if each.run else each.key}" if twins else each.title
    return Offer(found, titles)


def choose(offer: Offer) -> tuple[Model, str]:
    """The model, and a sentence where the page's address names one that is not there."""
    options, asked, missing = list(offer.models), st.query_params.get("model", ""), ""
    if asked and asked not in offer.models:
        try:
            found = models.find(lab.load_settings(), asked)  # "<run>:<kept lane>" is another name of "<run>"
            asked = found.key
        except ModelNotFound as error:
            missing = str(error)
    if asked in offer.models and st.session_state.get("_model_of") != st.query_params.get("model"):
        st.session_state["playground_model"] = asked  # another address: the list follows it
    st.session_state["_model_of"] = st.query_params.get("model", "")
    if st.session_state.get("playground_model") not in offer.models:
        st.session_state["playground_model"] = _usual(offer)
    key = st.selectbox(
        "Model",
        options,
        format_func=lambda key: offer.titles.get(key, key),
        key="playground_model",
        on_change=_name_in_address,
        persist_state="session",
    )
    if missing:
        missing = f"{missing} {offer.titles[key]} answers in its place."
    return offer.models[key], missing


def _usual(offer: Offer) -> str:
    """The newest run, else a pretrained network that is here."""
    here = [each for each in offer.models.values() if not each.needs]
    order = (models.RUNS, models.PRETRAINED, models.UPLOADED, models.DIGITS)
    return min(here or offer.models.values(), key=lambda each: order.index(each.group)).key


def _name_in_address() -> None:
    st.query_params["model"] = st.session_state["_model_of"] = st.session_state["playground_model"]


@st.cache_data(max_entries=64, show_spinner=False)
def _card(home_path: str, key: str, stamp: int) -> ModelCard:
    return models.card(lab.load_settings(), key)


def card(model: Model) -> ModelCard:
    """Raises ModelNotFound."""
    return _card(lab.home().path, model.key, _stamp(model))


# --- answers ---------------------------------------------------------------------------------------------------------


@dataclass
class _Remembered:
    """What was answered lately, for all visitors; the one not asked for longest leaves."""

    found: OrderedDict[tuple, Any] = field(default_factory=OrderedDict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: tuple) -> Any:
        with self.lock:
            if key in self.found:
                self.found.move_to_end(key)
            return self.found.get(key)

    def put(self, key: tuple, value: Any) -> None:
        with self.lock:
            self.found[key] = value
            self.found.move_to_end(key)
            while len(self.found) > KEPT:
                self.found.popitem(last=False)


@st.cache_resource
def _remembered() -> _Remembered:
    return _Remembered()


def answer(model: Model, picture: Picture, repeats: int = 0, device: str = choices.CPU) -> Answer:
    """What the model says; asked again only where `repeats` asks for a measurement. Raises EngineError."""
    key = _key(f"answer on {device}", model, picture)
    known = _remembered().get(key)
    if known is not None and not repeats:
        return known
    with st.spinner(f"Asking {model.title}. {why_slow(model)}"):  # is seen only where it takes longer than usual
        found = lab.classifier().classify(model.key, picture.data, TOP, repeats, device)
    _remembered().put(key, replace(found, was_restarted=False))
    return found


def known(question: str, model: Model, picture: Picture) -> Any:
    """What such a question was answered with, None where it was not asked."""
    return _remembered().get(_key(question, model, picture))


def ask(question: str, model: Model, picture: Picture, call: Callable[[], Any], words: str = "") -> Any:
    """The answer to any other question, asked once. Raises EngineError."""
    found = known(question, model, picture)
    if found is None:
        with st.spinner(words or f"Asking {model.title}"):
            found = call()
        _remembered().put(_key(question, model, picture), found)
    return found


def prepare(model: Model) -> None:
    """Have the model loaded while the visitor looks for a picture, once; not where TensorFlow would be loaded."""
    key = ("prepared", lab.home().path, model.key, _stamp(model))
    if model.needs or _remembered().get(key) or _loads_tensorflow(model):
        return
    _remembered().put(key, True)
    threading.Thread(target=_prepare, args=(lab.classifier(), model.key), daemon=True).start()


def _prepare(classifier: Classifier, key: str) -> None:
    with contextlib.suppress(EngineError):  # the question itself will say what is wrong
        classifier.prepare(key)


def _key(question: str, model: Model, picture: Picture) -> tuple:
    return question, lab.home().path, model.key, _stamp(model), picture.sha256


def _stamp(model: Model) -> int:
    """Changes when an uploaded model is replaced; runs and pretrained networks stay as they are."""
    if model.group != models.UPLOADED:
        return 0
    try:
        folder = keys.folder(lab.home(), model.key.removeprefix(keys.PREFIX))
        return Path(folder, "model.json").stat().st_mtime_ns
    except OSError:
        return 0


def why_slow(model: Model) -> str:
    """A sentence where the first answer has to load TensorFlow, "" where it need not."""
    return "TensorFlow is loaded first, which takes 4 to 8 seconds once." if _loads_tensorflow(model) else ""


def _loads_tensorflow(model: Model) -> bool:
    home = lab.home()
    if model.group == models.UPLOADED:
        try:
            return keys.uploaded(home, model.key.removeprefix(keys.PREFIX)).suffix != "tflite"
        except KeyError:
            return False
    if model.group == models.PRETRAINED:
        is_original = any(row.name == model.key for row in catalog.ORIGINALS)
        return is_original or not list(Path(home.derived).glob(f"{model.key}-*-imagenet*.tflite"))
    return False


# --- an uploaded model -----------------------------------------------------------------------------------------------


def add(lab_settings: settings.Settings) -> None:
    """The folded form that takes a model file, and the uploaded ones that can be deleted."""
    with st.form("add_model", border=False):
        file = st.file_uploader("Frozen .pb, .tflite or .keras", key="model_file", max_upload_size=500)
        labels = st.file_uploader("Labels, one a line", key="model_labels", max_upload_size=5)
        title = st.text_input("Name", key="model_title", placeholder="My flowers")
        with st.expander("How pictures go in", type="compact"):
            st.caption("What is left empty is found in the file, or guessed and said.")
            layer = st.text_input("Input layer", key="model_input_layer", placeholder="input")
            output = st.text_input("Output layer", key="model_output_layer", placeholder="final_result")
            side = st.number_input("Height and width", 0, 2048, 0, key="model_size", help="Pixels; 0: as the file says")
            mean = st.number_input("Mean", value=None, key="model_mean", placeholder="127.5")
            std = st.number_input("Std", value=None, key="model_std", placeholder="127.5")
        sent = st.form_submit_button("Check and add", width="stretch", icon=":material/upload:")
    if sent and file is not None:
        given = {"title": title, "input_layer": layer, "output_layer": output, "input_height": side}
        given |= {"input_width": side}
        given = {name: value for name, value in given.items() if value}
        given |= {name: value for name, value in (("input_mean", mean), ("input_std", std)) if value is not None}
        try:
            with st.spinner("Checking the file in a process of its own"):
                data = None if labels is None else labels.getvalue()
                found = models.add(lab_settings, file.name, file.getvalue(), data, given)
        except EngineError as error:
            st.error(f"**{file.name} was not added.** {error}", icon=":material/error:")
        else:
            st.query_params["model"] = found.key
            st.rerun()
    elif sent:
        st.caption("Choose a file first.")


def delete(model: Model) -> None:
    """Asks once, then removes an uploaded model."""
    with st.popover("Delete this model", icon=":material/delete:"):
        st.markdown(f"**{model.title}** and its labels go from this machine.")
        if st.button("Delete", key="delete_model", type="primary"):
            try:
                models.delete(lab.load_settings(), model.key)
            except EngineError as error:
                st.error(str(error), icon=":material/error:")
            else:
                st.query_params.pop("model", None)
                st.rerun()


def resident() -> str:
    """What the classifier keeps in memory, in words; "" where it keeps nothing."""
    memory = lab.classifier().memory()
    if not memory.models:
        return ""
    return f"{count(len(memory.models), 'model')} in memory, {size(memory.bytes)} of at most {size(memory.limit_bytes)}"
