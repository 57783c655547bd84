"""What Runs shows of several runs beside each other."""

import base64
import re

import pytest

from tests import golden
from tests.figures import reading
from tests.figures.test_other_kinds import classified, sizes
from tests.golden import figures

ASKED = ("slow", "race", "mnist", "fine_tune", "classify", "learning_curve")


def best_lane(run_id: str) -> str:
    """The kept one, or the network whose newest validation is the highest; "" where a run has none."""
    if kept := golden.raw_events(run_id, "kept"):
        return kept[0]["lane"]
    newest = {event["lane"]: event["accuracy"][-1] for event in golden.raw_events(run_id, "metric", split="validation")}
    return max(newest, key=newest.__getitem__, default="")


def held_out(run_id: str) -> float | None:
    lane = best_lane(run_id)
    if golden.raw_events(run_id, "lane_result"):
        return figures.lane_results(run_id)[lane]["final_validation_accuracy"]
    for kind in ("fine_tuned", "network_result"):
        if found := golden.raw_events(run_id, kind, lane=lane):
            return found[0]["validation_accuracy"]
    return None


def on_tests(run_id: str) -> tuple[float, int]:
    """The share that is right on the test, and of how many."""
    lane = best_lane(run_id)
    for kind in ("lane_result", "fine_tuned", "network_result"):
        if found := golden.raw_events(run_id, kind, lane=lane):
            return found[0]["test_accuracy"], found[0]["test_n"]
    if run_id == "classify":
        fresh = [row["said"][0] == row["known"] for row in classified() if row["known"] and not row["learned"]]
        return sum(fresh) / len(fresh), len(fresh)
    (_, accuracies) = sizes()[0]
    return accuracies.mean(), golden.raw_events(run_id, "learning_curve_point")[0]["test_n"]


def colour(picture: str) -> str:
    """Of the square in a cell."""
    drawing = base64.b64decode(picture.split(",")[1]).decode()
    return re.search(r'fill="(#\w{6})"', drawing).group(1)


def name_of(number: int, layers: list[reading.Layer]) -> str:
    """What the run at this place of the comparison, from 0, is called on the chart."""
    (found,) = (name for name in reading.colours(layers) if name.startswith(f"{number + 1} "))
    return found


