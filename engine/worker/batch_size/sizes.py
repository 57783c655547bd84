"""The story of trying batch sizes: each in a process of its own, doubled until one does not fit, then halved between.

The pictures are noise: what a step takes depends on their number alone. As a program,
`python -m engine.worker.batch_size.sizes RUN_FOLDER BATCH_SIZE MEGABYTES`, it tries one size. Python 3.6.
"""

import os
import sys
import time
from typing import Callable, List, NamedTuple, Optional

import numpy as np

from engine.contract import catalog, choices, events
from engine.contract.kinds.batch_size import BatchSizeResult, BatchSizeSpec, BatchTried
from engine.contract.run_folder import RunFolder, read_json, write_json
from engine.worker import backbones, children, machine
from engine.worker.learning.tuned import Tuned
from engine.worker.reporter import DONE, Reporter, RunFailed

CLASSES = 5  # of the head; how many hardly matters
TIMED_SECONDS = 2.0  # and one step at least
# Where nobody sets a limit, this share of the memory that is free: beyond, other programs would be pushed out.
FREE_SHARE = 0.9
# The largest that fits is looked for until the gap is at most this share of it: each try is a new process.
PRECISION = 16


class Try(NamedTuple):
    batch_size: int
    peak_memory_bytes: int
    images_per_second: float
    model_bytes: int  # in memory before the first step
    parameters: int  # that learn
    runtime: str  # for people


def batch_size(spec: BatchSizeSpec, folder: RunFolder, report: Reporter) -> None:
    """In the run's own process. Raises RunFailed, RunEnded and RunCancelled."""
    megabytes = spec.memory_limit
    if not megabytes and spec.device == choices.CPU:
        megabytes = int(FREE_SHARE * children.free_memory() / 1e6)
    report.stage(events.TRYING, 0)
    found = os.path.join(folder.path, "try.json")
    fitting: List[Try] = []

    def fits(size: int) -> bool:
        arguments = [folder.path, str(size), str(megabytes)]
        code = children.run_module("engine.worker.batch_size.sizes", arguments, report, 0)  # it has nothing to tidy up
        measured = Try(**read_json(found)) if code == DONE else None
        if measured:
            fitting.append(measured)
            os.remove(found)
        why = "" if measured else children.why_it_ended(code)
        report.tell(
            BatchTried,
            batch_size=size,
            fits=measured is not None,
            why=why[:1].upper() + why[1:],
            peak_memory_bytes=measured.peak_memory_bytes if measured else 0,
            images_per_second=measured.images_per_second if measured else 0.0,
        )
        return measured is not None

    largest, bounded = largest_that_fits(fits, spec.largest)
    if not largest:
        raise RunFailed(
            "out_of_memory",
            f"Not even one picture at a time fits into {megabytes:,} MB.",
            "Set a higher limit, or let fewer blocks learn.",
        )
    report.tell(
        BatchSizeResult,
        largest=largest,
        bounded=bounded,
        memory_limit_bytes=megabytes * 1000 * 1000,
        model_bytes=fitting[0].model_bytes,
        parameters=fitting[0].parameters,
        runtime=fitting[0].runtime,
    )


def largest_that_fits(fits: Callable[[int], bool], most: int) -> tuple:
    """(the largest size that fits, to a sixteenth; 0 where 1 does not; whether a larger one did not fit)."""
    good = 0
    bad: Optional[int] = None
    size = 1
    while bad is None and good < most:
        if fits(size):
            good, size = size, min(most, size * 2)
        else:
            bad = size
    while bad is not None and good and bad - good > max(1, good // PRECISION):
        middle = (good + bad) // 2
        if fits(middle):
            good = middle
        else:
            bad = middle
    return good, bad is not None


def try_size(spec: BatchSizeSpec, folder: RunFolder, report: Reporter, size: int, megabytes: int) -> None:
    """Learn from noise in batches of that size for a moment, and write down what it took."""
    import tensorflow as tf

    memory = children.Memory(spec.device, megabytes)
    row = catalog.backbone(spec.backbone)
    try:
        network = backbones.load(folder.home, row)
    except backbones.MissingWeights as error:
        raise RunFailed("missing_weights", str(error), f"Run `python -m engine assets {row.asset}`.") from error
    random = np.random.RandomState(0)
    head = random.standard_normal((row.width, CLASSES)) * 0.001
    tuned = Tuned(network.body, spec.blocks, head, np.zeros(CLASSES), 0.001, 0.00001)
    pixels = random.randint(0, 256, (1, row.size, row.size, 3)).astype(np.uint8)
    features = np.asarray(tuned.features(pixels))  # TensorFlow's threads are there before the memory is bounded
    model_bytes = machine.memory()
    memory.bound(f"TensorFlow with {row.title}")
    x, truth = np.repeat(features, size, axis=0), np.arange(size) % CLASSES
    tuned.learn([(x, truth)], size)  # builds its function, and is not timed
    began, steps = time.perf_counter(), 0
    while not steps or time.perf_counter() - began < TIMED_SECONDS:
        tuned.learn([(x, truth)], size)
        steps += 1
    seconds = time.perf_counter() - began
    memory.check()
    runtime = f"TensorFlow {tf.__version__} on the {machine.tensorflow_device()}, {machine.cores()} cores"
    found = Try(size, memory.peak(), size * steps / seconds, model_bytes, tuned.parameters, runtime)
    write_json(os.path.join(folder.path, "try.json"), found._asdict())


if __name__ == "__main__":
    sys.exit(children.tell(sys.argv[1:], try_size))
