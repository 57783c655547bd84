"""What this machine is and what it does now, without TensorFlow: one record, whoever it was read by.

tegrastats says most where it runs; what it does not say comes from the NVIDIA driver, psutil, and what the kernel shows
as files. A sensor that is not there is None and left out, never zero. engine/machine/sampler.py reads once a second.
"""

import functools
import json
import math
import os
import platform
import re
import shutil
import time
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import psutil

from engine.contract import hardware
from engine.machine.nvidia import Card
from engine.machine.tegrastats import Line

HISTORY = 60  # seconds that the strip beside the pages shows

# Files that exist where a driver for an NVIDIA GPU is loaded: on a PC, and on a Jetson.
GPU_FILES = ("/dev/nvidiactl", "/dev/nvhost-gpu")
# Where a Jetson's kernel shows the load of its GPU, per mille.
GPU_LOADS = ("sys/devices/gpu.0/load", "sys/devices/platform/gpu.0/load")
# psutil's names of sensors inside a processor; others are of disks, batteries and rooms.
PROCESSOR_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "cpu-thermal")
# Rails of a Jetson that everything else hangs on, by their names over the years.
WHOLE_BOARD = ("VDD_IN", "POM_5V_IN", "VIN_SYS_5V0", "SYS5V")
RISKY_SHARE = 0.95  # of memory in use, beyond which the kernel may end a process

MOST_CORES, MOST_SENSORS, LONGEST_NAME = 1024, 64, 40  # of a record that is read from a file


@dataclass(frozen=True)
class Reading:
    t: float  # Unix seconds
    cpu: float | None = None  # percent, the mean of the cores that are on
    cores: tuple[float | None, ...] = ()  # percent each; None for a core that is off
    gpu: float | None = None  # percent
    gpu_mhz: float | None = None
    memory_used: float | None = None  # bytes; on a Jetson CPU and GPU share them
    memory_total: float | None = None
    swap_used: float | None = None  # bytes
    swap_total: float | None = None
    card_used: float | None = None  # bytes of a graphics card's own memory
    card_total: float | None = None
    temperatures: dict[str, float] = field(default_factory=dict)  # degrees Celsius, by sensor
    throttles_at: float | None = None  # degrees Celsius at which the machine slows itself down
    is_throttled: bool | None = None  # whether it does, because it is hot
    power: dict[str, float] = field(default_factory=dict)  # milliwatts, by rail
    disk_free: float | None = None  # bytes where the lab keeps its files
    source: str = ""  # "tegrastats" or "psutil"
    raw: str = ""  # the line of tegrastats

    @property
    def hottest(self) -> tuple[str, float] | None:
        """The sensor that is hottest now, and its degrees Celsius."""
        return max(self.temperatures.items(), key=lambda each: each[1], default=None)

    @property
    def watts(self) -> tuple[str, float] | None:
        """The rail that most of the machine hangs on, and what goes through it."""
        rail = next((name for name in WHOLE_BOARD if name in self.power), "")
        rail = rail or max(self.power, key=self.power.__getitem__, default="")
        return (rail, self.power[rail] / 1000) if rail else None


def encode(reading: Reading) -> str:
    """A line of JSON without what is not there."""
    known = {name: value for name, value in asdict(reading).items() if value not in (None, "", (), {})}
    return json.dumps(known, separators=(",", ":"), ensure_ascii=False, allow_nan=False) + "\n"


