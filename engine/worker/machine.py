"""What the machine gives this process. Python 3.6."""

import os
import resource
import sys

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
