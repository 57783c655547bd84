"""Batch size: which ones fit into the memory, and how fast each is. It has no photos and no lanes.

Python 3.6, standard library only.
"""

from typing import List, NamedTuple, Optional

from engine.contract import choices, events


class BatchSizeSpec(NamedTuple):
    """Which batch sizes fit into the memory, and how fast each is."""

    backbone: str = "mobilenet_v2"  # as in FineTuningSpec
    blocks: int = choices.ALL_BLOCKS  # how many of the last blocks learn; ALL_BLOCKS: all
    largest: int = 64  # batch size tried, 1 to 1,024
    device: str = choices.CPU  # "cpu" or "gpu"
    memory_limit: int = 0  # MB for the process that learns; 0: what is free when the run begins

    def run_title(self, photos: str, number: Optional[int], backbone: str) -> str:
        return f"Batch size · {backbone} · {choices.depth_title(self.blocks).lower()}"

    def lane_names(self) -> List[str]:
        return []

    def lane_titles(self) -> List[str]:
        return []

    def faults(self) -> List[str]:
        found: List[str] = []
        choices.tuned_backbone(found, self.backbone)
        choices.depth(found, self.blocks)
        choices.within(found, "Largest batch size", self.largest, 1, choices.FINE_TUNE_BATCH_LIMIT)
        choices.memory(found, self.memory_limit)
        choices.device(found, self.device)
        return found


class BatchTried(NamedTuple):
    """One batch size, tried in a process of its own."""

    t: float
    batch_size: int
    fits: bool
    why: str  # it does not fit, for people; "" where it does
    peak_memory_bytes: int  # as in fine_tuning.FineTuned; 0 where it does not fit
    images_per_second: float  # learned from; 0 where it does not fit


class BatchSizeResult(NamedTuple):
    t: float
    largest: int  # that fits
    bounded: bool  # whether a larger one was tried and did not fit
    memory_limit_bytes: int  # that held; 0 where nobody set one
    model_bytes: int  # what the process has in memory before it learns
    parameters: int  # that learn
    runtime: str  # for people


SPEC = BatchSizeSpec
HAS_DATASET = False
STAGES = (events.TRYING,)
EVENTS = {"batch_tried": BatchTried, "batch_size_result": BatchSizeResult}
