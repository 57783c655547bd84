"""Readings of the device -> Vega-Lite charts, in the manner of engine/charts/. Never calls st."""

import itertools
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.charts import base, curve_charts
from engine.charts.base import Spec
from engine.contract import events
from engine.machine.device import HISTORY, RISKY_SHARE, Reading
from engine.stats import thin

POINTS = 300  # of a line, at most
CORE_POINTS, CORES = 120, 16  # of a core's thin line; of a machine with more cores the mean alone is drawn
AXIS_WIDTH = 40  # pixels left of every strip, so that their times stand under each other
HEIGHT, LAST_HEIGHT = 112, 132  # pixels; the last strip alone has the time axis
POWER_TOPS = (5, 10, 15, 20, 30, 60, 100, 200, 300, 500, 1000, 2000, 5000)  # watts
NAMED_SHARE = 0.09  # of the axis that a stage must take for its name to fit

# How much of the accent lies behind a stage.
STAGE_OPACITY = {events.BOTTLENECKS: 0.06, events.TRAINING: 0.12, events.CLASSIFYING: 0.12, events.EVALUATING: 0.08}


@dataclass(frozen=True)
class Sensor:
    """One row of what a device shows."""

    name: str
    title: str
    short: str  # beside the pages
    lane: int  # of the palette: its colour
    value: Callable[[Reading], float | None]  # in the unit of its axis
    words: Callable[[float], str]  # of that value, for people


def _gigabytes(value: float | None) -> float | None:
    return None if value is None else value / 1e9


SENSORS = (
    Sensor("gpu", "GPU", "GPU", 0, lambda now: now.gpu, lambda value: f"{value:.0f}%"),
    Sensor("cpu", "CPU", "CPU", 2, lambda now: now.cpu, lambda value: f"{value:.0f}%"),
    Sensor("memory", "Memory", "RAM", 3, lambda now: _gigabytes(now.memory_used), lambda value: f"{value:.1f} GB"),
    Sensor(
        "temperature",
        "Temperature",
        "Temp",
        1,
        lambda now: now.hottest[1] if now.hottest else None,
        lambda value: f"{value:.0f} °C",
    ),
    Sensor(
        "power", "Power", "Power", 4, lambda now: now.watts[1] if now.watts else None, lambda value: f"{value:.1f} W"
    ),
)
BESIDE = ("cpu", "gpu", "memory", "temperature")  # the rows beside the pages, in their order


def present(readings: Sequence[Reading]) -> list[Sensor]:
    """The sensors that said anything, in the order of the page."""
    return [sensor for sensor in SENSORS if any(sensor.value(reading) is not None for reading in readings)]


def newest(sensor: Sensor, readings: Sequence[Reading]) -> Reading:
    """The newest reading that has this sensor; one has."""
    return next(reading for reading in reversed(readings) if sensor.value(reading) is not None)


def caption(sensor: Sensor, now: Reading, cores: int, mode: str) -> str:
    """What the number is of; `cores`: all that this machine has; `mode`: its power mode, "" without one."""
    if sensor.name == "gpu":
        named = "GR3D" if now.source == "tegrastats" else "graphics card" if now.card_total else "of the board"
        if not now.gpu_mhz:
            return named
        return f"{named}, {now.gpu_mhz / 1000:.2f} GHz" if now.gpu_mhz >= 1000 else f"{named}, {now.gpu_mhz:.0f} MHz"
    if sensor.name == "cpu":
        running = sum(core is not None for core in now.cores)
        words = f"{cores} cores" if running in (0, cores) else f"{running} of {cores} cores on"
        return f"{words}, mean in bold" if len(now.cores) <= CORES else f"mean of {words}"
    if sensor.name == "memory":
        words = f"of {(now.memory_total or 0) / 1e9:.1f} GB"
        words += ", shared with the GPU" if now.source == "tegrastats" else ""
        if now.swap_used and now.swap_used > 5e7:
            words += f", swap {now.swap_used / 1e9:.1f} GB"
        if now.card_total:
            words += f"; card {(now.card_used or 0) / 1e9:.1f} of {now.card_total / 1e9:.1f} GB"
        return words
    if sensor.name == "temperature":
        name, number = now.hottest[0] if now.hottest else "", len(now.temperatures)
        words = name if number == 1 else f"{name}, hottest of {number} sensors"
        return words + (", slowed down now" if now.is_throttled else "")
    return ", ".join(filter(None, [now.watts[0] if now.watts else "", mode]))


# --- beside the pages ------------------------------------------------------------------------------------------------


