"""The lock of the door: nobody without the token gets anything, whatever they ask for, and nobody is guessing it."""

import asyncio
import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from streamlit import config as streamlit_config
from streamlit.testing.v1 import AppTest

from engine import settings
from engine.door import Door, Lock, Names, Penalties, client_network
from engine.errors import SettingError
from tests.test_serve import ROOT, Running, get, open_websocket, start, stop

AXE_RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}
NEVER_SLEEPS = Penalties(sleep=lambda seconds: asyncio.sleep(0))


# --- the middleware alone ---------------------------------------------------------------------------------------------


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: str


async def behind(scope, receive, send):
    """What stands behind the door here."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"set-cookie", b"theirs=1; Path=/")]})
    await send({"type": "http.response.body", "body": b"inside"})


async def ask(door: Door, target: str = "/", method: str = "GET", form: str = "", address="203.0.113.7", **headers):
    path, _, query = target.partition("?")
    sent = {"host": "127.0.0.1:8501", "accept": "text/html"} | {n.replace("_", "-"): v for n, v in headers.items()}
    if form:
        sent["content-type"] = "application/x-www-form-urlencoded"
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        "client": (address, 1),
        "scheme": headers.get("scheme", "http"),
    }
    said = []

    async def receive():
        return {"type": "http.request", "body": form.encode(), "more_body": False}

    async def send(message):
        said.append(message)

    await door(scope, receive, send)
    answered = {name.decode(): value.decode() for name, value in said[0]["headers"]}
    return Answer(said[0]["status"], answered, b"".join(part.get("body", b"") for part in said[1:]).decode())


def run(coroutine):
    """What it returns, from a thread of its own: in the tests' own thread Playwright's loop may be running."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


def knock(*arguments, **more) -> Answer:
    return run(ask(*arguments, **more))


def cookie_of(answer: Answer) -> str:
    return answer.headers["set-cookie"].partition(";")[0]


def test_ten_thousand_wrong_tokens_open_nothing_and_keep_nobody_else_waiting():
    now, slept = [0.0], []

    async def sleep(seconds):
        slept.append(seconds)

    lock = Lock("right")
    door = Door(behind, lock=lock, penalties=Penalties(lambda: now[0], sleep))
    cookie = cookie_of(knock(door, "/?token=right", address="198.51.100.1"))

    async def guess():
        for number in range(10_000):
            now[0] += 0.01
            yield await ask(door, f"/?token={number}")
            if number % 1000 == 0:
                # From the same address, as it is behind a router that both share.
                inside = await ask(door, cookie=cookie)
                assert (inside.status, inside.body) == (200, "inside")

    async def collect():
        return [answer.status async for answer in guess()]

    statuses = run(collect())
    assert set(statuses) == {403, 429}
    assert statuses.count(403) < 15  # so many were looked at in 100 seconds
    assert len(slept) == 10_000
    assert min(slept) >= 1  # each answer came late
    assert max(slept) >= 10_000 / Penalties.PACE - 100 - 1  # and all of them at a pace: these came in 100 seconds
    refused = knock(door, "/?token=right")
    assert refused.status == 429  # the right one is not told from a wrong one
    assert 0 < int(refused.headers["retry-after"]) <= 60
    assert "looked at in" in refused.body
    assert knock(door, "/?token=right", address="198.51.100.2").status == 303
    now[0] += 61
    assert knock(door, "/?token=right").status == 303
    assert knock(door, "/?token=wrong").status == 403  # all is forgiven


def test_what_is_remembered_of_wrong_tokens_is_bounded():
    penalties = Penalties()
    for number in range(Penalties.ADDRESSES + 500):
        penalties.was_wrong(str(number))
    assert len(penalties) == Penalties.ADDRESSES


