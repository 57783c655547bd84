"""python -m engine.machine.sampler LAB_HOME [--tegrastats PROGRAM]: reads the device once a second, for all visitors.

    LAB_HOME/device/
      lock              held by the living sampler, with its process id in it; the kernel drops it at any death
      watched           touched by whoever looks
      readings.jsonl    the newest readings, at most an hour of them; before.jsonl is the hour before
      status.json       what is not shown and why

It lives as long as somebody looks or a run goes, and then ends by itself. While a run has its turn, readings go into
the run's folder too, so that a copied folder still shows what the machine did. Whatever tegrastats does, psutil reads.
"""

import engine.interpreter  # noqa: F401  # first: see there
from engine.contract import choices

# isort: split
import argparse
import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.contract import tickets
from engine.contract.run_folder import LabHome, RunFolder, is_locked, read_json, try_lock, write_json
from engine.machine.device import Machine, Reading, decode, encode
from engine.machine.tegrastats import Line, parse
from engine.settings import APP_ROOT

PERIOD = 1.0  # seconds between two readings
IDLE_AFTER = 15.0  # seconds without anybody looking and without a run, after which the sampler ends
HOUR = 3600  # seconds that are kept, and readings of a file
RUN_READINGS = 3600  # of one run; beyond them every second one goes, and only every second one comes
QUIET_AFTER = 5.0  # seconds without a line, after which tegrastats is taken for one that hangs
AGAIN_AFTER = 30.0  # seconds until tegrastats is started once more
LINE_LIMIT = 20_000  # bytes of a line of tegrastats

NO_TEGRASTATS = "There is no tegrastats on this machine."


@dataclass(frozen=True)
class Files:
    lock: str
    watched: str
    readings: str
    before: str
    status: str


def files(home: LabHome) -> Files:
    folder = os.path.join(home.path, "device")
    names = ("lock", "watched", "readings.jsonl", "before.jsonl", "status.json")
    return Files(*(os.path.join(folder, name) for name in names))


@dataclass(frozen=True)
class Status:
    """What the sampler says of itself."""

    tegrastats: str = ""  # why it says nothing, a whole sentence; "" where it does
    missing: tuple[tuple[str, str], ...] = ()  # row without a sensor, a whole sentence


# --- for the pages ---------------------------------------------------------------------------------------------------


def look(home: LabHome, tegrastats: str = "") -> None:
    """Say that somebody looks, and start the sampler where none lives; `tegrastats`: the program, "" for none.

    Nothing happens where the disk is full or not writable: the pages show what they can without it.
    """
    place = files(home)
    with contextlib.suppress(OSError):
        os.makedirs(os.path.dirname(place.lock), exist_ok=True)
        Path(place.watched).touch()
        if is_locked(place.lock):
            return
        lock = try_lock(place.lock)
        if lock < 0:
            return  # somebody was quicker
        try:
            os.ftruncate(lock, 0)  # the process id of the one before
            process = subprocess.Popen(
                [sys.executable, "-m", "engine.machine.sampler", home.path, "--lock", str(lock)]
                + (["--tegrastats", tegrastats] if tegrastats else []),
                cwd=APP_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(lock,),
                start_new_session=True,  # survives the server
            )
        finally:
            os.close(lock)  # the sampler holds its own copy now
        threading.Thread(target=process.wait, daemon=True).start()  # no zombie under a long-lived server


def status(home: LabHome) -> Status:
    try:
        value = read_json(files(home).status)
        missing = tuple((str(row), str(why)) for row, why in value["missing"].items())
        return Status(str(value["tegrastats"]), missing)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Status()


def holder(home: LabHome) -> int:
    """The process id of the living sampler, 0 where there is none."""
    place = files(home)
    if not is_locked(place.lock):
        return 0
    text = Path(place.lock).read_text()
    return int(text) if text.isdigit() else 0


class History:
    """What the sampler wrote, read on from where the last look stopped; one for all visitors."""

    def __init__(self, home: LabHome):
        self._files = files(home)
        self._readings: deque[Reading] = deque(maxlen=2 * HOUR)
        self._lock = threading.Lock()
        self._inode = -1  # of the file that is being read, which becomes before.jsonl after an hour; -1 at first
        self._offset = 0  # bytes of it that were read

    def last(self, seconds: float, now: float) -> list[Reading]:
        """The readings of so many seconds, oldest first; `now`: Unix seconds."""
        with self._lock:
            self._refresh()
            # A clock that was set back leaves readings of the future behind.
            return [each for each in self._readings if now - seconds <= each.t <= now + PERIOD]

    def _refresh(self) -> None:
        current = _inode(self._files.readings)
        if current != self._inode:
            if self._inode == -1 or _inode(self._files.before) == self._inode:
                self._read(self._files.before)
            self._inode, self._offset = current, 0
        self._read(self._files.readings)

    def _read(self, path: str) -> None:
        try:
            with open(path, "rb") as file:
                if file.seek(0, os.SEEK_END) < self._offset:  # somebody emptied it
                    self._offset = 0
                file.seek(self._offset)
                data = file.read()
        except OSError:
            return
        whole = data[: data.rfind(b"\n") + 1]  # a half-written line waits for the next look
        self._offset += len(whole)
        for reading in filter(None, map(decode, whole.splitlines())):
            if self._readings:
                self._readings[-1] = replace(self._readings[-1], raw="")  # only the newest line is shown
            self._readings.append(reading)


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


