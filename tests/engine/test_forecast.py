"""What a run is expected to take, from the runs that were measured here."""

import pytest

from engine.contract import choices, events, hardware
from engine.contract.kinds.batch_size import BatchSizeSpec
from engine.contract.kinds.fine_tuning import FineTuningSpec
from engine.contract.kinds.race import RaceSpec
from engine.kinds.batch_size import forecast as sizes
from engine.kinds.fine_tuning import forecast as depths
from engine.kinds.fine_tuning.forecast import Depth
from engine.kinds.race import forecast
from engine.kinds.rows import RunRow

PHOTOS = 1000
PLAIN = RaceSpec(backbone="mobilenet_v2", steps=4000)
CROPPED = PLAIN._replace(random_crop=10)
HERE = hardware.here()
BOARD = HERE._replace(name="Jetson TX2", cores=HERE.cores + 4)


def row(**fields) -> RunRow:
    """A finished run: 100 photos/s through the backbone, a race of 4 s over 2,000 steps, 5 s of everything else."""
    usual = {
        "id": "a-run",
        "title": "",
        "short": "",
        "state": events.DONE,
        "device": "CPU",
        "accuracy": 0.9,
        "validation": 0.9,
        "curve": [],
        "seconds": 10.0 + 4.0 + 5.0,
        "started": 0.0,
        "stage": "",
        "contents": "",
        "stays": "",
        "backbone": "mobilenet_v2",
        "photos": 1000,
        "took": forecast.Took(2000, 1000, 10.0, 4.0, 0, 0),
        "kind": "retrain",
    }
    return RunRow(**(usual | fields))


# With distortions: 2,500 photos went through the backbone in 50 s of training, 50 a second; 6 s of everything else.
DISTORTED = row(seconds=60.0, took=forecast.Took(25, 200, 4.0, 50.0, 2500, 0))
HELD_OUT = 200  # of the photos, 20 %


@pytest.mark.parametrize(
    "known, spec, seconds",
    [
        pytest.param([], PLAIN, None, id="nothing measured"),
        pytest.param([row()], PLAIN, 10 + 2 * 4 + 5, id="without distortions"),
        pytest.param([row()], CROPPED, (HELD_OUT + 400_000) / 100 + 5, id="from a run without distortions"),
        pytest.param([row(), DISTORTED], CROPPED, (HELD_OUT + 400_000) / 50 + 5, id="from a run with distortions"),
        pytest.param([DISTORTED], CROPPED, (HELD_OUT + 400_000) / 50 + 6, id="from it alone"),
        pytest.param([DISTORTED, row()], PLAIN, 10 + 2 * 4 + 5, id="distorted runs say nothing of others"),
        pytest.param([DISTORTED], PLAIN, None, id="nor alone"),
        pytest.param(
            [row()],
            CROPPED._replace(train_batch_size=-1),
            (HELD_OUT + 4000 * 800) / 100 + 5,
            id="every photo each step",
        ),
        pytest.param([row(device="GPU")], CROPPED, None, id="another device"),
        pytest.param([row(hardware=HERE)], PLAIN, 10 + 2 * 4 + 5, id="this machine, said so"),
        pytest.param([row(hardware=BOARD)], PLAIN, None, id="another machine"),
        pytest.param([row(backbone="efficientnet_lite0")], CROPPED, None, id="another backbone"),
        pytest.param(
            [row(took=forecast.Took(2000, 0, 0.0, 4.0, 0, 0)), row(state=events.CANCELLED)],
            CROPPED,
            None,
            id="nothing that was computed",
        ),
    ],
)
def test_a_run_is_expected_to_take_what_its_parts_took_here(known, spec, seconds):
    expected = forecast.seconds(known, spec, PHOTOS)
    assert expected == (None if seconds is None else pytest.approx(seconds))


# 1,000 photos: 10 s before the depths, then for each 6 s of starting, 2 and 8 s an epoch, 4 and 5 s of the rest.
TUNED = row(
    kind="fine_tune",
    took=depths.Took(10.0, (Depth(0, 6.0, 2.0, 4.0), Depth(choices.ALL_BLOCKS, 6.0, 8.0, 5.0))),
)
TRIED = row(kind="batch_size", took=sizes.Took(2, 7), seconds=70.0)


@pytest.mark.parametrize(
    "known, blocks, seconds",
    [
        pytest.param([row(), TRIED], (0,), None, id="nothing of this kind"),
        pytest.param([TUNED], (0, 2), None, id="a depth that was never measured"),
        pytest.param([TUNED], (0,), 5 + 6 + (3 * 2 + 4) / 2, id="one of its depths"),
        pytest.param([row(), TUNED], (0, -1), 5 + 6 + (3 * 2 + 4) / 2 + 6 + (3 * 8 + 5) / 2, id="both"),
    ],
)
def test_how_long_fine_tuning_takes_is_known_from_the_same_depths(known, blocks, seconds):
    spec = FineTuningSpec(blocks=blocks, epochs=3)
    found = depths.expected(known, spec, 500)
    assert (found.seconds if found else None) == (None if seconds is None else pytest.approx(seconds))


def test_how_long_batch_sizes_take_is_known_from_a_run_of_the_same_depth():
    spec = BatchSizeSpec(blocks=2, largest=48)  # 1, 2, 4, 8, 16, 32, 48
    assert sizes.expected([TUNED, TRIED], spec).seconds == pytest.approx(70)
    assert sizes.expected([TUNED, TRIED], spec._replace(blocks=4)) is None
    assert sizes.expected([], spec) is None
