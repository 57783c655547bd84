"""What Home and Runs show of all runs, and the page of a run that is not done."""

from pathlib import Path

import pytest

from engine.contract.run_folder import LabHome
from tests import golden
from tests.figures import reading
from tests.golden import figures

WITH_ACCURACY = ("race", "slow", "single", "pair_one", "pair_all", "fine_tune", "mnist", "classify", "learning_curve")


def newest_first() -> list[str]:
    return sorted(golden.names(), key=lambda run: -golden.raw_events(run, "state")[0]["ticket"])


def validation(run_id: str) -> float | None:
    """Of the kept lane at its end, else the best of the newest evaluations."""
    newest = {}
    for event in golden.raw_events(run_id, "metric", split="validation"):
        newest[event["lane"]] = event["accuracy"][-1]
    if golden.raw_events(run_id, "result"):
        return figures.lane_results(run_id)[figures.only(run_id, "kept")["lane"]]["final_validation_accuracy"]
    if golden.raw_events(run_id, "fine_tuned"):
        kept = figures.only(run_id, "kept")["lane"]
        return golden.raw_events(run_id, "fine_tuned", lane=kept)[0]["validation_accuracy"]
    return max(newest.values(), default=None)


def on_tests(run_id: str) -> float | None:
    """Of that lane on the testing split; of classified pictures those that are known and were not learned from."""
    if golden.raw_events(run_id, "result"):
        return figures.lane_results(run_id)[figures.only(run_id, "kept")["lane"]]["test_accuracy"]
    if golden.raw_events(run_id, "fine_tuned"):
        kept = figures.only(run_id, "kept")["lane"]
        return golden.raw_events(run_id, "fine_tuned", lane=kept)[0]["test_accuracy"]
    if results := golden.raw_events(run_id, "network_result"):
        return max(results, key=lambda event: event["validation_accuracy"] or 0)["test_accuracy"]
    if points := golden.raw_events(run_id, "learning_curve_point", size=0):
        return sum(point["correct"] for point in points) / sum(point["test_n"] for point in points)
    return None


def took(run_id: str) -> float | None:
    return figures.seconds(run_id) if golden.raw_events(run_id, "state", state="running") else None


def test_every_run_has_its_figures_in_its_row(visit):
    app = visit("runs")
    frame, numbers = reading.table(app), reading.table_of_numbers(app)
    assert len(frame) == len(golden.names())
    for place, (run_id, cells) in enumerate(zip(newest_first(), frame.itertuples(index=False), strict=True)):
        state, _, _, held_out_words, tested_words, curve, time, _ = cells
        held_out, tested = numbers.iloc[place, 3], numbers.iloc[place, 4]
        told = golden.ending(run_id)
        assert state[0].lower() == ("lost" if told in ("queued", "running") else told), run_id
        for shown, expected in ((held_out, validation(run_id)), (tested, on_tests(run_id))):
            if run_id == "classify" and shown is tested:
                continue  # by hand in test_other_kinds
            assert (None if shown != shown else shown) == (expected and pytest.approx(expected)), run_id
        for words, shown in ((held_out_words, held_out), (tested_words, tested)):
            if isinstance(words, str):
                reading.says(words, 100 * shown)
        if took(run_id) is None:
            assert not isinstance(time, str), run_id
        else:
            reading.lasts(time, took(run_id))
        if golden.raw_events(run_id, "result"):
            lane = figures.only(run_id, "kept")["lane"]
            told = figures.curve(run_id, lane, "validation")["accuracy"]
            assert next(iter(curve)) == pytest.approx(told[0])
            assert list(curve)[-1] == pytest.approx(told[-1])


def test_home_lists_the_newest_runs(visit):
    app = visit()
    frame = reading.table(app)
    numbers = reading.table_of_numbers(app)
    for place, (run_id, cells) in enumerate(zip(newest_first(), frame.itertuples(index=False), strict=False)):
        held_out, time = numbers.iloc[place, 3], cells[5]
        expected = validation(run_id)
        assert (None if held_out != held_out else held_out) == (expected and pytest.approx(expected)), run_id
        if took(run_id) is not None:
            reading.lasts(time, took(run_id))


@pytest.fixture
def of_this_machine(tmp_path, monkeypatch):
    """The same runs as if they had been made here: only such count against time."""
    home = LabHome(str(tmp_path / "lab"))
    golden.copy(home, "mnist", "race", "single", "fine_tune")
    for run_id in ("mnist", "race", "single", "fine_tune"):
        path = Path(home.run(run_id).events)
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join(line for line in lines if '"kind":"hardware"' not in line), encoding="utf-8")
    return home


