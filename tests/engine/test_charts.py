import itertools

import altair as alt
import numpy as np
import pytest

from engine.charts import answer_charts, base, curve_charts, time_charts
from engine.contract import events
from engine.kinds import curve_lines
from engine.models.calibration import Bin
from engine.runs import Curve, Story


@pytest.fixture
def story():
    told = Story()
    steps = list(range(10, 2010, 10))
    for lane, top in (("0.005", 0.88), ("0.5", 0.92), ("1.0", 0.91)):
        accuracy = [top * (1 - 2.7 ** (-step / 300)) for step in steps]
        seconds = [step / 200 for step in steps]
        told.curves[(lane, "validation")] = Curve(steps, seconds, accuracy, [1.5 - a for a in accuracy])
    return told


BINS = [Bin(0.0, 0.5, 0, None, None), Bin(0.5, 0.9, 4, 0.8, 0.75), Bin(0.9, 1.0, 1234, 0.97, 0.98)]
TITLES = {"0.005": "lr 0.005", "0.5": "lr 0.5", "1.0": "lr 1.0"}
NAMES = list(TITLES.values())


def drawn(story, weight=0.9, measure=curve_charts.ACCURACY, axis=curve_charts.STEPS):
    return curve_lines.lines(story, TITLES, curve_charts.VALIDATION, measure, axis, weight)


def chart(lines, **changes):
    usual = {"measure": curve_charts.ACCURACY, "axis": curve_charts.STEPS, "end": 4000, "height": 350, "dark": False}
    return curve_charts.curves(lines, NAMES, **(usual | changes))


def domain(spec):
    return spec["datasets"]["frame"][0]["low"], spec["datasets"]["frame"][0]["high"]


def test_every_chart_is_valid_vega_lite(story):
    for spec in (
        chart(drawn(story)),
        chart([]),
        answer_charts.confusion(np.eye(3, dtype=int), ["a", "b", "c"], dark=False),
        answer_charts.top_bars([("daisy", 0.998), ("roses", 0.0004)], dark=False),
        answer_charts.reliability(BINS, dark=True),
        answer_charts.reliability([], dark=False),
        time_charts.accuracy_against_time([time_charts.TimedRun("Flowers", 112.0, 0.9)], 250, dark=False),
    ):
        alt.Chart.from_dict(spec)  # raises SchemaValidationError


STAGES = (("Starting", 1.0), ("Scanning", 2.0), ("Bottlenecks", 60.0), ("Training", 177.0))


def test_stages_stand_behind_each_other_and_say_their_names_where_there_is_room():
    bars = [
        time_charts.StageBar("1 · lr 0.5", STAGES, "decoding 12 s, backbone 49 s"),
        time_charts.StageBar("2 · lr 1.0", ()),
    ]
    spec = time_charts.stage_bars(bars, dark=False)
    alt.Chart.from_dict(spec)
    segments, words, totals = (layer["data"]["values"] for layer in spec["layer"])
    assert [round(row["to"] - row["from"], 3) for row in segments] == [0.017, 0.033, 1.0, 2.95]  # minutes
    assert [row["words"] for row in words] == ["", "", "Bottlenecks 1m 00s", "Training 2m 57s"]
    assert segments[2]["took"] == "1m 00s; of all cores together decoding 12 s, backbone 49 s"
    assert [(row["run"], row["words"]) for row in totals] == [("1 · lr 0.5", "4m 00s"), ("2 · lr 1.0", "0 ms")]
    assert time_charts.stages_in_words([time_charts.StageBar("", STAGES[2:])]) == (
        "Bottlenecks 1m 00s, Training 2m 57s, 3m 57s in all."
    )


def test_a_bar_alone_has_no_axes():
    spec = time_charts.stage_bars([time_charts.StageBar("", STAGES)], dark=True, narrow=True)
    assert [spec["layer"][0]["encoding"][axis]["axis"] for axis in "xy"] == [None, None]


