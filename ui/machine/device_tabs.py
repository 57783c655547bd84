"""The tabs of the page Device: what this machine is, what tegrastats said, and what runs did to it."""

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Sequence

import psutil
import streamlit as st

from engine import processes
from engine.contract import VERSION, hardware, memory
from engine.contract.run_folder import LabHome
from engine.errors import EngineError
from engine.kinds.rows import of_here
from engine.machine import buffers, device, devices, sampler
from engine.machine.device import Reading
from engine.words import Amount, age, duration, size
from ui import lab, parts, sorting

HISTORY_RUNS = 12
PROCESSES_EVERY = 3.0  # seconds


def show(live: bool) -> None:
    parts.tabs({"Environment": lambda: _environment(live), "Raw line": _raw_line, "History": _history}, "device_tabs")


# --- environment -----------------------------------------------------------------------------------------------------


def _environment(live: bool) -> None:
    st.fragment(_machine, run_every=1.0 if lab.worker() is None else None)()
    _tensorflow()
    st.markdown("**Processes of the lab**")
    st.fragment(_processes, run_every=PROCESSES_EVERY if live else None)()
    st.markdown("**What the lab keeps on disk**")
    taken = _taken(lab.home().path)
    parts.settings_table({name: size(number) for name, number in taken})
    if buffers.can_be_freed():
        _buffers()


def _machine() -> None:
    worker = lab.worker()
    if worker is None:
        st.session_state["_worker_awaited"] = True
    elif st.session_state.pop("_worker_awaited", False):
        st.rerun()  # nothing more is waited for
    if worker and worker.fault:
        st.error(f"**No run can be started.** {worker.fault} {devices.NEEDED}", icon=":material/error:")
    parts.settings_table({name: value for name, value in _facts(worker).items() if value})


def _facts(worker: devices.Worker | None) -> dict[str, str]:
    now, memory, found = time.time(), psutil.virtual_memory(), lab.load_settings()
    newest = lab.readings()[-1]
    its = f"Being asked, {found.worker_python}"
    if worker and worker.installed:
        version = worker.installed.tensorflow
        tensorflow = f"TensorFlow {version}" if version else "no TensorFlow"
        its = f"Python {worker.installed.python} with {tensorflow}, {found.worker_python}"
    elif worker:
        its = worker.fault
    cores, physical = psutil.cpu_count() or 1, psutil.cpu_count(logical=False) or 0
    threads = f"{cores} on {physical} cores" if physical and physical != cores else f"{cores} cores"
    processor = hardware.processor()
    return {
        "Machine": device.machine(),
        "System": f"{device.release()}, {platform.machine()}",
        "Processor": f"{processor}, {threads}" if processor else threads,
        "Memory": size(memory.total) + (", shared by CPU and GPU" if device.is_shared() else ""),
        "GPU": lab.card_name() or ("An NVIDIA driver is loaded" if device.has_gpu() else "None found"),
        "Lab": f"Version {VERSION}",
        "Dashboard": f"Python {platform.python_version()}, {sys.executable}",
        "Workers": its,
        "tegrastats": found.tegrastats or "None found",
        "Disk": f"{size(newest.disk_free)} free" if newest.disk_free is not None else "",
        "Up": f"for {duration(now - psutil.boot_time())}",
    }


def _tensorflow() -> None:
    """What TensorFlow itself finds: it is loaded for that, so only when somebody asks."""
    if not st.session_state.get("_tensorflow_asked"):
        if not st.button("Ask TensorFlow for a GPU", key="ask_tensorflow", icon=":material/search:"):
            st.caption("Loads TensorFlow in a process of its own, for some seconds and 600 MB of memory.")
            return
        st.session_state["_tensorflow_asked"] = True
    st.fragment(_answer, run_every=0.5 if lab.devices() is None else None)()


def _answer() -> None:
    found = lab.devices()
    if found is None:
        st.caption("TensorFlow is being loaded.")
        st.session_state["_tensorflow_awaited"] = True
        return
    if st.session_state.pop("_tensorflow_awaited", False):
        st.rerun()  # nothing more is waited for
    if found.gpus:
        names = ", ".join(f"{gpu.name} with {size(gpu.memory_bytes)}" for gpu in found.gpus)
        st.success(f"**TensorFlow {found.tensorflow} finds {names}.**", icon=":material/check:")
    else:
        st.info("**Runs use the CPU.** No GPU was found, because:", icon=":material/info:")
        st.code(found.why_no_gpu, language=None, wrap_lines=True)


@st.cache_resource
def _known_processes(home_path: str) -> processes.Processes:
    return processes.Processes(LabHome(home_path))


def _processes() -> None:
    found = _known_processes(lab.home().path).look()
    table = [
        {
            "Process": each.name,
            "Memory": size(each.memory),
            "CPU": None if each.cpu is None else Amount(each.cpu, f"{each.cpu:.0f}%"),
            "Started": age(each.since, time.time()),
            "Process id": Amount(each.pid, str(each.pid)),
        }
        for each in found
    ]
    right = {name: st.column_config.Column(alignment="right") for name in ("Memory", "CPU", "Process id")}
    st.dataframe(
        sorting.by_number(table), hide_index=True, height="content", placeholder="–",
        column_config=right, key="processes",
        alt="; ".join(f"{row['Process']}: {row['Memory']}" for row in table) + ".",
    )  # fmt: skip
    st.caption(
        "100% is one core. Memory that processes share is counted in each of them. A run gets "
        f"{size(memory.RUN)}: where less is free while one works or waits, the classifier ends until somebody asks it."
    )


