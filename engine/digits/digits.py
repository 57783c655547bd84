"""Sets of digits, and single ones: which sets there are, what a visitor uploads, a drawing as MNIST would have it.

A set is one .npz with x_train (N, 28, 28) uint8, y_train (N,) uint8, x_test and y_test: the built-in ones are assets,
uploaded ones lie in LAB_HOME/datasets/<name>.npz. numpy and Pillow only.
"""

import base64
import contextlib
import gzip
import math
import os
import re
import shutil
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from engine import assets, photos
from engine.contract import catalog
from engine.contract.kinds.mnist import IMAGES_LIMIT
from engine.contract.layers import CLASSES, SIZE
from engine.errors import DigitsError, PhotosError
from engine.settings import Settings

PICTURE_LIMIT = 1_000_000
BYTES_LIMIT = 1_000_000_000  # of one part, unpacked: it has to fit into memory
DRAWING_LIMIT = 2000  # rows or columns
DRAWING_BYTES_LIMIT = 2_000_000  # as text
BOX = 20  # rows or columns of the longer side of a digit inside 28 x 28
MIDDLE = 14  # the row and column, counted from 0, that a digit's centre of mass is moved to

TRAINING_PARTS, TEST_PARTS = ("x_train", "y_train"), ("x_test", "y_test")
ACCEPTED = (
    "Give one .npz with x_train and y_train, and x_test and y_test if there are any, or IDX files as MNIST's own: "
    "pictures and labels, or both of them twice, for training and for testing."
)

Progress = Callable[[int, int], None]  # bytes read, bytes in all


@dataclass(frozen=True)
class Source:
    """A set of digits that a visitor can choose by name."""

    key: str  # the word of specs and command lines: "mnist"; an upload's is its file's name
    title: str
    path: Path | None  # None: fetchable (engine/assets/), not here yet
    attribution: str
    labels: tuple[str, ...]  # of the ten classes


def sources(settings: Settings) -> list[Source]:
    """The built-in sets, here or fetchable, then what was uploaded, by name."""
    found = []
    for row in catalog.DIGIT_SETS:
        asset = assets.asset(row.name)
        path = assets.find_asset(settings.home, asset)
        found.append(Source(row.name, row.title, path, asset.attribution, row.labels))
    with contextlib.suppress(FileNotFoundError):
        for file in sorted(os.listdir(settings.home.datasets)):
            path = Path(settings.home.datasets, file)
            if path.suffix == ".npz" and _NAME.fullmatch(path.stem) and path.stem not in _BUILT_IN:
                row = catalog.digit_set(path.stem)
                found.append(Source(row.name, row.title, path, "", row.labels))
    return found


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")  # as specs.faults has it
_BUILT_IN = {row.name for row in catalog.DIGIT_SETS}


# --- one picture of a set --------------------------------------------------------------------------------------------


def how_many(path: Path) -> int:
    """Pictures of the set's test part. Raises DigitsError."""
    return len(_part(path, "y_test"))


def test_picture(path: Path, index: int) -> tuple[np.ndarray, int]:
    """A picture (28, 28) uint8 of the test part, and its class; the training part is not read. Raises DigitsError."""
    pictures, labels = _part(path, "x_test"), _part(path, "y_test")
    if not 0 <= index < len(labels):
        raise DigitsError(f"Picture {index:,} was asked for; the test part of {path.name} holds {len(labels):,}.")
    return pictures[index], int(labels[index])


def first_of_each(path: Path) -> dict[int, int]:
    """Of each class in the test part, the number of its first picture. Raises DigitsError."""
    classes, first = np.unique(_part(path, "y_test"), return_index=True)
    return {int(each): int(index) for each, index in zip(classes, first, strict=True)}


def _part(path: Path, name: str) -> np.ndarray:
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as parts:
            return parts[name]
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DigitsError(
            f"The digits in {path.name} cannot be read ({error}). Fetch or upload the set once more."
        ) from error


