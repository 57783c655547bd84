"""How long the trainings of a learning curve take here, from earlier ones."""

from collections.abc import Iterable
from dataclasses import dataclass

from engine.contract.kinds.learning_curve import LearningCurveSpec
from engine.kinds import forecast
from engine.kinds.rows import RunRow


@dataclass(frozen=True)
class Took:
    steps: int  # of all trainings
    training_seconds: float


def seconds(known: Iterable[RunRow], spec: LearningCurveSpec, trainings: int) -> float | None:
    """How many seconds so many trainings take here, bottlenecks apart; None before the first."""
    for row in forecast.alike(known, spec):
        if row.took.steps:
            return float(trainings * spec.steps * row.took.training_seconds / row.took.steps)
    return None
