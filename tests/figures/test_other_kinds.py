"""What the pages show of fine-tuning, batch sizes, learning curves, batch classification and imported curves."""

import math

import numpy as np
import pytest
from scipy.stats import t as student

from tests import golden
from tests.figures import reading
from tests.figures.test_race import classes, confusion
from tests.golden import figures

# --- fine-tuning -----------------------------------------------------------------------------------------------------


def tuned() -> dict[str, dict]:
    return {event["lane"]: event for event in golden.raw_events("fine_tune", "fine_tuned")}


def change(lane: str) -> tuple[float, float, float]:
    """Of accuracy against the frozen lane, in points, with the interval of Agresti and Min 2005."""
    truth, frozen = map(np.array, figures.answers("fine_tune", "frozen"))
    other = np.array(figures.answers("fine_tune", lane)[1])
    gained, lost = int(((frozen != truth) & (other == truth)).sum()), int(((frozen == truth) & (other != truth)).sum())
    n, b, c = len(truth) + 2, gained + 0.5, lost + 0.5
    half = 1.959964 * math.sqrt((b + c) - (b - c) ** 2 / n) / n
    return 100 * (gained - lost) / len(truth), 100 * ((b - c) / n - half), 100 * ((b - c) / n + half)


def test_every_depth_has_its_figures_in_its_row_and_column(visit):
    app = visit("retraining", run="fine_tune")
    frame = reading.table(app)
    assert len(frame) == len(tuned())
    for cells, event in zip(frame.itertuples(index=False), tuned().values(), strict=True):
        _, test, changed, validation, parameters, memory, epoch, at_once = cells
        low, high = figures.wilson(event["test_accuracy"], event["test_n"])
        reading.says(test, 100 * event["test_accuracy"], 100 * low, 100 * high)
        if event["lane"] == "frozen":
            assert changed is None or changed != changed
        else:
            reading.says(changed, *change(event["lane"]))
        reading.says(validation, 100 * event["validation_accuracy"])
        if event["parameters"] < 1e6:
            reading.says(parameters, event["parameters"])
        else:
            reading.says(parameters, event["parameters"] / 1e6)
        reading.weighs(memory, event["peak_memory_bytes"])
        reading.lasts(epoch, event["epoch_seconds"])
        reading.says(at_once, *[event["at_once"], event["batch_size"]][: 1 + (event["at_once"] < event["batch_size"])])


def test_the_change_of_every_depth_is_drawn_in_the_colour_of_its_curve(visit):
    app = visit("retraining", run="fine_tune")
    layers = reading.chart(app, 0)
    lines, ends, colours = reading.lines(layers), reading.end_labels(layers), reading.colours(layers)
    for title, lane in zip(colours, tuned(), strict=True):
        told = figures.curve("fine_tune", lane, "validation")
        assert lines[title][1] == pytest.approx(told["accuracy"])
        reading.says(ends[title], 100 * told["accuracy"][-1])
    (points,) = reading.of_mark(reading.chart(app, 1), "point")
    (intervals,) = (each for each in reading.of_mark(reading.chart(app, 1), "rule") if "x2" in each.encoding)
    for row, (title, lane) in zip(points.rows, list(zip(colours, tuned(), strict=True))[1:], strict=True):
        shown = row[points.field("x")], row[intervals.field("x")], row[intervals.field("x2")]
        assert shown == pytest.approx(change(lane), abs=1e-3)
        assert row[points.field("color")] == colours[title]


def test_the_verdict_of_depths(visit):
    said = next(
        each.value for each in visit("retraining", run="fine_tune").main.markdown if " pt " in each.value
    )  # the only one in points
    for lane in tuned():
        if lane != "frozen":
            reading.names(said, *change(lane))
    slowest = max((event for event in tuned().values() if event["lane"] != "frozen"), key=lambda e: e["epoch_seconds"])
    reading.last_in_order(said, slowest["epoch_seconds"], tuned()["frozen"]["epoch_seconds"])


def test_the_confusion_is_that_of_the_depth_that_is_chosen(visit):
    app = reading.open_tab(visit("retraining", run="fine_tune"), "tune_tabs", "Confusion")
    for lane in tuned():
        app.segmented_control(key="tune_confusion_fine_tune").set_value(lane).run()
        place = len(app.main.get("vega_lite_chart")) - 1
        confusion(app, place, "fine_tune", lane)
        classes(reading.table(app), "fine_tune", lane)
    reading.open_tab(app, "tune_tabs", "Settings")
    told = golden.raw_events("fine_tune", "fine_tune_result")[0]
    photos, runtime, foreseen = reading.settings(app)[-3:]
    reading.says(photos, told["training"], told["validation"], told["testing"])
    assert runtime == told["runtime"]
    expected = figures.only("fine_tune", "expected")["seconds"]
    reading.last_in_order(foreseen, expected, figures.seconds("fine_tune"))


