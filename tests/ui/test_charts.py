import itertools

import altair as alt
import numpy as np
import pytest

from engine.device import Reading
from engine.runs import Curve, Story
from ui import charts


@pytest.fixture
def story():
    told = Story()
    steps = list(range(10, 2010, 10))
    for lane, top in (("0.005", 0.88), ("0.5", 0.92), ("1.0", 0.91)):
        accuracy = [top * (1 - 2.7 ** (-step / 300)) for step in steps]
        seconds = [step / 200 for step in steps]
        told.curves[(lane, "validation")] = Curve(steps, seconds, accuracy, [1.5 - a for a in accuracy])
    return told


LANES = ["0.005", "0.5", "1.0"]
NAMES = ["lr 0.005", "lr 0.5", "lr 1.0"]


def drawn(story, weight=0.9, measure=charts.ACCURACY, axis=charts.STEPS):
    return charts.lines(story, LANES, charts.VALIDATION, measure, axis, weight)


def chart(lines, **changes):
    usual = {"measure": charts.ACCURACY, "axis": charts.STEPS, "end": 4000, "height": 350, "dark": False}
    return charts.curves(lines, NAMES, **(usual | changes))


def domain(spec):
    return spec["datasets"]["frame"][0]["low"], spec["datasets"]["frame"][0]["high"]


def test_every_chart_is_valid_vega_lite(story):
    readings = [Reading(float(i), 50.0, 4e9, 8e9, 49.0) for i in range(60)]
    for spec in (
        chart(drawn(story)),
        chart([]),
        charts.device_strip(readings, dark=True),
        charts.confusion(np.eye(3, dtype=int), ["a", "b", "c"], dark=False),
        charts.top_bars([("daisy", 0.998), ("roses", 0.0004)], dark=False),
        charts.accuracy_against_time([charts.TimedRun("Flowers", 112.0, 0.9)], 250, dark=False),
    ):
        alt.Chart.from_dict(spec)  # raises SchemaValidationError


def test_a_point_is_the_evaluation_it_shows(story):
    spec = chart(drawn(story, weight=0.0))
    points = [row for row in spec["datasets"]["points"] if row["lane"] == "lr 0.5"]
    curve = story.curves[("0.5", "validation")]
    assert [(row["x"], row["y"], row["raw"]) for row in points] == [
        (step, accuracy, accuracy) for step, accuracy in zip(curve.step, curve.accuracy, strict=True)
    ]


def test_at_most_400_points_of_a_line_are_sent():
    long = Story()
    steps = list(range(1, 20001))
    long.curves[("0.5", "validation")] = Curve(steps, [float(step) for step in steps], [0.9] * 20000, [0.1] * 20000)
    spec = charts.curves(
        charts.lines(long, ["0.5"], "validation", charts.ACCURACY, charts.STEPS, 0.6), ["lr 0.5"],
        measure=charts.ACCURACY, axis=charts.STEPS, end=20000, height=300, dark=False,
    )  # fmt: skip
    assert len(spec["datasets"]["points"]) == 400
    assert spec["datasets"]["points"][-1]["x"] == 20000


def test_only_datasets_change_while_a_run_goes_on(story):
    def fixed(lines):
        return {name: part for name, part in chart(lines).items() if name != "datasets"}

    assert fixed([]) == fixed(drawn(story)[:1]) == fixed(drawn(story))


def test_colours_follow_the_lane_and_not_its_rank(story):
    for axis_word in (charts.LIGHT, charts.DARK):
        spec = chart(drawn(story), dark=axis_word is charts.DARK)
        scales = [layer["encoding"]["color"]["scale"] for layer in spec["layer"] if "color" in layer["encoding"]]
        assert all(scale["domain"] == NAMES and scale["range"] == list(axis_word.lanes[:3]) for scale in scales)


def test_the_accuracy_axis_opens_ten_points_below_the_worst_finish_and_closes_above_the_best(story):
    spec = chart(drawn(story, weight=0.0))
    assert domain(spec) == (0.75, 0.92)  # worst finish 0.879 - 0.1 -> 0.75; best 0.9188 -> 0.92