def test_so_many_answers_wait_at_once_and_the_others_end_their_connections():
    async def flood():
        go_on = asyncio.Event()

        async def sleep(seconds):
            await go_on.wait()

        door = Door(behind, lock=Lock("right"), penalties=Penalties(sleep=sleep))
        asked = [
            asyncio.create_task(ask(door, "/?token=no", address=f"10.0.{n // 256}.{n % 256}"))
            for n in range(Penalties.HELD + 100)
        ]
        for _ in range(100_000):
            await asyncio.sleep(0)
            if sum(task.done() for task in asked) >= 100:
                break
        go_on.set()
        return await asyncio.gather(*asked)

    answers = run(flood())
    assert sum(answer.headers.get("connection") == "close" for answer in answers) == 100
    assert {answer.status for answer in answers} == {403}


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("", ""),
    ],
)
def test_whom_wrong_tokens_are_counted_for(address, counted):
    assert client_network(address) == counted


@pytest.mark.parametrize(
    ("asked", "sent_to"),
    [
        ("/?token=right", "/"),
        ("/retraining?run=5&token=right&x=", "/retraining?run=5&x="),
        ("//evil.example/?token=right", "/evil.example/"),
        ("/\\evil.example?token=right", "/evil.example"),
        ("/a b\r\nx: y?token=right", "/a%20b%0D%0Ax%3A%20y"),
    ],
)
def test_a_right_token_leaves_the_address_at_once(asked, sent_to):
    door = Door(behind, lock=Lock("right"), penalties=NEVER_SLEEPS)
    answer = knock(door, asked)
    assert (answer.status, answer.headers["location"], answer.body) == (303, sent_to, "")
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-store"
    again = knock(door, asked, cookie=cookie_of(answer))  # the printed address, by somebody who is in
    assert (again.status, again.headers["location"]) == (303, sent_to)


def test_the_cookie_is_out_of_the_reach_of_scripts_and_of_other_sites_and_kept_to_tls():
    door = Door(behind, lock=Lock("right"))
    plain = knock(door, "/?token=right").headers["set-cookie"]
    assert plain.endswith("; HttpOnly; Path=/; SameSite=lax")
    cookie = plain.partition(";")[0]
    over_tls = knock(door, "/?token=right", scheme="https").headers["set-cookie"]
    assert over_tls == f"{plain}; Secure"
    assert knock(door, cookie=cookie, scheme="https").headers["set-cookie"] == "theirs=1; Path=/; Secure"
    assert knock(door, cookie=cookie).headers["set-cookie"] == "theirs=1; Path=/"


@pytest.mark.parametrize(
    "cookie", ["", "lab=", "lab=right", "lab=wrong; lab=", "lab", "other={value}", "x" * 10_000, "lab=\udcff"]
)
def test_a_cookie_that_is_not_ours_is_none(cookie):
    lock = Lock("right")
    headers = {"cookie": cookie.format(value=lock.value).encode("utf-8", "replace").decode()}
    assert knock(Door(behind, lock=lock), **headers).status == 403


def test_the_form_takes_the_token_and_says_when_it_is_none():
    door = Door(behind, lock=Lock("grün & gut", is_passphrase=True), penalties=NEVER_SLEEPS)
    asked = knock(door, "/mnist")
    assert asked.status == 403
    assert "<label" in asked.body
    assert "Passphrase" in asked.body
    assert 'role="alert"' not in asked.body
    wrong = knock(door, "/mnist", "POST", "token=gr%C3%BCn")
    assert 'role="alert">That is not the passphrase.' in wrong.body
    right = knock(door, "/mnist?run=1", "POST", "token=gr%C3%BCn+%26+gut")
    assert (right.status, right.headers["location"]) == (303, "/mnist?run=1")
    assert knock(door, "/", "POST", "token=" + "x" * 5000).status == 403
    assert knock(door, "/", "POST", "nothing=here").status == 403
    for_programs = knock(door, "/_stcore/metrics", accept="*/*")
    assert for_programs.body.startswith("The lab asks for a passphrase. ")


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("localhost:8501", True),
        ("192.168.1.7:8501", True),
        ("[2001:db8::1]:8501", True),
        ("tx2.example", True),
        ("TX2.example:80", True),
        ("evil.example", False),
        ("192.168.1.7.evil.example", False),
        ("tx2.example.evil.example", False),
        ("", False),
    ],
)
def test_beyond_loopback_the_lab_answers_to_numbers_and_to_names_that_it_was_given(host, is_ours):
    door = Door(behind, Names(frozenset({"tx2.example"}), numbers=True), Lock("right"))
    answer = knock(door, "/?token=right", host=host)
    assert answer.status == (303 if is_ours else 403)
    assert "set-cookie" in answer.headers if is_ours else "does not answer as" in answer.body


