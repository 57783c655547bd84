"""Which machine this is, as both sides name it: a figure is worth little without that.

Python 3.6, standard library only. `root` is where proc/, sys/ and etc/ lie, for tests.
"""

import functools
import glob
import os
import platform
import re
import time
from typing import Union

from engine.contract import events

AnyPath = Union[str, "os.PathLike[str]"]
COMPUTER = "Computer"
TX2_CHIPS = ("24", "Tegra186")  # as the kernel numbers and names it; 0x18 in hexadecimal
WHOLE = 1 << 20  # letters; more than any of these files has


def here(root: AnyPath = "/") -> events.Hardware:
    """This machine now."""
    return events.Hardware(
        t=time.time(),
        name=name(root),
        processor=processor(os.fspath(root)),
        cores=os.cpu_count() or 1,
        memory_bytes=_memory(),
        gpu=gpu(root),
        power_mode=power_mode(root),
    )


def is_same(one: events.Hardware, other: events.Hardware) -> bool:
    """Whether a time that was measured on one holds for the other: equal machines are the same.

    Memory is left out: its size differs a little from kernel to kernel.
    """
    fields = ("name", "processor", "cores", "gpu", "power_mode")
    return all(getattr(one, field) == getattr(other, field) for field in fields)


def describe(found: events.Hardware) -> str:
    """For people: "Jetson TX2, ARMv8 Processor rev 3 (v8l), 6 cores, 8.2 GB, MAXN"."""
    known = [
        found.name if found.name != COMPUTER or not found.processor else "",
        found.processor,
        "{} core{}".format(found.cores, "" if found.cores == 1 else "s"),
        f"{found.memory_bytes / 1e9:.1f} GB" if found.memory_bytes else "",
        found.gpu,
        found.power_mode,
    ]
    return ", ".join(filter(None, known))


def short(found: events.Hardware) -> str:
    """The same in a word or two: "Jetson TX2", "AMD EPYC"."""
    return found.processor if found.name == COMPUTER and found.processor else found.name


def name(root: AnyPath = "/") -> str:
    """ "Jetson TX2" and what other boards say that they are, "Laptop" for what has a battery, else COMPUTER."""
    model = read_text(os.path.join(root, "proc/device-tree/model"))  # in a container of Docker there is none
    if "tx2" in model.lower() or model == "quill" or _tegra_chip(root) in TX2_CHIPS:
        return "Jetson TX2"
    if model or is_tegra(root):
        return model or "Jetson"
    try:
        supplies = os.listdir(os.path.join(root, "sys/class/power_supply"))
    except OSError:
        supplies = []
    return "Laptop" if any(each.startswith("BAT") for each in supplies) else COMPUTER


def is_tegra(root: AnyPath = "/") -> bool:
    """Whether it is one of NVIDIA's boards, also where a container hides what the board says of itself."""
    chip = _tegra_chip(root)
    return bool(read_text(os.path.join(root, "etc/nv_tegra_release"))) or chip.isdigit() or chip.startswith("Tegra")


def _tegra_chip(root: AnyPath) -> str:
    """Two names of the chip in sysfs, which containers see too: "24" or "Tegra186", "" elsewhere."""
    number = read_text(os.path.join(root, "sys/module/tegra_fuse/parameters/tegra_chip_id"))
    return number or read_text(os.path.join(root, "sys/devices/soc0/family"))


@functools.lru_cache(maxsize=None)
def processor(root: str = "/") -> str:
    """Its name as the system has it, "" where it has none."""
    for line in read_text(os.path.join(root, "proc/cpuinfo"), WHOLE).splitlines():
        if line.lower().startswith(("model name", "hardware")):
            return line.partition(":")[2].strip()
    return platform.processor()


def gpu(root: AnyPath = "/") -> str:
    """The first card that NVIDIA's driver names, "" without one."""
    for place in sorted(glob.glob(os.path.join(glob.escape(os.fspath(root)), "proc/driver/nvidia/gpus/*/information"))):
        for line in read_text(place).splitlines():
            if line.startswith("Model:"):
                return line.partition(":")[2].strip()
    return ""


def power_mode(root: AnyPath = "/") -> str:
    """The power mode that a Jetson is set to, "MAXN"; "" elsewhere."""
    chosen = re.search(r"pmode:0*([0-9]+)", read_text(os.path.join(root, "var/lib/nvpmodel/status")))
    if not chosen:
        return ""
    modes = read_text(os.path.join(root, "etc/nvpmodel.conf"), WHOLE)
    found = re.search(rf"POWER_MODEL\s+ID={chosen.group(1)}\s+NAME=([\w-]+)", modes)
    return found.group(1) if found else ""


def read_text(path: AnyPath, limit: int = 4096) -> str:
    """A file of the kernel, without the zero that ends it; "" where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(limit).strip("\0\n ")
    except OSError:  # some sensors exist and answer with an error while their part is off
        return ""


def _memory() -> int:
    """All of it, bytes; 0 where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 0
