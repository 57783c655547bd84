"""Real servers on this machine; the two arguments of fetch stand for a public network in front of them."""

import http.server
import socket
import threading
import time
from collections.abc import Iterator
from urllib.parse import unquote

import pytest

from engine.errors import AddressError
from engine.models.addresses import fetch, is_public, lookup

PUBLIC = "93.184.216.34"
PICTURE = b"\xff\xd8 a picture " + bytes(range(256)) * 40


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append((self.headers["Host"], self.path))
        part = self.path.split("?")[0]
        if part.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", unquote(self.path.removeprefix("/to/")))
            self.end_headers()
        elif part.startswith("/again"):
            self.send_response(301)
            self.send_header("Location", f"/again{int(part[6:] or 0) + 1}")
            self.end_headers()
        elif part == "/nowhere":
            self.send_response(302)
            self.end_headers()
        elif part == "/gone":
            self.send_error(404)
        elif part == "/announced":
            self.send_response(200)
            self.send_header("Content-Length", "20000001")
            self.end_headers()
        elif part == "/endless":
            self.send_response(200)
            self.end_headers()
            self.flood()
        elif part == "/slow":
            self.send_response(200)
            self.end_headers()
            self.drip(b"x")
        elif part == "/slow-headers":
            self.drip(b"HTTP/1.0 200 OK\r\nServer: ")
        elif part == "/short":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"half")
        elif part == "/packed":
            self.send_response(200)
            self.send_header("Content-Encoding", "gzip")
            self.end_headers()
            self.wfile.write(b"xx")
        elif part == "/empty":
            self.send_response(200)
            self.end_headers()
        else:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(PICTURE)

    def flood(self):
        try:
            while True:
                self.wfile.write(bytes(1 << 20))
        except OSError:
            pass

    def drip(self, first: bytes):
        try:
            self.wfile.write(first)
            for _ in range(1000):
                time.sleep(0.1)
                self.wfile.write(b"x")
        except OSError:
            self.server.left.set()

    def log_message(self, *_):
        pass


