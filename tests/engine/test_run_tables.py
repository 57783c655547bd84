"""Tables of runs: each figure stands in its own column, in its own unit. Rows of figures in, words out.

Every figure of a row differs from every other, so that no two can change places.
"""

import numpy as np
import pytest
from sklearn.metrics import precision_score, recall_score

from engine.contract.kinds.batch_size import BatchTried
from engine.kinds import results
from engine.kinds.batch_size import tables as batch_size_tables
from engine.kinds.fine_tuning import tables as fine_tuning_tables
from engine.kinds.fine_tuning.depths import DepthRow, Difference
from engine.kinds.learning_curve import tables as learning_curve_tables
from engine.kinds.learning_curve.photo_counts import Gain, SizeRow
from engine.kinds.mnist import tables as mnist_tables
from engine.kinds.mnist.comparison import NetworkRow
from engine.kinds.race import tables as race_tables
from engine.kinds.race.curves import LaneRow, Plateau
from engine.kinds.race.device_comparison import Half

LANE = LaneRow(
    lane="0.5", number=1, kept=True, diverged=False, test_accuracy=0.9142, test_low=0.8817, test_high=0.9389,
    test_n=1373, validation_accuracy=0.7211, validation_cross_entropy=0.31, best_validation_accuracy=0.9531,
    best_step=3210, plateau=Plateau(1450, 17.26), spread=0.3127,
)  # fmt: skip
NETWORK = NetworkRow(
    lane="small", title="Small", number=2, parameters=101_770, multiply_adds=2_345_678, epochs=2.5, train_seconds=64.4,
    images_per_second=48_765.4, image_seconds=0.000064, test_accuracy=0.98765, test_low=0.98531, test_high=0.98962,
    test_n=10_000, wrong=1_234, validation_accuracy=0.9, best_epoch=4, stopped=False, difference=1e-7,
)  # fmt: skip
DEPTH = DepthRow(
    lane="last_2", title="Last 2 blocks", number=1, parameters=731_000, peak_memory_bytes=1_260_000_000,
    epoch_seconds=8.54, batch_size=1032, at_once=16, validation_accuracy=0.8812, validation_n=60, test_accuracy=0.8633,
    test_low=0.7914, test_high=0.9133, test_n=120, diverged=False, against=Difference(-0.021, -0.05, 0.009, 120),
)  # fmt: skip
HALF = Half(
    run=None, name="GPU", lane="0.5", seconds=83.0, bottleneck_seconds=41.3, training_seconds=7.25,
    images_per_second=19.84, plateau=Plateau(2750, 13.37), accuracy=0.9234, joules=612.4, peak_memory=1_470_000_000,
)  # fmt: skip


def words(rows: list[dict[str, str | None]]) -> list[list[str | None]]:
    """The rows of a table by position: what its columns are called is said below."""
    assert len({tuple(row) for row in rows}) <= 1
    return [list(row.values()) for row in rows]


def test_a_row_of_a_race() -> None:
    other = LANE.__class__(**vars(LANE) | {"kept": False, "lane": "1.0", "plateau": None, "spread": None})
    diverged = other.__class__(**vars(other) | {"diverged": True, "lane": "10.0"})
    late = LANE.__class__(**vars(LANE) | {"diverged": True})
    figures = ["91.4% (88.2–93.9%, N=1,373)", "95.3%", "3,210"]
    assert words(race_tables.lanes([LANE, other, diverged, late])) == [
        ["lr 0.5 · kept", *figures, "1,450", "17.3 s", "±31.3 pt"],
        ["lr 1.0", *figures, None, None, None],
        ["lr 10.0", *figures, "diverged", None, None],
        ["lr 0.5 · kept", *figures, "diverged", "17.3 s", "±31.3 pt"],
    ]
    calm = LANE.__class__(**vars(LANE) | {"spread": 0.0})
    assert words(race_tables.lanes([calm]))[0][-1] == "±0.0 pt"  # no spread at all is a figure too


def test_a_row_of_a_comparison() -> None:
    stopped = NETWORK.__class__(**vars(NETWORK) | {"stopped": True, "image_seconds": None, "best_epoch": 0})
    figures = ["98.77% (98.53–98.96)", "1,234", "1m 04s", "48,765"]
    assert words(mnist_tables.networks([NETWORK, stopped])) == [
        ["Small", *figures, "0.06 ms", "101,770", "2,345,678", "4"],
        ["Small · stopped", *figures, None, "101,770", "2,345,678", None],
    ]
    assert list(mnist_tables.networks([NETWORK])[0])[2] == "Wrong of 10,000"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.000999, "1.00 ms"), (0.001, "1.0 ms"), (0.0014, "1.4 ms"), (0.021, "21.0 ms"), (1.5, "1500.0 ms")],
)
def test_the_time_for_one_image_is_in_milliseconds(seconds: float, said: str) -> None:
    row = NETWORK.__class__(**vars(NETWORK) | {"image_seconds": seconds})
    assert words(mnist_tables.networks([row]))[0][5] == said


def test_a_row_of_fine_tuning() -> None:
    first = DEPTH.__class__(**vars(DEPTH) | {"title": "Frozen", "against": None, "at_once": 1032, "parameters": 6405})
    diverged = DEPTH.__class__(**vars(DEPTH) | {"diverged": True})
    figures = ["86.3% (79.1–91.3%)"]
    rest = ["88.1%", "731,000", "1.3 GB", "8.5 s", "16 of 1,032"]
    assert words(fine_tuning_tables.depths([DEPTH, first, diverged])) == [
        ["Last 2 blocks", *figures, "−2.1 pt (−5.0 to +0.9)", *rest],
        ["Frozen", *figures, None, "88.1%", "6,405", "1.3 GB", "8.5 s", "1,032"],
        ["Last 2 blocks", *figures, "diverged", *rest],
    ]