def beside_rows(readings: Sequence[Reading]) -> list[tuple[Sensor, str]]:
    """(sensor, newest value in words); sensors that are not there are left out."""
    here = {sensor.name: sensor for sensor in present(readings)}
    return [
        (here[name], here[name].words(here[name].value(newest(here[name], readings)) or 0.0))
        for name in BESIDE
        if name in here
    ]


def beside(readings: Sequence[Reading], dark: bool) -> Spec:
    """Label, sparkline and value of each sensor there is, 26 pixels a row."""
    colours = base.palette(dark)
    rows = beside_rows(readings)
    height, left, right = 26 * len(rows), 38, 58  # pixels for label and value
    second: Spec = {
        "field": "second",
        "type": "quantitative",
        "axis": None,
        "scale": {"domain": [-HISTORY, 0], "range": [left, {"expr": f"width - {right}"}], "nice": False},
    }
    y: Spec = {"field": "y", "type": "quantitative", "axis": None, "scale": {"domain": [height, 0], "nice": False}}
    points, texts = [], []
    for number, (sensor, words) in enumerate(rows):
        ground = 26.0 * number + 21
        texts.append({"y": ground - 7, "name": sensor.short, "words": words})
        top = 100.0
        if sensor.name == "memory":
            top = (readings[-1].memory_total or 0.0) / 1e9 or 1.0
        for reading in readings:
            value = sensor.value(reading)
            if value is not None:
                at = ground - 15 * min(1.0, max(0.0, value / top))
                points.append({"name": sensor.short, "second": reading.t - readings[-1].t, "y": at, "base": ground})
    each = {"detail": base.text("name")}
    area = {"type": "area", "color": colours.accent, "opacity": 0.16, "clip": True}
    line = {"type": "line", "color": colours.accent, "strokeWidth": 1.4, "clip": True}
    word = {"type": "text", "baseline": "middle", "fontSize": 11}
    bold = word | {"align": "right", "fontWeight": 600, "color": colours.text}
    layers = [
        base.layer(area, "points", x=second, y=y, y2={"field": "base"}, **each),
        base.layer(line, "points", x=second, y=y, **each),
        base.layer(
            word | {"align": "left", "color": colours.muted}, "texts", x={"value": 0}, y=y, text=base.text("name")
        ),
        base.layer(bold, "texts", x={"value": "width"}, y=y, text=base.text("words")),
    ]
    return base.chart(layers, height) | {
        "padding": {"left": 0, "top": 0, "right": 0, "bottom": 0},
        "datasets": {"points": points, "texts": texts},
    }


# --- strips ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Band:
    """A stage of a run, behind the strips."""

    stage: str
    run: str  # its title
    began: float  # Unix seconds
    ended: float


@dataclass(frozen=True)
class Axis:
    """The time axis of a column of strips."""

    origin: float  # Unix seconds of its 0
    low: float  # seconds from the origin
    high: float
    ticks: tuple[float, ...] = ()  # seconds; () where the chart chooses


def before_now(now: float, seconds: int) -> Axis:
    """The last so many seconds, the present at the right."""
    step = {90: 20, 600: 120}.get(seconds, 600)
    return Axis(now, -float(seconds), 0.0, tuple(float(-at) for at in range(0, seconds, step)))


def of_a_run(began: float, ended: float) -> Axis:
    """From the moment its turn came to its end."""
    return Axis(began, 0.0, max(1.0, ended - began))


def strip(
    sensor: Sensor,
    readings: Sequence[Reading],
    bands: Sequence[Band],
    axis: Axis,
    dark: bool,
    *,
    first: bool = False,
    last: bool = False,
) -> Spec:
    """One sensor over time; the first strip of a column names the stages, the last one has the time axis."""
    low, high, ticks = _range(sensor, readings)
    layers = _frame_layers(axis, low, high, ticks, dark, first, last)
    colours = base.palette(dark)
    colour = colours.lanes[sensor.lane]
    x, y = _x(), _y(low, high)
    each = {"detail": base.text("piece")}
    if sensor.name == "cpu":
        core = {"type": "line", "color": colour, "strokeWidth": 1, "opacity": 0.28, "clip": True}
        layers.append(base.layer(core, "cores", x=x, y=y, **each))
    area = {"type": "area", "color": colour, "opacity": 0.12, "clip": True}
    layers.append(base.layer(area, "points", x=x, y=y, y2={"datum": low}, **each))
    layers.append(
        base.layer({"type": "line", "color": colour, "strokeWidth": 2, "clip": True}, "points", x=x, y=y, **each)
    )
    limit, words = _limit(sensor, readings)
    if limit is not None and low < limit <= high:
        at: Spec = {"datum": limit, "type": "quantitative", "scale": {"domain": [low, high], "nice": False}}
        rule = {"type": "rule", "color": colours.limit, "strokeDash": [4, 3]}
        text = {"type": "text", "color": colours.limit, "align": "left", "dx": 4, "dy": 9, "fontSize": 11}
        one: list[Spec] = [{"words": words}]
        layers.append(base.layer(rule, one, y=at))
        layers.append(base.layer(text, one, x={"value": 0}, y=at, text=base.text("words")))
    rows = _frame_rows(axis, low, high, bands, first)
    rows["points"] = _points([(reading.t - axis.origin, sensor.value(reading)) for reading in readings], POINTS, "mean")
    if sensor.name == "cpu":
        rows["cores"] = _core_points(readings, axis)
    return base.chart(layers, LAST_HEIGHT if last else HEIGHT) | {"datasets": rows}


