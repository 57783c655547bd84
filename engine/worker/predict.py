"""WORKER_PYTHON -m engine.worker.predict: what a run is going to take, from a few photos measured now.

One JSON object on stdin, one as the last line of stdout:

    {"home": LAB_HOME, "spec": a RetrainSpec, "root": ..., "photos": [[file relative to root, its split], ...],
     "measure": how many photos at most}
    {"seconds": 12.3, "photos": 480, "measured": 24, "disk_bytes": ..., ...}    as events.Predicted

    {"home": LAB_HOME, "spec": a FineTuneSpec, "depths": true}
    {"seconds": ..., "depths": [...]}    see `depths`

    {"error": "<a sentence>"}

Everything goes the way that it will go in the run: the same runtime, as many threads, the same priority. Python 3.6.
"""

import itertools
import json
import os
import subprocess
import sys
import time
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Tuple

import numpy as np

from engine.contract import catalog, choices, tickets
from engine.contract.dataset import TRAINING
from engine.contract.kinds.fine_tuning import FineTuningSpec
from engine.contract.kinds.race import RaceSpec
from engine.contract.run_folder import LabHome, try_lock
from engine.worker import machine
from engine.worker.reporter import RunFailed

LONG_ENOUGH = 3.0  # seconds of measuring: the few photos go through again and again until then
# Bytes of a row of the cache beside its vector: two hexadecimal digests, twice, and SQLite's own.
ROW_BYTES = 400
# Kept beside the exported files: weights, labels, contract, curves, log.
SMALL_FILES = 200 * 1000
# What the four exported files need for each number of the frozen part: three of float32 and one of 8 bits.
EXPORT_BYTES = 3 * 4 + 1
# What the export's converters need at once, bytes for a million numbers of the frozen part and the power that it grows
# with: five backbones of 0.5 to 22 million numbers were within 6 % of the kernel's own figure (TensorFlow 2.21).
CONVERTERS, GROWTH = 196 * 1000 * 1000, 0.84
LEARNED_FROM = 16  # pictures of noise at most, from which a depth learns while it is measured
CLASSES = 5  # of its head; how many hardly matters


class Pace(NamedTuple):
    once: float  # seconds, however many photos there are
    a_photo: float  # seconds, with all threads at work
    decoding: float  # share of those, 0..1, that goes with the bytes of a photo's file


def predict(question: Dict[str, Any]) -> Dict[str, Any]:
    """Raises RunFailed."""
    from engine.worker import backbones
    from engine.worker.features import bottlenecks

    home, root = LabHome(question["home"]), question["root"]
    spec = RaceSpec(**question["spec"])
    try:
        row = catalog.backbone(spec.backbone, home)
        is_converted = _convert(home, row, spec.device)
        network = backbones.load(home, row)
    except (KeyError, OSError, backbones.MissingWeights) as error:
        raise RunFailed("missing_weights", f"The backbone cannot be loaded: {error}", "") from error
    distorted = choices.is_distorted(spec)
    now, later = [
        [
            os.path.join(root, file)
            for file, split in question["photos"]
            if (distorted and split == TRAINING) == is_later
        ]
        for is_later in (False, True)
    ]
    different, missing = _missing(now, spec, network, home)
    sample = _by_size(missing, question["measure"])
    began = time.perf_counter()
    runtime = bottlenecks.choose_runtime(network, home, spec.device, machine.cores())
    # Where the conversion came first the run loads what is here by now.
    loading = 0.0 if is_converted else time.perf_counter() - began
    first = runtime.BATCH if isinstance(runtime, bottlenecks.FrozenBatches) else 2 * machine.cores()
    seconds, training = 0.0, 0.0
    if sample:
        try:
            found = pace(
                runtime.run, lambda path: bottlenecks.pixels_of(path, row), itertools.cycle(sample), len(sample), first
            )
        except RunFailed:
            if len(missing) == different or len(sample) < len(missing):
                raise
            missing = sample = []  # those that are damaged; the bottlenecks of all others are kept
        else:
            larger = _mean_bytes(missing) / _mean_bytes(sample)
            seconds = loading + found.once + len(missing) * found.a_photo * (1 + found.decoding * (larger - 1))
    if later:
        sample = _by_size(later, question["measure"])
        a_decode, training = _distorted(spec, runtime, later, sample, first)
        seconds += len(later) * a_decode  # before training it is seen that each can be decoded
    parameters = backbones.parameters(network)
    vectors = 4 * row.width  # bytes

    converters = CONVERTERS * (parameters / 1e6) ** GROWTH
    kept = len(missing) * (vectors + ROW_BYTES) if spec.use_cache else 0
    return {
        "seconds": seconds,
        "photos": len(missing),
        "measured": len(sample),
        "disk_bytes": int(kept + EXPORT_BYTES * parameters + SMALL_FILES),
        "memory_bytes": int(machine.memory() + 2 * different * vectors + converters),
        "training_seconds": training,
    }


