"""What each process of the lab holds in memory: the dashboard with every page visited, sampler, classifier, workers."""

import shutil
import sys
import tempfile
import time
from pathlib import Path

import psutil
from playwright.sync_api import sync_playwright

from benchmarks.dashboard import server as served
from benchmarks.measure import record, table
from engine import photos, runs, settings
from engine.contract import specs
from engine.contract.kinds.fine_tuning import FineTuningSpec
from engine.contract.kinds.mnist import MnistSpec
from engine.contract.kinds.race import RaceSpec
from engine.contract.run_folder import LabHome
from engine.machine import devices, sampler
from engine.models.classifier import Classifier
from engine.runs.queue import Queue
from engine.words import size
from tests.assets_home import with_assets

VISITORS = 3  # who have visited every page, one after the other, and stay on the last
ROOT = Path(__file__).resolve().parent.parent
OLD_PYTHON = ROOT / ".venv36" / "bin" / "python"


def run() -> None:
    source = with_assets("mobilenet_v2", "traffic_lights", "imagenet_names", "mnist")
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory() as scratch:
        home = LabHome(scratch)
        Path(home.assets).symlink_to(source.assets)
        rows += _dashboard(home)
        for python in filter(None, [settings.load().worker_python, str(OLD_PYTHON) if OLD_PYTHON.exists() else ""]):
            its = devices.versions(python)
            name = f"Python {its.python}, TensorFlow {its.tensorflow}"
            rows += [[f"{what}; {name}", held] for what, held in _worker(home, python) + _classifier(home, python)]
    text = table(["what", "memory"], rows)
    note = (
        "PSS: what processes share, libraries above all, is divided among them, other programs of this machine "
        "included. The most of each stage, with children."
    )
    record("Memory", f"{text}\n\n{note}")


def _held(processes: list[psutil.Process]) -> int:
    """Bytes in memory, shared ones divided among those that share them."""
    found = 0
    for process in processes:
        try:
            found += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):  # it has ended meanwhile
            continue
    return found


def _tree(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _dashboard(home: LabHome) -> list[list[str]]:
    pages = ["", *sorted(path.stem for path in (ROOT / "pages").glob("*.py"))]
    with served(home) as (server, address, _), sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or "chromium", args=["--no-sandbox"]
        )
        started = _held([server])
        for _ in range(VISITORS):
            page = browser.new_page()
            page.set_default_timeout(120_000)
            for name in pages:
                page.goto(f"{address}/{name}")
                page.get_by_role("heading", level=1).wait_for()
        time.sleep(3)
        visited = _held([server])
        browser.close()
        watching = _held([psutil.Process(pid)]) if (pid := sampler.holder(home)) else 0
    every = f"dashboard, {VISITORS} visitors who have seen all {len(pages)} pages"
    return [["dashboard, started", size(started)], [every, size(visited)], ["sampler", size(watching)]]


def _worker(home: LabHome, python: str) -> list[list[str]]:
    lights = Path(with_assets("traffic_lights").assets, "traffic_lights", "photos")
    asked: list[tuple[str, specs.Spec]] = [
        ("retraining", RaceSpec(steps=1000, use_cache=False)),
        ("MNIST comparison", MnistSpec(epochs=1, training_images=5000)),
        ("fine-tuning", FineTuningSpec(epochs=1, blocks=(2,))),
    ]
    rows = []
    for what, spec in asked:
        dataset = None
        if not isinstance(spec, MnistSpec):
            dataset = photos.split(photos.scan(lights, "Traffic lights"), 10, 10)
        most = _watch(home, Queue(home, python).start(spec, dataset))
        rows += [[f"worker, {what}, {stage}", size(held)] for stage, held in most.items()]
    return rows


def _watch(home: LabHome, run_id: str) -> dict[str, int]:
    """The most bytes that the run's processes held, by stage."""
    run = runs.open_run(home, run_id)
    most: dict[str, int] = {}
    while run.refresh().is_active:
        stage = run.story.stages[-1].name if run.story.stages else "Starting"
        workers = [each for each in psutil.Process().children() if run.folder.path in _command(each)]
        held = _held([process for worker in workers for process in _tree(worker)])
        most[stage] = max(most.get(stage, 0), held)
        time.sleep(0.05)
    if run.story.error:
        print(run.story.error, file=sys.stderr)
    return most


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def _classifier(home: LabHome, python: str) -> list[list[str]]:
    """With one model as TFLite, and with a run's frozen graph, for which TensorFlow is loaded."""
    photo = next(Path(with_assets("traffic_lights").assets, "traffic_lights", "photos").rglob("*.*")).read_bytes()
    rows, lights = [], [run for run in runs.list_runs(home) if run.kind == "retrain"]
    classifier = Classifier(home, python)

    def held() -> str:
        found = [each for each in psutil.Process().children() if "engine.worker.classify.classifier" in _command(each)]
        return size(_held(found))

    try:
        classifier.classify("mobilenet_v2", photo)
        rows.append(["classifier, one model as TFLite", held()])
        answer = classifier.grad_cam(lights[0].id, photo)
        assert answer.grid
        rows.append(["classifier, after a question that needs TensorFlow", held()])
    finally:
        classifier.close()
    return rows
