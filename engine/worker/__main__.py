"""WORKER_PYTHON -m engine.worker RUN_FOLDER [LOCK_DESCRIPTOR]

reads   spec.json      what to do                                     (engine/contract/specs.py)
        dataset.json   on which photos, where it retrains             (engine/contract/dataset.py)
appends events.jsonl   what happened, ending with a final state       (engine/contract/events.py)
writes  artifacts/     what is kept                                   (engine/worker/export.py, network_files.py)
holds   lock           as long as it lives; the descriptor comes from whoever started it

Waits until its ticket is the lowest living one of its device, and only then loads anything large. Where the memory runs
out in a comparison, it begins anew in a new process with a smaller batch. Python 3.6.
"""

import errno
import os
import signal
import sys
import time
import traceback

from engine.contract import dataset as datasets
from engine.contract import events, specs, tickets
from engine.contract.run_folder import RunFolder, try_lock
from engine.worker.reporter import Reporter, RunCancelled, RunFailed

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # no space, quota used up, larger than a file may be


def main(folder, lock):
    # type: (RunFolder, int) -> int
    """Returns the exit code: 0 done, 1 failed, 130 cancelled."""
    os.set_inheritable(lock, False)  # a child that outlives this process must not look like this run
    os.ftruncate(lock, 0)
    os.write(lock, str(os.getpid()).encode())  # whom to kill where a cancel is not heard
    report = Reporter(folder)
    os.nice(
        max(0, 10 - os.nice(0))
    )  # whoever clicks meanwhile comes first; an idle machine gives everything to the run all the same
    signal.signal(signal.SIGTERM, lambda *_: open(folder.cancel, "w").close())
    spec = specs.read(folder.spec)
    ticket = next((e.ticket for e in events.Reader(folder.events).read() if isinstance(e, events.State)), 0)
    try:
        turn = _wait_for_turn(folder, spec.device, ticket, report)
        report.tell(events.State, state=events.RUNNING, ticket=0)
        _choose_device(spec.device)
        _tell_story(spec, folder, report, lock)
        report.tell(events.State, state=events.DONE, ticket=0)
        os.close(turn)
        return 0
    except RunCancelled:
        report.tell(events.State, state=events.CANCELLED, ticket=0)
        return 130
    except RunFailed as error:
        _fail(report, error.code, error.message, error.hint)
    except Exception as error:
        traceback.print_exc()  # into log.txt
        _fail(report, *_in_words(error))
    finally:
        tickets.leave(folder.home, spec.device, ticket)
    return 1


def _tell_story(spec, folder, report, lock):
    # type: (specs.Spec, RunFolder, Reporter, int) -> None
    # Imported here, because numpy and more come with them: not before it is this run's turn.
    if not isinstance(spec, specs.MnistSpec):
        from engine.worker.retrain import retrain

        return retrain(spec, datasets.read(folder.dataset), folder, report)
    from engine.worker.mnist import compare
    from engine.worker.network_files import OutOfMemory

    try:
        return compare(spec, folder, report)
    except OutOfMemory as error:
        traceback.print_exc()  # into log.txt
        if error.batch_size == 1:
            raise error.__cause__ or error
        _begin_anew(error.lane, error.title, error.batch_size // 2, folder, report, lock)


def _begin_anew(lane, title, batch_size, folder, report, lock):
    # type: (str, str, int, RunFolder, Reporter, int) -> None
    """Become a new process that learns with a smaller batch; after running out of memory this one is not to be trusted.

    It keeps the run's lock and its place in line, and its process id, by which it can be killed.
    """
    report.tell(
        events.Warning,
        message="{} ran out of memory with {:,} pictures a batch. Everything was started again with {:,}.".format(
            title, 2 * batch_size, batch_size
        ),
    )
    report.tell(events.BatchHalved, lane=lane, batch_size=batch_size)
    os.set_inheritable(lock, True)
    os.execv(sys.executable, [sys.executable, "-m", "engine.worker", folder.path, str(lock)])


def _wait_for_turn(folder, device, ticket, report):
    # type: (RunFolder, str, int, Reporter) -> int
    """The descriptor of the device's lock, once nobody with a lower ticket lives."""
    while True:
        if report.stop():
            raise RunCancelled()
        if not tickets.ahead_of(folder.home, device, ticket):
            turn = try_lock(tickets.device_lock(folder.home, device))
            if turn >= 0:
                return turn
        time.sleep(0.1)


def _choose_device(device):
    # type: (str) -> None
    """What TensorFlow may see is settled before it is imported and cannot be changed afterwards."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # The race's matrices are small: a second BLAS thread saves little on an idle machine, and on a busy one the threads
    # wait for each other five times as long as they work.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if device == specs.CPU:
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        return
    os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"  # a TX2 shares the memory between CPU and GPU
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        raise RunFailed(
            "no_gpu",
            "TensorFlow finds no GPU on this machine.",
            "Start the run on the CPU; the log says what TensorFlow looked for.",
        )


def _fail(report, code, message, hint):
    # type: (Reporter, str, str, str) -> None
    report.tell(events.Error, code=code, message=message, hint=hint)
    report.tell(events.State, state=events.FAILED, ticket=0)


def _in_words(error):
    # type: (Exception) -> tuple
    """(code, message, hint) of what no part of the story expected."""
    number = getattr(error, "errno", None)
    # TensorFlow has no error of its own for this: only the text tells.
    if number in DISK_FULL or any(os.strerror(full) in str(error) for full in DISK_FULL):
        return (
            "disk_full",
            "The disk is full.",
            "Free some space and start again; the bottlenecks computed so far are kept, so it will be quick.",
        )
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return (
            "out_of_memory",
            "The machine ran out of memory.",
            "Close other programs, or take a smaller backbone or batch size, and start again.",
        )
    return (
        "unexpected",
        "The run stopped at an error that the lab did not expect: {}: {}".format(
            type(error).__name__, (str(error).splitlines() or [""])[0]
        ),
        "The log has the details.",
    )


if __name__ == "__main__":
    own = RunFolder(sys.argv[1])
    descriptor = int(sys.argv[2]) if len(sys.argv) > 2 else try_lock(own.lock)
    if descriptor < 0:
        sys.exit("{} is being worked on by another process.".format(own.path))
    sys.exit(main(own, descriptor))