def _convert(home: LabHome, row: catalog.Backbone, device: str) -> bool:
    """Convert the backbone where the run would do that first: in a process of its own, whose memory goes with it.

    False where it was converted before, or is not converted at all. Raises OSError where there are no weights.
    """
    from engine.worker import backbones
    from engine.worker.features import bottlenecks

    path = bottlenecks.backbone_tflite_path(home, row, backbones.digest(backbones.weights_path(home, row)))
    if device != choices.CPU or row.preprocessing != catalog.PILLOW or os.path.exists(path):
        return False
    command = [sys.executable, "-m", "engine.worker.classify.models", home.path, row.name, path, "features"]
    return subprocess.call(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) == 0


def _missing(paths: List[str], spec: RaceSpec, network: Any, home: LabHome) -> Tuple[int, List[str]]:
    """How many different photos these are, and one path of each whose bottleneck is not kept from earlier."""
    from engine.worker.features import bottlenecks

    prints = bottlenecks.fingerprints(paths, machine.cores(), lambda done: None, lambda: False)
    path_of = {sha256: path for sha256, path in zip(prints, paths) if not isinstance(sha256, OSError)}
    different = len(path_of)
    if spec.use_cache:
        cache = bottlenecks.Cache(home.bottlenecks, bottlenecks.key(network), network.row.width)
        for sha256 in cache.read(list(path_of)):
            del path_of[sha256]
        cache.close()
    return different, sorted(path_of.values())


