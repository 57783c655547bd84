"""The process that reads the device: real ones, with programs in the place of tegrastats."""

import contextlib
import itertools
import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from engine import photos
from engine.contract.kinds.race import RaceSpec
from engine.contract.run_folder import LabHome
from engine.machine import sampler
from engine.machine.device import Reading, encode
from engine.runs import open_run
from engine.runs.queue import Queue
from tests.fakes.tegrastats import LINE, program
from tests.photo_folders import draw_photos
from tests.waiting import wait_until


@pytest.fixture
def home(tmp_path):
    found = LabHome(str(tmp_path / "lab"))
    os.makedirs(found.path)
    yield found
    if pid := sampler.holder(found):
        with contextlib.suppress(ProcessLookupError):  # it has ended just now
            os.kill(pid, signal.SIGTERM)


def leave(home):
    """As if nobody had looked for a minute."""
    long_ago = time.time() - 60
    os.utime(sampler.files(home).watched, (long_ago, long_ago))


def test_one_process_reads_for_all_is_found_again_and_ends_when_nobody_looks(home, tmp_path):
    place = sampler.files(home)
    os.makedirs(os.path.dirname(place.readings))
    old = [encode(Reading(time.time() - 4000 + second, 5.0)) for second in range(sampler.HOUR)]
    Path(place.readings).write_text("".join(old) + '{"t": 12')  # killed in the middle of a line
    history = sampler.History(home)
    tegrastats = program(tmp_path, "plays")
    for _ in range(3):
        sampler.look(home, tegrastats)
    pid = wait_until(lambda: sampler.holder(home))
    (newest,) = wait_until(lambda: [each for each in history.last(3, time.time()) if each.source == "tegrastats"][:1])
    assert (newest.gpu, newest.cores[1], newest.watts) == (53, None, ("VDD_IN", 3.177))
    assert newest.raw == LINE
    assert newest.disk_free
    assert sampler.status(home) == sampler.Status()  # nothing is missing
    assert Path(place.before).read_text().count("\n") == sampler.HOUR  # the hour before makes room
    assert len(sampler.History(home).last(3600, time.time())) >= 3000

    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not sampler.holder(home))
    sampler.look(home, tegrastats)
    other = wait_until(lambda: sampler.holder(home))
    children = wait_until(psutil.Process(other).children)
    killed = time.time()
    wait_until(lambda: [each for each in history.last(2, time.time()) if each.t > killed])
    leave(home)
    wait_until(lambda: not psutil.pid_exists(other))
    assert not any(child.is_running() for child in children)


