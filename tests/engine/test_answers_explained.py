"""What the resident classifier says about its own answers: real process, real weights."""

import io
import sys

import numpy as np
import pytest
from PIL import Image, ImageDraw

from engine.errors import ClassifierError
from engine.models import heat
from engine.models.classifier import Classifier
from tests.assets_home import with_assets


@pytest.fixture(scope="module")
def classifier():
    resident = Classifier(with_assets("mobilenet_v2", "imagenet_names"), sys.executable)
    yield resident
    resident.close()


@pytest.fixture(scope="module")
def ball() -> bytes:
    """An orange ball in the upper right of a meadow."""
    random = np.random.RandomState(0)
    meadow = random.randint(20, 60, (150, 200, 3))
    meadow[..., 1] += 80
    image = Image.fromarray(meadow.astype(np.uint8))
    ImageDraw.Draw(image).ellipse([130, 15, 185, 70], fill=(240, 120, 20))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def test_an_occlusion_map_is_drawn_over_what_the_model_sees(classifier, ball):
    answer = classifier.classify("mobilenet_v2", ball)
    found = classifier.occlusion("mobilenet_v2", ball)
    assert (found.label, found.score) == (answer.top[0][0], pytest.approx(answer.top[0][1], abs=1e-6))
    assert found.seen_png == answer.seen_png
    assert 3 <= len(found.grid) == len(found.grid[0]) <= 16
    assert found.seconds > 0
    assert Image.open(io.BytesIO(heat.overlay(found.seen_png, found.grid))).size == (672, 672)
    second = answer.top[1][0]
    assert classifier.occlusion("mobilenet_v2", ball, second).label == second


def test_wrong_settings_stand_beside_the_usual_one(classifier, ball):
    rows = classifier.skew("mobilenet_v2", ball)
    assert [row.is_usual for row in rows].count(True) == 1
    assert rows[0].top == classifier.classify("mobilenet_v2", ball).top
    assert "BGR in place of RGB" in [row.name for row in rows]
    assert all(Image.open(io.BytesIO(row.seen_png)).size == (224, 224) for row in rows)


def test_what_cannot_be_explained_is_said_and_the_next_question_is_answered(classifier, ball):
    with pytest.raises(ClassifierError, match="did not learn in the lab"):
        classifier.neighbours("mobilenet_v2", ball)
    with pytest.raises(ClassifierError, match="no label 'unicorn'"):
        classifier.occlusion("mobilenet_v2", ball, "unicorn")
    with pytest.raises(ClassifierError, match="This picture cannot be used"):
        classifier.skew("mobilenet_v2", b"<svg/>")
    with pytest.raises(ClassifierError, match="There is no finished model"):
        classifier.outlier("gone", ball)
    assert classifier.classify("mobilenet_v2", ball).score_calibrated is None