# --- uploads ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Array:
    """An array in an uploaded file whose head was read and found harmless; its numbers were not read yet."""

    title: str  # "x_train of digits.npz", "train-images-idx3-ubyte.gz"
    shape: tuple[int, ...]
    dtype: np.dtype
    by_column: bool  # whether the first size varies fastest
    open: Callable[[], IO[bytes]]  # a stream that stands at the first number

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def keep_upload(
    files: Sequence[tuple[str, IO[bytes]]], datasets_folder: str | Path, progress: Progress | None = None
) -> str:
    """Keep a set of digits as datasets_folder/<name>.npz, all of it or nothing, and return its name.

    `files`: (name, content that can be sought), one .npz, or two or four IDX files, gzipped or not. A name that is
    taken gets a number. Without a test part the last seventh is held out. Raises DigitsError.
    """
    advance = _Advance(progress)
    found = _read_upload(files)
    advance.total = sum(array.bytes for array in found.values())
    train = _read_part(found, TRAINING_PARTS, None, advance)
    if "x_test" in found:
        test = _read_part(found, TEST_PARTS, train.whole, advance)
    else:
        kept = len(train.labels) - len(train.labels) // 7
        test = _Part(train.pictures[kept:], train.labels[kept:], train.whole)
        train = _Part(train.pictures[:kept], train.labels[:kept], train.whole)
    if len(train.labels) < IMAGES_LIMIT:
        held_out = "" if "x_test" in found else " after the last seventh was held out for testing"
        raise DigitsError(
            f"There are {len(train.labels):,} training pictures{held_out}; at least {IMAGES_LIMIT:,} are needed. "
            "Add pictures."
        )
    classes = np.unique(train.labels)
    if len(classes) < 2:
        raise DigitsError(
            f"All training pictures are labelled {classes[0]}; a network needs at least 2 classes to tell apart. Add "
            "pictures of another class."
        )
    parts = {"x_train": train.pictures, "y_train": train.labels, "x_test": test.pictures, "y_test": test.labels}
    return _write_set(parts, Path(datasets_folder), _slug([name for name, _ in files]))


@dataclass
class _Advance:
    progress: Progress | None
    done: int = 0
    total: int = 0

    def __call__(self, count: int) -> None:
        self.done += count
        if self.progress:
            self.progress(self.done, self.total)


def _read_upload(files: Sequence[tuple[str, IO[bytes]]]) -> dict[str, _Array]:
    """By part: "x_train", "y_train", and "x_test", "y_test" where they came. Raises DigitsError."""
    if not files:
        raise DigitsError(f"No file came. {ACCEPTED}")
    heads = [_head(content) for _, content in files]
    if any(head.startswith(b"PK") for head in heads):
        if len(files) > 1:
            names = " and ".join(name for name, _ in files)
            raise DigitsError(f"{names} came together; an .npz holds a whole set. Give the .npz alone.")
        return _open_npz(*files[0])
    for (name, _), head in zip(files, heads, strict=True):
        if not head.startswith((b"\x1f\x8b", b"\0\0")):
            what = "a single .npy array" if head.startswith(b"\x93NUMPY") else "neither .npz nor IDX"
            raise DigitsError(f"{name} was refused: by its first bytes it is {what}. {ACCEPTED}")
    if len(files) not in (2, 4):
        came = "1 IDX file" if len(files) == 1 else f"{len(files)} IDX files"
        raise DigitsError(f"{came} came. {ACCEPTED}")
    return _sort_out([_open_idx(name, content) for name, content in files])


def _head(content: IO[bytes]) -> bytes:
    content.seek(0)
    return content.read(8)


# An .npz: a zip of .npy files.


def _open_npz(name: str, content: IO[bytes]) -> dict[str, _Array]:
    try:
        archive = zipfile.ZipFile(content)
        found = {
            part: _open_npy(archive, part, name)
            for part in (*TRAINING_PARTS, *TEST_PARTS)
            if f"{part}.npy" in archive.NameToInfo
        }
    except _UNREADABLE as error:
        raise DigitsError(_damaged(name, error)) from error
    missing = [part for part in TRAINING_PARTS if part not in found]
    if len(found) == 3:
        missing += [part for part in TEST_PARTS if part not in found]
    if missing:
        held = ", ".join(list(archive.NameToInfo)[:8]) or "nothing"
        raise DigitsError(f"{name} has no {' and no '.join(missing)}; it holds {held}. {ACCEPTED}")
    return found


_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,  # gzip's own error is one
    RuntimeError,  # a password
    NotImplementedError,  # an exotic compression
)


def _damaged(name: str, error: Exception) -> str:
    return f"{name} is damaged or cut short ({error}). Make it again and upload it once more."


