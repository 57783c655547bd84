"""WORKER_PYTHON -m engine.worker.classify.uploads FOLDER: checks an uploaded model and says what it is.

FOLDER holds `upload`, the file as it came, and `labels.txt` where labels came with it. One JSON object on stdin, one as
the last line of stdout:

    {"file": "flowers.tflite", "given": {"title": ..., "input_mean": ..., ...}}
    {"model": {...}}               engine/contract/models.py's Uploaded; FOLDER now holds all that it names
    {"error": "<a sentence>"}

A model is a program that somebody else wrote. So it is looked at before it is loaded, and loaded here, where memory,
written files and time are bounded, before the resident classifier may load it:

    frozen graphs    every operation is one that computes and nothing else: engine/worker/formats/graphs.py
    TFLite files     every operation is one of TFLite's own: engine/worker/classify/tflite_files.py
    Keras archives   no code, and what they compute becomes a frozen graph: engine/worker/classify/keras_archives.py

Python 3.6.
"""

import hashlib
import json
import os
import resource
import sys
import time
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from engine.contract import catalog
from engine.contract import models as keys
from engine.worker import machine
from engine.worker.classify import keras_archives, models, tflite_files
from engine.worker.classify.models import Refused
from engine.worker.formats import graphs
from engine.worker.formats.graphs import GraphRefused

LABELS_LIMIT = 4 << 20  # bytes
CLASSES_LIMIT = 100000
SIZE_LIMIT = 2048  # pixels, of height and width
MEMORY = 4 << 30  # bytes beyond what TensorFlow has when it is loaded
WRITTEN = 1 << 30  # bytes of one file


def check(folder: str, file_name: str, given: Dict[str, Any], memory: Optional[int] = None) -> keys.Uploaded:
    """What an upload is; FOLDER then holds its files. Raises Refused and GraphRefused.

    `memory`: bytes that this process may take for it, once TensorFlow is loaded; it stays bound afterwards.
    """
    path = os.path.join(folder, "upload")
    size = os.path.getsize(path)
    if not size:
        raise Refused(f"{file_name} is empty.")
    if size > graphs.FILE_LIMIT:
        raise Refused(
            f"{file_name} has {size / 1e6:,.0f} MB; the lab takes up to {graphs.FILE_LIMIT / 1e6:,.0f} "
            "MB."
        )  # fmt: skip
    with open(path, "rb") as file:
        data = file.read()
    given = _sensible(given)
    suffix = _suffix(data, file_name)
    model_path = os.path.join(folder, "model." + suffix)
    os.rename(path, model_path)
    answering = os.path.join(folder, "graph.pb") if suffix == "keras" else model_path
    if suffix == "tflite":
        found, guess = tflite_files.look(model_path, data, given, memory)
    elif suffix == "keras":
        found, guess = keras_archives.look(model_path, data, given, memory, answering)
    else:
        found, guess = _look_at_graph(model_path, given, memory)
    for name in models.GRAPH_FIELDS:
        if name in given:
            found[name] = given[name]
    record = keys.Uploaded(
        title=given.get("title") or os.path.splitext(file_name)[0] or "Uploaded model",
        file=file_name,
        suffix=suffix,
        bytes=size,
        sha256=hashlib.sha256(data).hexdigest(),
        preprocessing=given.get("preprocessing") or found.pop("preprocessing", catalog.PILLOW),
        classes=0,
        outputs=keys.SCORES,
        by_guess=guess,
        added=time.time(),
        **{name: value for name, value in found.items() if name in keys.Uploaded._fields and name != "preprocessing"},
    )
    outputs, kind = _called(answering, record)
    labels = _labels(folder, outputs, file_name)
    with open(os.path.join(folder, "labels.txt"), "w", encoding="utf-8") as file:
        file.write("".join(label + "\n" for label in labels))
    if kind == keys.LOGITS:
        guess = (guess + " Its outputs are no probabilities, so a softmax makes some of them.").strip()
    return record._replace(classes=outputs, outputs=kind, by_guess=guess)


def _sensible(given: Dict[str, Any]) -> Dict[str, Any]:
    """What was said and is not None. Raises Refused for values that cannot be."""
    said = {name: value for name, value in given.items() if value not in (None, "")}
    for name in ("input_height", "input_width"):
        if name in said and not 1 <= said[name] <= SIZE_LIMIT:
            raise Refused(f"{name} is {said[name]:,}; choose 1 to {SIZE_LIMIT:,} pixels.")
    if not np.isfinite(said.get("input_mean", 0)):
        raise Refused("input_mean is no number; give one like 127.5 or 0.")
    std = said.get("input_std", 1)
    if not (np.isfinite(std) and std > 0):
        raise Refused(f"input_std is {std}, and pixels are divided by it; give a number above 0.")
    return said


