"""A real TensorBoard, asked as the door asks it."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from engine import settings, tensorboard
from engine.contract import specs
from engine.contract.kinds.imported import ImportedSpec
from engine.contract.kinds.race import RaceSpec
from engine.contract.run_folder import LabHome, RunFolder, write_json
from engine.worker.formats.summaries import Summaries
from engine.worker.reporter import Reporter


@pytest.fixture
def lab(tmp_path):
    found = settings.load({"LAB_HOME": str(tmp_path / "lab")})
    yield found
    tensorboard.stop(found.home)


def wait_until_ready(home: LabHome) -> int:
    """Its port."""
    deadline = time.monotonic() + 60
    while (state := tensorboard.state(home)).state == tensorboard.STARTING:
        assert time.monotonic() < deadline, "it has not come up in time"
        time.sleep(0.1)
    assert state.state == tensorboard.READY, state
    return state.port


def ask(home: LabHome, path: str):
    where = tensorboard.address(home)
    assert where is not None
    connection = http.client.HTTPConnection(*where, timeout=10)
    connection.request("GET", f"{tensorboard.PREFIX}{path}")
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer


def make_run(home: LabHome, run_id: str) -> RunFolder:
    folder = home.run(run_id)
    os.makedirs(folder.path)
    specs.write(folder.spec, RaceSpec(learning_rates=(0.5,)))
    summaries = Summaries(folder, ["0.5"], Reporter(folder))
    summaries.scalars("0.5", "validation", [(10, 0.5, 1.0), (20, 0.75, 0.5)])
    summaries.close()
    return folder


def test_one_is_started_shows_runs_by_name_finds_new_ones_and_ends(lab):
    make_run(lab.home, "20261125-101500-aaaaaa")
    assert tensorboard.state(lab.home) == tensorboard.State(tensorboard.STOPPED)
    with socket.socket() as elsewhere:
        elsewhere.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            elsewhere.bind(("127.0.0.1", tensorboard.PORT))
            elsewhere.listen()
        except OSError:
            pass  # somebody else has it, which will do
        tensorboard.start(lab)
        tensorboard.start(lab)  # a second visitor, at the same moment
        port = wait_until_ready(lab.home)
    assert port != tensorboard.PORT

    name = "unknown photos, MobileNet v2, lr 0.5 (20261125-101500-{})/0.5/validation"
    deadline = time.monotonic() + 30
    while name.format("aaaaaa") not in ask(lab.home, "/data/runs"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    found = ask(lab.home, f"/data/plugin/scalars/scalars?tag=accuracy_1&run={quote(name.format('aaaaaa'))}")
    assert [(step, value) for _, step, value in found] == [(10, 0.5), (20, 0.75)]

    make_run(lab.home, "20261125-101500-bbbbbb")
    tensorboard.link_runs(lab.home)
    while name.format("bbbbbb") not in ask(lab.home, "/data/runs"):
        assert time.monotonic() < deadline
        time.sleep(0.2)

    tensorboard.stop(lab.home)
    assert tensorboard.state(lab.home).state == tensorboard.STOPPED
    assert tensorboard.address(lab.home) is None
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(("127.0.0.1", port))


def test_a_server_that_comes_back_finds_it_and_one_that_was_killed_is_said(lab):
    # A dashboard of its own starts it, and is gone.
    code = "from engine import settings, tensorboard; tensorboard.start(settings.load())"
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", code], cwd=root, env=os.environ | {"LAB_HOME": lab.home.path}, check=True)
    wait_until_ready(lab.home)
    pid = json.loads((Path(lab.home.path) / "tensorboard" / "server.json").read_text())["pid"]
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while (state := tensorboard.state(lab.home)).state != tensorboard.FAILED:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert state.reason == "TensorBoard ended by itself."
    assert "TensorBoard" in state.log
    tensorboard.start(lab)
    assert tensorboard.state(lab.home).state == tensorboard.STARTING


def test_it_never_ends_a_process_that_is_not_its_own(lab):
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    folder = Path(lab.home.path) / "tensorboard"
    folder.mkdir(parents=True)
    write_json(str(folder / "server.json"), {"pid": other.pid, "port": 6006})  # its number was given away again
    tensorboard.stop(lab.home)
    assert other.poll() is None
    other.communicate(b"\n")


@pytest.mark.parametrize("written", ["", "{", "[]", '{"pid": "x", "port": 1}'])
def test_a_damaged_note_is_no_tensorboard(lab, written):
    folder = Path(lab.home.path) / "tensorboard"
    folder.mkdir(parents=True)
    (folder / "server.json").write_text(written)
    assert tensorboard.state(lab.home).state == tensorboard.STOPPED
    tensorboard.stop(lab.home)


def test_a_python_without_tensorboard_is_said(lab):
    folder = Path(lab.home.path) / "tensorboard"
    folder.mkdir(parents=True)
    write_json(str(folder / "server.json"), {"pid": 1, "port": 6006})
    (folder / "log.txt").write_text("ModuleNotFoundError: No module named 'tensorboard'\n")
    state = tensorboard.state(lab.home)
    assert (state.state, state.port) == (tensorboard.FAILED, 0)
    assert "pip install tensorboard" in state.reason


def test_links_to_runs_that_are_gone_go_too(lab):
    folder = make_run(lab.home, "20261125-101500-aaaaaa")
    logdir = Path(lab.home.path) / "tensorboard" / "logdir"
    logdir.mkdir(parents=True)
    (logdir / "stray").write_text("")
    tensorboard.link_runs(lab.home)
    tensorboard.link_runs(lab.home)
    assert [os.readlink(link) for link in logdir.iterdir()] == [folder.summaries]
    spec = ImportedSpec("../レ" + "😀花" * 200, "/", ("0.5",), "")
    specs.write(make_run(lab.home, "20261125-101500-bbbbbb").spec, spec)  # a name that no file may have
    tensorboard.link_runs(lab.home)
    (name,) = (link.name for link in logdir.iterdir() if "bbbbbb" in link.name)
    assert name.startswith("レ花花")
    shutil.rmtree(lab.home.run("20261125-101500-bbbbbb").path)
    shutil.rmtree(folder.path)
    tensorboard.link_runs(lab.home)
    assert list(logdir.iterdir()) == []