def test_home_draws_accuracy_against_time(visit, of_this_machine, monkeypatch):
    monkeypatch.setenv("LAB_HOME", of_this_machine.path)
    layers = reading.chart(visit())
    (points,) = reading.of_mark(layers, "point")
    shown = {row["name"]: (row[points.field("x")], row[points.field("y")]) for row in points.rows}
    assert points.encoding["x"]["scale"]["type"] == "log"
    assert points.encoding["y"]["axis"]["format"].endswith("%")
    titles = {network["name"]: network["title"] for network in golden.raw_json("mnist", "spec.json")["networks"]}
    for event in golden.raw_events("mnist", "network_result"):
        ((name, point),) = (
            (name, point) for name, point in shown.items() if name.endswith(f" · {titles[event['lane']]}")
        )
        assert point == pytest.approx((event["train_seconds"], event["test_accuracy"]))
    photos = max(("race", "single", "fine_tune"), key=lambda run: validation(run))
    (point,) = (each for name, each in shown.items() if name.startswith("Lamps"))
    assert point == pytest.approx((figures.seconds(photos), on_tests(photos)))
    labels = [row["name"] for layer in reading.of_mark(layers, "text") for row in layer.rows]
    assert sorted(labels) == sorted(shown)


# --- how a run ended -------------------------------------------------------------------------------------------------


def bars(app) -> list[tuple[str, float]]:
    return [(each.proto.text, each.proto.value) for each in app.main.progress]


def test_a_run_that_failed_says_why(visit):
    error = figures.only("race_failed", "error")
    (shown,) = visit("retraining", run="race_failed").main.error
    assert error["message"] in shown.value
    assert error["hint"] in shown.value


def test_a_run_that_was_stopped_says_how_far_it_came_and_after_what_time(visit):
    app = visit("retraining", run="race_cancelled")
    told = golden.raw_events("race_cancelled")
    done = [event["done"] for event in told if event["kind"] == "progress"][-1]
    total = golden.raw_events("race_cancelled", "stage")[-1]["total"]
    line = next(each.value for each in app.main.caption if " → " in each.value)
    assert [int(number) for number in reading.numbers(line.split(" → ")[-1])] == [done, total]
    note = next(each.value for each in app.main.markdown if each.value.startswith(":gray["))
    reading.lasts(note, figures.seconds("race_cancelled"))
    lines = reading.lines(reading.chart(app))
    for lane in golden.raw_json("race_cancelled", "spec.json")["learning_rates"]:
        told = figures.curve("race_cancelled", str(lane), "validation")
        assert lines[f"lr {lane}"][1] == pytest.approx(figures.smoothed(told["accuracy"], 0.6))


def test_a_run_that_goes_on_and_one_that_waits(visit, tmp_path, monkeypatch):
    home = LabHome(str(tmp_path / "lab"))
    golden.copy(home, golden.RUNNING, golden.QUEUED)
    monkeypatch.setenv("LAB_HOME", home.path)
    with golden.held(home, golden.RUNNING, golden.QUEUED):
        app = visit("retraining", run=golden.RUNNING)
        stages = list(figures.stages(golden.RUNNING).items())
        total = golden.raw_events(golden.RUNNING, "stage")[-1]["total"]
        done = [event["done"] for event in golden.raw_events(golden.RUNNING) if event["kind"] == "progress"][-1]
        shown = bars(app)
        for (text, value), (name, seconds) in zip(shown, stages[:-1], strict=False):
            assert value == 100
            assert text.startswith(name)
            reading.lasts(text, seconds)
        text, value = shown[len(stages) - 1]
        assert [int(number) for number in reading.numbers(text)] == [done, total]
        assert value == int(100 * done / total)
        assert [value for _, value in shown[len(stages) :]] == [0] * (len(shown) - len(stages))
        frame = reading.table(visit("runs"))
        assert [cell[0].lower() for cell in frame.iloc[:, 0]] == ["queued", "running"]


def test_a_run_that_nobody_finished_is_lost_and_shows_what_it_had(visit):
    app = visit("retraining", run="race_lost")
    assert len(app.main.error) == 1
    lines = reading.lines(reading.chart(app, -1))  # behind the memory of its last minute
    for lane in golden.raw_json("race_lost", "spec.json")["learning_rates"]:
        told = figures.curve("race_lost", str(lane), "validation")
        assert lines[f"lr {lane}"][0] == pytest.approx(told["step"])


def test_a_lane_that_diverged_is_named_and_has_no_plateau(visit):
    app = visit("retraining", run="race_diverged")
    event = figures.only("race_diverged", "diverged")
    assert any(event["why"] in each.value for each in app.main.warning)
    frame = reading.table(app)
    assert event["lane"] in str(frame.iloc[-1, 0])
    assert not reading.numbers(str(frame.iloc[-1, 4]))
