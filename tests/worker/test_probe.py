"""What TensorFlow computes on, and what a run is going to take, asked before anything starts."""

import json
import os
import subprocess
import sys
import time

import pytest

from engine.contract.run_folder import LabHome
from engine.worker import bottlenecks, predict, probe
from engine.worker.reporter import RunFailed

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def test_a_machine_without_a_gpu_is_told_why_in_tensorflows_own_words():
    process = subprocess.Popen(
        [sys.executable, "-m", "engine.worker.probe"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        env={name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"},
    )
    said, complaint = process.communicate()
    assert process.returncode == 0, complaint
    found = json.loads(said.splitlines()[-1])
    assert found["tensorflow"]
    assert found["cores"] >= 1
    if found["gpus"]:
        pytest.skip("this machine has a GPU")
    assert found["why_no_gpu"].startswith(("TensorFlow says: ", "This TensorFlow was built without"))
    assert found["why_no_gpu"].endswith(".")


@pytest.mark.parametrize(
    "lines, sentence",
    [
        pytest.param(
            [
                "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
                "I0000 00:00:1795630565.604252   23776 cudart_stub.cc:31] Could not find cuda drivers on your machine, "
                "GPU will not be used.",
                "E0000 00:00:1795630578.192699   23776 cuda_platform.cc:52] failed call to cuInit: INTERNAL",
            ],
            "TensorFlow says: Could not find cuda drivers on your machine, GPU will not be used.",
            id="TensorFlow 2.21 without a driver",
        ),
        pytest.param(
            [
                "2026-11-25 18:16:22.649410: W tensorflow/stream_executor/platform/default/dso_loader.cc:64] Could not "
                "load dynamic library 'libcudart.so.11.0'; dlerror: libcudart.so.11.0: cannot open shared object file",
                "2026-11-25 18:16:22.649460: I tensorflow/stream_executor/cuda/cudart_stub.cc:29] Ignore above cudart "
                "dlerror if you do not have a GPU set up on your machine.",
            ],
            "TensorFlow says: Could not load dynamic library 'libcudart.so.11.0'; dlerror: libcudart.so.11.0: cannot "
            "open shared object file.",
            id="TensorFlow 2.6 without CUDA",
        ),
        pytest.param([], "TensorFlow lists no GPU and does not say why.", id="silence"),
        pytest.param(["x" * 10000, "\x00]] :"], "TensorFlow lists no GPU and does not say why.", id="garbage"),
    ],
)
def test_the_most_telling_line_of_the_loader_is_the_reason(lines, sentence):
    assert probe.reason(lines) == sentence


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
