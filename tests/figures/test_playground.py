"""What the Playground shows of an answer: scores, times, and whether the picture is none of what was learned."""

import pytest

from tests import golden
from tests.fakes import classifier
from tests.figures import reading
from tests.golden import figures
from ui import lab


@pytest.fixture
def answered(visit, golden_home, monkeypatch, tmp_path):
    """The page with an answer of a stand-in for the classifier, whose figures are known."""
    python = classifier.interpreter(tmp_path / "python")
    monkeypatch.setenv("WORKER_PYTHON", str(python))
    yield lambda model: visit("playground", model=model, sample="lamps/green/00.jpg")
    lab._classifier(golden_home.path, str(python)).close()


def seconds(text: str) -> tuple[float, float]:
    (found,) = reading.durations(text)
    return found


def test_how_long_one_call_takes(answered):
    app = answered("race")
    usual, p95, first, rate = app.main.metric
    reading.lasts(usual.value, classifier.CALL)
    assert not reading.numbers(p95.value)
    reading.lasts(first.value, classifier.LOAD + classifier.FIRST)
    reading.last_in_order(first.help, classifier.LOAD, classifier.FIRST)
    reading.says(rate.value, 1 / classifier.CALL)
    whole = next(each.value for each in app.main.markdown if each.value.startswith("`Evaluation time (1-image):"))
    reading.lasts(whole.strip("`").split(": ")[1], classifier.FIRST)


def test_how_long_repeats_take(answered):
    app = answered("race")
    next(each for each in app.button if each.label == "Classify").click().run()
    p50, p95, _, rate = app.main.metric
    reading.lasts(p50.value, classifier.P50)
    reading.lasts(p95.value, classifier.P95)
    assert p50.value != p95.value
    reading.says(rate.value, 1 / classifier.P50)
    charts = [reading.chart(app, place) for place in range(len(app.main.get("vega_lite_chart")))]
    (histogram,) = (layers for layers in charts if any("millisecond" in layer.title("x") for layer in layers))
    bars, rules, *texts = histogram
    assert rules.values("x") == pytest.approx([1000 * classifier.P50, 1000 * classifier.P95])
    assert sum(bars.values("y")) == len(classifier.REPEATS)
    for row in bars.rows:
        low, high = row[bars.field("x")], row[bars.field("x2")]
        inside = sum(low <= 1000 * each + 1e-9 < high for each in classifier.REPEATS)
        assert row[bars.field("y")] in (inside, inside + (high == bars.rows[-1][bars.field("x2")]))
    for layer, value in zip(texts, (classifier.P50, classifier.P95), strict=True):
        assert reading.is_rounded(reading.numbers(layer.values("text")[0].split()[-1])[0], 1000 * value)
    parts = next(each.value for each in app.main.caption if len(reading.durations(each.value)) == 3)
    reading.last_in_order(parts, classifier.DECODE, classifier.RESIZE, classifier.CALL)
    assert reading.numbers(parts)[-2:] == [str(len(classifier.REPEATS)), "1"]


def test_the_scores_are_those_of_their_labels(answered):
    app = answered("race")
    heading = next(each.value for each in app.main.subheader)
    assert heading.lower().startswith(classifier.TOP[0][0])
    reading.says(heading, 100 * classifier.TOP[0][1])
    _, bars, words = reading.chart(app, 0)
    assert list(zip(bars.values("y"), bars.values("x"), strict=True)) == [tuple(row) for row in classifier.TOP]
    for written, (_, score) in zip(words.values("text"), classifier.TOP, strict=True):
        reading.says(written, 100 * score)


def measured(lane: str) -> dict:
    return golden.raw_json("race", "artifacts/calibration.json")["lanes"][lane]


def test_how_far_a_score_can_be_believed(answered):
    lane = figures.only("race", "kept")["lane"]
    bins = measured(lane)["bins"]
    here = next(number for number, high in enumerate(bins["high"]) if high >= classifier.SCORE)
    low, high, photos, right = (bins[name][here] for name in ("low", "high", "photos", "right"))
    span = {f"{100 * low:.0f}", f"{100 * high:.0f}"}
    said = next(each.value for each in answered("race").main.caption if span <= set(reading.numbers(each.value)))
    if photos >= 10:
        reading.names(said, 100 * right, photos)
    else:
        assert photos == 0 or str(photos) in reading.numbers(said)


def test_a_picture_that_is_none_of_these_is_said_to_be_and_another_is_not(answered):
    lane = figures.only("race", "kept")["lane"]
    another = next(each for each in figures.lane_results("race") if each != lane)
    (warning,) = answered("race").main.warning
    rule = measured(lane)["none_of_these"]
    reading.names(warning.value, classifier.DISTANCE, classifier.DISTANCE_THRESHOLD)
    share = rule["false_alarms"] / rule["photos"]
    low, high = figures.wilson(share, rule["photos"])
    reading.names(warning.value, rule["false_alarms"], rule["photos"], 100 * share, 100 * low, 100 * high)
    assert not answered(f"race:{another}").main.warning


def test_the_reliability_of_a_lane(answered):
    app = reading.open_tab(answered("race"), "playground_tabs", "Reliability")
    found = measured(figures.only("race", "kept")["lane"])
    charts = [reading.chart(app, place) for place in range(len(app.main.get("vega_lite_chart")))]
    (bars,) = (layers[0] for layers in charts if layers[0].mark == "rect" and "y2" in layers[0].encoding)
    columns = zip(*(found["bins"][name] for name in ("low", "high", "right", "photos")), strict=True)
    expected = [row for row in columns if row[2] is not None]
    shown = [tuple(row[bars.field(channel)] for channel in ("x", "x2", "y2")) for row in bars.rows]
    assert shown == [pytest.approx(row[:3]) for row in expected]
    assert [row["photos"] for row in bars.rows] == [row[3] for row in expected]
    said = next(each.value for each in app.main.markdown if " pt " in each.value)
    values = [found["temperature"], found["validation_photos"], found["photos"]]
    values += [100 * found["uncalibrated_error"], 100 * found["expected_calibration_error"]]
    reading.says(said, *values)
