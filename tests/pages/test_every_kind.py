"""What every kind of run has to stand, each kind by the same checks: a new kind is checked as soon as it has a spec.

Runs are the fake worker's. Each kind has one finished run; its other states are made of the events of that one, and
where it matters how a run came to its end, of a process that was cancelled or killed.
"""

import hashlib
import json
import os
import shutil
import signal
import sys
import time
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pandas
import pytest
from streamlit.testing.v1 import AppTest

from engine import photos, report, runs, settings
from engine.contract import catalog, events, kinds, specs
from engine.contract import dataset as datasets
from engine.contract.kinds.batch_classification import BatchClassificationSpec
from engine.contract.kinds.batch_size import BatchSizeSpec
from engine.contract.kinds.fine_tuning import FineTuningSpec
from engine.contract.kinds.imported import ImportedSpec
from engine.contract.kinds.learning_curve import LearningCurveSpec
from engine.contract.kinds.mnist import MnistSpec
from engine.contract.kinds.race import RaceSpec
from engine.contract.run_folder import LabHome, is_locked, try_lock
from engine.kinds.imported.importing import import_summaries
from engine.runs import Run, list_runs, open_run
from engine.runs.queue import Queue, holder_of
from engine.worker.formats.summaries import Summaries
from engine.worker.reporter import Reporter
from tests.digit_sets import draw_digits
from tests.pages.conftest import APP, finished
from tests.photo_folders import draw_photos
from tests.weights import pretend
from ui import rooms

FAKE = "tests.fakes.fake_worker"
LANES = ("retrain_logs", "second")  # of the imported run

# By kind a spec with other values than the usual ones wherever a form has a place for them.
ASKED: dict[str, specs.Spec] = {
    "retrain": RaceSpec(
        learning_rates=(0.007, 0.5), steps=300, train_batch_size=-1, validation_batch_size=20, test_batch_size=7,
        eval_step_interval=20, validation_percentage=20, testing_percentage=20, seed=7, random_crop=10,
        flip_left_right=True,
    ),
    "mnist": MnistSpec(
        data="bars", networks=(catalog.network("beginner"), catalog.network("strong")), epochs=2, seed=3,
        training_images=1000,
    ),
    "imported": ImportedSpec(title="Old curves", source="", lanes=LANES, device=""),
    "classify": BatchClassificationSpec(model="mobilenet_v2", model_title="MobileNet v2", top=3),
    "fine_tune": FineTuningSpec(
        blocks=(0, 3), epochs=3, batch_size=16, head_learning_rate=0.02, body_learning_rate=0.0005, seed=11,
        random_brightness=20, validation_percentage=15, testing_percentage=25, memory_limit=3000,
    ),
    "batch_size": BatchSizeSpec(blocks=2, largest=32, memory_limit=2000),
    "learning_curve": LearningCurveSpec(
        sizes=(2, 7), seeds=2, steps=200, learning_rate=0.2, train_batch_size=50, seed=5, validation_percentage=15,
        testing_percentage=25,
    ),
}  # fmt: skip
KINDS = list(ASKED)
AT_WORK = [kind for kind in KINDS if kind != "imported"]  # nothing is asked of a worker for imported curves
WITH_FORM = [kind for kind in AT_WORK if kind != "classify"]  # pictures are chosen anew
TABS = {  # what holds the name of the open one
    "retrain": "run_tabs",
    "mnist": "mnist_tabs",
    "imported": "imported_tabs",
    "classify": "many_tabs",
    "fine_tune": "tune_tabs",
    "batch_size": "batch_tabs",
    "learning_curve": "sizes_tabs",
}


def test_every_kind_of_the_contract_is_checked():
    assert {type(spec) for spec in ASKED.values()} == {kinds.contract(kind).SPEC for kind in kinds.KINDS}
    assert {kind: kinds.of(spec) for kind, spec in ASKED.items()} == {kind: kind for kind in KINDS}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """LAB_HOME in `lab`, photos in `data/lamps` with a link beside them, and what that leads to."""
    root = tmp_path_factory.mktemp("kinds")
    draw_photos(root / "data" / "lamps")
    (root / "elsewhere.txt").write_text("not the lab's")
    (root / "data" / "lamps" / "red" / "link.txt").symlink_to(root / "elsewhere.txt")
    draw_digits(root / "lab" / "datasets" / "bars.npz")
    pretend(LabHome(str(root / "lab")), "mobilenet_v2")
    return root


