"""Folders of photos: what is in them, what is wrong with them, and which photo goes into which split.

A set of photos is a folder with one folder per class. What a file is, its content says and never its suffix. Labels,
their order and the split are those of TensorFlow for Poets' retrain.py, except that no split of a class is left empty.
"""

import concurrent.futures
import contextlib
import errno
import functools
import hashlib
import io
import math
import os
import re
import shutil
import stat
import tempfile
import threading
import time
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from PIL import Image, ImageOps, UnidentifiedImageError

from engine import assets
from engine.contract.dataset import FORMATS, PIXEL_LIMIT, SPLITS, TESTING, TRAINING, VALIDATION, Dataset, Photo
from engine.errors import PhotosError
from engine.settings import Settings

FORMATS_TEXT = "JPEG, PNG, WEBP, BMP or GIF"
BIG_PIXELS = 20_000_000  # such pictures are decoded one at a time: 60 MB each
FILE_LIMIT = 200_000_000  # bytes
PHOTOS_AT_LEAST = 20
PHOTOS_PER_CLASS = 3  # one for each split

NAME, TYPED_PATH = "name", "typed_path"

# Files with these suffixes are meant as photos, so that one that cannot be used is worth a word; a LICENSE.txt is not.
_READ_SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".gif"}
_PHOTO_SUFFIXES = _READ_SUFFIXES | {".tif", ".tiff", ".heic", ".heif", ".avif", ".dng", ".cr2", ".nef", ".psd"}
_JUNK = frozenset(("__MACOSX", "Thumbs.db", "desktop.ini"))  # and whatever begins with a dot

Progress = Callable[[int, int], None]  # done, total: photos, or bytes while unpacking


@dataclass(frozen=True)
class Source:
    """A set of photos that a visitor can choose by name."""

    key: str  # the word of command lines: "traffic_lights"; an upload's is its folder's name
    title: str
    root: Path | None  # None: fetchable (engine/assets/), not here yet
    attribution: str


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


# --- where photos may come from --------------------------------------------------------------------------------------


def sources(settings: Settings) -> list[Source]:
    """The built-in sets, here or fetchable, then what was uploaded, by name."""
    found = [
        Source(row.name, row.title, assets.find_asset(settings.home, row), row.attribution)
        for row in assets.ASSETS
        if row.kind == assets.PHOTOS
    ]
    with contextlib.suppress(FileNotFoundError):
        for name in sorted(os.listdir(settings.home.datasets)):
            path = Path(settings.home.datasets, name)
            if not name.startswith(".") and path.is_dir():
                found.append(Source(name, name.replace("-", " ").capitalize(), path, ""))
    return found


def allowed(path: str, roots: tuple[Path, ...]) -> Path:
    """The folder that `path` names, links resolved: an absolute path, ~/..., or one relative to a root.

    Raises PhotosError where it is outside the roots, not there, or no folder. Whether something exists outside the
    roots is not told.
    """
    typed = path.strip()
    if not typed or "\0" in typed:
        raise PhotosError("No folder is named. Give the path of a folder that holds one folder of photos per class.")
    expanded = os.path.expanduser(typed)
    candidates = [Path(expanded)] if os.path.isabs(expanded) else [root / expanded for root in roots]
    try:
        inside = [one for one in map(_real, candidates) if _is_below(one, roots)]
    except (OSError, RuntimeError):  # a loop of links, a name that is too long
        inside = []
    if not inside:
        where = ", ".join(str(root) for root in roots)
        raise PhotosError(
            f"{typed} is outside the folders that photos may come from: {where}. Move the photos there, or start the "
            "lab with LAB_DATA set to their folder."
        )
    for one in inside:
        if os.path.isdir(one):
            return one
    if any(os.path.exists(one) for one in inside):
        raise PhotosError(f"{typed} is a file. Give a folder that holds one folder of photos per class.")
    raise PhotosError(f"There is no folder {typed}. Check the path; it is a path on the machine that runs the lab.")


