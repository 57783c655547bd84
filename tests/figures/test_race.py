"""What the page Retraining shows of races, of one rate alone, and of a comparison of devices."""

import itertools

import numpy as np
import pytest

from tests import golden
from tests.figures import reading
from tests.golden import figures

SEVERAL = ("race", "slow", "pair_one", "pair_all")


@pytest.fixture(scope="module")
def of_lane():
    """For every lane of the race its title on the charts."""
    return {lane: f"lr {lane}" for lane in figures.lane_results("race")}


def in_table(run_id: str) -> list[str]:
    """The lanes as the table has them: the kept one, then by validation."""
    kept, results = figures.only(run_id, "kept")["lane"], figures.lane_results(run_id)
    return sorted(results, key=lambda lane: (lane != kept, -results[lane]["final_validation_accuracy"]))


@pytest.mark.parametrize("run_id", SEVERAL)
def test_every_figure_of_the_table_is_in_its_row_and_column(visit, run_id):
    app = visit("retraining", run=run_id)
    frame, results = reading.table(app), figures.lane_results(run_id)
    assert [next(lane for lane in results if lane in str(cell).split()) for cell in frame.iloc[:, 0]] == in_table(
        run_id
    )
    kept = figures.only(run_id, "kept")["lane"]
    assert str(frame.iloc[0, 0]) != f"lr {kept}"  # it says that it is the kept one
    for lane, result in results.items():
        _, test, best, best_step, step, seconds, spread = reading.row_of(frame, lane)
        low, high = figures.wilson(result["test_accuracy"], result["test_n"])
        reading.says(test, 100 * result["test_accuracy"], 100 * low, 100 * high, result["test_n"])
        reading.says(best, 100 * result["best_validation_accuracy"])
        reading.says(best_step, result["best_step"])
        found = figures.plateau(run_id, lane)
        if found is None:
            assert step is None
            assert seconds is None
        else:
            reading.says(step, found[0])
            reading.lasts(seconds, found[1])
        reading.says(spread, 100 * figures.spread(run_id, lane))


def test_the_verdict_gives_every_lane_its_own_figures(visit):
    results = figures.lane_results("race")
    kept, second, _ = in_table("race")
    said = reading.sentence(visit("retraining", run="race"), kept, second)
    for lane in (kept, second):
        assert reading.is_rounded(reading.after(said, lane), 100 * results[lane]["final_validation_accuracy"])
    only_kept, only_second, p = figures.mcnemar("race", kept, second)
    reading.names(said, only_kept + only_second, results[kept]["test_n"], only_kept, only_second, p)
    first = min((found[0], lane) for lane in results if (found := figures.plateau("race", lane)))
    assert reading.is_rounded(reading.after(said[said.rindex(f"{first[1]} ") :], first[1]), first[0])


@pytest.fixture
def squares(visit):
    """The colours of the lanes in the form, in their order."""
    return reading.squares(visit("retraining"))


def curves(lane: str, split: str = "validation", field: str = "accuracy", weight: float = 0.9) -> list[float]:
    return figures.smoothed(figures.curve("race", lane, split)[field], weight)


def drawn(app, squares, of_lane, split: str, field: str, axis: str, weight: float) -> None:
    """Fails unless the chart draws this of every lane, in its own colour, with its last value at its end."""
    layers = reading.chart(app)
    lines, colours, ends = reading.lines(layers), reading.colours(layers), reading.end_labels(layers)
    for number, (lane, title) in enumerate(of_lane.items()):
        told = figures.curve("race", lane, split)
        smooth = figures.smoothed(told[field], weight)
        assert lines[title][0] == pytest.approx(told["step" if axis == "step" else "seconds"])
        assert lines[title][1] == pytest.approx(smooth)
        assert colours[title] == squares[number]
        last = 100 * smooth[-1] if field == "accuracy" else smooth[-1]
        reading.says(ends[title], last)
    faint = next(layer for layer in reading.of_mark(layers, "line") if "strokeDash" not in layer.encoding)
    assert faint.values("y") == pytest.approx(
        list(itertools.chain.from_iterable(figures.curve("race", lane, split)[field] for lane in of_lane))
    )
    title = layers[0].title("x")
    assert ("second" in title) is (axis == "seconds")
    assert ("step" in title) is (axis == "step")
    (frame,) = layers[0].rows
    longest = max(figures.curve("race", lane, split)["seconds"][-1] for lane in of_lane)
    assert frame["end"] == pytest.approx(golden.raw_json("race", "spec.json")["steps"] if axis == "step" else longest)
    figure_of = ".0%" if field == "accuracy" else "~g"
    assert layers[0].encoding["y"]["axis"]["format"] == figure_of


