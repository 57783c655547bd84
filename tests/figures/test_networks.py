"""What the page MNIST shows of a comparison of networks."""

import json

import numpy as np
import pytest

from tests import golden
from tests.figures import reading
from tests.figures.test_race import classes, confusion
from tests.golden import figures


def titles() -> dict[str, str]:
    """Lane -> its network's title, in the order of creation."""
    return {network["name"]: network["title"] for network in golden.raw_json("mnist", "spec.json")["networks"]}


def finals() -> dict[str, dict]:
    """Lane -> its final figures and those of its export, the best on the test images first."""
    exported = {event["lane"]: event for event in golden.raw_events("mnist", "network_exported")}
    found = {event["lane"]: event | exported[event["lane"]] for event in golden.raw_events("mnist", "network_result")}
    return dict(sorted(found.items(), key=lambda each: (-each[1]["test_accuracy"], each[1]["parameters"])))


def right(event: dict) -> int:
    return round(event["test_accuracy"] * event["test_n"])


def test_every_figure_of_the_table_is_in_its_row_and_column(visit):
    app = visit("mnist", run="mnist")
    frame = reading.table(app)
    assert [str(cell) for cell in frame.iloc[:, 0]] == [titles()[lane] for lane in finals()]
    for lane, event in finals().items():
        _, test, wrong, training, speed, image, parameters, work, best = reading.row_of(frame, titles()[lane])
        low, high = figures.wilson(event["test_accuracy"], event["test_n"])
        reading.says(test, 100 * event["test_accuracy"], 100 * low, 100 * high)
        reading.says(wrong, event["test_n"] - right(event))
        reading.lasts(training, event["train_seconds"])
        reading.says(speed, event["images_per_second"])
        assert image.endswith(" ms")
        reading.lasts(image, event["image_seconds"])
        reading.says(parameters, event["parameters"])
        reading.says(work, event["multiply_adds"])
        if event["best_epoch"]:
            reading.says(best, event["best_epoch"])
        else:
            assert best is None
    reading.says(frame.columns[2], event["test_n"])


def test_the_verdict_gives_every_network_its_own_figures(visit):
    (best, first), (second, other), _ = finals().items()
    said = reading.sentence(visit("mnist", run="mnist"), titles()[best], titles()[second], "McNemar")
    assert reading.is_rounded(reading.after(said, titles()[best]), 100 * first["test_accuracy"])
    assert reading.is_rounded(reading.after(said, titles()[second]), 100 * other["test_accuracy"])
    only_first, only_second, p = figures.mcnemar("mnist", best, second)
    reading.names(said, first["test_n"], only_first + only_second, only_first, only_second, p)
    took = reading.durations(said)[:2]
    for (seconds, half), event in zip(took, (first, other), strict=True):
        assert seconds == pytest.approx(event["train_seconds"], abs=half)
    for event in (first, other):
        reading.names(said, event["parameters"])


def epochs(lane: str, split: str) -> tuple[list[float], dict[str, list]]:
    told = figures.curve("mnist", lane, split)
    (started,) = golden.raw_events("mnist", "lane_started", lane=lane)
    return [step / started["steps_an_epoch"] for step in told["step"]], told


