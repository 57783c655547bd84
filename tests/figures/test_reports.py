"""What reports say of golden runs: one HTML file, and Markdown with tables of numbers in a zip."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from engine import cli
from tests import golden
from tests.figures import reading, reports
from tests.figures.reports import Archive, Drawn, Part
from tests.figures.test_other_kinds import change, classified, gain, sizes, tuned
from tests.golden import figures

RACES = ("race", "slow", "single", "pair_one", "pair_all")
KINDS = ("fine_tune", "batch_size", "learning_curve", "mnist", "classify", "imported")
ENDED = [run_id for run_id in golden.names() if golden.ending(run_id) != "done"]
DIVERGED = [run_id for run_id in golden.names() if golden.raw_events(run_id, "diverged")]
ZIPPED = ("race", "fine_tune", "learning_curve", "mnist", "classify")
CLOSE = 1e-4  # charts of a report have five digits


@pytest.fixture(scope="module")
def command(golden_home) -> Callable[..., None]:
    """The command line, run in this home."""

    def run(*arguments: str) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LAB_HOME", golden_home.path)
            assert cli.main(list(arguments)) == 0

    return run


@pytest.fixture(scope="module")
def page(command, tmp_path_factory) -> str:
    file = tmp_path_factory.mktemp("report") / "runs.html"
    command("report", *RACES, *KINDS, *ENDED, *DIVERGED, "--out", str(file))
    return file.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def told(page) -> dict[str, Part]:
    return reports.parts(page)


@pytest.fixture(scope="module")
def zipped(command, tmp_path_factory) -> Archive:
    file = tmp_path_factory.mktemp("report") / "runs.zip"
    command("report", *ZIPPED, "--out", str(file))
    return reports.archive(file)


def none(cell: str) -> bool:
    return not reading.numbers(cell)


def in_table(run_id: str) -> list[str]:
    """The lanes as the table has them: the kept one, then by validation."""
    kept, results = figures.only(run_id, "kept")["lane"], figures.lane_results(run_id)
    return sorted(results, key=lambda lane: (lane != kept, -results[lane]["final_validation_accuracy"]))


# --- races -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("run_id", RACES)
def test_every_lane_has_its_figures_in_its_row_and_column(told, run_id):
    rows, results = told[run_id].tables[0][1:], figures.lane_results(run_id)
    assert len(rows) == len(results)
    for lane, (name, test, best, best_step, step, seconds, spread) in zip(in_table(run_id), rows, strict=True):
        result = results[lane]
        assert reading.is_rounded(reading.numbers(name)[0], float(lane))
        low, high = figures.wilson(result["test_accuracy"], result["test_n"])
        reading.says(test, 100 * result["test_accuracy"], 100 * low, 100 * high, result["test_n"])
        reading.says(best, 100 * result["best_validation_accuracy"])
        reading.says(best_step, result["best_step"])
        found = figures.plateau(run_id, lane)
        if found is None:
            assert none(step)
            assert none(seconds)
        else:
            reading.says(step, found[0])
            reading.lasts(seconds, found[1])
        reading.says(spread, 100 * figures.spread(run_id, lane))


def test_the_verdict_of_a_race_names_its_own_figures(told):
    results = figures.lane_results("race")
    kept, second, _ = in_table("race")
    said = next(each for each in told["race"].texts if f"lr {kept}" in each and f"lr {second}" in each)
    for lane in (kept, second):
        assert reading.is_rounded(reading.after(said, f"lr {lane}"), 100 * results[lane]["final_validation_accuracy"])
    only_kept, only_second, p = figures.mcnemar("race", kept, second)
    reading.names(said, only_kept + only_second, results[kept]["test_n"], only_kept, only_second, p)


def test_the_sentence_of_one_rate_has_its_figures_in_their_order(told):
    ((lane, result),) = figures.lane_results("single").items()
    low, high = figures.wilson(result["test_accuracy"], result["test_n"])
    said = next(each for each in told["single"].texts if lane in reading.numbers(each))
    test = [100 * result["test_accuracy"], result["test_n"], 95, 100 * low, 100 * high]
    reading.says(said, *test, float(lane), 100 * result["best_validation_accuracy"], result["best_step"])


def drawn(chart: Drawn, run_id: str, titles: dict[str, str], weight: float, split: str = "validation") -> None:
    """Fails unless each line is that lane's over its steps, with its last value at its end and in the words."""
    lines, ends = reading.lines(chart.layers), reading.end_labels(chart.layers)
    assert set(lines) == set(titles.values())
    faint = next(
        layer for layer in reading.of_mark(chart.layers, "line", "color") if "strokeDash" not in layer.encoding
    )
    for lane, title in titles.items():
        curve = figures.curve(run_id, lane, split)
        smooth = figures.smoothed(curve["accuracy"], weight)
        assert lines[title][0] == pytest.approx(curve["step"], rel=CLOSE)
        assert lines[title][1] == pytest.approx(smooth, rel=CLOSE)
        assert faint.values("y", **{faint.field("color"): title}) == pytest.approx(curve["accuracy"], rel=CLOSE)
        reading.says(ends[title], 100 * smooth[-1])
        before = reading.numbers(chart.alt[: chart.alt.index(f" at {title}")])[-1]
        assert reading.is_rounded(before, 100 * smooth[-1])


