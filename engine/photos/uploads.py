"""Zips and single pictures that visitors upload: checked, and kept whole or not at all."""

import contextlib
import functools
import io
import os
import re
import shutil
import stat
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from engine.errors import PhotosError
from engine.photos.folders import Progress, is_junk, printable

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
    return " ".join(re.sub(r"[^\w.,()+-]+", " ", printable(name)).split())[:80] or "Pictures"


def _plain_name(name: str) -> str:
    """A file's name without folders, control characters or a dot in front, and no longer than a disk takes."""
    base = re.sub(r"[\x00-\x1f\x7f]", "", printable(name).replace("\\", "/").rpartition("/")[2]).lstrip(". ")
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
        if member.is_dir() or path.endswith("/") or any(map(is_junk, parts)):
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