@pytest.mark.parametrize("axis", ["Epochs", "Seconds", "Steps"])
def test_the_curves_are_those_of_every_network(visit, axis):
    app = visit("mnist", run="mnist")
    if axis != "Epochs":
        app.segmented_control(key="network_axis").set_value(axis).run()
    layers = reading.chart(app)
    lines, ends, colours = reading.lines(layers), reading.end_labels(layers), reading.colours(layers)
    assert list(colours) == list(titles().values())
    assert len(set(colours.values())) == len(titles())
    assert axis.lower().rstrip("s") in layers[0].title("x")
    for lane, title in titles().items():
        x, told = epochs(lane, "validation")
        shown = told["accuracy"]
        if not x:  # it holds nothing out: its training in full, a point for some batches, smoothed
            x, told = epochs(lane, "training")
            together = -(-len(x) // len(lines[title][0]))
            blocks = np.array_split(told["accuracy"], range(together, len(x), together))
            shown = figures.smoothed([block.mean() for block in blocks], 0.9)
            for each in (x, told["seconds"], told["step"]):
                each[:] = [each[min(at + together, len(each)) - 1] for at in range(0, len(each), together)]
        assert lines[title][0] == pytest.approx({"Epochs": x, "Seconds": told["seconds"], "Steps": told["step"]}[axis])
        assert lines[title][1] == pytest.approx(shown)
        reading.says(ends[title], 100 * shown[-1])


def test_each_network_has_one_colour_and_its_own_cost(visit):
    app = visit("mnist", run="mnist")
    lanes = reading.colours(reading.chart(app, 0))
    costs = {
        "Training": ("train_seconds", 1.0, "second"),
        "Multiply-adds": ("multiply_adds", 1.0, "multiply-adds"),
        "Parameters": ("parameters", 1.0, "parameters"),
        "Per image": ("image_seconds", 1000.0, "milliseconds"),
    }
    for name, (field, unit, word) in costs.items():
        app.segmented_control(key="cost").set_value(name).run()
        layers = reading.chart(app, 1)
        (dots,) = reading.of_mark(layers, "point")
        (intervals,) = reading.of_mark(layers, "rule")
        assert word in dots.title("x")
        assert dots.encoding["y"]["axis"]["format"].endswith("%")
        names = {row["name"]: row for row in dots.rows}
        for lane, event in finals().items():
            row, (low, high) = names[titles()[lane]], figures.wilson(event["test_accuracy"], event["test_n"])
            assert row[dots.field("x")] == pytest.approx(unit * event[field])
            assert row[dots.field("y")] == pytest.approx(event["test_accuracy"])
            assert row[dots.field("color")] == lanes[titles()[lane]]
            assert (row[intervals.field("y")], row[intervals.field("y2")]) == pytest.approx((low, high), abs=1e-6)


def test_the_confusion_is_that_of_the_network_that_is_chosen(visit):
    app = reading.open_tab(visit("mnist", run="mnist"), "mnist_tabs", "Confusion")
    for lane in titles():
        app.selectbox(key="confusion_lane_mnist").set_value(lane).run()
        confusion(app, 1, "mnist", lane)
        classes(reading.table(app), "mnist", lane)


def sure(alt: str) -> tuple[int, str]:
    """The number of the test image of a picture, and what is said of it."""
    number, _, words = alt.partition(":")
    return int(reading.numbers(number)[0]), words


def test_mistakes_stand_in_the_order_of_their_confidence(visit):
    app = reading.open_tab(visit("mnist", run="mnist"), "mnist_tabs", "Mistakes")
    for lane in titles():
        app.selectbox(key="mistakes_lane_mnist").set_value(lane).run()
        alts = [each.proto.imgs[0].alt for each in app.main.image if "→" in each.proto.imgs[0].alt]
        wrong = figures.wrong("mnist", lane)[:24]
        scores = {
            int(number): (score, true, predicted) for score, number, true, predicted in figures.wrong("mnist", lane)
        }
        shown = [sure(alt) for alt in alts[: len(wrong)]]
        assert [scores[number][0] for number, _ in shown] == [score for score, *_ in wrong]
        for number, words in shown:
            score, true, predicted = scores[number]
            assert f"{true} → {predicted}" in words
            assert reading.is_rounded(reading.numbers(words)[-1], 100 * score)
        caption = next(each.value for each in app.main.caption if each.value.startswith(titles()[lane]))
        reading.says(caption.removeprefix(titles()[lane]), len(figures.wrong("mnist", lane)), finals()[lane]["test_n"])


def test_the_hardest_digits_are_those_that_most_networks_get_wrong(visit):
    app = reading.open_tab(visit("mnist", run="mnist"), "mnist_tabs", "Mistakes")
    said = golden.raw_json("mnist", "artifacts/predictions.json")
    truth = np.array(said["truth"])
    predicted = np.array([said["lanes"][lane]["predicted"] for lane in titles()])
    score = np.array([said["lanes"][lane]["score"] for lane in titles()])
    wrong = predicted != truth
    errors = wrong.sum(axis=0)
    confidence = (wrong * score).sum(axis=0) / np.maximum(errors, 1)
    hardest = sorted(np.flatnonzero(errors), key=lambda at: (-errors[at], -confidence[at]))[:12]
    alts = [each.proto.imgs[0].alt for each in app.main.image if "→" not in each.proto.imgs[0].alt]
    shown = [(int(reading.numbers(alt)[0]), alt) for alt in alts if len(reading.numbers(alt)) > 3][: len(hardest)]
    assert [(errors[at], round(confidence[at], 4)) for at, _ in shown] == [
        (errors[at], round(confidence[at], 4)) for at in hardest
    ]
    for at, alt in shown:
        numbers = [number for lane, title in titles().items() for number in _said_of(alt, title)]
        expected = [value for row in range(len(titles())) for value in (predicted[row, at], 100 * score[row, at])]
        assert all(map(reading.is_rounded, numbers, expected))
        assert reading.numbers(alt)[1] == str(truth[at])


def _said_of(alt: str, title: str) -> list[str]:
    return reading.numbers(alt.split(f"{title}: ")[1])[:2]


def test_where_two_networks_disagree(visit):
    app = reading.open_tab(visit("mnist", run="mnist"), "mnist_tabs", "Mistakes")
    first, second, _ = finals()
    only_first, only_second, p = figures.mcnemar("mnist", first, second)
    truth, one = map(np.array, figures.answers("mnist", first))
    other = np.array(figures.answers("mnist", second)[1])
    both_right, both_wrong = (
        int(((one == truth) & (other == truth)).sum()),
        int(((one != truth) & (other != truth)).sum()),
    )
    said = reading.sentence(app, titles()[first], titles()[second], "against", "both")
    numbers = reading.numbers(said)
    expected = [both_right, both_wrong, only_first + only_second, len(truth), only_first, only_second, p]
    assert len(numbers) == len(expected)
    assert all(map(reading.is_rounded, numbers, expected))


def test_the_leaderboard_and_the_recipes(visit):
    app = reading.open_tab(visit("mnist", run="mnist"), "mnist_tabs", "Leaderboard")
    frame = reading.table(app)
    assert [str(cell) for cell in frame.iloc[:, 0]] == [titles()[lane] for lane in finals()]
    for lane, event in finals().items():
        _, test, median, epochs_learned, training, parameters, seed, run_id = reading.row_of(frame, titles()[lane])
        low, high = figures.wilson(event["test_accuracy"], event["test_n"])
        reading.says(test, 100 * event["test_accuracy"], 100 * low, 100 * high)
        assert median is None
        reading.says(epochs_learned, event["epochs"])
        reading.lasts(training, event["train_seconds"])
        reading.says(parameters, event["parameters"])
        assert (seed, run_id) == (str(golden.raw_json("mnist", "spec.json")["seed"]), "mnist")
    reading.open_tab(app, "mnist_tabs", "Settings")
    recipes = reading.table(app)
    for network in golden.raw_json("mnist", "spec.json")["networks"]:
        (started,) = golden.raw_events("mnist", "lane_started", lane=network["name"])
        row = reading.row_of(recipes, network["title"])
        _, _, rate, _, batch, smoothing, _, training, held_out, _ = row
        reading.says(rate, network["learning_rate"])
        reading.says(batch, started["batch_size"])
        reading.says(smoothing, network["label_smoothing"])
        reading.says(training, started["training"])
        reading.says(held_out, started["validation"])
    assert json.dumps(figures.only("mnist", "mnist_result")["runtime"]) in json.dumps(reading.settings(app))
