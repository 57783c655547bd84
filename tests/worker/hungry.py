"""A story that stands in for one: it runs out of memory with more photos at once than the seed of its spec says.

With more than 4 it is refused the memory, with fewer it is killed. A run with 300 steps is asked to stop meanwhile.
Python 3.6.
"""

import os
import signal
import sys

from engine.contract import events
from engine.worker import children


def in_memory(stage, spec, folder, at_once):
    return min(16, at_once or 16) if stage == events.TRAINING else 1


def eat(spec, folder, report, at_once):
    report.stage(events.TRAINING, 1)
    if spec.steps == 300:
        open(folder.cancel, "w").close()
    if (at_once or 16) <= spec.seed:
        return
    if (at_once or 16) > 4:
        raise MemoryError()
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(children.tell(sys.argv[1:], eat))