def curve_strip(lines: Sequence[curve_charts.Line], bands: Sequence[Band], axis: Axis, dark: bool) -> Spec:
    """Validation accuracy on the same axis as the machine's strips; the lines are over curve_charts.CLOCK."""
    low = max(0.0, math.floor(min((line.shown[-1] for line in lines), default=0.1) * 10 - 1) / 10)
    layers = _frame_layers(axis, low, 1.0, [low, (low + 1) / 2, 1.0], dark, True, False, ".0%")
    colours = base.palette(dark)
    points: list[Spec] = []
    for line in lines:
        look = {
            "lane": line.name,
            "colour": colours.lanes[line.number],
            "dashed": line.number == curve_charts.SHOWN_LANES - 1,
        }
        points += [{"x": line.x[i] - axis.origin, "y": line.shown[i]} | look for i in thin(len(line.x), POINTS)]
    layers.append(
        base.layer(
            {"type": "line", "strokeWidth": 2, "clip": True},
            "points",
            x=_x(),
            y=_y(low, 1.0),
            detail=base.text("lane"),
            color=base.text("colour") | {"scale": None},
            strokeDash={"condition": {"test": "datum.dashed", "value": [5, 3]}, "value": [1, 0]},
        )
    )
    return base.chart(layers, HEIGHT) | {"datasets": _frame_rows(axis, low, 1.0, bands, True) | {"points": points}}


def _x() -> Spec:
    domain = [base.of_frame("low"), base.of_frame("high")]
    return {"field": "x", "type": "quantitative", "scale": {"domain": domain, "nice": False}}


def _y(low: float, high: float) -> Spec:
    return {"field": "y", "type": "quantitative", "scale": {"domain": [low, high], "nice": False, "zero": False}}


def _frame_layers(
    axis: Axis, low: float, high: float, ticks: list[float], dark: bool, first: bool, last: bool, form: str = "~r"
) -> list[Spec]:
    """The bands of the stages and both axes."""
    colours = base.palette(dark)
    words = base.axis_words(colours)
    y_axis = words | {"title": None, "values": ticks, "domain": False, "ticks": False}
    y_axis |= {"labelExpr": f"format(datum.value, '{form}')"}  # "format" alone would write 1e+2 on so few ticks
    y_axis |= {"gridColor": colours.grid, "grid": True, "minExtent": AXIS_WIDTH, "maxExtent": AXIS_WIDTH}
    x_axis: Spec | None = None
    if last:
        x_axis = words | {"title": None, "grid": False, "domain": False, "tickColor": colours.rule, "tickSize": 4}
        x_axis |= {"labelExpr": TIME_BEFORE if axis.ticks else TIME_SINCE, "labelFlush": True, "labelBound": True}
        x_axis |= {"values": list(axis.ticks)} if axis.ticks else {"tickCount": 8}
    x, y = _x(), _y(low, high)
    shade: Spec = {"field": "opacity", "type": "quantitative", "scale": None}
    band = base.layer(
        {"type": "rect", "color": colours.accent, "clip": True}, "bands", x=x, x2={"field": "end"}, opacity=shade
    )
    band["encoding"]["tooltip"] = [base.text("stage") | {"title": "Stage"}, base.text("run") | {"title": "Run"}]
    corner = base.layer({"type": "point", "opacity": 0}, "frame", x=x | {"axis": x_axis}, y=y | {"axis": y_axis})
    # One invisible point keeps the axes where there is nothing to draw.
    layers = [corner, band]
    if first:
        name = {"type": "text", "align": "left", "baseline": "top", "dx": 5, "dy": 3, "fontSize": 11, "fontWeight": 600}
        layers.append(
            base.layer(name | {"color": colours.muted}, "names", x=x, y={"value": 0}, text=base.text("stage"))
        )
    return layers


