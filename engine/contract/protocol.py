"""What the dashboard and the resident classifier say to each other: one JSON object a line, a record for each message.

The dashboard writes a request to the classifier's stdin and reads one answer from its stdout. `kind` in a line names
its record. Fields that a reader does not know are ignored, and a field with a default may be missing, so that a newer
classifier never breaks an older dashboard. Bytes are base64 in a line. Python 3.6, standard library only.
"""

import base64
import json
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

from engine.contract import shapes

# --- requests --------------------------------------------------------------------------------------------------------


class Classify(NamedTuple):
    """What does a model say of a picture? Answered by Classified."""

    model: str  # key, see engine/contract/models.py
    image: bytes  # the picture's file, as all images here
    top: int = 5  # how many labels to name
    repeats: int = 0  # timed calls after the first


class ClassifyGraph(NamedTuple):
    """What does a frozen graph of TensorFlow say of a picture? Answered by Classified.

    What is None is found in the graph.
    """

    graph: str  # absolute path
    image: bytes
    top: int = 5
    repeats: int = 0
    labels: Optional[str] = None  # absolute path of a file with one label a line; None: outputs are numbered
    input_layer: Optional[str] = None
    output_layer: Optional[str] = None
    input_height: Optional[int] = None  # pixels
    input_width: Optional[int] = None
    input_mean: Optional[float] = None  # subtracted from RGB 0..255
    input_std: Optional[float] = None  # then divided by


class ClassifyDigit(NamedTuple):
    """What does every network of a comparison say of a digit? Answered by DigitClassified."""

    model: str  # a run's id
    pixels: bytes  # 28 x 28 uint8, row by row, 0 paper, 255 ink


class Distort(NamedTuple):
    """How does a photo look when it is learned from with distortions? Answered by Distorted."""

    image: bytes
    backbone: str  # its name in engine/contract/catalog.py
    seed: int  # the same seed gives the same samples
    samples: int  # how many
    flip_left_right: bool  # from here on choices.DISTORTIONS
    random_crop: int  # percent
    random_scale: int  # percent
    random_brightness: int  # percent


class Prepare(NamedTuple):
    """Load a model, so that its first answer is quick. Answered by Prepared."""

    model: str


class ReportMemory(NamedTuple):
    """Which models are in memory? Answered by Resident."""


class CheckPreprocessing(NamedTuple):
    """What does a model say of a picture that was prepared wrongly? Answered by PreprocessingChecked."""

    model: str
    image: bytes


class MapOcclusion(NamedTuple):
    """How far does a label's score fall when a gray square hides a part of the picture? Answered by Heat."""

    model: str
    image: bytes
    label: Optional[str] = None  # None: the most probable one


class MapGradients(NamedTuple):
    """Where do the last convolutions find what speaks for a label (Grad-CAM)? Answered by Heat."""

    model: str
    image: bytes
    label: Optional[str] = None  # None: the most probable one


class FindNeighbours(NamedTuple):
    """Which training photos of a run are most like a picture? Answered by NeighboursFound."""

    model: str
    image: bytes
    photos: int = 8  # how many


class JudgeOutlier(NamedTuple):
    """Does a picture look like nothing that a run learned from? Answered by Outlier."""

    model: str
    image: bytes


# --- answers ---------------------------------------------------------------------------------------------------------


class Scored(NamedTuple):
    label: str
    score: float  # 0..1


class Classified(NamedTuple):
    """What a model says of a picture, and how long that took."""

    top: List[Scored]  # most probable first
    runtime: str  # "LiteRT"
    device: str  # "CPU" or "GPU"
    load_seconds: float  # reading the model's file, once
    first_seconds: float  # the model's first call, slower than the others
    decode_seconds: float
    resize_seconds: float
    seconds: float  # this call of the network
    width: int  # of the picture, pixels, upright
    height: int
    seen_png: bytes  # the picture exactly as the model sees it
    p50_seconds: Optional[float] = None  # a call of the network, the median of the repeats; None without
    classes: int = 0  # how many outputs the model has
    input_layer: str = ""
    output_layer: str = ""
    input_height: int = 0  # pixels
    input_width: int = 0
    input_mean: float = 0.0  # subtracted from RGB 0..255; 0 and 1 where the model normalises by itself
    input_std: float = 1.0  # then divided by
    found: str = ""  # of a graph file: why these and no others, a sentence for people
    p95_seconds: Optional[float] = None  # 95 of 100 calls take no longer; None without repeats
    score_calibrated: Optional[float] = None  # 0..1, of the most probable label; None where it was never measured
    repeat_seconds: Tuple[float, ...] = ()  # each of the repeats, in their order


class NetworkScores(NamedTuple):
    lane: str  # the network's name
    probabilities: List[Optional[float]]  # of the ten classes, sum 1; None where it is not a number
    seconds: float  # this call of the network


class DigitClassified(NamedTuple):
    """What every network of a comparison says of a digit."""

    networks: List[NetworkScores]  # in the order of the run's lanes
    runtime: str  # "LiteRT"
    device: str  # "CPU"


class Distorted(NamedTuple):
    """A photo as it is learned from."""

    samples: List[bytes]  # JPEG files


class Prepared(NamedTuple):
    """A model that is loaded."""

    load_seconds: float  # reading the model's file
    first_seconds: float  # its first call


class ModelSize(NamedTuple):
    model: str  # key
    bytes: int  # in memory, an estimate


