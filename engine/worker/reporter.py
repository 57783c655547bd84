"""What a story tells the outside while it goes on. Python 3.6."""

import os
import time
from typing import Any, Callable

from engine.contract import events
from engine.contract.run_folder import RunFolder


class RunFailed(Exception):
    """A run that cannot go on, in words for the visitor: what happened, and what to do."""

    def __init__(self, code, message, hint):
        # type: (str, str, str) -> None
        super(RunFailed, self).__init__(message)
        self.code, self.message, self.hint = code, message, hint


class RunCancelled(Exception):
    """Somebody asked the run to stop."""


class Reporter(object):
    """Appends events to one run's folder and knows whether somebody asked it to stop."""

    def __init__(self, folder, clock=time.time):
        # type: (RunFolder, Callable[[], float]) -> None
        self.folder, self.clock = folder, clock

    def tell(self, record, **fields):
        # type: (Any, Any) -> None
        """Append one event of that kind, now."""
        events.append(self.folder.events, record(t=self.clock(), **fields))

    def stage(self, name, total):
        # type: (str, int) -> None
        if self.stop():
            raise RunCancelled()
        self.tell(events.Stage, name=name, total=total)

    def progress(self, done):
        # type: (int) -> None
        self.tell(events.Progress, done=done)

    def stop(self):
        # type: () -> bool
        return os.path.exists(self.folder.cancel)
