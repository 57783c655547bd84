"""Distortions in the form of a retraining run: their settings, what they do to a photo, and what they cost."""

import os
from pathlib import Path
from typing import TypeVar

import streamlit as st

from engine import photos
from engine.contract import choices
from engine.contract.kinds.fine_tuning import FineTuningSpec
from engine.contract.kinds.race import RaceSpec
from engine.errors import ClassifierError
from engine.kinds.race import forecast
from engine.kinds.rows import RunRow
from engine.words import duration
from ui import lab

SAMPLES = 8
# Pixels: four beside each other in the form's column, and on a phone.
SAMPLE_WIDTH, SAMPLE_WIDTH_PHONE = 50, 76


Distorted = TypeVar("Distorted", RaceSpec, FineTuningSpec)


def choose(usual: Distorted) -> Distorted:
    """The same with the distortions that the visitor wants."""

    def percent(label: str, name: str, high: int, help_text: str) -> int:
        return st.slider(
            label, 0, high, getattr(usual, name), 5, "%d%%", key=name, help=help_text, persist_state="session"
        )

    return usual._replace(
        flip_left_right=st.toggle(
            "Flip",
            usual.flip_left_right,
            key="flip_left_right",
            help="Every other time, at random, the photo is mirrored left to right.",
            persist_state="session",
        ),
        random_crop=percent(
            "Crop", "random_crop", 90, "The photo is enlarged by so much, and a part of it is cut out anywhere."
        ),
        random_scale=percent("Scale", "random_scale", 100, "It is enlarged further, at random, by at most so much."),
        random_brightness=percent(
            "Brightness", "random_brightness", 100, "It becomes lighter or darker, at random, by at most so much."
        ),
    )


def preview(spec: RaceSpec | FineTuningSpec, scan: photos.Scan | None, without: str) -> None:
    """A row of pictures of what the distortions do to one of the photos; another photo at every press of the button.

    `without`: what holds with all of them off, in words.
    """
    if not choices.is_distorted(spec):
        st.caption(f"All off: {without}.")
        return
    classes = [row for row in scan.classes if row.files] if scan else []
    if scan is None or not classes:
        return
    number = st.session_state.setdefault("_samples", 0)
    row = classes[number % len(classes)]
    file = row.files[number // len(classes) % len(row.files)]
    path = Path(scan.root, row.folder, file)
    # Only what can be seen is part of the key, so that another learning rate or seed computes nothing.
    seen = {name: getattr(spec, name) for name in ("backbone", *choices.DISTORTIONS)}
    try:
        samples = _samples(path, os.stat(path).st_mtime_ns, RaceSpec(**seen), number)
    except (ClassifierError, OSError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        st.caption(f"`{row.folder}/{file}` cannot be shown: {why}")
        samples = []
    width = SAMPLE_WIDTH_PHONE if lab.is_phone() else SAMPLE_WIDTH
    with st.container(horizontal=True, gap=4, key="samples"):
        for at, sample in enumerate(samples, 1):
            st.image(sample, width=width, alt=f"{row.folder}/{file} distorted, {at} of {len(samples)}")
    st.button("Other samples", key="other_samples", type="tertiary", icon=":material/refresh:", on_click=_other_samples)


def _other_samples() -> None:
    st.session_state["_samples"] += 1


@st.cache_data(max_entries=64, show_spinner=False)
def _samples(path: Path, changed: int, spec: RaceSpec, seed: int) -> list[bytes]:
    """`changed`, the file's time, is part of the key. Raises ClassifierError and OSError."""
    return lab.classifier().distorted(path.read_bytes(), spec, seed, SAMPLES)


def cost(known: list[RunRow], spec: RaceSpec, photo_count: int) -> str:
    """What the run takes here with the distortions, against what it takes without, and why."""
    expected = forecast.seconds(known, spec, photo_count)
    where = f"on this {spec.device.upper()}"
    batch = "every training photo" if spec.train_batch_size == -1 else f"{spec.train_batch_size:,} changed photos"
    why = f"every step runs {batch} through the backbone."
    if expected is None:
        return f"The first run measures how long it takes {where}: {why}"
    off = RaceSpec()._asdict()
    without = forecast.seconds(known, spec._replace(**{name: off[name] for name in choices.DISTORTIONS}), photo_count)
    instead = "" if without is None else f" instead of {duration(without)}"
    return f"About {duration(expected)}{instead} {where}: {why}"
