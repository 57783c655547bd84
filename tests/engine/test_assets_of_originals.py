"""The archives of retrain.py's own backbones: fetched, put there, given, and what is refused of them."""

import gzip
import hashlib
import http.server
import io
import os
import shutil
import ssl
import subprocess
import tarfile
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import assets
from engine.assets import archives
from engine.contract import catalog
from engine.contract.run_folder import LabHome
from engine.errors import AssetError

ROW = catalog.backbone("mobilenet_0.50_160")
QUANTIZED = catalog.backbone("mobilenet_0.50_160_quantized")
ASSET = assets.asset(ROW.asset)
FOLDER = "mobilenet_v1_0.50_160"
FILES = {"quantized_graph.pb": b"8 bits", "labels.txt": b"dummy\ntench\n", "frozen_graph.pb": b"float"}
INCEPTION = catalog.backbone("inception_v3")


@pytest.fixture
def home(tmp_path: Path) -> LabHome:
    return LabHome(str(tmp_path / "home"))


def pack(members: dict[str, bytes], *others: tarfile.TarInfo) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for member in others:
            tar.addfile(member)
    return file.getvalue()


ARCHIVE = pack({f"{FOLDER}/{name}": content for name, content in FILES.items()})
SUM = hashlib.sha256(b"".join(FILES[name] for name in sorted(FILES))).hexdigest()
GRAPH = {f"{FOLDER}/frozen_graph.pb": b"float"}
OTHER = {f"{FOLDER}/../{FOLDER}/labels.txt": b"out"}


def kept(home: LabHome) -> dict[str, bytes]:
    folder = Path(home.assets, ASSET.name, "files")
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else {}


# --- the table -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", catalog.ORIGINALS, ids=lambda row: row.name)
def test_every_original_has_an_archive_that_holds_its_weights_and_comes_over_https(row: catalog.Backbone) -> None:
    asset = assets.asset(row.asset)
    assert row.weights.removeprefix(f"{asset.name}/{asset.file}/") in asset.files
    assert not row.labels or row.labels.removeprefix(f"{asset.name}/{asset.file}/") in asset.files
    (source,) = asset.sources
    assert source.address.startswith("https://")
    assert source.limit > source.bytes
    assert source.bytes < asset.kept_bytes * 1.01


# --- where the weights come from -------------------------------------------------------------------------------------


def test_an_archive_put_there_by_hand_is_unpacked_without_a_network(home: LabHome) -> None:
    assert assets.find_backbone(home, ROW) is None
    folder = Path(home.assets, ASSET.name)
    folder.mkdir(parents=True)
    (folder / f"{FOLDER}_frozen.tgz").write_bytes(ARCHIVE)
    path = assets.fetch_backbone(home, ROW)
    assert path == Path(home.assets, ROW.weights) == assets.find_backbone(home, ROW)
    assert kept(home) == FILES
    assert assets.find_backbone(home, QUANTIZED) == Path(home.assets, QUANTIZED.weights)
    assert assets.sum_of(home, ASSET) == SUM
    assert assets.source_of(home, ASSET) == (
        f"{FOLDER}_frozen.tgz (put there by hand); its sum was not known beforehand, it is {SUM[:12]}…"
    )
    path.unlink()
    assert assets.find_backbone(home, ROW) is None  # and is unpacked again
    assert assets.fetch_backbone(home, ROW).read_bytes() == b"float"


@pytest.mark.parametrize("model_dir", ["archive", "folder", "folder itself", "archive itself"])
def test_model_dir_may_hold_the_archive_or_what_it_unpacks_to(home: LabHome, tmp_path: Path, model_dir: str) -> None:
    given = tmp_path / "models"
    (given / FOLDER).mkdir(parents=True)
    if "archive" in model_dir:
        (given / f"{FOLDER}_frozen.tgz").write_bytes(ARCHIVE)
    else:
        for name, content in FILES.items():
            (given / FOLDER / name).write_bytes(content)
    chosen = {"folder itself": given / FOLDER, "archive itself": given / f"{FOLDER}_frozen.tgz"}.get(model_dir, given)
    assert assets.fetch_backbone(home, ROW, chosen) == Path(home.assets, ROW.weights)
    assert kept(home) == FILES
    assert assets.sum_of(home, ASSET) == SUM


def test_inceptions_files_may_lie_in_model_dir_itself_as_retrain_left_them(home: LabHome, tmp_path: Path) -> None:
    (tmp_path / "classify_image_graph_def.pb").write_bytes(b"inception")
    (tmp_path / "inception-2015-12-05.tgz").write_bytes(b"half of it")
    assert assets.fetch_backbone(home, INCEPTION, tmp_path).read_bytes() == b"inception"


def test_a_frozen_graph_alone_does_not_say_whose_it_is(home: LabHome, tmp_path: Path, closed: str) -> None:
    (tmp_path / "frozen_graph.pb").write_bytes(b"of another size")
    with pytest.raises(AssetError, match="cannot be reached"):
        assets.fetch_backbone(home, ROW, tmp_path)


