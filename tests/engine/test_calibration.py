"""What is read of a run's calibration, and the sentences that come of it."""

import json
import os
from dataclasses import replace

import pytest

from engine.contract.run_folder import LabHome, RunFolder
from engine.models import calibration
from engine.models.calibration import Bin, Calibration, NoneOfThese


def tenths(photos: dict[int, tuple[int, float, float]]) -> list[Bin]:
    """Ten bins; of some the number of photos, their mean score and the share that is right."""
    return [Bin(at / 10, (at + 1) / 10, *photos.get(at, (0, None, None))) for at in range(10)]


MEASURED = Calibration(
    temperature=1.6,
    validation_photos=300,
    photos=320,
    bins=tenths({9: (270, 0.97, 0.9815), 8: (40, 0.85, 0.8), 3: (9, 0.36, 0.44), 2: (1, 0.3, 0.0)}),
    expected_calibration_error=0.013,
    uncalibrated_error=0.061,
    none_of_these=NoneOfThese(0.4, 0.5, 15, 300, 17, 320),
)


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    made = LabHome(tmp_path).run("a-run")
    os.makedirs(made.artifacts)
    return made


def as_written(measured: Calibration) -> dict:
    columns = ("low", "high", "photos", "confidence", "right")
    row = {name: getattr(measured, name) for name in measured.__dataclass_fields__}
    row["bins"] = {name: [getattr(each, name) for each in measured.bins] for name in columns}
    return row | {"none_of_these": vars(measured.none_of_these)}


def write(folder: RunFolder, value) -> None:
    with open(folder.calibration, "w") as file:
        file.write(value if isinstance(value, str) else json.dumps(value))


def test_what_a_worker_wrote_is_read_again(folder):
    write(folder, {"lanes": {"0.5": as_written(MEASURED), "10": None}, "later": 1})
    assert calibration.read_lane(folder, "0.5") == MEASURED
    assert calibration.read_lane(folder, "10") is None
    assert calibration.read_lane(folder, "0.01") is None
    assert calibration.read_lane(folder, "") is None
    with open(folder.contract, "w") as file:
        file.write('{"learning_rate": 0.5}')
    assert calibration.read_lane(folder, "") == MEASURED


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param("", id="empty"),
        pytest.param('{"lanes": {"0.5": {"temp', id="half a file"),
        pytest.param("[1]", id="something else"),
        pytest.param('{"lanes": {"0.5": {"temperature": 1.0}}}', id="fields missing"),
    ],
)
def test_a_damaged_file_is_as_good_as_none(folder, damaged):
    assert calibration.read_lane(folder, "0.5") is None
    write(folder, damaged)
    assert calibration.read_lane(folder, "0.5") is None


def test_columns_of_different_lengths_are_damaged(folder):
    row = as_written(MEASURED)
    row["bins"]["right"].pop()
    write(folder, {"lanes": {"0.5": row}})
    assert calibration.read_lane(folder, "0.5") is None


def test_a_reading_says_the_share_its_interval_and_how_many_photos_it_comes_from():
    assert calibration.reading(MEASURED, 0.93) == (
        "Of answers this sure (90% to 100% after calibration), 98% were right on the testing split (95% interval 96% "
        "to 99%, N=270)."
    )
    assert "80% to 90%" in calibration.reading(MEASURED, 0.9)  # a bin ends with its upper edge


@pytest.mark.parametrize(
    ("score", "found"),
    [
        pytest.param(0.35, "only 9 photos", id="few"),
        pytest.param(0.25, "only 1 photo ", id="one"),
        pytest.param(0.55, "no photo", id="none"),
    ],
)
def test_from_few_photos_nothing_is_said(score, found):
    sentence = calibration.reading(MEASURED, score)
    assert sentence.startswith("How often answers this sure are right cannot be said")
    assert found in sentence
    assert "were right" not in sentence


@pytest.mark.parametrize(
    ("temperature", "found"),
    [(1.6, "surer than it should be"), (1.0, "about as sure"), (0.4, "less sure than it could be")],
)
def test_the_temperature_is_said_in_words(temperature, found):
    sentence = calibration.temperature_in_words(replace(MEASURED, temperature=temperature))
    assert found in sentence
    assert "300 photos of the validation split" in sentence
    assert "6.1 pt before it and by 1.3 pt after it" in sentence


def test_a_temperature_that_did_not_help_is_said_to():
    worse = calibration.temperature_in_words(replace(MEASURED, expected_calibration_error=0.12))
    assert "did not bring them closer" in worse
    assert "closer" not in calibration.temperature_in_words(MEASURED)


def test_false_alarms_are_said_with_their_number_and_what_was_judged():
    rule = MEASURED.none_of_these
    assert rule.false_alarm_rate == 17 / 320
    sentence = calibration.false_alarms_in_words(rule)
    assert sentence.startswith("False alarms: 17 of 320 photos of the testing split (5.3%, 95% interval 3.3% to 8.3%)")
    assert "score alone" not in sentence
    assert "score alone" in calibration.false_alarms_in_words(replace(rule, distance=None))
