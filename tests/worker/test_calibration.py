"""Scores held against what is known of the numbers they were drawn from."""

import os

import numpy as np
import pytest

from engine.contract.dataset import Photo
from engine.contract.run_folder import LabHome, read_json
from engine.worker.learning import calibration, heads


def softmax(logits):
    share = np.exp(logits - logits.max(axis=1, keepdims=True))
    return share / share.sum(axis=1, keepdims=True)


def drawn(temperature, photos=4000, classes=5, seed=0):
    """(photos, classes) float32 and truth, drawn so that the right temperature is the given one."""
    random = np.random.RandomState(seed)
    honest = random.randn(photos, classes) * 2
    truth = np.array([random.choice(classes, p=row) for row in softmax(honest)])
    return softmax(honest * temperature).astype(np.float32), truth


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5, 8.0])
def test_the_temperature_that_numbers_were_drawn_with_is_found(temperature):
    probabilities, truth = drawn(temperature)
    found = calibration.fit(probabilities, truth)
    assert found == pytest.approx(temperature, rel=0.06)
    right = calibration.calibrated(probabilities, found)
    assert (right.argmax(axis=1) == probabilities.argmax(axis=1)).all()
    assert right.sum(axis=1) == pytest.approx(1)
    columns, error = calibration.reliability(right, truth)
    assert error < 0.03
    assert sum(columns["photos"]) == 4000
    if temperature == 8.0:
        assert calibration.reliability(probabilities, truth)[1] > 0.2


def cross_entropy(probabilities, truth):
    count, classes = probabilities.shape
    wanted = np.full((count, classes), 1.0 / (count + 2) / (classes - 1))
    wanted[np.arange(count), truth] = (count + 1.0) / (count + 2)
    return -(wanted * np.log(probabilities)).sum(axis=1).mean()


@pytest.mark.parametrize("seed", range(3))
def test_no_other_temperature_has_a_smaller_cross_entropy(seed):
    probabilities, truth = drawn(3.0, photos=40, seed=seed)
    found = calibration.fit(probabilities, truth)
    best = cross_entropy(calibration.calibrated(probabilities, found), truth)
    for other in np.geomspace(0.05, 50, 200):
        assert best <= cross_entropy(calibration.calibrated(probabilities, other), truth) + 1e-9


@pytest.mark.parametrize(
    "probabilities, truth",
    [
        pytest.param([[0.9, 0.1], [0.2, 0.8]], [0, 1], id="two photos, both right"),
        pytest.param([[1.0, 0.0], [0.0, 1.0]], [0, 1], id="certain and right"),
        pytest.param([[1.0, 0.0], [0.0, 1.0]], [1, 0], id="certain and wrong"),
        pytest.param([[0.5, 0.5]], [1], id="one photo, no opinion"),
        pytest.param([[1.0], [1.0]], [0, 0], id="one class"),
    ],
)
def test_few_photos_never_make_anything_certain(probabilities, truth):
    probabilities = np.array(probabilities, np.float32)
    found = calibration.fit(probabilities, np.array(truth))
    assert calibration.COLDEST <= found <= calibration.HOTTEST
    scores = calibration.calibrated(probabilities, found)
    assert np.isfinite(scores).all()
    assert probabilities.shape[1] == 1 or scores.max() < 0.9


@pytest.mark.parametrize("photos, score", [(1, 2 / 3.0), (2, 3 / 4.0), (8, 9 / 10.0), (98, 99 / 100.0)])
def test_photos_that_are_all_answered_right_are_as_sure_as_one_more_of_two_more(photos, score):
    """Platt 1999: of N photos (N + 1) / (N + 2); logits that all differ by 4 can be brought there exactly."""
    wrong = 1 / (1 + np.exp(4.0))
    probabilities = np.array([[1 - wrong, wrong]] * photos, np.float64)
    found = calibration.fit(probabilities, np.zeros(photos, int))
    assert calibration.calibrated(probabilities, found)[0] == pytest.approx([score, 1 - score], abs=1e-5)
    assert found == pytest.approx(4.0 / np.log(score / (1 - score)), rel=1e-4)


def test_the_doubt_is_shared_by_the_other_classes_alike():
    """(N + 1) / (N + 2) for the right one of four classes, a third of the rest for each of the others."""
    logits = np.array([3.0, 0, 0, 0])
    probabilities = np.exp(logits) / np.exp(logits).sum()
    found = calibration.fit(np.array([probabilities] * 4), np.zeros(4, int))
    assert calibration.calibrated(probabilities, found) == pytest.approx([5 / 6.0] + [1 / 18.0] * 3, abs=1e-5)


