"""Curves as they are drawn: which figure of which lane stands where, in which colour, and what the layers read."""

import pytest

from engine.charts import base, curve_charts
from engine.charts.curve_charts import (
    ACCURACY,
    BOTH,
    EPOCHS,
    LOSS,
    RUN_SECONDS,
    SECONDS,
    STEPS,
    TRAINING,
    VALIDATION,
    Line,
)
from engine.contract import events
from engine.kinds import curve_lines
from engine.kinds.race import tables
from engine.kinds.race.curves import LaneRow
from engine.runs import Curve, Story

X = {
    "field": "x",
    "type": "quantitative",
    "scale": {"domain": [0, {"expr": "data('frame')[0].end"}], "nice": False},
}
Y = {
    "type": "quantitative",
    "scale": {"domain": [{"expr": "data('frame')[0].low"}, {"expr": "data('frame')[0].high"}], "nice": False},
}


def lane_of(name: str, *values: float, **changes) -> Line:
    """Evaluated at the steps 10, 20, ...; shown as it is."""
    usual = {"number": 0, "best": None, "counts": True, "x": [10.0 * (i + 1) for i in range(len(values))]}
    return Line(**{"name": name, "raw": list(values), "shown": list(values)} | usual | changes)


def chart(lines, lanes=("lr 0.5", "lr 1.0"), **changes):
    usual = {"measure": ACCURACY, "axis": STEPS, "end": 40, "height": 300, "dark": False}
    return curve_charts.curves(lines, lanes, **(usual | changes))


# --- what is drawn ---------------------------------------------------------------------------------------------------


def test_the_layers_of_a_chart_from_behind_to_the_front() -> None:
    spec = chart([lane_of("lr 0.5", 0.5)])
    colour = {
        "field": "lane",
        "type": "nominal",
        "legend": None,
        "scale": {"domain": ["lr 0.5", "lr 1.0"], "range": ["#1f4fb0", "#d96300"]},
    }
    dash = colour | {"scale": {"domain": ["lr 0.5", "lr 1.0"], "range": [[1, 0], [1, 0]]}}
    y, raw, place = Y | {"field": "y"}, Y | {"field": "raw"}, Y | {"field": "place"}
    word = {"type": "nominal"}
    text = {"type": "text", "align": "left", "fontSize": 12, "color": "#10141a"}
    beside = [{"value": {"expr": f"width + {pixels}"}} for pixels in (14, 24, 66)]
    expected = [
        (
            "leaders",
            {"type": "rule", "strokeDash": [1, 3], "strokeWidth": 1.2},
            {"x": X, "x2": {"field": "end"}, "y": y, "y2": {"field": "place"}, "color": colour},
        ),
        (
            "points",
            {"type": "line", "strokeWidth": 1, "opacity": 0.22, "clip": True},
            {"x": X, "y": raw, "color": colour},
        ),
        (
            "faint",
            {"type": "line", "strokeWidth": 1.2, "opacity": 0.5, "clip": True},
            {"x": X, "y": y, "color": colour},
        ),
        (
            "points",
            {"type": "line", "strokeWidth": 2, "clip": True},
            {"x": X, "y": y, "color": colour, "strokeDash": dash},
        ),
        ("dots", {"type": "point", "size": 22, "filled": True, "opacity": 1}, {"x": X, "y": y, "color": colour}),
        (
            "bests",
            {"type": "point", "size": 62, "filled": True, "opacity": 1, "stroke": "#ffffff", "strokeWidth": 2},
            {"x": X, "y": y, "fill": colour},
        ),
        (
            "bests",
            {"type": "text", "fontWeight": 600, "fontSize": 11, "dy": -13, "color": "#10141a"},
            {"x": X, "y": y, "text": word | {"field": "words"}},
        ),
        (
            "ends",
            {"type": "point", "shape": "square", "size": 46, "filled": True, "opacity": 1},
            {"x": beside[0], "y": place, "color": colour},
        ),
        ("ends", text | {"fontWeight": 600}, {"x": beside[1], "y": place, "text": word | {"field": "value"}}),
        ("ends", text, {"x": beside[2], "y": place, "text": word | {"field": "lane"}}),
    ]
    drawn = [(each["data"]["name"], each["mark"], each["encoding"]) for each in spec["layer"][1:-1]]
    assert drawn == [(data, mark | {"aria": False}, encoding) for data, mark, encoding in expected]


