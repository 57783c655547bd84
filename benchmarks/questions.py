"""Q&A with 50 runs on disk: from a click to an answer with its evidence, and to all of them on one page."""

import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from benchmarks.dashboard import server
from benchmarks.measure import record, table
from engine import photos
from engine.contract.run_folder import LabHome
from engine.questions import evidence, questions
from engine.runs import list_runs
from engine.runs.queue import Queue
from tests.photo_folders import draw_photos
from tests.weights import pretend

RUNS, ROUNDS = 50, 7


def run() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        home = LabHome(scratch)
        _fill(home)
        with server(home) as (_, address, _), sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium") or "chromium", args=["--no-sandbox"]
            )
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.set_default_timeout(120000)
            page.goto(address)
            _click(page, "Q&A", "What is TensorFlow, and")  # the browser's and the server's first time
            first = _click(page, "All on one page", "What did the coursework measure")
            one, everything = [], []
            for _ in range(ROUNDS):
                page.goto(address)
                page.get_by_text("Select a run to open it.").wait_for()
                _click(page, "Q&A", "What is TensorFlow, and")
                one.append(_click(page, "8. Low learning rate", "How does a low learning rate"))
                everything.append(_click(page, "All on one page", "What did the coursework measure"))
            browser.close()
    rows = [
        ["a question chosen to its answer complete, chart and table drawn", f"{statistics.median(one):.2f} s"],
        ["all 18 on one page, likewise", f"{statistics.median(everything):.2f} s, the first time {first:.2f} s"],
    ]
    record("Questions", table(["what", "measured"], rows) + f"\n\n{RUNS} runs on disk; medians of {ROUNDS}.")


def _fill(home: LabHome) -> None:
    """A run for every query, by the worker that stands in for the real one, and copies of them."""
    scan = photos.scan(draw_photos(Path(home.datasets) / "lamps", each=40), "Lamps")
    pretend(home, "mobilenet_v2")
    os.environ["FAKE_SECONDS"] = "0"
    queue = Queue(home, sys.executable, "tests.fakes.fake_worker")
    asked = dict.fromkeys(query for question in questions.read_all() for query in question.runs.values())
    for number, query in enumerate(asked):
        spec, dataset = evidence.spec(query), None
        if query.kind not in ("mnist", "batch_size"):
            dataset = photos.split(scan, spec.validation_percentage, spec.testing_percentage)
        if query.kind == evidence.DEVICES:
            spec = spec._replace(group=f"pair{number}")
            queue.start(spec._replace(threads=1), dataset)
            spec = spec._replace(threads=2)
        queue.start(spec, dataset)
    while any(run.is_active for run in list_runs(home)):
        time.sleep(0.2)
    made = list_runs(home)
    for number in range(RUNS - len(made)):
        run = made[number % len(made)]
        path = Path(home.runs, f"20260101-{number:06d}-{number:06x}")
        shutil.copytree(run.folder.path, path)
        lines = (path / "events.jsonl").read_text().splitlines()
        with open(path / "events.jsonl", "w") as events:  # a month earlier
            for line in lines:
                event = json.loads(line)
                events.write(json.dumps(event | {"t": event["t"] - 30 * 86400}) + "\n")


def _click(page: Page, words: str, question: str) -> float:
    """Seconds until that question stands there, the script has ended, and every chart has its picture on the screen."""
    began = time.perf_counter()
    page.get_by_text(words, exact=words == "Q&A").first.click()
    page.get_by_role("heading", name=question).wait_for()
    page.wait_for_function(
        """() => {
            const app = document.querySelector('[data-testid=stApp]');
            if (!app || app.dataset.testScriptState !== 'notRunning') return false;
            if (document.querySelector('[data-testid=stSkeleton]')) return false;
            const charts = [...document.querySelectorAll('[data-testid=stVegaLiteChart]')];
            return charts.length > 0 && charts.every(each => each.querySelector('svg, canvas'));
        }"""
    )
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return time.perf_counter() - began
