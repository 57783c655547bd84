"""TensorBoard's event files, as TensorBoard itself reads them."""

import os
import resource
import signal
import subprocess
import sys

import numpy as np
import pytest

from engine.contract import events
from engine.contract.run_folder import LabHome
from engine.worker.formats.summaries import Summaries
from engine.worker.reporter import Reporter

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Run where TensorFlow cannot be imported: nothing of this may need it.
RACE = """
import sys
sys.modules["tensorflow"] = None
if "without tensorboard" in sys.argv:
    sys.modules["tensorboard"] = None
import numpy as np
from engine.contract import dataset
from engine.contract.kinds.race import RaceSpec
from engine.contract.run_folder import RunFolder
from engine.worker.race import retrain
from engine.worker.learning import heads
from engine.worker.reporter import Reporter

folder, other = RunFolder(sys.argv[1]), sys.argv[2]
random = np.random.RandomState(0)
labels = np.arange(90) % 3
features = (np.eye(3)[labels].repeat(4, axis=1) + random.randn(90, 12) / 4).astype(np.float32)
split = heads.Split(features, labels)
spec = RaceSpec(learning_rates=(0.1, 1.0), steps=40, summaries_dir=other)
photos = dataset.Dataset("Clusters", "/", ["a", "b", "c"], [])
splits = {"training": split, "validation": split}
retrain._race(spec, photos, [], splits, None, None, 0, folder, Reporter(folder))
"""


@pytest.fixture
def folder(tmp_path):
    found = LabHome(str(tmp_path / "lab")).run("20261125-101500-abc123")
    os.makedirs(found.artifacts)
    return found


def race(folder, other, *arguments):
    ran = subprocess.run(
        [sys.executable, "-c", RACE, folder.path, other] + list(arguments),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert ran.returncode == 0, ran.stdout.decode()
    return events.Reader(folder.events).read()


def read(*path):
    """What TensorBoard's own reader finds in one folder of event files, which holds one file."""
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    path = os.path.join(*path)
    (name,) = os.listdir(path)
    assert name.startswith("events.out.tfevents.")
    found = {}
    for event in LegacyEventFileLoader(os.path.join(path, name)).Load():
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value))
    return found


def warnings(folder):
    return [event.message for event in events.Reader(folder.events).read() if isinstance(event, events.Warning)]


def test_a_race_leaves_what_retrain_py_left_and_needs_no_tensorflow_for_it(folder, tmp_path):
    other = tmp_path / "retrain_logs"
    (other / "train").mkdir(parents=True)
    (other / "train" / "events.out.tfevents.1").write_bytes(b"an older run")
    story = race(folder, str(other))
    metrics = {(e.lane, e.split): e for e in story if isinstance(e, events.Metric)}
    assert len(metrics) == 4
    for (lane, split), metric in metrics.items():
        writer = "train" if split == "training" else "validation"
        found = read(folder.summaries, lane, writer)
        assert [step for step, _ in found["accuracy_1"]] == metric.step == [10, 20, 30, 40]
        assert [v.simple_value for _, v in found["accuracy_1"]] == pytest.approx(metric.accuracy, abs=1e-6)
        assert [v.simple_value for _, v in found["cross_entropy_1"]] == pytest.approx(metric.cross_entropy, abs=1e-6)
        assert sorted(read(str(other), folder.id, lane, writer)) == sorted(found)
    lane = np.load(os.path.join(folder.lanes, "1.0.npz"))
    found = read(folder.summaries, "1.0", "train")
    assert sorted(set(found) - {"accuracy_1", "cross_entropy_1"}) == sorted(
        f"final_training_ops/{variable}/summaries/{each}"
        for variable in ("weights", "biases")
        for each in ("mean", "stddev_1", "max", "min", "histogram")
    )
    stem = "final_training_ops/weights/summaries/"
    step, histogram = found[stem + "histogram"][-1]
    assert (step, histogram.histo.num, sum(histogram.histo.bucket)) == (40, 36, 36)
    assert histogram.histo.sum == pytest.approx(lane["weights"].sum(), abs=1e-5)
    assert found[stem + "max"][-1][1].simple_value == pytest.approx(lane["weights"].max())
    assert (other / "train" / "events.out.tfevents.1").read_bytes() == b"an older run"


def test_a_python_without_tensorboard_is_said_once_and_the_race_goes_on(folder, tmp_path):
    race(folder, "", "without tensorboard")
    assert os.path.isfile(os.path.join(folder.lanes, "1.0.npz"))
    assert len(warnings(folder)) == 1
    assert "no tensorboard" in warnings(folder)[0]


def test_a_place_that_cannot_be_written_is_named_and_the_race_goes_on(folder, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    race(folder, str(tmp_path / "file"))
    assert len(warnings(folder)) == 1
    assert str(tmp_path / "file") in warnings(folder)[0]
    assert "goes on without them" in warnings(folder)[0]


def test_a_full_disk_ends_the_files_and_not_the_run(folder):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20000, limits[1]))
    try:
        summaries = Summaries(folder, ["0.5"], Reporter(folder))
        for step in range(2000):
            summaries.scalars("0.5", "training", [(step, 0.5, 0.5)])
        summaries.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert len(warnings(folder)) == 1
    assert "File too large" in warnings(folder)[0]


def test_a_lane_that_left_the_numbers_has_figures_and_no_histogram(folder):
    summaries = Summaries(folder, ["10.0"], Reporter(folder))
    summaries.scalars("10.0", "training", [(10, 0.2, float("nan"))])
    summaries.variables("10.0", 10, np.full((4, 3), np.nan, np.float32), np.array([0, np.inf, 0], np.float32))
    summaries.close()
    found = read(folder.summaries, "10.0", "train")
    assert np.isnan(found["cross_entropy_1"][0][1].simple_value)
    assert found["final_training_ops/biases/summaries/max"][0][1].simple_value == np.inf
    assert not [tag for tag in found if "histogram" in tag]
    assert warnings(folder) == []
