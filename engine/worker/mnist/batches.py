"""What happens to the batches of a comparison when the memory runs out. Standard library only; Python 3.6."""

import contextlib
from typing import Iterator, List

from engine.contract import events, layers
from engine.contract.catalog import Network
from engine.contract.kinds.mnist import MnistSpec
from engine.contract.run_folder import RunFolder
from engine.worker.reporter import Reporter, RunFailed, is_out_of_memory

# How often a run whose process was killed begins anew: after that it is something else than memory.
DEATH_LIMIT = 5


class OutOfMemory(Exception):
    """A network needed more memory than there is, learning with that batch size; `reason` is what said so."""

    def __init__(self, network: Network, reason: Exception) -> None:
        super().__init__(f"{network.title} ran out of memory")
        self.lane, self.title, self.batch_size, self.reason = network.name, network.title, network.batch_size, reason


@contextlib.contextmanager
def memory_of(network: Network) -> Iterator[None]:
    """Name the network where the memory runs out inside."""
    try:
        yield
    except Exception as error:
        if is_out_of_memory(error):
            raise OutOfMemory(network, error) from error
        raise


def as_halved(spec: MnistSpec, folder: RunFolder) -> List[Network]:
    """The networks as they are to be trained now, after what has been halved so far."""
    told = events.Reader(folder.events).read()
    kinds = (events.LaneStarted, events.BatchHalved)  # a small set makes a batch smaller than was asked for
    sizes = {event.lane: event.batch_size for event in told if isinstance(event, kinds)}
    return [network._replace(batch_size=sizes.get(network.name, network.batch_size)) for network in spec.networks]


def halve(error: OutOfMemory, report: Reporter) -> None:
    _halve(
        error.lane,
        error.batch_size // 2,
        f"{error.title} ran out of memory with {error.batch_size:,} pictures a batch.",
        report,
    )


def halve_hungriest(spec: MnistSpec, folder: RunFolder, report: Reporter, signal_number: int, deaths: int) -> None:
    """After a death without a word: the network whose batch needs most memory. Raises RunFailed after some of them."""
    networks = as_halved(spec, folder)
    hungriest = max(networks, key=_numbers_in_a_batch)
    if deaths >= DEATH_LIMIT or hungriest.batch_size == 1:
        raise RunFailed(
            "killed",
            f"The process that trains was killed {deaths} times, the last time by signal {signal_number}.",
            "Most likely the memory is full: close other programs, or train fewer networks, and start again.",
        )
    _halve(
        hungriest.name,
        hungriest.batch_size // 2,
        f"The process that trains was killed by signal {signal_number}, most likely for want of memory; "
        f"{hungriest.title} needs most of it.",
        report,
    )


def _halve(lane: str, batch_size: int, what: str, report: Reporter) -> None:
    again = f" The run was started again in a new process, with {batch_size:,} pictures a batch of that network."
    report.tell(events.Warning, message=what + again)
    report.tell(events.BatchHalved, lane=lane, batch_size=batch_size)


def _numbers_in_a_batch(network: Network) -> int:
    """How many numbers all layers together put out for one batch; training keeps them all."""
    return network.batch_size * sum(_size(row.shape) for row in layers.costs(layers.read(network.layers)))


def _size(shape: tuple) -> int:
    total = 1
    for side in shape:
        total *= side
    return total
