"""The story of a learning curve: photos -> bottlenecks -> a new last layer for each number of photos and each seed.

Only the training photos grow fewer: every layer is tested on the same testing split. As a program,
`python -m engine.worker.learning_curve.trainings RUN_FOLDER AT_ONCE`, it tells the story for the run's own process,
with so many photos in memory at a time; see children.run_story. Python 3.6.
"""

import sys
import time
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Sequence

import numpy as np

from engine.contract import choices, events
from engine.contract import dataset as datasets
from engine.contract.dataset import SPLITS, TESTING, TRAINING, VALIDATION
from engine.contract.kinds.learning_curve import ALL_PHOTOS, LearningCurvePoint, LearningCurveResult, LearningCurveSpec
from engine.contract.run_folder import RunFolder
from engine.worker import children
from engine.worker.features import bottlenecks, distortions, photo_sets
from engine.worker.learning import heads
from engine.worker.machine import peak_memory
from engine.worker.reporter import Reporter, RunCancelled

EVALUATIONS = 20  # of each training, at most: a cancel is heard between two of them
NAMED = 3  # classes that a sentence names


class Plan(NamedTuple):
    sizes: List[int]  # ascending, then ALL_PHOTOS
    remarks: List[str]  # for people, a whole sentence each


def in_memory(stage: str, spec: LearningCurveSpec, folder: RunFolder, at_once: int) -> int:
    """See children.run_story."""
    taken = photo_sets.in_memory(spec, folder.home)
    taken[events.TRAINING] = spec.train_batch_size  # -1: all are in memory as they are
    most = taken.get(stage, 1)
    return min(most, at_once or most)


def learning_curve(spec: LearningCurveSpec, folder: RunFolder, report: Reporter, at_once: int) -> None:
    """Tell the story. Raises RunFailed and RunCancelled; what was measured until then is told."""
    dataset = datasets.read(folder.dataset)
    with photo_sets.known_backbone(spec.backbone, folder.home) as network:
        photos = photo_sets.scan(dataset, report, at_once)
        decoded = distortions.Photos(network.row.preprocessing)
        photos, _, figures = photo_sets.extract(
            photo_sets.Through(spec.device), network, dataset, photos, decoded, folder, report, _WhenNeeded, at_once
        )
    splits = {name: photo_sets.split_of(photos, name) for name in SPLITS}
    training = splits[TRAINING]
    plan = planned(spec.sizes, np.bincount(training.labels, minlength=len(dataset.labels)), dataset.labels)
    for remark in plan.remarks:
        report.tell(events.Warning, message=remark)
    trainings = len(plan.sizes) * spec.seeds
    report.stage(events.TRAINING, trainings * spec.steps)
    diverged = done = 0
    # A size after the other, so that those before a cancel are whole.
    for size in plan.sizes:
        for seed in range(spec.seed, spec.seed + spec.seeds):
            chosen = subset(training.labels, size, seed)
            some = heads.Split(training.features[chosen], training.labels[chosen])
            point = _measure(spec, len(dataset.labels), seed, some, splits, done * spec.steps, at_once, report)
            report.tell(LearningCurvePoint, size=size, seed=seed, **point)
            diverged, done = diverged + point["diverged"], done + 1
    if diverged:
        message = "Learning rate {} is too high: its weights left the range of numbers in {:,} of {:,} trainings."
        report.tell(events.Warning, message=message.format(choices.lane_name(spec.learning_rate), diverged, trainings))
    report.tell(
        LearningCurveResult,
        training=len(training.labels),
        validation=len(splits[VALIDATION].labels),
        testing=len(splits[TESTING].labels),
        cached=figures.cached,
        computed=figures.computed,
        runtime=figures.runtime,
        peak_memory_bytes=peak_memory(),
    )


