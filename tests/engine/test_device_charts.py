"""The strips as data: what is drawn, what is left out, and where the limits are."""

import altair as alt
import pytest

from engine.charts import curve_charts, device_charts
from engine.machine.device import Reading

NOW = 1_795_630_000.0
LAPTOP = Reading(NOW, cpu=63.2, cores=(60.0, 66.4), memory_used=4.7e9, memory_total=7.8e9, temperatures={"CPU": 49.4})
JETSON = Reading(
    NOW, 40.0, (49.0, None, 31.0), 53.0, 1300.0, 4.7e9, 7.8e9, temperatures={"CPU": 45.0, "GPU": 48.0},
    throttles_at=84.0, power={"VDD_IN": 9100.0, "VDD_GPU": 400.0}, source="tegrastats",
)  # fmt: skip


def minute(reading, seconds=60):
    return [Reading(**(vars(reading) | {"t": NOW - seconds + second})) for second in range(1, seconds + 1)]


def strip(name, readings, bands=(), **changes):
    axis = device_charts.before_now(NOW, 90)
    sensor = next(sensor for sensor in device_charts.SENSORS if sensor.name == name)
    return device_charts.strip(sensor, readings, bands, axis, False, **changes)


def rows(spec, words):
    """The rows of the layer that says these words."""
    return [layer for layer in spec["layer"] if layer["data"].get("values") == [{"words": words}]]


def test_every_strip_is_valid_vega_lite():
    readings, bands = minute(JETSON), [device_charts.Band("Training", "Lamps", NOW - 40, NOW)]
    line = curve_charts.Line("lr 0.5", 0, [NOW - 30, NOW - 20], [0.5, 0.9], [0.5, 0.9], None, True)
    axis = device_charts.of_a_run(NOW - 60, NOW)
    for spec in (
        device_charts.beside(readings, dark=True),
        *[strip(sensor.name, readings, bands, first=True) for sensor in device_charts.SENSORS],
        *[strip(sensor.name, readings, bands, last=True) for sensor in device_charts.SENSORS],
        device_charts.strip(device_charts.SENSORS[0], readings, bands, axis, True, last=True),
        device_charts.curve_strip([line], bands, axis, dark=False),
    ):
        alt.Chart.from_dict(spec)  # raises SchemaValidationError
        # The browser stops where it is sent rows that no layer draws.
        drawn = {layer["data"]["name"] for layer in spec["layer"] if "name" in layer["data"]}
        assert set(spec["datasets"]) == drawn


def test_sensors_that_are_not_there_have_no_row():
    assert [sensor.name for sensor in device_charts.present([LAPTOP])] == ["cpu", "memory", "temperature"]
    assert [sensor.name for sensor in device_charts.present([JETSON])] == [each.name for each in device_charts.SENSORS]
    assert [words for _, words in device_charts.beside_rows([LAPTOP])] == ["63%", "4.7 GB", "49 °C"]
    without = Reading(NOW, 3.0, memory_used=4.7e9, memory_total=8e9)
    assert [sensor.short for sensor, _ in device_charts.beside_rows([without])] == ["CPU", "RAM"]
    assert device_charts.beside_rows([Reading(NOW)]) == []
    alt.Chart.from_dict(device_charts.beside([Reading(NOW)], dark=False))


@pytest.mark.parametrize(
    "reading, expected",
    [
        (LAPTOP, ["2 cores, mean in bold", "of 7.8 GB", "CPU"]),
        (
            JETSON,
            ["GR3D, 1.30 GHz", "2 of 3 cores on, mean in bold", "of 7.8 GB, shared with the GPU",
             "GPU, hottest of 2 sensors", "VDD_IN, MAXN"],
        ),
    ],
)  # fmt: skip
def test_a_number_says_what_it_is_of(reading, expected):
    mode = "MAXN" if reading is JETSON else ""
    shown = device_charts.present([reading])
    assert [device_charts.caption(sensor, reading, len(reading.cores), mode) for sensor in shown] == expected


def test_limits_are_drawn_where_they_are_known():
    assert rows(strip("memory", minute(LAPTOP)), "out-of-memory risk")
    assert rows(strip("temperature", minute(JETSON)), "throttles")
    assert not rows(strip("temperature", minute(LAPTOP)), "throttles")


def test_a_hole_in_time_is_no_line():
    readings = [reading for reading in minute(LAPTOP) if not NOW - 40 < reading.t < NOW - 20]
    points = strip("cpu", readings)["datasets"]["points"]
    assert {point["piece"] for point in points} == {"mean 0", "mean 1"}
    assert next(point["x"] for point in points if point["piece"] == "mean 1") == -20


def test_an_hour_is_thinned_and_many_cores_are_their_mean():
    many = Reading(**(vars(LAPTOP) | {"cores": (50.0,) * 64}))
    spec = strip("cpu", minute(many, 3600))
    assert len(spec["datasets"]["points"]) <= device_charts.POINTS
    assert spec["datasets"]["cores"] == []
    assert device_charts.caption(device_charts.SENSORS[1], many, 64, "") == "mean of 64 cores"


def test_only_datasets_change_while_time_goes_on():
    def fixed(readings):
        return {name: part for name, part in strip("cpu", readings).items() if name != "datasets"}

    assert fixed(minute(LAPTOP)) == fixed(minute(LAPTOP)[:3])


def test_stages_are_shaded_and_named_where_there_is_room():
    bands = [
        device_charts.Band("Scanning", "Lamps", NOW - 42, NOW - 40),
        device_charts.Band("Training", "Lamps", NOW - 40, NOW),
        device_charts.Band("Training", "Long ago", NOW - 4000, NOW - 3000),
    ]
    found = strip("cpu", minute(LAPTOP), bands, first=True)["datasets"]
    assert [(band["stage"], band["x"], band["end"]) for band in found["bands"]] == [
        ("Scanning", -42, -40),
        ("Training", -40, 0),
    ]
    assert [name["stage"] for name in found["names"]] == ["Training"]
