"""The door, as a process of its own in front of a small page."""

import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import ConsoleMessage, expect

from engine import settings, tensorboard

ROOT = Path(__file__).resolve().parent.parent
PAGE = """
import time
import altair as alt
import pandas as pd
import streamlit as st

st.title("A small page")
data = pd.DataFrame({"x": [1, 2, 3], "y": [1, 4, 9]})
st.altair_chart(alt.Chart(data).mark_line().encode(x="x", y=alt.Y("y").axis(labelExpr="datum.value + ' pt'")))
st.dataframe(data)
press = st.components.v2.component(
    "press",
    html="<button>Press</button>",
    js='''export default ({parentElement, setStateValue}) => {
        parentElement.querySelector("button").onclick = () => setStateValue("pressed", "by hand");
    }''',
)
st.write("Pressed", press(key="press", on_pressed_change=lambda: None).pressed)
st.download_button("Download", data=b"five!", file_name="five.txt")
photo = st.file_uploader("Photo")
if photo:
    st.write(f"{len(photo.getvalue())} bytes arrived")
if st.button("Work for an hour"):
    st.write("At work")
    time.sleep(3600)
"""


class Running(NamedTuple):
    process: subprocess.Popen[str]
    url: str  # that it prints, with the token where there is one
    host: str  # "127.0.0.1:41234"
    stderr: Path
    home: Path  # LAB_HOME


def start(folder: Path, *arguments: str, **environment: str) -> Running:
    """A copy of the door with its settings in front of PAGE, on a free port, started from elsewhere."""
    shutil.copy(ROOT / "serve.py", folder)
    shutil.copytree(ROOT / ".streamlit", folder / ".streamlit")
    (folder / "streamlit_app.py").write_text(PAGE)
    stderr = folder / "stderr.txt"
    with open(stderr, "w") as errors:
        process = subprocess.Popen(
            [sys.executable, folder / "serve.py", "--port", "0", "--no-browser", *arguments],
            cwd=folder.parent,
            env=os.environ | {"PYTHONPATH": str(ROOT), "LAB_HOME": str(folder / "lab")} | environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdout
    url = re.search(r"http://\S+", process.stdout.readline())
    assert url, stderr.read_text()
    host = url[0].removeprefix("http://").partition("/")[0]
    return Running(process, url[0], host, stderr, folder / "lab")


def stop(running: Running) -> None:
    running.process.kill()
    running.process.communicate()


@pytest.fixture(scope="module")
def door(tmp_path_factory) -> Iterator[Running]:
    running = start(tmp_path_factory.mktemp("door"))
    yield running
    stop(running)


def get(running: Running, path: str = "/healthz", **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(running.host, timeout=60)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    answer.body = answer.read().decode()  # type: ignore[attr-defined]
    connection.close()
    return answer


def open_websocket(running: Running, **headers: str) -> int:
    """The status that the server answers a WebSocket's request with: 101 is welcome."""
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    connection = http.client.HTTPConnection(running.host, timeout=60)
    connection.request("GET", "/_stcore/stream", headers=upgrade | headers)
    status = connection.getresponse().status
    connection.close()
    return status


def run_serve(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, ROOT / "serve.py", *arguments], capture_output=True, text=True, timeout=60)


def test_health_is_answered(door):
    assert (get(door).status, get(door).body) == (200, "ok\n")


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "127.0.0.1:9999", "[::1]:8501", "LOCALHOST:8501"])
def test_this_machine_may_come_in_by_its_own_names(door, name):
    assert get(door, Host=name).status == 200  # another port is a tunnel's


@pytest.mark.parametrize(
    "name",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "192.168.1.7", "0.0.0.0", "", "[::1", "a b"],
)
@pytest.mark.parametrize("path", ["/healthz", "/", "/_stcore/health", "/_stcore/metrics"])
def test_a_foreign_host_name_is_turned_away_on_every_path(door, name, path):
    answer = get(door, path, Host=name)
    assert answer.status == 403
    assert "127.0.0.1 or localhost" in answer.body


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://localhost"])
def test_a_request_from_a_page_of_another_server_is_turned_away(door, origin):
    assert get(door, Origin=origin).status == 403
    assert open_websocket(door, Origin=origin) == 403


def test_a_websocket_is_open_to_our_own_page_only(door):
    assert open_websocket(door, Origin=door.url) == 101
    assert open_websocket(door, Host="evil.example") == 403
    assert open_websocket(door, Host="evil.example", Origin="http://evil.example") == 403


@pytest.mark.parametrize("path", ["/", "/healthz", "/_stcore/health", "/static/none.js"])
def test_every_answer_forbids_the_browser_to_go_elsewhere(door, path):
    answer = get(door, path)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "http" not in policy  # no other host, and not every host of a scheme
    assert "*" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert get(door, path, Host="evil.example").headers["Content-Security-Policy"] == policy


