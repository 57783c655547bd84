"""What a run is going to take, asked before it starts."""

import itertools
import os
import time

import pytest

from engine.contract.run_folder import LabHome
from engine.worker import predict
from engine.worker.features import bottlenecks
from engine.worker.reporter import RunFailed


def question(home, photos, **settings):
    spec = dict({"backbone": "mobilenet_v2", "device": "cpu"}, **settings)
    files = [[photo.file, photo.split] for photo in photos.photos]
    return {"home": home.path, "spec": spec, "root": photos.root, "photos": files, "measure": 12}


def keep_bottlenecks(home, paths, network):
    prints = bottlenecks.fingerprints(paths, 1, lambda done: None, lambda: False)
    cache = bottlenecks.Cache(home.bottlenecks, bottlenecks.key(network), network.row.width)
    runtime = bottlenecks.choose_runtime(network, home, "cpu", 1)
    bottlenecks.extract(runtime, dict(zip(prints, paths)), cache, lambda done: None, lambda: False)
    cache.close()


def test_photos_whose_bottlenecks_are_kept_count_as_nothing(home, photos, mobilenet):
    foreseen = predict.predict(question(home, photos))
    assert (foreseen["photos"], foreseen["measured"]) == (36, 12)
    assert foreseen["seconds"] > 0
    assert 10e6 < foreseen["disk_bytes"] < 100e6
    assert foreseen["memory_bytes"] > 200e6

    paths = [os.path.join(photos.root, photo.file) for photo in photos.photos]
    keep_bottlenecks(home, paths[:30], mobilenet)
    assert predict.predict(question(home, photos))["photos"] == 6
    assert predict.predict(question(home, photos, use_cache=False))["photos"] == 36


def test_damaged_photos_count_as_nothing_where_the_others_are_kept(home, photos, mobilenet):
    paths = [os.path.join(photos.root, photo.file) for photo in photos.photos]
    keep_bottlenecks(home, paths[1:], mobilenet)
    open(paths[0], "wb").close()
    foreseen = predict.predict(question(home, photos))
    assert (foreseen["photos"], foreseen["measured"], foreseen["seconds"]) == (0, 0, 0.0)
    alone = [[photos.photos[0].file, photos.photos[0].split]]
    with pytest.raises(RunFailed, match="None of the photos"):
        predict.predict(dict(question(home, photos), photos=alone))


def test_of_photos_to_be_distorted_training_is_foreseen_and_bottlenecks_of_the_others(home, photos):
    foreseen = predict.predict(question(home, photos, random_scale=10, steps=3, train_batch_size=20))
    assert (foreseen["photos"], foreseen["measured"]) == (12, 12)
    assert foreseen["training_seconds"] > 0


def test_the_photos_measured_are_of_all_sizes(tmp_path):
    paths = []
    for size in [5000] + 6 * [10] + 5 * [300]:
        paths.append(str(tmp_path / str(len(paths))))
        with open(paths[-1], "wb") as file:
            file.write(b"x" * size)
    found = [os.path.getsize(path) for path in predict._by_size(paths, 4)]
    assert found == [10, 10, 300, 300]
    assert len(predict._by_size(paths, 12)) == 12


def test_what_cannot_be_foreseen_is_a_sentence(home, photos, tmp_path):
    for photo in photos.photos:
        open(os.path.join(photos.root, photo.file), "wb").close()
    with pytest.raises(RunFailed, match="None of the photos that were measured can be used: the file is empty"):
        predict.predict(question(home, photos))
    with pytest.raises(RunFailed, match="cannot be loaded"):
        predict.predict(question(LabHome(str(tmp_path / "elsewhere")), photos))
    with pytest.raises(RunFailed, match="cannot be loaded"):
        predict.predict(question(home, photos, backbone="vgg"))


def test_the_time_of_what_happens_once_is_not_taken_for_the_photos(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def run(items, prepare):
        for number, item in enumerate(items):
            now[0] += 0.25 if number else 3.25
            yield item, prepare(item), 0.0

    found = predict.pace(run, lambda path: 1, itertools.cycle(["a", "b"]), 2, 8)
    assert (found.once, found.a_photo) == (3.0, 0.25)


def test_depths_are_measured_on_noise(home):
    spec = {"backbone": "mobilenet_v2", "device": "cpu", "blocks": [0, 2], "batch_size": 2}
    found = predict.depths({"home": home.path, "spec": spec, "depths": True})
    frozen, two = found["depths"]
    assert (frozen["blocks"], two["blocks"], two["of_blocks"]) == (0, 2, 19)
    assert frozen["learn"] < two["learn"]  # through no block and back, and through two
    assert found["seconds"] > sum(each["once"] for each in found["depths"])