@pytest.fixture(scope="module")
def home(folder) -> LabHome:
    return LabHome(str(folder / "lab"))


@pytest.fixture
def environment(folder, home, monkeypatch):
    monkeypatch.setenv("LAB_HOME", home.path)
    monkeypatch.setenv("LAB_DATA", str(folder / "data"))
    monkeypatch.setenv("WORKER_MODULE", FAKE)
    monkeypatch.setenv("FAKE_SECONDS", "0.1")
    monkeypatch.delenv("FAKE_WORKER", raising=False)
    monkeypatch.delenv("WORKER_PYTHON", raising=False)


@pytest.fixture(scope="module")
def dataset(folder) -> Callable[[specs.Spec], datasets.Dataset | None]:
    scanned = photos.scan(folder / "data" / "lamps", "lamps")

    def of(spec: specs.Spec) -> datasets.Dataset | None:
        if isinstance(spec, MnistSpec | BatchSizeSpec):
            return None
        return photos.split(
            scanned, getattr(spec, "validation_percentage", 10), getattr(spec, "testing_percentage", 10)
        )

    return of


def start(home: LabHome, dataset, kind: str) -> str:
    return Queue(home, sys.executable, FAKE).start(ASKED[kind], dataset(ASKED[kind]))


@pytest.fixture(scope="module")
def kept(folder, home) -> dict[str, Run]:
    """The finished run of each kind, once it has been asked for."""
    return {}


@pytest.fixture
def done(environment, folder, home, dataset, kept):
    """kind -> its finished run, made once and changed by nobody."""

    def done(kind: str) -> Run:
        if kind not in kept:
            kept[kind] = imported(folder) if kind == "imported" else finished(home, start(home, dataset, kind))
            deadline = time.monotonic() + 120
            while is_locked(kept[kind].folder.lock):  # it has said its last word and is about to end
                assert time.monotonic() < deadline
                time.sleep(0.02)
            assert kept[kind].state == events.DONE, kept[kind].log_tail()
        return kept[kind]

    return done


def imported(folder: Path) -> Run:
    written = LabHome(str(folder / "data")).run("old")
    summaries = Summaries(written, LANES, Reporter(written))
    for number, lane in enumerate(LANES, 1):
        for split in ("training", "validation"):
            points = [(step, 0.5 + step / (2000 * number), 1 - step / 2000) for step in range(0, 900, 10)]
            summaries.scalars(lane, split, points)
    summaries.close()
    found = settings.load()
    return open_run(found.home, import_summaries(found, Path(written.summaries), "Old curves").run_id)


@pytest.fixture
def made(home):
    """Folders made of a run for one test; they and their locks go with it."""
    locks, folders = [], []

    def made(run: Run, state: str) -> Run:
        """A run like it in that state, told by its events and by whether somebody lives."""
        copy = home.run(f"{run.id}-{state}-{len(folders)}")
        shutil.copytree(run.folder.path, copy.path, symlinks=True)
        folders.append(copy.path)
        told = events.Reader(run.folder.events).read()
        middle = next((at for at, event in enumerate(told) if isinstance(event, events.Stage)), 0)
        middle += (len(told) - middle) // 2  # in one of its stages, imported curves excepted, which have none
        error = events.Error(told[middle].t, "out_of_memory", "The memory ran out.", "Close other programs.")
        end = events.State(told[middle].t, state, 0)
        told = {
            events.QUEUED: told[:1],
            events.RUNNING: told[:middle],
            events.FAILED: [*told[:middle], error, end],
            events.CANCELLED: [*told[:middle], end],
            events.LOST: told[:middle],
            events.DONE: told,
        }[state]
        os.remove(copy.events)
        events.append(copy.events, *told)
        if state != events.DONE:
            for file in (copy.contract, copy.predictions):  # what is written at the end
                if os.path.isfile(file):
                    os.remove(file)
        if state in (events.QUEUED, events.RUNNING):
            locks.append(try_lock(copy.lock))
        return open_run(home, copy.id)

    yield made
    for lock in locks:
        os.close(lock)
    for each in folders:
        shutil.rmtree(each, ignore_errors=True)


