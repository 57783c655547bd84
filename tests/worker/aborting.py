"""A story under a memory limit, of a batch of so many: from 3 on TensorFlow's allocator aborts, as it did near a limit
("free(): invalid size"); with fewer it is told, and the abort comes when the process ends. Python 3.6.
"""

import atexit
import os
import sys

from engine.worker import children, machine


def abort_near_the_limit(spec, folder, report, size):
    machine.bound_memory(10**9)
    if size >= 3:
        os.abort()
    atexit.register(os.abort)


if __name__ == "__main__":
    sys.exit(children.tell(sys.argv[1:], abort_near_the_limit))
