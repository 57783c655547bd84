"""WORKER_PYTHON -m engine.worker RUN_FOLDER [LOCK_DESCRIPTOR]

reads   spec.json      what to do                                     (engine/contract/specs.py)
        dataset.json   on which photos, unless it compares networks   (engine/contract/dataset.py)
appends events.jsonl   what happened, ending with a final state       (engine/contract/events.py)
writes  artifacts/     what is kept                                   (retraining/, comparison/network_files.py)
holds   lock           as long as it lives; the descriptor comes from whoever started it

Waits until its ticket is the lowest living one of its device. Then processes of its own tell the story and load what is
large; where the memory runs out, another one begins anew with less of it (engine/worker/children.py). Python 3.6.
"""

import os
import signal
import sys
import time
import traceback
from typing import List

from engine.contract import events, hardware, signatures, specs, tickets
from engine.contract.kinds.batch_classification import BatchClassificationSpec
from engine.contract.kinds.batch_size import BatchSizeSpec
from engine.contract.kinds.fine_tuning import FineTuningSpec
from engine.contract.kinds.learning_curve import LearningCurveSpec
from engine.contract.kinds.mnist import MnistSpec
from engine.contract.kinds.race import RaceSpec
from engine.contract.run_folder import RunFolder, try_lock
from engine.worker import children
from engine.worker.comparison.batches import halve_hungriest
from engine.worker.machine import bind_to_cores
from engine.worker.reporter import CANCELLED, DONE, FAILED, Reporter, RunCancelled, RunEnded

STORIES = {
    RaceSpec: "engine.worker.retraining.retrain",
    LearningCurveSpec: "engine.worker.retraining.learning_curve",
    BatchClassificationSpec: "engine.worker.playground.label",
}


def main(folder: RunFolder, lock: int) -> int:
    """Returns the exit code: 0 done, 1 failed, 130 cancelled."""
    os.set_inheritable(lock, False)  # a child that outlives this process must not look like this run
    os.ftruncate(lock, 0)
    os.write(lock, str(os.getpid()).encode())  # whom to kill where a cancel is not heard
    report = Reporter(folder)
    # Whoever clicks meanwhile comes first; an idle machine gives everything to the run all the same.
    os.nice(10)
    signal.signal(signal.SIGTERM, lambda *_: open(folder.cancel, "w").close())
    spec = specs.read(folder.spec)
    if isinstance(spec, RaceSpec):
        bind_to_cores(spec.threads)  # all that it starts, too, before numpy or TensorFlow have threads of their own
    ticket = next((e.ticket for e in events.Reader(folder.events).read() if isinstance(e, events.State)), 0)
    try:
        turn = _wait_for_turn(folder, spec, ticket, report)
        report.tell(events.State, state=events.RUNNING, ticket=0)
        events.append(folder.events, hardware.here())
        if isinstance(spec, MnistSpec):
            _compare(spec, folder, report)
        elif isinstance(spec, FineTuningSpec):
            from engine.worker.retraining.fine_tune import fine_tune  # numpy and more: not before it is this run's turn

            fine_tune(spec, folder, report)
        elif isinstance(spec, BatchSizeSpec):
            from engine.worker.retraining.batch_size import batch_size

            batch_size(spec, folder, report)
        else:
            children.run_story(STORIES[type(spec)], spec, folder, report)
        signatures.sign(folder)
        report.tell(events.State, state=events.DONE, ticket=0)
        os.close(turn)
        return DONE
    except RunCancelled:
        _sign_what_is_there(folder)
        report.tell(events.State, state=events.CANCELLED, ticket=0)
        return CANCELLED
    except RunEnded:
        _sign_what_is_there(folder)
        report.tell(events.State, state=events.FAILED, ticket=0)
    except Exception as error:
        report.fail(error)
        _sign_what_is_there(folder)
        report.tell(events.State, state=events.FAILED, ticket=0)
    finally:
        tickets.leave(folder.home, spec.device, ticket)
    return FAILED


def _sign_what_is_there(folder: RunFolder) -> None:
    """What an ended run has kept may be used too. Without room for a signature, its end is still told."""
    try:
        signatures.sign(folder)
    except OSError:
        traceback.print_exc()


def _compare(spec: MnistSpec, folder: RunFolder, report: Reporter) -> None:
    """A process of its own tells the story, and where the memory ran out another one with a smaller batch."""
    deaths = 0

    def less(code: int) -> List[str]:
        nonlocal deaths
        if code < 0:  # killed by a signal, or crashed over memory that it did not get
            deaths += 1
            halve_hungriest(spec, folder, report, -code, deaths)
        return [folder.path]  # otherwise it has halved the batch of the network that needed too much itself

    children.run_until_it_fits("engine.worker.comparison.mnist", [folder.path], less, report, children.KEEP_SECONDS)


def _wait_for_turn(folder: RunFolder, spec: specs.Spec, ticket: int, report: Reporter) -> int:
    """The descriptor of the device's lock, once nobody with a lower ticket lives."""
    while True:
        if report.stop():
            raise RunCancelled()
        if not any(tickets.ahead_of(folder.home, device, ticket) for device in specs.lines(spec)):
            turn = try_lock(tickets.device_lock(folder.home, spec.device))
            if turn >= 0:
                return turn
        time.sleep(0.1)


if __name__ == "__main__":
    own = RunFolder(sys.argv[1])
    descriptor = int(sys.argv[2]) if len(sys.argv) > 2 else try_lock(own.lock)
    if descriptor < 0:
        sys.exit(f"{own.path} is being worked on by another process.")
    sys.exit(main(own, descriptor))
