"""WORKER_PYTHON -m engine.worker RUN_FOLDER [LOCK_DESCRIPTOR]

reads   spec.json      what to do, of which kind                  (engine/contract/kinds/)
        dataset.json   on which photos, where the kind has some   (engine/contract/dataset.py)
appends events.jsonl   what happened, ending with a final state   (engine/contract/events.py)
writes  artifacts/     what is kept                               (the room of the kind in engine/worker/)
holds   lock           as long as it lives; the descriptor comes from whoever started it

Waits until its ticket is the lowest living one of its device. Then processes of its own tell the story and load what is
large; where the memory runs out, another one begins anew with less of it (engine/worker/children.py). Python 3.6.
"""

import os
import signal
import sys
import time
import traceback

from engine.contract import events, hardware, kinds, signatures, specs, tickets
from engine.contract.run_folder import RunFolder, try_lock
from engine.worker.reporter import CANCELLED, DONE, FAILED, Reporter, RunCancelled, RunEnded


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
    ticket = next((e.ticket for e in events.Reader(folder.events).read() if isinstance(e, events.State)), 0)
    try:
        turn = _wait_for_turn(folder, spec, ticket, report)
        report.tell(events.State, state=events.RUNNING, ticket=0)
        events.append(folder.events, hardware.here())
        kinds.worker(kinds.of(spec)).run(spec, folder, report)
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
