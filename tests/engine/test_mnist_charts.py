import itertools
from dataclasses import replace

import altair as alt
import pytest
from hypothesis import given
from hypothesis import strategies as some

from engine.charts import base, mnist_charts
from engine.contract import catalog, layers
from engine.digits import keras_code
from engine.kinds.mnist.comparison import NetworkRow
from engine.stats import wilson


def row(title, number, cost, wrong, n=10_000):
    low, high = wilson(n - wrong, n)
    return NetworkRow(
        lane=title.lower(), title=title, number=number, parameters=cost, multiply_adds=10 * cost, epochs=5.0,
        train_seconds=cost / 1000, images_per_second=5000.0, image_seconds=cost / 1e9, test_accuracy=1 - wrong / n,
        test_low=low, test_high=high, test_n=n, wrong=wrong, validation_accuracy=0.99, best_epoch=4, stopped=False,
        difference=1e-7,
    )  # fmt: skip


ROWS = [row("Strong", 3, 98_000, 38), row("Meant", 2, 370_000, 90), row("Small", 1, 16_000, 60),
        row("Beginner", 0, 101_770, 220)]  # fmt: skip


def of_layer(spec, number):
    return spec["layer"][number]["data"]["values"]


@pytest.mark.parametrize("cost", mnist_charts.COST_AXES)
@pytest.mark.parametrize("dark", [False, True])
def test_every_chart_is_valid_vega_lite(cost, dark):
    alt.Chart.from_dict(mnist_charts.accuracy_against_cost(ROWS, cost, 300, dark))  # raises SchemaValidationError
    alt.Chart.from_dict(mnist_charts.accuracy_against_cost(ROWS[:1], cost, 300, dark))
    for network in catalog.NETWORKS:
        alt.Chart.from_dict(
            mnist_charts.layer_bars(keras_code.working(layers.costs(layers.read(network.layers))), dark)
        )


def test_a_point_is_the_network_it_shows_in_the_colour_of_its_lane():
    for dark, colours in ((False, base.LIGHT), (True, base.DARK)):
        points = of_layer(mnist_charts.accuracy_against_cost(ROWS, "parameters", 300, dark), 2)
        assert [(point["name"], point["cost"], point["accuracy"], point["colour"]) for point in points] == [
            (row.title, row.parameters, row.test_accuracy, colours.lanes[row.number]) for row in ROWS
        ]


def test_the_frontier_is_a_step_line_from_the_floor_to_the_right_edge():
    spec = mnist_charts.accuracy_against_cost(ROWS, "parameters", 300, False)
    x, y = (spec["layer"][0]["encoding"][axis]["scale"]["domain"] for axis in "xy")
    line = of_layer(spec, 0)
    assert [(corner["cost"], corner["accuracy"]) for corner in line] == [
        (16_000, y[0]),
        (16_000, pytest.approx(0.994)),
        (98_000, pytest.approx(0.9962)),
        (x[1], pytest.approx(0.9962)),
    ]
    assert spec["layer"][0]["mark"]["interpolate"] == "step-after"


def test_every_network_is_named_once_on_the_side_where_there_is_room():
    spec = mnist_charts.accuracy_against_cost(ROWS, "parameters", 300, False)
    left, right = of_layer(spec, 3), of_layer(spec, 4)
    assert [point["name"] for point in left] == ["Small"]
    assert {point["name"] for point in right} == {"Strong", "Meant", "Beginner"}
    assert spec["layer"][3]["mark"]["dx"] > 0 > spec["layer"][4]["mark"]["dx"]


def test_names_of_equally_good_networks_do_not_lie_on_each_other():
    same = [row(f"Net {number}", number, 50_000, 60) for number in range(6)]
    spec = mnist_charts.accuracy_against_cost(same, "parameters", 300, False)
    low, high = spec["layer"][0]["encoding"]["y"]["scale"]["domain"]
    places = sorted(point["place"] for point in of_layer(spec, 3) + of_layer(spec, 4))
    assert min(b - a for a, b in itertools.pairwise(places)) * 300 / (high - low) >= 17 - 1e-6


@given(some.lists(some.integers(0, 10_000), min_size=1, max_size=6))
def test_the_accuracy_axis_opens_below_the_worst_and_closes_above_the_best(wrongs):
    rows = [row(f"Net {number}", number, 1000, wrong) for number, wrong in enumerate(wrongs)]
    domain = mnist_charts.accuracy_against_cost(rows, "parameters", 300, False)["layer"][0]["encoding"]["y"]["scale"]
    low, high = domain["domain"]
    assert 0 <= low <= min(each.test_low for each in rows)
    assert max(each.test_high for each in rows) <= high <= 1
    assert low < high


def test_a_network_without_a_figure_is_left_out():
    rows = [replace(ROWS[0], image_seconds=None), *ROWS[1:]]
    points = of_layer(mnist_charts.accuracy_against_cost(rows, "image_seconds", 300, False), 2)
    assert [point["name"] for point in points] == ["Meant", "Small", "Beginner"]
    assert points[0]["cost"] == pytest.approx(0.37)  # milliseconds


@pytest.mark.parametrize(
    "left, right, words",
    [
        pytest.param(10_000, 600_000, ["10k", "20k", "50k", "100k", "200k", "500k"], id="parameters"),
        pytest.param(0.04, 3, ["0.05", "0.1", "0.2", "0.5", "1", "2"], id="milliseconds"),
        pytest.param(60_000, 30_000_000, ["100k", "1M", "10M"], id="three powers of ten"),
    ],
)
def test_the_cost_axis_has_few_round_values(left, right, words):
    ticks = mnist_charts._log_ticks(left, right)
    assert list(ticks.values()) == words
    assert all(left <= tick <= right for tick in ticks)


def test_a_layers_bar_is_its_multiply_adds_and_the_part_on_padding_is_apart():
    costs = layers.costs(layers.read(catalog.network("coursework_as_handed_in").layers))
    spec = mnist_charts.layer_bars(keras_code.working(costs), dark=False)
    rows = of_layer(spec, 0)
    assert [bar["layer"] for bar in rows] == [
        "1 Conv2D(3, 32)", "4 Conv2D(3, 64)", "6 Conv2D(3, 64)", "10 Dense(100)", "13 Dense(10)",
    ]  # fmt: skip
    assert sum(bar["all"] for bar in rows) == layers.multiply_adds(costs)
    assert sum(bar["all"] - bar["useful"] for bar in rows) == sum(cost.on_padding for cost in costs)
    assert rows[1]["words"] == "7.23M"  # 14 · 14 · 64 · 64 · 3 · 3
    assert rows[3]["padding"] == "0.0%"
    assert mnist_charts.layer_bars_in_words(keras_code.working(costs)).startswith(
        "layer 1 Conv2D(3, 32): 2,408,448 multiply-adds, "
    )
