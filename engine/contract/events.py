"""What a run reports: owns events.jsonl, append-only, one JSON object a line.

Every event says when (`t`, Unix seconds). A writer appends whole lines; a reader keeps a byte offset, never parses a
torn last line, and ignores kinds and fields that it does not know. Python 3.6, standard library only.
"""

import json
import os
from typing import Any, Dict, List, NamedTuple, Optional

from engine.contract import shapes

QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"
FINAL = (DONE, FAILED, CANCELLED)
LOST = "lost"  # never written: a run that is not finished and that nobody holds alive

# The stages of a retraining run, in order.
SCANNING, BOTTLENECKS, TRAINING, EVALUATING, EXPORTING = (
    "Scanning",
    "Bottlenecks",
    "Training",
    "Evaluating",
    "Exporting",
)
RETRAIN_STAGES = (SCANNING, BOTTLENECKS, TRAINING, EVALUATING, EXPORTING)
LOADING = "Loading"
MNIST_STAGES = (LOADING, TRAINING, EVALUATING, EXPORTING)
CLASSIFYING = "Classifying"
CLASSIFY_STAGES = (LOADING, CLASSIFYING)
FINE_TUNE_STAGES = (SCANNING, BOTTLENECKS, LOADING, TRAINING, EXPORTING)
TRYING = "Trying"
BATCH_SIZE_STAGES = (TRYING,)
LEARNING_CURVE_STAGES = (SCANNING, BOTTLENECKS, TRAINING)


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
    lane: str  # specs.lane_name, or the network's name
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


class LaneResult(NamedTuple):
    """The final figures of one lane, measured with its last weights."""

    t: float
    lane: str
    test_accuracy: float  # 0..1
    test_n: int  # photos tested
    final_validation_accuracy: float  # 0..1, over the whole validation split; lanes are chosen by it and
    final_validation_cross_entropy: Optional[float]  # nats, likewise, between equals; None where it is not a number
    best_validation_accuracy: float  # 0..1, the highest of the evaluations during training
    best_step: int  # where that was
    diverged: bool


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


class Result(NamedTuple):
    """The final figures of the run."""

    t: float
    kept: str  # the lane that was exported
    images: int  # photos used
    training: int
    validation: int
    testing: int
    cached: int  # photos whose bottleneck was known already
    computed: int  # photos whose bottleneck was computed by this run
    decode_seconds: float  # core-seconds of reading, decoding and resizing
    backbone_seconds: float  # core-seconds inside the backbone
    race_seconds: float  # wall time of training, all lanes together
    export_difference: float  # of a probability, the largest; exported files loaded in a fresh process
    export_photos: int  # how many photos were compared
    runtime: str  # what computed the bottlenecks, for people
    peak_memory_bytes: int  # of the worker process, the kernel's own figure
    # None in runs of before these were measured:
    cache_seconds: Optional[float] = None  # core-seconds of reading and keeping bottlenecks
    import_seconds: Optional[float] = None  # wall time of loading TensorFlow, wherever in the run that came


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


class NetworkResult(NamedTuple):
    """The final figures of one network, measured with its last weights."""

    t: float
    lane: str
    parameters: int
    multiply_adds: int  # for one picture
    epochs: float  # learned; no whole number where it was stopped
    train_seconds: float  # spent on this network, building its TensorFlow function included
    images_per_second: float  # learned from
    test_accuracy: float  # 0..1
    test_n: int  # pictures tested, once
    validation_accuracy: Optional[float]  # 0..1, at the last evaluation; None without a validation split
    best_epoch: int  # by validation; 0 without
    stopped: bool


class NetworkExported(NamedTuple):
    """The files of a network were written, and loaded again in a fresh process."""

    t: float
    lane: str
    difference: float  # of a probability, the largest
    images: int  # compared
    image_seconds: float  # for one picture, median, TFLite with one thread


class MnistResult(NamedTuple):
    """The final figures of a comparison."""

    t: float
    runtime: str  # for people
    peak_memory_bytes: int  # of the worker process, the kernel's own figure


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


class ClassifyResult(NamedTuple):
    """The final figures of many pictures; who is right is judged from what each was said to be."""

    t: float
    photos: int  # classified
    decode_seconds: float  # core-seconds of reading, decoding and resizing
    network_seconds: float  # inside the network, all photos
    photo_seconds: float  # of the network for one photo, the median
    peak_memory_bytes: int  # of the worker process, the kernel's own figure