def test_the_axes_are_there_before_anything_is_drawn() -> None:
    corner = chart([])["layer"][0]
    words = {"labelColor": "#5b6472", "labelFontSize": 11, "titleColor": "#5b6472", "titleFontSize": 11}
    words |= {"titleFontWeight": "normal"}
    assert corner["mark"] == {"type": "point", "opacity": 0, "aria": False}
    assert corner["data"] == {"name": "frame"}
    assert corner["encoding"]["x"] == X | {
        "axis": words | {
            "title": "Step",
            "labelExpr": "datum.value < 1000 ? format(datum.value, '~r') : format(datum.value / 1000, '~r') + 'k'",
            "tickCount": 8,
            "grid": False,
            "domain": True,
            "domainColor": "#9aa3b0",
            "tickColor": "#9aa3b0",
            "ticks": True,
            "tickSize": 4,
        }
    }  # fmt: skip
    assert corner["encoding"]["y"] == Y | {"field": "y"} | {
        "axis": words | {
            "title": None,
            "format": ".0%",
            "tickCount": 5,
            "gridColor": "#eceff2",
            "grid": True,
            "domain": False,
            "ticks": False,
        }
    }  # fmt: skip
    assert chart([])["datasets"]["frame"] == [{"x": 0.0, "y": 0.0, "end": 40.0, "low": 0.0, "high": 1.0}]


@pytest.mark.parametrize(
    ("axis", "title", "of_tooltip"),
    [
        (STEPS, "Step", "Step"),
        (EPOCHS, "Epoch", "Epoch"),
        (SECONDS, "Seconds of training", "Time"),
        (RUN_SECONDS, "Seconds since the run's turn", "Seconds since the run's turn"),
    ],
)
def test_an_axis_and_the_crosshair_say_what_they_count(axis: str, title: str, of_tooltip: str) -> None:
    spec = chart([lane_of("lr 0.5", 0.5)], axis=axis)
    assert spec["layer"][0]["encoding"]["x"]["axis"]["title"] == title
    assert spec["layer"][-1]["encoding"]["tooltip"] == [
        {"field": "at", "type": "nominal", "title": of_tooltip},
        {"field": "lane0", "type": "nominal", "title": "lr 0.5"},
        {"field": "lane1", "type": "nominal", "title": "lr 1.0"},
    ]


def test_the_crosshair_stands_on_the_place_nearest_to_the_hand_and_is_hidden_without_one() -> None:
    rule = chart([lane_of("lr 0.5", 0.5)])["layer"][-1]
    assert rule["data"] == {"name": "crosshair"}
    assert rule["mark"] == {"type": "rule", "color": "#9aa3b0", "aria": False}
    hover = {"type": "point", "nearest": True, "on": "pointerover", "clear": "pointerout", "fields": ["x"]}
    assert rule["params"] == [{"name": "crosshair", "select": hover}]
    assert rule["encoding"]["x"] == X
    assert rule["encoding"]["opacity"] == {
        "condition": {"param": "crosshair", "value": 1, "empty": False},
        "value": 0,
    }


def test_a_loss_has_no_percent_and_a_narrow_chart_fewer_ticks() -> None:
    spec = chart([lane_of("lr 0.5", 0.5)], measure=LOSS, narrow=True, height=156)
    axes = [spec["layer"][0]["encoding"][name]["axis"] for name in "xy"]
    assert (axes[0]["tickCount"], axes[1]["tickCount"], axes[1]["format"]) == (4, 3, "~g")
    assert chart([], height=312)["layer"][0]["encoding"]["y"]["axis"]["tickCount"] == 6
    assert chart([], height=60)["layer"][0]["encoding"]["y"]["axis"]["tickCount"] == 2


