"""Batch classification: what one model says of many pictures. Python 3.6."""

from engine.contract.kinds.batch_classification import BatchClassificationSpec
from engine.contract.run_folder import RunFolder
from engine.worker import children
from engine.worker.reporter import Reporter


def run(spec: BatchClassificationSpec, folder: RunFolder, report: Reporter) -> None:
    """In the run's own process, once it is its turn."""
    children.run_story("engine.worker.batch_classification.label", spec, folder, report)
