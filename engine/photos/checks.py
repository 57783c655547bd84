"""What is wrong with a set of photos, in sentences."""

from collections import Counter

from engine.contract.dataset import Dataset
from engine.photos.decoding import FORMATS_TEXT
from engine.photos.folders import Scan
from engine.photos.splits import without_variant
from engine.words import count

PHOTOS_AT_LEAST = 20
PHOTOS_PER_CLASS = 3  # one for each split


def faults(scan: Scan) -> list[str]:
    """Sentences that stop a start: what came, what is accepted, what to do. Empty where a run can start."""
    name = scan.title
    if not scan.classes and scan.loose:
        loose = count(scan.loose, "photo")
        return [f"{name} holds {loose} directly and no folders. Make one folder per class and move the photos there."]
    if not scan.classes:
        return [f"{name} is empty. It should hold one folder per class, with {FORMATS_TEXT} photos in each."]
    found = []
    if len(scan.classes) == 1:
        found.append(
            f"{name} has one class only, {scan.classes[0].folder}. A classifier needs at least 2: add a folder with "
            "photos of something else."
        )
    for row in scan.classes:
        if not row.files:
            found.append(f"The folder {row.folder} holds no readable photo. Add {FORMATS_TEXT} photos, or remove it.")
        elif (different := len({without_variant(file) for file in row.files})) < PHOTOS_PER_CLASS:
            variants = "" if different == len(row.files) else " (those named alike before _nohash_ count as one)"
            found.append(
                f"The class {row.folder} has {count(different, 'photo')}{variants}; it needs at least "
                f"{PHOTOS_PER_CLASS}, one each for training, validation and testing. Add photos, or remove the folder."
            )
        if not row.label.strip():
            found.append(
                f"The folder {row.folder!r} leaves an empty label: labels keep a to z and digits only. Rename it."
            )
    for text, times in Counter(row.label for row in scan.classes).items():
        if times > 1 and text.strip():
            folders = " and ".join(row.folder for row in scan.classes if row.label == text)
            found.append(f"The folders {folders} all become the label {text!r}. Rename or join them.")
    if 0 < scan.photos < PHOTOS_AT_LEAST and len(scan.classes) > 1:
        found.append(
            f"{name} has {count(scan.photos, 'readable photo')}; at least {PHOTOS_AT_LEAST} are needed, better 100 "
            "for each class. Add photos."
        )
    return found


def remarks(scan: Scan, dataset: Dataset | None) -> list[str]:
    """Sentences worth knowing that stop nothing. With a dataset, those about its splits too."""
    found = []
    if scan.unreadable:
        listed = _some([f"{file} ({why})" for file, why in scan.unreadable])
        found.append(f"{count(len(scan.unreadable), 'file')} cannot be used and will be left out: {listed}.")
    if scan.loose and scan.classes:
        found.append(f"{count(scan.loose, 'photo')} beside the class folders belong to no class and will be left out.")
    crossing = [" = ".join(row.files) for row in scan.duplicates if row.kind == "classes"]
    if crossing:
        found.append(
            f"{count(len(crossing), 'photo')} with the same content in two classes: {_some(crossing)}. One of each "
            "must be wrong; remove it."
        )
    if dataset:
        split_of = {photo.file: photo.split for photo in dataset.photos}
        leaking = [
            " = ".join(f"{file} ({split_of[file]})" for file in row.files)
            for row in scan.duplicates
            if len({split_of[file] for file in row.files}) > 1
        ]
        if leaking:
            found.append(
                f"{count(len(leaking), 'photo')} with the same content in two splits: {_some(leaking)}. Accuracy will "
                "look better than it is; remove the copies."
            )
    return found


def _some(texts: list[str], limit: int = 5) -> str:
    more = len(texts) - limit
    return "; ".join(texts[:limit]) + (f"; and {more:,} more" if more > 0 else "")