def test_a_lane_that_diverged_does_not_shape_the_axis(story):
    before = domain(chart(drawn(story)))
    curve = story.curves[("0.5", "validation")]
    story.curves[("10.0", "validation")] = Curve(curve.step, curve.seconds, [0.2] * 200, [None] * 200)
    story.diverged["10.0"] = None
    lines = charts.lines(story, [*LANES, "10.0"], charts.VALIDATION, charts.ACCURACY, charts.STEPS, 0.9)
    assert len(lines) == 4
    assert domain(chart(lines)) == before


def test_the_loss_axis_starts_at_zero_and_a_loss_that_is_no_number_is_left_out(story):
    story.curves[("0.5", "validation")].cross_entropy[50] = None
    lines = drawn(story, measure=charts.LOSS)
    assert len(lines[1].x) == 199
    low, high = domain(chart(lines, measure=charts.LOSS))
    values = [value for line in lines for value in line.shown]
    assert low == 0
    assert high == pytest.approx(np.quantile(values, 0.97))


def test_the_marker_stands_on_the_best_evaluation_and_names_it_where_there_is_one_run(story):
    line = drawn(story)[1]
    bests = chart([line])["datasets"]["bests"]
    assert bests == [{"lane": "lr 0.5", "x": 2000.0, "y": line.shown[-1], "words": "best 91.9%"}]
    assert {row["words"] for row in chart(drawn(story))["datasets"]["bests"]} == {""}


@pytest.mark.parametrize(
    "values",
    [[0.91, 0.911, 0.912, 0.90], [0.75, 0.751, 0.752], [0.93] * 6, [0.80]],
    ids=["near each other", "at the bottom", "all equal", "one"],
)
def test_labels_are_17_pixels_apart_inside_the_chart_and_in_the_order_of_their_values(values):
    low, high, height = 0.75, 0.94, 300
    places = charts.label_places(values, low, high, height)
    pixels = sorted((high - place) / (high - low) * height for place in places)
    assert all(b - a >= 17 - 1e-6 for a, b in itertools.pairwise(pixels))
    assert pixels[0] >= -1e-6
    assert pixels[-1] <= height + 1e-6
    ranked = sorted(range(len(values)), key=lambda i: -values[i])
    assert ranked == sorted(range(len(values)), key=lambda i: -places[i])


def test_a_line_that_ends_early_has_a_leader_and_a_whole_one_has_none(story):
    assert len(chart(drawn(story), end=4000)["datasets"]["leaders"]) == 3
    assert chart(drawn(story), end=2000)["datasets"]["leaders"] == []


def test_the_crosshair_reads_every_lane_and_has_a_dash_where_there_is_no_value(story):
    rows = chart(drawn(story)[:2])["datasets"]["crosshair"]
    assert len(rows) == 120
    assert rows[30]["lane1"].endswith("%")
    assert rows[30]["lane2"] == "–"  # not drawn
    assert rows[-1]["lane0"] == "–"  # not reached yet


def test_seconds_end_where_the_race_is_going_to_end(story):
    assert charts.x_end(story, 4000, charts.STEPS) == 4000
    assert charts.x_end(story, 4000, charts.SECONDS) == pytest.approx(20.0)


def test_sensors_that_are_not_there_have_no_row():
    names = [row[0] for row in charts.device_rows([Reading(0.0, 3.0, 4.7e9, 8e9, None)])]
    assert names == ["CPU", "RAM"]
    rows = charts.device_rows([Reading(0.0, 63.2, 4.7e9, 8e9, 49.4)])
    assert [row[2] for row in rows] == ["63%", "4.7 GB", "49 °C"]


def test_confusion_writes_counts_and_leaves_zero_blank():
    spec = charts.confusion(np.array([[61, 0], [3, 52]]), ["daisy", "roses"], dark=False)
    rows = spec["layer"][0]["data"]["values"]
    assert [row["words"] for row in rows] == ["61", "", "3", "52"]
    assert rows[2]["share"] == pytest.approx(3 / 55)


def test_tiny_probabilities_are_below_a_tenth_of_a_percent():
    rows = charts.top_bars([("daisy", 0.998), ("roses", 0.0004)], dark=False)["layer"][0]["data"]["values"]
    assert [row["words"] for row in rows] == ["99.8%", "<0.1%"]
