"""WORKER_PYTHON -m engine.worker.predict: what a retraining run is going to take, from a few photos measured now.

One JSON object on stdin, one as the last line of stdout:

    {"home": LAB_HOME, "backbone": ..., "device": "cpu", "threads": 0, "use_cache": true, "root": ...,
     "files": [every photo, relative to root], "sample": [the few of them that are measured]}
    {"seconds": 12.3, "photos": 480, "measured": 24, "disk_bytes": ..., "memory_bytes": ...}    as events.Predicted
    {"error": "<a sentence>"}

The photos go the way that they will go in the run: the same runtime, as many threads, the same priority. Python 3.6.
"""

import itertools
import json
import os
import sys
import time
from typing import Any, Dict, Iterator, List, Tuple

from engine.contract import catalog
from engine.contract.run_folder import LabHome
from engine.worker import machine
from engine.worker.reporter import RunFailed

LONG_ENOUGH = 1.5  # seconds of measuring: the few photos go through again and again until then
# Bytes of a row of the cache beside its vector: two hexadecimal digests, twice, and SQLite's own.
ROW_BYTES = 400
# Kept beside the exported files: weights, labels, contract, curves, log.
SMALL_FILES = 200 * 1000
# What the four exported files need for each number of the frozen part: three of float32 and one of 8 bits.
EXPORT_BYTES = 3 * 4 + 1
# The export's converters hold so many copies of the frozen part as float32 at once, and so much whatever its size:
# measured with backbones of 2 and of 22 million numbers.
COPIES, CONVERTERS = 30, 50 * 1000 * 1000


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

    sample = [os.path.join(root, file) for file in question["sample"]]
    batch = runtime.BATCH if isinstance(runtime, bottlenecks.FrozenBatches) else 2 * threads
    setup, a_photo = pace(runtime.run, lambda path: bottlenecks.pixels_of(path, network.row), sample, batch)
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
        "seconds": setup + photos * a_photo if photos else 0.0,
        "photos": photos,
        "measured": len(sample),
        "disk_bytes": int(
            (photos * (vectors + ROW_BYTES) if question["use_cache"] else 0) + EXPORT_BYTES * parameters + SMALL_FILES
        ),
        "memory_bytes": int(machine.memory() + 2 * len(different) * vectors + COPIES * 4 * parameters + CONVERTERS),
    }


def pace(run, prepare, paths, first):
    # type: (Any, Any, List[str], int) -> Tuple[float, float]
    """Seconds that are spent once, and seconds of a photo; `first`: photos by which memory and graphs are there.

    Raises RunFailed where no photo can be used.
    """
    ends = []  # type: List[float]
    refused = 0

    def again():
        # type: () -> Iterator[str]
        for path in itertools.cycle(paths):
            if len(ends) >= first + len(paths) and ends[-1] - ends[first - 1] >= LONG_ENOUGH:
                return
            yield path

    began = time.perf_counter()
    for _, value, _ in run(again(), prepare):
        ends.append(time.perf_counter())
        refused = refused + 1 if isinstance(value, str) else 0
        if refused == len(paths):
            raise RunFailed("no_photos", "None of the photos that were measured can be used: {}.".format(value), "")
    a_photo = (ends[-1] - ends[first - 1]) / (len(ends) - first)
    return max(0.0, ends[first - 1] - began - first * a_photo), a_photo


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
