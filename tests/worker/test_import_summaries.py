"""Event files from elsewhere become a run: of the original's tags, of others', and of files in any state."""

import json
import os
import subprocess
import sys

import pytest

from engine.contract import choices, events, specs
from engine.contract.kinds.imported import ImportedSpec
from engine.contract.run_folder import LabHome

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ID = "20261125-101500-abc123"


@pytest.fixture
def source(tmp_path):
    return str(tmp_path / "training_summaries")


@pytest.fixture
def lab(tmp_path):
    home = LabHome(str(tmp_path / "lab"))
    os.makedirs(home.runs)
    return home


def write(folder, points, tags=("accuracy_1", "cross_entropy_1"), name="events.out.tfevents.1510000000.host"):
    """points: (step, accuracy, cross-entropy), ten seconds apart."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, name)
    with open(path, "wb") as file:
        writer = RecordWriter(file)
        writer.write(Event(wall_time=1000.0, file_version="brain.Event:2").SerializeToString())
        for number, (step, accuracy, cross_entropy) in enumerate(points):
            values = [Summary.Value(tag=tags[0], simple_value=accuracy)]
            values.append(Summary.Value(tag="final_training_ops/weights/summaries/mean", simple_value=7.0))
            if len(tags) > 1:
                values.append(Summary.Value(tag=tags[1], simple_value=cross_entropy))
            event = Event(wall_time=1000.0 + 10 * number, step=step, summary=Summary(value=values))
            writer.write(event.SerializeToString())
    return path


def bring(source, lab, title="From the original"):
    """(the program's answer, the spec, the curves by (lane, split)); the last two are None where it refused."""
    ran = subprocess.run(
        [sys.executable, "-m", "engine.worker.imported.import_summaries", source, lab.path, ID, title],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert ran.returncode == 0, ran.stderr.decode()
    answer, folder = json.loads(ran.stdout.decode()), lab.run(ID)
    if "error" in answer:
        assert os.listdir(lab.runs) == []
        return answer, None, None
    story = events.Reader(folder.events).read()
    assert [e.state for e in story if isinstance(e, events.State)] == ["queued", "done"]
    assert [e.message for e in story if isinstance(e, events.Warning)] == answer["warnings"]
    curves = {}
    for event in story:
        if isinstance(event, events.Metric):
            curves.setdefault((event.lane, event.split), []).extend(
                zip(event.step, event.seconds, event.accuracy, event.cross_entropy)
            )
    return answer, specs.read(folder.spec), curves


def test_the_folder_that_retrain_py_wrote_becomes_one_lane_with_both_splits(source, lab):
    write(source + "/train", [(0, 0.25, 1.5), (1, 0.5, 1.0), (2, 0.75, 0.5)])
    write(source + "/validation", [(0, 0.5, 1.25), (2, 0.625, float("nan"))])
    answer, spec, curves = bring(source, lab)
    assert answer == {"warnings": []}
    assert spec == ImportedSpec("From the original", source, ("training_summaries",), "")
    assert curves == {
        ("training_summaries", "training"): [(0, 0, 0.25, 1.5), (1, 10, 0.5, 1.0), (2, 20, 0.75, 0.5)],
        ("training_summaries", "validation"): [(0, 0, 0.5, 1.25), (2, 10, 0.625, None)],
    }
    copies = os.path.join(lab.run(ID).summaries, "training_summaries")
    assert sorted(os.listdir(copies)) == ["train", "validation"]


def test_several_runs_become_lanes_and_other_writers_tags_are_known(source, lab):
    write(source + "/lr_0.5/train", [(0, 0.5, 1.0)], ("accuracy/accuracy", "cross_entropy/cross_entropy"))
    write(source + "/keras/run/validation", [(0, 0.5, 1.0), (1, 0.75, 0.5)], ("epoch_accuracy", "epoch_loss"))
    write(source + "/bare", [(5, 1.0, 0.0)], ("accuracy",))
    _, spec, curves = bring(source, lab)
    assert spec.lanes == ("bare", "keras-run", "lr_0.5")
    assert curves["bare", "training"] == [(5, 0, 1.0, None)]
    assert curves["keras-run", "validation"] == [(0, 0, 0.5, 1.0), (1, 10, 0.75, 0.5)]
    assert curves["lr_0.5", "training"] == [(0, 0, 0.5, 1.0)]


def test_tensorflow_2_wrote_numbers_as_tensors(source, lab):
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb
    from tensorboard.summary.writer.record_writer import RecordWriter

    os.makedirs(source + "/validation")
    with open(source + "/validation/events.out.tfevents.1.host", "wb") as file:
        event = Event(wall_time=5.0, step=3, summary=scalar_pb("epoch_accuracy", 0.875))
        RecordWriter(file).write(event.SerializeToString())
    assert bring(source, lab)[2] == {("training_summaries", "validation"): [(3, 0, 0.875, None)]}


def test_what_comes_before_a_cut_or_damage_is_read_and_the_rest_is_said(source, lab):
    points = [(0, 0.25, 1.5), (1, 0.5, 1.0), (2, 0.75, 0.5)]
    cut, damaged = write(source + "/a/train", points), write(source + "/b/train", points)
    with open(cut, "rb+") as file:
        file.truncate(os.path.getsize(cut) - 5)
    with open(damaged, "rb+") as file:
        file.seek(-100, os.SEEK_END)
        file.write(b"\xff" * 100)
    answer, _, curves = bring(source, lab)
    assert [len(curves[lane, "training"]) for lane in "ab"] == [2, 2]
    name = os.path.join("train", os.path.basename(cut))
    assert answer["warnings"] == [
        f"a/{name} ends in the middle of a record; what comes before was read.",
        f"b/{name} is damaged or no event file; what comes before the damage was read.",
    ]


def test_a_step_said_twice_counts_as_it_was_said_last(source, lab):
    write(source + "/train", [(0, 0.25, 1.5), (10, 0.5, 1.0)])
    write(source + "/train", [(10, 0.75, 0.5), (5, 0.625, 0.75)], name="events.out.tfevents.1510000100.host")
    curves = bring(source, lab)[2]
    assert [(step, accuracy) for step, _, accuracy, _ in curves["training_summaries", "training"]] == [
        (0, 0.25),
        (5, 0.625),
        (10, 0.75),
    ]


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 64, b"this is a text", b"\xff" * 1000, b"\x10\0\0\0\0\0\0\0" + b"\0" * 40],
    ids=["empty", "zeros", "text", "ones", "a length without its checksum"],
)
def test_a_file_of_something_else_is_refused_with_a_sentence(source, lab, content):
    os.makedirs(source + "/train")
    with open(source + "/train/events.out.tfevents.1.host", "wb") as file:
        file.write(content)
    answer, _, _ = bring(source, lab)
    assert "hold no accuracy between 0 and 1" in answer["error"]