# --- the settings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"LAB_DOOR": "open"}, "LAB_DOOR is 'open'; choose on or off, or leave it out."),
        ({"LAB_PASSPHRASE": "short"}, "LAB_PASSPHRASE has 5 letters; choose 8 or more."),
        (
            {"LAB_PASSPHRASE_FILE": "/no/file"},
            "LAB_PASSPHRASE_FILE=/no/file cannot be read: No such file or directory.",
        ),
        ({"LAB_PASSPHRASE_FILE": "/dev/null"}, "LAB_PASSPHRASE_FILE has 0 letters; choose 8 or more."),
        ({"LAB_DOOR": "off", "LAB_PASSPHRASE": "long enough"}, "LAB_DOOR is off, and LAB_PASSPHRASE would never be"),
        ({"LAB_PASSPHRASE": "long enough", "LAB_PASSPHRASE_FILE": "/x"}, "are both set; leave one of them out."),
    ],
)
def test_a_setting_that_cannot_be_is_said(environ, sentence):
    with pytest.raises(SettingError, match=re.escape(sentence)):
        settings.load_door(environ)


def test_a_passphrase_comes_from_a_file_as_its_only_line(tmp_path):
    (tmp_path / "secret").write_text("correct horse\n")
    door = settings.load_door({"LAB_PASSPHRASE_FILE": str(tmp_path / "secret"), "LAB_HOSTS": "A.example, b"})
    assert (door.passphrase, door.hosts) == ("correct horse", {"a.example", "b"})


# --- the server -------------------------------------------------------------------------------------------------------

# All that the server can be asked, from the app itself: kind, path and methods of each route.
ROUTES = """
import json, serve
app = serve.make_app("", "", serve.Names(), None, False)
app._runtime = app._create_runtime()
print(json.dumps([
    [type(each).__name__, each.path, sorted(getattr(each, "methods", None) or [])]
    for each in app._build_starlette_app().routes
]))
"""


@pytest.fixture(scope="module")
def locked(tmp_path_factory) -> Iterator[Running]:
    """The lab where every network can reach it."""
    running = start(tmp_path_factory.mktemp("locked"), "--address", "0.0.0.0")
    yield running
    stop(running)


@pytest.fixture(scope="module")
def token(locked) -> str:
    return locked.url.partition("?token=")[2]


def status(running: Running, method: str, path: str, body: bytes = b"", **headers: str) -> int:
    connection = http.client.HTTPConnection(running.host, timeout=20)
    connection.request(method, path, body or None, headers=headers)
    found = connection.getresponse().status
    connection.close()
    return found


def test_without_the_token_every_route_websocket_and_upload_is_refused(locked):
    ran = subprocess.run([sys.executable, "-c", ROUTES], cwd=ROOT, capture_output=True, text=True, check=True)
    routes = json.loads(ran.stdout.splitlines()[-1])
    paths = [path for _, path, _ in routes]
    assert {"/_stcore/health", "/_stcore/metrics", "/_stcore/stream", "/tensorboard/{path:path}"} <= set(paths)
    assert any("upload_file" in path for path in paths)
    found = {}
    for kind, path, methods in routes:
        if path == "/healthz":
            continue
        filled = re.sub(r"{[^}]*}", "x", path) or "/"
        for method in methods or ["GET", "POST", "PUT", "DELETE"]:
            for cookie in ("", "bottleneck_lab=x"):
                found[f"{method} {filled} {cookie}"] = status(locked, method, filled, b"x" * 9, Cookie=cookie)
        if kind == "WebSocketRoute":
            found[f"WebSocket {filled}"] = open_websocket(locked, Origin=f"http://{locked.host}")
    for trick in ("/healthz/", "//healthz", "/healthz/../", "/healthz%2f..%2f", "/healthz;/", "/%2e/healthz"):
        found[trick] = status(locked, "GET", trick)
    assert len(found) > 60
    assert {answer: count for answer, count in found.items() if count not in (401, 403)} == {}
    assert open_websocket(locked) == 403
    health = get(locked)
    assert (health.status, health.body) == (200, "ok\n")


