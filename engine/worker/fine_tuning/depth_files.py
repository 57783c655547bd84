"""python -m engine.worker.fine_tuning.depth_files RUN_FOLDER: the files of a fine-tuning run.

Every depth becomes a TFLite file, from which the classifier answers; the one to keep becomes all that a retraining run
exports (engine/worker/export.py), 8 bits left out, and is loaded again in a fresh process. Python 3.6.
"""

import os
import sys
from collections import OrderedDict
from typing import Dict, List

import numpy as np

from engine.contract import catalog, choices, events
from engine.contract import dataset as datasets
from engine.contract import models as keys
from engine.contract.kinds.fine_tuning import FineTuned, FineTuningSpec
from engine.contract.run_folder import RunFolder
from engine.worker import backbones, children, export
from engine.worker.fine_tuning import fine_tune
from engine.worker.formats import tflite
from engine.worker.learning import choice, tuned
from engine.worker.learning.choice import Candidate
from engine.worker.reporter import Reporter, RunCancelled


def export_depths(spec: FineTuningSpec, folder: RunFolder, report: Reporter) -> None:
    """Raises backbones.MissingWeights, and RunCancelled."""
    dataset, shared = datasets.read(folder.dataset), fine_tune.Shared(folder)
    tested: Dict[str, FineTuned] = OrderedDict()
    for event in events.Reader(folder.events).read():
        if isinstance(event, FineTuned):
            tested[event.lane] = event
    kept = choose(list(tested.values()))
    if tested[kept].validation_cross_entropy is None:
        report.tell(events.Warning, message="No model is exported: every depth diverged.")
        return
    report.tell(events.Kept, lane=kept)
    network = backbones.load(folder.home, catalog.backbone(spec.backbone))
    titles = dict(zip(spec.lane_names(), spec.lane_titles()))
    report.stage(events.EXPORTING, len(tested) + 3)
    reader = export.FreshProcess("engine.worker.export", folder)
    done = [0]

    def progress() -> None:
        done[0] += 1
        report.progress(done[0])
        if report.stop():
            raise RunCancelled()

    try:
        for lane in tested:
            learned, weights, bias = tuned.load(network, keys.lane_file(folder, lane))
            path = folder.tflite if lane == kept else keys.lane_tflite(folder, lane)
            if tested[lane].validation_cross_entropy is None:  # it diverged: there is nothing to ask it
                progress()
                continue
            try:
                export.write_tflite(path, learned, weights, bias)
            except tflite.NotConvertible as error:
                why = (str(error).splitlines() or ["no reason given"])[0]
                report.tell(events.Warning, message=f"{titles[lane]}: a TFLite file cannot be made: {why}.")
            progress()
        learned, weights, bias = tuned.load(network, keys.lane_file(folder, kept))
        export.write_saved_model(folder, learned, weights, bias)
        progress()
        export.write_graph(folder.graph, learned, weights, bias, export.FINAL_TENSOR)
        blocks = next(each for each in spec.blocks if choices.depth_name(each) == kept)
        export.write_contract(folder, network, dataset.labels, {"blocks": blocks})
        progress()
        _compare(reader, dataset, shared, kept, report)
    finally:
        reader.close()
    progress()


def choose(tested: List[FineTuned]) -> str:
    """The depth to keep, as between the lanes of a race; one without a cross-entropy has diverged."""
    lanes = [
        Candidate(
            each.lane, each.validation_accuracy, each.validation_cross_entropy, each.validation_cross_entropy is None
        )
        for each in tested
    ]
    return choice.choose(lanes, tested[0].validation_n)


def _compare(
    reader: export.FreshProcess, dataset: datasets.Dataset, shared: fine_tune.Shared, kept: str, report: Reporter
) -> None:
    """A fresh process loads the kept depth's files; what each says is held against what was trained."""
    with np.load(shared.start) as start:
        testing = start["splits"] == 2
        files, truth = start["files"][testing], start["labels"][testing]
    expected = np.load(shared.probabilities(kept))  # (testing photos, classes)
    some = slice(None, None, max(1, -(-len(files) // export.COMPARED)))
    answer = reader.ask(
        {
            "paths": [os.path.join(dataset.root, file) for file in files[some]],
            "truth": truth[some].tolist(),
            "expected": expected[some].tolist(),
            "final_tensor_name": export.FINAL_TENSOR,
        }
    )
    for row in answer["exported"]:
        report.tell(events.Exported, **row)
    worst = max(row["difference"] for row in answer["exported"])
    if worst > export.TOLERANCE:
        message = f"The exported files answer differently from what was trained, by up to {worst:.4f}."
        report.tell(events.Warning, message=message)


if __name__ == "__main__":
    sys.exit(children.tell(sys.argv[1:], export_depths))
