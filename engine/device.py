"""What this machine is and what it does now, without TensorFlow: psutil and what the kernel shows as files."""

import os
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import psutil

HISTORY = 60  # readings
PERIOD = 1.0  # seconds between two readings
IDLE_AFTER = 15.0  # seconds without anybody asking, after which the sampler rests

# Files that exist where a driver for an NVIDIA GPU is loaded: on a PC, and on a Jetson.
GPU_FILES = ("/dev/nvidiactl", "/dev/nvhost-gpu")


@dataclass(frozen=True)
class Reading:
    t: float  # Unix seconds
    cpu: float  # percent of all cores
    ram: float  # bytes in use
    ram_total: float  # bytes
    temperature: float | None  # degrees Celsius of the hottest processor sensor; None without a sensor


def has_gpu() -> bool:
    return any(os.path.exists(path) for path in GPU_FILES)


def describe() -> str:
    """One line for people: "Laptop · CPU only"."""
    return f"{_machine()} · {'GPU found' if has_gpu() else 'CPU only'}"


def read() -> Reading:
    """CPU percent is that since the previous call in this process."""
    memory = psutil.virtual_memory()
    used = memory.total - memory.available
    return Reading(time.time(), psutil.cpu_percent(None), used, memory.total, _temperature())


class Sampler:
    """One thread for all visitors that reads the device once a second while somebody looks."""

    def __init__(self) -> None:
        self._readings: deque[Reading] = deque(maxlen=HISTORY)
        self._asked = threading.Event()
        self._last_asked = time.monotonic()
        psutil.cpu_percent(None)  # the first call has nothing to compare with
        threading.Thread(target=self._work, daemon=True, name="device sampler").start()

    def history(self) -> list[Reading]:
        """The readings of the last minute, oldest first; at least one."""
        self._last_asked = time.monotonic()
        self._asked.set()
        if not self._readings:
            self._readings.append(read())
        return list(self._readings)

    def _work(self) -> None:
        while True:
            if time.monotonic() - self._last_asked > IDLE_AFTER:
                self._asked.clear()
                self._asked.wait()
                self._readings.clear()  # a minute with a hole in it is no minute
                psutil.cpu_percent(None)
            time.sleep(PERIOD)
            self._readings.append(read())


def _machine() -> str:
    try:
        # Boards say what they are; the text ends with a zero byte.
        model = Path("/proc/device-tree/model").read_text().strip("\0\n ")
    except OSError:
        model = ""
    if "tx2" in model.lower():
        return "Jetson TX2"
    if model:
        return model
    has_battery = getattr(psutil, "sensors_battery", lambda: None)()
    return "Laptop" if has_battery else "This computer"


def _temperature() -> float | None:
    sensors: dict[str, list] = getattr(psutil, "sensors_temperatures", dict)()  # macOS has no such function
    for name in ("coretemp", "k10temp", "zenpower", "cpu_thermal", "cpu-thermal", "MCPU-therm", "BCPU-therm"):
        if found := [entry.current for entry in sensors.get(name, []) if entry.current > 0]:
            return max(found)
    return None