def test_two_graphs_that_are_given_one_after_the_other_stay_together(home: LabHome, tmp_path: Path) -> None:
    folder = tmp_path / FOLDER
    for name in ("frozen_graph.pb", "quantized_graph.pb"):
        folder.mkdir()
        (folder / name).write_bytes(FILES[name])
        row = ROW if name.startswith("frozen") else QUANTIZED
        assert assets.find_backbone(home, row) is None
        assert assets.fetch_backbone(home, row, tmp_path).read_bytes() == FILES[name]
        shutil.rmtree(folder)
    assert sorted(kept(home)) == ["frozen_graph.pb", "quantized_graph.pb"]


def test_an_archive_without_the_graph_that_is_wanted_is_a_sentence(home: LabHome, tmp_path: Path) -> None:
    (tmp_path / "mine.tgz").write_bytes(pack(GRAPH))
    with pytest.raises(AssetError, match=r"arrived without quantized_graph\.pb, which .*quantized \(original\) needs"):
        assets.fetch_backbone(home, QUANTIZED, tmp_path / "mine.tgz")


def test_the_other_formats_come_as_their_assets_and_a_deleted_module_is_a_sentence(home: LabHome) -> None:
    row = catalog.backbone("mobilenet_v1_keras")
    folder = Path(home.assets, row.asset)
    folder.mkdir(parents=True)
    (folder / ".verified").write_text(
        f'{{"sha256": "{assets.asset(row.asset).sha256}", "extent": 7, "source": "a test"}}'
    )
    (folder / "mobilenet_v1_1.0_224.tflite").write_bytes(b"weights")
    assert assets.fetch_backbone(home, row) == folder / "mobilenet_v1_1.0_224.tflite"
    module = ROW._replace(name="hub_tiny", title="Tiny", asset="", weights="../backbones/hub_tiny/graph.pb")
    assert assets.find_backbone(home, module) is None
    with pytest.raises(AssetError, match="The weights of Tiny are no longer on this machine"):
        assets.fetch_backbone(home, module)
    Path(home.backbones, "hub_tiny").mkdir(parents=True)
    Path(home.backbones, "hub_tiny", "graph.pb").write_bytes(b"graph")
    assert assets.fetch_backbone(home, module) == Path(home.backbones, "hub_tiny", "graph.pb")


def test_the_archive_whose_sum_is_known_is_checked_by_it(home: LabHome, test_data: Path) -> None:
    known, quantized = assets.asset("mobilenet_0.25_128"), catalog.backbone("mobilenet_0.25_128_quantized")
    fake = io.BytesIO(pack({f"mobilenet_v1_0.25_128/{name}": content for name, content in FILES.items()}))
    with pytest.raises(
        AssetError, match=f"was refused: its sha256 begins with {SUM[:12]}, expected {known.sha256[:12]}"
    ):
        assets.give_archive(home, known, fake, "mine.tgz")
    assert assets.fetch_backbone(home, quantized, test_data / "tf1").stat().st_size == 941_805
    assert "not known" not in assets.source_of(home, known)
    assert assets.sum_of(home, known) == known.sha256


# --- what is refused -------------------------------------------------------------------------------------------------


def link(kind: bytes, name: str = f"{FOLDER}/labels.txt") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "/etc/passwd"
    return member


@pytest.mark.parametrize(
    "archive, words",
    [
        pytest.param(pack(GRAPH | OTHER), "leads out of it or is a link", id="a path that leads out"),
        pytest.param(pack(GRAPH | {"/tmp/labels.txt": b"out"}), "leads out of it or is a link", id="absolute"),
        pytest.param(pack(GRAPH, link(tarfile.SYMTYPE)), "leads out of it or is a link", id="a symbolic link"),
        pytest.param(pack(GRAPH, link(tarfile.LNKTYPE)), "leads out of it or is a link", id="a hard link"),
        pytest.param(pack(GRAPH, link(tarfile.CHRTYPE)), "leads out of it or is a link", id="a device"),
        pytest.param(pack(GRAPH | {"frozen_graph.pb": b"2"}), r"holds frozen_graph\.pb twice", id="twice"),
        pytest.param(pack({"mobilenet_v1_1.0_224/frozen_graph.pb": b"large"}),
                     r"is not MobileNet v1 0\.50 160 \(original\): it holds no .*Give mobilenet_v1_0\.50_160_",
                     id="another network's"),
        pytest.param(pack({f"{FOLDER}/frozen_graph.pb": b""}), "it holds no", id="an empty graph"),
        pytest.param(ARCHIVE[:100], "damaged", id="cut short"),
        pytest.param(gzip.compress(b"x" * 3000), "damaged", id="no tar"),
        pytest.param(b"<html>moved</html>", r"is no \.tgz archive", id="a web page"),
        pytest.param(b"", "damaged|it holds no", id="empty"),
    ],
)  # fmt: skip
def test_an_archive_that_is_not_what_it_should_be_is_refused(home: LabHome, archive: bytes, words: str) -> None:
    with pytest.raises(AssetError, match=rf"^mine\.tgz .*{words}"):
        assets.give_archive(home, ASSET, io.BytesIO(archive), "mine.tgz")
    assert assets.find_asset(home, ASSET) is None
    assert sorted(path.name for path in Path(home.assets, ASSET.name).iterdir()) == [".lock"]