class FineTuned(NamedTuple):
    """The final figures of one depth, measured with its last weights."""

    t: float
    lane: str
    blocks: int  # that learned, of ...
    of_blocks: int  # ... so many
    parameters: int  # that learned, the head's included
    peak_memory_bytes: int  # of the lane's own process, the kernel's figure; on a GPU of its memory
    epoch_seconds: float  # the median
    epochs: int  # learned; fewer than asked for where it diverged
    batch_size: int  # photos in one step
    at_once: int  # photos whose gradients were computed at once; the rest was added up
    features_kept: bool  # whether what goes into the first block that learns was computed once for all epochs
    validation_accuracy: float  # 0..1
    validation_cross_entropy: Optional[float]  # nats; None where it is not a number
    validation_n: int  # photos
    test_accuracy: float  # 0..1
    test_n: int  # photos


class FineTuneResult(NamedTuple):
    """The final figures of a fine-tuning run."""

    t: float
    training: int  # photos
    validation: int
    testing: int
    runtime: str  # for people


class BatchTried(NamedTuple):
    """One batch size, tried in a process of its own."""

    t: float
    batch_size: int
    fits: bool
    why: str  # it does not fit, for people; "" where it does
    peak_memory_bytes: int  # as in FineTuned; 0 where it does not fit
    images_per_second: float  # learned from; 0 where it does not fit


class BatchSizeResult(NamedTuple):
    t: float
    largest: int  # that fits
    bounded: bool  # whether a larger one was tried and did not fit
    memory_limit_bytes: int  # that held; 0 where nobody set one
    model_bytes: int  # what the process has in memory before it learns
    parameters: int  # that learn
    runtime: str  # for people


class LearningCurvePoint(NamedTuple):
    """One training on some of the photos, tested on the whole testing split."""

    t: float
    size: int  # photos of each class that were asked for; specs.ALL_PHOTOS: all that there are
    seed: int
    photos: int  # of all classes that were learned from; fewer than asked for where a class has no more
    correct: int  # testing photos, of ...
    test_n: int  # ... so many, the same ones for every size and seed
    diverged: bool
    seconds: float  # wall time of this training


class LearningCurveResult(NamedTuple):
    t: float
    training: int  # photos
    validation: int  # likewise; they are left alone, so that the other splits are those of a retraining run
    testing: int
    cached: int  # photos whose bottleneck was known already
    computed: int  # photos whose bottleneck was computed by this run
    runtime: str  # what computed the bottlenecks, for people
    peak_memory_bytes: int  # of the worker process, the kernel's own figure


class Error(NamedTuple):
    t: float
    code: str  # for programs: "too_few_photos"
    message: str  # what happened, for people, a whole sentence
    hint: str  # what to do, a whole sentence


_KINDS: Dict[str, Any] = {
    "state": State,
    "stage": Stage,
    "progress": Progress,
    "metric": Metric,
    "hardware": Hardware,
    "skipped": Skipped,
    "warning": Warning,
    "diverged": Diverged,
    "lane_result": LaneResult,
    "kept": Kept,
    "exported": Exported,
    "result": Result,
    "predicted": Predicted,
    "expected": Expected,
    "lane_started": LaneStarted,
    "lane_ended": LaneEnded,
    "batch_halved": BatchHalved,
    "network_result": NetworkResult,
    "network_exported": NetworkExported,
    "mnist_result": MnistResult,
    "model_loaded": ModelLoaded,
    "classified": Classified,
    "classify_result": ClassifyResult,
    "fine_tuned": FineTuned,
    "fine_tune_result": FineTuneResult,
    "batch_tried": BatchTried,
    "batch_size_result": BatchSizeResult,
    "learning_curve_point": LearningCurvePoint,
    "learning_curve_result": LearningCurveResult,
    "error": Error,
}
_NAMES = {record: name for name, record in _KINDS.items()}


def append(path: str, *new: Any) -> None:
    """Add events in one write, so that two writers never tear each other's lines. Raises OSError (disk full)."""
    text = ""
    for event in new:
        value = {"kind": _NAMES[type(event)]}
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
        return [event for event in map(_decode, whole.splitlines()) if event is not None]


def _decode(line: bytes) -> Optional[Any]:
    try:
        value = json.loads(line.decode("utf-8"))
        record = _KINDS[value["kind"]]
        known = dict(record._field_defaults, **value)  # runs of earlier versions lack some
        if shapes.misfit(record, known):
            return None
        return record(*[known[name] for name in record._fields])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None  # a kind or a shape of another version, or a line that a full disk cut short