def test_six_lanes_have_six_colours_the_last_is_dashed_and_a_seventh_is_in_the_table_alone() -> None:
    names = [f"lr {number}" for number in range(7)]
    spec = chart([lane_of(names[0], 0.5)], names)
    solid = next(each for each in spec["layer"] if "strokeDash" in each["encoding"])["encoding"]
    assert solid["color"]["scale"] == {"domain": names[:6], "range": list(base.LIGHT.lanes)}
    assert solid["strokeDash"]["scale"] == {"domain": names[:6], "range": [[1, 0]] * 5 + [[5, 3]]}
    assert [each["title"] for each in spec["layer"][-1]["encoding"]["tooltip"]] == ["Step", *names[:6]]
    story = Story()
    for name in names:
        story.curves[(name, VALIDATION)] = Curve([1], [0.1], [0.5], [0.6])
    titles = {name: name for name in names}
    assert [line.name for line in curve_lines.lines(story, titles, VALIDATION, ACCURACY, STEPS, 0.0)] == names[:6]


def test_what_is_compared_with_is_gray_and_dashed_behind_the_lanes() -> None:
    lines = [lane_of("lr 0.5", 0.5), lane_of("of then", 0.6, compared=True, number=2)]
    spec = chart(lines, dark=True)
    solid = next(each for each in spec["layer"] if "strokeDash" in each["encoding"])["encoding"]
    names = ["lr 0.5", "lr 1.0", "of then"]
    assert solid["color"]["scale"] == {"domain": names, "range": [*base.DARK.lanes[:2], base.DARK.muted]}
    assert solid["strokeDash"]["scale"] == {"domain": names, "range": [[1, 0], [1, 0], [5, 3]]}
    assert spec["layer"][-1]["encoding"]["tooltip"][3] == {"field": "lane2", "type": "nominal", "title": "of then"}


# --- the figures of a race -------------------------------------------------------------------------------------------


@pytest.fixture
def race() -> Story:
    told = Story()
    told.curves[("0.5", VALIDATION)] = Curve(
        [10, 20, 30, 40], [0.5, 1.5, 3.5, 7.5], [0.5, 0.75, 0.75, 0.625], [1.5, None, 0.5, 0.75]
    )
    told.curves[("0.5", TRAINING)] = Curve([10, 20], [0.5, 1.5], [0.875, 1.0], [0.25, 0.125])
    told.curves[("10.0", VALIDATION)] = Curve([10, 20], [0.5, 1.5], [0.2, 0.2], [None, None])
    told.diverged["10.0"] = None
    return told


TITLES = {"1.0": "lr 1.0", "0.5": "lr 0.5", "10.0": "lr 10.0"}


def test_a_line_is_the_curve_of_its_lane(race: Story) -> None:
    own, diverged = curve_lines.lines(race, TITLES, VALIDATION, ACCURACY, STEPS, 0.0)
    assert own == Line(
        "lr 0.5", 1, [10, 20, 30, 40], [0.5, 0.75, 0.75, 0.625], [0.5, 0.75, 0.75, 0.625], best=1, counts=True
    )
    assert diverged == Line("lr 10.0", 2, [10, 20], [0.2, 0.2], [0.2, 0.2], best=0, counts=False)


def test_a_line_of_another_measure_axis_or_split(race: Story) -> None:
    (loss,) = curve_lines.lines(race, TITLES, VALIDATION, LOSS, SECONDS, 0.5)
    # TensorBoard's smoothing by hand: weights 1/2 and 1/4 over their sum, then 1/2, 1/4 and 1/8
    smoothed = [1.5, (0.25 * 1.5 + 0.5 * 0.5) / 0.75, (0.125 * 1.5 + 0.25 * 0.5 + 0.5 * 0.75) / 0.875]
    assert (loss.x, loss.raw, loss.best) == ([0.5, 3.5, 7.5], [1.5, 0.5, 0.75], None)
    assert loss.shown == pytest.approx(smoothed)
    behind = {"10.0": "lr 10.0", "0.5": "lr 0.5"}  # the first has no loss that is a number
    assert [line.number for line in curve_lines.lines(race, behind, VALIDATION, LOSS, SECONDS, 0.5)] == [1]
    (training,) = curve_lines.lines(race, TITLES, TRAINING, ACCURACY, STEPS, 0.0)
    assert (training.name, training.raw, training.best) == ("lr 0.5", [0.875, 1.0], None)