def test_the_curves_are_those_of_every_lane_on_the_axis_that_is_chosen(visit, of_lane, squares):
    app = visit("retraining", run="race")
    drawn(app, squares, of_lane, "validation", "accuracy", "step", 0.9)
    best = next(each for each in reading.of_mark(reading.chart(app), "point", "fill"))
    results = figures.lane_results("race")
    assert dict(zip(best.values("fill"), best.values("x"), strict=True)) == {
        title: results[lane]["best_step"] for lane, title in of_lane.items()
    }
    app.segmented_control(key="curve_axis").set_value("Seconds").run()
    drawn(app, squares, of_lane, "validation", "accuracy", "seconds", 0.9)
    app.segmented_control(key="curve_split").set_value("Training").run()
    app.segmented_control(key="curve_measure").set_value("Loss").run()
    app.segmented_control(key="curve_smoothing_True").set_value("Raw").run()
    drawn(app, squares, of_lane, "training", "cross_entropy", "seconds", 0.0)


def test_the_crosshair_reads_every_lane_where_it_stands(visit, of_lane):
    layers = reading.chart(visit("retraining", run="race"))
    (crosshair,) = (
        layer for layer in layers if isinstance(layer.encoding.get("tooltip"), list) and layer.mark == "rule"
    )
    at, *columns = crosshair.encoding["tooltip"]
    assert [column["title"] for column in columns] == list(of_lane.values())
    row = crosshair.rows[len(crosshair.rows) // 2]
    reading.says(row[at["field"]], row["x"])
    for lane, column in zip(of_lane, columns, strict=True):
        steps, values = figures.curve("race", lane, "validation")["step"], curves(lane)
        nearest = min(range(len(steps)), key=lambda number: abs(steps[number] - row["x"]))
        reading.says(row[column["field"]], 100 * values[nearest])


def confusion(app, place: int, run_id: str, lane: str) -> None:
    """Fails unless the chart is this lane's matrix, true classes down and predicted ones across."""
    labels, counts = figures.labels(run_id), figures.counts(run_id, lane)
    cells, texts = reading.chart(app, place)
    assert cells.title("y") == "true"
    assert cells.title("x") == "predicted"
    assert cells.encoding["x"]["sort"] == cells.encoding["y"]["sort"] == labels
    for layer in (cells, texts):
        found = zip(layer.values("y"), layer.values("x"), layer.rows, strict=True)
        for true, predicted, row in found:
            count = counts[labels.index(true), labels.index(predicted)]
            if layer is texts:
                assert row[layer.field("text")] == (str(count) if count else "")
            else:
                share = count / counts[labels.index(true)].sum()
                assert row[layer.field("color")] == pytest.approx(share)
        assert len(layer.rows) == len(labels) ** 2
    reading.names(reading.alt(app, place), counts.trace(), counts.sum())


def classes(frame, run_id: str, lane: str) -> None:
    """Fails unless the table has photos, recall and precision of every class in their columns."""
    recalls, precisions = figures.recalls(run_id, lane), figures.precisions(run_id, lane)
    for number, label in enumerate(figures.labels(run_id)):
        _, photos, recall, precision = reading.row_of(frame, label)
        assert photos == figures.counts(run_id, lane)[number].sum()
        for shown, share in ((recall, recalls[number]), (precision, precisions[number])):
            assert shown == (None if np.isnan(share) else pytest.approx(100 * share))


def test_the_confusion_is_that_of_the_lane_that_is_chosen(visit):
    app = reading.open_tab(visit("retraining", run="race"), "run_tabs", "Confusion")
    for lane in in_table("race"):
        app.segmented_control(key="confusion_lane_race").set_value(lane).run()
        confusion(app, 1, "race", lane)
        classes(reading.table(app), "race", lane)


def test_the_hardest_photos_of_a_lane_are_its_most_confident_errors(visit):
    app = reading.open_tab(visit("retraining", run="race"), "run_tabs", "Hardest photos")
    labels = figures.labels("race")
    for lane in in_table("race"):
        app.segmented_control(key="hardest_lane_race").set_value(lane).run()
        wrong = figures.wrong("race", lane)
        captions = [each.value for each in app.main.caption]
        head = next(each for each in captions if each.startswith(f"{len(wrong)} "))
        reading.says(head, len(wrong), len(figures.answers("race", lane)[0]))
        shown = [each for each in captions if " → " in each and each.split(" → ")[0] in labels]
        assert len(shown) == len(wrong)
        pictures = [each.proto.imgs[0].alt for each in app.main.image if "→" in each.proto.imgs[0].alt]
        of_file = {file: (true, predicted, score) for score, file, true, predicted in wrong}
        files = [picture.partition(":")[0] for picture in pictures]
        assert [of_file[file][2] for file in files] == [score for score, *_ in wrong]
        assert sorted(files) == sorted(of_file)
        for caption, picture, file in zip(shown, pictures, files, strict=True):
            true, predicted, score = of_file[file]
            for words in (caption, picture.partition(": ")[2]):
                assert words.startswith(f"{labels[true]} → {labels[predicted]} ")
                reading.says(words, 100 * score)


def test_the_exported_files_have_their_own_figures(visit):
    frame = reading.table(reading.open_tab(visit("retraining", run="race"), "run_tabs", "Files"))
    exported = {event["file"]: event for event in golden.raw_events("race", "exported")}
    files = ("saved_model", "retrained_graph.pb", "model.tflite", "model-8bit.tflite")
    assert len(frame) == len(files)
    for row, file in zip(frame.itertuples(index=False), files, strict=True):
        event = exported[file]
        _, accuracy, difference, size, one_photo, *_ = row
        reading.says(accuracy, 100 * event["accuracy"])
        reading.says(difference, event["difference"])
        reading.weighs(size, event["bytes"])
        reading.lasts(one_photo, event["seconds"])


# --- where the time went ---------------------------------------------------------------------------------------------


def panel(app) -> tuple[str, str]:
    """The quiet words beside the run's name, and the line of its stages."""
    note = next(each.value for each in app.main.markdown if each.value.startswith(":gray["))
    return note, next(each.value for each in app.main.caption if " → " in each.value and reading.durations(each.value))


@pytest.mark.parametrize("run_id", ["race", "slow", "single", "pair_one"])
def test_the_stages_and_the_whole_take_the_time_that_they_took(visit, run_id):
    app = visit("retraining", run=run_id)
    note, line = panel(app)
    (took, half), *_ = reading.durations(note)
    assert took == pytest.approx(figures.seconds(run_id), abs=half)
    stages = figures.stages(run_id)
    assert len(line.split(" → ")) == len(stages)
    for said, (name, seconds) in zip(line.split(" → "), stages.items(), strict=True):
        assert said.startswith(name)
        reading.lasts(said, seconds)
    reading.open_tab(app, "run_tabs", "Settings")
    segments, _, totals = reading.chart(app, 1)
    whole = {"": figures.starting(run_id)} | stages
    unit = 60 if sum(whole.values()) >= 120 else 1
    at = 0.0
    for row, (name, seconds) in zip(segments.rows, whole.items(), strict=True):
        assert name in row["stage"]
        assert row[segments.field("x")] == pytest.approx(at / unit)
        assert row[segments.field("x2")] == pytest.approx((at + seconds) / unit)
        reading.lasts(row["took"].partition(";")[0], seconds)
        at += seconds
    reading.lasts(totals.rows[0][totals.field("text")], at)


def test_what_was_used_and_what_it_cost_is_told(visit):
    app = reading.open_tab(visit("retraining", run="race"), "run_tabs", "Settings")
    result, told = figures.only("race", "result"), figures.only("race", "predicted")
    values = reading.settings(app)
    start = next(number for number, value in enumerate(values) if reading.numbers(value)[:1] == [str(result["images"])])
    photos, bottlenecks, runtime, checked, foreseen, memory = values[start:]
    reading.says(photos, *(result[name] for name in ("images", "training", "validation", "testing")))
    reading.says(bottlenecks, result["computed"], result["cached"])
    assert runtime == result["runtime"]
    reading.says(checked, result["export_photos"], result["export_difference"])
    said, took = told["seconds"], figures.stages("race")["Bottlenecks"]
    reading.last_in_order(foreseen, said, took)
    assert reading.is_rounded(reading.numbers(foreseen)[-1], 100 * abs(said / took - 1))
    sizes = [told["memory_bytes"] / 1e9, result["peak_memory_bytes"] / 1e9]
    assert all(map(reading.is_rounded, reading.numbers(memory)[:2], sizes))
    inside = next(each.value for each in app.main.caption if len(reading.durations(each.value)) == 3)
    seconds = (result[name] for name in ("decode_seconds", "backbone_seconds", "cache_seconds"))
    reading.last_in_order(inside, *seconds)
    loading = next(each.value for each in app.main.caption if str(result["computed"]) in reading.numbers(each.value))
    reading.last_in_order(loading, result["import_seconds"])


def test_what_the_machine_did_during_a_run(visit):
    app = reading.open_tab(visit("retraining", run="slow"), "run_tabs", "Machine")
    began, ended = golden.raw_events("slow", "stage")[0]["t"], golden.raw_events("slow")[-1]["t"]
    during = [each for each in golden.readings("slow") if began - 1 <= each["t"] <= ended + 1]
    sensors = (
        [each["cpu"] for each in during],
        [each["memory_used"] / 1e9 for each in during],
        [max(each["temperatures"].values()) for each in during],
        [each["power"]["VDD_IN"] / 1000 for each in during],
    )
    _, *metrics = app.main.metric  # the first is the validation accuracy
    for place, (metric, values) in enumerate(zip(metrics, sensors, strict=True), 2):
        mean = sum(values) / len(values)
        assert reading.is_rounded(reading.numbers(metric.value)[0], mean)
        reading.names(reading.alt(app, place), mean, max(values))
        (area,) = reading.of_mark(reading.chart(app, place), "area")
        assert area.values("x") == pytest.approx([each["t"] - began for each in during], abs=0.01)
        assert area.values("y") == pytest.approx(values, abs=0.01)


def test_what_was_left_out_is_named(visit):
    said = reading.words(visit("retraining", run="race"))
    for event in golden.raw_events("race", "skipped"):
        assert f"`{event['file']}`: {event['why']}" in said


# --- one rate alone --------------------------------------------------------------------------------------------------


def test_the_figures_of_one_rate(visit):
    app = visit("retraining", run="single")
    (lane, result), *_ = figures.lane_results("single").items()
    test, best, reached, training = app.main.metric
    low, high = figures.wilson(result["test_accuracy"], result["test_n"])
    reading.says(test.value, 100 * result["test_accuracy"])
    reading.names(test.help, 100 * low, 100 * high, result["test_n"])
    reading.says(best.value, 100 * result["best_validation_accuracy"])
    reading.says(best.help, result["best_step"])
    told = figures.curve("single", lane, "validation")
    first = next(s for s, accuracy in zip(told["seconds"], told["accuracy"], strict=True) if accuracy >= 0.85)
    reading.lasts(reached.value, first)
    reading.lasts(training.value, figures.stages("single")["Training"])
    classes(reading.table(app), "single", lane)
    reading.open_tab(app, "run_tabs", "Confusion")
    confusion(app, 1, "single", lane)


# --- one thread against all ------------------------------------------------------------------------------------------


def joules(run_id: str) -> float:
    """By the trapezoids between the readings of the board's power."""
    watts = [(reading["t"], reading["power"]["VDD_IN"] / 1000) for reading in golden.readings(run_id)]
    return sum((b - a) * (one + other) / 2 for (a, one), (b, other) in itertools.pairwise(watts))


def test_the_halves_of_a_comparison_stand_beside_each_other(visit):
    app = visit("retraining", compare="0badcafe")
    frame, lane = reading.table(app), figures.only("pair_one", "kept")["lane"]
    assert len(frame) == 2
    for row, run_id in zip(frame.itertuples(index=False), ("pair_one", "pair_all"), strict=True):
        _, whole, bottlenecks, speed, layer, step, seconds, accuracy, energy, memory = row
        result, stages = figures.only(run_id, "result"), figures.stages(run_id)
        reading.lasts(whole, figures.seconds(run_id))
        reading.lasts(bottlenecks, stages["Bottlenecks"])
        reading.says(speed, result["computed"] / stages["Bottlenecks"])
        reading.lasts(layer, stages["Training"])
        at = figures.plateau(run_id, lane)
        reading.says(step, at[0])
        reading.lasts(seconds, at[1])
        reading.says(accuracy, 100 * figures.lane_results(run_id)[lane]["test_accuracy"])
        reading.says(energy, joules(run_id) if energy.endswith(" J") else joules(run_id) / 3600)
        reading.weighs(memory, result["peak_memory_bytes"])
    segments, _, totals = reading.chart(app, 0)
    for number, run_id in enumerate(("pair_one", "pair_all")):
        name = totals.rows[number][totals.field("y")]
        spans = [
            (row[segments.field("x2")] - row[segments.field("x")], row["stage"])
            for row in segments.rows
            if row[segments.field("y")] == name
        ]
        unit = 60 if "minute" in segments.title("x") else 1
        stages = figures.stages(run_id)
        assert {stage: span * unit for span, stage in spans if stage in stages} == pytest.approx(stages)
        reading.lasts(totals.rows[number][totals.field("text")], figures.seconds(run_id))
    layers = reading.chart(app, 1)
    ends = reading.end_labels(layers)
    for (name, (x, y)), run_id in zip(reading.lines(layers).items(), ("pair_one", "pair_all"), strict=True):
        told = figures.curve(run_id, lane, "validation")
        (running,) = golden.raw_events(run_id, "state", state="running")
        (training,) = golden.raw_events(run_id, "stage", name="Training")
        assert x == pytest.approx([training["t"] - running["t"] + second for second in told["seconds"]])
        assert y == pytest.approx(figures.smoothed(told["accuracy"], 0.6))
        reading.says(ends[name], 100 * y[-1])
    verdict = next(each.value for each in app.main.markdown if "×" in each.value)
    ratios = [
        figures.seconds("pair_one") / figures.seconds("pair_all"),
        *(figures.stages("pair_one")[name] / figures.stages("pair_all")[name] for name in ("Bottlenecks", "Training")),
    ]
    expected = [ratio if ratio >= 1 else 1 / ratio for ratio in ratios if not 1 / 1.05 < ratio < 1.05]
    said = [each for each in reading.numbers(verdict) if "." in each]
    assert len(said) == len(expected)
    assert all(map(reading.is_rounded, said, expected))
