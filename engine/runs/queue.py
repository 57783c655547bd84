"""Starts runs, lines them up, cancels them and judges whether they live. There is no scheduler to die."""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import BinaryIO

from engine import worker_programs
from engine.contract import dataset as datasets
from engine.contract import events, specs, tickets
from engine.contract.run_folder import LabHome, RunFolder, is_locked, try_lock
from engine.errors import EngineError, RunNotFound, SpecError, WorkerStartError
from engine.machine import devices
from engine.settings import APP_ROOT
from engine.worker_programs import worker_environment

# Seconds between asking a run to stop and killing its process group: a worker looks at the flag at least every
# 0.5 s, except while it converts or saves a model, which takes up to half a minute on a small board.
GRACE_SECONDS = 45.0


class Queue:
    """The line of runs under one LAB_HOME.

    `module` is what the worker's interpreter is told to run with the run's folder and the descriptor of its lock;
    tests name a fake that takes the same spec and reports the same events without TensorFlow.
    """

    def __init__(
        self,
        home: LabHome,
        worker_python: str,
        module: str = "engine.worker",
        grace_seconds: float = GRACE_SECONDS,
    ):
        self.home = home
        self.worker_python = worker_python
        self.module = module
        self.grace_seconds = grace_seconds

    def start(
        self,
        spec: specs.Spec,
        dataset: datasets.Dataset | None = None,
        foreseen: events.Predicted | events.Expected | None = None,
    ) -> str:
        """Queue a run and return its id. The run is a process already when this returns.

        `dataset` are the photos of a retraining run; a comparison of networks names its pictures in the spec.
        `foreseen` is told of the run before all else.

        Raises SpecError (all faults in one text), and nothing is left behind. Raises WorkerStartError, and the run
        stays in the list as failed, with the reason. Raises EngineError where the disk is full or not writable.
        """
        if faults := spec.faults():
            raise SpecError(" ".join(faults))
        with contextlib.ExitStack() as undo:
            try:
                folder = self._make_folder()
                undo.callback(shutil.rmtree, folder.path, ignore_errors=True)
                specs.write(folder.spec, spec)
                if dataset is not None:
                    datasets.write(folder.dataset, dataset)
                log = undo.enter_context(open(folder.log, "ab"))
                # Locked before it is in line and before the worker exists, so that no moment looks lost.
                lock = try_lock(folder.lock)
                undo.callback(os.close, lock)
                ticket = tickets.take(self.home, spec.device, folder.id)
                undo.callback(tickets.leave, self.home, spec.device, ticket)
                queued = events.State(time.time(), events.QUEUED, ticket)
                events.append(folder.events, queued, *([foreseen] if foreseen else []))
            except OSError as error:
                raise EngineError(
                    f"Cannot write the run to {self.home.runs}: {error.strerror}. Free some disk space and start it "
                    "again."
                ) from error
            undo.pop_all()  # from here on it is a run
        try:
            devices.require(self.worker_python)
            self._spawn(folder, log, lock)
        except WorkerStartError as error:
            tickets.leave(self.home, spec.device, ticket)
            failed = events.State(time.time(), events.FAILED, 0)
            events.append(folder.events, events.Error(time.time(), "worker_start", str(error), devices.NEEDED), failed)
            raise WorkerStartError(f"{error} {devices.NEEDED}") from error
        finally:
            log.close()
            os.close(lock)  # the worker holds its own copy now
        return folder.id

    def cancel(self, run_id: str) -> None:
        """Ask a run to stop; it keeps what it has. After a grace period its process group is killed."""
        folder = self.folder(run_id)
        Path(folder.cancel).touch()
        threading.Thread(target=_kill_after_grace, args=(folder, self.grace_seconds), daemon=True).start()

    def stop_lane(self, run_id: str, lane: str) -> None:
        """Ask one network of a comparison to learn no more; it is tested as it is, and the others go on."""
        folder = self.folder(run_id)
        if lane in specs.read(folder.spec).lane_names():
            Path(folder.stop(lane)).touch()

    def ahead(self, run_id: str) -> list[str]:
        """The ids of the runs that this one waits for, on a device the working one first."""
        folder = self.folder(run_id)
        ticket = next((e.ticket for e in events.Reader(folder.events).read() if isinstance(e, events.State)), 0)
        lines = specs.lines(specs.read(folder.spec))
        return [run for device in lines for run in tickets.ahead_of(self.home, device, ticket)]

    def folder(self, run_id: str) -> RunFolder:
        """The run's folder. Raises RunNotFound for a name that is no run's, however it was made up."""
        folder = self.home.run(run_id)
        if run_id != folder.id or run_id in ("", ".", "..") or not os.path.isfile(folder.spec):
            raise RunNotFound(f"There is no run {run_id!r}. It may have been deleted.")
        return folder

    def _make_folder(self) -> RunFolder:
        os.makedirs(self.home.runs, exist_ok=True)
        while True:
            folder = self.home.run(f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}")
            try:
                os.mkdir(folder.path)
            except FileExistsError:
                continue
            os.mkdir(folder.artifacts)
            return folder

    def _spawn(self, folder: RunFolder, log: BinaryIO, lock: int) -> None:
        with worker_programs.started(self.worker_python):
            worker = subprocess.Popen(
                [self.worker_python, "-m", self.module, folder.path, str(lock)],
                cwd=APP_ROOT,
                env=worker_environment(os.environ, self.worker_python),
                stdin=subprocess.DEVNULL,
                stdout=log,  # a pipe nobody reads would block the worker
                stderr=subprocess.STDOUT,
                pass_fds=(lock,),
                start_new_session=True,  # survives the server, and can be killed as a group
            )
        threading.Thread(target=worker.wait, daemon=True).start()  # no zombies under a long-lived server


def judge(reported: list, is_alive: bool) -> str:
    """The state of a run from the evidence: what it reported, and whether somebody holds its lock."""
    states = [event.state for event in reported if isinstance(event, events.State)]
    if states and states[-1] in events.FINAL:
        return states[-1]
    if is_alive:
        return states[-1] if states else events.QUEUED
    return events.LOST  # killed for memory, power loss


def _kill_after_grace(folder: RunFolder, grace_seconds: float) -> None:
    deadline = time.monotonic() + grace_seconds
    while time.monotonic() < deadline:
        if not is_locked(folder.lock):
            return
        time.sleep(0.1)
    while pid := holder_of(folder):
        with contextlib.suppress(ProcessLookupError):  # it ended just now
            os.killpg(pid, signal.SIGKILL)
        time.sleep(0.05)
    reported = events.Reader(folder.events).read()
    if judge(reported, is_locked(folder.lock)) == events.LOST and os.path.isdir(folder.path):
        # Without this it would look like an accident.
        killed = events.Warning(time.time(), "The run did not stop by itself and was ended. What it had is kept.")
        events.append(folder.events, killed, events.State(time.time(), events.CANCELLED, 0))


def holder_of(folder: RunFolder) -> int:
    """The process group of the living worker, 0 where there is none: it writes its id into the lock it holds."""
    if not is_locked(folder.lock):
        return 0
    text = Path(folder.lock).read_text()
    return int(text) if text.isdigit() else 0