def _real(path: Path) -> Path:
    """The path with its links resolved. Raises OSError or RuntimeError, depending on the Python, for a loop of them."""
    real = path.resolve()
    if os.path.islink(real):  # Python 3.13 does not raise, and gives the loop back
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return real


def _is_below(path: Path, roots: Iterable[Path]) -> bool:
    return any(path == root or root in path.parents for root in roots)


# --- what is in a folder ---------------------------------------------------------------------------------------------


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
                elif os.path.splitext(file)[1].lower() in _PHOTO_SUFFIXES:
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
                left_out.append((_printable(name), fault))
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
    if os.path.splitext(path)[1].lower() in _PHOTO_SUFFIXES:
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
                unreadable.append((_printable(entry.name), fault))
            else:
                folders.append(entry.name)
        elif os.path.splitext(entry.name)[1].lower() in _PHOTO_SUFFIXES:
            loose += 1
    return folders, loose


def _list_files(root: Path, folder: str, inside: Sequence[Path], unreadable: list[tuple[str, str]]) -> list[str]:
    files = []
    for entry in _entries(root / folder, folder):
        name = f"{folder}/{_printable(entry.name)}"
        if fault := _fault_of_name(entry, inside):
            unreadable.append((name, fault))
        elif os.path.isdir(entry.path):
            unreadable.append((name, "a folder inside a class folder; photos lie directly in their class's folder"))
        elif os.path.isfile(entry.path):
            files.append(entry.name)
        elif os.path.splitext(entry.name)[1].lower() in _PHOTO_SUFFIXES:
            unreadable.append((name, "no file: a device, a pipe or a link to nothing"))
    return files


def _entries(folder: Path, name: str) -> list[os.DirEntry[str]]:
    """What is in the folder, without hidden files and junk, sorted by name."""
    try:
        with os.scandir(folder) as entries:
            return sorted((e for e in entries if not _is_junk(e.name)), key=lambda entry: entry.name)
    except FileNotFoundError as error:
        raise PhotosError(f"The folder {name} is not there any more. Choose a folder again.") from error
    except NotADirectoryError as error:
        raise PhotosError(f"{name} is a file. Give a folder that holds one folder of photos per class.") from error
    except OSError as error:
        raise PhotosError(f"The folder {name} cannot be read: {error.strerror}. Check who may read it.") from error


def _is_junk(name: str) -> bool:
    return name.startswith(".") or name in _JUNK


def _fault_of_name(entry: os.DirEntry[str], inside: Sequence[Path]) -> str:
    if _printable(entry.name) != entry.name:
        return "its name is not UTF-8; rename it"
    try:
        if entry.is_symlink() and not _is_below(_real(Path(entry.path)), inside):
            return "a link that leads outside the folders that photos may come from"
    except (OSError, RuntimeError):
        return "a link that leads to itself"
    return ""


def _printable(name: str) -> str:
    return name.encode(errors="replace").decode()


_big = threading.Lock()


