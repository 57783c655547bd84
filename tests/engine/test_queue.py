"""The line of runs, with real processes: tests.fakes.fake_worker reports what a worker would, without TensorFlow."""

import contextlib
import itertools
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.contract import choices, events, specs, tickets
from engine.contract.dataset import Dataset, Photo
from engine.contract.kinds.race import STAGES, RaceSpec
from engine.contract.run_folder import LabHome, is_locked
from engine.errors import EngineError, RunNotFound, SpecError, WorkerStartError
from engine.machine import devices
from engine.runs import Run, list_runs, open_run
from engine.runs.queue import Queue, holder_of, judge
from engine.words import age, duration
from engine.worker_programs import worker_environment

FAKE = "tests.fakes.fake_worker"
ROOT = Path(__file__).parent.parent.parent
SPEC = RaceSpec(learning_rates=(0.01,), steps=100)
# The fake worker takes its behaviour from the seed.
HANGS, SLOW, DIES = (SPEC._replace(seed=seed) for seed in (902, 905, 907))
SPLITS = ("training", "validation", "testing")
DATASET = Dataset(
    "Lights", "/nowhere", ["green", "red"], [Photo(f"red/{i}.jpg", i % 2, SPLITS[i % 3]) for i in range(30)]
)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[LabHome]:
    home = LabHome(str(tmp_path / "home"))
    yield home
    for run in list_runs(home):
        if pid := holder_of(run.folder):
            with contextlib.suppress(ProcessLookupError):  # it has ended just now
                os.killpg(pid, signal.SIGKILL)


@pytest.fixture
def queue(home: LabHome, monkeypatch: pytest.MonkeyPatch) -> Queue:
    monkeypatch.setenv("FAKE_SECONDS", "0.3")
    return Queue(home, sys.executable, FAKE)


def wait_until(happened: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def ended(queue: Queue, run_id: str) -> Run:
    run = open_run(queue.home, run_id)
    wait_until(lambda: not run.refresh().is_active)
    return run


def running(queue: Queue, run_id: str) -> Run:
    run = open_run(queue.home, run_id)
    wait_until(lambda: run.refresh().state == events.RUNNING and holder_of(run.folder))
    return run


# --- a run and its end -----------------------------------------------------------------------------------------------


def test_a_run_is_alive_when_start_returns_and_ends_done(queue: Queue) -> None:
    run_id = queue.start(SPEC, DATASET)
    assert open_run(queue.home, run_id).is_active
    run = ended(queue, run_id)
    assert run.state == events.DONE
    assert run.spec == SPEC
    assert run.dataset == DATASET
    assert [event.state for event in run.story.reported] == [events.QUEUED, events.RUNNING, events.DONE]
    assert run.story.ticket == 1
    assert [stage.name for stage in run.story.stages] == list(STAGES)
    wait_until(lambda: not is_locked(run.folder.lock))
    assert tickets.line(queue.home, "cpu") == []


def test_a_spec_with_faults_leaves_nothing_behind(queue: Queue) -> None:
    with pytest.raises(SpecError, match=r"Learning rate is 30; choose 0\.0001 to 10\. Steps is 0"):
        queue.start(SPEC._replace(learning_rates=(30.0,), steps=0), DATASET)
    assert list_runs(queue.home) == []


def test_a_python_that_is_not_there_is_a_sentence_and_blocks_nobody(queue: Queue) -> None:
    broken = Queue(queue.home, "python-of-nowhere", FAKE)
    with pytest.raises(
        WorkerStartError, match=r"Cannot run WORKER_PYTHON=python-of-nowhere: No such file or directory\."
    ):
        broken.start(SPEC, DATASET)
    (failed,) = list_runs(queue.home)
    assert failed.state == events.FAILED
    assert failed.story.error.hint == "Set WORKER_PYTHON to a Python that has TensorFlow."
    assert ended(queue, queue.start(SPEC, DATASET)).state == events.DONE


def test_a_python_that_cannot_run_the_worker_is_a_lost_run_with_a_log(queue: Queue) -> None:
    run = ended(queue, Queue(queue.home, sys.executable, "no_such_module").start(SPEC, DATASET))
    assert run.state == events.LOST
    assert "No module named no_such_module" in run.log_tail()


def test_a_home_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "runs").write_text("a file where the folder should be")
    with pytest.raises(EngineError, match=r"Cannot write the run to .*: File exists"):
        Queue(LabHome(str(tmp_path / "home")), sys.executable, FAKE).start(SPEC, DATASET)


