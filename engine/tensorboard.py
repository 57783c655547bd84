"""Starts, watches and stops one TensorBoard for all visitors, over the event files of all runs.

    LAB_HOME/tensorboard/
      lock           held by the living TensorBoard; the kernel drops it at any death
      server.json    its process id and port
      log.txt        what it said
      logdir/        a link to the summaries of each run, named as people know the run

It listens on 127.0.0.1 alone and is reached through the door (serve.py) under PREFIX. It outlives the dashboard, which
finds it again by its lock. TensorFlow is kept out of it: it needs none, and starts in one second instead of six.
"""

import contextlib
import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from engine import runs
from engine.contract.run_folder import LabHome, is_locked, read_json, try_lock, write_json
from engine.errors import EngineError, RunNotFound
from engine.settings import Settings
from engine.worker_programs import worker_environment

PREFIX = "/tensorboard"
PORT = 6006
PORTS = 100  # how many are tried, from PORT on
RELOAD_SECONDS = 5  # how often it looks for what is new
NAME_BYTES = 150  # of a run's title in the name of its link; a name may have 255
LOG_LINES = 12
STOP_SECONDS = 5.0  # between asking it to end and ending it

NOT_RUNNING = "TensorBoard is not running. Start it in the tab TensorBoard of a run."

STOPPED, STARTING, READY, FAILED = "stopped", "starting", "ready", "failed"

# As `python -m tensorboard.main`, where TensorFlow cannot be imported.
PROGRAM = "import sys; sys.modules['tensorflow'] = None; from tensorboard.main import run_main; run_main()"


@dataclass(frozen=True)
class State:
    state: str  # stopped, starting, ready, failed
    port: int = 0  # of 127.0.0.1; 0 where it is stopped
    reason: str = ""  # why it failed, a whole sentence
    log: str = ""  # the last lines of what it said, where it failed


@dataclass(frozen=True)
class _Files:
    lock: str
    server: str
    log: str
    logdir: str


def _files(home: LabHome) -> _Files:
    folder = os.path.join(home.path, "tensorboard")
    return _Files(*(os.path.join(folder, name) for name in ("lock", "server.json", "log.txt", "logdir")))


def start(settings: Settings) -> None:
    """Start it where it does not run; `state` says how far it is. Raises EngineError where it cannot be started."""
    files = _files(settings.home)
    python = sys.executable if importlib.util.find_spec("tensorboard") else settings.worker_python
    try:
        os.makedirs(files.logdir, exist_ok=True)
        lock = try_lock(files.lock)
        if lock < 0:
            return  # somebody was quicker, or it runs
    except OSError as error:
        raise EngineError(f"Cannot write to {os.path.dirname(files.lock)}: {error.strerror}.") from error
    try:
        with contextlib.suppress(FileNotFoundError):
            os.remove(files.server)  # of one that has ended
        link_runs(settings.home)
        port = _free_port()
        with open(files.log, "wb") as log:
            process = subprocess.Popen(
                [python, "-c", PROGRAM, "--logdir", files.logdir, "--host", "127.0.0.1", "--port", str(port)]
                + ["--path_prefix", PREFIX, "--reload_interval", str(RELOAD_SECONDS), "--reload_multifile", "true"]
                + ["--window_title", "TensorBoard · Bottleneck Lab"],
                cwd=os.path.dirname(files.lock),
                # Names of runs may hold any letter; without a GPU of its own, because training needs it.
                env=worker_environment(os.environ, python) | {"LC_ALL": "C.UTF-8", "CUDA_VISIBLE_DEVICES": "-1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(lock,),
                start_new_session=True,  # survives the server
            )
        write_json(files.server, {"pid": process.pid, "port": port})
        threading.Thread(target=process.wait, daemon=True).start()  # no zombie under a long-lived server
    except OSError as error:
        raise EngineError(f"TensorBoard cannot be started with {python}: {error.strerror}.") from error
    finally:
        os.close(lock)  # TensorBoard holds its own copy now


def state(home: LabHome) -> State:
    """What it does now; takes less than a millisecond."""
    files = _files(home)
    is_alive = is_locked(files.lock)  # asked first: one that ends between the two has failed, and is not starting
    server = _server(home)
    if server is None:
        return State(STARTING if is_alive else STOPPED)
    _, port = server
    if is_alive:
        return State(READY if _answers(port) else STARTING, port)
    log = _log_tail(files.log)
    if "No module named" in log and "tensorboard" in log:
        reason = "There is no tensorboard in the lab's Python nor in the worker's. Install it: pip install tensorboard"
    else:
        reason = "TensorBoard ended by itself."
    return State(FAILED, 0, reason, log)


def address(home: LabHome) -> tuple[str, int] | None:
    """The host and port of the living one; None where there is none. Answers from elsewhere are none of its."""
    server = _server(home) if is_locked(_files(home).lock) else None
    return None if server is None else ("127.0.0.1", server[1])


def stop(home: LabHome) -> None:
    """End it and forget how it ended; nothing happens where none runs. Never ends a process that is not ours."""
    files = _files(home)
    server = _server(home)
    if server is not None:
        deadline = time.monotonic() + STOP_SECONDS
        asked = False
        # As long as the lock is held its holder lives, and the process id is no other's.
        while is_locked(files.lock):
            late = time.monotonic() > deadline
            if not asked or late:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(server[0], signal.SIGKILL if late else signal.SIGTERM)
                asked = True
            time.sleep(0.05)
    with contextlib.suppress(FileNotFoundError):
        os.remove(files.server)


def link_runs(home: LabHome) -> None:
    """Make logdir/ hold a link to the event files of each run that has some, and nothing else.

    Cheap, so that it can be called whenever somebody looks: only runs without a link are opened.
    """
    logdir = Path(_files(home).logdir)
    logdir.mkdir(parents=True, exist_ok=True)
    known = set()
    for link in logdir.iterdir():
        with contextlib.suppress(OSError):  # somebody else was quicker
            if link.is_symlink() and link.is_dir():
                known.add(os.readlink(link))
            else:
                link.unlink()
    with contextlib.suppress(FileNotFoundError):
        for run_id in os.listdir(home.runs):
            summaries = home.run(run_id).summaries
            if run_id.startswith(".") or summaries in known or not os.path.isdir(summaries):
                continue
            with contextlib.suppress(RunNotFound, OSError):
                os.symlink(summaries, logdir / _name(runs.open_run(home, run_id)))


def _name(run: runs.Run) -> str:
    """ "Traffic lights, MobileNet v2, 3 learning rates (20261122-141502-3fa9c1)": a file's name, one for each run."""
    title = re.sub(r"[^\w .,()+-]+", "", run.title.replace(" · ", ", ")).strip(" .")
    short = title.encode()[:NAME_BYTES].decode(errors="ignore")
    return f"{short} ({run.id})"


def _server(home: LabHome) -> tuple[int, int] | None:
    """The process id and port that were written down."""
    try:
        value = read_json(_files(home).server)
        return int(value["pid"]), int(value["port"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _free_port() -> int:
    """PORT, or the next one that is free. Raises OSError where none is."""
    for port in range(PORT, PORT + PORTS):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError(0, f"the ports {PORT} to {PORT + PORTS - 1} are all taken")


def _answers(port: int) -> bool:
    """Whether it takes connections. Not whether it answers at once: while it reads large files it may be slow."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _log_tail(path: str) -> str:
    try:
        return "\n".join(Path(path).read_text(errors="replace").splitlines()[-LOG_LINES:])
    except OSError:
        return ""
