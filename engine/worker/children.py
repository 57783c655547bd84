"""Parts of a run that take a process of their own: memory comes back whole, and running out of it can be survived.

Python 3.6.
"""

import os
import subprocess
import sys
import threading
import time
from typing import Any, List

from engine.contract import specs
from engine.worker import machine
from engine.worker.reporter import (
    AGAIN,
    CANCELLED,
    FAILED,
    Reporter,
    RunCancelled,
    RunEnded,
    RunFailed,
    is_out_of_memory,
)

OVER = 4  # exit code of a child that took more memory than its limit, though nothing was refused

PARENT = "LAB_RUN_PROCESS"  # environment of a child: the process id of the run's own process

KILL_SECONDS = 5  # for which a child that was asked to stop may still tidy up


def run_module(name, arguments, report):
    # type: (str, List[str], Reporter) -> int
    """Run `python -m name arguments` to its end: 0 done, AGAIN or OVER out of memory, below 0 killed by that signal.

    Raises RunCancelled, and RunEnded where the child failed and has said why.
    """
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
                if time.time() - asked > KILL_SECONDS:
                    child.kill()
    finally:
        if child.poll() is None:
            child.kill()
        child.wait()
    if child.returncode == CANCELLED or (report.stop() and child.returncode != 0):
        raise RunCancelled()
    if child.returncode < 0 or child.returncode in (0, AGAIN, OVER):
        return child.returncode
    raise RunEnded()


def end_with_parent():
    # type: () -> None
    """From here on, in a child: nobody would hear the rest of the story once the run's own process is gone."""
    # Not who the parent is by now: it may have died while this child was still importing.
    parent = int(os.environ.get(PARENT, os.getppid()))

    def watch():
        # type: () -> None
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(FAILED)

    threading.Thread(target=watch, daemon=True).start()


class OverLimit(Exception):
    """More memory was taken than the limit allows."""


def end_for_want_of_memory(error):
    # type: (BaseException) -> None
    """End this child, with the code that says why, where that is what the error means; else raise it.

    The process is not to be trusted any more, so that nothing of it is tidied up.
    """
    if not isinstance(error, OverLimit) and not is_want_of_memory(error):
        raise error
    print("{}: {}".format(type(error).__name__, (str(error).splitlines() or [""])[0]), file=sys.stderr, flush=True)
    os._exit(OVER if isinstance(error, OverLimit) else AGAIN)


def is_want_of_memory(error):
    # type: (BaseException) -> bool
    """Also where a library inside TensorFlow was refused the memory, which has only words for it."""
    words = ("out of memory", "Status: 1, message", "bad_alloc")  # the second is oneDNN's
    return is_out_of_memory(error) or any(each in str(error) for each in words)


def why_it_ended(code):
    # type: (int) -> str
    """Of a child that did not end well for want of memory, for people: AGAIN, OVER or a signal below 0."""
    if code == OVER:
        return "the process took more memory than the limit"
    if code == AGAIN:
        return "TensorFlow was refused the memory (ResourceExhausted)"
    if code == -9:
        return "the system killed the process (signal 9), which it does when memory runs out"
    return "the process crashed (signal {}), most likely over memory that it did not get".format(-code)


class Memory(object):
    """The memory of this process on the device that it learns on, and its limit. TensorFlow must not have begun."""

    def __init__(self, device, megabytes):
        # type: (str, int) -> None
        """`megabytes`: the limit, 0 for none. On a GPU it is the limit of what TensorFlow may take of the GPU."""
        self.on_gpu, self.limit = device == specs.GPU, megabytes * 1000 * 1000
        if self.on_gpu and megabytes:
            import tensorflow as tf

            first = tf.config.list_physical_devices("GPU")[0]
            limit = tf.config.LogicalDeviceConfiguration(memory_limit=max(1, self.limit // 2**20))
            tf.config.set_logical_device_configuration(first, [limit])

    def bound(self, what):
        # type: (str) -> None
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
                "{} takes {:,.0f} MB before it learns anything, and the limit is {:,.0f} MB.".format(
                    what, now / 1e6, self.limit / 1e6
                ),
                "Set a limit of {:,.0f} MB or more.".format(now / 1e6 + 200),
            )
        machine.bound_memory(self.limit - now)

    def check(self):
        # type: () -> None
        """Raises OverLimit. What was reserved when the limit was set can fill without anything being refused."""
        if self.limit and not self.on_gpu and self.peak() > self.limit:
            raise OverLimit("{:,.0f} MB of {:,.0f} MB".format(self.peak() / 1e6, self.limit / 1e6))

    def peak(self):
        # type: () -> int
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


def free_memory():
    # type: () -> int
    """Bytes that a new process can have without pushing others out; of the whole machine where nobody tells."""
    total = machine.total_memory()
    try:
        with open("/proc/meminfo") as file:
            fields = dict(line.split(":", 1) for line in file)  # type: Any
        return min(total, int(fields["MemAvailable"].split()[0]) * 1024)
    except (OSError, ValueError, KeyError):
        return total