def _suffix(data: bytes, file_name: str) -> str:
    """By content; a suffix may lie. Raises Refused."""
    if data[4:8] == b"TFL3":
        return "tflite"
    if data[:4] == b"PK\x03\x04":
        return "keras"
    if data[:4] == b"\x89HDF":
        raise Refused(
            f"{file_name} is an HDF5 file of an older Keras. Load it there, save it as .keras, and upload that."
        )
    return "pb"


def _labels(folder: str, outputs: int, file_name: str) -> List[str]:
    """Raises Refused where there are not as many as outputs."""
    path = os.path.join(folder, "labels.txt")
    if not os.path.isfile(path):
        return [f"class {number}" for number in range(outputs)]
    if os.path.getsize(path) > LABELS_LIMIT:
        raise Refused(f"The labels file has more than {LABELS_LIMIT >> 20} MB; it has one label a line.")
    try:
        with open(path, encoding="utf-8-sig") as file:
            labels = [" ".join(line.split()) for line in file.read().split("\n")]
    except UnicodeDecodeError:
        raise Refused("The labels file is no text; it has one label a line.") from None
    while labels and not labels[-1]:
        labels.pop()
    if len(labels) != outputs:
        raise Refused(
            f"{file_name} has {outputs:,} outputs, but its labels file has {len(labels):,} labels. Give the labels "
            "that were written with this model, one a line."
        )
    return labels


def _called(path: str, record: keys.Uploaded) -> Tuple[int, str]:
    """(how many outputs, what they are), found by calling it with three pictures. Raises Refused."""
    raw = record._replace(outputs=keys.SCORES)
    try:
        model = models.load_uploaded(path, None, raw)
        shape = (1, model.input_height, model.input_width, 3)
        random = np.random.RandomState(0)
        pictures = [np.zeros(shape), np.full(shape, 255.0), random.uniform(0, 255, shape)]
        answers = np.concatenate(
            [model.run(((one - record.input_mean) / record.input_std).astype(np.float32)) for one in pictures]
        )
    except (ValueError, RuntimeError, TypeError, IndexError) as error:  # what interpreters say
        raise Refused(f"{record.file} cannot be run: {graphs.sentence(error)}") from error
    outputs = answers.shape[1]
    if outputs > CLASSES_LIMIT:
        raise Refused(f"{record.file} has {outputs:,} outputs; a classifier has one for each class.")
    if not np.isfinite(answers).all():
        return outputs, keys.SCORES  # a wrong mean and std may do that; the answer will say so
    between = bool(answers.min() >= -1e-3 and answers.max() <= 1 + 1e-3)
    # A sum of 8-bit probabilities is off by as much as half a level for each.
    if between and np.abs(answers.sum(axis=1) - 1).max() <= max(0.02, outputs / 512.0):
        return outputs, keys.PROBABILITIES
    return outputs, keys.SCORES if between else keys.LOGITS


def _look_at_graph(path: str, given: Dict[str, Any], memory: Optional[int]) -> Tuple[Dict[str, Any], str]:
    """As tflite_files.look. Raises Refused and GraphRefused."""
    graphs.read(path)  # before the bound, because TensorFlow is loaded for it
    machine.bound_memory(memory)
    facts = graphs.facts(path)
    missing = [name for name in models.GRAPH_FIELDS if name not in given and facts[name] in (None, "")]
    if missing:
        raise Refused("The graph does not tell its {}; say it.".format(" and ".join(missing)))
    found = {name: facts[name] for name in models.GRAPH_FIELDS + ("parameters",)}
    is_known = all(name in given for name in facts["guessed"])
    # The lab's own graphs were learned with its own decoder and kernel; others mostly with retrain.py's.
    found["preprocessing"] = catalog.PILLOW if facts["is_own"] else catalog.TENSORFLOW
    return found, "" if is_known else facts["guess"]


if __name__ == "__main__":
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    resource.setrlimit(resource.RLIMIT_FSIZE, (WRITTEN, WRITTEN))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _asked = json.load(sys.stdin)
    try:
        _told: Dict[str, Any] = {"model": dict(check(sys.argv[1], _asked["file"], _asked["given"], MEMORY)._asdict())}
    except (Refused, GraphRefused) as refusal:
        _told = {"error": str(refusal).replace("model.pb", _asked["file"])}  # the name that its owner knows
    except MemoryError:
        _told = {"error": "The model needs more memory than the lab gives to one. Use a smaller one."}
    print(json.dumps(_told))
