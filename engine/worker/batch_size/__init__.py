"""Batch size: which ones fit into the memory, and how fast each is. Python 3.6."""

from engine.contract.kinds.batch_size import BatchSizeSpec
from engine.contract.run_folder import RunFolder
from engine.worker.reporter import Reporter


def run(spec: BatchSizeSpec, folder: RunFolder, report: Reporter) -> None:
    """In the run's own process, once it is its turn."""
    from engine.worker.batch_size.sizes import batch_size  # numpy and more: not while it waits

    batch_size(spec, folder, report)
