"""Batch classification: one model says what each of many pictures shows.

Python 3.6, standard library only.
"""

import re
from typing import List, NamedTuple, Optional

from engine.contract import choices, events


class BatchClassificationSpec(NamedTuple):
    """Many pictures, named in dataset.json, and one model that says what each shows."""

    model: str = ""  # its key, see engine/models/models.py
    model_title: str = ""  # for people, as it was called when it was asked: it may be deleted since
    top: int = 5  # labels kept of each picture, 1 to 20
    device: str = choices.CPU  # "cpu" or "gpu"

    def run_title(self, photos: str, number: Optional[int], backbone: str) -> str:
        pictures = "unknown number" if number is None else f"{number:,} picture{'' if number == 1 else 's'}"
        return f"{photos} · {self.model_title} · {pictures}"

    def lane_names(self) -> List[str]:
        return []

    def lane_titles(self) -> List[str]:
        return []

    def faults(self) -> List[str]:
        found: List[str] = []
        if not re.match(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,199}$", self.model):  # becomes part of a path
            found.append(f"Model is {self.model!r}; choose a run, a backbone or an uploaded model by its name.")
        choices.within(found, "Labels kept of each picture", self.top, 1, 20)
        choices.device(found, self.device)
        return found


class ModelLoaded(NamedTuple):
    """What classifies many pictures; its labels are in artifacts/labels.txt."""

    t: float
    runtime: str  # for people: "LiteRT"
    device: str  # for people: "CPU"
    input_height: int  # pixels
    input_width: int  # pixels
    load_seconds: float  # reading its file and the first call


class Classified(NamedTuple):
    """A block of pictures that were classified, at most 0.5 s of them."""

    t: float
    photo: List[int]  # places in dataset.json, ascending
    # One after the other for each photo, the most probable first; spec.top of them, fewer where the model has fewer
    label: List[int]  # places in artifacts/labels.txt
    score: List[float]  # 0..1
    learned: List[bool]  # of each photo: the model learned from these very bytes; False where nobody knows


class BatchClassificationResult(NamedTuple):
    """The final figures of many pictures; who is right is judged from what each was said to be."""

    t: float
    photos: int  # classified
    decode_seconds: float  # core-seconds of reading, decoding and resizing
    network_seconds: float  # inside the network, all photos
    photo_seconds: float  # of the network for one photo, the median
    peak_memory_bytes: int  # of the worker process, the kernel's own figure


SPEC = BatchClassificationSpec
HAS_DATASET = True
STAGES = (events.LOADING, events.CLASSIFYING)
EVENTS = {"model_loaded": ModelLoaded, "classified": Classified, "classify_result": BatchClassificationResult}