@st.cache_data(show_spinner=False, ttl=60)
def _taken(home_path: str) -> list[tuple[str, int]]:
    """(what, bytes), the largest first: everything below LAB_HOME."""
    home = LabHome(home_path)
    names = {
        "runs": "Runs",
        "datasets": "Uploaded photos and digits",
        "pictures": "Uploaded pictures",
        "models": "Uploaded models",
        "backbones": "Added backbones",
        "assets": "Weights, digits and photos that come again",
        os.path.basename(home.bottlenecks): "Bottlenecks, which come again",
    }
    sums: dict[str, int] = {}
    try:
        entries = list(os.scandir(home_path))
    except OSError:
        entries = []
    for entry in entries:
        what = names.get(entry.name.removesuffix("-wal").removesuffix("-shm"), "Everything else")
        sums[what] = sums.get(what, 0) + _bytes(entry)
    found = sorted(sums.items(), key=lambda each: -each[1])
    return [(f"All of {home_path}", sum(sums.values())), *found]


def _bytes(entry: os.DirEntry) -> int:
    """On disk, of a file or of everything in a folder; links are not followed, and what has gone counts nothing."""
    try:
        if not entry.is_dir(follow_symlinks=False):
            return entry.stat(follow_symlinks=False).st_blocks * 512
        with os.scandir(entry.path) as inside:
            return sum(map(_bytes, inside))
    except OSError:
        return 0


def _buffers() -> None:
    st.markdown("**Buffers**")
    st.caption(
        "The kernel keeps copies of files in memory that nobody needs. Freeing them makes room at once, for a GPU that "
        "shares the memory; nothing is lost, and files are read from disk again when they are needed."
    )
    if st.button("Free the buffers", key="free_buffers", icon=":material/mop:"):
        try:
            freed = buffers.free()
        except EngineError as error:
            st.error(str(error), icon=":material/error:")
        else:
            st.success(f"Free memory: {size(freed.before)} before, {size(freed.after)} now.", icon=":material/check:")


# --- raw line --------------------------------------------------------------------------------------------------------


def _raw_line() -> None:
    newest = lab.readings()[-1]
    if newest.raw:
        st.caption("The newest line of tegrastats, as it came")
        st.code(newest.raw, language=None, wrap_lines=True)
    else:
        st.caption(sampler.status(lab.home()).tegrastats or "There is no line of tegrastats yet.")
    st.caption("What the lab reads from it and from what else there is, once a second")
    known = {name: value for name, value in vars(newest).items() if name != "raw" and value not in (None, "", (), {})}
    st.code(json.dumps(known, indent=1), language="json", wrap_lines=True)


# --- history ---------------------------------------------------------------------------------------------------------


def _history() -> None:
    rows = []
    for row in of_here(lab.rows()):
        readings = run_readings(row.id)
        if readings:
            rows.append(
                {"Run": row.short, "Device": row.device}
                | _figures(readings)
                | {"Started": age(row.started, time.time())}
            )
        if len(rows) == HISTORY_RUNS:
            break
    if not rows:
        st.caption("What each run did to this machine is listed here once one has run.")
        return
    right = {name: st.column_config.Column(alignment="right") for name in list(rows[0])[2:]}
    st.dataframe(
        sorting.by_number(rows), hide_index=True, height="content", placeholder="–",
        column_config=right, key="device_history",
        alt="; ".join(f"{row['Run']}: {row['CPU']} of the CPU" for row in rows) + ".",
    )  # fmt: skip
    st.caption("Means over the run, from its turn to its end; memory and temperature are the highest.")


def _figures(readings: Sequence[Reading]) -> dict[str, str | None]:
    def mean(values: list[float], words: str) -> Amount | None:
        return Amount(statistics.fmean(values), words.format(statistics.fmean(values))) if values else None

    memory = max((each.memory_used for each in readings if each.memory_used is not None), default=None)
    hottest = max((each.hottest[1] for each in readings if each.hottest), default=None)
    return {
        "CPU": mean([each.cpu for each in readings if each.cpu is not None], "{:.0f}%"),
        "GPU": mean([each.gpu for each in readings if each.gpu is not None], "{:.0f}%"),
        "Memory": None if memory is None else size(memory),
        "Temperature": None if hottest is None else f"{hottest:.0f} °C",
        "Power": mean([each.watts[1] for each in readings if each.watts], "{:.1f} W"),
    }


def run_readings(run_id: str) -> list[Reading]:
    """What the machine did while a run had its turn, read again only where the file has changed."""
    path = lab.home().run(run_id).device
    try:
        stamp = os.stat(path)
    except OSError:
        return []
    return _run_readings(path, stamp.st_size, stamp.st_mtime_ns)


@st.cache_data(max_entries=32, show_spinner=False)
def _run_readings(path: str, size: int, changed: int) -> list[Reading]:
    """`size` and `changed` are part of the key: what has not changed is not read again."""
    home = LabHome(os.path.dirname(os.path.dirname(os.path.dirname(path))))
    return sampler.of_run(home.run(os.path.basename(os.path.dirname(path))))
