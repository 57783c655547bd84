"""The comparison of networks for digits. Python 3.6."""

from typing import List

from engine.contract.kinds.mnist import MnistSpec
from engine.contract.run_folder import RunFolder
from engine.worker import children
from engine.worker.mnist.batches import halve_hungriest
from engine.worker.reporter import Reporter


def run(spec: MnistSpec, folder: RunFolder, report: Reporter) -> None:
    """In the run's own process, once it is its turn. Another process trains, and where the memory ran out one more
    does, with a smaller batch."""
    deaths = 0

    def less(code: int) -> List[str]:
        nonlocal deaths
        if code < 0:  # killed by a signal, or crashed over memory that it did not get
            deaths += 1
            halve_hungriest(spec, folder, report, -code, deaths)
        return [folder.path]  # otherwise it has halved the batch of the network that needed too much itself

    children.run_until_it_fits("engine.worker.mnist.comparison", [folder.path], less, report, children.KEEP_SECONDS)