@pytest.mark.parametrize("run_id", RACES)
def test_the_curves_of_a_race_are_those_of_its_lanes(told, run_id):
    lanes = figures.lane_results(run_id)
    drawn(told[run_id].charts[0], run_id, {lane: f"lr {lane}" for lane in lanes}, 0.9 if len(lanes) > 2 else 0.6)
    frame = told[run_id].charts[0].layers[0]
    assert "step" in frame.title("x")
    assert frame.rows[0]["end"] == golden.raw_json(run_id, "spec.json")["steps"]


def test_a_lane_has_one_colour_in_reports_and_on_its_page(told, visit):
    of_page = reading.squares(visit("retraining"))
    titles = [f"lr {lane}" for lane in figures.lane_results("race")]
    chart = told["race"].charts[0]
    found = reading.colours(chart.layers)
    assert [found[title] for title in titles] == of_page[: len(titles)]
    dark = reading.colours(chart.dark)
    assert len({dark[title] for title in titles} | set(of_page)) == 2 * len(titles)
    for run_id in ("slow", "pair_one", "pair_all"):
        other = [reading.colours(told[run_id].charts[0].layers)[f"lr {lane}"] for lane in figures.lane_results(run_id)]
        assert other == of_page[: len(other)]
        of_dark = reading.colours(told[run_id].charts[0].dark)
        assert [of_dark[f"lr {lane}"] for lane in figures.lane_results(run_id)] == [dark[each] for each in titles][:2]


# --- answers about testing photos ------------------------------------------------------------------------------------


def kept_lane(run_id: str) -> str:
    """Whose answers are shown: the kept lane's, and of networks those of the best on the test."""
    if run_id != "mnist":
        return figures.only(run_id, "kept")["lane"]
    order = sorted(golden.raw_events("mnist", "network_result"), key=lambda e: (-e["test_accuracy"], e["parameters"]))
    return order[0]["lane"]


@pytest.mark.parametrize("run_id", [*RACES, "fine_tune", "mnist"])
def test_the_confusion_and_the_classes_are_those_of_the_lane_that_is_shown(told, run_id):
    lane = kept_lane(run_id)
    counts = figures.counts(run_id, lane)
    labels = figures.labels(run_id) or [str(digit) for digit in range(10)]
    charts = [each for each in told[run_id].charts if each.layers[0].mark == "rect"]
    (chart,) = charts
    cells, texts = chart.layers
    assert (cells.title("x"), cells.title("y")) == ("predicted", "true")
    for layer in (cells, texts):
        assert layer.encoding["x"]["sort"] == layer.encoding["y"]["sort"] == labels
        assert len(layer.rows) == len(labels) ** 2
        for row in layer.rows:
            true, predicted = labels.index(row[layer.field("y")]), labels.index(row[layer.field("x")])
            count = counts[true, predicted]
            if layer is texts:
                assert row[layer.field("text")] == (str(count) if count else "")
            else:
                assert row[layer.field("color")] == pytest.approx(count / max(1, counts[true].sum()), rel=CLOSE)
    reading.names(chart.alt, counts.trace(), counts.sum())
    recalls, precisions = figures.recalls(run_id, lane), figures.precisions(run_id, lane)
    rows = told[run_id].tables[1][1:]
    assert [row[0] for row in rows] == labels
    for number, (_, photos, recall, precision) in enumerate(rows):
        reading.says(photos, counts[number].sum())
        for shown, share in ((recall, recalls[number]), (precision, precisions[number])):
            if np.isnan(share):
                assert none(shown)
            else:
                reading.says(shown, 100 * share)