class _WhenNeeded:
    """What bottlenecks.choose_runtime gives, chosen when there is something to compute.

    TensorFlow takes longer to load than the whole curve takes where all bottlenecks are known.
    """

    def __init__(self, network: Any, *asked: Any) -> None:
        self.network, self.title = network, ""
        self._asked = asked

    def run(self, items: List[Any], prepare: Callable[[Any], Any]) -> Iterable[Any]:
        """As that runtime's, of a list."""
        if not items:
            return ()
        chosen = bottlenecks.choose_runtime(self.network, *self._asked)
        self.title = chosen.title
        return chosen.run(items, prepare)


def planned(sizes: Sequence[int], counts: np.ndarray, labels: Sequence[str]) -> Plan:
    """What is measured of these sizes where the classes have so many training photos, `counts` (classes,)."""
    most = int(counts.max())
    used = [size for size in sorted(sizes) if size < most]
    remarks = []
    beyond = [size for size in sorted(sizes) if size >= most]
    if beyond:
        remarks.append(
            "{} photos per class {} left out: no class has more than {:,} to learn from, and those are measured as "
            "all photos.".format(_listed(beyond), "is" if len(beyond) == 1 else "are", most)
        )
    short = [label for label in np.argsort(counts, kind="mergesort") if used and counts[label] < used[-1]]
    if short:
        names = [f"{labels[label]} has {counts[label]:,}" for label in short[:NAMED]]
        if len(short) > NAMED:
            more = len(short) - NAMED
            names.append(
                "{:,} more {} up to {:,}".format(more, "class has" if more == 1 else "classes have", counts[short[-1]])
            )
        sizes_of_them = [size for size in used if size > counts[short[0]]]
        remarks.append(
            "At {} photos per class some classes give all that they have to learn from: {}.".format(
                _listed(sizes_of_them), ", ".join(names)
            )
        )
    return Plan(used + [ALL_PHOTOS], remarks)


def _listed(sizes: List[int]) -> str:
    """50; 50 and 100; 20, 50 and 100"""
    words = [f"{size:,}" for size in sizes]
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def subset(labels: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Places of so many photos of each class, ascending; ALL_PHOTOS: of all. labels: (photos,).

    A larger size holds all photos of a smaller one of the same seed.
    """
    if size == ALL_PHOTOS:
        return np.arange(len(labels))
    chosen = []
    for label in np.unique(labels):
        order = np.random.RandomState([seed, 30, int(label)]).permutation(np.flatnonzero(labels == label))
        chosen.append(order[:size])
    return np.sort(np.concatenate(chosen))


def _measure(
    spec: LearningCurveSpec,
    classes: int,
    seed: int,
    some: heads.Split,
    splits: Dict[str, heads.Split],
    before: int,
    at_once: int,
    report: Reporter,
) -> Dict[str, Any]:
    """Fields of a LearningCurvePoint: a layer that learned from some photos, tested on the whole testing split.

    `before`: steps of the trainings that came earlier. Raises RunCancelled.
    """
    testing = splits[TESTING]
    settings = heads.Settings(
        (spec.learning_rate,),
        classes,
        spec.steps,
        spec.train_batch_size,
        100,
        max(1, -(-spec.steps // EVALUATIONS)),
        seed,
    )
    began = time.perf_counter()
    trained = heads.race(
        heads.batches(some, settings, at_once),
        splits[VALIDATION],
        settings,
        lambda block: report.progress(before + block[-1].step),
        report.stop,
        at_once=at_once,
    )
    if report.stop():
        raise RunCancelled()
    said = heads.probabilities(testing.features, trained.weights[0], trained.bias[0]).argmax(axis=1)
    return {
        "photos": len(some.labels),
        "correct": int((said == testing.labels).sum()),
        "test_n": len(testing.labels),
        "diverged": bool(trained.diverged),
        "seconds": round(time.perf_counter() - began, 4),
    }


if __name__ == "__main__":
    sys.exit(children.tell(sys.argv[1:], learning_curve))
