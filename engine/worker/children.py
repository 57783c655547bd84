"""Parts of a run that take a process of their own: memory comes back whole, and running out of it can be survived.

Python 3.6.
"""

import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any, Callable, List, Optional

from engine.contract import choices, events, memory, specs
from engine.contract.run_folder import RunFolder
from engine.worker import machine
from engine.worker.reporter import (
    AGAIN,
    CANCELLED,
    DONE,
    FAILED,
    Reporter,
    RunCancelled,
    RunEnded,
    RunFailed,
    is_out_of_memory,
)

# Exit codes of a child: it took more memory than its limit, though nothing was refused; a process of its was killed.
OVER, KILLED = 4, 5

PARENT = "LAB_RUN_PROCESS"  # environment of a child: the process id of the run's own process

# For which a child that was asked to stop may still tidy up, and one that then keeps what it has learned; the queue
# kills the whole run after 45.
KILL_SECONDS, KEEP_SECONDS = 5, 30


def run_module(name: str, arguments: List[str], report: Reporter, patience: float = KILL_SECONDS) -> int:
    """Run `python -m name arguments` to its end: 0 done, AGAIN, OVER or KILLED out of memory, below 0 killed by that
    signal.

    `patience`: seconds between asking the child to stop and killing it. Raises RunCancelled, also where the run was
    asked to stop before, and RunEnded where the child failed and has said why.
    """
    if report.stop():  # the child before may have ended well before it was killed
        raise RunCancelled()
    # Settled before numpy is imported there: on a busy machine threads of BLAS wait for each other far longer than they
    # work, see machine.choose_device.
    environment = dict({"OPENBLAS_NUM_THREADS": "1"}, **os.environ)
    environment[PARENT] = str(os.getpid())
    child = subprocess.Popen([sys.executable, "-m", name] + arguments, env=environment)
    asked = None
    try:
        while child.poll() is None:
            time.sleep(0.05)
            if report.stop():
                asked = asked or time.time()
                if time.time() - asked > patience:
                    child.kill()
    finally:
        if child.poll() is None:
            child.kill()
        child.wait()
    if child.returncode == CANCELLED or (report.stop() and child.returncode != 0):
        raise RunCancelled()
    if child.returncode < 0 or child.returncode in (DONE, AGAIN, OVER, KILLED):
        return child.returncode
    raise RunEnded()


def run_until_it_fits(
    name: str,
    arguments: List[str],
    less: Callable[[int], Optional[List[str]]],
    report: Reporter,
    patience: float = KILL_SECONDS,
) -> bool:
    """Run `python -m name arguments` to its end, in one new process after the other while the memory runs out.

    `less` gets the exit code, says in the run what is made less, and returns the arguments of the next process; None
    where nothing is left to be made less: then False is returned. Raises as run_module.
    """
    following: Optional[List[str]] = arguments
    while following is not None:
        code = run_module(name, following, report, patience)
        if code == DONE:
            return True
        following = less(code)
    return False


def run_story(name: str, spec: Any, folder: RunFolder, report: Reporter) -> None:
    """Run `python -m name RUN_FOLDER AT_ONCE` to its end, with half the photos in memory where that runs out.

    AT_ONCE: photos that may be in memory at the same time, 0: as many as are fastest. The module's `in_memory` says how
    many a stage takes, 1 where nothing can be made less. Raises RunFailed, RunEnded and RunCancelled.
    """
    at_once = 0

    def less(code: int) -> List[str]:
        nonlocal at_once
        began = [event.name for event in events.Reader(folder.events).read() if isinstance(event, events.Stage)]
        stage, why = began[-1] if began else "Starting", why_it_ended(code)
        # Only now: the module loads more than a process needs that only watches.
        taken = importlib.import_module(name).in_memory(stage, spec, folder, at_once)
        if taken <= 1:
            raise RunFailed(
                "out_of_memory",
                f"{stage} ran out of memory, and nothing is left to be made less: {why}.",
                "Close other programs, or take a smaller backbone or fewer photos, and start again.",
            )
        at_once = (taken + 1) // 2
        how = "with at most {:,} photo{} in memory at a time".format(at_once, "" if at_once == 1 else "s")
        if stage == events.TRAINING:
            how += ", and what they teach is added up: a step still learns from its whole batch"
        elif stage == events.EXPORTING:
            how = "which writes all files before another one loads them"
        message = f"{stage} ran out of memory: {why}. The run was started again in a new process, {how}."
        report.tell(events.Warning, message=message)
        report.tell(events.BatchHalved, lane="", batch_size=at_once)
        return [folder.path, str(at_once)]

    run_until_it_fits(name, [folder.path, "0"], less, report, KEEP_SECONDS)


