"""A report of 20 races on the photos given: how long it takes and how large it is."""

import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import ROUNDS, record, table
from engine import photos, report, settings
from engine.charts import vega
from engine.contract.kinds.race import RaceSpec
from engine.contract.run_folder import LabHome
from engine.runs import open_run
from engine.runs.queue import Queue
from tests.weights import pretend

RUNS = 20


def run(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        lab = settings.load({"LAB_HOME": scratch, "LAB_DATA": str(folder)})
        ids = _fill(lab.home, folder)
        script = _seconds(lambda: vega.javascript(lab.home))
        page, zipped, pages, zips = "", b"", [], []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            page = report.html(report.of_runs(lab, ids), lab, time.time())
            pages.append(time.perf_counter() - began)
            began = time.perf_counter()
            zipped = report.markdown_zip(report.of_runs(lab, ids), time.time())
            zips.append(time.perf_counter() - began)
    rows = [
        ["one HTML file", f"{statistics.median(pages):.1f} s", f"{len(page.encode()) / 1e6:.1f} MB"],
        ["Markdown, charts as SVG and data as CSV, in a zip", f"{statistics.median(zips):.1f} s",
         f"{len(zipped) / 1e6:.1f} MB"],
        ["the charts' script, once on a machine", f"{script:.1f} s", ""],
    ]  # fmt: skip
    words = f"{RUNS} races of three rates and 4,000 steps, each with the photos it got wrong; medians of {ROUNDS}."
    record("Report", table(["of 20 runs", "time", "size"], rows) + f"\n\n{words}")


def _seconds(work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _fill(home: LabHome, folder: Path) -> list[str]:
    """A race by the worker that stands in for the real one, and copies of it."""
    pretend(home, "mobilenet_v2")
    os.environ["FAKE_SECONDS"] = "0"
    dataset = photos.split(photos.scan(folder, folder.name), 10, 10)
    first = Queue(home, sys.executable, "tests.fakes.fake_worker").start(RaceSpec(), dataset)
    while open_run(home, first).is_active:
        time.sleep(0.1)
    copies = [f"{first}-{number}" for number in range(1, RUNS)]
    for each in copies:
        shutil.copytree(home.run(first).path, home.run(each).path)
    return [first, *copies]
