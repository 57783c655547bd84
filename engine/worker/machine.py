"""What the machine gives this process. Python 3.6."""

import os
import resource
import sys
from typing import Optional

from engine.contract import specs
from engine.worker.reporter import RunFailed


def cores():
    # type: () -> int
    """How many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return os.cpu_count() or 1


def peak_memory():
    # type: () -> int
    """Bytes: the kernel's own high-water mark of this process."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def memory():
    # type: () -> int
    """Bytes that this process has in memory now; where the system does not tell, the most that it ever had."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):  # macOS
        return peak_memory()


def total_memory():
    # type: () -> int
    """Bytes of the machine, or of the container that this process may not leave."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            with open(path) as file:
                return min(total, int(file.read()))
        except (OSError, ValueError):  # not there, or "max"
            continue
    return total


def bound_memory(more):
    # type: (Optional[int]) -> None
    """From here on, so many bytes beyond what this process has: what is asked for beyond them is not given.

    None: no bound.
    """
    if more is None:
        return
    try:
        with open("/proc/self/statm") as file:
            now = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):  # macOS, which has no such limit either
        return
    resource.setrlimit(resource.RLIMIT_AS, (now + more, now + more))


def threads():
    # type: () -> int
    """How many threads an answer of the classifier takes: beyond four, a small network gets slower (measured)."""
    return min(4, cores())


def bound_tensorflow():
    # type: () -> None
    """Give TensorFlow no more threads than an answer takes, where it has not started yet."""
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads())
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:  # it has
        pass


def tensorflow_device():
    # type: () -> str
    """Where TensorFlow computes in this process, for people."""
    import tensorflow as tf

    return "GPU" if tf.config.list_physical_devices("GPU") else "CPU"


def choose_device(device):
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
