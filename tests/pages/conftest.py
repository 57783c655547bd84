"""Pages as a visitor's script runs, in this process, with a worker that has no TensorFlow."""

import functools
import sys
import time
from pathlib import Path

import pytest
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from engine import photos
from engine.contract import specs
from engine.contract.dataset import Dataset
from engine.contract.kinds.mnist import MnistSpec
from engine.contract.run_folder import LabHome
from engine.runs import Run, list_runs, open_run
from engine.runs.queue import Queue
from tests.digit_sets import draw_digits
from tests.photo_folders import draw_photos
from tests.shown_tables import read_tables_as_shown
from tests.weights import pretend

read_tables_as_shown()

APP = str(Path(__file__).resolve().parents[2] / "streamlit_app.py")

# Every AppTest reads the metadata of all installed packages, a third of a test's time: what it finds stays the same.
manifest_scanner.scan_component_manifests = functools.cache(manifest_scanner.scan_component_manifests)


def furnish(folder: Path) -> LabHome:
    """A LAB_HOME below this folder, with the usual backbone, 60 photos, and digits that a visitor uploaded."""
    home = LabHome(str(folder / "lab"))
    draw_photos(Path(home.datasets) / "lamps")
    draw_digits(Path(home.datasets) / "bars.npz")
    (folder / "data").mkdir()
    pretend(home, "mobilenet_v2")
    return home


def live_in(home: LabHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_HOME", home.path)
    monkeypatch.setenv("LAB_DATA", str(Path(home.path).parent / "data"))
    monkeypatch.setenv("WORKER_MODULE", "tests.fakes.fake_worker")
    monkeypatch.setenv("FAKE_SECONDS", "0.2")
    monkeypatch.delenv("WORKER_PYTHON", raising=False)


def open_page(page: str = "", **query: str) -> AppTest:
    """A visitor who opens a page; `page` is a file of pages/, "" is Home."""
    app = AppTest.from_file(APP, default_timeout=120)
    app.query_params.update(query)
    if page:
        app.switch_page(f"pages/{page}.py")
    app.run()
    assert not app.exception
    return app


@pytest.fixture
def home(tmp_path, monkeypatch) -> LabHome:
    """A LAB_HOME of the test's own."""
    home = furnish(tmp_path)
    live_in(home, monkeypatch)
    return home


@pytest.fixture
def visit(home):
    return open_page


@pytest.fixture(scope="module")
def furnished_once(tmp_path_factory) -> tuple[LabHome, dict[specs.Spec, Run]]:
    """A LAB_HOME that the tests of a module share, and the runs in it."""
    return furnish(tmp_path_factory.mktemp("shared")), {}


@pytest.fixture
def ran(furnished_once, monkeypatch):
    """For tests that only look: gives the ended run of a spec, which a module makes once, in a home of the module's.

    Pages are opened in that home too, by `open_page`.
    """
    home, known = furnished_once
    live_in(home, monkeypatch)

    def ran(spec: specs.Spec) -> Run:
        if spec not in known:
            (known[spec],) = start_all(home, spec)
        return known[spec]

    return ran


@pytest.fixture
def start(home):
    """Starts runs as a page would, the photos being the lamps."""
    return functools.partial(start_all, home)


def start_all(home: LabHome, *asked: specs.Spec, wait: bool = True) -> list:
    """Runs of the lamps, or of the digits; their ids where nobody waits for their ends."""
    queue = Queue(home, sys.executable, "tests.fakes.fake_worker")
    ids = [queue.start(spec, None if isinstance(spec, MnistSpec) else lamps(home)) for spec in asked]
    return [finished(home, each) for each in ids] if wait else ids


def lamps(home: LabHome) -> Dataset:
    return photos.split(photos.scan(Path(home.datasets, "lamps"), "Lamps"), 10, 10)


def finished(home: LabHome, run_id: str = "") -> Run:
    """Waits until the run (default: the newest) has ended."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        run = open_run(home, run_id) if run_id else list_runs(home)[0]
        if not run.is_active:
            return run
        time.sleep(0.05)
    raise AssertionError("the run has not ended after 120 s")
