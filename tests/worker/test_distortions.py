"""Distorted photos: what each setting means, and a race that learns from them."""

import itertools
import os

import numpy as np
import pytest
from PIL import Image

from engine.contract import catalog
from engine.contract.kinds.race import RaceSpec
from engine.worker import images
from engine.worker.features import bottlenecks, distortions
from engine.worker.learning import heads
from engine.worker.reporter import RunCancelled

PLAIN = RaceSpec()
SIZE = 32


def slope():
    """Brighter to the right (red) and to the bottom (green), 0 to 200: a pixel's colours say where it was."""
    across = np.linspace(0, 200, 96).astype(np.uint8)
    pixels = np.zeros((96, 96, 3), np.uint8)
    pixels[:, :, 0], pixels[:, :, 1], pixels[:, :, 2] = across, across[:, None], 100
    return Image.fromarray(pixels)


def draws(count=400, preprocessing=catalog.PILLOW, image=None, **settings):
    """(count, size, size, 3) float32"""
    image, spec = image or slope(), PLAIN._replace(**settings)
    randoms = [np.random.RandomState([0, 4, 1, position]) for position in range(count)]
    return np.stack([distortions.distort(image, SIZE, spec, random, preprocessing) for random in randoms])


@pytest.mark.parametrize("preprocessing", [catalog.PILLOW, catalog.TENSORFLOW])
def test_with_nothing_switched_on_it_is_the_resized_photo(preprocessing):
    plain = images.resize(slope(), SIZE, preprocessing)
    drawn = draws(3, preprocessing)
    assert drawn.dtype == np.float32
    assert (drawn == plain).all()


def test_flipping_mirrors_half_of_the_photos_and_changes_nothing_else():
    plain = images.resize(slope(), SIZE).astype(np.float32)
    drawn = draws(flip_left_right=True)
    mirrored = (drawn == plain[:, ::-1]).all(axis=(1, 2, 3))
    assert (mirrored | (drawn == plain).all(axis=(1, 2, 3))).all()
    assert 0.42 < mirrored.mean() < 0.58


@pytest.mark.parametrize("preprocessing", [catalog.PILLOW, catalog.TENSORFLOW])
@pytest.mark.parametrize("crop", [10, 90])
def test_cropping_cuts_a_square_out_of_the_enlarged_photo_and_reaches_its_borders(crop, preprocessing):
    larger = int(SIZE * (1 + crop / 100.0))
    whole = images.resize(slope(), larger, preprocessing).astype(np.float32)
    places = set()
    for cut in draws(60 if crop == 90 else 200, preprocessing, random_crop=crop):
        fits = [
            (top, left)
            for top in range(larger - SIZE + 1)
            for left in range(larger - SIZE + 1)
            if (whole[top : top + SIZE, left : left + SIZE] == cut).all()
        ]
        assert fits
        places.add(fits[0])
    assert len(places) > (50 if crop == 90 else 8)
    if crop == 10:  # 4 x 4 places, each is drawn
        assert {top for top, _ in places} == {left for _, left in places} == set(range(larger - SIZE + 1))


def test_scaling_shows_between_everything_and_half_of_each_side():
    drawn = draws(random_scale=100)
    span = drawn[:, :, :, 0].max(axis=(1, 2)) - drawn[:, :, :, 0].min(axis=(1, 2))  # of 0..200: how much is seen
    assert 95 <= span.min() < 110
    assert 190 < span.max() <= 200
    # The share is 1 / U[1, 2]; its mean is ln 2.
    assert abs(span.mean() / span.max() - np.log(2)) < 0.03


def test_brightness_multiplies_within_its_range_and_is_not_clipped():
    white = Image.new("RGB", (40, 40), (250, 200, 100))
    factors = draws(image=white, random_brightness=60)[:, 0, 0, :] / np.array([250, 200, 100], np.float32)
    assert np.ptp(factors, axis=1).max() < 1e-6  # all three colours alike
    assert 0.4 <= factors.min() < 0.42
    assert 1.58 < factors.max() <= 1.6  # 250 x 1.6 is 400
    assert abs(factors.mean() - 1) < 0.04


def test_with_the_original_preprocessing_it_is_what_retrain_py_s_operations_make_of_the_same_draws():
    import tensorflow as tf

    asked = {"flip_left_right": True, "random_crop": 15, "random_scale": 40, "random_brightness": 70}
    drawn = draws(6, catalog.TENSORFLOW, **asked)
    for position in range(6):
        larger, down, across, mirrored, brighter = np.random.RandomState([0, 4, 1, position]).random_sample(5)
        precrop = int((1.0 + 15 / 100.0) * (1.0 + larger * 0.4) * SIZE)
        pixels = tf.cast(np.asarray(slope())[None], tf.float32)
        pixels = tf.compat.v1.image.resize_bilinear(pixels, [precrop, precrop])[0]
        top, left = [int(share * (precrop - SIZE + 1)) for share in (down, across)]
        pixels = tf.slice(pixels, [top, left, 0], [SIZE, SIZE, 3])
        if mirrored < 0.5:
            pixels = tf.image.flip_left_right(pixels)
        expected = tf.multiply(pixels, np.float32(0.3 + brighter * 1.4)).numpy()
        assert np.abs(drawn[position] - expected).max() < 1e-4 * 255


def test_one_setting_does_not_change_what_the_others_draw():
    flipped = draws(50, flip_left_right=True, random_crop=30)
    cropped = draws(50, random_crop=30)
    assert all((one == other).all() or (one == other[:, ::-1]).all() for one, other in zip(flipped, cropped))


def test_a_photo_smaller_than_the_input_is_enlarged_too():
    tiny = Image.new("RGB", (1, 3), (9, 9, 9))
    everything = {"flip_left_right": True, "random_crop": 90, "random_scale": 100, "random_brightness": 100}
    assert np.isfinite(draws(5, image=tiny, **everything)).all()


