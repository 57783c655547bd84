"""What the key of a model names, and the files of models that visitors uploaded.

    mobilenet_v2                     a backbone with its own last layer, see catalog.py
    20261122-141502-3fa9c1           a run: the lane that it kept
    20261122-141502-3fa9c1:0.5       any lane of a run, or any network of a comparison: ...:beginner
    model:flowers-1a2b3c4d           an uploaded model:

    LAB_HOME/models/<id>/
      model.json        an Uploaded; written last, so a folder without it is no model
      model.<suffix>    the file as it came
      labels.txt        one label a line, line number = output index
      graph.pb          of a .keras file: the frozen graph that was made of it, which answers

Python 3.6, standard library only.
"""

import os
import re
from typing import Any, Dict, List, NamedTuple, Optional

from engine.contract import catalog, choices
from engine.contract.run_folder import LabHome, RunFolder, read_json

BACKBONE, RUN, UPLOADED = "backbone", "run", "uploaded"  # kinds of places
PREFIX = "model:"
SUFFIXES = ("pb", "tflite", "keras")
ID = r"[a-z0-9][a-z0-9-]{0,60}$"

# What the outputs of an uploaded model are: PROBABILITIES sum to 1; LOGITS become probabilities by a softmax; SCORES
# lie between 0 and 1, one for each label, and are left as they are.
PROBABILITIES, LOGITS, SCORES = "probabilities", "logits", "scores"


class Place(NamedTuple):
    kind: str  # BACKBONE, RUN or UPLOADED
    name: str  # the backbone's name, the run's id or the uploaded model's
    lane: str  # of a run; "" for the one that it kept


class Uploaded(NamedTuple):
    title: str  # for people
    file: str  # its name as it came
    suffix: str  # one of SUFFIXES
    bytes: int  # of that file
    sha256: str  # of that file, hexadecimal
    parameters: Optional[int]  # None where the file does not tell
    input_layer: str
    output_layer: str
    input_height: int  # pixels
    input_width: int
    input_mean: float  # subtracted from RGB 0..255
    input_std: float  # then divided by
    preprocessing: str  # who decodes and resizes, see catalog.py
    classes: int  # how many outputs it has
    outputs: str  # PROBABILITIES, LOGITS or SCORES
    by_guess: str  # a sentence about what nobody said and the file does not tell; "" where nothing is guessed
    added: float  # Unix seconds


def place(home: LabHome, key: str) -> Place:
    """What a key names, whether it is there or not. Raises KeyError for what can be no key."""
    if key.startswith(PREFIX):
        if not re.match(ID, key[len(PREFIX) :]):
            raise KeyError(key)
        return Place(UPLOADED, key[len(PREFIX) :], "")
    try:
        return Place(BACKBONE, catalog.backbone(key, home).name, "")
    except KeyError:
        pass
    name, _, lane = key.partition(":")
    # Both become parts of paths.
    if not re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*$", name) or not re.match(r"[a-z0-9_.+-]*$", lane) or ".." in lane:
        raise KeyError(key)
    return Place(RUN, name, lane)


def folder(home: LabHome, name: str) -> str:
    """Where the files of an uploaded model lie."""
    return os.path.join(home.models, name)


def uploaded(home: LabHome, name: str) -> Uploaded:
    """Raises KeyError where there is no such model, or one that this version cannot read."""
    try:
        value = read_json(os.path.join(folder(home, name), "model.json"))
        return Uploaded(**{field: value[field] for field in Uploaded._fields})
    except (OSError, ValueError, TypeError):
        raise KeyError(name) from None


def all_uploaded(home: LabHome) -> List[str]:
    """Ids of the uploaded models that can be read, by name."""
    found = []
    for name in sorted(os.listdir(home.models)) if os.path.isdir(home.models) else []:
        try:
            if re.match(ID, name):
                uploaded(home, name)
                found.append(name)
        except KeyError:
            continue
    return found


def read_labels(path: str) -> List[str]:
    """One label a line, as label_image.py reads them; empty lines at the end do not count.

    Raises OSError, and ValueError where the file is no text.
    """
    with open(path, encoding="utf-8") as file:
        labels = [line.rstrip() for line in file]
    while labels and not labels[-1]:
        labels.pop()
    return labels


def lane_file(run: RunFolder, lane: str) -> str:
    """The weights of one lane: of its last layer, and of the blocks that learned; or of one network of a comparison."""
    return os.path.join(run.lanes, lane + ".npz")


def lane_tflite(run: RunFolder, lane: str) -> str:
    """A depth of fine-tuning as a model of its own; the kept lane has more files than that."""
    return os.path.join(run.lanes, lane + ".tflite")


def kept_lane(contract: Dict[str, Any]) -> str:
    """Of a run that learned from photos, by its contract.json."""
    if "blocks" in contract:
        return choices.depth_name(contract["blocks"])
    return choices.lane_name(contract["learning_rate"])