def decode(line: bytes) -> Reading | None:
    """The reading of a line; None for one that is damaged. What a field should not be is left out."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or (t := _number(value.get("t"))) is None:
        return None
    known: dict[str, Any] = {"t": t}
    for each in fields(Reading):
        found = value.get(each.name)
        if each.name == "t" or found is None:
            continue
        if each.name == "cores":
            known["cores"] = tuple(map(_number, found[:MOST_CORES])) if isinstance(found, list) else ()
        elif each.name in ("temperatures", "power"):
            known[each.name] = _numbers(found)
        elif each.name in ("source", "raw"):
            known[each.name] = str(found)
        elif each.name == "is_throttled":
            known[each.name] = found if isinstance(found, bool) else None
        else:
            known[each.name] = _number(found)
    return Reading(**known)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e18 < value < 1e18:
        return None
    return value


def _numbers(value: Any) -> dict[str, float]:
    if not isinstance(value, dict):
        return {}
    pairs = [(str(name)[:LONGEST_NAME], _number(number)) for name, number in list(value.items())[:MOST_SENSORS]]
    return {name: number for name, number in pairs if number is not None}


class Machine:
    """Reads this machine; load of the CPU is that since the reading before, so the first has none.

    `root`: where sys/ and proc/ lie, for tests.
    """

    def __init__(self, disk: str, root: Path = Path("/")):
        self.disk = disk  # a folder of the disk whose free space counts
        self.root = root
        self.card = Card()
        self._throttle_count: int | None = None
        psutil.cpu_percent(None, percpu=True)
        self._began = time.monotonic()

    def read(self, line: Line | None = None, raw: str = "") -> Reading:
        """Now; `line` is what tegrastats said just now, and `raw` its words."""
        said = line or Line()
        card = self.card.read()
        cores: tuple[float | None, ...] = tuple(psutil.cpu_percent(None, percpu=True))
        if said.cores:
            cores = said.cores
        elif time.monotonic() - self._began < 0.1:
            cores = ()  # psutil says 0 or 100 of so short a time
        running = [core for core in cores if core is not None]
        memory, swap = psutil.virtual_memory(), psutil.swap_memory()
        temperatures, limits = self._temperatures(said)
        power = dict(said.power)
        if card is not None and said.gpu is None:
            if card.temperature is not None:
                temperatures["GPU"] = float(card.temperature)
            if card.slows_at is not None:
                limits.append(float(card.slows_at))
            if card.milliwatts is not None:
                power["GPU"] = float(card.milliwatts)
        gpu = said.gpu if said.gpu is not None else card.load if card else None
        has_memory = said.memory_used is not None
        return Reading(
            t=time.time(),
            cpu=round(sum(running) / len(running), 1) if running else None,
            cores=cores,
            gpu=self._gpu_load() if gpu is None else gpu,
            gpu_mhz=said.gpu_mhz if said.gpu is not None else card.mhz if card else None,
            memory_used=said.memory_used if has_memory else float(memory.total - memory.available),
            memory_total=said.memory_total if has_memory else float(memory.total),
            swap_used=float(swap.used) if said.swap_used is None else said.swap_used,
            swap_total=float(swap.total) if said.swap_total is None else said.swap_total,
            card_used=card.memory_used if card else None,
            card_total=card.memory_total if card else None,
            temperatures=temperatures,
            throttles_at=min(limits, default=None),
            is_throttled=self._is_throttled(card.is_slowed if card else None),
            power=power,
            disk_free=self._disk_free(),
            source="tegrastats" if line else "psutil",
            raw=raw,
        )

    def missing(self, reading: Reading) -> dict[str, str]:
        """Why there is no such sensor, a sentence each, by row."""
        found = {}
        if reading.gpu is None:
            found["gpu"] = f"GPU load is not shown: {self.card.why_not or 'the driver does not tell it'}."
        if reading.cpu is None:
            found["cpu"] = "CPU load is not shown: the first reading has nothing to compare with."
        if not reading.temperatures:
            found["temperature"] = "Temperature is not shown: this system shows no sensor of its processor."
        if not reading.power:
            found["power"] = "Power is not shown: nothing here measures it."
        return found

    def _gpu_load(self) -> float | None:
        """What a Jetson's kernel shows without tegrastats."""
        for name in GPU_LOADS:
            value = _read_number(self.root / name)
            if value is not None and 0 <= value <= 1000:
                return value / 10
        return None

    def _temperatures(self, said: Line) -> tuple[dict[str, float], list[float]]:
        """Degrees Celsius by sensor, and those at which the machine slows down."""
        found, limits = dict(said.temperatures), []
        if not found:
            sensors: dict[str, list] = getattr(psutil, "sensors_temperatures", dict)()  # macOS has no such function
            for name in PROCESSOR_SENSORS:
                entries = [entry for entry in sensors.get(name, []) if 0 < entry.current < 150]
                if entries:
                    found["CPU"] = max(found.get("CPU", 0.0), *(entry.current for entry in entries))
                    limits += [entry.high for entry in entries if entry.high and 60 <= entry.high <= 130]
        zones, zone_limits = self._zones()
        if not found:
            found = zones
        return found, limits or zone_limits

    def _zones(self) -> tuple[dict[str, float], list[float]]:
        """What a board's kernel shows of its processors: temperatures, and those at which it slows down."""
        found, limits = {}, []
        for zone in self._zone_folders:
            name = hardware.read_text(zone / "type")
            degrees = _read_number(zone / "temp")
            if degrees is not None and 0 < degrees < 150_000 and "pmic" not in name.lower():
                found[name.removesuffix("-therm").removesuffix("-thermal")[:LONGEST_NAME]] = degrees / 1000
            for kind in zone.glob("trip_point_*_type"):
                trip = _read_number(kind.with_name(kind.name.replace("_type", "_temp")))
                if hardware.read_text(kind) == "passive" and trip is not None and 60_000 <= trip <= 130_000:
                    limits.append(trip / 1000)
        return found, limits

    @functools.cached_property
    def _zone_folders(self) -> list[Path]:
        zones = (self.root / "sys/class/thermal").glob("thermal_zone*")
        return [
            zone
            for zone in zones
            if re.search("cpu|gpu|soc|thermal-fan|x86_pkg", hardware.read_text(zone / "type").lower())
        ]

    def _is_throttled(self, card: bool | None) -> bool | None:
        """Whether the machine slows itself down because it is hot; None where nothing tells."""
        known = [] if card is None else [card]
        for device in self._cooling:
            if (state := _read_number(device / "cur_state")) is not None:
                known.append(state > 0)
        counts = [value for path in self._throttle_counts if (value := _read_number(path)) is not None]
        if counts:
            before, self._throttle_count = self._throttle_count, int(sum(counts))
            known.append(before is not None and self._throttle_count > before)
        return any(known) if known else None

    @functools.cached_property
    def _cooling(self) -> list[Path]:
        devices = (self.root / "sys/class/thermal").glob("cooling_device*")
        return [
            each for each in devices if re.search("throttle|balanced|heavy", hardware.read_text(each / "type").lower())
        ]

    @functools.cached_property
    def _throttle_counts(self) -> list[Path]:
        return sorted(self.root.glob("sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/package_throttle_count"))

    def _disk_free(self) -> float | None:
        try:
            return float(shutil.disk_usage(self.disk).free)
        except OSError:
            return None


