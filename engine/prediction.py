"""What a retraining run is going to take, before it starts: a few photos are measured as the run would do them."""

import time
from typing import Any

from engine import worker_programs
from engine.contract import events, specs
from engine.contract.dataset import Dataset
from engine.contract.run_folder import LabHome
from engine.errors import EngineError
from engine.words import count, duration, size

SAMPLE = 24  # photos
PATIENCE = 300.0  # seconds: the first time, the backbone is converted, and every photo is read


def predict(home: LabHome, worker_python: str, spec: specs.RetrainSpec, dataset: Dataset) -> events.Predicted:
    """Seconds of Bottlenecks, disk and memory of such a run; takes seconds, and the backbone must be on this machine.

    Photos whose bottlenecks are kept from earlier count as nothing. Raises EngineError with a sentence.
    """
    files = [photo.file for photo in dataset.photos]
    question: dict[str, Any] = {
        "home": home.path,
        "backbone": spec.backbone,
        "device": spec.device,
        "threads": spec.threads,
        "use_cache": spec.use_cache,
        "root": dataset.root,
        "files": files,
        "sample": [files[at * len(files) // SAMPLE] for at in range(min(SAMPLE, len(files)))]
        if len(files) > SAMPLE
        else files,
    }
    said = worker_programs.ask(worker_python, "engine.worker.predict", [], question, PATIENCE)
    if "error" in said:
        raise EngineError(said["error"])
    return events.Predicted(t=time.time(), **said)


def in_words(told: events.Predicted, photos: int) -> str:
    """ "About 12 s for bottlenecks, predicted from 24 photos; 3.2 MB of disk, 0.9 GB of memory." """
    if not told.photos:
        said = f"No time for bottlenecks: those of all {count(photos, 'photo')} are kept"
    else:
        said = f"About {duration(told.seconds)} for bottlenecks, predicted from {count(told.measured, 'photo')}"
        if told.photos < photos:
            said += f": {told.photos:,} of {photos:,} are still to compute"
    return f"{said}; {size(told.disk_bytes)} of disk, {size(told.memory_bytes)} of memory."


def error(told: events.Predicted, seconds: float, computed: int) -> float | None:
    """By how much the predicted time was off, as a share of the actual one: 0.1 is 10 % too long.

    None where the run computed other photos than were foreseen, or nothing: then the two cannot be compared.
    """
    if computed != told.photos or not computed or seconds <= 0:
        return None
    return told.seconds / seconds - 1