def test_a_line_of_another_run_takes_the_place_behind_the_lanes(race: Story) -> None:
    found = curve_lines.compared_line(race, "0.5", "of then", 3, VALIDATION, ACCURACY, SECONDS, 0.5)
    assert found is not None
    assert (found.name, found.number, found.best, found.compared, found.counts) == ("of then", 3, None, True, True)
    assert (found.x, found.raw) == ([0.5, 1.5, 3.5, 7.5], [0.5, 0.75, 0.75, 0.625])
    assert found.shown[1] == pytest.approx((0.25 * 0.5 + 0.5 * 0.75) / 0.75)
    crowded = curve_lines.compared_line(race, "0.5", "of then", 9, TRAINING, LOSS, STEPS, 0.0)
    assert crowded is not None
    assert (crowded.number, crowded.raw) == (6, [0.25, 0.125])
    assert curve_lines.compared_line(race, "7.0", "of then", 3, VALIDATION, ACCURACY, STEPS, 0.0) is None


def test_where_the_axis_of_a_race_ends(race: Story) -> None:
    assert curve_lines.x_end(race, 400, STEPS) == 400
    assert curve_lines.x_end(race, 400, SECONDS) == 75.0  # of the slowest: 7.5 s for 40 of 400 steps
    race.curves[("2.0", VALIDATION)] = Curve([40], [8.0], [0.5], [0.5])
    assert curve_lines.x_end(race, 400, SECONDS) == 80.0
    assert curve_lines.x_end(Story(), 400, SECONDS) == 1.0
    unready = Story()
    unready.curves[("2.0", VALIDATION)] = Curve([10], [0.0], [0.5], [0.5])
    assert curve_lines.x_end(unready, 400, SECONDS) == 1.0  # an axis of no length cannot be drawn
    unready.curves[("2.0", VALIDATION)] = Curve()
    assert curve_lines.x_end(unready, 400, SECONDS) == 1.0


@pytest.mark.parametrize(
    ("finishes", "domain"),
    [
        pytest.param([0.85], (0.75, 0.86), id="ten points below, on a step of five"),
        pytest.param([0.87, 0.91], (0.75, 0.92), id="below the worst, above the best"),
        pytest.param([0.05], (0.0, 0.06), id="never below nothing"),
        pytest.param([0.995], (0.85, 1.0), id="never above all"),
        pytest.param([0.9], (0.8, 0.92), id="on a step"),
        pytest.param([1.0], (0.9, 1.0), id="all right"),
    ],
)
def test_the_accuracy_axis(finishes: list[float], domain: tuple[float, float]) -> None:
    frame = chart([lane_of(f"lr {value}", value) for value in finishes])["datasets"]["frame"][0]
    assert (frame["low"], frame["high"], frame["y"]) == (*domain, domain[0])


def test_what_shapes_the_accuracy_axis() -> None:
    dip = lane_of("lr 0.5", 0.3, 0.95, 0.85)
    assert _domain(chart([dip])) == (0.75, 0.96)  # opens below the finish, closes above the highest
    hidden = lane_of("lr 0.5", 0.8, 0.8, 0.8, raw=[0.8, 0.97, 0.8], best=1)
    assert _domain(chart([hidden])) == (0.7, 0.98)  # the best evaluation stands above the smoothed line
    faint = lane_of("lr 0.5", 0.2, faint=True, labelled=False)
    assert _domain(chart([dip, faint])) == (0.75, 0.96)
    diverged = lane_of("lr 10.0", 0.2, 0.99, counts=False)
    assert _domain(chart([dip, diverged])) == (0.75, 0.96)
    assert _domain(chart([diverged])) == (0.85, 1.0)  # nothing else to be shaped by


def _domain(spec) -> tuple[float, float]:
    return spec["datasets"]["frame"][0]["low"], spec["datasets"]["frame"][0]["high"]


