"""WORKER_PYTHON -m engine.worker.imported.import_summaries SOURCE LAB_HOME RUN_ID TITLE

reads   SOURCE   a folder of TensorBoard's event files, in folders train and validation, of one run or several
makes   LAB_HOME/runs/RUN_ID   spec.json of kind "imported", the curves as events up to done, copies of the files
prints  one JSON object        {"warnings": [...]}, or {"error": "a whole sentence"} and then nothing is left behind

The tags of retrain.py (accuracy_1, cross_entropy_1), of its other versions, and of Keras (epoch_accuracy, epoch_loss).
Steps stay as the files count them: retrain.py began at 0. Without TensorFlow. Python 3.6.
"""

import json
import os
import re
import shutil
import struct
import sys
import time
from collections import OrderedDict
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from engine.contract import choices, events, specs, tickets
from engine.contract.kinds.imported import ImportedSpec
from engine.contract.run_folder import LabHome, RunFolder

SPLITS = {  # by the name of the folder that holds the files
    "train": "training",
    "training": "training",
    "validation": "validation",
    "val": "validation",
    "eval": "validation",
    "test": "validation",
}
TAGS = {  # the first that a file has counts
    "accuracy": ("accuracy_1", "accuracy", "accuracy/accuracy", "accuracy_1/accuracy", "epoch_accuracy", "acc"),
    "cross_entropy": (
        "cross_entropy_1",
        "cross_entropy",
        "cross_entropy/cross_entropy",
        "cross_entropy_1/cross_entropy",
        "epoch_loss",
        "loss",
    ),
}
FILE_LIMIT = 1000  # event files
BYTES_LIMIT = 4 << 30  # of all of them
RECORD_LIMIT = 64 << 20  # bytes; a step of retrain.py takes 15 thousand
POINTS_LIMIT = 20000  # of a curve
BLOCK = 500  # points in one event


class Point(NamedTuple):
    wall_time: float  # Unix seconds
    value: float


Curves = Dict[str, Dict[int, Point]]  # tag -> step -> what was said of it last


class Refused(Exception):
    """The folder cannot be imported, in words for the visitor."""


def main(source: str, folder: RunFolder, title: str) -> Dict[str, Any]:
    warnings: List[str] = []
    lanes = _find_lanes(source)
    read: Dict[str, Dict[str, List[Tuple[int, float, float, Optional[float]]]]] = OrderedDict()
    for lane, splits in lanes.items():
        curves = {}
        for split, files in splits.items():
            found: Curves = {}
            for file in files:
                _read_file(file, found, source, warnings)
            points = _points(found)
            if points:
                curves[split] = points
        if curves:
            read[lane] = curves
    if not read:
        raise Refused(
            "The event files in {} hold no accuracy between 0 and 1: looked for the tags {}. {}".format(
                source, ", ".join(TAGS["accuracy"]), " ".join(warnings[:3])
            ).strip()
        )
    if len(read) > choices.LANE_LIMIT:
        raise Refused(
            f"{source} holds {len(read)} runs; import a folder with at most {choices.LANE_LIMIT}: "
            f"{next(iter(read))} for one."
        )
    part = RunFolder(os.path.join(os.path.dirname(folder.path), ".importing-" + folder.id))
    try:
        _write(part, folder.id, source, title, read, lanes, warnings)
        os.rename(part.path, folder.path)
    finally:
        shutil.rmtree(part.path, ignore_errors=True)
    return {"warnings": warnings}


def _find_lanes(source: str) -> Dict[str, Dict[str, List[str]]]:
    """The event files below a folder by lane and split; a lane is what lies around train and validation."""
    found: Dict[str, Dict[str, List[str]]] = OrderedDict()
    number = size = 0
    for folder, folders, files in os.walk(source):  # links to folders are not followed
        folders.sort()
        for name in sorted(files):
            path = os.path.join(folder, name)
            if "tfevents" not in name or os.path.islink(path) or not os.path.isfile(path):
                continue
            number, size = number + 1, size + os.path.getsize(path)
            if number > FILE_LIMIT or size > BYTES_LIMIT:
                raise Refused(
                    f"{source} holds more than {FILE_LIMIT:,} event files or {BYTES_LIMIT >> 30} GB of them; name the "
                    "folder of one run."
                )
            around, last = os.path.split(os.path.relpath(folder, source))
            split = SPLITS.get(last.lower())
            if split is None:
                around, split = os.path.join(around, last), SPLITS.get(os.path.basename(source).lower(), "training")
            lane = around if around not in ("", ".") else os.path.basename(source.rstrip(os.sep))
            found.setdefault(_lane_name(lane), {}).setdefault(split, []).append(path)
    if not found:
        raise Refused(
            f"There is no event file of TensorBoard below {source}. Their names begin with events.out.tfevents; "
            "retrain.py wrote them to its --summaries_dir."
        )
    return found


def _lane_name(path: str) -> str:
    """A folder's path as a lane's name, which becomes the name of one folder: "runs/lr_0.5" gives "runs-lr_0.5"."""
    return re.sub(r"[^\w.,=+ -]+", "-", path).strip("-. ")[-60:] or "run"


