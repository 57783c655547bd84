"""The processes of the lab: which there are, what memory they hold and how busy they are."""

import os
import threading
import time
from dataclasses import dataclass

import psutil

from engine import runs
from engine.contract.run_folder import LabHome
from engine.errors import RunNotFound


@dataclass(frozen=True)
class LabProcess:
    name: str  # for people: "Dashboard", "Run: Traffic lights · MobileNet v2 · lr 0.01"
    pid: int
    memory: int  # bytes in memory; what processes share is counted in each
    cpu: float | None  # percent of one core since the look before; None at the first look
    since: float  # Unix seconds


class Processes:
    """Those of one lab, looked at again and again; one for all visitors."""

    def __init__(self, home: LabHome):
        self.home = home
        self._lock = threading.Lock()
        self._before: dict[tuple[int, float], tuple[float, float]] = {}  # (pid, began) -> monotonic, CPU seconds

    def look(self) -> list[LabProcess]:
        """The dashboard first, then by memory."""
        with self._lock:
            now, found, seen = time.monotonic(), [], {}
            for process in psutil.process_iter(["pid", "cmdline", "memory_info", "cpu_times", "create_time"]):
                info = process.info
                name = self._name(info["pid"], info["cmdline"] or [])
                if not name or not info["memory_info"] or not info["cpu_times"]:  # of somebody else, or gone
                    continue
                spent = info["cpu_times"].user + info["cpu_times"].system
                key = (info["pid"], info["create_time"])
                before, seen[key] = self._before.get(key), (now, spent)
                cpu = None
                if before and now - before[0] > 0.2:
                    cpu = max(0.0, 100 * (spent - before[1]) / (now - before[0]))
                found.append(LabProcess(name, info["pid"], info["memory_info"].rss, cpu, info["create_time"]))
            self._before = seen
        return sorted(found, key=lambda each: (each.pid != os.getpid(), -each.memory))

    def _name(self, pid: int, command: list[str]) -> str:
        """What a process of this lab is for; "" for any other."""
        if pid == os.getpid():
            return "Dashboard"
        if not any(part == self.home.path or part.startswith(self.home.path + os.sep) for part in command):
            return ""
        if "engine.machine.sampler" in command:
            return "Sampler"
        if any("tensorboard" in part and "import" in part for part in command):
            return "TensorBoard"
        if "engine.worker.classify.classifier" in command:
            return "Classifier"
        run = next((part for part in command if os.path.dirname(part) == self.home.runs), "")
        if run and "-m" in command:
            try:
                return f"Run: {runs.open_run(self.home, os.path.basename(run)).title}"
            except RunNotFound:
                return f"Run {os.path.basename(run)}"
        return "Helper of a worker" if "-m" in command else ""
