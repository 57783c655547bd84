"""What a retraining run is going to take, measured on a few photos before it starts; and how right that was."""

import streamlit as st

from engine import prediction, runs
from engine.contract import events, specs
from engine.contract.dataset import Dataset
from engine.errors import EngineError
from engine.words import count, short_duration, size
from ui import lab


def ask(spec: specs.RetrainSpec, dataset: Dataset) -> events.Predicted | None:
    """The button that measures, or what it found for these settings; None before that."""
    key = (spec.backbone, spec.device, spec.threads, spec.use_cache, dataset.root, len(dataset.photos))
    told = st.session_state.get("_predicted", {}).get(key)
    if told is None:
        measured = min(prediction.SAMPLE, len(dataset.photos))
        pressed = st.button(
            f"Measure {count(measured, 'photo')} first", key="measure", type="tertiary", icon=":material/timer:",
            help="Predicts the time of Bottlenecks, disk and memory for this backbone and these photos",
        )  # fmt: skip
        if not pressed:
            return None
        found = lab.load_settings()
        try:
            with st.spinner(f"Measuring {count(measured, 'photo')}"):
                told = prediction.predict(found.home, found.worker_python, spec, dataset)
        except EngineError as error:
            st.markdown(f":small[:red[{error}]]")
            return None
        st.session_state["_predicted"] = {key: told}
    st.caption(prediction.in_words(told, len(dataset.photos)))
    if any(row.state == events.RUNNING for row in lab.rows()):
        st.caption("A run works meanwhile, so that time may be too long.")
    return told


def forget() -> None:
    """What was measured no longer holds once a run has kept bottlenecks."""
    st.session_state.pop("_predicted", None)


def rows(run: runs.Run) -> dict[str, str]:
    """Of a finished run that was measured before: foreseen beside actual, for its table of settings."""
    told, result = run.story.predicted, run.story.result
    if told is None or result is None:
        return {}
    took = dict(run.stage_seconds).get(events.BOTTLENECKS, 0.0)
    off = prediction.error(told, took, result.computed)
    said = f"{short_duration(told.seconds)}, from {count(told.measured, 'photo')}; they took {short_duration(took)}"
    if off is not None:
        said += f", so {_percent(off)}"
    elif result.computed != told.photos:
        said += f", for {result.computed:,} photos where {told.photos:,} were foreseen"
    memory = f"{size(told.memory_bytes)}; it was {size(result.peak_memory_bytes)}"
    if result.peak_memory_bytes:
        memory += f", so {_percent(told.memory_bytes / result.peak_memory_bytes - 1)}"
    return {"Bottlenecks foreseen": said, "Memory foreseen": memory}


def _percent(off: float) -> str:
    """ "9% too much" """
    share = f"{abs(off):.0%}"
    return "right" if share == "0%" else f"{share} too {'much' if off > 0 else 'little'}"
