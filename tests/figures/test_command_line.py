"""What the command line prints of runs: each command with a worker that tells what a golden run told."""

import contextlib
import json
import os
import signal
from collections.abc import Iterator

import numpy as np
import pytest

from engine import cli
from engine.contract.run_folder import LabHome
from engine.runs import list_runs
from engine.runs.queue import holder_of
from tests import golden
from tests.figures import reading
from tests.figures.test_other_kinds import change, gain, sizes, tuned
from tests.golden import figures
from tests.weights import pretend

WORKER = "tests.fakes.golden_worker"


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[LabHome]:
    """A home with the golden photos and no runs yet."""
    home = LabHome(str(tmp_path_factory.mktemp("command_line") / "lab"))
    golden.copy(home, "imported")
    pretend(home, "mobilenet_v2")
    yield home
    for run in list_runs(home):
        if pid := holder_of(run.folder):
            with contextlib.suppress(ProcessLookupError):  # it has ended just now
                os.killpg(pid, signal.SIGKILL)


@pytest.fixture
def engine(lab, monkeypatch, capsys):
    monkeypatch.setenv("LAB_HOME", lab.path)
    for name in ("LAB_DATA", "WORKER_PYTHON"):
        monkeypatch.delenv(name, raising=False)

    def run(golden_run: str, *arguments: str) -> str:
        """What the command prints."""
        monkeypatch.setenv("GOLDEN", golden_run)
        capsys.readouterr()
        assert cli.main([*arguments], WORKER) == 0
        return capsys.readouterr().out

    return run


def flags(run_id: str, *names: str, **others: str) -> list[str]:
    """The flags that ask for what this run was asked for, by the names of its settings; `others`: flag -> setting."""
    spec = golden.raw_json(run_id, "spec.json")
    found: list[str] = []
    for flag, name in {**{name: name for name in names}, **others}.items():
        value = spec[name]
        words = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        found += [f"--{flag}", words.replace("-1", "all") if name == "blocks" else words]
    return found


SPLIT = ("validation_percentage", "testing_percentage", "seed")


def retrain(lab: LabHome) -> list[str]:
    shared = flags(
        "race", *SPLIT, "train_batch_size", "validation_batch_size", "test_batch_size", "eval_step_interval",
        learning_rate="learning_rates", how_many_training_steps="steps", architecture="backbone",
    )  # fmt: skip
    return ["retrain", "--image_dir", f"{lab.datasets}/lamps", *shared]


def test_a_retraining_prints_every_evaluation_and_a_table_of_its_lanes(lab, engine):
    lines = engine("race", *retrain(lab), "--print_misclassified_test_images").splitlines()
    results, kept = figures.lane_results("race"), figures.only("race", "kept")["lane"]
    curves = {
        (lane, split): figures.curve("race", lane, split) for lane in results for split in ("training", "validation")
    }
    steps = curves[kept, "training"]["step"]
    n = golden.raw_json("race", "spec.json")["validation_batch_size"]  # photos of each evaluation, as retrain.py's N
    assert n != figures.only("race", "result")["validation"]
    at = iter(lines)
    for number, step in enumerate(steps):
        for lane in results:
            training, validation = curves[lane, "training"], curves[lane, "validation"]
            reading.says(next(at), float(lane), step, 100 * training["accuracy"][number])
            reading.says(next(at), float(lane), step, training["cross_entropy"][number])
            reading.says(next(at), float(lane), step, 100 * validation["accuracy"][number], n)
    for row in [next(at) for _ in results]:
        lane = next(each for each in results if float(each) == float(reading.numbers(row)[0]))
        result, found = results[lane], figures.plateau("race", lane)
        shares = [100 * result["test_accuracy"], 100 * result["best_validation_accuracy"]]
        reading.says(row, float(lane), *shares, result["best_step"], *(found or ()))
        assert row.startswith("* ") is (lane == kept)
    reading.says(next(at), 100 * results[kept]["test_accuracy"], results[kept]["test_n"])
    next(at)
    labels = figures.labels("race")
    listed = sorted(tuple(line.split()) for line in at)
    folder = f"{lab.datasets}/lamps"
    wrong = figures.wrong("race", kept)
    assert listed == sorted((f"{folder}/{file}", labels[predicted]) for _, file, _, predicted in wrong)