class Visitor:
    """One session of a browser."""

    def __init__(self) -> None:
        self.app = AppTest.from_file(APP, default_timeout=120).run()

    def opens(self, page: str, **query: str) -> AppTest:
        self.app.query_params.clear()
        self.app.query_params.update(query)
        if page:
            self.app.switch_page(page)
        return self.runs()

    def shows(self, run: Run) -> AppTest:
        return self.opens(rooms.page_of(run.kind), run=run.id)

    def runs(self) -> AppTest:
        self.app.run()
        assert not self.app.exception
        return self.app

    def chooses(self, *wanted: Run) -> AppTest:
        """These runs, on the page Runs."""
        app = self.opens("pages/runs.py")
        listed = [run.id for run in list_runs(settings.load().home)]
        places = [listed.index(run.id) for run in wanted]
        number = app.session_state["_runs_shown"][0]
        app.session_state[f"runs_table_{number}"] = {"selection": {"rows": places, "columns": [], "cells": []}}
        return self.runs()

    def clicks(self, key: str) -> AppTest:
        self.app.button(key=key).click()
        return self.runs()

    def clicks_icon(self, icon: str) -> AppTest:
        next(button for button in self.app.button if button.proto.icon == f":material/{icon}:").click()
        return self.runs()

    def has(self, key: str) -> bool:
        return any(button.key == key for button in self.app.button)

    def reads(self) -> str:
        kinds = (self.app.markdown, self.app.caption, self.app.error, self.app.warning, self.app.title)
        return "\n".join(str(element.value) for kind in kinds for element in kind)


@pytest.fixture
def visitor(environment) -> Visitor:
    return Visitor()


def asked(app: AppTest, name: str) -> str:
    """What the address says."""
    value = app.query_params[name]
    return value if isinstance(value, str) else value[0]


def contents(*folders: Path | str) -> dict[str, str]:
    """Every file and link below, with what it holds or leads to."""
    found = {}
    for folder in map(Path, folders):
        for path in sorted(folder.rglob("*")):
            if path.is_symlink():
                found[str(path)] = f"link to {os.readlink(path)}"
            elif path.is_file():
                found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def charts_of(app: AppTest) -> list[dict]:
    """The charts of a page, apart from those of the device, which show the last minute."""
    return [json.loads(each.proto.spec) for each in app.get("vega_lite_chart") if '"second"' not in each.proto.spec]


def without_times(table: pandas.DataFrame) -> list[list[str]]:
    """The cells of a table as text, apart from when a run was started."""
    return [[str(cell) for cell in row if not isinstance(cell, float) or cell == cell] for row in table.values.tolist()]


# --- the checks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_opens_in_every_state(kind, done, made, visitor):
    run = done(kind)
    states = [events.DONE]
    if kind in AT_WORK:
        states = [events.QUEUED, events.RUNNING, events.FAILED, events.CANCELLED, events.LOST, events.DONE]
    for state in states:
        shown = made(run, state)
        assert shown.state == state
        app = visitor.shows(shown)
        assert f"**{run.title}**" in [each.value for each in app.markdown], state
        assert visitor.has("cancel") is (state in (events.QUEUED, events.RUNNING)), state
        assert visitor.has("again") is (state in (events.FAILED, events.CANCELLED, events.LOST)), state
        assert ("The memory ran out." in visitor.reads()) is (state == events.FAILED), state
        assert all(error.value for error in app.error)
        assert bool(app.error) is (state in (events.FAILED, events.LOST)), state


@pytest.mark.parametrize("kind", KINDS)
def test_every_tab_of_a_finished_run_opens(kind, done, visitor):
    run = done(kind)
    app = visitor.shows(run)
    names = [tab.label for tab in app.tabs]
    for name in names:
        app.session_state[TABS[kind]] = name
        visitor.runs()
        assert app.error == [], name
        opened = next(tab for tab in app.tabs if tab.label == name)
        assert len(opened.children) > 0, name
        assert [tab.label for tab in app.tabs if len(tab.children)] == [name]


