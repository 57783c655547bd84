"""Fine-tuning: blocks of a backbone learn along with the last layer. Python 3.6."""

from engine.contract.kinds.fine_tuning import FineTuningSpec
from engine.contract.run_folder import RunFolder
from engine.worker.reporter import Reporter


def run(spec: FineTuningSpec, folder: RunFolder, report: Reporter) -> None:
    """In the run's own process, once it is its turn."""
    from engine.worker.fine_tuning.fine_tune import fine_tune  # numpy and more: not while it waits

    fine_tune(spec, folder, report)
