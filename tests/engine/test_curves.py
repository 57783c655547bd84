import math
import statistics

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as some

from engine.contract.kinds.race import LaneResult, RaceResult
from engine.kinds.race.curves import LaneRow, Plateau, lane_rows, plateau, spread, verdict
from engine.runs import Curve, Story
from engine.stats import smooth, thin


@given(some.lists(some.floats(-1e3, 1e3), min_size=1, max_size=80), some.sampled_from([0.0, 0.6, 0.9]))
def test_smoothing_is_tensorboards(values, weight):
    expected = pd.Series(values).ewm(alpha=1 - weight).mean()
    assert smooth(values, weight) == pytest.approx(list(expected), abs=1e-6)


@given(some.integers(0, 3000), some.integers(2, 500))
def test_thinning_keeps_both_ends_and_the_order(count, limit):
    kept = thin(count, limit)
    assert len(kept) <= limit
    assert kept == sorted(set(kept))
    assert not count or (kept[0], kept[-1]) == (0, count - 1)


def curve(accuracy, interval=10):
    steps = [interval * (i + 1) for i in range(len(accuracy))]
    return Curve(steps, [step / 100 for step in steps], list(accuracy), [1.0] * len(accuracy))


def test_a_plateau_begins_where_the_smoothed_accuracy_stays_within_a_point_of_its_last_500_steps():
    rising = [0.9 * (1 - math.exp(-i / 20)) for i in range(400)]
    found = plateau(curve(rising), diverged=False)
    smoothed = pd.Series(rising).ewm(alpha=0.1).mean()
    end = smoothed[-50:].mean()
    first = max(i for i in range(400) if abs(smoothed[i] - end) > 0.01) + 1
    assert found == Plateau(step=10 * (first + 1), seconds=(first + 1) / 10)


def test_a_curve_that_leaves_the_band_for_a_while_has_its_plateau_after_that():
    dip = [0.9] * 200 + [0.5] * 20 + [0.9] * 180
    found = plateau(curve(dip), diverged=False)
    assert found.step > 2200


@pytest.mark.parametrize(
    "values, diverged",
    [
        pytest.param([0.9] * 100, True, id="diverged"),
        pytest.param([], False, id="no evaluation yet"),
        pytest.param([i / 100 for i in range(100)], False, id="still rising"),
    ],
)
def test_no_plateau(values, diverged):
    assert plateau(curve(values), diverged) is None


def test_spread_is_the_standard_deviation_of_the_last_500_steps():
    values = [0.1] * 100 + [0.8, 0.9] * 25
    assert spread(curve(values)) == pytest.approx(statistics.stdev([0.8, 0.9] * 25))
    assert spread(curve([0.5])) is None
    assert spread(Curve()) is None


def test_lanes_come_by_validation_and_the_test_figure_decides_nothing():
    told = Story()
    told.tell(LaneResult(1.0, "0.005", 0.99, 100, 0.80, 0.4, 0.82, 100, False))
    told.tell(LaneResult(1.0, "0.5", 0.70, 100, 0.90, 0.4, 0.92, 100, False))
    told.tell(LaneResult(1.0, "10.0", 0.2, 100, 0.95, None, 0.95, 10, True))
    rows = lane_rows(told, ["0.005", "0.5", "10.0"])
    assert [row.lane for row in rows] == ["0.5", "0.005", "10.0"]
    assert [row.number for row in rows] == [1, 0, 2]  # colours stay those of creation


def row(lane, validation, **changes):
    usual = {"number": 0, "kept": False, "diverged": False, "plateau": None, "spread": None, "best_step": 10}
    usual |= {"test_accuracy": 0.9, "test_low": 0.8, "test_high": 0.95, "test_n": 8}
    usual |= {"best_validation_accuracy": validation, "validation_cross_entropy": 0.3}
    return LaneRow(lane=lane, validation_accuracy=validation, **(usual | changes))


def predictions(first_wrong, second_wrong, n=40):
    lanes = {
        "0.5": {"predicted": [int(i < first_wrong) for i in range(n)]},
        "1.0": {"predicted": [int(n - 1 - i < second_wrong) for i in range(n)]},
    }
    return {"truth": [0] * n, "lanes": lanes}


@pytest.mark.parametrize(
    "first_wrong, second_wrong, words",
    [
        pytest.param(3, 4, "(4 to 3), no more than chance (McNemar p = 1.00)", id="chance"),
        pytest.param(0, 12, "(12 to 0), more than chance (McNemar p < 0.001)", id="the kept one is better"),
        pytest.param(12, 0, "against the choice, which stays with validation", id="the kept one is worse"),
        pytest.param(0, 0, "both get the same ones right", id="equal"),
    ],
)
def test_the_verdict_says_whether_the_difference_is_larger_than_chance(first_wrong, second_wrong, words):
    rows = [row("0.5", 0.92, kept=True), row("1.0", 0.91)]
    found = verdict(rows, predictions(first_wrong, second_wrong))
    assert found.conclusion == "Keep lr 0.5: 92.0% of the validation photos right at the end."
    assert words in found.reasons


def test_between_equal_lanes_the_validation_loss_decides_and_the_verdict_says_so():
    told = Story()
    for lane, entropy in (("0.005", 0.30), ("0.5", 0.20), ("1.0", None)):
        told.tell(LaneResult(1.0, lane, 0.9, 100, 0.9, entropy, 0.92, 100, False))
    rows = lane_rows(told, ["0.005", "0.5", "1.0"])
    assert [row.lane for row in rows] == ["0.5", "0.005", "1.0"]
    assert verdict(rows, None).reasons == "lr 0.005 gets as many right, with a higher validation loss."


def test_a_kept_lane_that_is_less_accurate_by_chance_alone_says_why_it_was_kept():
    told = Story()
    for lane, accuracy, entropy in (("0.005", 0.87, 0.43), ("1.0", 0.90, 2.10)):
        told.tell(LaneResult(1.0, lane, 0.9, 70, accuracy, entropy, 0.95, 100, False))
    told.tell(RaceResult(1.0, "0.005", *[0] * 11, "LiteRT", 0, None, None))
    found = verdict(lane_rows(told, ["0.005", "1.0"]), None)
    assert found.conclusion.startswith("Keep lr 0.005: 87.0%")
    assert "lr 1.0 has 90.0%, no more than chance" in found.reasons
    assert "a validation loss of 2.10 against 0.43" in found.reasons


def test_the_verdict_names_lanes_that_diverged():
    found = verdict([row("0.5", 0.92, kept=True), row("10.0", 0.2, diverged=True)], None)
    assert found.reasons == "lr 10.0 diverged."


def test_a_race_in_which_every_lane_diverged_keeps_none():
    found = verdict([row("5.0", 0.2, kept=True, diverged=True), row("10.0", 0.2, diverged=True)], None)
    assert found.conclusion == "No rate is worth keeping."
