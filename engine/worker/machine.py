"""What the machine gives this process. Python 3.6."""

import os
import resource
import sys
import time
from importlib.machinery import PathFinder
from typing import Any, Optional

from engine.contract import choices
from engine.worker.reporter import RunFailed

# Environment: cores that this process and those that it starts keep to where the system cannot bind them; 0: all.
BOUND = "LAB_CORES"


def cores() -> int:
    """How many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        count = os.cpu_count() or 1
        return min(int(os.environ.get(BOUND, 0)) or count, count)


def bind_to_cores(count: int) -> None:
    """Keep this process and all that it starts to so many cores; 0: as they are.

    Bound by the kernel, TensorFlow and every library make no more threads than that, and none of them runs beside it.
    """
    if not count:
        return
    try:
        # The last ones: the first often answers the interrupts of the whole machine.
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-count:])
    except AttributeError:  # macOS, where at least what the lab itself starts is counted
        os.environ[BOUND] = os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = str(count)


class ImportClock:
    """From `start` on, how long the first `import tensorflow` of this process takes, wherever that comes."""

    seconds = 0.0

    def start(self) -> None:
        sys.meta_path.insert(0, self)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Optional[Any]:
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        found = PathFinder.find_spec(name, path, target)
        if found is None or found.loader is None:
            return found
        execute = found.loader.exec_module

        def timed(module: Any) -> None:
            began = time.perf_counter()
            try:
                execute(module)
            finally:
                self.seconds = time.perf_counter() - began

        found.loader.exec_module = timed  # type: ignore[method-assign]
        return found


IMPORTS = ImportClock()


def peak_memory() -> int:
    """Bytes: the kernel's own high-water mark of this process."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def memory() -> int:
    """Bytes that this process has in memory now; where the system does not tell, the most that it ever had."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):  # macOS
        return peak_memory()


def total_memory() -> int:
    """Bytes of the machine, or of the container that this process may not leave."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            with open(path) as file:
                return min(total, int(file.read()))
        except (OSError, ValueError):  # not there, or "max"
            continue
    return total


def bound_memory(more: Optional[int]) -> None:
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


def is_bounded() -> bool:
    """Whether this process may be refused memory that the machine has."""
    return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


def threads() -> int:
    """How many threads an answer of the classifier takes: beyond four, a small network gets slower (measured)."""
    return min(4, cores())


def bound_tensorflow() -> None:
    """Give TensorFlow no more threads than an answer takes, where it has not started yet."""
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads())
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:  # it has
        pass


def tensorflow_device() -> str:
    """Where TensorFlow computes in this process, for people."""
    import tensorflow as tf

    return "GPU" if tf.config.list_physical_devices("GPU") else "CPU"


def choose_device(device: str) -> None:
    """What TensorFlow may see is settled before it is imported and cannot be changed afterwards."""
    # On a GPU its loader shall say in the log what it looked for.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0" if device == choices.GPU else "2")
    # The race's matrices are small: a second BLAS thread saves little on an idle machine, and on a busy one the threads
    # wait for each other five times as long as they work.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if device == choices.CPU:
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
