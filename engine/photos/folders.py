"""What is in a folder of photos: one folder per class, or pictures to classify."""

import concurrent.futures
import os
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from engine.contract.dataset import FORMATS, Dataset, Photo
from engine.errors import PhotosError
from engine.photos.decoding import look
from engine.photos.places import is_below, real

# Files with these suffixes are meant as photos, so that one that cannot be used is worth a word; a LICENSE.txt is not.
_READ_SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".gif"}
PHOTO_SUFFIXES = _READ_SUFFIXES | {".tif", ".tiff", ".heic", ".heif", ".avif", ".dng", ".cr2", ".nef", ".psd"}
_JUNK = frozenset(("__MACOSX", "Thumbs.db", "desktop.ini"))  # and whatever begins with a dot

Progress = Callable[[int, int], None]  # done, total: photos, or bytes while unpacking


@dataclass(frozen=True)
class ClassFolder:
    folder: str
    label: str
    files: tuple[str, ...]  # readable photos, names inside the folder, sorted


@dataclass(frozen=True)
class Duplicate:
    """Files with the same bytes."""

    files: tuple[str, ...]  # "<class folder>/<file>", sorted
    kind: str  # "class": all in one class; "classes": in two or more, so that one of them is wrong


@dataclass(frozen=True)
class Scan:
    title: str
    root: Path
    typed: str  # the path as it was typed, which the original split is keyed by
    classes: tuple[ClassFolder, ...]  # sorted by folder name, as in retrain.py
    unreadable: tuple[tuple[str, str], ...]  # file relative to the root, and why, for people
    duplicates: tuple[Duplicate, ...]
    loose: int  # files with a photo's suffix that lie beside the class folders

    @property
    def photos(self) -> int:
        return sum(len(row.files) for row in self.classes)


def label(folder: str) -> str:
    """Lower case, each run of other characters than a-z and 0-9 becomes one space."""
    return re.sub(r"[^a-z0-9]+", " ", folder.lower())


def scan(
    root: Path, title: str, progress: Progress | None = None, *, typed: str = "", roots: tuple[Path, ...] = ()
) -> Scan:
    """Read every photo once: can it be decoded, is it there twice. A few milliseconds per photo.

    Links inside the folder are followed where they end inside the folder itself or below `roots`, and listed as
    unreadable where not. Raises PhotosError where the folder is gone or may not be read.
    """
    root = root.absolute()  # a worker has another current folder
    inside = (root.resolve(), *roots)
    unreadable: list[tuple[str, str]] = []
    candidates: list[tuple[str, str]] = []  # class folder, file
    folders, loose = _list_classes(root, inside, unreadable)
    for folder in folders:
        candidates += [(folder, file) for file in _list_files(root, folder, inside, unreadable)]
    files: dict[str, list[str]] = {folder: [] for folder in folders}
    by_content: dict[bytes, list[str]] = defaultdict(list)
    with concurrent.futures.ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        looked = pool.map(lambda one: look(root / one[0] / one[1]), candidates)
        try:
            for done, ((folder, file), (digest, why)) in enumerate(zip(candidates, looked, strict=True), start=1):
                if not why:
                    files[folder].append(file)
                    by_content[digest].append(f"{folder}/{file}")
                elif os.path.splitext(file)[1].lower() in PHOTO_SUFFIXES:
                    unreadable.append((f"{folder}/{file}", why))
                if progress:
                    progress(done, len(candidates))
        except BaseException:  # Ctrl-C, or a visitor who left: do not read the rest first
            pool.shutdown(cancel_futures=True)
            raise
    duplicates = []
    for same in by_content.values():
        if len(same) > 1:
            kind = "classes" if len({file.split("/")[0] for file in same}) > 1 else "class"
            duplicates.append(Duplicate(tuple(sorted(same)), kind))
    classes = tuple(ClassFolder(folder, label(folder), tuple(files[folder])) for folder in folders)
    return Scan(
        title,
        root,
        typed or str(root),
        classes,
        tuple(sorted(unreadable)),
        tuple(sorted(duplicates, key=_first)),
        loose,
    )


@dataclass(frozen=True)
class Pictures:
    """What a folder holds to be classified; nothing is decoded yet."""

    dataset: Dataset  # the folder that a picture lies in is its label; -1 for those that lie in `root` itself
    left_out: tuple[tuple[str, str], ...]  # file relative to the root, and why, for people


PICTURES_LIMIT = 50_000