def test_the_loss_axis() -> None:
    values = [value / 100 for value in range(1, 102)]
    assert _domain(chart([lane_of("lr 0.5", *values)], measure=LOSS)) == (0.0, pytest.approx(0.98))
    assert _domain(chart([lane_of("lr 0.5", *values, raw=[9.0] * 101)], measure=LOSS)) == (0.0, pytest.approx(0.98))
    assert _domain(chart([lane_of("lr 0.5", 0.0)], measure=LOSS)) == (0.0, 1e-3)
    assert _domain(chart([], measure=LOSS)) == (0.0, 1.0)


# --- rows ------------------------------------------------------------------------------------------------------------


def test_points_ends_and_bests_are_the_figures_of_their_lane() -> None:
    first = Line("lr 0.5", 0, [10, 20, 30], [0.5, 0.8, 0.7], [0.5, 0.65, 0.675], best=1, counts=True)
    second = Line("lr 1.0", 1, [10, 40], [0.6, 0.9], [0.6, 0.75], best=1, counts=True)
    rows = chart([first, second])["datasets"]
    assert rows["points"] == [
        {"lane": "lr 0.5", "x": 10.0, "raw": 0.5, "y": 0.5},
        {"lane": "lr 0.5", "x": 20.0, "raw": 0.8, "y": 0.65},
        {"lane": "lr 0.5", "x": 30.0, "raw": 0.7, "y": 0.675},
        {"lane": "lr 1.0", "x": 10.0, "raw": 0.6, "y": 0.6},
        {"lane": "lr 1.0", "x": 40.0, "raw": 0.9, "y": 0.75},
    ]
    ends = [
        {"lane": "lr 0.5", "x": 30.0, "y": 0.675, "end": 40.0, "value": "67.5%"},
        {"lane": "lr 1.0", "x": 40.0, "y": 0.75, "end": 40.0, "value": "75.0%"},
    ]
    assert [{name: row[name] for name in row if name != "place"} for row in rows["ends"]] == ends
    low, high = rows["frame"][0]["low"], rows["frame"][0]["high"]
    assert [row["place"] for row in rows["ends"]] == pytest.approx([0.675, 0.75])  # far enough apart to stay
    assert (low, high) == (0.55, 0.92)
    assert [row["lane"] for row in rows["leaders"]] == ["lr 0.5"]  # the other one reaches the edge
    assert rows["bests"] == [
        {"lane": "lr 0.5", "x": 20.0, "y": 0.65, "words": ""},
        {"lane": "lr 1.0", "x": 40.0, "y": 0.75, "words": ""},
    ]
    assert (rows["faint"], rows["dots"]) == ([], [])
    assert chart([first])["datasets"]["bests"] == [{"lane": "lr 0.5", "x": 20.0, "y": 0.65, "words": "best 80.0%"}]


def test_labels_of_lines_that_end_together_stand_apart() -> None:
    rows = chart([lane_of("lr 0.5", 0.7), lane_of("lr 1.0", 0.7001, number=1)])["datasets"]
    low, high = rows["frame"][0]["low"], rows["frame"][0]["high"]
    pixels = [(high - row["place"]) / (high - low) * (300 - 66) for row in rows["ends"]]
    assert pixels[0] - pixels[1] == pytest.approx(17)


def test_what_lies_outside_the_axis_is_not_marked_and_its_label_stays_inside() -> None:
    outside = [
        lane_of("lr 0.5", 0.9, 0.8, best=0, dots=True),
        lane_of("lr 1.0", 0.1, 0.2, number=1, counts=False, best=0, dots=True),
    ]
    rows = chart(outside)["datasets"]
    assert rows["frame"][0] == {"x": 0.0, "y": 0.7, "end": 40.0, "low": 0.7, "high": 0.92}
    assert [(row["lane"], row["y"]) for row in rows["dots"]] == [("lr 0.5", 0.9), ("lr 0.5", 0.8)]
    assert [row["lane"] for row in rows["bests"]] == ["lr 0.5"]
    assert [(row["y"], row["value"]) for row in rows["ends"]] == [(0.8, "80.0%"), (0.7, "20.0%")]
    above = chart([lane_of("lr 0.5", 0.5, *[0.1] * 99, dots=True)], measure=LOSS)["datasets"]
    assert len(above["dots"]) == 99
    edge = chart([lane_of("lr 0.5", 0.92, 0.7, dots=True), lane_of("lr 1.0", 0.92, 0.8, number=1)])["datasets"]
    assert edge["frame"][0]["high"] == pytest.approx(0.94)


