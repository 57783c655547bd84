"""What a run is going to take, asked before it starts."""

import os
import time

import pytest

from engine.contract.run_folder import LabHome
from engine.worker import bottlenecks, predict
from engine.worker.reporter import RunFailed


def question(home, photos, **more):
    files = [photo.file for photo in photos.photos]
    asked = {"home": home.path, "backbone": "mobilenet_v2", "device": "cpu", "threads": 0, "use_cache": True}
    return dict(asked, root=photos.root, files=files, sample=files[::3], **more)


def test_photos_whose_bottlenecks_are_kept_count_as_nothing(home, photos, mobilenet):
    foreseen = predict.predict(question(home, photos))
    assert (foreseen["photos"], foreseen["measured"]) == (36, 12)
    assert 0 < foreseen["seconds"] < 60
    assert 10e6 < foreseen["disk_bytes"] < 100e6
    assert foreseen["memory_bytes"] > 200e6

    paths = [os.path.join(photos.root, photo.file) for photo in photos.photos]
    prints = bottlenecks.fingerprints(paths[:30], 1, lambda done: None, lambda: False)
    cache = bottlenecks.Cache(home.bottlenecks, bottlenecks.key(mobilenet), 1280)
    runtime = bottlenecks.choose_runtime(mobilenet, home, "cpu", 1)
    bottlenecks.extract(runtime, dict(zip(prints, paths)), cache, lambda done: None, lambda: False)
    cache.close()
    assert predict.predict(question(home, photos))["photos"] == 6
    assert predict.predict(dict(question(home, photos), use_cache=False))["photos"] == 36


def test_what_cannot_be_foreseen_is_a_sentence(home, photos, tmp_path):
    for photo in photos.photos[::3]:
        open(os.path.join(photos.root, photo.file), "wb").close()
    with pytest.raises(RunFailed, match="None of the photos that were measured can be used: the file is empty"):
        predict.predict(question(home, photos))
    with pytest.raises(RunFailed, match="cannot be loaded"):
        predict.predict(question(LabHome(str(tmp_path / "elsewhere")), photos))
    with pytest.raises(RunFailed, match="cannot be loaded"):
        predict.predict(dict(question(home, photos), backbone="vgg"))


def test_the_time_of_what_happens_once_is_not_taken_for_the_photos():
    def run(items, prepare):
        for number, item in enumerate(items):
            time.sleep(0.3 if not number else 0.002)
            yield item, prepare(item), 0.0

    once, a_photo = predict.pace(run, lambda path: 1, ["a", "b"], 8)
    assert 0.2 < once < 0.6
    assert 0.002 <= a_photo < 0.02