@pytest.mark.parametrize("run_id", [*RACES, "fine_tune"])
def test_the_hardest_photos_are_the_most_confident_errors(told, run_id):
    labels, wrong = figures.labels(run_id), figures.wrong(run_id, kept_lane(run_id))
    of_file = {file: (true, predicted, score) for score, file, true, predicted in wrong}
    shown = [each for each in told[run_id].pictures if each[0].partition(": ")[0] in of_file]
    assert [of_file[alt.partition(": ")[0]][2] for alt, _ in shown] == [score for score, *_ in wrong[:10]]
    for alt, below in shown:
        true, predicted, score = of_file[alt.partition(": ")[0]]
        for said in (alt.partition(": ")[2], below):
            assert said.startswith(f"{labels[true]} → {labels[predicted]} ")
            reading.says(said, 100 * score)
    learned = {below.partition(": ")[0]: below for alt, below in told[run_id].pictures if below not in alt}
    split = golden.raw_json(run_id, "dataset.json")
    for number, label in enumerate(labels):
        photos = zip(split["label_of_file"], split["split_of_file"], strict=True)
        reading.says(learned[label].partition(": ")[2], sum(each == (number, "training") for each in photos))


# --- where the time went ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("run_id", [*RACES, *KINDS[:-1]])
def test_the_stages_take_the_time_that_they_took(told, page, run_id):
    reading.lasts(told[run_id].facts.split(" · ")[-1], figures.seconds(run_id))
    assert reports.contents(page)[run_id] == told[run_id].facts
    (chart,) = (each for each in told[run_id].charts if each.layers[0].mark == "bar")
    segments, _, totals = chart.layers
    whole = {"": figures.starting(run_id)} | figures.stages(run_id)
    unit = 60 if sum(whole.values()) >= 120 else 1
    at = 0.0
    for row, (name, seconds) in zip(segments.rows, whole.items(), strict=True):
        assert name in row["stage"]
        assert row[segments.field("x")] == pytest.approx(at / unit, rel=CLOSE, abs=1e-6)
        assert row[segments.field("x2")] == pytest.approx((at + seconds) / unit, rel=CLOSE)
        reading.lasts(row["took"].partition(";")[0], seconds)
        at += seconds
    reading.lasts(totals.rows[0][totals.field("text")], at)
    reading.last_in_order(chart.alt, *whole.values(), at)


def test_the_settings_are_those_of_the_run(told):
    spec = golden.raw_json("race", "spec.json")
    values = [value for _, value in told["race"].pairs]
    reading.says(values[2], *spec["learning_rates"])
    reading.says(values[3], spec["steps"])
    reading.says(values[5], spec["train_batch_size"])
    assert values[7] == str(spec["seed"])
    reading.says(values[11], spec["eval_step_interval"])
    reading.says(values[12], spec["validation_percentage"], spec["testing_percentage"])
    assert values[-1] == "race"


def test_as_many_photos_are_left_out_as_could_not_be_used(told):
    for run_id in (*RACES, "fine_tune", "learning_curve", "classify"):
        skipped = len(golden.raw_events(run_id, "skipped"))
        assert any(reading.numbers(each) == [str(skipped)] for each in told[run_id].texts), run_id


# --- the other kinds -------------------------------------------------------------------------------------------------