def test_bins_hold_their_upper_edge_and_empty_ones_say_nothing():
    probabilities = np.array([[0.5, 0.5], [0.6, 0.4], [0.61, 0.39], [1.0, 0.0], [1.0, 0.0]], np.float64)
    columns, error = calibration.reliability(probabilities, np.array([0, 1, 0, 0, 1]))
    assert columns["photos"] == [0, 0, 0, 0, 1, 1, 1, 0, 0, 2]
    assert columns["right"] == [None, None, None, None, 1.0, 0.0, 1.0, None, None, 0.5]
    assert columns["confidence"][9] == 1.0
    assert error == pytest.approx((0.5 + 0.6 + 0.39 + 1.0) / 5)


def test_the_thresholds_leave_out_a_twentieth_of_the_validation_split():
    random = np.random.RandomState(1)
    scores, distances = random.random_sample((2, 1000))
    later_scores, later_distances = random.random_sample((2, 800))
    rule = calibration.none_of_these(scores, later_scores, distances, later_distances)
    beyond = (scores < rule["score"]) | (distances > rule["distance"])
    assert beyond.sum() == rule["validation_alarms"]
    assert 40 <= rule["validation_alarms"] <= 50
    later = (later_scores < rule["score"]) | (later_distances > rule["distance"])
    assert (rule["false_alarms"], rule["photos"]) == (later.sum(), 800)
    assert (scores < rule["score"]).sum() == (distances > rule["distance"]).sum()

    alone = calibration.none_of_these(scores, later_scores, None, None)
    assert alone["distance"] is None
    assert alone["validation_alarms"] == 50

    few = calibration.none_of_these(scores[:6], later_scores[:6], distances[:6], later_distances[:6])
    assert few["validation_alarms"] == 0
    assert few["score"] == scores[:6].min()


def test_distances_are_the_cosine_s_in_blocks_as_at_once():
    random = np.random.RandomState(2)
    some = random.random_sample((calibration.BLOCK + 3, 8)).astype(np.float32)
    others = random.random_sample((2 * calibration.BLOCK + 5, 8)).astype(np.float32)
    some[1], some[2] = 3 * others[-1], 0
    unit = [each / np.maximum(np.linalg.norm(each, axis=1, keepdims=True), 1e-12) for each in (some, others)]
    expected = 1 - unit[0].dot(unit[1].T)
    found = calibration.nearest(some, others)
    assert found == pytest.approx(expected.min(axis=1), abs=1e-6)
    assert found[1] < 1e-6
    assert found[2] == 1
    assert calibration.distances(some[0], others) == pytest.approx(expected[0], abs=1e-6)


def splits_of(random, training=None):
    def split(count):
        labels = random.randint(0, 3, count)
        return heads.Split((np.eye(3)[labels] * 2 + random.random_sample((count, 3))).astype(np.float32), labels)

    return {"training": training or split(90), "validation": split(60), "testing": split(40)}


def test_every_lane_is_measured_and_one_that_diverged_is_left_out(tmp_path):
    folder = LabHome(str(tmp_path)).run("a-run")
    os.makedirs(folder.artifacts)
    weights, bias = np.eye(3, dtype=np.float32) * 4, np.zeros(3, np.float32)
    lanes = {"0.5": (weights, bias), "10": (weights * np.nan, bias), "0.01": (weights * 1e-3, bias)}
    splits = splits_of(np.random.RandomState(3))
    calibration.write(folder, lanes, splits)
    said = read_json(folder.calibration)["lanes"]
    assert said["10"] is None
    assert (said["0.5"]["validation_photos"], said["0.5"]["photos"]) == (60, 40)
    assert said["0.01"]["temperature"] < 0.1 < said["0.5"]["temperature"]
    assert said["0.01"]["expected_calibration_error"] < said["0.01"]["uncalibrated_error"]
    assert 0 < said["0.5"]["none_of_these"]["distance"] < 0.2

    # Photos that are distorted while the run learns have no bottlenecks.
    distorted = heads.Split(np.arange(90), np.zeros(90, int))
    calibration.write(folder, {"0.5": (weights, bias)}, dict(splits, training=distorted))
    rule = read_json(folder.calibration)["lanes"]["0.5"]["none_of_these"]
    assert rule["distance"] is None
    assert 0 < rule["score"] < 1


class Used:
    def __init__(self, file):
        self.entry, self.sha256 = Photo(file, 1, "testing"), "ab" * 32


def test_photos_are_listed_with_what_finds_their_bottlenecks(tmp_path):
    folder = LabHome(str(tmp_path)).run("a-run")
    os.makedirs(folder.artifacts)
    calibration.write_photos(folder, [Used("red/ä.jpg")])
    assert read_json(folder.photos) == {
        "files": ["red/ä.jpg"],
        "sha256": ["ab" * 32],
        "label_of_file": [1],
        "split_of_file": ["testing"],
    }