def test_a_retraining_in_json_has_the_figures_of_every_lane(lab, engine):
    told = json.loads(engine("race", *retrain(lab), "--json"))
    result, results = figures.only("race", "result"), figures.lane_results("race")
    assert told["seconds"] == pytest.approx(figures.stages("race"), abs=0.001)
    assert told["images"] == result["images"]
    assert told["splits"] == {name: result[name] for name in ("training", "validation", "testing")}
    assert told["race_seconds"] == result["race_seconds"]
    assert told["kept"] == float(result["kept"])
    assert len(told["lanes"]) == len(results)
    for found, (lane, expected) in zip(told["lanes"], results.items(), strict=True):
        assert found["learning_rate"] == float(lane)
        for key in ("test_accuracy", "test_n", "best_validation_accuracy", "best_step", "diverged"):
            assert found[key] == expected[key], key
        assert (found["plateau_step"], found["plateau_seconds"]) == (figures.plateau("race", lane) or (None, None))


def test_fine_tuning_prints_every_depth(lab, engine):
    names = ("blocks", "epochs", "batch_size", "head_learning_rate", "body_learning_rate", "backbone", *SPLIT)
    asked = ["fine_tune", "--image_dir", f"{lab.datasets}/lamps", *flags("fine_tune", *names)]
    *rows, verdict = engine("fine_tune", *asked).splitlines()
    for row, event in zip(rows, tuned().values(), strict=True):
        low, high = figures.wilson(event["test_accuracy"], event["test_n"])
        parameters = event["parameters"] / (1e6 if event["parameters"] >= 1e6 else 1)
        memory = event["peak_memory_bytes"] / (1e9 if event["peak_memory_bytes"] >= 1e9 else 1e6)
        test = [100 * each for each in (event["test_accuracy"], low, high)]
        (_, half), *_ = reading.durations(row)
        assert reading.durations(row)[-1][0] == pytest.approx(event["epoch_seconds"], abs=half)
        reading.names(row, *test, event["test_n"], parameters, memory)
        place = [number for number in reading.numbers(row) if reading.is_rounded(number, test[0])]
        assert place
    for lane in list(tuned())[1:]:
        reading.names(verdict, *change(lane))
    told = json.loads(engine("fine_tune", *asked, "--json"))["depths"]
    for found, event in zip(told, tuned().values(), strict=True):
        keys = ("test_accuracy", "validation_accuracy", "parameters", "peak_memory_bytes", "epoch_seconds", "at_once")
        assert {key: found[key] for key in keys} == {key: event[key] for key in keys}
        assert found["test_photos"] == event["test_n"]
        assert found["test_interval"] == pytest.approx(figures.wilson(event["test_accuracy"], event["test_n"]))
        if event["lane"] == "frozen":
            assert found["change"] is None
        else:
            assert np.array(found["change"]) * 100 == pytest.approx(change(event["lane"]), abs=1e-3)


def test_batch_sizes_are_printed_as_they_were_tried(lab, engine):
    asked = ["batch_size", *flags("batch_size", "backbone", "largest", "memory_limit", "blocks")]
    events = golden.raw_events("batch_size", "batch_tried")
    *rows, verdict = engine("batch_size", *asked).splitlines()
    for row, event in zip(rows, events, strict=True):
        if event["fits"]:
            memory = event["peak_memory_bytes"] / (1e9 if event["peak_memory_bytes"] >= 1e9 else 1e6)
            reading.says(row, event["batch_size"], memory, event["images_per_second"])
        else:
            assert event["why"] in row
    told = json.loads(engine("batch_size", *asked, "--json"))
    ordered = sorted(events, key=lambda event: event["batch_size"])
    assert told["tried"] == [{key: each[key] for key in each if key not in ("t", "kind")} for each in ordered]
    result = figures.only("batch_size", "batch_size_result")
    assert (told["largest"], told["memory_limit_bytes"]) == (result["largest"], result["memory_limit_bytes"])
    assert reading.numbers(verdict)[0] == str(told["recommended"])
    taken = next(event for event in events if event["batch_size"] == told["recommended"])
    assert reading.is_rounded(reading.numbers(verdict)[1], taken["images_per_second"])