@pytest.fixture
def tensorboards(door) -> Iterator[settings.Settings]:
    """The settings of the door's lab, whose TensorBoard runs."""
    lab = settings.load({"LAB_HOME": str(door.home)})
    tensorboard.start(lab)
    deadline = time.monotonic() + 60
    while (state := tensorboard.state(lab.home)).state != tensorboard.READY:
        assert state.state == tensorboard.STARTING, state
        assert time.monotonic() < deadline, "it has not come up in time"
        time.sleep(0.1)
    yield lab
    tensorboard.stop(lab.home)


def test_where_no_tensorboard_runs_the_door_says_so(door):
    answer = get(door, "/tensorboard/")
    assert (answer.status, answer.body) == (502, f"{tensorboard.NOT_RUNNING}\n")


def test_tensorboard_is_reached_through_the_door_and_may_be_framed_by_our_own_pages_only(door, tensorboards):
    answer = get(door, "/tensorboard/")
    assert answer.status == 200
    assert "TensorBoard" in answer.body
    assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"
    policy = answer.headers["Content-Security-Policy"]
    assert "frame-ancestors 'self'" in policy
    assert "http" not in policy
    assert "*" not in policy
    assert get(door, "/tensorboard").headers["Location"] == "/tensorboard/"
    assert get(door, "/tensorboard/data/runs?experiment=").body == "[]"
    assert get(door, "/tensorboard/no/such").status == 404
    assert get(door, "/tensorboards").headers["X-Frame-Options"] == "DENY"


def test_a_question_to_tensorboard_comes_with_its_body_and_is_none_of_a_stranger(door, tensorboards):
    connection = http.client.HTTPConnection(door.host, timeout=60)
    asked = "/tensorboard/experiment//data/plugin/scalars/scalars_multirun"
    connection.request("POST", asked, "tag=accuracy_1", {"Content-Type": "application/x-www-form-urlencoded"})
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"{}")
    connection.request("POST", asked, b"0" * 1_500_000)
    assert connection.getresponse().status == 413
    connection.close()
    for stranger in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
        assert get(door, "/tensorboard/", **stranger).status == 403
    connection = http.client.HTTPConnection(door.host, timeout=60)
    connection.request("DELETE", "/tensorboard/data/runs")
    assert connection.getresponse().status == 405
    connection.close()


def test_a_page_works_in_a_browser_and_reaches_no_other_host(door, browser):
    said: list[ConsoleMessage] = []
    page = browser.new_page()
    page.set_default_timeout(60_000)
    page.on("console", lambda message: said.append(message))  # a bound C method is no listener to it
    page.goto(door.url)
    expect(page.get_by_role("heading", name="A small page")).to_be_visible()
    expect(page.get_by_test_id("stVegaLiteChart").locator("svg, canvas").first).to_be_visible()
    expect(page.get_by_test_id("stDataFrame").locator("canvas").first).to_be_visible()
    page.get_by_role("button", name="Press").click()  # a component's script is a blob
    expect(page.get_by_text("Pressed by hand")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download", exact=True).click()
    assert download.value.path().read_bytes() == b"five!"
    upload = {"name": "photo.png", "mimeType": "image/png", "buffer": b"12345"}
    page.locator("input[type=file]").set_input_files([upload])
    expect(page.get_by_text("5 bytes arrived")).to_be_visible()
    assert [message.text for message in said if message.type in ("error", "warning")] == []

    reached = "url => fetch(url, {mode: 'no-cors'}).then(() => 'reached', () => 'stopped')"
    assert page.evaluate(reached, f"{door.url}/healthz") == "reached"
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        assert page.evaluate(reached, f"http://127.0.0.1:{elsewhere.getsockname()[1]}/") == "stopped"
        elsewhere.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody knocked
            elsewhere.accept()
    page.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_soon_though_a_page_is_at_work(tmp_path, browser, number):
    running = start(tmp_path)
    page = browser.new_page()
    page.goto(running.url)
    page.get_by_role("button", name="Work for an hour").click()
    expect(page.get_by_text("At work")).to_be_visible(timeout=60_000)
    running.process.send_signal(number)
    try:
        running.process.wait(timeout=120)  # about 3 s on an idle machine
    finally:
        stop(running)
    page.close()
    assert running.stderr.read_text() == ""  # no warning, no unknown setting, no traceback


def test_a_port_that_is_taken_is_said(door):
    port = door.host.split(":")[1]
    ran = run_serve("--port", port)
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"Port {port} is taken.")


def test_an_address_that_is_not_this_machines_is_refused():
    ran = run_serve("--address", "192.0.2.1")
    assert ran.returncode == 1
    assert ran.stderr.startswith("Cannot listen on 192.0.2.1:8501: ")


def test_a_port_that_is_none_is_refused():
    assert "--port is 70000; choose" in run_serve("--port", "70000").stderr