def look(path: Path) -> tuple[bytes, str]:
    """The sha256 of a photo's bytes, and why it cannot be used: "" where it can, else words for people.

    The content is decoded to its end, a JPEG at an eighth of its size, which finds truncated files at a third of the
    cost.
    """
    try:
        if path.stat().st_size > FILE_LIMIT:
            return b"", f"larger than {FILE_LIMIT // 1_000_000} MB"
        data = path.read_bytes()
    except OSError as error:
        return b"", f"cannot be read: {error.strerror}"
    try:
        with opened(data) as image, _big if image.width * image.height > BIG_PIXELS else contextlib.nullcontext():
            image.draft("RGB", (image.width // 8, image.height // 8))
            image.load()
    except PhotosError as error:
        return b"", str(error)
    return hashlib.sha256(data).digest(), ""


@contextlib.contextmanager
def opened(data: bytes) -> Iterator[Image.Image]:
    """The picture, sniffed by its content, not decoded yet. Raises PhotosError from inside the block too."""
    if not data:
        raise PhotosError("the file is empty")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > PIXEL_LIMIT:
                raise PhotosError(
                    f"{image.width:,} x {image.height:,} pixels are more than the {PIXEL_LIMIT // 1_000_000} million "
                    "that the lab decodes"
                )
            yield image
    except PhotosError:
        raise
    except UnidentifiedImageError as error:
        raise PhotosError(f"the content is no {FORMATS_TEXT}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PhotosError(f"it claims more than the {PIXEL_LIMIT // 1_000_000} million pixels") from error
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error and more
        raise PhotosError(f"it is damaged ({error})") from error


def thumbnail(path: Path, size: int) -> bytes:
    """A JPEG of the photo, upright, at most `size` pixels wide and high. Raises PhotosError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PhotosError(f"{path.name} cannot be read: {error.strerror}.") from error
    try:
        with opened(data) as image:
            image.draft("RGB", (size, size))
            image.thumbnail((size, size))
            rgba = ImageOps.exif_transpose(image).convert("RGBA")
    except PhotosError as error:
        raise PhotosError(f"{path.name} cannot be shown: {error}.") from error
    white = Image.new("RGBA", rgba.size, "white")
    out = io.BytesIO()
    Image.alpha_composite(white, rgba).convert("RGB").save(out, "JPEG", quality=85)
    return out.getvalue()


# --- what is wrong with it -------------------------------------------------------------------------------------------


def faults(scan: Scan) -> list[str]:
    """Sentences that stop a start: what came, what is accepted, what to do. Empty where a run can start."""
    name = scan.title
    if not scan.classes and scan.loose:
        loose = _count(scan.loose, "photo")
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
        elif (different := len({_without_variant(file) for file in row.files})) < PHOTOS_PER_CLASS:
            variants = "" if different == len(row.files) else " (those named alike before _nohash_ count as one)"
            found.append(
                f"The class {row.folder} has {_count(different, 'photo')}{variants}; it needs at least "
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
            f"{name} has {_count(scan.photos, 'readable photo')}; at least {PHOTOS_AT_LEAST} are needed, better 100 "
            "for each class. Add photos."
        )
    return found


def remarks(scan: Scan, dataset: Dataset | None) -> list[str]:
    """Sentences worth knowing that stop nothing. With a dataset, those about its splits too."""
    found = []
    if scan.unreadable:
        listed = _some([f"{file} ({why})" for file, why in scan.unreadable])
        found.append(f"{_count(len(scan.unreadable), 'file')} cannot be used and will be left out: {listed}.")
    if scan.loose and scan.classes:
        found.append(f"{_count(scan.loose, 'photo')} beside the class folders belong to no class and will be left out.")
    crossing = [" = ".join(row.files) for row in scan.duplicates if row.kind == "classes"]
    if crossing:
        found.append(
            f"{_count(len(crossing), 'photo')} with the same content in two classes: {_some(crossing)}. One of each "
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
                f"{_count(len(leaking), 'photo')} with the same content in two splits: {_some(leaking)}. Accuracy will "
                "look better than it is; remove the copies."
            )
    return found


def _some(texts: list[str], limit: int = 5) -> str:
    more = len(texts) - limit
    return "; ".join(texts[:limit]) + (f"; and {more:,} more" if more > 0 else "")


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


# --- labels and splits of retrain.py ---------------------------------------------------------------------------------


def label(folder: str) -> str:
    """Lower case, each run of other characters than a-z and 0-9 becomes one space."""
    return re.sub(r"[^a-z0-9]+", " ", folder.lower())


_HASH_LIMIT = 2**27 - 1


def percentage(key: str) -> float:
    """Where retrain.py's stable split puts a photo, 0..100: a matter of its path alone, whatever else is there."""
    digest = hashlib.sha1(_without_variant(key).encode()).hexdigest()
    return (int(digest, 16) % (_HASH_LIMIT + 1)) * (100.0 / _HASH_LIMIT)


def _without_variant(key: str) -> str:
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
        keys = {file: _without_variant(os.path.join(prefix, file)) for file in files}
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


# --- zips ------------------------------------------------------------------------------------------------------------

ZIP_FILES_LIMIT = 50_000
ZIP_BYTES_LIMIT = 4_000_000_000  # unpacked
ZIP_RATIO_LIMIT = 200  # photos are compressed already; only a bomb unfolds further


def unpack(
    zip_file: str | Path | IO[bytes], datasets_folder: str | Path, name: str, progress: Progress | None = None
) -> Path:
    """Unpack a zip of class folders to datasets_folder/<name made plain>, all of it or nothing, and return that folder.

    A name that is taken gets a number. A single folder around everything is left out, so is junk of other systems.
    Every member's path, kind, size and compression is checked before the first byte is written. Raises PhotosError.
    """
    try:
        with zipfile.ZipFile(zip_file) as archive:
            members = _checked_members(archive, name)
            files = [
                Incoming(parts, member.file_size, functools.partial(archive.open, member)) for member, parts in members
            ]
            return _write_files(files, Path(datasets_folder), _slug(name), progress)
    except zipfile.BadZipFile as error:
        raise PhotosError(f"{name} is no whole zip file ({error}). Make it again and upload it once more.") from error
    except NotImplementedError as error:  # an exotic compression
        raise PhotosError(f"{name} cannot be unpacked: {error}. Make it again with an ordinary zip program.") from error
    except OSError as error:
        raise PhotosError(
            f"{name} could not be unpacked: {error.strerror or error}. Nothing of it was kept; make room on the disk "
            "and upload it again."
        ) from error


UPLOADS_LIMIT = 500  # files at once


def keep_uploads(files: Sequence[tuple[str, bytes]], pictures_folder: str | Path, name: str) -> Path:
    """Write pictures that came one by one (name, content) to pictures_folder/<name made plain>; returns that folder.

    All of them or nothing. Names are made plain, one that is taken gets a number. Raises PhotosError.
    """
    if not files:
        raise PhotosError("No pictures came. Choose at least one.")
    if len(files) > UPLOADS_LIMIT:
        raise PhotosError(
            f"{len(files):,} files came; at most {UPLOADS_LIMIT} are taken at once. Make a zip of them, or give the "
            "path of their folder."
        )
    taken: set[str] = set()
    incoming = []
    for given, content in files:
        stem, suffix = os.path.splitext(_plain_name(given))
        plain, number = stem + suffix, 1
        while plain.lower() in taken:  # also where two names differ by case alone, which some disks do not tell apart
            number += 1
            plain = f"{stem}-{number}{suffix}"
        taken.add(plain.lower())
        incoming.append(Incoming((plain,), len(content), functools.partial(io.BytesIO, content)))
    try:
        return _write_files(incoming, Path(pictures_folder), _slug(name), None)
    except OSError as error:
        raise PhotosError(
            f"The pictures could not be kept: {error.strerror or error}. Make room on the disk and try again."
        ) from error


def forget(folder: Path) -> None:
    """Remove what was just unpacked or kept, where nothing in it can be used."""
    shutil.rmtree(folder, ignore_errors=True)


def title_of(name: str) -> str:
    """A file's name as a title for people: without what would be markup, and short."""
    return " ".join(re.sub(r"[^\w.,()+-]+", " ", _printable(name)).split())[:80] or "Pictures"


def _plain_name(name: str) -> str:
    """A file's name without folders, control characters or a dot in front, and no longer than a disk takes."""
    base = re.sub(r"[\x00-\x1f\x7f]", "", _printable(name).replace("\\", "/").rpartition("/")[2]).lstrip(". ")
    stem, suffix = os.path.splitext(base)
    return (stem.encode()[:150].decode(errors="ignore") or "picture") + suffix.encode()[:20].decode(errors="ignore")


def _checked_members(archive: zipfile.ZipFile, name: str) -> list[tuple[zipfile.ZipInfo, tuple[str, ...]]]:
    """The files to unpack, each with the parts of its path. Raises PhotosError."""
    found: dict[tuple[str, ...], zipfile.ZipInfo] = {}
    if len(archive.infolist()) > 2 * ZIP_FILES_LIMIT:
        raise PhotosError(
            f"{name} lists {len(archive.infolist()):,} members; at most {ZIP_FILES_LIMIT:,} are unpacked."
        )
    for member in archive.infolist():
        path = member.filename.replace("\\", "/")  # as some Windows programs write it
        parts = tuple(part for part in path.split("/") if part not in ("", "."))
        if path.startswith("/") or re.match(r"[A-Za-z]:", path) or ".." in parts or "\0" in path:
            raise PhotosError(f"{name} was refused: its member {path!r} would be written outside the lab's folder.")
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise PhotosError(
                f"{name} was refused: its member {path!r} is a link or a device. Zip the files themselves."
            )
        if member.is_dir() or path.endswith("/") or any(map(_is_junk, parts)):
            continue
        if member.flag_bits & 1:
            raise PhotosError(f"{name} is locked with a password. Make it again without one.")
        if member.file_size > 1_000_000 and member.file_size > ZIP_RATIO_LIMIT * member.compress_size:
            raise PhotosError(
                f"{name} was refused: its member {path!r} unfolds {member.file_size // max(member.compress_size, 1):,} "
                f"times, photos at most {ZIP_RATIO_LIMIT} times."
            )
        if not parts or parts in found:
            raise PhotosError(f"{name} was refused: its member {path!r} is listed twice.")
        found[parts] = member
    if not found:
        raise PhotosError(f"{name} is empty. It should hold one folder per class with photos in it.")
    total = sum(member.file_size for member in found.values())
    if len(found) > ZIP_FILES_LIMIT or total > ZIP_BYTES_LIMIT:
        raise PhotosError(
            f"{name} holds {len(found):,} files, {total / 1e9:.1f} GB unpacked; at most {ZIP_FILES_LIMIT:,} files and "
            f"{ZIP_BYTES_LIMIT / 1e9:g} GB are taken. Give the lab a folder on its own disk instead."
        )
    while len({parts[0] for parts in found}) == 1 and any(len(parts) > 2 for parts in found):
        found = {parts[1:] or parts: member for parts, member in found.items()}
    return [(member, parts) for parts, member in found.items()]


@dataclass(frozen=True)
class Incoming:
    """A file that is to be kept."""

    parts: tuple[str, ...]  # of its path, checked
    size: int  # bytes
    content: Callable[[], IO[bytes]]  # opens it


def _write_files(files: Sequence[Incoming], datasets: Path, slug: str, progress: Progress | None) -> Path:
    total = sum(file.size for file in files)
    datasets.mkdir(parents=True, exist_ok=True)
    if (free := shutil.disk_usage(datasets).free) < total:
        raise PhotosError(
            f"The photos need {total / 1e6:,.0f} MB and {free / 1e6:,.0f} MB are free. Make room, then upload again."
        )
    for stale in datasets.glob(".part-*"):  # of a server that was killed while it unpacked
        if time.time() - stale.stat().st_mtime > 86400:
            shutil.rmtree(stale, ignore_errors=True)
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=datasets))
    try:
        done = 0
        for file in files:
            target = part.joinpath(*file.parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            with file.content() as content, open(target, "xb") as out:
                shutil.copyfileobj(content, out, 1 << 20)  # of a zip at most the size that was checked, then its CRC is
            done += file.size
            if progress:
                progress(done, total)
        part.chmod(0o755)  # mkdtemp's is private
        number = 1
        while True:
            folder = datasets / (slug if number == 1 else f"{slug}-{number}")
            number += 1
            if not folder.exists():
                with contextlib.suppress(FileExistsError):  # by somebody else, just now
                    folder.mkdir()
                    os.replace(part, folder)
                    return folder
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _slug(name: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", re.sub(r"\.zip$", "", os.path.basename(name).lower())).strip("-")
    return plain[:60].strip("-") or "photos"