def test_a_faint_line_has_no_label_and_its_points_are_apart() -> None:
    lines = [lane_of("Strong", 0.5, 0.6, faint=True, labelled=False), lane_of("Strong", 0.7, 0.8, dots=True)]
    rows = chart(lines, ["Strong"])["datasets"]
    assert [row["y"] for row in rows["faint"]] == [0.5, 0.6]
    assert [row["y"] for row in rows["points"]] == [0.7, 0.8]
    assert [row["y"] for row in rows["dots"]] == [0.7, 0.8]
    assert [row["value"] for row in rows["ends"]] == ["80.0%"]


def test_an_end_label_of_a_loss_has_three_decimals() -> None:
    rows = chart([lane_of("lr 0.5", 0.5, 0.24649)], measure=LOSS)["datasets"]
    assert rows["ends"][0]["value"] == "0.246"


def test_a_line_that_almost_reaches_the_edge_needs_no_leader() -> None:
    at = {edge: chart([lane_of("lr 0.5", 0.5, x=[edge])], end=1000)["datasets"]["leaders"] for edge in (994.0, 995.0)}
    assert [len(rows) for rows in at.values()] == [1, 0]


@pytest.mark.parametrize(
    ("axis", "end", "places"),
    [
        (STEPS, 120_000, ["1,000", "120,000"]),
        (EPOCHS, 6, ["0.05", "6.00"]),
        (SECONDS, 60, ["0.5 s", "60.0 s"]),
        (RUN_SECONDS, 240, ["2.0 s", "240.0 s"]),
    ],
)
def test_the_crosshair_has_120_places_from_the_first_to_the_end(axis: str, end: float, places: list[str]) -> None:
    rows = chart([lane_of("lr 0.5", 0.5)], axis=axis, end=end)["datasets"]["crosshair"]
    assert [row["x"] for row in rows] == pytest.approx([end * number / 120 for number in range(1, 121)])
    assert [rows[0]["at"], rows[-1]["at"]] == places


def test_the_crosshair_reads_the_nearest_evaluation_of_each_lane() -> None:
    first = Line("lr 0.5", 0, [10, 20, 40], [0.9] * 3, [0.1, 0.2, 0.4], best=None, counts=True)
    second = Line("lr 1.0", 1, [10, 60], [0.9] * 2, [0.5, 0.6], best=None, counts=True)
    rows = chart([first, second], ["lr 0.5", "lr 1.0", "lr 5.0"], end=120)["datasets"]["crosshair"]
    read = [(row["x"], row["lane0"], row["lane1"], row["lane2"]) for row in rows]
    assert [each[1] for each in read[:15]] == ["10.0%"] * 15  # half the way from 10 to 20
    assert [each[1] for each in read[15:30]] == ["20.0%"] * 15
    assert [each[1] for each in read[30:41]] == ["40.0%"] * 11  # and one place behind its end
    assert [each[1] for each in read[41:]] == ["–"] * 79
    assert [each[2] for each in read[:35]] == ["50.0%"] * 35
    assert [each[2] for each in read[35:61]] == ["60.0%"] * 26
    assert [each[2] for each in read[61:]] == ["–"] * 59
    assert {each[3] for each in read} == {"–"}
    assert set(rows[0]) == {"x", "at", "lane0", "lane1", "lane2"}
    loss = chart([first], measure=LOSS, end=120)["datasets"]["crosshair"]
    assert loss[0]["lane0"] == "0.100"


