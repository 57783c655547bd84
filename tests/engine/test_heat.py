"""A heat map over a picture, as pixels."""

import io

import numpy as np
import pytest
from PIL import Image

from engine.models import heat


def picture(width=40, height=20, level=100) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), level, np.uint8)).save(file, "PNG")
    return file.getvalue()


def drawn(grid, **size) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(heat.overlay(picture(**size), grid)))).astype(int)


def test_the_strongest_place_is_yellow_and_nothing_is_the_picture_in_gray():
    pixels = drawn([[0, 0, 0, 0], [0, 0, 0, 0.3]])
    assert pixels.shape == (340, 680, 3)
    assert pixels[5, 5].tolist() == [100, 100, 100]
    red, green, blue = pixels[-1, -1]
    assert min(red, green) > 180
    assert blue < 90


def test_what_speaks_against_the_label_is_not_drawn():
    assert np.ptp(drawn([[-0.5, -0.1], [-0.2, 0.0]])) == 0
    assert np.ptp(drawn([[0.0, 0.0]])) == 0
    with_both = drawn([[-0.9, 0.0], [0.0, 0.0], [0.0, 0.4]])
    assert with_both[2, 2].tolist() == [100, 100, 100]


def test_numbers_that_are_none_and_a_picture_of_one_pixel_are_drawn():
    assert np.ptp(drawn([[float("nan"), float("inf")], [0, 0]])) == 0
    assert drawn([[1.0]], width=1, height=1).shape == (672, 672, 3)


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        pytest.param([[9, 0, 0], [0, 0, 0], [0, 0, 0]], "the upper left", id="a corner"),
        pytest.param([[0, 0, 0], [0, 0, 9], [0, 0, 0]], "the right", id="a side"),
        pytest.param([[0, 0, 0], [0, 0, 0], [0, 9, 0]], "the bottom", id="below"),
        pytest.param([[0, 0, 0], [0, 9, 0], [0, 0, 0]], "the middle", id="the middle"),
        pytest.param([[0.2]], "the middle", id="one place"),
        pytest.param([[0, -1], [0, 0]], "nowhere", id="nothing speaks for it"),
    ],
)
def test_where_it_is_strongest_is_said_in_words(grid, words):
    assert heat.in_words(grid) == words


def test_the_legend_goes_from_nothing_to_the_strongest():
    row = np.asarray(Image.open(io.BytesIO(heat.legend()))).astype(int)[0]
    assert row[0].tolist() == [128, 128, 128]
    brightness = row @ [0.2126, 0.7152, 0.0722]
    assert brightness[-1] > brightness[40] + 60
    assert heat.strongest([[0.1, 0.25], [-0.5, 0.0]]) == 0.25
    assert heat.data_url(b"x") == "data:image/png;base64,eA=="
