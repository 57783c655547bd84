"""The door under attack: 10,000 wrong tokens, and what a logged-in visitor notices of them meanwhile."""

import asyncio
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from playwright.sync_api import Page, sync_playwright

from benchmarks.measure import record, table

ROOT = Path(__file__).resolve().parent.parent
WRONG = 10_000
CONNECTIONS = (64, 500)  # of the attacker, at once
CLICKS = 20


def run() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        process = subprocess.Popen(
            [sys.executable, "serve.py", "--address", "0.0.0.0", "--port", "0", "--no-browser"],
            cwd=ROOT,
            env=os.environ | {"LAB_HOME": scratch},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found
        try:
            rows = _measure(found[0], psutil.Process(process.pid))
        finally:
            process.terminate()
            process.wait()
    header = ["attacker", "answers", "server's processor time", "a visitor's click before, during", "ratio"]
    record(
        "Door", table(header, rows) + f"\n\nMedians of {CLICKS} clicks; attacker, server and browser on one machine."
    )


def _measure(url: str, server: psutil.Process) -> list[list[str]]:
    rows, where = [], urlsplit(url)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or "chromium", args=["--no-sandbox"]
        )
        page = browser.new_page()
        page.set_default_timeout(60_000)
        page.goto(url)
        page.goto(f"http://{where.netloc}/retraining")
        page.get_by_text("Single run", exact=True).first.wait_for()
        _clicks(page)
        for connections in CONNECTIONS:
            alone: Counter[str] = Counter()
            began, spent = time.monotonic(), _processor_seconds(server)
            attacker = _start_attack(where.port, connections, alone, WRONG // 10)
            attacker.join()
            spent = _processor_seconds(server) - spent
            share = spent / (time.monotonic() - began)
            before = _clicks(page)
            answers: Counter[str] = Counter()
            began = time.monotonic()
            attacker = _start_attack(where.port, connections, answers, WRONG)
            during: list[float] = []
            while attacker.is_alive():
                during += _clicks(page, 2)
            seconds = time.monotonic() - began
            assert set(answers) == {"403", "429"}, answers
            ratio = statistics.median(during) / statistics.median(before)
            middle = [f"{1000 * statistics.median(each):.0f}" for each in (before, during)]
            rows.append(
                [
                    f"{WRONG:,} wrong tokens over {connections} connections, {seconds:.0f} s",
                    ", ".join(f"{count:,} × {status}" for status, count in sorted(answers.items())),
                    f"{10_000 * spent / WRONG:.1f} ms each, {share:.0%} of a core",
                    f"{middle[0]} ms, {middle[1]} ms",
                    f"× {ratio:.2f}",
                ]
            )
        browser.close()
    return rows


def _clicks(page: Page, count: int = CLICKS) -> list[float]:
    """Seconds from a click on the experiment switch until the form has changed."""
    seconds = []
    for number in range(count):
        single = number % 2 == 0
        began = time.perf_counter()
        page.get_by_text("Single run" if single else "Learning-rate race", exact=True).first.click()
        page.get_by_role("button", name="Start training" if single else "Race").wait_for()
        seconds.append(time.perf_counter() - began)
        time.sleep(0.2)
    return seconds


def _processor_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _start_attack(port: int | None, connections: int, answers: Counter[str], wrong: int) -> threading.Thread:
    """In a thread, because the browser's own loop has this one."""
    attacker = threading.Thread(target=lambda: asyncio.run(_attack(port, connections, answers, wrong)))
    attacker.start()
    return attacker


async def _attack(port: int | None, connections: int, answers: Counter[str], wrong: int) -> None:
    """Each connection asks as soon as it was answered, and comes again where it was closed."""
    left = iter(range(wrong))

    async def guess() -> None:
        writer = None
        for number in left:
            if writer is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"GET /?token={number} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            answers[head.split(" ")[1]] += 1
            length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
            await reader.readexactly(int(length[1]) if length else 0)
            if "connection: close" in head.lower():
                writer.close()
                writer = None
        if writer is not None:
            writer.close()

    await asyncio.gather(*(guess() for _ in range(connections)))
