"""Pictures that are at hand without an upload: samples, and the photos of every set and run that is here.

Each has a key, which pages put into their addresses: "grace_hopper", or "<set or run>/<class folder>/<file>".
"""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from engine import assets, photos
from engine.contract import dataset as datasets
from engine.contract.dataset import Dataset
from engine.errors import PhotosError
from engine.settings import Settings

GRACE_HOPPER = "grace_hopper"
COURSEWORK_DAISY = "21652746_cc379e0eea_m.jpg"
SHOWN_CLASSES = 5  # of a built-in set, a photo of each

# What a class is called as a sample, where its label alone would not do.
_TITLES = {"traffic_lights": {"red": "red light", "yellow": "yellow light", "green": "green light"}}


@dataclass(frozen=True)
class Sample:
    key: str
    title: str
    path: Path | None  # None: to be fetched first, as the asset of the key's name
    attribution: str


def samples(settings: Settings) -> list[Sample]:
    """Grace Hopper, then a photo of each class of the built-in sets that are here. Reads folders alone."""
    row = assets.asset(GRACE_HOPPER)
    found = [Sample(GRACE_HOPPER, "Grace Hopper", assets.find_asset(settings.home, row), row.attribution)]
    for source in photos.sources(settings):
        if source.root is None or not source.attribution:  # not here, or a visitor's own
            continue
        titles = _TITLES.get(source.key, {})
        with contextlib.suppress(OSError):
            for folder in _names(source.root)[:SHOWN_CLASSES]:
                files = _names(source.root / folder)
                file = COURSEWORK_DAISY if COURSEWORK_DAISY in files else next(iter(files), "")
                if file:
                    key = f"{source.key}/{folder}/{file}"
                    title = titles.get(folder, photos.label(folder))
                    found.append(Sample(key, title, source.root / folder / file, source.attribution))
    return found


def find(settings: Settings, key: str) -> Sample:
    """What a key names. Raises PhotosError with a sentence, also for one that leads out of its set."""
    if key == GRACE_HOPPER:
        return samples(settings)[0]
    gone = PhotosError(f"There is no picture {key!r} on this machine any more. Choose another one.")
    parts = key.split("/")
    if len(parts) != 3 or any(part in ("", ".", "..") or "\0" in part or "\\" in part for part in parts):
        raise gone
    name, folder, file = parts
    root, attribution = _root(settings, name)
    if root is None:
        raise gone
    try:
        path = (root / folder / file).resolve()
        is_inside = any(one == path or one in path.parents for one in (root.resolve(), *settings.data_roots))
        if not is_inside or not path.is_file():
            raise gone
    except (OSError, RuntimeError):  # a loop of links, a name that is too long
        raise gone from None
    return Sample(key, file, path, attribution)


def read(sample: Sample) -> bytes:
    """The picture's file. Raises PhotosError."""
    if sample.path is None:
        raise PhotosError(f"{sample.title} is not on this machine yet. Fetch it first.")
    try:
        if sample.path.stat().st_size > photos.FILE_LIMIT:
            raise PhotosError(f"{sample.title} is larger than {photos.FILE_LIMIT // 1_000_000} MB. Choose another one.")
        return sample.path.read_bytes()
    except OSError as error:
        raise PhotosError(f"{sample.title} cannot be read: {error.strerror}. Choose another picture.") from error


def label(key: str) -> str:
    """What the picture shows, by the name of its class folder; "" where that says nothing."""
    parts = key.split("/")
    return photos.label(parts[1]) if len(parts) == 3 else ""


def listed(settings: Settings, name: str) -> Dataset:
    """The photos of a set or run by class and split. Raises PhotosError.

    Of a run: the splits that it used. Of a set: those that a run would use by default, by the files' names; no file is
    opened, so that thousands take no time, and one that cannot be decoded is listed too.
    """
    spec = settings.home.run(name).dataset
    source = next((each for each in photos.sources(settings) if each.key == name), None)
    try:
        if source is None:
            return datasets.read(spec)
        if source.root is None:
            raise PhotosError(f"{source.title} is not on this machine yet. Fetch it first.")
        classes = []
        for folder in _names(source.root):
            with contextlib.suppress(OSError):
                files = [file for file in _names(source.root / folder) if _is_meant_as_photo(file)]
                classes.append(photos.ClassFolder(folder, photos.label(folder), tuple(files)))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PhotosError(f"The photos of {name} cannot be listed. They may have been deleted.") from error
    full = tuple(each for each in classes if each.files)
    scan = photos.Scan(source.title, source.root, str(source.root), full, (), (), 0)
    return photos.split(scan, 10, 10)


def _is_meant_as_photo(file: str) -> bool:
    return os.path.splitext(file)[1].lower() in (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")


def _root(settings: Settings, name: str) -> tuple[Path | None, str]:
    """The folder of a set or of a run's photos, and whose photos they are."""
    for source in photos.sources(settings):
        if source.key == name:
            return source.root, source.attribution
    folder = settings.home.run(name)
    if name != folder.id or not os.path.isfile(folder.dataset):
        return None, ""
    try:
        root = photos.allowed(datasets.read(folder.dataset).root, settings.data_roots)
    except (PhotosError, OSError, ValueError, KeyError, TypeError):
        return None, ""
    known = [each for each in photos.sources(settings) if each.root and each.root.resolve() == root]
    return root, known[0].attribution if known else ""


def _names(folder: Path) -> list[str]:
    """What is in a folder, by name, without hidden files."""
    return sorted(name for name in os.listdir(folder) if not name.startswith("."))