def test_with_the_token_the_same_places_are_open_and_an_upload_still_needs_its_xsrf_token(locked, token):
    entered = get(locked, f"/?token={token}")
    assert entered.status == 303
    cookie = entered.headers["Set-Cookie"].partition(";")[0]
    for path in ("/", "/_stcore/health", "/_stcore/metrics", "/_stcore/host-config"):
        assert status(locked, "GET", path, Cookie=cookie) == 200
    assert open_websocket(locked, Origin=f"http://{locked.host}", Cookie=cookie) == 101
    assert status(locked, "PUT", "/_stcore/upload_file/x/y", b"photo", Cookie=cookie) == 403
    xsrf = get(locked, "/_stcore/health", Cookie=cookie).headers["Set-Cookie"]
    value = xsrf.partition(";")[0].partition("=")[2]
    both = {"Cookie": f"{cookie}; _streamlit_xsrf={value}", "X-Xsrftoken": value}
    assert status(locked, "PUT", "/_stcore/upload_file/x/y", b"photo", **both) == 400  # there is no such session


def test_the_page_that_asks_is_accessible_and_the_token_is_nowhere_afterwards(locked, token, browser):
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme, viewport={"width": 390, "height": 844})
        page = context.new_page()
        page.goto(f"http://{locked.host}/?token=wrong")
        expect(page.get_by_role("alert")).to_have_text("That is not the token.")
        assert Axe().run(page, options=AXE_RULES).response["violations"] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        context.close()
    page = browser.new_page()
    page.set_default_timeout(20_000)
    page.goto(f"http://{locked.host}/?x=1")
    page.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="A small page")).to_be_visible(timeout=20_000)
    asked = []
    page.on("request", lambda request: asked.append(request.headers.get("referer", "")))
    page.goto(locked.url)  # with the token, while in
    expect(page.get_by_role("heading", name="A small page")).to_be_visible(timeout=20_000)
    assert page.url == f"http://{locked.host}/"
    assert token not in page.evaluate("document.referrer + location.href + document.cookie")
    assert len(asked) > 3
    assert not [each for each in asked if token in each]
    page.close()


def test_a_door_that_is_off_is_said_in_the_log(tmp_path):
    running = start(tmp_path, "--address", "0.0.0.0", LAB_DOOR="off")
    assert running.process.stdout
    assert running.process.stdout.readline().startswith("WARNING: LAB_DOOR=off. Whoever reaches this port can use")
    assert "token" not in running.url
    assert get(running, "/").status == 200
    assert get(running, "/", Host="evil.example").status == 403
    stop(running)


def test_a_door_that_is_on_asks_on_this_machine_too_and_believes_no_proxy_but_those_it_was_told(tmp_path):
    running = start(tmp_path, LAB_DOOR="on", LAB_PROXIES="192.0.2.1")
    assert running.url.startswith("http://127.0.0.1:")
    token = running.url.partition("?token=")[2]
    assert token
    assert get(running, "/").status == 403
    assert get(running, f"/?token={token}").status == 303
    with ThreadPoolExecutor() as visitors:  # each answer comes a second late
        asked = [
            visitors.submit(get, running, f"/?token={number}", **{"X-Forwarded-For": f"198.51.100.{number}"})
            for number in range(Penalties.FREE + 1)
        ]
    assert {each.result().status for each in asked} <= {403, 429}
    # This machine is none of the proxies: what it says is not believed, and all guesses were its own.
    assert get(running, "/?token=no", **{"X-Forwarded-For": "203.0.113.7"}).status == 429
    stop(running)


# --- behind a proxy ---------------------------------------------------------------------------------------------------


PASSPHRASE = "correct horse"