def of_run(folder: RunFolder) -> list[Reading]:
    """What the machine did while a run had its turn, oldest first; empty where nobody read it."""
    try:
        with open(folder.device, "rb") as file:
            return [reading for line in file.read().splitlines() if (reading := decode(line))]
    except OSError:
        return []


# --- tegrastats ------------------------------------------------------------------------------------------------------


class Tegrastats:
    """The program, heard by a thread, and started once more a while after it has ended or gone quiet.

    `trouble` is a whole sentence while it says nothing of use, "" while it does.
    """

    def __init__(self, program: str, again_after: float = AGAIN_AFTER, quiet_after: float = QUIET_AFTER):
        self.program = program
        self.trouble = "" if program else NO_TEGRASTATS
        self._again_after, self._quiet_after = again_after, quiet_after
        self._process: subprocess.Popen[bytes] | None = None
        self._start_at = 0.0  # monotonic
        self._heard = 0.0  # monotonic, of the newest line that says anything
        self._newest: tuple[Line, str] | None = None
        self._nonsense = ""  # the newest line that says nothing

    def newest(self) -> tuple[Line, str] | None:
        """What it said just now and its words; None where that is nothing."""
        now = time.monotonic()
        if not self.program:
            return None
        if self._process is None:
            if now < self._start_at or not self._start():
                return None
            now = time.monotonic()
        assert self._process is not None
        if (code := self._process.poll()) is not None:
            self._listener.join(0.5)  # it may still be reading the last words
            words = f" Its last words: {self._nonsense[:200]}." if self._nonsense else ""
            self._give_up(f"tegrastats ended by itself with exit code {code}.{words}")
            return None
        if now - self._heard > self._quiet_after:
            self._give_up(
                f"tegrastats prints lines that the lab does not know: {self._nonsense[:200]}."
                if self._nonsense
                else f"tegrastats runs and has said nothing for {self._quiet_after:.0f} s."
            )
            return None
        if self._newest is not None:
            self.trouble = ""
        return self._newest

    def end(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _start(self) -> bool:
        self._nonsense, self._newest = "", None
        try:
            self._process = subprocess.Popen(
                [self.program, "--interval", str(int(PERIOD * 1000))],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # can be killed as a group
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            self._give_up(f"{self.program} cannot be started: {reason}.")
            return False
        self._heard = time.monotonic()
        self._listener = threading.Thread(target=self._listen, args=(self._process,), daemon=True)
        self._listener.start()
        return True

    def _give_up(self, trouble: str) -> None:
        self.trouble = f"{trouble} It is tried again every {self._again_after:.0f} s."
        self.end()
        self._start_at = time.monotonic() + self._again_after

    def _listen(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout
        with process.stdout:
            while data := process.stdout.readline(LINE_LIMIT):
                text = data.decode(errors="replace").strip()
                line = parse(text)
                if process is not self._process:
                    return
                if line.is_known:
                    self._newest, self._heard = (line, text), time.monotonic()
                elif text:
                    self._nonsense = "".join(letter if letter.isprintable() else "�" for letter in text)
                time.sleep(0.1)  # one that floods its output shall not cost more than one that does not


# --- the process -----------------------------------------------------------------------------------------------------


class RunRecorder:
    """Adds readings to a run's folder, fewer of them the longer it goes."""

    def __init__(self, folder: RunFolder):
        self._path = folder.device
        known = of_run(folder)  # another sampler may have begun it
        self._lines = len(known)
        self._apart = max(1.0, round(known[-1].t - known[-2].t)) if len(known) > 1 else 1.0  # seconds
        self._newest = known[-1].t if known else 0.0

    def add(self, reading: Reading) -> None:
        """Raises OSError."""
        if 0 <= reading.t - self._newest < self._apart - 0.5:
            return
        self._newest = reading.t
        if self._lines >= RUN_READINGS:
            with open(self._path, "rb") as file:
                kept = file.read().splitlines(keepends=True)[::2]
            part = f"{self._path}.part"
            with open(part, "wb") as file:
                file.writelines(kept)
            os.replace(part, self._path)
            self._lines, self._apart = len(kept), 2 * self._apart
        _append(self._path, encode(replace(reading, raw="")))
        self._lines += 1


class Sampler:
    def __init__(self, home: LabHome, tegrastats: str, lock: int):
        self.home = home
        self.files = files(home)
        self._lock = lock
        self._tegrastats = Tegrastats(tegrastats)
        self._tegrastats.newest()  # starts it, so that the first reading may have a line
        self._machine = Machine(home.path)
        self._recorders: dict[str, RunRecorder] = {}
        self._told: dict[str, Any] | None = None
        self._lines = _count_lines(self.files.readings)

    def work(self) -> None:
        """Read until nobody looks and no run goes, or the lab's folder is gone."""
        self._write_id()
        try:
            due = time.monotonic()
            while os.path.isdir(os.path.dirname(self.files.lock)):
                due = max(due + PERIOD, time.monotonic())  # after a sleep of the machine nothing is caught up on
                time.sleep(max(0.0, due - time.monotonic()))
                working = self._working_runs()
                if not working and not self._is_watched() and not self._still_needed():
                    return
                with contextlib.suppress(OSError):  # a full disk: the next second may find room
                    self._take(working)
        finally:
            self._tegrastats.end()

    def _take(self, working: list[str]) -> None:
        said = self._tegrastats.newest()
        reading = self._machine.read(*said) if said else self._machine.read()
        if self._lines >= HOUR:
            os.replace(self.files.readings, self.files.before)
            self._lines = 0
        _append(self.files.readings, encode(reading))
        self._lines += 1
        if said or self._tegrastats.trouble:  # it has spoken, or will not: while it starts nothing is missing yet
            self._tell(reading)
        for run_id in set(self._recorders) - set(working):
            del self._recorders[run_id]
        for run_id in working:
            folder = self.home.run(run_id)
            if os.path.isfile(folder.spec):
                recorder = self._recorders.get(run_id) or RunRecorder(folder)
                self._recorders[run_id] = recorder
                recorder.add(reading)

    def _working_runs(self) -> list[str]:
        """The ids of the runs whose turn it is, one for each device at most."""
        lines = [tickets.line(self.home, each) for each in (choices.CPU, choices.GPU)]
        return [line[0][1] for line in lines if line]

    def _is_watched(self) -> bool:
        try:
            return abs(time.time() - os.stat(self.files.watched).st_mtime) < IDLE_AFTER
        except OSError:
            return False

    def _still_needed(self) -> bool:
        """Let go of the lock, so that whoever comes from now on starts another; True where somebody came just before,
        saw the lock and relies on this one."""
        os.close(self._lock)
        if not self._is_watched():
            return False
        self._lock = try_lock(self.files.lock)
        if self._lock < 0:
            return False
        self._write_id()
        return True

    def _write_id(self) -> None:
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, str(os.getpid()).encode(), 0)

    def _tell(self, reading: Reading) -> None:
        said = {"tegrastats": self._tegrastats.trouble, "missing": self._machine.missing(reading)}
        if said != self._told:
            write_json(self.files.status, said)
            self._told = said


def _append(path: str, line: str) -> None:
    """One write, behind a line's end: the sampler before may have been killed in the middle of a line."""
    with open(path, "ab+", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(size - 1)
            if file.read(1) != b"\n":
                line = "\n" + line
        file.write(line.encode())


def _count_lines(path: str) -> int:
    try:
        with open(path, "rb") as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(2**20), b""))
    except OSError:
        return 0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m engine.machine.sampler", description="Reads the device once a second."
    )
    parser.add_argument("home", help="LAB_HOME")
    parser.add_argument("--tegrastats", default="", help="the program; without it psutil alone reads")
    parser.add_argument("--lock", type=int, default=-1, help="the descriptor of the lock that the starter holds")
    options = parser.parse_args()
    home = LabHome(options.home)
    lock = options.lock
    if lock < 0:
        os.makedirs(os.path.dirname(files(home).lock), exist_ok=True)
        lock = try_lock(files(home).lock)
        if lock < 0:
            print("A sampler is at work already.", file=sys.stderr)
            return 1
    else:
        fcntl.fcntl(lock, fcntl.F_SETFD, fcntl.FD_CLOEXEC)  # tegrastats would keep it after this process's death
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    Sampler(home, options.tegrastats, lock).work()
    return 0


if __name__ == "__main__":
    sys.exit(main())