def test_every_depth_has_its_figures(told):
    part, depths = told["fine_tune"], tuned()
    for cells, event in zip(part.tables[0][1:], depths.values(), strict=True):
        _, test, changed, validation, parameters, memory, epoch, at_once = cells
        low, high = figures.wilson(event["test_accuracy"], event["test_n"])
        reading.says(test, 100 * event["test_accuracy"], 100 * low, 100 * high)
        if event["lane"] == "frozen":
            assert none(changed)
        else:
            reading.says(changed, *change(event["lane"]))
        reading.says(validation, 100 * event["validation_accuracy"])
        reading.says(parameters, event["parameters"] / (1e6 if event["parameters"] >= 1e6 else 1))
        reading.weighs(memory, event["peak_memory_bytes"])
        reading.lasts(epoch, event["epoch_seconds"])
        reading.says(at_once, *[event["at_once"], event["batch_size"]][: 1 + (event["at_once"] < event["batch_size"])])
    curves, changes = part.charts[:2]
    colours = reading.colours(curves.layers)
    titles = dict(zip(depths, [row[0] for row in part.tables[0][1:]], strict=True))
    drawn(curves, "fine_tune", titles, 0.0)
    _, intervals, points = changes.layers
    for row, lane in zip(points.rows, [lane for lane in depths if lane != "frozen"], strict=True):
        shown = row[points.field("x")], row[intervals.field("x")], row[intervals.field("x2")]
        assert shown == pytest.approx(change(lane), abs=2e-3)
        assert row[points.field("color")] == colours[titles[lane]]
    verdict = next(each for each in part.texts if reading.durations(each))
    for lane in list(depths)[1:]:
        reading.names(verdict, *change(lane))
    slowest = max((event for event in list(depths.values())[1:]), key=lambda event: event["epoch_seconds"])
    reading.last_in_order(verdict, slowest["epoch_seconds"], depths["frozen"]["epoch_seconds"])


def test_every_batch_size_has_its_figures(told):
    part = told["batch_size"]
    tried = sorted(golden.raw_events("batch_size", "batch_tried"), key=lambda event: event["batch_size"])
    fitting = [event for event in tried if event["fits"]]
    words = {row[1] for row, event in zip(part.tables[0][1:], tried, strict=True) if event["fits"]}
    for (size, fits, memory, speed, why), event in zip(part.tables[0][1:], tried, strict=True):
        reading.says(size, event["batch_size"])
        assert (fits in words) is event["fits"]
        if event["fits"]:
            reading.weighs(memory, event["peak_memory_bytes"])
            reading.says(speed, event["images_per_second"])
        else:
            assert why == event["why"]
    for chart, field, unit in zip(part.charts, ("peak_memory_bytes", "images_per_second"), (1e6, 1), strict=False):
        (line,) = reading.of_mark(chart.layers, "line")
        assert line.values("x") == [event["batch_size"] for event in fitting]
        assert line.values("y") == pytest.approx([event[field] / unit for event in fitting], rel=CLOSE)
    (rule,) = reading.of_mark(part.charts[0].layers, "rule")
    limit = figures.only("batch_size", "batch_size_result")["memory_limit_bytes"]
    assert rule.values("y") == pytest.approx([limit / 1e6], rel=CLOSE)


def test_every_number_of_photos_has_its_figures(told):
    part, rows = told["learning_curve"], list(sizes().items())
    for number, (cells, (size, (photos, accuracies))) in enumerate(zip(part.tables[0][1:], rows, strict=True)):
        title, learned, mean, spread, between, gained = cells
        assert reading.numbers(title) == ([str(size)] if size else [])
        reading.says(learned, photos)
        reading.says(mean, 100 * accuracies.mean())
        reading.says(spread, 100 * accuracies.std(ddof=1))
        reading.says(between, 100 * accuracies.min(), 100 * accuracies.max())
        if number:
            reading.names(gained, gain(rows[number - 1][1][1], accuracies)[0])
    (line,) = reading.of_mark(part.charts[0].layers, "line")
    assert line.values("y") == pytest.approx([accuracies.mean() for _, (_, accuracies) in rows], rel=CLOSE)
    verdict = next(each for each in part.texts if len(reading.numbers(each)) > 6)
    last, test_n = rows[-1][1][1], golden.raw_events("learning_curve", "learning_curve_point")[0]["test_n"]
    low, high = figures.wilson(last.mean(), test_n)
    reading.names(verdict, 100 * last.mean(), 100 * low, 100 * high, test_n, len(last))


