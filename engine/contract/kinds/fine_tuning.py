"""Fine-tuning: the last blocks of a backbone learn along with the last layer, one lane for each depth.

Python 3.6, standard library only.
"""

from typing import List, NamedTuple, Optional, Tuple

from engine.contract import choices, events

BODY_RATE_LIMITS = (0.000001, 1.0)


class FineTuningSpec(NamedTuple):
    """The last blocks of a backbone learn along with the head."""

    backbone: str = "mobilenet_v2"  # a name of catalog.BACKBONES whose format is CHECKPOINT
    blocks: Tuple[int, ...] = (0, 2)  # one lane each: how many of the last blocks learn; 0: none, ALL_BLOCKS: all
    epochs: int = 5  # 1 to 100
    batch_size: int = 32  # photos learned from at once, 1 to 1,024
    head_learning_rate: float = 0.01  # 0.0001 to 10
    body_learning_rate: float = 0.0001  # of the blocks, 0.000001 to 1
    # choices.DISTORTIONS, as in RaceSpec
    flip_left_right: bool = False
    random_crop: int = 0
    random_scale: int = 0
    random_brightness: int = 0
    validation_percentage: int = 10  # of the photos
    testing_percentage: int = 20  # of the photos; the difference between lanes is judged on these
    seed: int = 0  # of the head's first weights and of every order
    device: str = choices.CPU  # "cpu" or "gpu"
    memory_limit: int = 0  # MB for the process of a lane; 0: what the machine has

    def run_title(self, photos: str, number: Optional[int], backbone: str) -> str:
        return f"{photos} · {backbone} · {self.depths()}"

    def depths(self) -> str:
        """What is varied: "frozen against all blocks"."""
        titles = [title.lower() for title in self.lane_titles()]
        return " against ".join(titles) if len(titles) < 3 else f"{len(titles)} depths"

    def lane_names(self) -> List[str]:
        return [choices.depth_name(blocks) for blocks in self.blocks]

    def lane_titles(self) -> List[str]:
        return [choices.depth_title(blocks) for blocks in self.blocks]

    def is_never_the_same(self) -> bool:
        """Whether a photo is another picture each time, and not as it is or mirrored, of which both can be kept."""
        return any(getattr(self, name) for name in choices.DISTORTIONS if name != "flip_left_right")

    def faults(self) -> List[str]:
        found: List[str] = []
        choices.tuned_backbone(found, self.backbone)
        if not 1 <= len(self.blocks) <= choices.LANE_LIMIT:
            found.append(f"{len(self.blocks)} depths; choose 1 to {choices.LANE_LIMIT}.")
        if len(set(self.blocks)) < len(self.blocks):
            found.append("A depth is listed twice; each lane needs its own.")
        for blocks in self.blocks:
            choices.depth(found, blocks)
        choices.within(found, "Epochs", self.epochs, 1, choices.EPOCH_LIMIT)
        choices.within(found, "Batch size", self.batch_size, 1, choices.FINE_TUNE_BATCH_LIMIT)
        for what, rate, (low, high) in (
            ("Head's learning rate", self.head_learning_rate, choices.LEARNING_RATE_LIMITS),
            ("Blocks' learning rate", self.body_learning_rate, BODY_RATE_LIMITS),
        ):
            if not low <= rate <= high:  # False for NaN too
                found.append(f"{what} is {rate:g}; choose {low:g} to {high:g}.")
        choices.splits(found, self)
        choices.distortions(found, self)
        choices.memory(found, self.memory_limit)
        choices.seed(found, self.seed)
        choices.device(found, self.device)
        return found


class FineTuned(NamedTuple):
    """The final figures of one depth, measured with its last weights."""

    t: float
    lane: str
    blocks: int  # that learned, of ...
    of_blocks: int  # ... so many
    parameters: int  # that learned, the head's included
    peak_memory_bytes: int  # of the lane's own process, the kernel's figure; on a GPU of its memory
    epoch_seconds: float  # the median
    epochs: int  # learned; fewer than asked for where it diverged
    batch_size: int  # photos in one step
    at_once: int  # photos whose gradients were computed at once; the rest was added up
    features_kept: bool  # whether what goes into the first block that learns was computed once for all epochs
    validation_accuracy: float  # 0..1
    validation_cross_entropy: Optional[float]  # nats; None where it is not a number
    validation_n: int  # photos
    test_accuracy: float  # 0..1
    test_n: int  # photos


class FineTuningResult(NamedTuple):
    """The final figures of a fine-tuning run."""

    t: float
    training: int  # photos
    validation: int
    testing: int
    runtime: str  # for people


SPEC = FineTuningSpec
HAS_DATASET = True
STAGES = (events.SCANNING, events.BOTTLENECKS, events.LOADING, events.TRAINING, events.EXPORTING)
EVENTS = {"fine_tuned": FineTuned, "fine_tune_result": FineTuningResult}