def _by_size(paths: List[str], count: int) -> List[str]:
    """At most so many of them, from the smallest to the largest file: how long decoding takes goes with that."""
    ordered = sorted(paths, key=_bytes)
    if len(ordered) <= count:
        return ordered
    return [ordered[(2 * at + 1) * len(ordered) // (2 * count)] for at in range(count)]  # the middles of equal parts


def _mean_bytes(paths: List[str]) -> float:
    return max(1.0, sum(map(_bytes, paths)) / float(len(paths)))


def _bytes(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:  # gone since it was listed, which the run will say
        return 0


def _distorted(spec: RaceSpec, runtime: Any, later: List[str], sample: List[str], first: int) -> Tuple[float, float]:
    """Seconds of decoding one of the photos to be distorted, with all threads at work; seconds of the training."""
    from engine.worker.features import distortions

    row = runtime.network.row
    decoded = distortions.Photos(row.preprocessing)

    def changed(item: Tuple[str, int]) -> Any:
        image = decoded(item[0])
        if isinstance(image, str):
            return image
        random = np.random.RandomState([spec.seed, item[1]])
        return distortions.distort(image, row.size, spec, random, row.preprocessing)

    began = time.perf_counter()
    decoded.faults(sample, machine.cores(), lambda done: None, lambda: False)
    larger = _mean_bytes(later) / _mean_bytes(sample)
    a_decode = (time.perf_counter() - began) / len(sample) * larger
    found = pace(runtime.run, changed, zip(itertools.cycle(sample), itertools.count()), len(sample), first)
    # Those that find no room between two uses are decoded each time.
    all_kept = decoded.kept_bytes / float(len(sample)) * larger * len(later)
    forgotten = max(0.0, 1 - distortions.KEPT_BYTES / max(1.0, all_kept))
    decoded.forget()
    photos = spec.steps * (len(later) if spec.train_batch_size == -1 else spec.train_batch_size)
    return a_decode, found.once + photos * (found.a_photo + forgotten * a_decode)


def pace(run: Any, prepare: Any, items: Iterable[Any], count: int, first: int) -> Pace:
    """`items`: without an end, `count` different ones; `first`: so many until memory, threads and graphs are there.

    Raises RunFailed where no photo can be used.
    """
    ends: List[float] = []
    decode: List[float] = []
    backbone: List[float] = []
    refused = 0

    def again() -> Iterator[Any]:
        for item in items:
            if len(ends) >= first + count and ends[-1] - ends[first - 1] >= LONG_ENOUGH:
                return
            yield item

    def timed(item: Any) -> Any:
        began = time.perf_counter()
        prepared = prepare(item)
        decode.append(time.perf_counter() - began)
        return prepared

    began = time.perf_counter()
    for _, value, seconds in run(again(), timed):
        ends.append(time.perf_counter())
        backbone.append(seconds)
        refused = refused + 1 if isinstance(value, str) else 0
        if refused == count:
            raise RunFailed("no_photos", f"None of the photos that were measured can be used: {value}.", "")
    a_photo = (ends[-1] - ends[first - 1]) / (len(ends) - first)
    decoding = sum(decode[first:])
    return Pace(
        max(0.0, ends[first - 1] - began - first * a_photo),
        a_photo,
        decoding / max(1e-9, decoding + sum(backbone[first:])),
    )


def depths(question: Dict[str, Any]) -> Dict[str, Any]:
    """What each depth of fine-tuning takes, measured on noise, and how long the measuring took.

    Of each: "blocks"; "once", seconds of building it; and seconds of a photo, "look" through what is frozen, "learn"
    through the rest and back, "answer" through the rest alone. Raises RunFailed.
    """
    began = time.perf_counter()
    from engine.worker import backbones
    from engine.worker.learning import tuned

    home = LabHome(question["home"])
    spec = FineTuningSpec(**question["spec"])
    row = catalog.backbone(spec.backbone, home)
    try:
        network = backbones.load(home, row)
    except backbones.MissingWeights as error:
        raise RunFailed("missing_weights", f"The backbone cannot be loaded: {error}", "") from error
    random, count = np.random.RandomState(0), min(LEARNED_FROM, spec.batch_size)
    pixels = random.randint(0, 256, (count, row.size, row.size, 3)).astype(np.uint8)
    head, truth = random.standard_normal((row.width, CLASSES)) * 0.001, np.arange(count) % CLASSES

    started, found = time.perf_counter() - began, []
    for blocks in spec.blocks:
        depth = tuned.Tuned(network.body, blocks, head, np.zeros(CLASSES), 0.001, 0.00001)
        seconds: Dict[str, float] = {}
        for name in ("first", "look", "learn", "answer"):  # everything once, then what is measured
            asked = time.perf_counter()
            if name in ("first", "look"):
                features = np.asarray(depth.features(pixels))
            if name in ("first", "learn"):
                depth.learn([(features, truth)], count)
            if name in ("first", "answer"):
                depth.probabilities(features)
            seconds[name] = time.perf_counter() - asked
        each = {name: seconds[name] / count for name in ("look", "learn", "answer")}
        once = max(0.0, seconds["first"] - sum(each.values()) * count)
        found.append(dict(each, blocks=blocks, once=once, of_blocks=depth.of_blocks))
    return {"seconds": time.perf_counter() - began - started, "depths": found}


def main() -> Dict[str, Any]:
    question = json.load(sys.stdin)
    os.nice(10)  # as a run
    machine.bind_to_cores(question["spec"].get("threads", 0))
    if question["spec"]["device"] == choices.GPU:
        home = LabHome(question["home"])
        os.makedirs(home.queue, exist_ok=True)
        if try_lock(tickets.device_lock(home, choices.GPU)) < 0:  # held until this process ends
            return {"error": "A run or an answer uses the GPU just now. Measure once it has ended."}
    try:
        machine.choose_device(question["spec"]["device"])
        return depths(question) if "depths" in question else predict(question)
    except RunFailed as error:
        return {"error": " ".join(filter(None, [error.message, error.hint]))}


if __name__ == "__main__":
    said = main()
    print(json.dumps(said))