def test_a_bin_is_as_high_as_its_share_of_right_answers_and_says_how_many_photos_it_has():
    rows = answer_charts.reliability(BINS, dark=False)["layer"][0]["data"]["values"]
    assert [(row["low"], row["high"], row["right"], row["words"]) for row in rows] == [
        (0.5, 0.9, 0.75, "4"),
        (0.9, 1.0, 0.98, "1,234"),
    ]
    assert [row["few"] for row in rows] == [True, False]
    assert "of 1,234 with a score of 90% to 100%, 98% are right." in answer_charts.reliability_in_words(BINS)
    assert answer_charts.reliability_in_words(BINS[:1]) == "No photo was tested."


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
    drawn = curve_lines.lines(long, {"0.5": "lr 0.5"}, "validation", curve_charts.ACCURACY, curve_charts.STEPS, 0.6)
    spec = curve_charts.curves(
        drawn, ["lr 0.5"],
        measure=curve_charts.ACCURACY, axis=curve_charts.STEPS, end=20000, height=300, dark=False,
    )  # fmt: skip
    assert len(spec["datasets"]["points"]) == 400
    assert spec["datasets"]["points"][-1]["x"] == 20000


def test_only_datasets_change_while_a_run_goes_on(story):
    def fixed(lines):
        return {name: part for name, part in chart(lines).items() if name != "datasets"}

    assert fixed([]) == fixed(drawn(story)[:1]) == fixed(drawn(story))


def test_colours_follow_the_lane_and_not_its_rank(story):
    for axis_word in (base.LIGHT, base.DARK):
        spec = chart(drawn(story), dark=axis_word is base.DARK)
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
    lines = curve_lines.lines(
        story, TITLES | {"10.0": "lr 10.0"}, curve_charts.VALIDATION, curve_charts.ACCURACY, curve_charts.STEPS, 0.9
    )
    assert len(lines) == 4
    assert domain(chart(lines)) == before


def test_the_loss_axis_starts_at_zero_and_a_loss_that_is_no_number_is_left_out(story):
    story.curves[("0.5", "validation")].cross_entropy[50] = None
    lines = drawn(story, measure=curve_charts.LOSS)
    assert len(lines[1].x) == 199
    low, high = domain(chart(lines, measure=curve_charts.LOSS))
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
    places = base.label_places(values, low, high, height)
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
    assert curve_lines.x_end(story, 4000, curve_charts.STEPS) == 4000
    assert curve_lines.x_end(story, 4000, curve_charts.SECONDS) == pytest.approx(20.0)


# --- a comparison of networks ----------------------------------------------------------------------------------------

NETWORKS = {"beginner": "Beginner", "strong": "Strong"}