def test_a_row_of_batch_sizes() -> None:
    fits = BatchTried(1.0, 1024, True, "", 812_000_000, 41.46)
    does_not = BatchTried(2.0, 2048, False, "The memory ran out.", 0, 0.0)
    assert words(batch_size_tables.sizes([fits, does_not])) == [
        ["1,024", "yes", "812.0 MB", "41.5 images/s", None],
        ["2,048", "no", None, None, "The memory ran out."],
    ]


def test_a_row_of_a_learning_curve() -> None:
    row = SizeRow(20, 1_084, 18.5, (0.90, 0.94, 0.95), 120, Gain(0.052, 0.039, 0.065))
    alone = SizeRow(0, 2_120, 81.0, (0.957,), 120, None)
    assert words(learning_curve_tables.sizes([row, alone])) == [
        ["20", "1,084", "93.0%", "±2.6 pt", "90.0–95.0%", "+5.2 pt (+3.9 to +6.5)"],
        ["all", "2,120", "95.7%", None, "95.7–95.7%", None],
    ]
    assert np.std([90, 94, 95], ddof=1) == pytest.approx(2.6, abs=0.05)


def test_a_row_of_a_comparison_of_devices() -> None:
    nothing = dict.fromkeys(
        ("seconds", "bottleneck_seconds", "training_seconds", "images_per_second", "plateau", "accuracy", "joules",
         "peak_memory")
    )  # fmt: skip
    running = HALF.__class__(**vars(HALF) | nothing | {"name": "CPU"})
    assert words(race_tables.halves([running, HALF])) == [
        ["CPU", None, None, None, None, None, None, None, None, None],
        ["GPU", "1m 23s", "41 s", "19.8", "7.2 s", "2,750", "13.4 s", "92.3%", "612 J", "1.5 GB"],
    ]
    unmeasured = HALF.__class__(**vars(HALF) | {"joules": None})
    assert words(race_tables.halves([running, unmeasured])) == [
        ["CPU", None, None, None, None, None, None, None, None],
        ["GPU", "1m 23s", "41 s", "19.8", "7.2 s", "2,750", "13.4 s", "92.3%", "1.5 GB"],
    ]


@pytest.mark.parametrize(
    ("joules", "said"),
    [(0.0, "0 J"), (3599.4, "3599 J"), (3600.0, "1.0 Wh"), (5400.0, "1.5 Wh"), (3_600_000.0, "1000.0 Wh")],
)
def test_energy_is_in_joules_and_from_a_watt_hour_on_in_those(joules: float, said: str) -> None:
    row = HALF.__class__(**vars(HALF) | {"joules": joules})
    assert words(race_tables.halves([row]))[0][8] == said


def test_recall_is_the_share_of_a_class_and_precision_that_of_an_answer() -> None:
    truth = [0] * 1200 + [1] * 40 + [2] * 30
    predicted = [0] * 900 + [1] * 300 + [1] * 36 + [0] * 4 + [0] * 30  # nothing is called the third
    counts = np.zeros((4, 4), int)
    for row, column in zip(truth, predicted, strict=True):
        counts[row, column] += 1
    recall = recall_score(truth, predicted, average=None)
    precision = precision_score(truth, predicted, average=None, zero_division=np.nan)
    assert recall[0] < precision[0]
    assert precision[1] < recall[1]
    assert words(results.class_rows(counts, ["a", "b", "c", "d"], "photo")) == [
        ["a", "1,200", f"{recall[0]:.1%}", f"{precision[0]:.1%}"],
        ["b", "40", f"{recall[1]:.1%}", f"{precision[1]:.1%}"],
        ["c", "30", "0.0%", None],
        ["d", "0", None, None],
    ]
    assert [f"{recall[0]:.1%}", f"{precision[0]:.1%}"] == ["75.0%", "96.4%"]
    assert list(results.class_rows(counts, ["a", "b", "c", "d"], "image")[0])[1] == "Test images"


def test_columns_are_called() -> None:
    """The words alone; which figure stands below which is said above."""
    columns = [
        (race_tables.lanes([LANE]), "Learning rate|Test accuracy|Best validation|Best at step|Plateau at step|"
                                   "Plateau at seconds|Spread"),
        (mnist_tables.networks([NETWORK]), "Network|Test accuracy|Wrong of 10,000|Training|Images/s|Per image|"
                                         "Parameters|Multiply-adds|Best epoch"),
        (fine_tuning_tables.depths([DEPTH]), "Learns|Test accuracy|Change|Validation|Parameters|"
                                         "Peak memory|An epoch|At once"),
        (batch_size_tables.sizes([BatchTried(1.0, 8, True, "", 1, 1.0)]), "Batch size|Fits|Peak memory|Speed|Why not"),
        (learning_curve_tables.sizes([SizeRow(5, 25, 5.0, (0.9,), 9, None)]), "Photos per class|Photos learned from|"
                                 "Test accuracy|Spread of seeds|Lowest and highest|Gain"),
        (race_tables.halves([HALF]), "Device|End to end|Bottlenecks|Photos/s|Last layer|Plateau at step|"
                                    "Plateau at seconds|Test accuracy|Energy|Peak memory"),
        (results.class_rows(np.eye(1, dtype=int), ["a"], "photo"), "Class|Test photos|Recall|Precision"),
    ]  # fmt: skip
    assert ["|".join(rows[0]) for rows, _ in columns] == [said for _, said in columns]


def test_every_class_needs_its_name() -> None:
    with pytest.raises(ValueError, match="zip"):
        results.class_rows(np.eye(3, dtype=int), ["a", "b"], "photo")