def _read_file(path: str, found: Curves, source: str, warnings: List[str]) -> None:
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto.event_pb2 import Event

    name = _printable(os.path.relpath(path, source))
    wanted = {tag for tags in TAGS.values() for tag in tags}
    with open(path, "rb") as file:
        try:
            for record in _records(file, os.path.getsize(path)):
                event = Event.FromString(record)
                for value in event.summary.value:
                    if value.tag in wanted:
                        number = _number(value)
                        if number is not None:
                            found.setdefault(value.tag, {})[event.step] = Point(event.wall_time, number)
        except EOFError:
            warnings.append(f"{name} ends in the middle of a record; what comes before was read.")
        except (ValueError, DecodeError):
            warnings.append(f"{name} is damaged or no event file; what comes before the damage was read.")


def _records(file: Any, size: int) -> Iterator[bytes]:
    """Raises EOFError where the last record is cut short, ValueError where something else stands in its place.

    tensorboard's own reader computes the checksum of all bytes in Python, minutes for a whole run of retrain.py; as its
    faster one we check that of the lengths alone.
    """
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

    while file.tell() < size:
        header = file.read(12)
        if len(header) < 12:
            raise EOFError()
        length, checksum = struct.unpack("<QI", header)
        if masked_crc32c(header[:8]) != checksum or length > RECORD_LIMIT:
            raise ValueError()
        record = file.read(length + 4)
        if len(record) < length + 4:
            raise EOFError()
        yield record[:-4]


def _number(value: Any) -> Optional[float]:
    """What a summary says, as TensorFlow 1 wrote it or as TensorFlow 2 does; None where it is no single number."""
    kind = value.WhichOneof("value")
    if kind == "simple_value":
        return float(value.simple_value)
    if kind == "tensor":
        from tensorboard.util import tensor_util

        try:
            array = tensor_util.make_ndarray(value.tensor)
            return float(array) if array.size == 1 else None
        except (TypeError, ValueError):
            return None
    return None


def _points(found: Curves) -> List[Tuple[int, float, float, Optional[float]]]:
    """(step, wall time, accuracy, cross-entropy) in the order of the steps, thinned."""
    accuracy, cross_entropy = [
        next((found[tag] for tag in TAGS[each] if tag in found), {}) for each in ("accuracy", "cross_entropy")
    ]
    points = []
    for step in sorted(accuracy):
        if step >= 0 and 0 <= accuracy[step].value <= 1:  # False for NaN too
            nats = cross_entropy[step].value if step in cross_entropy else float("nan")
            is_finite = abs(nats) < float("inf")
            points.append((step, accuracy[step].wall_time, accuracy[step].value, round(nats, 6) if is_finite else None))
    return points[:: -(-len(points) // POINTS_LIMIT)] if points else []


def _write(
    part: RunFolder,
    run_id: str,
    source: str,
    title: str,
    read: Any,
    lanes: Dict[str, Dict[str, List[str]]],
    warnings: List[str],
) -> None:
    home = RunFolder(os.path.join(os.path.dirname(part.path), run_id)).home
    os.makedirs(part.artifacts)
    specs.write(part.spec, ImportedSpec(_printable(title), _printable(source), tuple(read), ""))
    # A ticket says when it came among the other runs; nobody waits behind it, because nobody holds it alive.
    ticket = tickets.take(home, choices.CPU, run_id)
    tickets.leave(home, choices.CPU, ticket)
    events.append(part.events, events.State(time.time(), events.QUEUED, ticket))
    for lane, curves in read.items():
        began = min(points[0][1] for points in curves.values())
        for split, points in curves.items():
            for at in range(0, len(points), BLOCK):
                block = points[at : at + BLOCK]
                metric = events.Metric(
                    t=time.time(),
                    lane=lane,
                    split=split,
                    step=[step for step, _, _, _ in block],
                    seconds=[round(max(0.0, wall_time - began), 3) for _, wall_time, _, _ in block],
                    accuracy=[round(accuracy, 6) for _, _, accuracy, _ in block],
                    cross_entropy=[nats for _, _, _, nats in block],
                )
                events.append(part.events, metric)
            target = os.path.join(part.summaries, lane, "train" if split == "training" else split)
            os.makedirs(target)
            for file in lanes[lane][split]:
                shutil.copyfile(file, _free_name(target, os.path.basename(file)))
    said = [events.Warning(time.time(), warning) for warning in warnings[:20]]
    events.append(part.events, *(said + [events.State(time.time(), events.DONE, 0)]))


def _free_name(folder: str, name: str) -> str:
    """Two folders of the source may have become one lane: train and training."""
    path, number = os.path.join(folder, name), 1
    while os.path.exists(path):
        path, number = os.path.join(folder, f"{name}.{number}"), number + 1
    return path


def _printable(path: str) -> str:
    """A path as text: names of files need not be any."""
    return path.encode("utf-8", "replace").decode("utf-8")


if __name__ == "__main__":
    sys.modules["tensorflow"] = None  # type: ignore[assignment]  # tensorboard would load it, for seconds, for nothing
    try:
        answer = main(sys.argv[1], LabHome(sys.argv[2]).run(sys.argv[3]), sys.argv[4])
    except Refused as error:
        answer = {"error": str(error)}
    except ImportError:
        answer = {"error": "The worker's Python has no tensorboard. Install it there: pip install tensorboard."}
    except OSError as error:
        where = _printable(str(error.filename or sys.argv[1]))
        answer = {"error": f"The files cannot be imported: {where}: {error.strerror}."}
    print(json.dumps(answer))