def test_every_network_has_its_figures(told):
    part = told["mnist"]
    titles = {each["name"]: each["title"] for each in golden.raw_json("mnist", "spec.json")["networks"]}
    results = {titles[event["lane"]]: event for event in golden.raw_events("mnist", "network_result")}
    exported = {titles[event["lane"]]: event for event in golden.raw_events("mnist", "network_exported")}
    rows = part.tables[0][1:]
    assert {row[0] for row in rows} == set(results)
    accuracies = [results[row[0]]["test_accuracy"] for row in rows]
    assert accuracies == sorted(accuracies, reverse=True)
    for title, test, wrong, training, speed, one, parameters, multiply_adds, best in rows:
        event = results[title]
        low, high = figures.wilson(event["test_accuracy"], event["test_n"])
        reading.says(test, 100 * event["test_accuracy"], 100 * low, 100 * high)
        reading.says(wrong, len(figures.wrong("mnist", event["lane"])))
        reading.lasts(training, event["train_seconds"])
        reading.says(speed, event["images_per_second"])
        reading.lasts(one, exported[title]["image_seconds"])
        reading.says(parameters, event["parameters"])
        reading.says(multiply_adds, event["multiply_adds"])
        if event["best_epoch"]:
            reading.says(best, event["best_epoch"])
        else:
            assert none(best)
    curves, cost = part.charts[:2]
    lines, ends = reading.lines(curves.layers), reading.end_labels(curves.layers)
    for title, event in results.items():
        curve = figures.curve("mnist", event["lane"], "validation")["accuracy"]
        if curve:
            assert lines[title][1] == pytest.approx(curve, rel=CLOSE)
            reading.says(ends[title], 100 * curve[-1])
    points = next(layer for layer in cost.layers if layer.mark == "point" and "x" in layer.encoding and layer.rows)
    shown = sorted(zip(points.values("x"), points.values("y"), strict=True))
    expected = sorted((event["train_seconds"], event["test_accuracy"]) for event in results.values())
    assert np.array(shown) == pytest.approx(np.array(expected), rel=CLOSE)
    verdict = next(each for each in part.texts if "McNemar" in each or len(reading.numbers(each)) > 10)
    reading.names(verdict, 100 * accuracies[0], 100 * accuracies[1], results[rows[0][0]]["test_n"])
    reading.names(verdict, *figures.mcnemar("mnist", *(results[rows[place][0]]["lane"] for place in (0, 1))))


def test_the_hardest_digits_are_named_with_what_they_are_and_were_taken_for(told):
    said = golden.raw_json("mnist", "artifacts/predictions.json")
    lanes = said["lanes"]
    pictures = [each for each in told["mnist"].pictures if reading.numbers(each[0])]
    wrong_of = [
        sum(guesses["predicted"][at] != true for guesses in lanes.values()) for at, true in enumerate(said["truth"])
    ]
    worst = sorted(wrong_of, reverse=True)[: len(pictures)]
    shown = []
    for alt, below in pictures:
        index, true, *guesses = map(int, reading.numbers(alt))
        assert list(map(int, reading.numbers(below))) == [true, *guesses]
        assert true == said["truth"][index]
        assert guesses == [each["predicted"][index] for each in lanes.values()]
        shown.append(wrong_of[index])
    assert shown == worst
    assert len(shown) == 10


def test_the_pictures_that_were_classified_are_counted(told):
    part, rows = told["classify"], classified()
    fresh = [row["said"][0] == row["known"] for row in rows if row["known"] and not row["learned"]]
    share = sum(fresh) / len(fresh)
    low, high = figures.wilson(share, len(fresh))
    said = next(each for each in part.texts if len(reading.numbers(each)) > 6)
    assert all(
        map(
            reading.is_rounded,
            reading.numbers(said),
            [100 * share, len(fresh), 95, 100 * low, 100 * high, sum(fresh), len(fresh)],
        )
    )
    known = [row for row in rows if row["known"]]
    for label, photos, recall, precision in part.tables[0][1:]:
        of_class = [row for row in known if row["known"] == label]
        reading.says(photos, len(of_class))
        if not of_class:
            continue
        right = sum(row["said"][0] == label for row in of_class)
        reading.says(recall, 100 * right / len(of_class))
        reading.says(precision, 100 * right / sum(row["said"][0] == label for row in known))
    wrong = sorted((row for row in known if row["said"][0] != row["known"]), key=lambda row: -row["scores"][0])
    for (alt, below), row in zip(part.pictures, wrong[:10], strict=True):
        assert alt.startswith(f"{row['file']}: ")
        assert below.startswith(f"{row['known']} → {row['said'][0]} ")
        reading.says(below, 100 * row["scores"][0])