# --- batch sizes -----------------------------------------------------------------------------------------------------


def test_every_batch_size_has_its_figures(visit):
    app = visit("retraining", run="batch_size")
    tried = sorted(golden.raw_events("batch_size", "batch_tried"), key=lambda event: event["batch_size"])
    frame = reading.table(app)
    for cells, event in zip(frame.itertuples(index=False), tried, strict=True):
        size, fits, memory, speed, why = cells
        reading.says(size, event["batch_size"])
        if event["fits"]:
            reading.weighs(memory, event["peak_memory_bytes"])
            reading.says(speed, event["images_per_second"])
            assert fits == frame.iloc[0, 1]
        else:
            assert why == event["why"]
            assert fits != frame.iloc[0, 1]
    fitting = [event for event in tried if event["fits"]]
    for place, field, unit, word in ((0, "peak_memory_bytes", 1e6, "mb"), (1, "images_per_second", 1, "second")):
        layers = reading.chart(app, place)
        (line,) = reading.of_mark(layers, "line")
        assert line.values("x") == [event["batch_size"] for event in fitting]
        assert line.values("y") == pytest.approx([event[field] / unit for event in fitting])
        assert word in line.title("y")
    limit = figures.only("batch_size", "batch_size_result")["memory_limit_bytes"]
    (rule,) = reading.of_mark(reading.chart(app, 0), "rule")
    assert rule.values("y") == [limit / 1e6]


def test_the_batch_size_to_take(visit):
    app = visit("retraining", run="batch_size")
    tried = sorted(golden.raw_events("batch_size", "batch_tried"), key=lambda event: event["batch_size"])
    fitting, result = [event for event in tried if event["fits"]], figures.only("batch_size", "batch_size_result")
    roomy = [event for event in fitting if event["peak_memory_bytes"] <= 0.8 * result["memory_limit_bytes"]]
    roomy = roomy or fitting[:1]
    best = max(event["images_per_second"] for event in roomy)
    taken = next(event for event in roomy if event["images_per_second"] >= 0.95 * best)
    said = next(each.value for each in app.main.markdown if "images/s" in each.value)
    first, speed, memory = reading.numbers(said)[:3]
    assert first == str(taken["batch_size"])
    assert reading.is_rounded(speed, taken["images_per_second"])
    assert any(reading.is_rounded(memory, taken["peak_memory_bytes"] / unit) for unit in (1e6, 1e9))
    reading.names(said, result["largest"])
    if fitting[-1] is not taken:
        reading.names(said, fitting[-1]["batch_size"])
    reading.open_tab(app, "batch_tabs", "Settings")
    limit, alone, parameters, runtime = reading.settings(app)[-5:-1]
    reading.weighs(limit, result["memory_limit_bytes"])
    assert reading.is_rounded(reading.numbers(alone)[0], result["model_bytes"] / 1e6)
    assert reading.is_rounded(
        reading.numbers(parameters)[0], result["parameters"] / (1e6 if "million" in parameters else 1)
    )
    assert runtime == result["runtime"]


# --- learning curves -------------------------------------------------------------------------------------------------


def sizes() -> dict[int, tuple[int, np.ndarray]]:
    """Size -> photos learned from and the accuracies of the seeds in their order, smallest first, all at the end."""
    found: dict[int, list[dict]] = {}
    for point in golden.raw_events("learning_curve", "learning_curve_point"):
        found.setdefault(point["size"], []).append(point)
    rows = {
        size: (
            points[0]["photos"],
            np.array([p["correct"] / p["test_n"] for p in sorted(points, key=lambda p: p["seed"])]),
        )
        for size, points in found.items()
    }
    return dict(sorted(rows.items(), key=lambda row: row[1][0]))


def gain(before: np.ndarray, after: np.ndarray) -> tuple[float, float, float]:
    changes = 100 * (after - before)
    half = student.ppf(0.975, len(changes) - 1) * changes.std(ddof=1) / math.sqrt(len(changes))
    mean = changes.mean()
    return mean, max(-100, mean - half), min(100, mean + half)