def test_an_archive_that_unfolds_without_end_is_stopped(home: LabHome) -> None:
    class Zeros(io.RawIOBase):
        left = archives.UNPACKED_LIMIT + 2_000_000

        def read(self, size: int = -1) -> bytes:
            count = min(size, self.left)
            self.left -= count
            return bytes(count)

    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as tar:
        member = tarfile.TarInfo(f"{FOLDER}/more.bin")
        member.size = Zeros.left
        tar.addfile(member, Zeros())
    file.seek(0)
    with pytest.raises(AssetError, match=r"^bomb\.tgz was refused: it unfolds to more than 250 MB"):
        assets.give_archive(home, ASSET, file, "bomb.tgz")
    assert kept(home) == {}


def test_what_is_refused_leaves_what_was_there(home: LabHome) -> None:
    assets.give_archive(home, ASSET, io.BytesIO(ARCHIVE), "mine.tgz")
    with pytest.raises(AssetError, match="leads out of it"):
        assets.give_archive(home, ASSET, io.BytesIO(pack(GRAPH | OTHER)), "other.tgz")
    assert kept(home) == FILES
    assert assets.find_backbone(home, ROW)


def test_a_path_that_is_not_there_is_a_sentence(home: LabHome, tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"There is no .*/nowhere\. Give a file or a folder with MobileNet v1"):
        assets.give(home, ASSET, tmp_path / "nowhere")
    with pytest.raises(AssetError, match=r"is not MobileNet v1 0\.50 160 \(original\): it holds no"):
        assets.give(home, ASSET, tmp_path)


# --- its address -----------------------------------------------------------------------------------------------------


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> str:
    """No address can be reached: the proxy that leads to them does not answer."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return "http://127.0.0.1:9"


def test_where_its_address_cannot_be_reached_the_sentence_says_what_to_do(home: LabHome, closed: str) -> None:
    with pytest.raises(AssetError) as caught:
        assets.fetch_backbone(home, INCEPTION)
    assert str(caught.value).startswith("Inception v3 (original, 2015-12-05) could not be fetched: https://")
    assert "cannot be reached" in str(caught.value)
    assert str(caught.value).endswith(
        f"Put inception-2015-12-05.tgz into {home.assets}/inception_v3, or name its folder with --model_dir."
    )


class Site:
    """A web server with a certificate of its own."""

    def __init__(self, folder: Path):
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
        command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
        subprocess.run(command, check=True, capture_output=True, cwd=folder)
        self.certificate = str(folder / "cert.pem")
        self.body, self.announced, self.leads_to = ARCHIVE, True, ""
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(302 if site.leads_to else 200)
                if site.leads_to:
                    self.send_header("Location", site.leads_to)
                elif site.announced:
                    self.send_header("Content-Length", str(len(site.body)))
                self.end_headers()
                self.wfile.write(b"" if site.leads_to else site.body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.plain = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, str(folder / "key.pem"))
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        for server in (self.server, self.plain):
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def row(self, limit: int = 10_000) -> assets.Asset:
        address = f"https://127.0.0.1:{self.server.server_port}/{FOLDER}_frozen.tgz"
        return assets.Asset(**{**vars(ASSET), "sources": (assets.Url(address, 300, limit=limit),)})


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl to make a certificate with")
    site = Site(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", site.certificate)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    urllib.request.install_opener(None)  # from Python 3.12 on, the usual one keeps the certificates that it met first
    yield site
    urllib.request.install_opener(None)
    for server in (site.server, site.plain):
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("announced", [True, False], ids=["with its size", "without"])
def test_an_archive_of_which_nothing_is_known_is_fetched_and_its_sum_recorded(
    home: LabHome, site: Site, announced: bool
) -> None:
    site.announced = announced
    seen: list[tuple[int, int]] = []
    assets.fetch_asset(home, site.row(), lambda done, total: seen.append((done, total)))
    assert kept(home) == FILES
    assert seen == [(len(ARCHIVE), len(ARCHIVE))] if announced else [(min(300, len(ARCHIVE)), 300)]
    assert assets.sum_of(home, site.row()) == SUM
    assert assets.source_of(home, site.row()).endswith(f"its sum was not known beforehand, it is {SUM[:12]}…")


def test_what_is_not_known_beforehand_may_not_leave_https_nor_be_larger_than_expected(
    home: LabHome, site: Site
) -> None:
    site.leads_to = f"http://127.0.0.1:{site.plain.server_port}/"
    with pytest.raises(AssetError, match=r"was refused: it leads on to http://127.*, which is not https"):
        assets.fetch_asset(home, site.row())
    site.leads_to, site.body = "", os.urandom(20_000)
    with pytest.raises(AssetError, match=r"was refused: it has more than 0\.0 MB"):
        assets.fetch_asset(home, site.row())
    assert kept(home) == {}
