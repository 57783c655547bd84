"""Which photo goes into which split: as in TensorFlow for Poets' retrain.py, but no split of a class is left empty."""

import hashlib
import math
import os

from engine.contract.dataset import SPLITS, TESTING, TRAINING, VALIDATION, Dataset, Photo
from engine.photos.folders import Scan

NAME, TYPED_PATH = "name", "typed_path"

_HASH_LIMIT = 2**27 - 1


def percentage(key: str) -> float:
    """Where retrain.py's stable split puts a photo, 0..100: a matter of its path alone, whatever else is there."""
    digest = hashlib.sha1(without_variant(key).encode()).hexdigest()
    return (int(digest, 16) % (_HASH_LIMIT + 1)) * (100.0 / _HASH_LIMIT)


def without_variant(key: str) -> str:
    """Variants of one photo, named alike before _nohash_, stay together."""
    return key.split("_nohash_")[0]


def split(scan: Scan, validation_percentage: int, testing_percentage: int, key: str = NAME) -> Dataset:
    """Every readable photo with its label and split.

    `key`: NAME keys by "<class>/<file>", so that a moved folder keeps its split; TYPED_PATH by the path as it was
    typed, as the original does. Where a class would have no validation, testing or training photo, the photo whose
    percentage is nearest to the border between the two splits crosses it. A class of two photos has none for testing,
    a class of one only a training photo: `faults` refuses both.
    """
    prefix = "" if key == NAME else scan.typed
    photos = []
    for index, row in enumerate(scan.classes):
        files = [f"{row.folder}/{file}" for file in row.files]
        keys = {file: without_variant(os.path.join(prefix, file)) for file in files}
        split_of = _split_class(set(keys.values()), validation_percentage, testing_percentage)
        photos += [Photo(file, index, split_of[keys[file]]) for file in files]
    return Dataset(scan.title, str(scan.root), [row.label for row in scan.classes], photos)


def _split_class(keys: set[str], validation_percentage: int, testing_percentage: int) -> dict[str, str]:
    # Along the percentages the splits lie side by side: validation, testing, training. So a class is a line that is cut
    # twice, and to fill an empty split is to move a cut by one photo. Equal percentages: by name.
    line = sorted((percentage(key), key) for key in keys)
    border = validation_percentage + testing_percentage
    first = max(sum(place < validation_percentage for place, _ in line), 1)
    second = min(max(sum(place < border for place, _ in line), first), len(line) - 1)
    first = min(first, second)
    if first == second:  # no photo to test with: the nearer neighbour gives one, if it keeps one
        below = validation_percentage - line[first - 1][0] if first >= 2 else math.inf
        above = line[second][0] - border if len(line) - second >= 2 else math.inf
        if below < above:
            first -= 1
        elif above < math.inf:
            second += 1
    return {
        key: VALIDATION if position < first else TESTING if position < second else TRAINING
        for position, (_, key) in enumerate(line)
    }


def counts(dataset: Dataset) -> list[dict[str, int]]:
    """Photos per split, for each label in order: {"training": 80, "validation": 10, "testing": 10}."""
    table = [dict.fromkeys(SPLITS, 0) for _ in dataset.labels]
    for photo in dataset.photos:
        table[photo.label][photo.split] += 1
    return table
