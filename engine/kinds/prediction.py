"""What a run is going to take, before it starts: a few photos, or a step, are measured as the run would do them."""

import time
from typing import Any

from engine import worker_programs
from engine.contract import choices, events
from engine.contract.dataset import SPLITS, TESTING, TRAINING, VALIDATION, Dataset
from engine.contract.kinds.batch_size import BatchSizeSpec
from engine.contract.kinds.fine_tuning import FineTuningSpec
from engine.contract.kinds.race import RaceSpec
from engine.contract.run_folder import LabHome
from engine.errors import EngineError
from engine.words import count, duration, size

SAMPLE = 24  # photos
PATIENCE = 300.0  # seconds: the first time, the backbone is converted, and every photo is read
MODULE = "engine.worker.predict"
TIMED_SECONDS = 2.0  # of a batch size that is tried, as engine/worker/batch_size/sizes.py has it


def predict(home: LabHome, worker_python: str, spec: RaceSpec, dataset: Dataset) -> events.Predicted:
    """Seconds of Bottlenecks, and of Training where photos are distorted, disk and memory of such a run.

    Takes seconds, and the backbone must be on this machine. Photos whose bottlenecks are kept from earlier count as
    nothing. Raises EngineError with a sentence.
    """
    question: dict[str, Any] = {
        "home": home.path,
        "spec": spec._asdict(),
        "root": dataset.root,
        "photos": [(photo.file, photo.split) for photo in dataset.photos],
        "measure": SAMPLE,
    }
    said = _asked(worker_python, question)
    known = {name: said[name] for name in events.Predicted._fields if name in said}  # a newer worker may say more
    return events.Predicted(**(known | {"t": time.time()}))


def _asked(worker_python: str, question: dict[str, Any]) -> dict[str, Any]:
    return worker_programs.ask(worker_python, MODULE, [], question, PATIENCE, refused=EngineError)


def in_words(told: events.Predicted, photos: int) -> str:
    """ "About 12 s for bottlenecks, predicted from 24 photos; 3.2 MB of disk, 0.9 GB of memory." """
    if told.training_seconds:
        said = (
            f"About {duration(told.seconds)} for bottlenecks and {duration(told.training_seconds)} for training on "
            f"changed photos, predicted from {count(told.measured, 'photo')}"
        )
    elif not told.photos:
        said = f"No time for bottlenecks: those of all {count(photos, 'photo')} are kept"
    else:
        said = f"About {duration(told.seconds)} for bottlenecks, predicted from {count(told.measured, 'photo')}"
        if told.photos < photos:
            said += f": {told.photos:,} of {photos:,} are still to compute"
    return f"{said}; {size(told.disk_bytes)} of disk, {size(told.memory_bytes)} of memory."


def shortage(needed: int, left: int | None) -> str:
    """A sentence where a run of `needed` bytes does not fit into those that are left; "" where it does, or nobody can
    tell (None)."""
    if left is None or needed <= left:
        return ""
    return (
        f"It would not fit: it takes about {size(needed)} of memory, and {size(left)} is free. End other programs "
        "first, or the system may end the run."
    )


def error(told: events.Predicted, seconds: float, computed: int) -> float | None:
    """By how much the predicted time was off, as a share of the actual one: 0.1 is 10 % too long.

    None where the run computed other photos than were foreseen, or nothing: then the two cannot be compared.
    """
    if computed != told.photos or not computed or seconds <= 0:
        return None
    return told.seconds / seconds - 1


# --- blocks that learn -----------------------------------------------------------------------------------------------


def expect_depths(home: LabHome, worker_python: str, spec: FineTuningSpec, dataset: Dataset) -> events.Expected:
    """What a fine-tuning run takes in all, from a batch of each depth measured now. Raises EngineError."""
    began = time.monotonic()
    said = _asked(worker_python, {"home": home.path, "spec": spec._asdict(), "depths": True})
    # Python, TensorFlow and the weights: each depth is a process of its own, and so is what comes before them.
    starting = max(0.0, time.monotonic() - began - said["seconds"])
    photos = {split: sum(photo.split == split for photo in dataset.photos) for split in SPLITS}
    seconds = sum(starting + of_depth(each, spec, photos) for each in said["depths"])
    through = said["depths"][0]
    seconds += starting + len(dataset.photos) * (through["look"] + through["answer"])  # bottlenecks, for the head
    return events.Expected(time.time(), seconds, f"a batch of {'the depth' if len(spec.blocks) == 1 else 'each depth'}")


def of_depth(each: dict[str, float], spec: FineTuningSpec, photos: dict[str, int]) -> float:
    """Seconds of one depth; `each`: as engine/worker/predict.py measures it, `photos`: by split."""
    met = photos[TRAINING] + photos[VALIDATION]
    learned = spec.epochs * photos[TRAINING]
    answered = (spec.epochs + 1) * photos[VALIDATION] + photos[TESTING]
    is_kept = each["blocks"] not in (choices.ALL_BLOCKS, each["of_blocks"]) and not spec.is_never_the_same()
    if not is_kept:
        looked = learned + answered
    else:  # what the frozen blocks make of a photo is computed once for all epochs
        looked = met * (2 if spec.flip_left_right else 1) + photos[TESTING]
    return each["once"] + looked * each["look"] + learned * each["learn"] + answered * each["answer"]


def expect_sizes(home: LabHome, worker_python: str, spec: BatchSizeSpec) -> events.Expected:
    """The same of trying batch sizes, where all of them fit. Raises EngineError."""
    began = time.monotonic()
    depth = FineTuningSpec(backbone=spec.backbone, device=spec.device, blocks=(spec.blocks,), batch_size=spec.largest)
    said = _asked(worker_python, {"home": home.path, "spec": depth._asdict(), "depths": True})
    starting, each = max(0.0, time.monotonic() - began - said["seconds"]), said["depths"][0]
    seconds = 0.0
    for size_tried in sizes(spec.largest):
        step = size_tried * each["learn"]
        seconds += starting + each["once"] + step + max(TIMED_SECONDS, step)
    return events.Expected(time.time(), seconds, f"a batch of {min(spec.largest, 16):,}")


def sizes(largest: int) -> list[int]:
    """The batch sizes that are tried where all fit: 1, 2, 4 … up to the largest."""
    found = [1]
    while found[-1] < largest:
        found.append(min(largest, 2 * found[-1]))
    return found


def off(expected: float, actual: float) -> str:
    """By how much a figure was off, for people: "9% too much", "right"."""
    share = expected / actual - 1
    said = f"{abs(share):.0%}"
    return "right" if said == "0%" else f"{said} too {'much' if share > 0 else 'little'}"
