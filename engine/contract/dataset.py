"""Which photos a run learns from or classifies: owns dataset.json, written once when the run is queued.

Python 3.6, standard library only.
"""

from typing import List, NamedTuple

from engine.contract import shapes
from engine.contract.run_folder import read_json, write_json

# What counts as a photo, by its content; nothing else is parsed, whatever the suffix says.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
PIXEL_LIMIT = 100 * 1000 * 1000  # width times height: 300 MB once decoded. A PNG of 20 KiB can claim more

TRAINING, VALIDATION, TESTING = "training", "validation", "testing"
SPLITS = (TRAINING, VALIDATION, TESTING)


class Photo(NamedTuple):
    file: str  # relative to the dataset's root, "<class folder>/<file name>", with "/"
    # Of photos that are only classified: -1 and "" where nobody says what they show and they belong to no split.
    label: int  # index into Dataset.labels
    split: str  # one of SPLITS


class Dataset(NamedTuple):
    title: str  # for people: "Traffic lights"
    root: str  # absolute path of the folder that holds one folder per class
    labels: List[str]  # output index = position; sorted by folder name, as in retrain.py
    photos: List[Photo]


def write(path: str, dataset: Dataset) -> None:
    """Columns rather than rows: 3,670 photos are 200 KB, and no nameless lists within lists."""
    write_json(
        path,
        {
            "title": dataset.title,
            "root": dataset.root,
            "labels": list(dataset.labels),
            "files": [photo.file for photo in dataset.photos],
            "label_of_file": [photo.label for photo in dataset.photos],
            "split_of_file": [photo.split for photo in dataset.photos],
        },
    )


def read(path: str) -> Dataset:
    """Raises OSError, and ValueError, KeyError or TypeError for a file that is no dataset."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise ValueError(f"{path} is no dataset")
    columns = zip(value["files"], value["label_of_file"], value["split_of_file"])
    found = Dataset(value["title"], value["root"], value["labels"], [Photo(*row) for row in columns])
    wrong = shapes.misfit(Dataset, found._asdict())
    if wrong:
        raise ValueError(f"{wrong} of {path} is not what a dataset has there")
    return found