# As engine.words.duration has it; "−" is no hyphen.
TIME_SINCE = (
    "datum.value < 60 ? format(datum.value, '~r') + ' s' : "
    "floor(datum.value / 60) + 'm ' + format(datum.value % 60, '02d') + 's'"
)
TIME_BEFORE = (
    "datum.value == 0 ? 'now' : datum.value > -120 ? '−' + format(-datum.value, '~r') + ' s' : "
    "'−' + format(-datum.value / 60, '~r') + ' min'"
)


def _frame_rows(axis: Axis, low: float, high: float, bands: Sequence[Band], first: bool) -> dict[str, list[Spec]]:
    """Only what a layer draws: the browser stops where it is sent rows that none does, and moves no line any more."""
    shown: list[Spec] = []
    for band in bands:
        x, end = max(axis.low, band.began - axis.origin), min(axis.high, band.ended - axis.origin)
        if x < end:
            opacity = STAGE_OPACITY.get(band.stage, 0.03)
            shown.append({"x": x, "end": end, "stage": band.stage, "run": band.run, "opacity": opacity})
    found: dict[str, list[Spec]] = {"frame": [{"x": axis.low, "y": low, "low": axis.low, "high": axis.high}]}
    found["bands"] = shown
    if first:
        found["names"] = [row for row in shown if row["end"] - row["x"] >= NAMED_SHARE * (axis.high - axis.low)]
    return found


def _range(sensor: Sensor, readings: Sequence[Reading]) -> tuple[float, float, list[float]]:
    """The ends of a strip's axis and its ticks, which stay where they are while its line moves."""
    values = [value for reading in readings if (value := sensor.value(reading)) is not None]
    if sensor.name == "memory":
        total = max((reading.memory_total or 0.0 for reading in readings), default=0.0) / 1e9
        top = max(1.0, math.ceil(max(total, *values, 0.0)))
        return 0.0, top, [0.0, top / 2, top]
    if sensor.name == "temperature":
        low = min(30.0, math.floor(min(values, default=30.0) / 10) * 10.0)
        high = max(90.0, math.ceil(max(values, default=90.0) / 10) * 10.0)
        return low, high, [low, (low + high) / 2, high]
    if sensor.name == "power":
        most = max(values, default=0.0)
        top = next((float(top) for top in POWER_TOPS if most <= top), math.ceil(most))
        return 0.0, top, [0.0, top / 2, top]
    return 0.0, 100.0, [0.0, 50.0, 100.0]


def _limit(sensor: Sensor, readings: Sequence[Reading]) -> tuple[float | None, str]:
    """Where it becomes dangerous, in the unit of its axis, and why; None where nobody knows."""
    now = readings[-1]
    if sensor.name == "memory" and now.memory_total:
        return RISKY_SHARE * now.memory_total / 1e9, "out-of-memory risk"
    if sensor.name == "temperature" and now.throttles_at:
        return now.throttles_at, "throttles"
    return None, ""


def _points(pairs: Sequence[tuple[float, float | None]], limit: int, name: str) -> list[Spec]:
    """Rows of a line: means of neighbours where there are too many, and a new piece behind each hole in time."""
    known = [(x, y) for x, y in pairs if y is not None]
    together = math.ceil(len(known) / limit)
    if together > 1:
        groups = [known[at : at + together] for at in range(0, len(known), together)]
        known = [(statistics.fmean(x for x, _ in group), statistics.fmean(y for _, y in group)) for group in groups]
    usual = statistics.median([b[0] - a[0] for a, b in itertools.pairwise(known)]) if len(known) > 1 else 1.0
    piece, rows = 0, []
    for number, (x, y) in enumerate(known):
        if number and not 0 <= x - known[number - 1][0] <= 3 * usual + 2:
            piece += 1
        rows.append({"x": round(x, 2), "y": round(y, 2), "piece": f"{name} {piece}"})
    return rows


def _core_points(readings: Sequence[Reading], axis: Axis) -> list[Spec]:
    number = max((len(reading.cores) for reading in readings), default=0)
    if number > CORES:
        return []
    rows: list[Spec] = []
    for core in range(number):
        pairs = [(each.t - axis.origin, each.cores[core] if core < len(each.cores) else None) for each in readings]
        rows += _points(pairs, CORE_POINTS, f"core {core}")
    return rows
