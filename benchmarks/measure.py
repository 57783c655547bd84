"""How everything here is measured: in turn, several rounds, the median of the per-round ratios."""

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from engine import runs, settings
from engine.contract import dataset, events, specs
from engine.contract.run_folder import LabHome
from engine.runs.queue import Queue

ROUNDS = 5


@dataclass
class Times:
    """Seconds of every way, round by round."""

    seconds: dict[str, list[float]]

    def median(self, way: str) -> float:
        return statistics.median(self.seconds[way])

    def ratio(self, slow: str, fast: str) -> float:
        """How many times faster `fast` is: the median of the rounds' own ratios."""
        return statistics.median(a / b for a, b in zip(self.seconds[slow], self.seconds[fast], strict=True))


def in_turn(ways: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> Times:
    """A B C, A B C, …: one warm-up each, then every round runs every way once."""
    for way in ways.values():
        way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - began)
    return Times(seconds)


def machine() -> str:
    """Processor, cores, load and versions, one line."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        cpu = names[0] if names else cpu
    libraries = ", ".join(f"{name} {version(name)}" for name in ("tensorflow", "ai-edge-litert", "numpy", "streamlit"))
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    return f"{cpu}, {os.cpu_count()} cores, load {load}; Python {platform.python_version()}, {libraries}"


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def record(name: str, text: str) -> None:
    """Print a section and put it into docs/benchmarks.md in the place of the one of that name."""
    section = f"## {name}\n\nMeasured {time.strftime('%Y-%m-%d')}: {machine()}.\n\n{text.strip()}\n"
    print(section)
    path = Path(__file__).parent.parent / "docs" / "benchmarks.md"
    before = path.read_text() if path.exists() else "# Benchmarks\n\nWritten by `python -m benchmarks`.\n"
    head, *sections = before.split("\n## ")
    kept = [part for part in sections if not part.startswith(name + "\n")]
    parts = sorted([*kept, section.removeprefix("## ")])
    path.write_text("\n## ".join([head.rstrip() + "\n", *[part.strip() + "\n" for part in parts]]))


def finish(home: LabHome, photos: dataset.Dataset | None, spec: specs.Spec) -> runs.Run:
    """A whole run through the queue, as a visitor's would go."""
    run = runs.open_run(home, Queue(home, settings.load().worker_python).start(spec, photos))
    while run.refresh().is_active:
        time.sleep(0.1)
    assert run.state == events.DONE, run.story.error
    return run
