"""What a run is going to take, measured before it starts or known from earlier runs; and how right that was."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import streamlit as st

from engine import runs
from engine.contract import choices, events, memory
from engine.contract.dataset import Dataset
from engine.contract.kinds.batch_size import BatchSizeSpec
from engine.contract.kinds.fine_tuning import FineTuningSpec
from engine.contract.kinds.race import RaceResult, RaceSpec
from engine.errors import EngineError
from engine.kinds import prediction
from engine.words import count, duration, short_duration, size
from ui import lab

Told = TypeVar("Told")

DISK = 200e6  # bytes: what the files of a run take, with room to spare


def ask(asked: Sequence[RaceSpec], dataset: Dataset) -> tuple[events.Predicted, ...]:
    """The button that measures, or what it found for these runs, in their order; empty before that."""
    spec = asked[0]
    distorted = choices.is_distorted(spec)
    key = (
        "photos", spec.backbone, spec.use_cache, dataset.root, len(dataset.photos), spec.validation_percentage,
        spec.testing_percentage, *[(each.device, each.threads) for each in asked],
        *([getattr(spec, name) for name in (*choices.DISTORTIONS, "steps", "train_batch_size")] if distorted else []),
    )  # fmt: skip
    photos = count(min(prediction.SAMPLE, len(dataset.photos)), "photo")
    found = lab.load_settings()
    told = _measured(
        key,
        f"Measure {photos} first",
        "Predicts the time of Bottlenecks, disk and memory for this backbone and these photos",
        lambda: tuple(prediction.predict(found.home, found.worker_python, each, dataset) for each in asked),
    )
    if told is None:
        return ()
    warn_of(max(each.memory_bytes for each in told))
    if len(asked) == 1:
        st.caption(prediction.in_words(told[0], len(dataset.photos)))
    else:
        each_takes = " and ".join(
            f"{duration(one.seconds + one.training_seconds)} {'with' if its.threads else 'on the'} "
            f"{its.machine_title()}"
            for its, one in zip(asked, told, strict=True)
        )
        what = "bottlenecks and training on changed photos" if distorted else "bottlenecks"
        measured = count(told[0].measured, "photo")
        st.caption(f"About {each_takes} for {what}, predicted from {measured} each time.")
    return told


def warn_of(needed: int) -> None:
    """Says so where a run that takes so many bytes of memory would not fit now; nothing while another one has them."""
    if any(row.state == events.RUNNING for row in lab.rows()):
        return
    if said := prediction.shortage(needed, memory.available()):
        st.warning(said, icon=":material/memory:")


def warn_of_full_disk() -> None:
    """Says so where the lab's disk has no room for what a run keeps."""
    free = lab.readings()[-1].disk_free
    if free is not None and free < DISK:
        st.warning(
            f"{size(free)} of disk is free where the lab keeps its files, and a run may end for want of it. Runs that "
            "nobody needs can be deleted on the page Runs.",
            icon=":material/hard_drive:",
        )


def expect_depths(spec: FineTuningSpec, dataset: Dataset, known: events.Expected | None) -> events.Expected | None:
    """What such a run takes, as a caption; `known` from earlier runs, otherwise measured once somebody asks."""
    found = lab.load_settings()
    key = ("depths", *spec._replace(seed=0, head_learning_rate=0, body_learning_rate=0), len(dataset.photos))
    how = "One depth after the other, each in a process of its own, so that its memory is known."
    return _expect(
        spec.device, how, key, known,
        lambda: prediction.expect_depths(found.home, found.worker_python, spec, dataset),
    )  # fmt: skip


def expect_sizes(spec: BatchSizeSpec, known: events.Expected | None) -> events.Expected | None:
    """The same of trying batch sizes."""
    found = lab.load_settings()
    how = "Each size in a process of its own, on pictures of noise: photos are not needed."
    return _expect(
        spec.device, how, ("sizes", *spec), known,
        lambda: prediction.expect_sizes(found.home, found.worker_python, spec),
    )  # fmt: skip


def _expect(
    device: str, how: str, key: tuple, known: events.Expected | None, measure: Callable[[], events.Expected]
) -> events.Expected | None:
    caption = st.empty()
    told = known or _measured(key, "Measure a batch first", "Predicts how long this run takes", measure)
    where = f"on this {device.upper()}"
    if told is None:
        caption.caption(f"{how} Nothing like it was run {where} yet, so how long it takes is not known.")
    else:
        caption.caption(f"About {duration(told.seconds)} {where}, from {told.rests_on}. {how}")
    return told


def _measured(key: tuple, label: str, help_text: str, measure: Callable[[], Told]) -> Told | None:
    """The button, or what was measured for these settings; None before that."""
    told = st.session_state.get("_measured", {}).get(key)
    if told is None:
        if not st.button(label, key="measure", type="tertiary", icon=":material/timer:", help=help_text):
            return None
        try:
            with st.spinner(label.replace("Measure", "Measuring").removesuffix(" first")):
                told = measure()
        except EngineError as error:
            st.markdown(f":small[:red[{error}]]")
            return None
        st.session_state["_measured"] = {key: told}
    if any(row.state == events.RUNNING for row in lab.rows()):
        st.caption("A run works meanwhile, so that time may be too long.")
    return told


def forget() -> None:
    """What was measured no longer holds once a run has kept bottlenecks."""
    st.session_state.pop("_measured", None)


def rows(run: runs.Run) -> dict[str, str]:
    """Of a finished run that was foreseen: what was said beside what came, for its table of settings."""
    if run.state != events.DONE:
        return {}
    if (expected := run.story.expected) and run.seconds:
        said = f"{duration(expected.seconds)}, from {expected.rests_on}; it took {duration(run.seconds)}"
        return {"Time foreseen": f"{said}, so {prediction.off(expected.seconds, run.seconds)}"}
    told, result = run.story.predicted, run.story.last(RaceResult)
    if told is None or result is None:
        return {}
    took = dict(run.stage_seconds).get(events.BOTTLENECKS, 0.0)
    said = f"{short_duration(told.seconds)}, from {count(told.measured, 'photo')}; they took {short_duration(took)}"
    if prediction.error(told, took, result.computed) is not None:
        said += f", so {prediction.off(told.seconds, took)}"
    elif result.computed != told.photos:
        said += f", for {result.computed:,} photos where {told.photos:,} were foreseen"
    found = {"Bottlenecks foreseen": said}
    if told.training_seconds and result.race_seconds:
        said = f"{short_duration(told.training_seconds)}; it took {short_duration(result.race_seconds)}"
        found["Training foreseen"] = f"{said}, so {prediction.off(told.training_seconds, result.race_seconds)}"
    memory = f"{size(told.memory_bytes)}; it was {size(result.peak_memory_bytes)}"
    if result.peak_memory_bytes:
        memory += f", so {prediction.off(told.memory_bytes, result.peak_memory_bytes)}"
    return found | {"Memory foreseen": memory}