def test_a_run_keeps_what_the_machine_did_though_nobody_looks(home, tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_SECONDS", "3")
    dataset = photos.split(photos.scan(draw_photos(tmp_path / "lamps"), "Lamps"), 10, 10)
    run_id = Queue(home, sys.executable, "tests.fakes.fake_worker").start(RaceSpec(), dataset)
    sampler.look(home)
    pid = wait_until(lambda: sampler.holder(home))
    leave(home)
    run = open_run(home, run_id)
    wait_until(lambda: not run.refresh().is_active)
    wait_until(lambda: not psutil.pid_exists(pid))
    readings = sampler.of_run(run.folder)
    assert len(readings) >= 2
    assert all(run.started - 1 <= reading.t <= run.story.last_t + 2 for reading in readings)
    assert readings[-1].memory_used > 0
    assert sampler.status(home).tegrastats == sampler.NO_TEGRASTATS


@pytest.mark.parametrize(
    "name, said",
    [
        ("hangs", "tegrastats runs and has said nothing for 0 s."),
        ("prints garbage", "tegrastats prints lines that the lab does not know: no � such�thing"),
        ("never ends its line", "tegrastats prints lines that the lab does not know: xxx"),
        ("dies", "tegrastats ended by itself with exit code 3. Its last words: cannot open /dev/nvhost"),
        ("plays and dies", "tegrastats ended by itself with exit code -9."),
    ],
)
def test_a_program_that_misbehaves_is_said_and_started_again(tmp_path, name, said):
    tegrastats = sampler.Tegrastats(program(tmp_path, name), again_after=0.2, quiet_after=0.4 if name == "hangs" else 2)
    try:
        # On a busy machine it may first be called silent, before its program has begun.
        wait_until(lambda: tegrastats.newest() is None and tegrastats.trouble.startswith(said))
        program(tmp_path, "plays")
        line, words = wait_until(tegrastats.newest)
        assert (line.gpu, words, tegrastats.trouble) == (53, LINE, "")
    finally:
        tegrastats.end()


@pytest.mark.parametrize("written", ["no/such/program", "not executable", "a folder"])
def test_a_program_that_cannot_be_started_is_said(tmp_path, written):
    path = tmp_path / written
    if written == "not executable":
        path.write_text("")
    elif written == "a folder":
        path.mkdir()
    tegrastats = sampler.Tegrastats(str(path))
    assert tegrastats.newest() is None
    assert tegrastats.trouble.startswith(f"{path} cannot be started: ")


def test_a_flood_of_lines_costs_no_more_than_a_few(tmp_path):
    tegrastats = sampler.Tegrastats(program(tmp_path, "floods"))
    try:
        for _ in range(5):
            before = wait_until(tegrastats.newest)
            wait_until(lambda before=before: tegrastats.newest() != before)
        # The program numbers its lines and prints thousands while one is heard; the others wait in the pipe.
        assert int(tegrastats.newest()[1].rpartition("#")[2]) < 500
    finally:
        tegrastats.end()


def test_damaged_files_are_read_as_far_as_they_can_be(home):
    place = sampler.files(home)
    os.makedirs(os.path.dirname(place.readings))
    now = time.time()
    bad = [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"t": "x"}',
        b'{"t": NaN}',
        b'{"t": 1e999}',
        b"\xff\xfe",
        b'{"t": true}',
        b"[" * 9999,
    ]
    odd = b'{"t": %f, "cpu": "9", "cores": [1, "x", null], "temperatures": [1], "power": {"A": 1, "B": "x"}}' % now
    Path(place.readings).write_bytes(b"\n".join([*bad, odd, b'{"t": 3', encode(Reading(now + 9999)).encode()]))
    history = sampler.History(home)
    (only,) = history.last(60, now)
    assert (only.cpu, only.cores, only.temperatures, only.power) == (None, (1, None, None), {}, {"A": 1})
    Path(place.readings).write_bytes(b"")  # emptied by hand
    assert history.last(60, now) == [only]
    Path(place.readings).write_text(encode(Reading(now + 1, 7.0)))
    assert [each.cpu for each in history.last(60, now)] == [None, 7.0]
    for text in ("", "{", "[]", '{"missing": 3, "tegrastats": ""}'):
        Path(place.status).write_text(text)
        assert sampler.status(home) == sampler.Status()


def test_a_long_run_is_thinned(home):
    folder = home.run("20261125-101500-aaaaaa")
    os.makedirs(folder.path)
    Path(folder.device).write_text(
        "".join(encode(Reading(float(t), 5.0, raw="x")) for t in range(sampler.RUN_READINGS))
    )
    recorder = sampler.RunRecorder(folder)
    for t in range(sampler.RUN_READINGS, sampler.RUN_READINGS + 10):
        recorder.add(Reading(float(t), 6.0, raw=LINE))
    times = [reading.t for reading in sampler.of_run(folder)]
    assert len(times) == sampler.RUN_READINGS // 2 + 5
    assert {b - a for a, b in itertools.pairwise(times)} == {2.0}
    sampler.RunRecorder(folder).add(Reading(times[-1] + 1.0))  # another sampler goes on as thinly
    assert len(sampler.of_run(folder)) == len(times)
    assert sampler.of_run(home.run("none")) == []


def test_where_nothing_can_be_written_looking_does_no_harm(tmp_path):
    (tmp_path / "lab").write_text("a file where the folder should be")
    sampler.look(LabHome(str(tmp_path / "lab")))
    assert sampler.holder(LabHome(str(tmp_path / "lab"))) == 0
