"""The golden run folders: one of every kind and ending, without a trace of a machine, and no two figures alike.

A page that shows one figure in the place of another is noticed only where the two differ: so they have to.
"""

import itertools
import re
from collections.abc import Hashable, Mapping
from pathlib import Path

import numpy as np
import pytest

from engine.contract import events, kinds
from engine.contract.run_folder import LabHome
from engine.runs import open_run
from tests import golden
from tests.golden import figures

RACES = ("race", "pair_one", "pair_all")  # more than one lane, and done
MACHINES = re.compile(r"/(tmp|root|home|work|Users|var|private|mnt|opt|srv)/|golden-\w{6,}")


def distinct(shown: Mapping[str, Hashable]) -> None:
    """Fails with the names of the first two figures that are the same."""
    for (one, value), (other, same) in itertools.combinations(shown.items(), 2):
        assert value != same, f"{one} and {other} are both {value}"


def shown(share: float) -> str:
    return f"{100 * share:.1f}"


# --- what there is ---------------------------------------------------------------------------------------------------


def test_every_kind_of_run_has_a_folder_that_is_done(tmp_path):
    home = LabHome(str(tmp_path))
    done = [run for run in (open_run(home, each) for each in golden.copy(home)) if run.state == events.DONE]
    assert {run.kind for run in done} == set(kinds.KINDS)
    retrained = [len(run.lanes) for run in done if run.kind == "retrain"]
    assert {1, 2, 3} <= set(retrained)


def test_every_ending_has_a_folder(tmp_path):
    home = LabHome(str(tmp_path))
    ids = golden.copy(home)
    with golden.held(home, golden.QUEUED, golden.RUNNING):
        states = {run_id: open_run(home, run_id).state for run_id in ids}
    assert states[golden.QUEUED] == events.QUEUED
    assert states[golden.RUNNING] == events.RUNNING
    assert states[golden.LOST] == events.LOST
    assert states["race_failed"] == events.FAILED
    assert states["race_cancelled"] == events.CANCELLED
    assert open_run(home, golden.QUEUED).state == events.LOST  # nobody holds it any more


def test_every_event_of_a_folder_is_one_that_the_lab_reads():
    for run_id in golden.names():
        path = golden.RUNS / run_id / "events.jsonl"
        assert len(events.Reader(str(path)).read()) == len(golden.raw_events(run_id)), run_id


def test_the_rarer_events_are_told_somewhere():
    told = {event["kind"] for run_id in golden.names() for event in golden.raw_events(run_id)}
    assert set(events.records()) - told <= {"batch_halved"}


def test_nothing_names_the_machine_that_it_was_made_on():
    for path in golden.HERE.rglob("*"):
        if path.suffix in (".json", ".jsonl", ".txt") or "tfevents" in path.name:
            found = MACHINES.search(path.read_bytes().decode("utf-8", "replace"))
            assert found is None, f"{path}: {found and found.group()}"
    processors = {event["processor"] for run in golden.names() for event in golden.raw_events(run, "hardware")}
    assert processors == {"Example CPU @ 3.00GHz"}