def test_the_crosshair_says_training_behind_validation_in_whatever_order_they_are_drawn() -> None:
    faint = Line("Strong", 0, [10, 20], [0.5, 0.6], [0.5, 0.6], None, counts=True, faint=True, labelled=False)
    whole = Line("Strong", 0, [20], [0.8], [0.8], None, counts=True)
    for lines in ([faint, whole], [whole, faint]):
        rows = chart(lines, ["Strong"], end=120)["datasets"]["crosshair"]
        assert [rows[at]["lane0"] for at in (0, 19, 40)] == ["80.0% (training 50.0%)", "80.0% (training 60.0%)", "–"]


# --- networks --------------------------------------------------------------------------------------------------------

NETWORKS = {"small": "Small", "other": "Other", "strong": "Strong"}


@pytest.fixture
def comparison() -> Story:
    """Two networks of three, after 4 of 8 and 6 of 12 steps; the small one holds nothing out."""
    told = Story()
    told.tell(events.LaneStarted(0.0, "small", 64, 0, 32, 2, 8))
    told.tell(events.LaneStarted(0.0, "strong", 48, 1, 16, 3, 12))
    told.curves[("small", TRAINING)] = Curve([2, 4], [0.5, 2.0], [0.25, 0.5], [1.0, None])
    told.curves[("strong", TRAINING)] = Curve([3, 6], [1.0, 2.5], [0.375, 0.75], [0.9, 0.7])
    told.curves[("strong", VALIDATION)] = Curve([3, 6], [1.25, 2.75], [0.875, 0.625], [0.5, 0.8])
    return told


def network_lines(story: Story, split: str = BOTH, measure: str = ACCURACY, axis: str = STEPS, weight: float = 0.0):
    return curve_lines.network_lines(story, NETWORKS, split, measure, axis, weight)


def test_lines_of_networks_are_their_training_and_validation(comparison: Story) -> None:
    faint, small, strong = network_lines(comparison)
    assert faint == Line(
        "Strong", 2, [3, 6], [0.375, 0.75], [0.375, 0.75], None, counts=True, faint=True, labelled=False
    )
    assert small == Line("Small", 0, [2, 4], [0.25, 0.5], [0.25, 0.5], None, counts=True)
    assert strong == Line("Strong", 2, [3, 6], [0.875, 0.625], [0.875, 0.625], 0, counts=True, dots=True)


def test_one_split_of_networks(comparison: Story) -> None:
    small, strong = network_lines(comparison, TRAINING, weight=0.5)
    assert (strong.raw, strong.best) == ([0.375, 0.75], None)
    assert (strong.faint, strong.labelled, strong.dots) == (False, True, False)
    assert strong.shown == pytest.approx([0.375, (0.25 * 0.375 + 0.5 * 0.75) / 0.75])
    small, strong = network_lines(comparison, VALIDATION, weight=0.5)
    assert (small.raw, small.faint, small.labelled) == ([0.25, 0.5], False, True)
    assert (strong.raw, strong.shown, strong.best) == ([0.875, 0.625], [0.875, 0.625], 0)
    (small,) = network_lines(comparison, VALIDATION, LOSS)[:1]
    assert (small.x, small.raw) == ([2], [1.0])
    strong = network_lines(comparison, VALIDATION, LOSS)[1]
    assert (strong.raw, strong.best) == ([0.5, 0.8], None)


def test_axes_of_networks(comparison: Story) -> None:
    by_epoch, by_second = network_lines(comparison, axis=EPOCHS), network_lines(comparison, axis=SECONDS)
    assert [line.x for line in by_epoch] == [[1, 2], [1, 2], [1, 2]]  # 3 steps an epoch, and 2
    assert [line.x for line in by_second] == [[1.0, 2.5], [0.5, 2.0], [1.25, 2.75]]
    assert curve_lines.networks_end(comparison, 4, EPOCHS) == 4
    assert curve_lines.networks_end(comparison, 4, STEPS) == 12
    assert curve_lines.networks_end(comparison, 4, SECONDS) == 5.0  # strong: 2.5 s for 6 of 12; small: 2 s for 4 of 8
    comparison.tell(events.LaneEnded(0.0, "strong", True))
    assert curve_lines.networks_end(comparison, 4, SECONDS) == 4.0
    comparison.tell(events.LaneEnded(0.0, "small", False))
    assert curve_lines.networks_end(comparison, 4, SECONDS) == 2.5
    assert curve_lines.networks_end(Story(), 4, STEPS) == 1
    assert curve_lines.networks_end(Story(), 4, SECONDS) == 1.0
    early = Story()
    early.tell(events.LaneStarted(0.0, "small", 64, 0, 32, 2, 8))
    assert curve_lines.networks_end(early, 4, SECONDS) == 1.0
    assert network_lines(early) == []