def tell(arguments: List[str], story: Callable[..., None]) -> int:
    """In the child: tell a part of a run, story(spec, folder, report, *numbers). Returns the exit code of run_module.

    `arguments`: RUN_FOLDER and the numbers. Where the memory runs out the process ends here and now.
    """
    end_with_parent()
    folder = RunFolder(arguments[0])
    # Whoever ends the whole group with an ordinary kill cancels the run; it keeps what it has.
    signal.signal(signal.SIGTERM, lambda *_: open(folder.cancel, "w").close())
    report, spec = Reporter(folder), specs.read(folder.spec)
    try:
        machine.choose_device(spec.device)
        story(spec, folder, report, *[int(each) for each in arguments[1:]])
        if machine.is_bounded():
            # TensorFlow takes memory even to end, and aborts where it is refused: what is done would count as not done.
            sys.stdout.flush()
            os._exit(DONE)
        return DONE
    except RunCancelled:
        return CANCELLED
    except Exception as error:
        if isinstance(error, (OverLimit, OtherKilled)) or is_want_of_memory(error):
            _end_for_want_of_memory(error)
        report.fail(error)
    return FAILED


def end_with_parent() -> None:
    """From here on, in a child: nobody would hear the rest of the story once the run's own process is gone."""
    # Not who the parent is by now: it may have died while this child was still importing.
    parent = int(os.environ.get(PARENT, os.getppid()))

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(FAILED)

    threading.Thread(target=watch, daemon=True).start()


class OverLimit(Exception):
    """More memory was taken than the limit allows."""


class OtherKilled(Exception):
    """A process that this one started was killed."""


def _end_for_want_of_memory(error: Exception) -> None:
    """End this child with the code that says why: it is not to be trusted any more, so nothing is tidied up."""
    print("{}: {}".format(type(error).__name__, (str(error).splitlines() or [""])[0]), file=sys.stderr, flush=True)
    os._exit(OVER if isinstance(error, OverLimit) else KILLED if isinstance(error, OtherKilled) else AGAIN)


def is_want_of_memory(error: BaseException) -> bool:
    """Also where a library inside TensorFlow was refused the memory, which has only words for it."""
    words = ["out of memory", "Status: 1, message", "bad_alloc"]  # the second is oneDNN's
    if machine.is_bounded():  # then this is said of a buffer that oneDNN was refused in the middle of its work
        words.append("Status: 5, message: could not execute a primitive")
    return is_out_of_memory(error) or any(each in str(error) for each in words)


def why_it_ended(code: int) -> str:
    """Of a child that did not end well for want of memory, for people: AGAIN, OVER, KILLED or a signal below 0."""
    if code == OVER:
        return "the process took more memory than the limit"
    if code == AGAIN:
        return "the process was refused the memory (ResourceExhausted)"
    if code in (-signal.SIGKILL, KILLED):
        return "the system killed the process (signal 9), which it does when memory runs out"
    return f"the process crashed (signal {-code}), most likely over memory that it did not get"


class Memory:
    """The memory of this process on the device that it learns on, and its limit. TensorFlow must not have begun."""

    def __init__(self, device: str, megabytes: int) -> None:
        """`megabytes`: the limit, 0 for none. On a GPU it is the limit of what TensorFlow may take of the GPU."""
        self.on_gpu, self.limit = device == choices.GPU, megabytes * 1000 * 1000
        if self.on_gpu and megabytes:
            import tensorflow as tf

            first = tf.config.list_physical_devices("GPU")[0]
            limit = tf.config.LogicalDeviceConfiguration(memory_limit=max(1, self.limit // 2**20))
            tf.config.set_logical_device_configuration(first, [limit])

    def bound(self, what: str) -> None:
        """Hold the limit from here on, once everything is loaded. Raises RunFailed where it is passed already.

        The kernel bounds addresses and not memory: what is reserved and never used, such as the stacks of threads, is
        counted before. `what`: for people, what has been loaded.
        """
        if not self.limit or self.on_gpu:
            return
        now = machine.memory()
        if now >= self.limit:
            raise RunFailed(
                "limit_too_low",
                f"{what} takes {now / 1e6:,.0f} MB before it learns anything, and the limit is "
                f"{self.limit / 1e6:,.0f} MB.",
                f"Set a limit of {now / 1e6 + 200:,.0f} MB or more.",
            )
        machine.bound_memory(self.limit - now)

    def check(self) -> None:
        """Raises OverLimit. What was reserved when the limit was set can fill without anything being refused."""
        if self.limit and not self.on_gpu and self.peak() > self.limit:
            raise OverLimit(f"{self.peak() / 1e6:,.0f} MB of {self.limit / 1e6:,.0f} MB")

    def peak(self) -> int:
        """Bytes: the most that there was of it, by the kernel's own count; on a GPU by TensorFlow's."""
        if self.on_gpu:
            import tensorflow as tf

            return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])
        try:
            with open("/proc/self/status") as file:
                for line in file:
                    # Unlike getrusage's figure it leaves out the program that started this one.
                    if line.startswith("VmHWM:"):
                        return int(line.split()[1]) * 1024
        except (OSError, ValueError):  # macOS
            pass
        return machine.peak_memory()


def free_memory() -> int:
    """Bytes that a new process can have without pushing others out; of the whole machine where nobody tells."""
    total, found = machine.total_memory(), memory.available()
    return total if found is None else min(total, found)