# --- the batches of a race -------------------------------------------------------------------------------------------


def training_of(photos):
    return [photo for photo in photos.photos if photo.split == "training"]


class Race:
    """A race on the drawn lamps, by photos that go through the backbone at every step."""

    def __init__(self, home, network, photos):
        self.network, self.home = network, home
        self.paths = [os.path.join(photos.root, photo.file) for photo in training_of(photos)]
        self.labels = np.array([photo.label for photo in training_of(photos)])
        self.runtime = bottlenecks.TfliteThreads(network, home, 2)
        self.vectors = np.stack([self.runtime(images.resize(self.decoded(path), 224)) for path in self.paths])

    def decoded(self, path):
        with open(path, "rb") as file:
            return images.decode(file.read())

    def batches(self, spec, progress=lambda done: None, stop=lambda: False, kept=distortions.KEPT_BYTES, threads=2):
        numbered = heads.Split(np.arange(len(self.paths)), self.labels)
        self.runtime.threads = threads
        return distortions.batches(
            self.runtime,
            distortions.Photos(catalog.PILLOW, kept),
            self.paths,
            heads.batches(numbered, settings(spec)),
            spec,
            progress,
            stop,
        )

    def race(self, spec, batches=None):
        known = heads.Split(self.vectors, self.labels)
        return heads.race(batches or self.batches(spec), known, settings(spec), lambda block: None)


def settings(spec):
    return heads.Settings(
        spec.learning_rates, 3, spec.steps, spec.train_batch_size, spec.validation_batch_size, 10, spec.seed
    )


FEW = PLAIN._replace(steps=3, train_batch_size=10, learning_rates=(0.05, 0.5), seed=5)
CHANGED = FEW._replace(flip_left_right=True, random_crop=10, random_scale=10, random_brightness=10)


@pytest.fixture
def lamps(home, mobilenet, photos):
    return Race(home, mobilenet, photos)


@pytest.mark.parametrize("batch", [10, -1])
def test_distorted_by_nothing_it_is_the_race_over_bottlenecks(lamps, batch):
    spec = FEW._replace(train_batch_size=batch)
    usual = lamps.race(spec, heads.batches(heads.Split(lamps.vectors, lamps.labels), settings(spec)))
    distorted = lamps.race(spec)
    assert distorted.steps == usual.steps == 3
    assert np.abs(distorted.weights - usual.weights).max() <= 1e-4
    assert np.abs(distorted.bias - usual.bias).max() <= 1e-4


def test_a_lane_learns_what_it_learns_alone_however_many_threads_there_are(lamps):
    together = lamps.race(CHANGED)
    for lane, rate in enumerate(CHANGED.learning_rates):
        one_rate = CHANGED._replace(learning_rates=(rate,))
        alone = lamps.race(one_rate, lamps.batches(one_rate, threads=1, kept=0))
        assert np.abs(together.weights[lane] - alone.weights[0]).max() <= 1e-5
    other = lamps.race(CHANGED._replace(seed=6))
    assert np.abs(other.weights - together.weights).max() > 1e-4


def test_every_photo_of_every_step_is_another(lamps):
    spec = CHANGED._replace(train_batch_size=-1)
    first, second = [features.copy() for features, _ in itertools.islice(lamps.batches(spec), 2)]
    assert first.shape == (24, 1280)
    assert (np.abs(first - second).max(axis=1) > 0.1).all()
    assert (np.abs(first - lamps.vectors).max(axis=1) > 0.1).all()


def test_both_ways_through_the_backbone_give_the_same_batches(lamps, mobilenet):
    spec = CHANGED._replace(random_brightness=50)
    tflite = next(lamps.batches(spec))[0].copy()
    lamps.runtime = bottlenecks.FrozenBatches(mobilenet, 2)
    assert np.abs(next(lamps.batches(spec))[0] - tflite).max() <= 1e-3


def test_progress_is_counted_in_photos_and_asking_to_stop_is_heard_between_them(lamps):
    told, asked = [], []

    def stop():
        asked.append(True)
        return len(asked) == 3

    endless = CHANGED._replace(steps=10**6, train_batch_size=10**5)  # no step is ever over
    assert list(lamps.batches(endless, told.append, stop)) == []
    assert len(asked) == 3
    assert 0 < told[0] < told[1] < 10**4


def test_a_photo_that_goes_away_in_training_is_named(lamps):
    with open(lamps.paths[7], "wb") as file:
        file.write(b"words")
    with pytest.raises(distortions.PhotoGone) as caught:
        list(lamps.batches(CHANGED._replace(train_batch_size=-1)))
    assert caught.value.path == lamps.paths[7]
    assert "no JPEG" in caught.value.why


def test_photos_stay_decoded_up_to_the_limit_and_faults_are_found_in_advance(lamps):
    os.remove(lamps.paths[1])
    with open(lamps.paths[2], "wb") as file:
        file.write(b"")
    two = 2 * 4 * 96 * 64  # bytes of two lamps
    photos = distortions.Photos(catalog.PILLOW, two)
    faults = photos.faults(lamps.paths, 1, lambda done: None, lambda: False)
    assert [bool(fault) for fault in faults[:4]] == [False, True, True, False]
    assert "No such file" in faults[1]
    assert faults[2] == "the file is empty"
    for path in lamps.paths:
        if os.path.exists(path):
            os.remove(path)
    kept = [path for path in lamps.paths if not isinstance(photos(path), str)]
    assert kept == [lamps.paths[0], lamps.paths[3]]
    with pytest.raises(RunCancelled):
        photos.faults(lamps.paths, 1, lambda done: None, lambda: True)