def _open_npy(archive: zipfile.ZipFile, part: str, name: str) -> _Array:
    """Raises DigitsError and _UNREADABLE."""
    title = f"{part} of {name}"

    def stream() -> IO[bytes]:
        opened = archive.open(f"{part}.npy")
        _read_npy_head(opened)
        return opened

    with archive.open(f"{part}.npy") as opened:
        try:
            shape, by_column, dtype = _read_npy_head(opened)
        except _UNREADABLE:
            raise
        except Exception as error:  # numpy reads the head as a Python literal: ValueError, SyntaxError, TypeError ...
            raise DigitsError(f"{title} is no array that numpy can read ({error}). {ACCEPTED}") from error
    return _checked(_Array(title, shape, dtype, by_column, stream))


def _read_npy_head(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(stream)
    raise ValueError(f"version {version[0]}.{version[1]} of the format")


# IDX: two zeros, the kind of number, how many sizes; the sizes; the numbers. The highest byte of each comes first.

_IDX_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def _open_idx(name: str, content: IO[bytes]) -> _Array:
    is_packed = _head(content).startswith(b"\x1f\x8b")

    def stream() -> IO[bytes]:
        content.seek(0)
        opened = gzip.GzipFile(fileobj=content) if is_packed else content
        magic = opened.read(4)
        opened.read(4 * (magic[3] if len(magic) == 4 else 0))
        return opened  # type: ignore[return-value]  # gzip reads bytes as any file does

    try:
        content.seek(0)
        opened = gzip.GzipFile(fileobj=content) if is_packed else content
        magic = opened.read(4)
        if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _IDX_DTYPES or not 1 <= magic[3] <= 4:
            raise DigitsError(f"{name} was refused: it begins with {magic.hex(' ')}, which is no IDX file. {ACCEPTED}")
        sizes = opened.read(4 * magic[3])
    except _UNREADABLE as error:
        raise DigitsError(_damaged(name, error)) from error
    if len(sizes) < 4 * magic[3]:
        raise DigitsError(f"{name} is cut short: it ends before its sizes do. Upload the whole file.")
    shape = tuple(int.from_bytes(sizes[at : at + 4], "big") for at in range(0, len(sizes), 4))
    return _checked(_Array(name, shape, np.dtype(_IDX_DTYPES[magic[2]]), False, stream))


def _sort_out(arrays: list[_Array]) -> dict[str, _Array]:
    """Which of two or four IDX files is which part, by their shapes; names decide where two parts are equally large."""
    pictures = sorted((each for each in arrays if len(each.shape) > 1), key=_place, reverse=True)
    labels = sorted((each for each in arrays if len(each.shape) == 1), key=_place, reverse=True)
    if len(pictures) != len(labels):
        came = ", ".join(f"{each.title}: {_sizes(each.shape)}" for each in arrays)
        raise DigitsError(
            f"There are {len(pictures)} files of pictures and {len(labels)} of labels ({came}). {ACCEPTED}"
        )
    return dict(zip(("x_train", "x_test"), pictures, strict=False)) | dict(
        zip(("y_train", "y_test"), labels, strict=False)
    )


def _place(array: _Array) -> tuple[int, bool, bool]:
    name = array.title.lower()
    return array.shape[0], "train" in name, "test" not in name and "t10k" not in name


def _checked(array: _Array) -> _Array:
    """The array, if it is worth reading. Raises DigitsError before anything large is read or made."""
    count = array.shape[0] if array.shape else 0
    if len(array.shape) > 1 and array.shape[1:] not in ((SIZE, SIZE), (SIZE, SIZE, 1), (SIZE * SIZE,)):
        raise DigitsError(
            f"{array.title} is {_sizes(array.shape)}; pictures are (N, 28, 28), (N, 28, 28, 1) or (N, 784), labels "
            "(N,). Resize the pictures to 28 x 28 gray pixels."
        )
    if not count:
        raise DigitsError(f"{array.title} is {_sizes(array.shape)} and holds no picture. {ACCEPTED}")
    if array.dtype.kind not in "uif":
        raise DigitsError(
            f"{array.title} holds {array.dtype} values; whole numbers 0 to 255 or decimals 0 to 1 are accepted. "
            "Convert it with .astype('uint8')."
        )
    if count > PICTURE_LIMIT or array.bytes > BYTES_LIMIT:
        raise DigitsError(
            f"{array.title} announces {count:,} entries, {array.bytes / 1e6:,.0f} MB unpacked; at most "
            f"{PICTURE_LIMIT:,} and {BYTES_LIMIT / 1e6:,.0f} MB are taken. Give fewer pictures, as uint8."
        )
    return array


def _sizes(shape: tuple[int, ...]) -> str:
    return f"({', '.join(f'{size:,}' for size in shape)}{',' if len(shape) == 1 else ''})"


@dataclass(frozen=True)
class _Part:
    pictures: np.ndarray  # (N, 28, 28) uint8
    labels: np.ndarray  # (N,) uint8, 0..9
    whole: float  # what full ink was in the file: 255, or 1


def _read_part(found: dict[str, _Array], names: tuple[str, str], whole: float | None, advance: _Advance) -> _Part:
    """`whole`: of the training part, which the test part has to share. Raises DigitsError."""
    x, y = found[names[0]], found[names[1]]
    if len(x.shape) == 1 or len(y.shape) != 1:
        wrong = x if len(x.shape) == 1 else y
        wanted = "pictures are (N, 28, 28)" if wrong is x else "labels are (N,), one number 0 to 9 a picture"
        raise DigitsError(f"{wrong.title} is {_sizes(wrong.shape)}; {wanted}. Reshape it.")
    if x.shape[0] != y.shape[0]:
        raise DigitsError(
            f"{x.title} holds {x.shape[0]:,} pictures and {y.title} {y.shape[0]:,} labels; each picture needs one "
            "label. Give files that belong together."
        )
    labels, pictures = _numbers(y, advance), _numbers(x, advance)
    strange = labels[(labels < 0) | (labels >= CLASSES) | (labels != np.floor(labels))]
    if len(strange):
        raise DigitsError(f"{y.title} holds the label {strange[0]:g}; labels are 0 to 9. Number the classes from 0.")
    low, high = float(pictures.min()), float(pictures.max())
    full = 1.0 if high <= 1.001 else 255.0  # a little more than 1 is a rounding error
    if low < 0 or high > full * 1.001 or high == 0 or full != (whole or full):
        raise DigitsError(
            f"{x.title} holds values from {low:g} to {high:g}; 0 (paper) to 255 (ink) or 0 to 1 are accepted, training "
            "and test pictures alike. Scale them."
        )
    if pictures.dtype != np.uint8 or full == 1.0:
        pictures = _to_bytes(pictures, full)
    pictures, labels = pictures.reshape(-1, SIZE, SIZE), labels.astype(np.uint8)
    if names == TRAINING_PARTS and np.count_nonzero(np.diff(labels)) < 2 * CLASSES:
        # Class after class: what is held out from the end would be one class alone.
        order = np.random.RandomState(0).permutation(len(labels))
        pictures, labels = pictures[order], labels[order]
    return _Part(pictures, labels, full)


def _numbers(array: _Array, advance: _Advance) -> np.ndarray:
    """The array's numbers in its own shape and type. Raises DigitsError."""
    data = np.empty(array.bytes, np.uint8)
    at = 0
    try:
        stream = array.open()
        while at < len(data):
            block = stream.read(min(1 << 24, len(data) - at))
            if not block:
                raise DigitsError(
                    f"{array.title} is cut short: {at:,} of {array.bytes:,} bytes came. Upload the whole file."
                )
            data[at : at + len(block)] = np.frombuffer(block, np.uint8)
            at += len(block)
            advance(len(block))
        if stream.read(1):  # reads to the end too, where a zip and a gzip keep their checksums
            raise DigitsError(f"{array.title} is longer than its head says. Make it again and upload it once more.")
    except _UNREADABLE as error:
        raise DigitsError(_damaged(array.title, error)) from error
    numbers = data.view(array.dtype).reshape(array.shape, order="F" if array.by_column else "C")
    if array.dtype.kind == "f" and not np.isfinite(numbers).all():
        raise DigitsError(f"{array.title} holds values that are no numbers (NaN or infinite). Replace them with 0.")
    return numbers


def _to_bytes(pictures: np.ndarray, whole: float) -> np.ndarray:
    out = np.empty(pictures.shape, np.uint8)
    for at in range(0, len(pictures), 10_000):  # in blocks: a copy of all as decimals would take eight times the memory
        out[at : at + 10_000] = np.clip(np.rint(pictures[at : at + 10_000].astype(np.float64) * (255 / whole)), 0, 255)
    return out


def _slug(names: list[str]) -> str:
    first = re.sub(r"(\.(npz|gz|idx))+$", "", os.path.basename(names[0]).lower())
    first = re.sub(r"(train|t10k|test)?[-_.]?(images|labels)[-_.]?(idx[13])?[-_.]?(ubyte)?$", "", first)
    return re.sub(r"[^a-z0-9]+", "-", first).strip("-")[:60].strip("-") or "digits"


def _write_set(parts: dict[str, np.ndarray], datasets: Path, slug: str) -> str:
    needed = sum(array.nbytes for array in parts.values()) + 10_000
    try:
        datasets.mkdir(parents=True, exist_ok=True)
        if (free := shutil.disk_usage(datasets).free) < needed:
            raise DigitsError(
                f"The digits need {needed / 1e6:,.0f} MB and {free / 1e6:,.0f} MB are free. Make room, then upload "
                "again."
            )
        for stale in datasets.glob(".part-*.npz"):  # of a server that was killed while it wrote
            if time.time() - stale.stat().st_mtime > 86400:
                stale.unlink(missing_ok=True)
        descriptor, part = tempfile.mkstemp(prefix=".part-", suffix=".npz", dir=datasets)
        try:
            with open(descriptor, "wb") as out:
                np.savez(out, **parts)  # type: ignore[arg-type]  # mypy takes the arrays for allow_pickle
                out.flush()
                os.fsync(out.fileno())
                os.fchmod(out.fileno(), 0o644)  # mkstemp's is private
            return _name_it(part, datasets, slug)
        finally:
            os.unlink(part)
    except OSError as error:
        raise DigitsError(
            f"The digits could not be kept in {datasets}: {error.strerror or error}. Nothing of them was kept; make "
            "room on the disk and upload again."
        ) from error


def _name_it(part: str, datasets: Path, slug: str) -> str:
    """The first free name, taken by a link, which never replaces a file as a rename would."""
    number = 1
    while True:
        name = slug if number == 1 else f"{slug}-{number}"
        number += 1
        if name not in _BUILT_IN:
            with contextlib.suppress(FileExistsError):
                os.link(part, datasets / f"{name}.npz")
                return name


# --- a drawing as MNIST's makers saw it ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Centred:
    pixels: np.ndarray  # (28, 28) uint8, 0 paper, 255 ink
    row: float  # of the centre of mass, had the digit been put into the middle of the 28 x 28 instead
    column: float


def centre(ink: np.ndarray) -> Centred:
    """A drawing (H, W) uint8, 0 paper, 255 ink, as a picture like those of MNIST. Raises DigitsError if it is blank.

    "The original black and white (bilevel) images from NIST were size normalized to fit in a 20x20 pixel box while
    preserving their aspect ratio. The resulting images contain grey levels as a result of the anti-aliasing technique
    used by the normalization algorithm. The images were centered in a 28x28 image by computing the center of mass of
    the pixels, and translating the image so as to position this point at the center of the 28x28 field." (LeCun,
    Cortes and Burges, MNIST's page.) Measured on its test pictures: the centre of mass lies within half a pixel of
    row and column 14.
    """
    if ink.ndim != 2 or ink.dtype != np.uint8 or max(ink.shape) > DRAWING_LIMIT:
        raise DigitsError(
            f"The drawing is {_sizes(ink.shape)} {ink.dtype}; rows and columns of bytes, at most {DRAWING_LIMIT:,} of "
            "each, are accepted."
        )
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    if not len(rows):
        raise DigitsError("The drawing is blank. Draw a digit, as large as the field.")
    cropped = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = BOX / max(cropped.shape)
    height, width = (max(1, round(side * scale)) for side in cropped.shape)
    # BOX: each pixel is the mean of the area that it covers
    small = np.asarray(Image.fromarray(cropped).resize((width, height), Image.Resampling.BOX))
    if not small.any():
        raise DigitsError("The drawing is too faint to be seen at 28 x 28 pixels. Draw with a thicker pen.")
    down, right = _mass(small)
    top, left = (SIZE - height) // 2, (SIZE - width) // 2
    pixels = np.zeros((SIZE, SIZE), np.uint8)
    # The shift is by whole pixels. It cannot leave the field: the mass lies inside the digit, and 28 - 20 = 8 are free,
    # but for a digit whose mass lies at its very edge.
    y = min(max(math.floor(MIDDLE - down + 0.5), 0), SIZE - height)
    x = min(max(math.floor(MIDDLE - right + 0.5), 0), SIZE - width)
    pixels[y : y + height, x : x + width] = small
    return Centred(pixels, top + down, left + right)


def drawing(url: str) -> np.ndarray:
    """What was drawn on a page's field, a PNG in a data URL, black on white -> (H, W) uint8, 0 paper, 255 ink.

    Raises DigitsError: what comes from a browser may be anything.
    """
    head, _, content = url.partition(",")
    if head != "data:image/png;base64" or len(content) > DRAWING_BYTES_LIMIT:
        raise DigitsError(
            "What came from the field is no drawing: a PNG of at most 2 MB is accepted. Clear it, draw anew."
        )
    try:
        with photos.opened(base64.b64decode(content, validate=True)) as picture:
            kind, (width, height) = picture.format, picture.size
            gray = None
            if kind == "PNG" and max(width, height) <= DRAWING_LIMIT:
                gray = np.asarray(picture.convert("L"))
    except (PhotosError, ValueError) as error:
        raise DigitsError(f"What came from the field is no drawing: {error}. Clear it, draw anew.") from error
    if gray is None:
        raise DigitsError(
            f"What came from the field is a {kind} of {width:,} x {height:,} pixels; a PNG of at most "
            f"{DRAWING_LIMIT:,} on a side is accepted. Clear it, draw anew."
        )
    return 255 - gray


def _mass(pixels: np.ndarray) -> tuple[float, float]:
    """Row and column of the centre of mass, counted from 0 at the middle of the first pixel."""
    weights = pixels.astype(np.float64)
    total = weights.sum()
    row = float((weights.sum(axis=1) * np.arange(pixels.shape[0])).sum() / total)
    column = float((weights.sum(axis=0) * np.arange(pixels.shape[1])).sum() / total)
    return row, column


PHOTO_SIDE = 512  # pixels of the longer side that a photo of a digit is looked at with
CONTRAST = 40  # gray levels between ink and paper, at least


def ink_of(image: bytes) -> np.ndarray:
    """A photo or scan of one digit -> (H, W) uint8, 0 paper, 255 ink, uneven light taken out. Raises DigitsError.

    What covers the smaller part of the picture is ink, so that pen on paper and chalk on a board both serve.
    """
    try:
        with photos.opened(image) as picture:
            picture.draft("L", (2 * PHOTO_SIDE, 2 * PHOTO_SIDE))
            picture.thumbnail((PHOTO_SIDE, PHOTO_SIDE))
            upright = ImageOps.exif_transpose(picture).convert("RGBA")
    except PhotosError as error:
        raise DigitsError(
            f"This picture cannot be read: {error}. Give a {photos.FORMATS_TEXT} of one digit."
        ) from error
    paper = Image.new("RGBA", upright.size, "white")
    gray = Image.alpha_composite(paper, upright).convert("L").filter(ImageFilter.MedianFilter(3))  # grain
    level = np.asarray(gray, np.float32)
    low, high = np.percentile(level, [0.05, 99.95])
    if np.median(level) > (low + high) / 2:  # most of it is light: ink is dark
        gray = ImageOps.invert(gray)
    ink = np.asarray(gray, np.float32) - _paper(gray)
    strongest = float(np.percentile(ink, 99.95))  # a digit may be small in its picture
    if strongest < CONTRAST:
        raise DigitsError(
            "There is no digit to be seen in this picture: ink and paper hardly differ. Give a picture of one digit, "
            "dark on light or light on dark."
        )
    return np.clip((ink - 0.35 * strongest) * (255 / (0.5 * strongest)), 0, 255).astype(np.uint8)


def _paper(gray: Image.Image) -> np.ndarray:
    """How bright the paper is around each pixel of a picture with bright ink: (H, W) float32."""
    small = gray.resize((max(1, gray.width // 8), max(1, gray.height // 8)), Image.Resampling.BOX)
    reach = max(3, max(small.size) // 3 | 1)  # wider than any stroke
    darkest = small.filter(ImageFilter.MinFilter(reach)).filter(ImageFilter.GaussianBlur(reach / 2))
    return np.asarray(darkest.resize(gray.size, Image.Resampling.BILINEAR), np.float32)
