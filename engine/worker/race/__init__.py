"""The race: learning rates side by side on one set of bottlenecks. Python 3.6."""

from engine.contract.kinds.race import RaceSpec
from engine.contract.run_folder import RunFolder
from engine.worker import children
from engine.worker.machine import bind_to_cores
from engine.worker.reporter import Reporter


def run(spec: RaceSpec, folder: RunFolder, report: Reporter) -> None:
    """In the run's own process, once it is its turn."""
    bind_to_cores(spec.threads)  # all that it starts, too, before numpy or TensorFlow have threads of their own
    children.run_story("engine.worker.race.retrain", spec, folder, report)
