"""A learning curve: which photos a size is made of, what is left out, and a whole run on bottlenecks that are known."""

import os
from collections import OrderedDict

import numpy as np
import pytest

from engine.contract import catalog, events
from engine.contract.kinds.learning_curve import (
    ALL_PHOTOS,
    STAGES,
    LearningCurvePoint,
    LearningCurveResult,
    LearningCurveSpec,
)
from engine.worker import backbones
from engine.worker.features import bottlenecks
from engine.worker.learning_curve import trainings as learning_curve
from tests.worker.test_run import Worker, only, read_text, told, wait_for

SPEC = LearningCurveSpec(sizes=(2, 4, 100), seeds=2, steps=40, train_batch_size=10)


def known(home, photos, seed=0):
    """Puts invented bottlenecks of the photos into the cache, one place for each class and noise as large."""
    network = backbones.load(home, catalog.backbone("mobilenet_v2"))
    cache = bottlenecks.Cache(home.bottlenecks, bottlenecks.key(network), network.row.width)
    random = np.random.RandomState(seed)
    paths = [os.path.join(photos.root, photo.file) for photo in photos.photos]
    prints = bottlenecks.fingerprints(paths, 2, lambda done: None, lambda: False)
    vectors = OrderedDict()
    for photo, sha256 in zip(photos.photos, prints):
        vectors[sha256] = random.standard_normal(network.row.width).astype(np.float32)
        vectors[sha256][photo.label] += 20
    cache.write(vectors)
    cache.close()


def test_a_larger_size_holds_the_smaller_ones_and_every_seed_has_its_own():
    labels = np.repeat([0, 1, 2], [30, 8, 50])
    sizes = [5, 10, 20, ALL_PHOTOS]
    chosen = [learning_curve.subset(labels, size, 7) for size in sizes]
    for smaller, larger in zip(chosen, chosen[1:]):
        assert set(smaller) < set(larger)
    assert [np.bincount(labels[places]).tolist() for places in chosen] == [
        [5, 5, 5],
        [10, 8, 10],
        [20, 8, 20],
        [30, 8, 50],
    ]
    assert chosen[1].tolist() == learning_curve.subset(labels, 10, 7).tolist()
    assert set(chosen[0]) != set(learning_curve.subset(labels, 5, 8))
    # Another class more, or fewer photos of it, changes nothing for the others.
    fewer = learning_curve.subset(labels[:38], 10, 7)
    assert fewer.tolist() == [place for place in chosen[1] if place < 38]


@pytest.mark.parametrize(
    "counts, used, sentences",
    [
        pytest.param([80, 90, 120], [5, 50], [], id="all have enough"),
        pytest.param(
            [30, 30, 30],
            [5],
            [
                "50 photos per class is left out: no class has more than 30 to learn from, and those are measured as "
                "all photos."
            ],
            id="none has more",
        ),
        pytest.param(
            [80, 34, 90],
            [5, 50],
            ["At 50 photos per class some classes give all that they have to learn from: b has 34."],
            id="one has fewer",
        ),
        pytest.param(
            [4, 3, 2, 60, 1],
            [5, 50],
            [
                "At 5 and 50 photos per class some classes give all that they have to learn from: e has 1, c has 2, b "
                "has 3, 1 more class has up to 4."
            ],
            id="many have fewer",
        ),
        pytest.param(
            [1, 1, 1],
            [],
            [
                "5 and 50 photos per class are left out: no class has more than 1 to learn from, and those are "
                "measured as all photos."
            ],
            id="hardly any",
        ),
    ],
)
def test_sizes_that_the_classes_do_not_have_are_said(counts, used, sentences):
    plan = learning_curve.planned((50, 5), np.array(counts), "abcde"[: len(counts)])
    assert plan.sizes == used + [ALL_PHOTOS]
    assert plan.remarks == sentences


def test_a_run_on_known_bottlenecks_tests_every_size_on_the_same_photos_without_tensorflow(home, photos):
    known(home, photos)
    worker = Worker(home)
    try:
        folder, process = worker.launch(SPEC, photos)
        assert process.wait() == 0, read_text(folder.log)
        # What was measured before a cancel stays.
        cancelled, process = worker.launch(SPEC._replace(steps=2000), photos)
        wait_for(lambda: only(told(cancelled), LearningCurvePoint))
        open(cancelled.cancel, "w").close()
        assert process.wait() == 130, read_text(cancelled.log)
    finally:
        worker.end()
    story = told(folder)
    assert [stage.name for stage in only(story, events.Stage)] == list(STAGES)
    points = only(story, LearningCurvePoint)
    assert [(point.size, point.seed, point.photos) for point in points] == [
        (2, 0, 6),
        (2, 1, 6),
        (4, 0, 12),
        (4, 1, 12),
        (ALL_PHOTOS, 0, 24),
        (ALL_PHOTOS, 1, 24),
    ]
    assert {point.test_n for point in points} == {6}
    assert all(0 <= point.correct <= 6 and not point.diverged for point in points)
    assert points[-1].correct == 6
    assert [warning.message.split(":")[0] for warning in only(story, events.Warning)] == [
        "100 photos per class is left out"
    ]
    result = only(story, LearningCurveResult)[0]
    assert (result.training, result.validation, result.testing) == (24, 6, 6)
    # Nothing was computed, so nothing that computes was loaded: TensorFlow alone takes 200 MB.
    assert (result.cached, result.computed, result.runtime) == (36, 0, "")
    assert result.peak_memory_bytes < 150e6
    assert only(story, events.Progress)[-1].done == 6 * SPEC.steps
    assert 1 <= len(only(told(cancelled), LearningCurvePoint)) < 6
    assert only(told(cancelled), LearningCurveResult) == []