@pytest.mark.parametrize("kind", KINDS)
def test_the_report_holds_the_run(kind, done, folder):
    run = done(kind)
    found = settings.load()
    written = report.of_runs(found, [run.id])
    page = report.html(written, found, time.time())
    assert page.rstrip().endswith("</html>")
    archive = zipfile.ZipFile(BytesIO(report.markdown_zip(written, time.time())))
    assert archive.testzip() is None
    names = archive.namelist()
    text = "\n".join(archive.read(name).decode() for name in names if name.endswith(".md"))
    for words in run.title.split(" · "):
        assert words in page
        assert words in text
    linked = [name for name in names if Path(name).suffix in (".svg", ".png", ".csv")]
    for name in linked:
        assert Path(name).name in text
        assert archive.getinfo(name).file_size > 0


@pytest.mark.parametrize("kind", KINDS)
def test_an_exported_run_is_the_same_run_on_another_machine(kind, done, visitor, tmp_path, monkeypatch):
    run = done(kind)
    app = visitor.shows(run)
    tables = [without_times(each.value) for each in app.dataframe]
    figures = [(each.label, each.value) for each in app.metric]
    charts = charts_of(app)
    with zipfile.ZipFile(BytesIO(runs.zip_run(run))) as archive:
        archive.extractall(tmp_path / "other" / "runs")
    other = LabHome(str(tmp_path / "other"))
    monkeypatch.setenv("LAB_HOME", other.path)
    (again,) = list_runs(other)
    assert (again.id, again.state, again.spec, again.title) == (run.id, run.state, run.spec, run.title)
    assert again.story.reported == run.story.reported
    left, right = (contents(each.folder.path) for each in (run, again))
    assert {name.removeprefix(again.folder.path): value for name, value in right.items()} == {
        name.removeprefix(run.folder.path): value for name, value in left.items() if name != run.folder.lock
    }
    there = Visitor().shows(again)
    assert [without_times(each.value) for each in there.dataframe] == tables
    assert [(each.label, each.value) for each in there.metric] == figures
    assert charts_of(there) == charts


@pytest.mark.parametrize("kind", KINDS)
def test_the_files_of_a_run_are_downloaded_whole(kind, done):
    run = done(kind)
    archive = zipfile.ZipFile(BytesIO(runs.zip_artifacts(run)))
    artifacts = Path(run.folder.artifacts)
    files = {f"{run.id}/{path.relative_to(artifacts)}": path for path in artifacts.rglob("*") if path.is_file()}
    files[f"{run.id}/spec.json"] = Path(run.folder.spec)
    assert {name: archive.read(name) for name in archive.namelist()} == {
        name: path.read_bytes() for name, path in files.items()
    }


def wait_for_work(home: LabHome, run_id: str) -> None:
    """Until it is in the middle of its longest stage."""
    deadline = time.monotonic() + 120
    longest = {events.TRAINING, events.CLASSIFYING, events.TRYING}
    while not any(stage.name in longest for stage in open_run(home, run_id).story.stages):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("kind", AT_WORK)
def test_a_run_is_cancelled_and_a_killed_one_is_lost_and_starts_again(kind, done, home, dataset, visitor, monkeypatch):
    done(kind)
    monkeypatch.setenv("FAKE_WORKER", "slow")
    run_id = start(home, dataset, kind)
    wait_for_work(home, run_id)
    visitor.shows(open_run(home, run_id))
    visitor.clicks("cancel")
    cancelled = finished(home, run_id)
    assert cancelled.state == events.CANCELLED
    visitor.shows(cancelled)
    assert visitor.has("again")

    run_id = start(home, dataset, kind)
    wait_for_work(home, run_id)
    os.killpg(holder_of(home.run(run_id)), signal.SIGKILL)
    lost = finished(home, run_id)
    assert lost.state == events.LOST
    visitor.shows(lost)
    monkeypatch.delenv("FAKE_WORKER")
    app = visitor.clicks("again")
    again = asked(app, "run")
    assert again not in (run_id, cancelled.id)
    ended = finished(home, again)
    assert (ended.state, ended.spec) == (events.DONE, ASKED[kind])