def test_a_run_that_dies_without_a_word_is_lost(queue: Queue) -> None:
    assert ended(queue, queue.start(DIES, DATASET)).state == events.LOST


def test_a_run_outlives_the_server_that_started_it(queue: Queue) -> None:
    code = (
        "import pickle, sys, time\n"
        "from engine.contract.run_folder import LabHome\n"
        "from engine.runs.queue import Queue\n"
        "spec, dataset = pickle.load(sys.stdin.buffer)\n"
        f"print(Queue(LabHome(sys.argv[1]), sys.executable, {FAKE!r}).start(spec, dataset), flush=True); time.sleep(60)"
    )
    server = subprocess.Popen(
        [sys.executable, "-c", code, queue.home.path], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    server.stdin.write(pickle.dumps((SPEC, DATASET)))
    server.stdin.close()
    run_id = server.stdout.readline().decode().strip()
    server.kill()
    server.wait()
    server.stdout.close()
    assert open_run(queue.home, run_id).is_active
    assert ended(queue, run_id).state == events.DONE


STATE = {name: events.State(1.0, name, 0) for name in (events.QUEUED, events.RUNNING, *events.FINAL)}
BLOCK = events.Progress(2.0, 5)


@pytest.mark.parametrize(
    ("reported", "is_alive", "state"),
    [
        pytest.param([], True, events.QUEUED, id="started just now"),
        pytest.param([], False, events.LOST, id="killed before its first word"),
        pytest.param([STATE["queued"]], True, events.QUEUED, id="in line"),
        pytest.param([STATE["queued"]], False, events.LOST, id="killed in line"),
        pytest.param([STATE["queued"], STATE["running"], BLOCK], True, events.RUNNING, id="between two blocks"),
        pytest.param([STATE["queued"], STATE["running"], BLOCK], False, events.LOST, id="killed at work"),
        pytest.param([STATE["running"], STATE["done"]], True, events.DONE, id="done, process not gone yet"),
        pytest.param([STATE["running"], STATE["done"]], False, events.DONE, id="done"),
        pytest.param([STATE["running"], STATE["failed"]], False, events.FAILED, id="failed"),
        pytest.param([STATE["queued"], STATE["cancelled"]], False, events.CANCELLED, id="cancelled in line"),
    ],
)
def test_the_state_is_judged_from_what_was_said_and_who_lives(reported: list, is_alive: bool, state: str) -> None:
    assert judge(reported, is_alive) == state


# --- the line --------------------------------------------------------------------------------------------------------


def test_first_come_is_first_served_and_one_works_at_a_time(queue: Queue) -> None:
    ids = [queue.start(SPEC, DATASET) for _ in range(3)]
    ran = [ended(queue, run_id) for run_id in ids]
    assert [run.state for run in ran] == [events.DONE] * 3
    for earlier, later in itertools.pairwise(ran):
        assert earlier.story.time_of(events.DONE) <= later.story.time_of(events.RUNNING)


def test_a_waiting_run_knows_who_is_before_it(queue: Queue) -> None:
    first, second, third = (queue.start(spec, DATASET) for spec in (SLOW, SPEC, SPEC))
    running(queue, first)
    assert queue.ahead(first) == []
    assert queue.ahead(second) == [first]
    assert queue.ahead(third) == [first, second]
    assert open_run(queue.home, third).state == events.QUEUED
    queue.cancel(first)
    assert ended(queue, third).state == events.DONE
    assert queue.ahead(third) == []


def test_another_device_has_a_line_of_its_own(queue: Queue) -> None:
    slow = queue.start(SLOW, DATASET)
    assert ended(queue, queue.start(SPEC._replace(device=choices.GPU), DATASET)).state == events.DONE
    assert open_run(queue.home, slow).is_active


def test_a_dead_waiter_is_passed_over(queue: Queue) -> None:
    first, second, third = (queue.start(spec, DATASET) for spec in (SLOW, SPEC, SPEC))
    waiter = open_run(queue.home, second)
    wait_until(lambda: holder_of(waiter.folder))
    os.killpg(holder_of(waiter.folder), signal.SIGKILL)
    assert ended(queue, second).state == events.LOST
    assert queue.ahead(third) == [first]
    queue.cancel(first)
    assert ended(queue, third).state == events.DONE


def test_two_visitors_who_start_at_once_both_get_their_run(queue: Queue) -> None:
    ids: list[str] = []
    visitors = [threading.Thread(target=lambda: ids.append(queue.start(SPEC, DATASET))) for _ in range(4)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    ran = [ended(queue, run_id) for run_id in ids]
    assert [run.state for run in ran] == [events.DONE] * 4
    assert sorted(run.story.ticket for run in ran) == [1, 2, 3, 4]


# --- cancel ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", STAGES)
def test_a_run_can_be_cancelled_at_every_stage(queue: Queue, stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_SECONDS", "4")
    run = open_run(queue.home, queue.start(SPEC, DATASET))
    wait_until(lambda: stage in [each.name for each in run.refresh().story.stages])
    queue.cancel(run.id)
    assert run.cancel_asked
    assert ended(queue, run.id).state == events.CANCELLED


def test_a_run_can_be_cancelled_in_line(queue: Queue) -> None:
    first, second = queue.start(SLOW, DATASET), queue.start(SPEC, DATASET)
    queue.cancel(second)
    run = ended(queue, second)
    assert run.state == events.CANCELLED
    assert run.story.time_of(events.RUNNING) is None
    assert open_run(queue.home, first).is_active


def test_a_run_that_does_not_listen_is_ended_after_a_grace_period(queue: Queue) -> None:
    queue.grace_seconds = 0.3
    run = running(queue, queue.start(HANGS, DATASET))
    wait_until(lambda: "It hangs." in run.log_tail())
    queue.cancel(run.id)
    wait_until(lambda: run.refresh().state == events.CANCELLED)
    assert [warning.message for warning in run.story.warnings] == [
        "The run did not stop by itself and was ended. What it had is kept."
    ]
    assert ended(queue, queue.start(SPEC, DATASET)).state == events.DONE


def test_a_run_that_is_not_there_cannot_be_cancelled(queue: Queue) -> None:
    for run_id in ("nothing", "", ".", "..", "../runs", "/etc", "a/b", "\0"):
        with pytest.raises(RunNotFound):
            queue.cancel(run_id)


# --- an interpreter that cannot do a run ------------------------------------------------------------------------------


def interpreter(folder: Path, code: str) -> str:
    """A program in the place of WORKER_PYTHON."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{code}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        pytest.param(
            """echo '{"python": "3.5.2", "tensorflow": "2.7.0"}'""",
            "has Python 3.5.2; the workers need 3.6 or newer.",
            id="too old a Python",
        ),
        pytest.param(
            """echo '{"python": "3.6.9", "tensorflow": ""}'""", "has no TensorFlow.", id="a Python without TensorFlow"
        ),
        pytest.param(
            """echo '{"python": "3.6.9", "tensorflow": "1.15.5"}'""",
            "has TensorFlow 1.15.5; the workers need 2.6 or newer.",
            id="too old a TensorFlow",
        ),
        pytest.param(
            "echo 'ImportError: No module named typing' >&2; exit 1",
            "cannot run the lab's workers: ImportError: No module named typing.",
            id="one that knows no such Python",
        ),
    ],
)
def test_an_interpreter_that_cannot_do_a_run_is_named_when_one_is_started(
    home: LabHome, tmp_path: Path, code: str, sentence: str
) -> None:
    python = interpreter(tmp_path, code)
    said = f"WORKER_PYTHON={python} {sentence}"
    with pytest.raises(WorkerStartError) as raised:
        Queue(home, python, FAKE).start(SPEC, DATASET)
    assert str(raised.value) == f"{said} Set WORKER_PYTHON to a Python that has TensorFlow."
    (failed,) = list_runs(home)
    assert failed.state == events.FAILED
    assert failed.story.error
    assert failed.story.error.message == said
    assert tickets.line(home, choices.CPU) == []


def test_an_interpreter_that_hangs_is_named(tmp_path: Path) -> None:
    python = interpreter(tmp_path, "exec sleep 600")
    with pytest.raises(WorkerStartError) as raised:
        devices.versions(python, patience=1)
    assert str(raised.value) == f"WORKER_PYTHON={python} does not start: it has said nothing for 1 seconds."


# --- a full disk ------------------------------------------------------------------------------------------------------

NO_ROOM = """
import resource, sys
from engine.contract import choices, tickets
from engine.contract.kinds.mnist import MnistSpec
from engine.contract.run_folder import LabHome
from engine.errors import EngineError
from engine.runs.queue import Queue
home = LabHome(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
try:
    Queue(home, sys.executable, "tests.fakes.fake_worker").start(MnistSpec())
except EngineError as error:
    print(error)
try:
    tickets.take(home, choices.CPU, "without room")
except OSError as error:
    print(error)
"""


def test_where_the_disk_is_full_it_is_said_and_nothing_is_left_or_lost(home: LabHome) -> None:
    first = tickets.take(home, choices.CPU, "before")
    ran = subprocess.run(
        [sys.executable, "-c", NO_ROOM, home.path], cwd=ROOT, capture_output=True, text=True, check=True
    )
    said, of_the_line = ran.stdout.splitlines()
    assert said == (f"Cannot write the run to {home.runs}: File too large. Free some disk space and start it again.")
    assert of_the_line == "[Errno 27] File too large"
    assert os.listdir(home.runs) == []
    assert tickets.take(home, choices.CPU, "after") == first + 1


def test_a_clock_that_was_set_back_changes_no_order_and_makes_no_age_negative(home: LabHome) -> None:
    for number, began in enumerate((2_000_000_000.0, 1_000_000_000.0), 1):
        folder = home.run(f"run-{number}")
        os.makedirs(folder.path)
        specs.write(folder.spec, SPEC)
        events.append(
            folder.events,
            events.State(began, events.QUEUED, number),
            events.State(began, events.RUNNING, 0),
            events.State(began - 500, events.DONE, 0),
        )
    assert [run.id for run in list_runs(home)] == ["run-2", "run-1"]
    newest = list_runs(home)[0]
    assert duration(newest.seconds or 0) == "0 ms"
    assert age(2_000_000_000.0, newest.started) == "now"


# --- the worker's environment ----------------------------------------------------------------------------------------


def test_another_interpreter_is_not_told_about_ours() -> None:
    environ = {"PATH": "/bin", "PYTHONPATH": "/ours", "PYTHONHOME": "/ours", "VIRTUAL_ENV": "/ours", "LAB_HOME": "/lab"}
    given = worker_environment(environ, "/usr/bin/python3")
    assert {name: given[name] for name in ("PATH", "LAB_HOME")} == {"PATH": "/bin", "LAB_HOME": "/lab"}
    assert not {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"} & set(given)