def _read_number(path: Path) -> float | None:
    try:
        value = float(hardware.read_text(path))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


# --- what it is -------------------------------------------------------------------------------------------------------


def has_gpu() -> bool:
    return any(os.path.exists(path) for path in GPU_FILES)


def describe(root: Path = Path("/")) -> str:
    """One line for people: "Jetson TX2 · MAXN · GPU found", "Laptop · CPU only"."""
    return f"{machine(root)} · {'GPU found' if has_gpu() else 'CPU only'}"


def machine(root: Path = Path("/")) -> str:
    """ "Jetson TX2 · MAXN", "This computer" """
    name = hardware.name(root).replace(hardware.COMPUTER, "This computer")
    return " · ".join(filter(None, [name, hardware.power_mode(root)]))


def is_shared(root: Path = Path("/")) -> bool:
    """Whether CPU and GPU share the memory, as on a Jetson and on a Mac."""
    return hardware.is_tegra(root) or platform.system() == "Darwin"


def release(root: Path = Path("/")) -> str:
    """ "Ubuntu 24.04.1 LTS, Linux 6.8"; with the release of a Jetson's own software where there is one."""
    named = re.search(r'^PRETTY_NAME="?([^"\n]+)', hardware.read_text(root / "etc/os-release"), re.MULTILINE)
    tegra = re.search(r"R(\d+)[^,]*,\s*REVISION:\s*([\d.]+)", hardware.read_text(root / "etc/nv_tegra_release"))
    kernel = f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}"
    parts = [named[1] if named else "", f"L4T {tegra[1]}.{tegra[2]}" if tegra else "", kernel]
    return ", ".join(filter(None, parts))