def damages(run: Run) -> dict[str, Callable[[Path], object]]:
    """What may happen to the folder of a run, by its name."""
    told = Path(run.folder.events).read_bytes()
    half = len(told) // 2
    return {
        "events cut in the middle of a line": lambda path: (path / "events.jsonl").write_bytes(told[:half] + b'{"ki'),
        "events with a line of something else": lambda path: (path / "events.jsonl").write_bytes(
            told[:half].rpartition(b"\n")[0] + b'\n\xff\x00[]\n{"kind": "nothing"}\n' + told[half:].partition(b"\n")[2]
        ),
        "no events": lambda path: (path / "events.jsonl").write_bytes(b""),
        "spec cut": lambda path: (path / "spec.json").write_text('{"kind": "retr'),
        "spec of an unknown kind": lambda path: (path / "spec.json").write_text('{"kind": "unheard of"}'),
        "no spec": lambda path: (path / "spec.json").unlink(),
    }


VISITED = ("events cut in the middle of a line", "spec cut", "no events")  # a page of each damage would take long


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_run_is_listed_or_refused_with_a_sentence_and_the_others_stay(kind, done, made, home, visitor):
    run = done(kind)
    for name, damage in damages(run).items():
        damaged = made(run, events.DONE)
        before = contents(run.folder.path)
        damage(Path(damaged.folder.path))
        listed = [each.id for each in list_runs(home)]
        assert run.id in listed, name
        is_readable = not name.startswith(("spec", "no spec"))
        assert (damaged.id in listed) is is_readable, name
        if name in VISITED:
            app = visitor.opens(rooms.page_of(kind), run=damaged.id)
            assert any(damaged.id in each.value for each in app.error) is not is_readable, name
        assert contents(run.folder.path) == before
    app = visitor.opens("pages/runs.py")
    assert run.title in list(app.dataframe[0].value["Run"])


@pytest.mark.parametrize("kind", KINDS)
def test_deleting_a_run_leaves_photos_links_and_other_runs_byte_for_byte(kind, done, made, folder, home, visitor):
    run = done(kind)
    going = made(run, events.DONE)
    os.symlink(folder / "data" / "lamps", Path(going.folder.artifacts, "photos"))
    others = (folder / "data", home.datasets, *[each.folder.path for each in list_runs(home) if each.id != going.id])
    before = contents(*others)
    assert len(before) > 60
    visitor.chooses(going)
    visitor.clicks_icon("delete")
    assert going.title in visitor.reads()
    visitor.clicks("delete_confirmed")
    assert not os.path.lexists(going.folder.path)
    assert [name for name in os.listdir(home.runs) if going.id in name] == []
    assert contents(*others) == before
    assert (folder / "elsewhere.txt").read_text() == "not the lab's"


@pytest.mark.parametrize("kind", WITH_FORM)
def test_a_form_filled_with_the_settings_of_a_run_asks_for_the_same(kind, done, home, visitor):
    run = done(kind)
    visitor.chooses(run)
    visitor.clicks_icon("content_copy")
    visitor.app.switch_page(rooms.page_of(kind))  # AppTest itself stays on the page that it was told
    visitor.runs()
    known = {each.id for each in list_runs(home)}
    visitor.clicks("start")
    (new,) = [each for each in list_runs(home) if each.id not in known]
    ended = finished(home, new.id)
    assert ended.spec == run.spec
    if run.has_dataset:
        assert ended.dataset == run.dataset


@pytest.mark.parametrize("kind", KINDS)
def test_runs_of_a_kind_are_compared_with_each_other_and_with_another_kind(kind, done, made, visitor):
    run = done(kind)
    again = made(run, events.DONE)
    other = done("retrain" if kind != "retrain" else "mnist")
    for beside in (again, other):
        app = visitor.opens("pages/runs.py", compare=f"{run.id},{beside.id}")
        assert app.error == []
        names = [tab.label for tab in app.tabs]
        for name in names if beside is again else ():
            app.session_state["compared_tabs"] = name
            visitor.runs()
            assert app.error == [], name


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_is_presented_on_a_screen_of_its_own_and_leads_back(kind, done, visitor):
    run = done(kind)
    app = visitor.opens("pages/present.py", run=run.id)
    assert app.title[0].value.replace("\\", "") == run.title
    assert len(app.table) + len(app.get("vega_lite_chart")) > 0
    assert app.error == []
    visitor.clicks("leave")
    assert asked(app, "run") == run.id
