"""Pages as a visitor's script runs, in this process, with a worker that has no TensorFlow."""

import functools
import sys
import time
from pathlib import Path

import pytest
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from engine.contract import specs
from engine.contract.run_folder import LabHome
from engine.queue import Queue
from engine.retraining import photos
from engine.runs import Run, list_runs, open_run
from tests.digit_sets import draw_digits
from tests.photo_folders import draw_photos
from tests.weights import pretend

APP = str(Path(__file__).resolve().parents[2] / "streamlit_app.py")

# Every AppTest reads the metadata of all installed packages, a third of a test's time: what it finds stays the same.
manifest_scanner.scan_component_manifests = functools.cache(manifest_scanner.scan_component_manifests)


@pytest.fixture
def home(tmp_path, monkeypatch) -> LabHome:
    """A LAB_HOME of the test's own, with the usual backbone, 60 photos, and digits that a visitor uploaded."""
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "lab"))
    monkeypatch.setenv("LAB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("WORKER_MODULE", "tests.fakes.fake_worker")
    monkeypatch.setenv("FAKE_SECONDS", "0.2")
    monkeypatch.delenv("WORKER_PYTHON", raising=False)
    draw_photos(tmp_path / "lab" / "datasets" / "lamps")
    draw_digits(tmp_path / "lab" / "datasets" / "bars.npz")
    (tmp_path / "data").mkdir()
    home = LabHome(str(tmp_path / "lab"))
    pretend(home, "mobilenet_v2")
    return home


@pytest.fixture
def visit(home):
    def visit(page: str = "", **query: str) -> AppTest:
        """A visitor who opens a page; `page` is a file of pages/, "" is Home."""
        app = AppTest.from_file(APP, default_timeout=120)
        app.query_params.update(query)
        if page:
            app.switch_page(f"pages/{page}.py")
        app.run()
        assert not app.exception
        return app

    return visit


@pytest.fixture
def start(home):
    """Starts runs as a page would, the photos being the lamps."""
    dataset = photos.split(photos.scan(Path(home.datasets, "lamps"), "Lamps"), 10, 10)
    queue = Queue(home, sys.executable, "tests.fakes.fake_worker")

    def start(*asked, wait: bool = True):
        ids = [queue.start(spec, None if isinstance(spec, specs.MnistSpec) else dataset) for spec in asked]
        return [finished(home, each) for each in ids] if wait else ids

    return start


def finished(home: LabHome, run_id: str = "") -> Run:
    """Waits until the run (default: the newest) has ended."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        run = open_run(home, run_id) if run_id else list_runs(home)[0]
        if not run.is_active:
            return run
        time.sleep(0.05)
    raise AssertionError("the run has not ended after 120 s")
