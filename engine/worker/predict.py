"""WORKER_PYTHON -m engine.worker.predict: what a retraining run is going to take, from a few photos measured now.

One JSON object on stdin, one as the last line of stdout:

    {"home": LAB_HOME, "backbone": ..., "device": "cpu", "threads": 0, "use_cache": true, "root": ...,
     "files": [every photo, relative to root], "sample": [the few of them that are measured]}
    {"seconds": 12.3, "photos": 480, "measured": 24, "disk_bytes": ..., "memory_bytes": ...}    as events.Predicted
    {"error": "<a sentence>"}

The photos go the way that they will go in the run: the same runtime, as many threads, the same priority. Python 3.6.
"""

import json
import os
import sys
import time
from typing import Any, Dict

from engine.contract import catalog
from engine.contract.run_folder import LabHome
from engine.worker import machine
from engine.worker.reporter import RunFailed

LONG_ENOUGH = 1.5  # seconds of measuring: the few photos go through again until then
PASSES = 20  # at most
# Bytes of a row of the cache beside its vector: two hexadecimal digests, twice, and SQLite's own.
ROW_BYTES = 400
# Kept beside the exported files: weights, labels, contract, curves, log.
SMALL_FILES = 200 * 1000
# What the four exported files need for each number of the frozen part: three of float32 and one of 8 bits.
EXPORT_BYTES = 3 * 4 + 1
# Of these, twice three copies of the network as float32 are in memory while it is exported, beside TensorFlow.
COPIES = 6


def predict(question):
    # type: (Dict[str, Any]) -> Dict[str, Any]
    """Raises RunFailed."""
    from engine.worker import backbones, bottlenecks

    home = LabHome(question["home"])
    try:
        network = backbones.load(home, catalog.backbone(question["backbone"], home))
    except (KeyError, backbones.MissingWeights) as error:
        raise RunFailed("missing_weights", "The backbone cannot be loaded: {}".format(error), "")
    threads = machine.cores()
    runtime = bottlenecks.choose_runtime(network, home, question["device"], threads)
    root = question["root"]

    def seconds_of(names):
        # type: (Dict[str, str]) -> float
        began = time.perf_counter()
        found, _ = bottlenecks.extract(runtime, names, bottlenecks.NoCache(), lambda done: None, lambda: False)
        refused = [value for value in found.values() if isinstance(value, str)]
        if len(refused) == len(found):
            raise RunFailed("no_photos", "None of the photos can be used: {}.".format(refused[0]), "")
        return time.perf_counter() - began

    sample = {file: os.path.join(root, file) for file in question["sample"]}
    first = seconds_of(sample)  # memory is allocated and graphs are built, which the run does once, too
    spent, passes = 0.0, 0
    while spent < LONG_ENOUGH and passes < PASSES:
        spent += seconds_of(sample)
        passes += 1
    once = spent / passes
    paths = [os.path.join(root, file) for file in question["files"]]
    known = 0
    prints = bottlenecks.fingerprints(paths, threads, lambda done: None, lambda: False)
    different = sorted({sha256 for sha256 in prints if not isinstance(sha256, OSError)})
    if question["use_cache"]:
        cache = bottlenecks.Cache(home.bottlenecks, bottlenecks.key(network), network.row.width)
        known = len(cache.read(different))
        cache.close()
    photos = len(different) - known
    parameters = backbones.parameters(network)
    vectors = 4 * network.row.width  # bytes
    import tensorflow  # the run needs it for its export at the latest, and most of the memory is its.

    return {
        "seconds": photos * once / len(sample) + max(0.0, first - once) if photos else 0.0,
        "photos": photos,
        "measured": len(sample),
        "disk_bytes": int(
            (photos * (vectors + ROW_BYTES) if question["use_cache"] else 0) + EXPORT_BYTES * parameters + SMALL_FILES
        ),
        "memory_bytes": int(machine.peak_memory() + 2 * len(different) * vectors + COPIES * 4 * parameters),
    }


def main():
    # type: () -> Dict[str, Any]
    question = json.load(sys.stdin)
    os.nice(10)  # as a run
    machine.bind_to_cores(question["threads"])
    try:
        machine.choose_device(question["device"])
        return predict(question)
    except RunFailed as error:
        return {"error": " ".join(filter(None, [error.message, error.hint]))}


if __name__ == "__main__":
    said = main()
    print(json.dumps(said))
