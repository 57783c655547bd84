"""First come, first served, without a scheduler: numbered tickets, one line per device.

    LAB_HOME/queue/next                     the next ticket number, counted up under its own lock
    LAB_HOME/queue/<device>/<ticket>        holds a run's id while that run waits or works
    LAB_HOME/queue/<device>.lock            held by the run that works on the device

A ticket whose run nobody holds alive (see engine/contract/run_folder.py) is passed over, so that a death anywhere
changes nothing for those behind. Python 3.6, standard library only.
"""

import fcntl
import os
from typing import List, Tuple

from engine.contract.run_folder import LabHome, is_locked

MADE_WAY = 75  # exit code of a classifier that ended because a run needs what it held


def take(home: LabHome, device: str, run_id: str) -> int:
    """Put the run at the end of the device's line and return its ticket, counted from 1 over all devices."""
    line = os.path.join(home.queue, device)
    os.makedirs(line, exist_ok=True)
    descriptor = os.open(os.path.join(home.queue, "next"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    with os.fdopen(descriptor, "r+") as counter:
        fcntl.flock(counter, fcntl.LOCK_EX)
        ticket = int(counter.read().strip() or "1")
        counter.seek(0)
        counter.write(str(ticket + 1))  # over the old one, which is no longer; emptied first, a full disk loses count
        counter.flush()
        # Still under the lock: a later ticket must never be visible before an earlier one.
        with open(_place(home, device, ticket), "w") as place:
            place.write(run_id)
    return ticket


def leave(home: LabHome, device: str, ticket: int) -> None:
    """Give the place in line back; nothing happens where it is gone already."""
    try:
        os.remove(_place(home, device, ticket))
    except FileNotFoundError:
        pass


def ahead_of(home: LabHome, device: str, ticket: int) -> List[str]:
    """The ids of the living runs with a lower ticket for this device, first in line first."""
    return [run_id for number, run_id in line(home, device) if number < ticket]


def line(home: LabHome, device: str) -> List[Tuple[int, str]]:
    """Every living run of the device as (ticket, run id), first in line first."""
    folder = os.path.join(home.queue, device)
    try:
        numbers = sorted(int(name) for name in os.listdir(folder) if name.isdigit())
    except FileNotFoundError:
        return []
    living = []
    for number in numbers:
        try:
            with open(_place(home, device, number)) as place:
                run_id = place.read()
        except FileNotFoundError:
            continue  # it left while we looked
        if run_id and is_locked(home.run(run_id).lock):
            living.append((number, run_id))
    return living


def device_lock(home: LabHome, device: str) -> str:
    """The path of the lock that the working run of this device holds."""
    return os.path.join(home.queue, device + ".lock")


def _place(home: LabHome, device: str, ticket: int) -> str:
    return os.path.join(home.queue, device, str(ticket))
