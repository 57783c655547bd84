"""The dashboard from a browser: first paint, memory, and another visitor's click while a run trains."""

import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from playwright.sync_api import Page, sync_playwright

from benchmarks.measure import record, table
from engine import photos, runs, settings
from engine.contract.kinds.race import RaceSpec
from engine.contract.run_folder import LabHome
from engine.runs.queue import Queue
from tests.assets_home import ROOT, with_assets

CLICKS = 12


def run() -> None:
    source = with_assets("mobilenet_v2", "traffic_lights")
    with tempfile.TemporaryDirectory() as scratch:
        home = LabHome(scratch)
        Path(home.assets).symlink_to(source.assets)
        with server(home) as (process, address, boot), sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium") or "chromium", args=["--no-sandbox"]
            )
            page = browser.new_page()
            page.set_default_timeout(60000)
            _paint(page, address)  # the browser's and the server's first time
            painted = [_paint(page, address) for _ in range(5)]
            page.goto(address + "/retraining")
            page.get_by_role("radio", name="Single run").or_(page.get_by_text("Single run")).first.wait_for()
            idle = _clicks(page)
            dataset = photos.split(
                photos.scan(Path(source.assets, "traffic_lights", "photos"), "Traffic lights"), 10, 10
            )
            queue = Queue(home, settings.load().worker_python)
            # As many evaluations as a usual run has, but long enough to be clicked through.
            spec = RaceSpec(steps=200000, eval_step_interval=500)
            started = queue.start(spec, dataset)
            own = runs.open_run(home, started)
            while not own.refresh().story.curves:
                assert own.is_active, own.story.error
                time.sleep(0.2)
            busy = _clicks(page)
            # Somebody else watches the run. Both browsers draw on this machine's cores here, which visitors' do not.
            watcher = browser.new_page()
            watcher.goto(f"{address}/retraining?run={started}")
            watcher.get_by_role("button", name="Cancel").wait_for()
            watched = _clicks(page)
            memory = process.memory_info().rss
            queue.cancel(started)
            while own.refresh().is_active:
                time.sleep(0.2)
            browser.close()
    idle_ms, busy_ms, watched_ms = (statistics.median(seconds) * 1000 for seconds in (idle, busy, watched))
    rows = [
        ["server start to the first byte", f"{boot:.1f} s"],
        ["page requested to heading drawn, warm browser", f"{statistics.median(painted):.2f} s"],
        ["a visitor's click, nothing running", f"{idle_ms:.0f} ms"],
        ["the same while a run trains", f"{busy_ms:.0f} ms, × {busy_ms / idle_ms:.2f}"],
        ["the same while another browser here watches it", f"{watched_ms:.0f} ms, × {watched_ms / idle_ms:.2f}"],
        ["server memory during training", f"{memory / 1e6:.0f} MB"],
    ]
    record("Dashboard", table(["what", "measured"], rows) + f"\n\nMedians; {CLICKS} clicks each.")


@contextmanager
def server(home: LabHome) -> Iterator[tuple[psutil.Process, str, float]]:
    """serve.py on that home: its process, its address, and seconds until its first byte."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "serve.py", "--port", str(port), "--no-browser"],
        cwd=ROOT,
        env=dict(os.environ, LAB_HOME=home.path),
        stdout=subprocess.DEVNULL,
    )
    try:
        while True:
            try:
                urllib.request.urlopen(address, timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, "the server did not start"
                time.sleep(0.02)
        yield psutil.Process(process.pid), address, time.perf_counter() - began
    finally:
        process.terminate()
        process.wait()


def _paint(page: Page, address: str) -> float:
    began = time.perf_counter()
    page.goto(address)
    page.get_by_role("heading", level=1).wait_for()
    return time.perf_counter() - began


def _clicks(page: Page) -> list[float]:
    """Seconds from a click on the experiment switch until the form has changed."""
    seconds = []
    for number in range(CLICKS):
        single = number % 2 == 0
        button = page.get_by_text("Single run" if single else "Learning-rate race", exact=True).first
        began = time.perf_counter()
        button.click()
        page.get_by_role("button", name="Start training" if single else "Race").wait_for()
        seconds.append(time.perf_counter() - began)
        time.sleep(0.3)
    return seconds