class Net:
    """A public network with one server on it, whatever a host is called."""

    def __init__(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.asked = []
        self.server.left = threading.Event()  # set when a client goes before all was sent
        self.connected: list[tuple[str, int]] = []
        self.hosts = {"pictures.example": [PUBLIC]}
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def resolve(self, host: str, port: int) -> list[str]:
        return self.hosts[host] if host in self.hosts else lookup(host, port)

    def connect(self, address: str, port: int, seconds: float) -> socket.socket:
        self.connected.append((address, port))
        return socket.create_connection(self.server.server_address, timeout=seconds)

    def fetch(self, url: str, seconds: float = 10.0) -> bytes:
        return fetch(url, resolve=self.resolve, connect=self.connect, seconds=seconds)


@pytest.fixture(scope="module")
def _net() -> Iterator[Net]:
    net = Net()
    yield net
    net.server.shutdown()
    net.server.server_close()


@pytest.fixture
def net(_net) -> Net:
    _net.connected.clear()
    _net.server.asked.clear()
    _net.server.left = threading.Event()
    _net.hosts = {"pictures.example": [PUBLIC]}
    return _net


def test_a_picture_comes_from_the_address_that_was_checked(net):
    assert net.fetch(" http://Pictures.example/a b/daisy.jpg?size=2#top ".replace(" b", "%20b")) == PICTURE
    assert net.connected == [(PUBLIC, 80)]
    assert net.server.asked == [("pictures.example", "/a%20b/daisy.jpg?size=2")]


def test_names_and_paths_beyond_ascii_are_written_as_the_web_writes_them(net):
    net.hosts["xn--blmchen-o2a.example"] = [PUBLIC]
    assert net.fetch("http://blümchen.example/gänse.jpg") == PICTURE
    assert net.server.asked == [("xn--blmchen-o2a.example", "/g%C3%A4nse.jpg")]


def test_redirects_are_followed_relative_and_absolute(net):
    net.hosts["other.example"] = ["93.184.216.35"]
    assert net.fetch("http://pictures.example/to/http://other.example/to//daisy.jpg") == PICTURE
    assert net.connected == [(PUBLIC, 80), ("93.184.216.35", 80), ("93.184.216.35", 80)]


@pytest.mark.parametrize(
    "place",
    [
        "http://127.0.0.1/",
        "http://localhost/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "http://192.168.1.1/",
        "http://100.64.0.1/",
        "http://0.0.0.0/",
        "http://224.0.0.1/",
        "http://mixed.example/",
    ],
)
def test_addresses_inside_are_refused_at_once_and_after_a_redirect(net, place):
    net.hosts["mixed.example"] = [PUBLIC, "10.0.0.7"]
    with pytest.raises(AddressError, match="is no public address"):
        net.fetch(place)
    assert net.connected == []
    with pytest.raises(AddressError, match="is no public address"):
        net.fetch(f"http://pictures.example/to/{place}")
    assert net.connected == [(PUBLIC, 80)]


@pytest.mark.parametrize(
    "address, public",
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("64:ff9b::808:808", True),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("2001:0:7f00:1::", False),
        ("fe80::1%eth0", False),
        ("fec0::1", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::", False),
        ("240.0.0.1", False),
        ("pictures.example", False),
    ],
)
def test_what_is_public(address, public):
    assert is_public(address) is public


@pytest.mark.parametrize(
    "url, said",
    [
        ("", "begins with http:// or https://"),
        ("daisy.jpg", "begins with http:// or https://"),
        ("file:///etc/passwd", "begins with http:// or https://"),
        ("ftp://pictures.example/a", "begins with http:// or https://"),
        ("gopher://pictures.example/", "begins with http:// or https://"),
        ("http://", "begins with http:// or https://"),
        ("http://[::1/", "begins with http:// or https://"),
        ("http://pictures.example/\r\nX: y", "begins with http:// or https://"),
        ("http://pictures.example:99999/", "begins with http:// or https://"),
        (f"http://{'a' * 70}.example/", "begins with http:// or https://"),
        ("http://me:secret@pictures.example/", "a name or a password"),
        ("http://pictures.example:25/", "port 25"),
        ("http://pictures.example/to/file:///etc/passwd", "begins with http:// or https://"),
        ("http://pictures.example/to/http://x@pictures.example/", "a name or a password"),
        ("http://pictures.example/again", "leads on more than 5 times"),
        ("http://pictures.example/nowhere", "does not say where"),
        ("http://pictures.example/gone", "answers 404"),
        ("http://pictures.example/announced", "more than 20 MB"),
        ("http://pictures.example/endless", "more than 20 MB"),
        ("http://pictures.example/short", "broke off"),
        ("http://pictures.example/packed", "packed"),
        ("http://pictures.example/empty", "empty file"),
        ("https://pictures.example/", "certificate"),
    ],
)
def test_what_is_refused_says_why(net, url, said):
    with pytest.raises(AddressError, match=said):
        net.fetch(url)


def test_a_name_that_nobody_has_is_said():
    def nobody(host: str, port: int) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.raises(AddressError, match=r"There is no machine called nobody\.example\."):
        fetch("http://nobody.example/", resolve=nobody)


@pytest.mark.parametrize("path", ["slow", "slow-headers"])
def test_ten_seconds_are_the_end_however_slowly_something_comes(net, path):
    with pytest.raises(AddressError, match=r"did not send the picture within|broke off"):
        net.fetch(f"http://pictures.example/{path}", seconds=0.4)
    assert net.server.left.wait(60)  # before the server had sent its last byte, for which it takes 100 seconds


def test_a_lookup_that_hangs_does_not_hold_the_page():
    answer, answered = threading.Event(), threading.Event()

    def hangs(host: str, port: int) -> list[str]:
        answer.wait(60)
        answered.set()
        return [PUBLIC]

    with pytest.raises(AddressError, match="within 0 seconds"):
        fetch("http://pictures.example/", resolve=hangs, seconds=0.2)
    assert not answered.is_set()
    answer.set()
