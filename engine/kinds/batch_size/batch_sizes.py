"""What trying batch sizes amounts to: the sizes in order, the largest that fits, and which one to take."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.contract.kinds.batch_size import BatchSizeResult, BatchTried
from engine.runs import Run, Story
from engine.words import count, size, speed

ENOUGH = 0.95  # of the highest speed: what more memory buys beyond is little
ROOMY = 0.8  # of the memory limit: other programs, photos and caches want some too


def tried(story: Story) -> list[BatchTried]:
    """By size; each was tried once."""
    return sorted(story.every(BatchTried), key=lambda each: each.batch_size)


@dataclass(frozen=True)
class Recommendation:
    batch_size: int
    conclusion: str  # shown in bold
    reasons: str


def recommend(run: Run) -> Recommendation | None:
    """The smallest size that is nearly as fast as the fastest and leaves memory free; None before one has fitted."""
    fitting = [each for each in tried(run.story) if each.fits]
    result = run.story.last(BatchSizeResult)
    if not fitting or result is None:
        return None
    limit = result.memory_limit_bytes
    roomy = [each for each in fitting if not limit or each.peak_memory_bytes <= ROOMY * limit] or fitting[:1]
    best = max(each.images_per_second for each in roomy)
    taken = next(each for each in roomy if each.images_per_second >= ENOUGH * best)
    return Recommendation(
        taken.batch_size,
        f"Take batches of {taken.batch_size:,}: {speed(taken.images_per_second)} in {size(taken.peak_memory_bytes)}.",
        " ".join(_reasons(taken, fitting, result)),
    )


def _reasons(taken: BatchTried, fitting: Sequence[BatchTried], result: BatchSizeResult) -> list:
    largest = fitting[-1]
    within = f" within {size(result.memory_limit_bytes)}" if result.memory_limit_bytes else ""
    if result.bounded:
        reasons = [f"The largest that fits{within} is {result.largest:,}."]
    else:
        reasons = [f"Up to {result.largest:,}, the most that was tried, all fit{within}."]
    if largest is not taken:
        more = largest.images_per_second / taken.images_per_second - 1
        gain = "gives no more speed" if more < 1 - ENOUGH else f"is {more:.0%} faster"
        cost = size(max(0, largest.peak_memory_bytes - taken.peak_memory_bytes))
        reasons.append(f"{largest.batch_size:,} {gain} for {cost} more.")
    if (each := a_picture(fitting)) is not None:
        reasons.append(f"Each picture more in a batch takes about {size(each)}.")
    return reasons


def a_picture(fitting: Sequence[BatchTried]) -> float | None:
    """Bytes that one picture more takes, between the smallest and the largest size; None where that says nothing."""
    if len(fitting) < 2:
        return None
    first, last = fitting[0], fitting[-1]
    slope = (last.peak_memory_bytes - first.peak_memory_bytes) / (last.batch_size - first.batch_size)
    return slope if slope > 0 else None


def in_words(each: BatchTried) -> str:
    """One try as the progress of a run says it."""
    if each.fits:
        return f"{each.batch_size:,} fits: {size(each.peak_memory_bytes)}, {speed(each.images_per_second)}"
    return f"{count(each.batch_size, 'picture')} at once: {each.why}"
