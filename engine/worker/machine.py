"""What the machine gives this process. Python 3.6."""

import os
import resource
import sys


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
