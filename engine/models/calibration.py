"""How far a run's scores can be believed, as measured at its end by engine/worker/learning/calibration.py.

A calibrated score is the model's own, divided by a temperature (Guo et al. 2017): the labels keep their order.
"""

from dataclasses import dataclass
from typing import Any

from engine.contract import models
from engine.contract.run_folder import RunFolder, read_json
from engine.runs import Run
from engine.stats import FEW, Bin, interval, wilson
from engine.words import count


@dataclass(frozen=True)
class NoneOfThese:
    """When a picture is called none of what was learned."""

    distance: float | None  # cosine, to the nearest training photo: above it; None where it is not judged
    score: float  # 0..1, calibrated: below it
    validation_alarms: int  # photos of the validation split beyond these thresholds, which were set by them
    validation_photos: int
    false_alarms: int  # photos of the testing split beyond them
    photos: int  # of the testing split

    @property
    def false_alarm_rate(self) -> float:
        """0..1"""
        return self.false_alarms / self.photos


@dataclass(frozen=True)
class Calibration:
    temperature: float  # above 1: the model is surer than it should be
    validation_photos: int  # the temperature was fitted on
    photos: int  # of the testing split, on which the rest is measured
    bins: list[Bin]
    expected_calibration_error: float  # 0..1: by how much confidence and right differ, mean over the photos
    uncalibrated_error: float  # the same of the model's own scores
    none_of_these: NoneOfThese


def read(run: Run, lane: str) -> Calibration | None:
    """Of one lane; None where it was never measured: an older run, one that was stopped, or a lane that diverged."""
    return read_lane(run.folder, lane)


def read_lane(folder: RunFolder, lane: str) -> Calibration | None:
    """The same of a run's folder; "" is the lane that was kept."""
    try:
        lane = lane or models.kept_lane(read_json(folder.contract))
        return _parsed(read_json(folder.calibration)["lanes"][lane])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _parsed(row: dict[str, Any]) -> Calibration:
    columns = row["bins"]
    names = ("low", "high", "photos", "confidence", "right")
    bins = [Bin(*values) for values in zip(*(columns[name] for name in names), strict=True)]
    return Calibration(
        temperature=row["temperature"],
        validation_photos=row["validation_photos"],
        photos=row["photos"],
        bins=bins,
        expected_calibration_error=row["expected_calibration_error"],
        uncalibrated_error=row["uncalibrated_error"],
        none_of_these=NoneOfThese(**row["none_of_these"]),
    )


def bin_of(calibration: Calibration, score: float) -> Bin:
    """The bin that a calibrated score falls into."""
    return next((each for each in calibration.bins if score <= each.high), calibration.bins[-1])


def reading(calibration: Calibration, score: float) -> str:
    """What a calibrated score of the most probable label has been worth: "Of answers this sure, 91% were right …"."""
    here = bin_of(calibration, score)
    between = f"{here.low:.0%} to {here.high:.0%}"
    if here.right is None or here.photos < FEW:
        found = "no photo" if not here.photos else f"only {count(here.photos, 'photo')}"
        return (
            f"How often answers this sure are right cannot be said: {found} of the testing split got a calibrated "
            f"score of {between}."
        )
    low, high = interval(here.right, here.photos)
    return (
        f"Of answers this sure ({between} after calibration), {here.right:.0%} were right on the testing split "
        f"(95% interval {low:.0%} to {high:.0%}, N={here.photos:,})."
    )


def temperature_in_words(calibration: Calibration) -> str:
    """What calibration found: "The model is surer than it should be: …"."""
    if calibration.temperature > 1.1:
        found = "The model is surer than it should be"
    elif calibration.temperature < 0.9:
        found = "The model is less sure than it could be"
    else:
        found = "The model is about as sure as it should be"
    before, after = calibration.uncalibrated_error, calibration.expected_calibration_error
    doubt = "" if after <= before else " So it did not bring them closer here: the splits are small, or they differ."
    fitted_on = count(calibration.validation_photos, "photo")
    return (
        f"{found}: temperature {calibration.temperature:.2f}, fitted on {fitted_on} of the validation split. On the "
        f"testing split (N={calibration.photos:,}) scores and shares of right answers differ by {before * 100:.1f} pt "
        f"before it and by {after * 100:.1f} pt after it.{doubt}"
    )


def false_alarms_in_words(rule: NoneOfThese) -> str:
    """How often the rule is wrong about photos that do belong: "3 of 40 photos …"."""
    low, high = wilson(rule.false_alarms, rule.photos)
    alone = " It is judged by the score alone: distorted photos have no bottlenecks that are kept."
    by = alone if rule.distance is None else ""
    return (
        f"False alarms: {rule.false_alarms:,} of {count(rule.photos, 'photo')} of the testing split "
        f"({rule.false_alarm_rate:.1%}, 95% interval {low:.1%} to {high:.1%}) are called none of these too.{by}"
    )