def test_a_learning_curve_prints_every_training_and_every_size(lab, engine):
    names = ("sizes", "seeds", "learning_rate", "steps", "train_batch_size", "backbone", *SPLIT)
    asked = ["learning_curve", f"{lab.datasets}/lamps", *flags("learning_curve", *names)]
    lines = engine("learning_curve", *asked).splitlines()
    points = golden.raw_events("learning_curve", "learning_curve_point")
    rows = list(sizes().items())
    for line, point in zip(lines, points, strict=False):
        reading.says(line, *filter(None, [point["size"]]), point["seed"], point["correct"], point["test_n"])
    assert len(lines) == len(points) + len(rows) + 1
    told = json.loads(engine("learning_curve", *asked, "--json"))["sizes"]
    for number, (line, found, (size, (photos, accuracies))) in enumerate(
        zip(lines[len(points) : -1], told, rows, strict=True)
    ):
        spread = accuracies.std(ddof=1)
        expected = [*filter(None, [size]), 100 * accuracies.mean(), 100 * spread, photos]
        assert all(map(reading.is_rounded, reading.numbers(line), expected)), line
        assert found["photos"] == photos
        assert found["test_accuracy"] == pytest.approx(accuracies.mean())
        assert found["test_accuracies"] == pytest.approx(list(accuracies))
        assert found["test_photos"] == points[0]["test_n"]
        assert found["deviation"] == pytest.approx(spread)
        if number:
            before = rows[number - 1][1][1]
            assert np.array(found["gain"]) * 100 == pytest.approx(gain(before, accuracies), rel=1e-3)
            reading.names(line, gain(before, accuracies)[0])
    reading.names(lines[-1], 100 * rows[-1][1][1].mean())


def test_a_comparison_of_networks_prints_the_best_first(lab, engine):
    (own,) = (each for each in golden.raw_json("mnist", "spec.json")["networks"] if each["name"] == "own")
    asked = ["mnist", "--networks", "beginner,small", "--layers", f"own={own['layers']}"]
    asked += flags("mnist", "data", "epochs", "seed")
    results = {event["lane"]: event for event in golden.raw_events("mnist", "network_result")}
    rows = engine("mnist", *asked).splitlines()
    assert len(rows) == len(results)
    shown = []
    for row in rows:
        event = results[row.split()[0].lower()]
        low, high = figures.wilson(event["test_accuracy"], event["test_n"])
        test = [100 * each for each in (event["test_accuracy"], low, high)]
        reading.says(row, *test, event["test_n"], event["train_seconds"], event["epochs"], event["parameters"])
        shown.append(event["test_accuracy"])
    assert shown == sorted(shown, reverse=True)
    told = json.loads(engine("mnist", *asked, "--json"))
    assert told["seconds"] == pytest.approx(figures.stages("mnist"), abs=0.001)
    exported = {event["lane"]: event["image_seconds"] for event in golden.raw_events("mnist", "network_exported")}
    keys = ("parameters", "multiply_adds", "test_accuracy", "test_n", "validation_accuracy", "train_seconds", "epochs")
    for found in told["networks"]:
        event = results[found["name"]]
        assert {key: found[key] for key in (*keys, "images_per_second")} == {
            key: event[key] for key in (*keys, "images_per_second")
        }
        assert found["best_epoch"] == (event["best_epoch"] or None)
        assert found["image_seconds"] == exported[found["name"]]


def test_runs_are_listed_with_the_newest_first_and_with_the_time_that_they_took(golden_home, monkeypatch, capsys):
    monkeypatch.setenv("LAB_HOME", golden_home.path)
    newest_first = sorted(golden.names(), key=lambda run_id: -golden.raw_events(run_id, "state")[0]["ticket"])
    assert cli.main(["runs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == newest_first
    assert cli.main(["runs", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["runs"]
    for line, row, run_id in zip(lines, told, newest_first, strict=True):
        state = golden.ending(run_id)
        expected = "lost" if state in ("queued", "running") else state
        assert row["id"] == run_id
        assert line.split()[1] == row["state"] == expected
        began = [event["t"] for event in golden.raw_events(run_id, "state")]
        assert row["started"] == began[0]
        if golden.raw_events(run_id, "state", state="running"):
            assert row["seconds"] == pytest.approx(figures.seconds(run_id))
        else:
            assert row["seconds"] is None
        assert row["title"] in line
