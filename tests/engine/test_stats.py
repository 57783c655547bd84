import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from engine.stats import confusion, mcnemar, per_class, wilson


@pytest.mark.parametrize("correct, n", [(0, 10), (10, 10), (336, 373), (1, 2), (1480, 1484)])
def test_the_interval_is_scipys_wilson_interval(correct, n):
    expected = binomtest(correct, n).proportion_ci(0.95, method="wilson")
    assert wilson(correct, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_no_photos_say_nothing():
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.fixture
def answers():
    rng = np.random.default_rng(7)
    truth = rng.integers(0, 5, 400)
    predicted = np.where(rng.random(400) < 0.8, truth, rng.integers(0, 4, 400))  # class 4 is rarely predicted
    return truth, predicted


def test_the_confusion_matrix_is_scikit_learns(answers):
    truth, predicted = answers
    assert (confusion(truth, predicted, 5) == confusion_matrix(truth, predicted, labels=range(5))).all()


def test_precision_and_recall_are_scikit_learns(answers):
    truth, predicted = answers
    precision, recall, _, photos = precision_recall_fscore_support(truth, predicted, labels=range(5))
    rows = per_class(confusion(truth, predicted, 5))
    assert [row.precision for row in rows] == pytest.approx(list(precision))
    assert [row.recall for row in rows] == pytest.approx(list(recall))
    assert [row.photos for row in rows] == list(photos)


def test_a_class_without_photos_has_no_recall_and_one_never_predicted_no_precision():
    rows = per_class(confusion([0, 0, 1], [0, 2, 0], 3))
    assert rows[2].recall is None
    assert rows[1].precision is None


@pytest.mark.parametrize("only_first, only_second", [(0, 0), (1, 0), (5, 7), (12, 2), (900, 700)])
def test_mcnemar_is_the_exact_binomial_test_on_the_photos_where_one_is_right(only_first, only_second):
    truth = [1] * (only_first + only_second + 50)
    first = [1] * only_first + [0] * only_second + [1] * 30 + [0] * 20
    second = [0] * only_first + [1] * only_second + [1] * 30 + [2] * 20
    found = mcnemar(truth, first, second)
    differ = only_first + only_second
    expected = binomtest(only_first, differ, 0.5).pvalue if differ else 1.0
    assert (found.only_first, found.only_second) == (only_first, only_second)
    assert found.p == pytest.approx(expected, abs=1e-9)
