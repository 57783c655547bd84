"""What the board's Python 3.6 with TensorFlow 2.6 has learned, a laptop opens, and the other way round.

`make test` has one way in tests/engine/test_models.py and the other in tests/browser/test_two_interpreters.py.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine import photos
from engine.contract import events, specs
from engine.contract.kinds.mnist import MnistSpec
from engine.contract.kinds.race import RaceResult, RaceSpec
from engine.contract.run_folder import LabHome
from engine.models.classifier import Classifier
from engine.runs import Run, open_run
from engine.runs.queue import Queue
from tests.assets_home import with_assets
from tests.digit_sets import draw_digits
from tests.photo_folders import draw_photos
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
OLD, NEW = str(ROOT / ".venv36" / "bin" / "python"), sys.executable
pytestmark = [
    pytest.mark.thorough,
    pytest.mark.timeout(600),  # whole runs, and TensorFlow is loaded for each
    pytest.mark.skipif(
        not (ROOT / ".venv36" / "lab-setup").exists(),
        reason="there is no .venv36: make test-worker36 makes it where there is a Python 3.6",
    ),
]
# What TensorFlow says of a run's exported SavedModel, for a picture at the size that it has.
SAVED_MODEL = """
import json, sys
import numpy as np
import tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1])
pixels = tf.constant(np.load(sys.argv[2]))
print(json.dumps(loaded.signatures["serving_default"](images=pixels)["probabilities"].numpy()[0].tolist()))
"""


@pytest.fixture
def home(tmp_path: Path) -> LabHome:
    home = LabHome(str(tmp_path / "lab"))
    draw_photos(Path(home.datasets) / "lamps", each=8)
    os.symlink(with_assets("mobilenet_v2").assets, home.assets)
    return home


def learned_by(python: str, home: LabHome, spec: specs.Spec) -> Run:
    """A finished run of that interpreter, as the dashboard reads it."""
    dataset = None
    if isinstance(spec, RaceSpec):
        dataset = photos.split(photos.scan(Path(home.datasets) / "lamps", "Lamps"), 20, 20)
    run = open_run(home, Queue(home, python).start(spec, dataset))
    wait_until(lambda: not run.refresh().is_active, 500)
    assert run.state == events.DONE, run.log_tail()
    return run


@pytest.fixture
def classifiers(home: LabHome) -> Iterator[dict[str, Classifier]]:
    found = {python: Classifier(home, python) for python in (OLD, NEW)}
    yield found
    for each in found.values():
        each.close()


def test_what_one_interpreter_learned_the_other_opens_and_answers_alike(
    home: LabHome, classifiers: dict[str, Classifier], tmp_path: Path
) -> None:
    spec = RaceSpec(learning_rates=(0.05, 0.01), steps=30, train_batch_size=10)
    # A PNG: Pillow 8 comes with another JPEG decoder than Pillow 13, and the two differ by up to 30 of 255 at edges.
    path = tmp_path / "lamp.png"
    Image.open(Path(home.datasets) / "lamps" / "red" / "003.jpg").save(path)
    np.save(tmp_path / "pixels.npy", np.asarray(Image.open(path))[None])
    for learner, reader in ((OLD, NEW), (NEW, OLD)):
        run = learned_by(learner, home, spec)
        assert run.story.last(RaceResult)
        assert len(run.story.curves[("0.05", "validation")].step) > 1
        other = next(lane for lane in run.lanes if lane != run.story.kept)
        for model in (f"{run.id}:{other}", run.id):
            answers = [dict(each.classify(model, path.read_bytes()).top) for each in classifiers.values()]
            assert set(answers[0]) == {"green", "red", "yellow"}
            assert answers[0] == pytest.approx(answers[1], abs=1e-4)
        command = [reader, "-c", SAVED_MODEL, run.folder.saved_model, str(tmp_path / "pixels.npy")]
        exported = json.loads(subprocess.check_output(command, text=True, cwd=ROOT))
        assert dict(zip(run.dataset.labels, exported, strict=True)) == pytest.approx(answers[0], abs=1e-4)


def test_a_network_for_digits_answers_alike_on_both(home: LabHome, classifiers: dict[str, Classifier]) -> None:
    bars = Path(home.datasets) / "bars.npz"
    draw_digits(bars)
    spec = MnistSpec(data="bars", epochs=1)
    with np.load(bars) as file:
        digit = file["x_test"][0]
    for learner in (OLD, NEW):
        run = learned_by(learner, home, spec)
        told = [
            {answer.lane: answer.probabilities for answer in each.digit(run.id, digit)} for each in classifiers.values()
        ]
        assert set(told[0]) == set(run.lanes)
        for lane in run.lanes:
            assert told[0][lane] == pytest.approx(told[1][lane], abs=1e-4)
