"""Runs beside each other, made here by hand as a queue and a worker would."""

import os
from pathlib import Path

import pytest

from engine.contract import dataset as datasets
from engine.contract import events, specs
from engine.contract.dataset import Dataset, Photo
from engine.contract.kinds.batch_classification import BatchClassificationSpec, Classified
from engine.contract.kinds.batch_size import BatchSizeSpec
from engine.contract.kinds.imported import ImportedSpec
from engine.contract.kinds.mnist import MnistSpec
from engine.contract.kinds.race import LaneResult, RaceSpec
from engine.contract.run_folder import LabHome
from engine.kinds import compared
from engine.runs import Run, open_run

FILES = [Photo(f"red/{number}.jpg", 1, "validation" if number % 2 else "testing") for number in range(40)]
LAMPS = Dataset("Lamps", "/nowhere", ["green", "red"], FILES)
SINGLE = RaceSpec(learning_rates=(0.5,))


@pytest.fixture
def home(tmp_path: Path) -> LabHome:
    return LabHome(str(tmp_path / "home"))


def make(home: LabHome, spec: specs.Spec, *told: object, dataset: Dataset | None = LAMPS) -> Run:
    number = len(os.listdir(home.runs)) + 1 if os.path.isdir(home.runs) else 1
    folder = home.run(f"run-{number}")
    os.makedirs(folder.path)
    specs.write(folder.spec, spec)
    if dataset:
        datasets.write(folder.dataset, dataset)
    events.append(folder.events, events.State(1000.0, events.QUEUED, number), events.State(1010.0, events.RUNNING, 0))
    events.append(folder.events, *told, events.State(1100.0, events.DONE, 0))
    return open_run(home, folder.id)


def learned(lane: str, validation: float, tested: float, n: int = 400) -> tuple[object, ...]:
    return (
        events.Metric(1020.0, lane, "validation", [10], [1.0], [validation - 0.01], [0.5]),
        LaneResult(1090.0, lane, tested, n, validation, 0.5, validation, 10, False),
        events.Kept(1091.0, lane),
    )


def said(*found: Run) -> str:
    verdict = compared.verdict(compared.sides(found))
    return f"{verdict.conclusion} {verdict.reasons}".strip()


def test_a_race_speaks_by_the_lane_that_it_kept_and_the_better_is_so_by_validation_alone(home: LabHome) -> None:
    race = make(home, RaceSpec(), *learned("0.005", 0.99, 0.99), *learned("1.0", 0.9, 0.91))
    single = make(home, SINGLE, *learned("0.5", 0.92, 0.9))
    sides = compared.sides([race, single])
    assert [(side.name, side.validation, str(side.tested)) for side in sides] == [
        ("1 · lr 1.0", 0.9, "91.0% (87.8–93.4)"),
        ("2 · lr 0.5", 0.92, "90.0% (86.7–92.6)"),
    ]
    assert said(race, single) == (
        "2 · lr 0.5 is better by validation: 92.0% against 90.0% of 1 · lr 1.0. On the test 2 · lr 0.5 has "
        "90.0% (86.7–92.6), 1 · lr 1.0 91.0% (87.8–93.4): the 95 % intervals overlap, so the difference may be chance."
    )


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        pytest.param((0.9, 0.95), (0.8, 0.7), "the 95 % intervals lie apart, more than chance.", id="more than chance"),
        pytest.param((0.9, 0.7), (0.8, 0.95), "against the choice, which stays with validation.", id="the other way"),
        pytest.param((0.9, 0.9), (0.9, 0.9), "1 · lr 0.5 and 2 · lr 0.5 are level by validation: 90.0%.", id="level"),
    ],
)
def test_the_test_is_reported_and_chooses_nothing(home: LabHome, first, second, words) -> None:
    assert words in said(*(make(home, SINGLE, *learned("0.5", *each)) for each in (first, second)))


def test_what_cannot_be_compared_is_not_called_better(home: LabHome) -> None:
    run = make(home, SINGLE, *learned("0.5", 0.9, 0.9))
    mixed = make(home, MnistSpec(), dataset=None)
    assert said(run, mixed) == "These runs are of different kinds, so none of them is called better."
    groups = compared.by_kind(compared.sides([run, mixed, run]))
    assert [[side.number for side in group] for group in groups] == [[0, 2], [1]]
    other = make(home, SINGLE, *learned("0.5", 0.8, 0.8), dataset=LAMPS._replace(root="/elsewhere"))
    assert said(run, other) == "They were validated on different photos, so none of them is called better."
    failed = make(home, SINGLE)
    assert said(run, failed) == "There is nothing to choose by. 2 · lr 0.5 has no validation figure."
    imported = ImportedSpec("The coursework", "/nowhere", ("lr 0.005",), "")
    assert "nobody knows which photos" in said(*[make(home, imported, dataset=None) for _ in range(2)])
    batches = [make(home, BatchSizeSpec(), dataset=None) for _ in range(2)]
    assert said(*batches) == "There is nothing to choose by. 1 and 2 have no validation figure."


def test_a_run_with_damaged_files_is_compared_as_far_as_it_can_be_read(home: LabHome) -> None:
    run, damaged = (make(home, SINGLE, *learned("0.5", share, 0.9)) for share in (0.9, 0.8))
    Path(damaged.folder.dataset).write_text("{")
    assert said(run, open_run(home, damaged.id)).startswith("They were validated on different photos")
    classified = make(home, BatchClassificationSpec(), Classified(1020.0, [99], [0], [0.9], [False]))
    assert said(classified, classified).startswith("There is nothing to compare")


def test_settings_that_differ_come_first(home: LabHome) -> None:
    found = compared.settings([{"Steps": "4,000", "Seed": "0"}, {"Steps": "4,000", "Seed": "1", "Folder": "/a"}])
    assert [(each.name, each.values, each.differs) for each in found] == [
        ("Seed", ("0", "1"), True),
        ("Folder", (None, "/a"), True),
        ("Steps", ("4,000", "4,000"), False),
    ]


def test_the_seconds_of_the_stages_add_up_to_those_of_the_run(home: LabHome) -> None:
    stages = [events.Stage(1012.0, "Loading", 0), events.Stage(1015.0, "Training", 10)]
    again = [events.Stage(1020.0, "Loading", 0), events.Stage(1021.0, "Training", 10)]  # with a smaller batch
    run = make(home, MnistSpec(), *stages, *again, dataset=None)
    assert run.stage_seconds == [("Starting", 2.0), ("Loading", 4.0), ("Training", 84.0)]
    assert sum(seconds for _, seconds in run.stage_seconds) == run.seconds == 90.0