def test_imported_curves_are_drawn_as_they_were_told(told):
    lanes = golden.raw_json("imported", "spec.json")["lanes"]
    chart = told["imported"].charts[0]
    drawn(chart, "imported", {lane: lane for lane in lanes}, 0.6)
    found = reading.colours(chart.layers)
    assert [found[lane] for lane in lanes] == [
        reading.colours(told["slow"].charts[0].layers)[f"lr {lane}"] for lane in figures.lane_results("slow")
    ]


# --- runs that did not come to their end, or not well ----------------------------------------------------------------


@pytest.mark.parametrize("run_id", ENDED)
def test_a_run_that_has_not_ended_well_has_what_it_had_found(told, run_id):
    part, state = told[run_id], golden.ending(run_id)
    facts = part.facts.split(" · ")
    assert facts[0].lower() == ("lost" if state in ("queued", "running") else state)
    if golden.raw_events(run_id, "state", state="running"):
        reading.lasts(facts[-1], figures.seconds(run_id))
    else:
        assert not reading.durations(part.facts)
    for event in golden.raw_events(run_id, "error"):
        assert f"{event['message']} {event['hint']}" in part.texts
    if skipped := golden.raw_events(run_id, "skipped"):
        assert any(reading.numbers(each) == [str(len(skipped))] for each in part.texts)
    assert part.tables == []
    curves = [each for each in part.charts if reading.of_mark(each.layers, "line")]
    lanes = list(dict.fromkeys(event["lane"] for event in golden.raw_events(run_id, "metric", split="validation")))
    assert len(curves) == bool(lanes)
    for chart in curves:
        drawn(chart, run_id, {lane: f"lr {lane}" for lane in lanes}, 0.9 if len(lanes) > 2 else 0.6)
    bars = [each for each in part.charts if each.layers[0].mark == "bar"]
    assert len(bars) == bool(golden.raw_events(run_id, "stage"))
    for chart in bars:
        whole = [figures.starting(run_id), *figures.stages(run_id).values()]
        reading.last_in_order(chart.alt, *whole, sum(whole))


@pytest.mark.parametrize("run_id", DIVERGED)
def test_a_lane_that_diverged_says_so_and_the_others_keep_their_figures(told, run_id):
    part, results = told[run_id], figures.lane_results(run_id)
    for lane, cells in zip(in_table(run_id), part.tables[0][1:], strict=True):
        _, test, best, best_step, step, *_ = cells
        result = results[lane]
        low, high = figures.wilson(result["test_accuracy"], result["test_n"])
        reading.says(test, 100 * result["test_accuracy"], 100 * low, 100 * high, result["test_n"])
        reading.says(best, 100 * result["best_validation_accuracy"])
        reading.says(best_step, result["best_step"])
        assert (step == "diverged") is result["diverged"]
    for event in golden.raw_events(run_id, "diverged"):
        assert any(event["why"] in each for each in part.texts)


# --- Markdown and tables of numbers ----------------------------------------------------------------------------------


def test_the_markdown_has_the_tables_and_the_sentences_of_the_page(told, zipped):
    for run_id in ZIPPED:
        assert zipped.tables(run_id) == told[run_id].tables
        text = reports.unescaped(zipped.text(run_id)).replace("**", "")
        for said in (each for each in told[run_id].texts if len(reading.numbers(each)) > 4 and "\n" not in each):
            assert said in text
        for chart in told[run_id].charts:
            assert f"![{chart.alt}](" in text
        for alt, below in told[run_id].pictures:
            assert alt in text
            assert below in text
        assert told[run_id].facts in text
        assert told[run_id].facts in reports.unescaped(zipped.text("README"))


