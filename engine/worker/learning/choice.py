"""Which lane to keep, by validation alone. Python 3.6."""

from typing import List, NamedTuple, Optional


class Candidate(NamedTuple):
    lane: str
    accuracy: float  # 0..1, on the validation split
    cross_entropy: Optional[float]  # nats, likewise; None where it is not a number
    diverged: bool


def choose(lanes: List[Candidate], photos: int) -> str:
    """The lane to keep, by the validation split of that many photos alone; the testing split has no say.

    Among the lanes whose validation accuracy lies within one standard error of the best, the one with the lowest
    cross-entropy: where accuracy cannot tell lanes apart, the better scores decide (the one-standard-error rule of
    Breiman et al. 1984, Classification and Regression Trees, section 3.4.3). A lane that diverged is kept only where
    all did.
    """
    candidates = [each for each in lanes if not each.diverged] or lanes
    best = max(each.accuracy for each in candidates)
    standard_error = (best * (1 - best) / photos) ** 0.5
    equals = [each for each in candidates if each.accuracy >= best - standard_error]

    def cross_entropy(each: Candidate) -> float:
        return float("inf") if each.cross_entropy is None else each.cross_entropy

    return min(equals, key=cross_entropy).lane