def list_pictures(root: Path, title: str, roots: tuple[Path, ...] = ()) -> Pictures:
    """Every picture below a folder, however deep, in the order of their names. A second for 50,000.

    What is named as a photo is believed here and found out when it is decoded; of other files the first bytes are
    looked at. Links are followed as in `scan`. Raises PhotosError where the folder is gone or holds too much.
    """
    root = root.absolute()  # a worker has another current folder
    inside = (root.resolve(), *roots)
    left_out: list[tuple[str, str]] = []
    files: list[str] = []
    folders, seen = [""], {root.resolve()}  # a link to a folder above would lead round and round
    while folders:
        folder = folders.pop()
        try:
            entries = _entries(root / folder, folder or str(root))
        except PhotosError as error:
            if not folder:
                raise
            left_out.append((folder, str(error)))
            continue
        for entry in entries:
            name = f"{folder}/{entry.name}" if folder else entry.name
            if fault := _fault_of_name(entry, inside):
                left_out.append((printable(name), fault))
            elif os.path.isdir(entry.path):
                if (real := Path(entry.path).resolve()) not in seen:
                    seen.add(real)
                    folders.append(name)
            elif os.path.isfile(entry.path) and _is_meant_as_photo(entry.path):
                files.append(name)
        if len(files) > PICTURES_LIMIT:
            raise PhotosError(
                f"{title} holds more than {PICTURES_LIMIT:,} pictures. Choose one of the folders inside it."
            )
    labels = sorted({os.path.basename(os.path.dirname(file)) for file in files} - {""})
    place = {label: index for index, label in enumerate(labels)} | {"": -1}
    found = [Photo(file, place[os.path.basename(os.path.dirname(file))], "") for file in sorted(files)]
    return Pictures(Dataset(title, str(root), labels, found), tuple(sorted(left_out)))


def _is_meant_as_photo(path: str) -> bool:
    if os.path.splitext(path)[1].lower() in PHOTO_SUFFIXES:
        return True
    try:
        with Image.open(path, formats=FORMATS):
            return True
    except Exception:  # what Pillow's readers raise over files of other kinds
        return False


def _first(duplicate: Duplicate) -> str:
    return duplicate.files[0]


def _list_classes(root: Path, inside: Sequence[Path], unreadable: list[tuple[str, str]]) -> tuple[list[str], int]:
    folders, loose = [], 0
    for entry in _entries(root, str(root)):
        if os.path.isdir(entry.path):  # entry.is_dir() raises for a loop of links
            if fault := _fault_of_name(entry, inside):
                unreadable.append((printable(entry.name), fault))
            else:
                folders.append(entry.name)
        elif os.path.splitext(entry.name)[1].lower() in PHOTO_SUFFIXES:
            loose += 1
    return folders, loose


def _list_files(root: Path, folder: str, inside: Sequence[Path], unreadable: list[tuple[str, str]]) -> list[str]:
    files = []
    for entry in _entries(root / folder, folder):
        name = f"{folder}/{printable(entry.name)}"
        if fault := _fault_of_name(entry, inside):
            unreadable.append((name, fault))
        elif os.path.isdir(entry.path):
            unreadable.append((name, "a folder inside a class folder; photos lie directly in their class's folder"))
        elif os.path.isfile(entry.path):
            files.append(entry.name)
        elif os.path.splitext(entry.name)[1].lower() in PHOTO_SUFFIXES:
            unreadable.append((name, "no file: a device, a pipe or a link to nothing"))
    return files


def _entries(folder: Path, name: str) -> list[os.DirEntry[str]]:
    """What is in the folder, without hidden files and junk, sorted by name."""
    try:
        with os.scandir(folder) as entries:
            return sorted((e for e in entries if not is_junk(e.name)), key=lambda entry: entry.name)
    except FileNotFoundError as error:
        raise PhotosError(f"The folder {name} is not there any more. Choose a folder again.") from error
    except NotADirectoryError as error:
        raise PhotosError(f"{name} is a file. Give a folder that holds one folder of photos per class.") from error
    except OSError as error:
        raise PhotosError(f"The folder {name} cannot be read: {error.strerror}. Check who may read it.") from error


def is_junk(name: str) -> bool:
    return name.startswith(".") or name in _JUNK


def _fault_of_name(entry: os.DirEntry[str], inside: Sequence[Path]) -> str:
    if printable(entry.name) != entry.name:
        return "its name is not UTF-8; rename it"
    try:
        if entry.is_symlink() and not is_below(real(Path(entry.path)), inside):
            return "a link that leads outside the folders that photos may come from"
    except (OSError, RuntimeError):
        return "a link that leads to itself"
    return ""


def printable(name: str) -> str:
    return name.encode(errors="replace").decode()
