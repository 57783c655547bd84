"""The learning curve: how accuracy grows with the photos that are learned from. It has no lanes.

Python 3.6, standard library only.
"""

from typing import List, NamedTuple, Optional, Tuple

from engine.contract import choices, events

ALL_PHOTOS = 0  # as a size: every training photo that there is
SIZES_LIMIT = 12
SEEDS_LIMIT = 20


class LearningCurveSpec(NamedTuple):
    """How accuracy grows with the photos that are learned from."""

    backbone: str = "mobilenet_v2"  # as in RaceSpec
    learning_rate: float = 0.1  # 0.0001 to 10; with it the layer has learned what it can after a few hundred steps
    steps: int = 500  # of each training
    train_batch_size: int = 100  # photos; -1: every training photo once
    # Training photos of each class, 1 to 12 different numbers; all that there are are always measured too
    sizes: Tuple[int, ...] = (5, 10, 20, 50, 100)
    seeds: int = 5  # trainings of each size, 1 to 20, each from other photos, first weights and batches
    validation_percentage: int = 10  # of the photos: the splits are those of RaceSpec
    testing_percentage: int = 20  # of the photos; the difference between sizes is judged on these
    seed: int = 0  # the first one; the others follow it
    device: str = choices.CPU  # "cpu" or "gpu"

    def run_title(self, photos: str, number: Optional[int], backbone: str) -> str:
        return f"{photos} · {backbone} · photos per class"

    def lane_names(self) -> List[str]:
        return []

    def lane_titles(self) -> List[str]:
        return []

    def faults(self) -> List[str]:
        found: List[str] = []
        choices.retrained_backbone(found, self.backbone)
        choices.rate(found, self.learning_rate)
        choices.within(found, "Steps", self.steps, 1, 1000000)
        if self.train_batch_size != -1:
            choices.within(found, "Train batch size", self.train_batch_size, 1, 100000, " or -1 for all photos")
        if not 1 <= len(self.sizes) <= SIZES_LIMIT:
            found.append(f"{len(self.sizes)} sizes; choose 1 to {SIZES_LIMIT}.")
        if len(set(self.sizes)) < len(self.sizes):
            found.append("A number of photos is listed twice; each size needs its own.")
        for size in self.sizes:
            choices.within(found, "Photos per class", size, 1, 1000000)
        choices.within(found, "Seeds", self.seeds, 1, SEEDS_LIMIT)
        choices.splits(found, self)
        choices.within(found, "Seed", self.seed, 0, 2**31 - 1 - SEEDS_LIMIT)
        choices.device(found, self.device)
        return found


class LearningCurvePoint(NamedTuple):
    """One training on some of the photos, tested on the whole testing split."""

    t: float
    size: int  # photos of each class that were asked for; ALL_PHOTOS: all that there are
    seed: int
    photos: int  # of all classes that were learned from; fewer than asked for where a class has no more
    correct: int  # testing photos, of ...
    test_n: int  # ... so many, the same ones for every size and seed
    diverged: bool
    seconds: float  # wall time of this training


class LearningCurveResult(NamedTuple):
    t: float
    training: int  # photos
    validation: int  # likewise; they are left alone, so that the other splits are those of a retraining run
    testing: int
    cached: int  # photos whose bottleneck was known already
    computed: int  # photos whose bottleneck was computed by this run
    runtime: str  # what computed the bottlenecks, for people
    peak_memory_bytes: int  # of the worker process, the kernel's own figure


SPEC = LearningCurveSpec
HAS_DATASET = True
STAGES = (events.SCANNING, events.BOTTLENECKS, events.TRAINING)
EVENTS = {"learning_curve_point": LearningCurvePoint, "learning_curve_result": LearningCurveResult}
