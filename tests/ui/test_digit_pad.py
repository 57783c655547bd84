"""What the networks say of a drawing, in words, bars and pictures."""

import io

import altair as alt
import numpy as np
import pytest
from PIL import Image

from engine.models.classifier import DigitAnswer
from ui.playground import digit_pad

LABELS = [str(digit) for digit in range(10)]
TITLES = {"beginner": "Beginner", "small": "Small", "strong": "Strong"}


def answers(**says):
    """What each network is 91 % sure of."""
    return [
        DigitAnswer(lane, [0.91 if digit == at else 0.01 for at in range(10)], 1e-5, "LiteRT", "CPU")
        for lane, digit in says.items()
    ]


@pytest.mark.parametrize(
    "says, truth, words",
    [
        ({"beginner": 7}, None, "**Beginner says 7.**"),
        ({"beginner": 7, "small": 7}, None, "**Both networks say 7.**"),
        ({"beginner": 7, "small": 7, "strong": 7}, 7, "**All 3 networks say 7.** It is labelled 7: 3 networks right."),
        ({"beginner": 1, "small": 7, "strong": 7}, None, "**2 of 3 networks say 7.** Beginner says 1."),
        ({"beginner": 1, "small": 7}, None, "**The networks disagree.** Beginner says 1. Small says 7."),
        ({"beginner": 1, "small": 1}, 7, "**Both networks say 1.** It is labelled 7: no network right."),
    ],
)
def test_what_the_networks_say_is_a_sentence(says, truth, words):
    assert digit_pad.verdict(answers(**says), TITLES, LABELS, truth) == words


@pytest.mark.parametrize("dark", [False, True])
def test_ten_bars_stand_in_the_order_of_the_classes_with_every_label(dark):
    probabilities = [0.0005, 0.9, 0.05] + [0.007] * 7
    spec = digit_pad.ten_bars(probabilities, LABELS, dark)
    alt.Chart.from_dict(spec)  # raises SchemaValidationError
    rows = spec["data"]["values"]
    assert [row["label"] for row in rows] == LABELS
    assert [row["value"] for row in rows] == probabilities
    assert [row["label"] for row in rows if row["best"]] == ["1"]
    assert rows[0]["words"] == "<0.1%"
    assert spec["layer"][0]["encoding"]["y"]["axis"]["labelOverlap"] is False


def test_an_enlarged_picture_is_black_on_white_and_every_pixel_a_sharp_square():
    pixels = np.zeros((28, 28), np.uint8)
    pixels[3, 5] = 255
    with Image.open(io.BytesIO(digit_pad.enlarged(pixels))) as image:
        shown = np.asarray(image)
    assert shown.shape == (340, 340, 3)
    square = shown[2 + 3 * 12 : 2 + 4 * 12, 2 + 5 * 12 : 2 + 6 * 12]
    assert (square == 0).all()
    inside = shown[2:-2, 2:-2]
    assert (inside == 255).all(axis=2).sum() == 336**2 - 144
    with Image.open(io.BytesIO(digit_pad.enlarged(pixels, cross=True))) as image:
        red = (np.asarray(image) == (0xC5, 0x30, 0x3F)).all(axis=2)
    rows, columns = np.nonzero(red)
    assert abs(rows.mean() - (2 + 14 * 12 + 6)) <= 1  # the middle of row 14
    assert abs(columns.mean() - (2 + 14 * 12 + 6)) <= 1


@pytest.mark.parametrize("seconds, words", [(7e-6, "0.007 ms"), (0.00043, "0.43 ms"), (0.012, "12 ms")])
def test_times_of_small_networks_are_never_zero(seconds, words):
    assert digit_pad._milliseconds(seconds) == words