def test_a_folder_without_event_files_is_refused(source, lab):
    os.makedirs(source)
    assert "There is no event file of TensorBoard below" in bring(source, lab)[0]["error"]


def test_accuracies_that_are_none_are_refused(source, lab):
    write(source + "/train", [(0, 97.5, 0.1), (1, float("nan"), 0.1), (-3, 0.5, 0.1)])
    assert "hold no accuracy between 0 and 1" in bring(source, lab)[0]["error"]


def test_more_runs_than_colours_are_refused(source, lab):
    for number in range(choices.LANE_LIMIT + 1):
        write(source + f"/{number}/train", [(0, 0.5, 1.0)])
    assert "holds 9 runs; import a folder with at most 8" in bring(source, lab)[0]["error"]


def test_links_out_of_the_folder_are_not_followed(source, lab, tmp_path):
    write(str(tmp_path / "elsewhere" / "train"), [(0, 0.5, 1.0)])
    os.makedirs(source + "/train")
    os.symlink(str(tmp_path / "elsewhere"), source + "/linked")
    for name in os.listdir(str(tmp_path / "elsewhere" / "train")):
        os.symlink(str(tmp_path / "elsewhere" / "train" / name), source + "/train/" + name)
    assert "There is no event file" in bring(source, lab)[0]["error"]
