"""Vectors: the same from every runtime, computed once, and never a damaged one."""

import os
import resource
import sqlite3
from collections import OrderedDict

import numpy as np
import pytest

from engine.worker import backbones, images
from engine.worker.features import bottlenecks
from engine.worker.reporter import RunCancelled


def go_on():
    return False


def by_content(photos):
    paths = [os.path.join(photos.root, photo.file) for photo in photos.photos]
    return OrderedDict(zip(bottlenecks.fingerprints(paths, 2, lambda done: None, go_on), paths))


class Home:
    """The parts that a run puts together, with a cache file of the test's own."""

    def __init__(self, home, network):
        self.home, self.network = home, network

    def cache(self, key="key"):
        return bottlenecks.Cache(self.home.bottlenecks, key, self.network.row.width)

    def extract(self, paths, runtime=None, progress=lambda done: None, stop=go_on, key="key"):
        cache = self.cache(key)
        runtime = runtime or bottlenecks.TfliteThreads(self.network, self.home, 2)
        try:
            vectors, figures = bottlenecks.extract(runtime, paths, cache, progress, stop)
        finally:
            cache.close()
        return vectors, figures, cache


@pytest.fixture
def lab(home, mobilenet):
    return Home(home, mobilenet)


def test_tflite_threads_and_frozen_batches_give_the_plain_network_s_vectors(lab, photos):
    paths = by_content(photos)
    tflite, _, _ = lab.extract(paths, key="one")
    frozen, _, _ = lab.extract(paths, bottlenecks.FrozenBatches(lab.network, 2), key="two")
    for sha256, path in paths.items():
        with open(path, "rb") as file:
            pixels = images.resize(images.decode(file.read()), 224)
        plain = np.asarray(backbones.features(lab.network, pixels[None].astype(np.float32)))[0]
        assert tflite[sha256].shape == (1280,)
        assert np.abs(tflite[sha256] - plain).max() <= 1e-4
        assert np.abs(frozen[sha256] - plain).max() <= 1e-4


def test_the_second_time_nothing_is_computed(lab, photos):
    paths = by_content(photos)
    first, figures, _ = lab.extract(paths)
    assert (figures.cached, figures.computed) == (0, 36)
    second, figures, _ = lab.extract(paths, runtime=Unused(lab.network))
    assert (figures.cached, figures.computed) == (36, 0)
    assert all((first[sha256] == second[sha256]).all() for sha256 in paths)


class Unused:
    title = "nothing"

    def __init__(self, network):
        self.network = network

    def run(self, items, prepare):
        assert items == []
        return iter([])


def test_a_renamed_photo_is_known(lab, photos):
    paths = by_content(photos)
    lab.extract(paths)
    sha256, path = next(iter(paths.items()))
    os.rename(path, path + ".moved")
    _, figures, _ = lab.extract({sha256: path + ".moved"}, runtime=Unused(lab.network))
    assert figures.cached == 1


def test_another_key_is_another_vector(lab, photos):
    paths = by_content(photos)
    lab.extract(paths)
    _, figures, _ = lab.extract(paths, key="another resize kernel")
    assert figures.computed == 36


def test_the_key_names_weights_preprocessing_and_arithmetic(mobilenet):
    key = bottlenecks.key(mobilenet)
    for part in (mobilenet.digest, "224", "123.675", "58.395", "bilinear", "EXIF", "float32"):
        assert part in key


@pytest.mark.parametrize("damage", ["vector = zeroblob(5120)", "vector = x'00'", "checksum = 1"])
def test_a_damaged_vector_is_computed_again(lab, photos, damage):
    paths = by_content(photos)
    right, _, _ = lab.extract(paths)
    with sqlite3.connect(lab.home.bottlenecks) as database:
        database.execute(f"UPDATE vectors SET {damage} WHERE photo = ?", [next(iter(paths))])
    database.close()
    again, figures, cache = lab.extract(paths)
    assert (figures.computed, cache.damaged) == (1, 1)
    assert all(np.abs(right[sha256] - again[sha256]).max() <= 1e-6 for sha256 in paths)


def test_a_damaged_file_is_set_aside_and_rebuilt(lab, photos):
    with open(lab.home.bottlenecks, "wb") as file:
        file.write(b"this is no database" * 1000)
    vectors, figures, cache = lab.extract(by_content(photos))
    assert figures.computed == len(vectors) == 36
    assert "damaged" in cache.trouble
    assert any("damaged-" in name for name in os.listdir(lab.home.path))
    _, figures, _ = lab.extract(by_content(photos))
    assert figures.cached == 36


def test_a_full_disk_costs_the_cache_and_not_the_run(lab, photos):
    lab.cache().close()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(lab.home.bottlenecks), limits[1]))
    try:
        vectors, figures, cache = lab.extract(by_content(photos))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert figures.computed == 36
    assert all(isinstance(vector, np.ndarray) for vector in vectors.values())
    assert "not kept for the next run" in cache.trouble


def test_what_cannot_be_used_is_named_and_the_rest_goes_on(lab, photos, tmp_path):
    paths = by_content(photos)
    broken = list(paths)[:2]
    with open(paths[broken[0]], "wb") as file:
        file.write(b"no picture")
    os.remove(paths[broken[1]])
    for runtime in (None, bottlenecks.FrozenBatches(lab.network, 2)):
        vectors, _, _ = lab.extract(paths, runtime)
        assert vectors[broken[0]] == "the content is no JPEG, PNG, WEBP, BMP or GIF"
        assert "cannot be read" in vectors[broken[1]]
        assert sum(isinstance(vector, np.ndarray) for vector in vectors.values()) == 34


def test_cancelling_keeps_what_was_computed(lab, photos):
    paths = by_content(photos)
    asked = iter([False] * 1 + [True] * 1000)
    with pytest.raises(RunCancelled):
        lab.extract(paths, runtime=Slow(lab.network, lab.home, 1), stop=lambda: next(asked))
    _, figures, _ = lab.extract(paths)
    assert 0 < figures.cached < 36


class Slow(bottlenecks.TfliteThreads):
    """So that four reports a second come before the last photo."""

    def run(self, items, prepare):
        import time

        for answer in super().run(items, prepare):
            time.sleep(0.05)
            yield answer


def test_progress_ends_with_every_photo(lab, photos):
    seen = []
    lab.extract(by_content(photos), progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 36