def is_listened_to(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def proxied(tmp_path_factory) -> Iterator[tuple[Running, int]]:
    """The lab behind nginx, as docs/tls.md has it, and nginx' port."""
    nginx = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if not nginx or not shutil.which("openssl"):
        pytest.skip("nginx and openssl are not installed: apt-get install nginx-light openssl")
    tmp_path = tmp_path_factory.mktemp("proxied")
    (tmp_path / "lab").mkdir()
    running = start(tmp_path / "lab", LAB_HOSTS="lab.example", LAB_PASSPHRASE=PASSPHRASE)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    key, certificate = tmp_path / "lab.key", tmp_path / "lab.crt"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=lab.example"]
        + ["-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    text = (ROOT / "docs" / "tls.md").read_text().partition("```nginx\n")[2].partition("```")[0]
    changed = {
        "listen 443": f"listen 127.0.0.1:{port}",
        "/etc/ssl/lab.crt": str(certificate),
        "/etc/ssl/lab.key": str(key),
        "127.0.0.1:8501": running.host,
    }
    for written, here in changed.items():
        assert text.count(written) == 1
        text = text.replace(written, here)
    config = tmp_path / "nginx.conf"
    config.write_text(text.replace("http {", f"http {{ access_log off; client_body_temp_path {tmp_path}/body;", 1))
    command = [nginx, "-c", str(config), "-p", str(tmp_path), "-e", str(tmp_path / "nginx.log")]
    process = subprocess.Popen([*command, "-g", f"daemon off; pid {tmp_path}/nginx.pid;"])
    deadline = time.monotonic() + 60
    while not is_listened_to(port):
        assert process.poll() is None, (tmp_path / "nginx.log").read_text()
        assert time.monotonic() < deadline, "nginx has not come up in time"
        time.sleep(0.05)
    yield running, port
    process.terminate()
    process.wait()
    stop(running)


def test_behind_nginx_with_tls_the_cookie_is_secure_and_pages_work(proxied, browser):
    running, port = proxied
    assert running.process.stdout
    assert running.process.stdout.readline() == "It asks for the passphrase.\n"
    assert "token" not in running.url
    assert get(running, "/").status == 403  # though it listens on a loopback address: others reach it by LAB_HOSTS

    def over_tls(path: str, **headers: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=ssl._create_unverified_context())
        connection.request("GET", path, headers={"Host": "lab.example"} | headers)
        answer = connection.getresponse()
        connection.close()
        return answer

    assert over_tls("/").status == 403
    cookie = over_tls(f"/?token={quote(PASSPHRASE)}").headers["Set-Cookie"]
    assert cookie.endswith("; Secure")
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    ours = {"Origin": "https://lab.example", "Cookie": cookie.partition(";")[0]}
    assert over_tls("/_stcore/stream", **handshake, **ours).status == 101
    assert over_tls("/_stcore/stream", **handshake, Origin="https://lab.example").status == 403
    assert over_tls("/_stcore/stream", **handshake, **ours | {"Origin": "https://evil.example"}).status == 403
    assert over_tls("/", Host="evil.example").status == 403

    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    page.goto(f"https://localhost:{port}/")
    page.get_by_label("Passphrase").fill(PASSPHRASE)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="A small page")).to_be_visible(timeout=20_000)
    assert all(each["secure"] for each in context.cookies())
    context.close()


def test_the_lab_believes_a_proxy_on_this_machine_for_whom_it_asks(proxied):
    running, _ = proxied
    with ThreadPoolExecutor() as visitors:  # each answer comes a second late
        for number in range(Penalties.FREE + 1):
            visitors.submit(get, running, f"/?token={number}", **{"X-Forwarded-For": "198.51.100.9"})
    assert get(running, "/?token=no", **{"X-Forwarded-For": "10.1.1.1, 198.51.100.9"}).status == 429
    assert get(running, "/?token=no", **{"X-Forwarded-For": "198.51.100.9, 203.0.113.7"}).status == 403


def test_the_pages_without_their_door_stop_with_a_sentence_where_others_can_reach_them(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "lab"))
    usual = streamlit_config.get_option("server.address")
    assert usual == "127.0.0.1"  # by .streamlit/config.toml
    try:
        for address in ("0.0.0.0", "192.168.1.7", None):  # None: all of them
            streamlit_config.set_option("server.address", address)
            app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=30).run()
            (said,) = app.error
            assert said.value.startswith("**The lab was started without its door, where others can reach it.**")
            assert not app.title
            assert not (tmp_path / "lab").exists()
    finally:
        streamlit_config.set_option("server.address", usual)