def test_every_number_of_photos_has_its_figures(visit):
    app = visit("retraining", run="learning_curve")
    frame, rows = reading.table(app), list(sizes().items())
    test_n = golden.raw_events("learning_curve", "learning_curve_point")[0]["test_n"]
    for number, (cells, (size, (photos, accuracies))) in enumerate(
        zip(frame.itertuples(index=False), rows, strict=True)
    ):
        title, learned, mean, spread, between, gained = cells
        assert reading.numbers(title) == ([str(size)] if size else [])
        reading.says(learned, photos)
        reading.says(mean, 100 * accuracies.mean())
        reading.says(spread, 100 * accuracies.std(ddof=1))
        reading.says(between, 100 * accuracies.min(), 100 * accuracies.max())
        if number:
            reading.names(gained, gain(rows[number - 1][1][1], accuracies)[0])
            if "(" in gained:
                reading.says(gained, *gain(rows[number - 1][1][1], accuracies))
    caption = next(each.value for each in app.main.caption if str(test_n) in reading.numbers(each.value))
    reading.names(caption, test_n, len(accuracies))
    layers = reading.chart(app)
    (line,) = reading.of_mark(layers, "line")
    classes_of = len(golden.raw_json("learning_curve", "dataset.json")["labels"])
    assert line.values("x") == pytest.approx([photos / classes_of for _, (photos, _) in rows])
    assert line.values("y") == pytest.approx([accuracies.mean() for _, (_, accuracies) in rows])
    (band,) = reading.of_mark(layers, "area")
    assert band.values("y") == pytest.approx([each.mean() - each.std(ddof=1) for _, (_, each) in rows])
    assert band.values("y2") == pytest.approx([min(1, each.mean() + each.std(ddof=1)) for _, (_, each) in rows])
    faint = min(reading.of_mark(layers, "point"), key=lambda layer: -len(layer.rows))
    assert faint.values("y") == pytest.approx(np.concatenate([accuracies for _, (_, accuracies) in rows]))
    for event in golden.raw_events("learning_curve", "warning"):
        assert event["message"] in reading.words(app)


def test_the_verdict_of_a_learning_curve(visit):
    app = visit("retraining", run="learning_curve")
    rows = list(sizes().values())
    last = rows[-1][1].mean()
    test_n = golden.raw_events("learning_curve", "learning_curve_point")[0]["test_n"]
    low, high = figures.wilson(last, test_n)
    said = next(each.value for each in app.main.markdown if len(reading.numbers(each.value)) > 6)
    reading.names(said, 100 * last, 100 * low, 100 * high, test_n, len(rows[-1][1]))
    enough = None
    for number, (_, accuracies) in enumerate(rows[:-1]):
        gains = [gain(accuracies, later) for _, later in rows[number + 1 :]]
        if not any((low > 0 or high < 0) and mean >= 1 for mean, low, high in gains):
            enough = number
            break
    if enough is None:
        reading.names(said, 100 * rows[-2][1].mean(), gain(rows[-2][1], rows[-1][1])[0])
    else:
        first = list(sizes())[enough]
        assert reading.numbers(said)[0] == str(first)
        assert reading.is_rounded(reading.numbers(said)[1], 100 * rows[enough][1].mean())


# --- batch classification --------------------------------------------------------------------------------------------


def classified() -> list[dict]:
    """Every picture that was classified: file, known label or "", the labels and scores said, whether learned from."""
    dataset, labels = golden.raw_json("classify", "dataset.json"), figures.labels("classify")
    top = min(golden.raw_json("classify", "spec.json")["top"], len(labels))
    rows = []
    for block in golden.raw_events("classify", "classified"):
        for number, (photo, learned) in enumerate(zip(block["photo"], block["learned"], strict=True)):
            place = dataset["label_of_file"][photo]
            folder = dataset["labels"][place] if place >= 0 else ""
            said = [labels[label] for label in block["label"][number * top : (number + 1) * top]]
            scores = block["score"][number * top : (number + 1) * top]
            known = folder if folder in labels else ""
            rows.append(
                {"file": dataset["files"][photo], "known": known, "said": said, "scores": scores} | {"learned": learned}
            )
    return rows


def test_every_picture_has_its_answer(visit):
    app = visit("playground", run="classify")
    frame, rows = reading.table(app), classified()
    assert len(frame) == len(rows)
    for cells, row in zip(frame.itertuples(index=False), rows, strict=True):
        _, file, answer, score, second, *rest = cells
        assert (file, answer) == (row["file"], row["said"][0])
        assert score == pytest.approx(100 * row["scores"][0])
        assert second.startswith(row["said"][1])
        reading.says(second, 100 * row["scores"][1])
        told = [each for each in rest if isinstance(each, str)]
        if row["known"]:
            assert told[0] == row["known"]
    judged = {row["file"]: row["said"][0] == row["known"] for row in rows if row["known"]}
    words = {cells[1]: cells[6] for cells in frame.itertuples(index=False) if isinstance(cells[6], str)}
    assert set(words) == set(judged)
    right, wrong = ({words[file] for file, each in judged.items() if each is is_right} for is_right in (True, False))
    assert len(right) == len(wrong) == 1
    assert right != wrong
    learned = {cells[1] for cells in frame.itertuples(index=False) if isinstance(cells[7], str)}
    assert learned == {row["file"] for row in rows if row["learned"]}