class Resident(NamedTuple):
    """What the classifier keeps in memory between two requests."""

    bytes: int  # of all models together, an estimate
    limit_bytes: int  # beyond it, the model that was not asked for longest leaves
    models: List[ModelSize]  # the one used last comes last


class Skew(NamedTuple):
    """What a model says of a picture that was prepared in one way, the usual one or a plausible wrong one."""

    name: str  # "BGR in place of RGB"; "As the model was trained" where is_usual
    is_usual: bool
    top: List[Scored]  # most probable first
    usual_score: float  # 0..1, what is left here of the score of the usual setting's most probable label
    seen_png: bytes  # the picture as the model then sees it


class PreprocessingChecked(NamedTuple):
    """The usual setting and the wrong ones."""

    settings: List[Skew]  # the usual one first


class Heat(NamedTuple):
    """Which parts of a picture a model's score for one label depends on."""

    # Rows from the top. Occlusion: by how much the score falls when a place is covered, the mean over the squares that
    # cover it; Grad-CAM: 0..1, 1 the strongest place
    grid: List[List[float]]
    label: str
    score: float  # 0..1, of that label in the whole picture
    seconds: float
    seen_png: bytes  # the picture as the model sees it, which the grid covers


class Neighbour(NamedTuple):
    """A training photo that the backbone finds like a picture."""

    path: str  # absolute; "" where the photo is no longer at its place
    file: str  # relative to the photos' folder
    label: str
    distance: float  # cosine, 0 the same direction to 2 the opposite one
    split: str  # "training"


class NeighboursFound(NamedTuple):
    """The training photos that are most like a picture."""

    photos: List[Neighbour]  # nearest first


class Outlier(NamedTuple):
    """Whether a picture looks like nothing that a run learned from."""

    is_none_of_these: bool
    distance: Optional[float]  # cosine, to the nearest training photo; None where the run keeps no bottlenecks of those
    score: float  # 0..1, calibrated, of the most probable label
    distance_threshold: Optional[float]  # above it: none of these; None where the distance is not judged
    score_threshold: float  # below it: none of these
    false_alarms: int  # photos of the testing split that are called none of these
    photos: int  # of the testing split

    @property
    def false_alarm_rate(self) -> float:
        """0..1"""
        return self.false_alarms / self.photos


class Refusal(NamedTuple):
    """A request that could not be answered. It may take the place of any answer."""

    error: str  # why, a sentence for people


# --- lines -----------------------------------------------------------------------------------------------------------

Explain = Union[CheckPreprocessing, MapOcclusion, MapGradients, FindNeighbours, JudgeOutlier]
Request = Union[Classify, ClassifyGraph, ClassifyDigit, Distort, Prepare, ReportMemory, Explain]
Answer = Union[
    Classified,
    DigitClassified,
    Distorted,
    Prepared,
    Resident,
    PreprocessingChecked,
    Heat,
    NeighboursFound,
    Outlier,
    Refusal,
]

REQUESTS: Dict[str, Any] = {
    "classify": Classify,
    "classify_graph": ClassifyGraph,
    "classify_digit": ClassifyDigit,
    "distort": Distort,
    "prepare": Prepare,
    "report_memory": ReportMemory,
    "check_preprocessing": CheckPreprocessing,
    "map_occlusion": MapOcclusion,
    "map_gradients": MapGradients,
    "find_neighbours": FindNeighbours,
    "judge_outlier": JudgeOutlier,
}
ANSWERS: Dict[str, Any] = {
    "classified": Classified,
    "digit_classified": DigitClassified,
    "distorted": Distorted,
    "prepared": Prepared,
    "resident": Resident,
    "preprocessing_checked": PreprocessingChecked,
    "heat": Heat,
    "neighbours_found": NeighboursFound,
    "outlier": Outlier,
    "refusal": Refusal,
}
_NAMES = {record: name for table in (REQUESTS, ANSWERS) for name, record in table.items()}


class Malformed(ValueError):
    """A line that is no message; the text says what is wrong with it, for people."""


def encode(message: Union[Request, Answer]) -> str:
    """The line of a request or an answer, without its end."""
    values = _plain(message)
    values["kind"] = _NAMES[type(message)]
    return json.dumps(values)


def decode(line: str, records: Dict[str, Any]) -> Any:
    """The record of a line; `records`: REQUESTS or ANSWERS. Raises Malformed."""
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        raise Malformed("the line is no JSON") from None
    if not isinstance(values, dict):
        raise Malformed("the line is no JSON object")
    name = values.get("kind")
    if not isinstance(name, str) or name not in records:
        raise Malformed(f"there is no message of kind {name!r:.80}")
    return _record(name, records[name], values)


def _record(name: str, record: Any, values: Dict[str, Any]) -> Any:
    """Raises Malformed."""
    missing = [field for field in record._fields if field not in values and field not in record._field_defaults]
    if missing:
        raise Malformed(f"{name!r} lacks {missing[0]!r}")
    try:
        known = shapes.from_json(record, dict(record._field_defaults, **values))
    except (ValueError, KeyError, TypeError) as error:
        raise Malformed(f"{name!r} has a list or bytes that cannot be read: {error}") from error
    wrong = shapes.misfit(record, known)
    if wrong:
        raise Malformed(f"{name!r} has a {wrong!r} that cannot be")
    return record(**known)


def _plain(value: Any) -> Any:
    """A value of a record as JSON has it."""
    if hasattr(value, "_fields"):
        return {name: _plain(getattr(value, name)) for name in value._fields}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return value