@pytest.mark.parametrize("run_id", ["race", "fine_tune"])
def test_the_table_of_curves_has_every_evaluation(told, zipped, run_id):
    rows = zipped.csv(run_id, "curves")[1:]
    lanes = list(dict.fromkeys(event["lane"] for event in golden.raw_events(run_id, "metric")))
    if run_id == "race":
        titles = {lane: f"lr {lane}" for lane in lanes}
    else:
        titles = dict(zip(tuned(), [row[0] for row in told[run_id].tables[0][1:]], strict=True))
    found: dict[tuple[str, str], list[list[float]]] = {}
    for lane, split, *values in rows:
        found.setdefault((lane, split), []).append([float(value or "nan") for value in values])
    assert len(found) == 2 * len(titles) if run_id == "race" else len(titles)
    for (title, split), values in found.items():
        lane = next(lane for lane, each in titles.items() if each == title)
        curve = figures.curve(run_id, lane, split)
        columns = ("step", "seconds", "accuracy", "cross_entropy")
        expected = np.array([curve[name] for name in columns], float)
        np.testing.assert_allclose(np.array(values).T, expected)
        assert len(values) == len(curve["step"]) > 1


def test_the_table_of_epochs_has_every_validation(zipped):
    titles = {each["name"]: each["title"] for each in golden.raw_json("mnist", "spec.json")["networks"]}
    lanes = {title: lane for lane, title in titles.items()}
    found: dict[tuple[str, str], list[list[float]]] = {}
    for title, split, *values in zipped.csv("mnist", "curves")[1:]:
        found.setdefault((lanes[title], split), []).append([float(value or "nan") for value in values])
    for (lane, split), values in found.items():
        started = golden.raw_events("mnist", "lane_started", lane=lane)[0]
        curve = figures.curve("mnist", lane, split)
        if split == "validation":
            expected = [curve["step"], curve["seconds"], curve["accuracy"], curve["cross_entropy"]]
            np.testing.assert_allclose(np.array(values).T, expected)
            continue
        epochs: dict[int, list[int]] = {}
        for place, step in enumerate(curve["step"]):
            epochs.setdefault(math.ceil(step / started["steps_an_epoch"]), []).append(place)
        for (step, seconds, accuracy, entropy), places in zip(values, epochs.values(), strict=True):
            assert (step, seconds) == (curve["step"][places[-1]], pytest.approx(curve["seconds"][places[-1]]))
            assert accuracy == pytest.approx(np.mean([curve["accuracy"][place] for place in places]), abs=6e-6)
            assert math.isnan(entropy)
    assert {lane for lane, split in found if split == "training"} == set(titles)


@pytest.mark.parametrize("run_id", ["race", "fine_tune", "mnist"])
def test_the_table_of_the_confusion_has_true_classes_in_rows(zipped, run_id):
    head, *rows = zipped.csv(run_id, "confusion")
    counts = figures.counts(run_id, kept_lane(run_id))
    labels = figures.labels(run_id) or [str(digit) for digit in range(10)]
    assert head[1:] == labels == [row[0] for row in rows]
    assert [list(map(int, row[1:])) for row in rows] == counts.tolist()


def test_the_table_of_the_confusion_of_pictures_has_true_classes_in_rows(zipped):
    head, *rows = zipped.csv("classify", "confusion")
    known = [row for row in classified() if row["known"]]
    for label, *counts in rows:
        for said, count in zip(head[1:], counts, strict=True):
            if said in figures.labels("classify") and label in figures.labels("classify"):
                pairs = [(row["known"], row["said"][0]) for row in known]
                assert int(count) == pairs.count((label, said))


def test_the_table_of_stages_is_in_seconds(zipped):
    for run_id in ZIPPED:
        rows = zipped.csv(run_id, "stages")[1:]
        assert [float(seconds) for _, seconds in rows] == pytest.approx(
            [figures.starting(run_id), *figures.stages(run_id).values()], abs=0.0006
        )
        assert [name for name, _ in rows[1:]] == list(figures.stages(run_id))


def test_the_table_of_a_learning_curve_has_every_training(zipped):
    points = golden.raw_events("learning_curve", "learning_curve_point")
    names = ("size", "seed", "photos", "correct", "test_n")
    rows = zipped.csv("learning_curve", "learning_curve")[1:]
    assert [tuple(map(int, row)) for row in rows] == [tuple(point[name] for name in names) for point in points]