def test_how_many_pictures_are_right(visit):
    rows = classified()
    fresh = [row["said"][0] == row["known"] for row in rows if row["known"] and not row["learned"]]
    learned = [row["said"][0] == row["known"] for row in rows if row["known"] and row["learned"]]
    share = sum(fresh) / len(fresh)
    low, high = figures.wilson(share, len(fresh))
    app = visit("playground", run="classify")
    said = next(each.value for each in app.main.markdown if len(reading.numbers(each.value)) > 8)
    unknown = sum(not row["known"] for row in rows)
    first = [100 * share, len(fresh), 95, 100 * low, 100 * high, sum(fresh), len(fresh)]
    reading.says(said, *first, len(learned), 100 * sum(learned) / len(learned), unknown)
    (skipped,) = golden.raw_events("classify", "skipped")
    assert f"`{skipped['file']}`: {skipped['why']}" in reading.words(app)


def test_pictures_in_the_order_that_is_chosen(visit):
    app, rows = visit("playground", run="classify"), classified()
    options = app.segmented_control(key="answers_order").options
    app.segmented_control(key="answers_order").set_value(options[1]).run()
    scores = list(reading.table(app).iloc[:, 3])
    assert scores == sorted(100 * row["scores"][0] for row in rows)
    app.segmented_control(key="answers_order").set_value(options[2]).run()
    frame = reading.table(app)
    wrong = [row for row in rows if row["known"] and row["said"][0] != row["known"]]
    assert list(frame.iloc[:, 3]) == pytest.approx(sorted((100 * row["scores"][0] for row in wrong), reverse=True))
    assert set(frame.iloc[:, 1]) == {row["file"] for row in wrong}


def test_the_confusion_of_classified_pictures(visit):
    app = reading.open_tab(visit("playground", run="classify"), "many_tabs", "Confusion")
    rows = [row for row in classified() if row["known"]]
    cells, _ = reading.chart(app, 0)
    assert (cells.title("x"), cells.title("y")) == ("predicted", "true")
    shown = {(row[cells.field("y")], row[cells.field("x")]): row["count"] for row in cells.rows}
    for known in {row["known"] for row in rows}:
        for said in {row["said"][0] for row in rows} & {row["known"] for row in rows}:
            assert shown[known, said] == sum((row["known"], row["said"][0]) == (known, said) for row in rows)
    frame = reading.table(app)
    for label in {row["known"] for row in rows}:
        _, photos, recall, precision = reading.row_of(frame, label)
        right = sum(row["known"] == row["said"][0] == label for row in rows)
        assert photos == sum(row["known"] == label for row in rows)
        assert recall == pytest.approx(100 * right / photos)
        assert precision == pytest.approx(100 * right / sum(row["said"][0] == label for row in rows))
    reading.open_tab(app, "many_tabs", "Settings")
    result, loaded = figures.only("classify", "classify_result"), figures.only("classify", "model_loaded")
    size, runtime, one, decoding, memory = reading.settings(app)[-5:]
    assert reading.numbers(size.replace("×", " ")) == [str(loaded["input_width"]), str(loaded["input_height"])]
    reading.last_in_order(runtime, loaded["load_seconds"])
    reading.last_in_order(one, result["photo_seconds"])
    assert reading.numbers(one)[-1] == str(result["photos"])
    reading.last_in_order(decoding, result["decode_seconds"])
    assert reading.is_rounded(reading.numbers(memory)[0], result["peak_memory_bytes"] / 1e6)


# --- imported curves -------------------------------------------------------------------------------------------------


def test_imported_curves_are_drawn_as_they_were(visit):
    app = visit("retraining", run="imported")
    lanes = golden.raw_json("imported", "spec.json")["lanes"]
    for axis, field in (("Steps", "step"), ("Seconds", "seconds")):
        app.segmented_control(key="curve_axis").set_value(axis).run()
        layers = reading.chart(app)
        lines, ends = reading.lines(layers), reading.end_labels(layers)
        assert list(reading.colours(layers)) == lanes
        for lane in lanes:
            told = figures.curve("imported", lane, "validation")
            smooth = figures.smoothed(told["accuracy"], 0.6)
            assert lines[lane][0] == pytest.approx(told[field])
            assert lines[lane][1] == pytest.approx(smooth)
            reading.says(ends[lane], 100 * smooth[-1])
