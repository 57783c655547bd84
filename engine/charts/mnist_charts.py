"""Networks for digits -> Vega-Lite charts, in the manner of engine/charts/. Never calls st."""

import math
from collections.abc import Sequence
from typing import Protocol

from engine.charts import base
from engine.charts.base import Spec
from engine.contract.layers import Cost
from engine.stats import frontier
from engine.words import percent

# What a network may be weighed by -> the title of its axis, and what one unit there is of it.
COST_AXES = {
    "parameters": ("Parameters", 1.0),
    "multiply_adds": ("Multiply-adds for one image", 1.0),
    "train_seconds": ("Seconds of training", 1.0),
    "image_seconds": ("Milliseconds for one image", 1000.0),
}
MANY_TICKS = 7  # beyond, powers of ten alone are enough


class Network(Protocol):
    """A network that was tested, with what it costs in fields that are keys of COST_AXES; None where nobody knows."""

    @property
    def title(self) -> str: ...
    @property
    def number(self) -> int: ...  # its colour
    @property
    def test_accuracy(self) -> float: ...  # 0..1
    @property
    def test_low(self) -> float: ...  # 95 % interval of it
    @property
    def test_high(self) -> float: ...


def accuracy_against_cost(rows: Sequence[Network], cost: str, height: int, dark: bool) -> Spec:
    """Test accuracy with its interval against a cost on a logarithmic axis; every network is named, and the frontier
    is a step line: what is above it or left of it, no network of these reaches.

    `cost`: a key of COST_AXES; rows without a figure there are left out, and one at least has one.
    """
    colours = base.palette(dark)
    title, unit = COST_AXES[cost]
    points = [
        {
            "name": row.title,
            "colour": colours.lanes[row.number % len(colours.lanes)],
            "cost": max(getattr(row, cost) * unit, 1e-6),  # a logarithmic axis has no 0
            "accuracy": row.test_accuracy,
            "low": row.test_low,
            "high": row.test_high,
            "interval": f"{percent(row.test_low)} to {percent(row.test_high)}",
        }
        for row in rows
        if getattr(row, cost) is not None
    ]
    cheapest, dearest = min(point["cost"] for point in points), max(point["cost"] for point in points)
    left, right = cheapest / 1.6, dearest * 1.6
    low, high, step = _accuracy_domain(points)
    ticks = _log_ticks(left, right)
    words = base.axis_words(colours)
    x: Spec = {
        "field": "cost",
        "type": "quantitative",
        "scale": {"type": "log", "domain": [left, right], "nice": False},
        "axis": words
        | {"title": title, "values": list(ticks), "labelExpr": f"{ticks}[datum.value]", "grid": False}
        | {"domainColor": colours.rule, "tickColor": colours.rule},
    }
    y: Spec = {
        "field": "accuracy",
        "type": "quantitative",
        "scale": {"domain": [low, high], "nice": False},
        "axis": words
        | {"title": None, "format": ".1%" if step < 0.01 else ".0%", "tickCount": max(2, height // 52)}
        | {"gridColor": colours.grid, "grid": True, "domain": False, "ticks": False},
    }
    place = y | {"field": "place"}
    colour: Spec = {"field": "colour", "type": "nominal", "scale": None}
    step_line = {"type": "line", "interpolate": "step-after", "strokeDash": [4, 3], "strokeWidth": 1.2}
    dots = base.layer({"type": "point", "size": 80, "filled": True, "opacity": 1}, points, x=x, y=y, color=colour)
    dots["encoding"]["tooltip"] = [
        base.text("name") | {"title": "Network"},
        {"field": "accuracy", "type": "quantitative", "title": "Test accuracy", "format": ".2%"},
        base.text("interval") | {"title": "95% interval"},
        {"field": "cost", "type": "quantitative", "title": title, "format": ",.3~r" if unit > 1 else ",.0f"},
    ]
    name = {"type": "text", "fontSize": 11, "color": colours.text}
    layers = [
        base.layer(step_line | {"color": colours.rule}, _frontier_line(points, right, low), x=x, y=y),
        base.layer(
            {"type": "rule", "strokeWidth": 1.2, "opacity": 0.5}, points,
            x=x, y=y | {"field": "low"}, y2={"field": "high"}, color=colour,
        ),
        dots,
    ]  # fmt: skip
    # A name stands on the side where there is room, and names of one side keep apart from each other.
    middle = math.sqrt(left * right)
    for align, group in (
        ("left", [point for point in points if point["cost"] <= middle]),
        ("right", [point for point in points if point["cost"] > middle]),
    ):
        places = base.label_places([point["accuracy"] for point in group], low, high, height)
        named = [point | {"place": at} for point, at in zip(group, places, strict=True)]
        mark = name | {"align": align, "dx": 9 if align == "left" else -9}
        layers.append(base.layer(mark, named, x=x, y=place, text=base.text("name")))
    return base.chart(layers, height)


def _frontier_line(points: Sequence[Spec], right: float, low: float) -> list[Spec]:
    """From the floor up to the cheapest point, from each to the next dearer one, and on to the right edge."""
    on_it = [points[i] for i in frontier([(point["cost"], point["accuracy"]) for point in points])]
    corners = [(on_it[0]["cost"], low), *[(point["cost"], point["accuracy"]) for point in on_it]]
    corners.append((right, on_it[-1]["accuracy"]))
    return [{"cost": cost, "accuracy": accuracy} for cost, accuracy in corners]


def _accuracy_domain(points: Sequence[Spec]) -> tuple[float, float, float]:
    """The ends of the axis, below the worst interval and above the best, on multiples of the third number."""
    worst, best = min(point["low"] for point in points), max(point["high"] for point in points)
    span = best - worst
    step = 0.001 if span < 0.02 else 0.005 if span < 0.1 else 0.05
    low = math.floor(round((worst - 0.02 * span) / step, 6)) * step
    high = math.ceil(round((best + 0.02 * span) / step, 6)) * step
    return max(0.0, round(low, 3)), min(1.0, round(high, 3)), step


def _log_ticks(left: float, right: float) -> dict[float, str]:
    """Values of the axis in words: 1, 2 and 5 times the powers of ten, or the powers alone where those are many."""
    powers = range(math.floor(math.log10(left)), math.ceil(math.log10(right)) + 1)
    fine = [digit * 10.0**power for power in powers for digit in (1, 2, 5) if left <= digit * 10.0**power <= right]
    coarse = [10.0**power for power in powers if left <= 10.0**power <= right]
    return {float(f"{value:.1g}"): _short(value) for value in (coarse if len(fine) > MANY_TICKS else fine)}


def _short(value: float) -> str:
    """0.05, 200, 20k, 1.5M"""
    for limit, letter in ((1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.3g}{letter}"
    return f"{value:.3g}"


def layer_bars(costs: Sequence[tuple[str, Cost]], dark: bool) -> Spec:
    """Multiply-adds of each layer that has any, one bar a layer from the first to the last; what meets the padding is
    drawn in gray. At least one layer has some.
    """
    colours = base.palette(dark)
    rows = [
        {
            "layer": label,
            "useful": cost.multiply_adds - cost.on_padding,
            "all": cost.multiply_adds,
            "words": _short(cost.multiply_adds),
            "padding": percent(cost.on_padding / cost.multiply_adds),
        }
        for label, cost in costs
    ]
    axis: Spec = {"domain": False, "ticks": False, "labelPadding": 8, "labelLimit": 150}
    axis |= {"labelColor": colours.text, "labelFontSize": 12}
    y: Spec = {"field": "layer", "type": "nominal", "sort": [row["layer"] for row in rows], "title": None, "axis": axis}
    most = max(cost.multiply_adds for _, cost in costs)
    x: Spec = {"type": "quantitative", "axis": None, "scale": {"domain": [0, most], "nice": False}}
    bar = {"type": "bar", "height": 14, "cornerRadius": 2}
    words = {"type": "text", "align": "right", "fontSize": 12, "fontWeight": 600, "color": colours.text}
    whole = base.layer(bar | {"color": colours.rule}, rows, x=x | {"field": "all"}, y=y)
    useful = base.layer(bar | {"color": colours.accent}, rows, x=x | {"field": "useful"}, y=y)
    for drawn in (whole, useful):
        drawn["encoding"]["tooltip"] = [
            base.text("layer") | {"title": "Layer"},
            {"field": "all", "type": "quantitative", "title": "Multiply-adds", "format": ","},
            base.text("padding") | {"title": "On padding"},
        ]
    value = base.layer(words, rows, x={"value": {"expr": "width + 52"}}, y=y, text=base.text("words"))
    return base.chart([whole, useful, value], 29 * len(rows))


def layer_bars_in_words(costs: Sequence[tuple[str, Cost]]) -> str:
    """The chart's alt text."""
    shares = [(label, cost.multiply_adds, percent(cost.on_padding / cost.multiply_adds)) for label, cost in costs]
    return (
        "; ".join(f"layer {label}: {work:,} multiply-adds, {share} on padding" for label, work, share in shares) + "."
    )