def test_every_run_has_its_own_figures_colour_and_time(visit):
    app = visit("runs", compare=",".join(ASKED))
    frame = reading.table(app)
    assert len(frame) == len(ASKED)
    squares = []
    for number, (cells, run_id) in enumerate(zip(frame.itertuples(index=False), ASKED, strict=True)):
        square, name, lane, _, validation, tested, n, time, device = cells
        squares.append(colour(square))
        assert reading.numbers(name)[0] == str(number + 1)
        if golden.raw_events(run_id, "lane_result"):
            reading.says(lane, float(best_lane(run_id)))
        if held_out(run_id) is None:
            assert not isinstance(validation, str)
        else:
            reading.says(validation, 100 * held_out(run_id))
        share, total = on_tests(run_id)
        low, high = figures.wilson(share, total)
        reading.says(tested, 100 * share, 100 * low, 100 * high)
        reading.says(n, total)
        reading.lasts(time, figures.seconds(run_id))
        assert device.lower() == golden.raw_json(run_id, "spec.json")["device"]
    assert len(set(squares)) == len(squares)

    together, depths, networks, counts = (reading.chart(app, place) for place in range(4))
    for layers, runs in ((together, ("slow", "race")), (depths, ("fine_tune",)), (networks, ("mnist",))):
        lines, ends, colours = reading.lines(layers), reading.end_labels(layers), reading.colours(layers)
        assert len(lines) == len(runs)
        for run_id in runs:
            number = ASKED.index(run_id)
            name = name_of(number, layers)
            curve = figures.curve(run_id, best_lane(run_id), "validation")
            assert colours[name] == squares[number]
            weight = 0.0 if layers is networks else 0.6
            smooth = figures.smoothed(curve["accuracy"], weight)
            assert lines[name][1] == pytest.approx(smooth)
            reading.says(ends[name], 100 * smooth[-1])
            if layers is together:
                assert lines[name][0] == pytest.approx(curve["step"])
    (line,) = reading.of_mark(counts, "line")
    assert line.values("y") == pytest.approx([accuracies.mean() for _, accuracies in sizes().values()])
    assert set(line.values("color")) == {squares[5]}

    app.segmented_control(key="curve_axis").set_value("Seconds").run()
    layers = reading.chart(app)
    for run_id in ("slow", "race"):
        curve = figures.curve(run_id, best_lane(run_id), "validation")
        assert reading.lines(layers)[name_of(ASKED.index(run_id), layers)][0] == pytest.approx(curve["seconds"])
    app.segmented_control(key="curve_axis").set_value("Steps").run()

    reading.open_tab(app, "compared_tabs", "Where the time went")
    segments, _, totals = reading.chart(app, len(app.main.get("vega_lite_chart")) - 1)
    names = totals.values("y")
    assert [reading.numbers(name)[0] for name in names] == [str(number + 1) for number in range(len(ASKED))]
    unit = 60 if "minute" in segments.title("x") else 1
    for row, name, run_id in zip(totals.rows, names, ASKED, strict=True):
        whole = [figures.starting(run_id), *figures.stages(run_id).values()]
        own = [each for each in segments.rows if each[segments.field("y")] == name]
        spans = [unit * (each[segments.field("x2")] - each[segments.field("x")]) for each in own]
        assert spans == pytest.approx(whole)
        for each, seconds in zip(own, whole, strict=True):
            reading.lasts(each["took"].partition(";")[0], seconds)
        reading.lasts(row[totals.field("text")], sum(whole))
    inside = next(each.value for each in app.main.caption if len(reading.durations(each.value)) > 3)
    for run_id in ("slow", "race"):
        result = figures.only(run_id, "result")
        name = next(name for name in names if name.startswith(f"{ASKED.index(run_id) + 1} "))
        own = inside[inside.index(name) + len(name) :].partition(";")[0]
        reading.last_in_order(own, *(result[key] for key in ("decode_seconds", "backbone_seconds", "cache_seconds")))


def test_the_better_run_has_the_higher_validation_and_the_settings_that_differ_are_each_runs_own(visit):
    runs = ("slow", "race")
    app = visit("runs", compare=",".join(runs))
    first, second = sorted(runs, key=lambda run_id: -held_out(run_id))
    said = next(each.value for each in app.main.markdown if len(reading.numbers(each.value)) > 8)
    assert reading.numbers(said)[0] == str(runs.index(first) + 1)
    shares = [number for number in reading.numbers(said) if reading.is_rounded(number, 100 * held_out(first))]
    others = [number for number in reading.numbers(said) if reading.is_rounded(number, 100 * held_out(second))]
    assert reading.numbers(said).index(shares[0]) < reading.numbers(said).index(others[0])
    for run_id in runs:
        share, total = on_tests(run_id)
        assert ", ".join(reading.numbers(said)).count(
            ", ".join(f"{100 * each:.1f}" for each in (share, *figures.wilson(share, total)))
        )
    frame = reading.table(reading.open_tab(app, "compared_tabs", "Settings"))
    specs = [golden.raw_json(run_id, "spec.json") for run_id in runs]
    shown = [[reading.numbers(str(cell)) for cell in row[1:]] for row in frame.itertuples(index=False)]
    for key in ("steps", "eval_step_interval"):
        assert specs[0][key] != specs[1][key]
        assert [[str(spec[key])] for spec in specs] in shown
    assert [[f"{rate:g}" for rate in spec["learning_rates"]] for spec in specs] in [
        [[f"{float(number):g}" for number in cell] for cell in row] for row in shown
    ]
    alike = reading.settings(app)
    assert str(specs[0]["validation_percentage"]) in [number for each in alike for number in reading.numbers(each)]