def test_many_batches_are_drawn_as_means_at_the_last_of_them() -> None:
    told = Story()
    told.tell(events.LaneStarted(0.0, "small", 64, 0, 32, 100, 1000))
    losses = [None if step in (1, 4, 5, 6) else float(step) for step in range(1, 9)]
    told.curves[("small", TRAINING)] = Curve(list(range(1, 9)), [s / 10 for s in range(1, 9)], [0.5] * 8, losses)
    (line,) = network_lines(told, measure=LOSS)  # 1,000 planned evaluations on 400 points: three to each
    assert line.x == [3, 8]
    assert line.raw == [2.5, 7.5]
    (line,) = network_lines(told, axis=SECONDS)
    assert line.x == pytest.approx([0.3, 0.6, 0.8])


def test_as_many_evaluations_are_drawn_together_as_the_whole_curve_will_need() -> None:
    told = Story()
    told.tell(events.LaneStarted(0.0, "small", 64, 0, 32, 100, 4000))
    told.curves[("small", TRAINING)] = Curve([5, 10, 15], [0.1, 0.2, 0.3], [0.25, 0.5, 0.75], [1.0, 0.9, 0.8])
    (line,) = network_lines(told)  # every fifth of 4,000 steps on 400 points: two to each
    assert (line.x, line.raw) == ([10, 15], [0.375, 0.75])


def test_a_network_without_a_known_figure_is_not_drawn(comparison: Story) -> None:
    comparison.curves[("strong", VALIDATION)] = Curve([3], [1.0], [0.5], [None])
    comparison.curves[("strong", TRAINING)] = Curve([3], [1.0], [0.5], [None])
    assert [line.name for line in network_lines(comparison, measure=LOSS)] == ["Small"]


# --- in words --------------------------------------------------------------------------------------------------------


def test_curves_in_words() -> None:
    lines = [
        lane_of("lr 0.5", 0.5, 0.914, x=[10, 4000]),
        lane_of("lr 1.0", 0.75, 0.5, 0.25, x=[10, 20, 3990.0], number=1),
    ]
    words = curve_charts.curves_in_words
    assert words(lines, ACCURACY, STEPS) == "at step 4,000: 91.4% at lr 0.5, 25.0% at lr 1.0."
    assert words(lines[1:], LOSS, SECONDS) == "at 3990.0 s of training: 0.250 at lr 1.0."
    assert words([], ACCURACY, STEPS) == "before the first evaluation."


def test_networks_in_words() -> None:
    lines = [lane_of("Strong", 0.5, labelled=False), lane_of("Beginner", 0.9, 0.978), lane_of("Strong", 0.996)]
    assert curve_charts.networks_in_words(lines, ACCURACY) == "Beginner 97.8%, Strong 99.6%."
    assert curve_charts.networks_in_words(lines[1:2], LOSS) == "Beginner 0.978."
    assert curve_charts.networks_in_words([], ACCURACY) == "before the first batches."


def test_a_race_in_words() -> None:
    rows = [
        LaneRow("0.5", 0, True, False, 0.914, 0.8, 0.95, 1373, 0.7, 0.3, 0.96, 10, None, None),
        LaneRow("1.0", 1, False, False, 0.25, 0.2, 0.3, 1373, 0.6, 0.2, 0.97, 10, None, None),
    ]
    assert tables.in_words(rows) == ("lr 0.5: 91.4% of 1,373 testing photos; lr 1.0: 25.0% of 1,373 testing photos.")
