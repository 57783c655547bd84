"""What a run reports: owns events.jsonl, append-only, one JSON object a line.

Every event says when (`t`, Unix seconds). A writer appends whole lines; a reader keeps a byte offset, never parses a
torn last line, and ignores kinds and fields that it does not know. Python 3.6, standard library only.
"""

import json
import os
from typing import Any, Dict, List, NamedTuple, Optional

from engine.contract import kinds, shapes

QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"
FINAL = (DONE, FAILED, CANCELLED)
LOST = "lost"  # never written: a run that is not finished and that nobody holds alive

# The names of stages; each kind of run says which of them it has.
SCANNING, BOTTLENECKS, LOADING, TRAINING = "Scanning", "Bottlenecks", "Loading", "Training"
EVALUATING, EXPORTING, CLASSIFYING, TRYING = "Evaluating", "Exporting", "Classifying", "Trying"


class State(NamedTuple):
    t: float
    state: str  # queued, running, done, failed, cancelled
    ticket: int  # the place in line, counted from 1; 0 except on "queued"


class Stage(NamedTuple):
    t: float
    name: str  # one of the run's stages, which has now begun; the one before has ended
    total: int  # photos or steps to do; 0 where it cannot be counted


class Progress(NamedTuple):
    t: float
    done: int  # of the current stage's total


class Metric(NamedTuple):
    """A block of evaluations of one lane, at most 0.5 s of them; the lists are equally long."""

    t: float
    lane: str  # race.lane_name, or the network's name
    # "training": the batch just learned from, after the update; of a network before it, dropout and moved pictures
    # included, as Keras. "validation": a batch of that split; of a network all of it, at the end of each epoch
    split: str
    step: List[int]  # counted from 1; of fine-tuning the epoch, 0 before the first
    seconds: List[float]  # since training began; of a network, what was spent on it alone
    accuracy: List[float]  # 0..1
    cross_entropy: List[Optional[float]]  # nats, mean over the batch; None where it is not a number


class Hardware(NamedTuple):
    """Where the run is computed, told once its turn has come."""

    t: float
    name: str  # for people: "Jetson TX2"
    processor: str  # as the system names it; "" where it does not
    cores: int
    memory_bytes: int  # all of it; 0 where the system does not tell
    gpu: str  # the card that NVIDIA's driver names; "" without one, and on boards, whose name says it
    power_mode: str  # of a Jetson: "MAXN"; "" elsewhere


class Skipped(NamedTuple):
    """A photo that could not be used; the run goes on without it."""

    t: float
    file: str  # as in dataset.json
    why: str  # for people


class Warning(NamedTuple):
    """Something that the visitor should know and that does not stop the run."""

    t: float
    message: str  # for people, a whole sentence


class Diverged(NamedTuple):
    """A lane that left the numbers or ended worse than guessing; the others go on."""

    t: float
    lane: str
    step: int  # the first evaluation at which it showed
    why: str  # for people, a whole sentence


class Kept(NamedTuple):
    """The choice between the lanes, made before its files are exported."""

    t: float
    lane: str  # chosen by validation alone


class Exported(NamedTuple):
    """A file of the kept lane was written, loaded again in a fresh process and tested."""

    t: float
    file: str  # its name in artifacts/
    bytes: int  # on disk
    accuracy: float  # 0..1, on the photos compared
    photos: int  # of the testing split that were compared
    difference: float  # of a probability from what was trained, the largest
    seconds: float  # of one photo, the median, resizing left out where it is inside


class Predicted(NamedTuple):
    """What a probe of a few photos said before the run was started."""

    t: float
    seconds: float  # wall time of Bottlenecks
    photos: int  # whose bottlenecks were not kept yet, which is what those seconds are for
    measured: int  # photos of the probe
    disk_bytes: int  # kept afterwards: bottlenecks and exported files
    memory_bytes: int  # the highest of the worker process
    training_seconds: float = 0.0  # wall time of Training, of distorted photos; 0 where it was not foreseen


class Expected(NamedTuple):
    """What a run was said to take before it was started."""

    t: float
    seconds: float  # wall time from its turn to its end
    rests_on: str  # what that was derived from, for people: "the newest runs of these depths"


class LaneStarted(NamedTuple):
    """What a network is going to be trained with."""

    t: float
    lane: str
    training: int  # pictures to learn from
    validation: int  # pictures held out; 0 for none
    batch_size: int  # smaller than asked for after the memory ran out
    steps_an_epoch: int
    steps: int  # in all


class LaneEnded(NamedTuple):
    """A network that learns no more: its epochs are over, or somebody stopped it."""

    t: float
    lane: str
    stopped: bool


class BatchHalved(NamedTuple):
    """The memory ran out; the run begins anew in a new process, this network with a smaller batch."""

    t: float
    lane: str  # "": the whole run, of photos: all that was told of them and of its lanes is told again
    batch_size: int  # from now on; of a whole run photos in memory at a time


class Error(NamedTuple):
    t: float
    code: str  # for programs: "too_few_photos"
    message: str  # what happened, for people, a whole sentence
    hint: str  # what to do, a whole sentence


# Of every kind of run; each has more of its own.
_SHARED: Dict[str, Any] = {
    "state": State,
    "stage": Stage,
    "progress": Progress,
    "metric": Metric,
    "hardware": Hardware,
    "skipped": Skipped,
    "warning": Warning,
    "diverged": Diverged,
    "kept": Kept,
    "exported": Exported,
    "predicted": Predicted,
    "expected": Expected,
    "lane_started": LaneStarted,
    "lane_ended": LaneEnded,
    "batch_halved": BatchHalved,
    "error": Error,
}


def records() -> Dict[str, Any]:
    """Those of all kinds of run, by their names in logs."""
    return dict(kinds.events(), **_SHARED)


def _names() -> Dict[Any, str]:
    return {record: name for name, record in records().items()}


def append(path: str, *new: Any) -> None:
    """Add events in one write, so that two writers never tear each other's lines. Raises OSError (disk full)."""
    text, names = "", _names()
    for event in new:
        value = {"kind": names[type(event)]}
        value.update(event._asdict())
        # NaN is no JSON: a writer says None instead.
        text += json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False) + "\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.write(descriptor, text.encode("utf-8"))
    finally:
        os.close(descriptor)


class Reader:
    """Reads what was appended since the last call."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.offset = 0  # bytes of whole lines read so far

    def read(self) -> List[Any]:
        """The new events, in order; empty where there is nothing new or no file yet."""
        try:
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                data = file.read()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]  # a half-written line waits for the next call
        self.offset += len(whole)
        known = records()
        decoded = (_decode(line, known) for line in whole.splitlines())
        return [event for event in decoded if event is not None]


def _decode(line: bytes, records: Dict[str, Any]) -> Optional[Any]:
    try:
        value = json.loads(line.decode("utf-8"))
        record = records[value["kind"]]
        known = dict(record._field_defaults, **value)  # runs of earlier versions lack some
        if shapes.misfit(record, known):
            return None
        return record(*[known[name] for name in record._fields])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None  # a kind or a shape of another version, or a line that a full disk cut short