def test_all_of_it_is_small_and_unsigned():
    files = [path for path in golden.HERE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert sum(path.stat().st_size for path in files) < 1_500_000
    assert not [path for path in files if path.name in ("signature.json", "lock")]


def test_a_copy_has_its_photos_its_digits_and_files_as_long_as_they_were(tmp_path):
    home = LabHome(str(tmp_path))
    assert golden.copy(home, "race", "mnist") == ["race", "mnist"]
    run = open_run(home, "race")
    assert run.dataset.root == str(Path(home.datasets, "lamps"))
    assert all(Path(run.dataset.root, photo.file).is_file() for photo in run.dataset.photos)
    exported = {event["file"]: event["bytes"] for event in golden.raw_events("race", "exported")}
    assert Path(run.folder.tflite).stat().st_size == exported["model.tflite"]
    assert run.can_classify
    assert Path(home.datasets, "bars.npz").is_file()
    golden.copy(home, "slow")  # another one, into a home that has the photos already
    assert open_run(home, "slow").state == events.DONE


# --- no two figures alike --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("run_id", RACES)
def test_the_lanes_of_a_race_differ_in_every_column(run_id):
    lanes = {event["lane"]: event for event in golden.raw_events(run_id, "lane_result")}
    for field in ("test_accuracy", "final_validation_accuracy", "best_validation_accuracy"):
        distinct({lane: shown(event[field]) for lane, event in lanes.items()})
    distinct({lane: event["best_step"] for lane, event in lanes.items()})
    fields = ("test_accuracy", "final_validation_accuracy", "best_validation_accuracy")
    for lane, event in lanes.items():
        distinct({field: shown(event[field]) for field in fields})
        told = figures.curve(run_id, lane, "validation")
        trained = figures.curve(run_id, lane, "training")
        distinct({"first": shown(told["accuracy"][0]), "last": shown(told["accuracy"][-1])})
        assert told["accuracy"] != trained["accuracy"]
        assert told["seconds"][-1] != told["step"][-1]
    distinct({lane: f"{figures.spread(run_id, lane):.3f}" for lane in lanes})
    assert all(value > 0.0005 for value in (figures.spread(run_id, lane) for lane in lanes))


@pytest.mark.parametrize("run_id", [*RACES, "single"])
def test_the_answers_of_a_race_are_no_mirror_of_themselves(run_id):
    said = golden.raw_json(run_id, "artifacts/predictions.json")
    tables = {lane: figures.counts(run_id, lane) for lane in said["lanes"]}
    distinct({lane: table.tobytes() for lane, table in tables.items()})
    for lane, table in tables.items():
        assert (table != table.T).any(), lane
        recall, precision = table.diagonal() / table.sum(axis=1), table.diagonal() / table.sum(axis=0)
        for label in range(len(table)):
            distinct({"recall": shown(recall[label]), "precision": shown(precision[label])})
        distinct({f"class {label}": shown(value) for label, value in enumerate(recall)})
        scores = [score for score, *_ in figures.wrong(run_id, lane)]
        assert len(set(scores)) >= 3
    distinct({f"class {label}": count for label, count in enumerate(tables[lane].sum(axis=1))})


def test_the_kept_lane_is_not_the_first_one_and_the_order_of_the_table_not_that_of_the_colours():
    lanes = golden.raw_events("race", "lane_result")
    (kept,) = golden.raw_events("race", "kept")
    assert kept["lane"] != lanes[0]["lane"]
    first = sorted(lanes, key=lambda event: (event["lane"] != kept["lane"], -event["final_validation_accuracy"]))
    assert first != lanes
    assert first != lanes[::-1]


@pytest.mark.parametrize("run_id", RACES)
def test_the_photos_and_seconds_of_a_race_differ(run_id):
    result = figures.only(run_id, "result")
    distinct({name: result[name] for name in ("images", "training", "validation", "testing", "peak_memory_bytes")})
    parts = ("decode_seconds", "backbone_seconds", "cache_seconds", "import_seconds", "race_seconds")
    distinct({name: f"{result[name]:.1f}" for name in parts})
    assert result["cached"] != result["computed"]


@pytest.mark.parametrize("run_id", [*RACES, "single", "fine_tune", "mnist", "learning_curve", "classify"])
def test_the_stages_of_a_run_take_times_that_look_different(run_id):
    seconds = figures.stages(run_id)
    distinct({name: f"{spent:.2f}" for name, spent in seconds.items()})


def test_a_run_takes_minutes():
    assert figures.seconds("slow") > 65
    assert figures.stages("slow")["Training"] > 60


def test_the_halves_of_a_comparison_differ_and_one_of_their_parts_more_than_the_other():
    one, all_threads = (
        {event["kind"]: event for event in golden.raw_events(each)} for each in ("pair_one", "pair_all")
    )
    for field in ("decode_seconds", "backbone_seconds", "race_seconds", "peak_memory_bytes"):
        assert one["result"][field] != all_threads["result"][field]
    for each in ("pair_one", "pair_all"):
        seconds = figures.stages(each)
        assert seconds["Bottlenecks"] > 1.3 * seconds["Training"] or seconds["Training"] > 1.3 * seconds["Bottlenecks"]


def test_depths_differ_in_every_column():
    tuned = {event["lane"]: event for event in golden.raw_events("fine_tune", "fine_tuned")}
    assert len(tuned) == 3
    for field in ("parameters", "peak_memory_bytes", "blocks"):
        distinct({lane: event[field] for lane, event in tuned.items()})
    for field in ("validation_accuracy", "test_accuracy"):
        distinct({lane: shown(event[field]) for lane, event in tuned.items()})
    distinct({lane: f"{event['epoch_seconds']:.1f}" for lane, event in tuned.items()})
    for event in tuned.values():
        distinct({field: shown(event[field]) for field in ("validation_accuracy", "test_accuracy")})
        assert event["validation_n"] != event["test_n"]


def test_networks_differ_in_every_column():
    tested = {event["lane"]: event for event in golden.raw_events("mnist", "network_result")}
    exported = {event["lane"]: event for event in golden.raw_events("mnist", "network_exported")}
    assert len(tested) == len(exported) == 3
    for field in ("parameters", "multiply_adds", "best_epoch"):
        distinct({lane: event[field] for lane, event in tested.items()})
    distinct({lane: f"{event['test_accuracy']:.4f}" for lane, event in tested.items()})
    distinct({lane: f"{event['train_seconds']:.0f}" for lane, event in tested.items()})
    distinct({lane: f"{event['images_per_second']:.0f}" for lane, event in tested.items()})
    distinct({lane: f"{1e6 * event['image_seconds']:.0f}" for lane, event in exported.items()})
    for lane, event in tested.items():
        distinct({"test": f"{event['test_accuracy']:.3f}", "validation": f"{event['validation_accuracy'] or 0:.3f}"})
        table = figures.counts("mnist", lane)
        assert (table != table.T).any()
    validation = [event["validation_accuracy"] for event in tested.values()]
    assert validation.count(None) == 1
    order = sorted(tested, key=lambda lane: -tested[lane]["test_accuracy"])
    assert order != list(tested)


def test_sizes_of_a_learning_curve_differ():
    points = golden.raw_events("learning_curve", "learning_curve_point")
    by_size: dict[int, list[dict]] = {}
    for point in points:
        by_size.setdefault(point["size"], []).append(point)
    assert len(by_size) >= 4
    means = {str(size): sum(point["correct"] for point in each) for size, each in by_size.items()}
    distinct(means)
    distinct({str(size): f"{np.std([p['correct'] for p in each], ddof=1):.3f}" for size, each in by_size.items()})
    distinct({str(size): each[0]["photos"] for size, each in by_size.items()})
    assert golden.raw_events("learning_curve", "warning")


def test_batch_sizes_differ():
    tried = golden.raw_events("batch_size", "batch_tried")
    fits = [event for event in tried if event["fits"]]
    assert len(fits) >= 3
    assert len(tried) > len(fits)
    distinct({str(event["batch_size"]): f"{event['images_per_second']:.1f}" for event in fits})
    distinct({str(event["batch_size"]): f"{event['peak_memory_bytes'] / 1e6:.1f}" for event in fits})
    (result,) = golden.raw_events("batch_size", "batch_size_result")
    assert result["bounded"]
    assert result["largest"] != tried[-1]["batch_size"] or not tried[-1]["fits"]


def test_classified_pictures_are_right_wrong_learned_and_unknown():
    labels = (golden.RUNS / "classify" / "artifacts" / "labels.txt").read_text().split()
    dataset = golden.raw_json("classify", "dataset.json")
    told = golden.raw_events("classify", "classified")
    photos = [photo for block in told for photo in block["photo"]]
    learned = [flag for block in told for flag in block["learned"]]
    said = [label for block in told for label in block["label"]][:: len(labels)]
    known = [
        dataset["labels"][dataset["label_of_file"][photo]] if dataset["label_of_file"][photo] >= 0 else ""
        for photo in photos
    ]
    right = [labels[label] == name for label, name in zip(said, known, strict=True)]
    judged = [name in labels and not flag for name, flag in zip(known, learned, strict=True)]
    numbers = {
        "judged and right": sum(each and is_right for each, is_right in zip(judged, right, strict=True)),
        "judged": sum(judged),
        "learned": sum(learned),
        "of unknown folders": sum(
            dataset["labels"][label] not in labels for label in dataset["label_of_file"] if label >= 0
        ),
        "not known": sum(name not in labels for name in known),
        "all": len(photos),
    }
    assert min(numbers.values()) > 0
    distinct(numbers)
    (skipped,) = golden.raw_events("classify", "skipped")
    assert skipped["why"]
    (result,) = golden.raw_events("classify", "classify_result")
    seconds = ("decode_seconds", "network_seconds", "photo_seconds")
    distinct({name: f"{1000 * result[name]:.1f}" for name in seconds})


def test_a_lane_that_diverged_a_skipped_photo_and_a_warning_are_there():
    assert [event["lane"] for event in golden.raw_events("race_diverged", "diverged")] == ["10.0"]
    assert len(golden.raw_events("race", "skipped")) == 2
    assert [event for run in golden.names() for event in golden.raw_events(run, "warning")]
    (error,) = golden.raw_events("race_failed", "error")
    assert error["message"] != error["hint"]
