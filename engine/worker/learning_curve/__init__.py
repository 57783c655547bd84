"""The learning curve: accuracy against the photos that are learned from. Python 3.6."""

from engine.contract.kinds.learning_curve import LearningCurveSpec
from engine.contract.run_folder import RunFolder
from engine.worker import children
from engine.worker.reporter import Reporter


def run(spec: LearningCurveSpec, folder: RunFolder, report: Reporter) -> None:
    """In the run's own process, once it is its turn."""
    children.run_story("engine.worker.learning_curve.trainings", spec, folder, report)