@pytest.fixture
def comparison():
    """Two networks after two of three epochs; the beginner holds nothing out."""
    told = Story()
    for lane, batch, held_out, top in (("beginner", 32, 0, 0.97), ("strong", 128, 5000, 0.99)):
        an_epoch = -(-60000 // batch)
        told.tell(events.LaneStarted(0.0, lane, 60000 - held_out, held_out, batch, an_epoch, 3 * an_epoch))
        steps = list(range(1, 2 * an_epoch + 1))
        accuracy = [top * (1 - 2.7 ** (-step / 100)) for step in steps]
        told.curves[(lane, "training")] = Curve(
            steps, [step / 100 for step in steps], accuracy, [1 - a for a in accuracy]
        )
        if held_out:
            ends = [an_epoch, 2 * an_epoch]
            told.curves[(lane, "validation")] = Curve(ends, [end / 100 for end in ends], [0.98, 0.985], [0.06, 0.05])
    return told


def network_lines(story, split=curve_charts.BOTH, measure=curve_charts.ACCURACY, axis=curve_charts.STEPS, weight=0.0):
    return curve_lines.network_lines(story, NETWORKS, split, measure, axis, weight)


def test_validation_stands_in_full_and_training_faint_behind_it(comparison):
    lines = network_lines(comparison)
    assert [(line.name, line.faint, line.labelled) for line in lines] == [
        ("Strong", True, False),
        ("Beginner", False, True),  # holds nothing out: its training is all there is
        ("Strong", False, True),
    ]
    assert lines[2].shown == [0.98, 0.985]
    assert lines[2].dots
    datasets = chart(lines, end=5625)["datasets"]
    assert {row["lane"] for row in datasets["faint"]} == {"Strong"}
    assert [row["y"] for row in datasets["dots"]] == [0.98, 0.985]
    assert sorted(row["lane"] for row in datasets["ends"]) == ["Beginner", "Strong"]


@pytest.mark.parametrize(
    ("split", "names"),
    [(curve_charts.VALIDATION, ["Beginner", "Strong"]), (curve_charts.TRAINING, ["Beginner", "Strong"])],
)
def test_one_split_alone_is_drawn_in_full(comparison, split, names):
    lines = network_lines(comparison, split)
    assert [line.name for line in lines] == names
    assert not any(line.faint for line in lines)


def test_before_its_first_validation_a_network_is_labelled_at_its_training(comparison):
    del comparison.curves[("strong", "validation")]
    strong = [line for line in network_lines(comparison) if line.name == "Strong"]
    assert [(line.faint, line.labelled) for line in strong] == [(True, True)]


def test_training_is_drawn_as_means_that_stay_where_they_are_while_the_run_goes_on(comparison):
    whole = network_lines(comparison, curve_charts.TRAINING)[0]
    curve = comparison.curves[("beginner", "training")]
    together = -(-3 * 1875 // 400)
    assert whole.x[0] == together
    assert whole.raw[0] == pytest.approx(sum(curve.accuracy[:together]) / together)
    assert len(whole.x) <= 400
    half = len(curve.step) // 2 // together * together
    comparison.curves[("beginner", "training")] = Curve(
        curve.step[:half], curve.seconds[:half], curve.accuracy[:half], curve.cross_entropy[:half]
    )
    before = network_lines(comparison, curve_charts.TRAINING)[0]
    assert before.raw == whole.raw[: len(before.raw)]


def test_only_training_is_smoothed(comparison):
    rough, smooth = network_lines(comparison, weight=0.0), network_lines(comparison, weight=0.9)
    assert rough[2].shown == smooth[2].shown
    assert rough[0].shown != smooth[0].shown


@pytest.mark.parametrize(
    ("axis", "last", "end"),
    [
        pytest.param(curve_charts.STEPS, 938, 5625, id="steps, of the network with the most"),
        pytest.param(curve_charts.EPOCHS, 2, 3, id="epochs"),
        pytest.param(curve_charts.SECONDS, 9.38, 56.25, id="seconds, of the slowest network"),
    ],
)
def test_the_axis_of_a_comparison_ends_where_its_last_network_will(comparison, axis, last, end):
    assert network_lines(comparison, axis=axis)[2].x[-1] == pytest.approx(last)
    assert curve_lines.networks_end(comparison, 3, axis) == pytest.approx(end)


def test_a_stopped_network_does_not_stretch_the_seconds(comparison):
    comparison.tell(events.LaneEnded(0.0, "beginner", True))
    assert curve_lines.networks_end(comparison, 3, curve_charts.SECONDS) == pytest.approx(37.5)


def test_the_crosshair_says_training_beside_validation(comparison):
    rows = chart(network_lines(comparison), end=5625)["datasets"]["crosshair"]
    strong = next(row["lane1"] for row in rows if row["x"] >= 900)
    assert strong.startswith("98.5% (training 9")
    assert rows[10]["lane0"].endswith("%")


def test_every_chart_of_a_comparison_is_valid_vega_lite(comparison):
    for axis in (curve_charts.STEPS, curve_charts.EPOCHS, curve_charts.SECONDS):
        alt.Chart.from_dict(chart(network_lines(comparison, axis=axis), axis=axis, end=5625))


def test_names_of_points_that_are_close_stand_apart():
    runs = [time_charts.TimedRun(f"Network {number}", 60.0 + number, 0.99 + number / 1000, True) for number in range(4)]
    spec = time_charts.accuracy_against_time(runs, 250, dark=False)
    rows = spec["layer"][0]["data"]["values"]
    low, high = spec["layer"][0]["encoding"]["y"]["scale"]["domain"]
    pixels = sorted((row["place"] - low) / (high - low) * (250 - base.AROUND) for row in rows)
    assert all(above - below >= 17 - 1e-6 for below, above in itertools.pairwise(pixels))
    assert all(layer["encoding"]["y"]["field"] == "place" for layer in spec["layer"][1:])


def test_names_of_digits_stand_upright_and_long_ones_lean():
    many = [f"class {number}" for number in range(10)]
    for labels, angle in (([str(number) for number in range(10)], 0), (many, -45), (many[:3], 0)):
        spec = answer_charts.confusion(np.eye(len(labels), dtype=int), labels, dark=False)
        assert spec["layer"][0]["encoding"]["x"]["axis"]["labelAngle"] == angle


def test_circles_are_digits_and_squares_are_photos():
    points = [time_charts.TimedRun("Flowers", 112.0, 0.9), time_charts.TimedRun("Strong", 60.0, 0.99, digits=True)]
    spec = time_charts.accuracy_against_time(points, 250, dark=False)
    scale = spec["layer"][0]["encoding"]["shape"]["scale"]
    shape = dict(zip(scale["domain"], scale["range"], strict=True))
    assert [shape[row["of"]] for row in spec["layer"][0]["data"]["values"]] == ["square", "circle"]


def test_confusion_writes_counts_and_leaves_zero_blank():
    spec = answer_charts.confusion(np.array([[61, 0], [3, 52]]), ["daisy", "roses"], dark=False)
    rows = spec["layer"][0]["data"]["values"]
    assert [row["words"] for row in rows] == ["61", "", "3", "52"]
    assert rows[2]["share"] == pytest.approx(3 / 55)


def test_names_as_long_as_a_book_are_cut_and_stay_apart():
    spec = answer_charts.confusion(np.eye(3, dtype=int), ["x" * 10_000, "x" * 9_999, "roses"], dark=False)
    named = spec["layer"][0]["encoding"]["x"]["sort"]
    assert named == ["x" * 39 + "…", "x" * 39 + "… · 2", "roses"]
    assert [row["predicted"] for row in spec["layer"][0]["data"]["values"]] == named * 3


def test_a_chart_for_a_large_screen_has_larger_letters_and_the_same_rows():
    spec = answer_charts.confusion(np.eye(2, dtype=int), ["daisy", "roses"], dark=False)
    large = base.enlarged(spec, 1.5)
    alt.Chart.from_dict(large)
    assert large["height"] == 1.5 * spec["height"]
    assert large["layer"][1]["mark"]["fontSize"] == 1.5 * spec["layer"][1]["mark"]["fontSize"]
    assert large["layer"][0]["data"] == spec["layer"][0]["data"]


def test_tiny_probabilities_are_below_a_tenth_of_a_percent():
    rows = answer_charts.top_bars([("daisy", 0.998), ("roses", 0.0004)], dark=False)["layer"][0]["data"]["values"]
    assert [row["words"] for row in rows] == ["99.8%", "<0.1%"]


def test_a_curve_of_another_run_is_dashed_behind_no_colour_of_a_lane(story):
    other = Story()
    other.curves[("old run", "validation")] = Curve([0, 3000], [0.0, 9.0], [0.5, 0.875], [1.0, 0.5])
    line = curve_lines.compared_line(
        other, "old run", "Of 2017", 3, curve_charts.VALIDATION, curve_charts.ACCURACY, curve_charts.STEPS, 0.0
    )
    assert line is not None
    spec = chart([*drawn(story), line])
    alt.Chart.from_dict(spec)
    (smoothed,) = (layer["encoding"] for layer in spec["layer"] if "strokeDash" in layer["encoding"])
    names = [*NAMES, "Of 2017"]
    assert smoothed["color"]["scale"] == {"domain": names, "range": [*base.LIGHT.lanes[:3], base.LIGHT.muted]}
    assert smoothed["strokeDash"]["scale"]["range"] == [[1, 0], [1, 0], [1, 0], [5, 3]]
    points = [(row["x"], row["y"]) for row in spec["datasets"]["points"] if row["lane"] == "Of 2017"]
    assert points == [(0.0, 0.5), (3000.0, 0.875)]
    assert [row["lane3"] for row in spec["datasets"]["crosshair"]][::40] == ["50.0%", "50.0%", "87.5%"]
    assert [row["lane"] for row in spec["datasets"]["bests"]] == NAMES  # the best of another run is not marked
    missing = curve_lines.compared_line(
        other, "old run", "Of 2017", 3, curve_charts.TRAINING, curve_charts.LOSS, curve_charts.STEPS, 0.0
    )
    assert missing is None
