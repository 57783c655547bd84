"""Rows of learning curves -> Vega-Lite. Never calls st."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from engine.charts import base
from engine.charts.base import AROUND, Spec, palette
from engine.words import average, percent, spread

LABEL_DISTANCE = 0.13  # of the axis, between two figures above a line


class Size(Protocol):
    """One number of photos per class."""

    @property
    def per_class(self) -> float: ...  # photos
    @property
    def mean(self) -> float: ...  # accuracy, 0..1
    @property
    def deviation(self) -> float | None: ...  # of it over the seeds
    @property
    def accuracies(self) -> tuple[float, ...]: ...  # of each seed
    @property
    def in_words(self) -> str: ...  # "20 photos a class"
    @property
    def gain(self) -> object | None: ...  # against the size before; str() says it in words


@dataclass(frozen=True)
class Curve:
    name: str  # at its end where there are several; "" for one alone
    number: int  # from 0: its colour
    rows: Sequence[Size]


def accuracy_against_photos(curves: Sequence[Curve], height: int, dark: bool) -> Spec:
    """Mean accuracy over photos per class on a logarithmic axis, a band of one standard deviation, each seed faint.

    `curves`: at least one row in all.
    """
    colours = palette(dark)
    several = len(curves) > 1
    means: list[Spec] = []
    seeds: list[Spec] = []
    ends: list[Spec] = []
    for curve in curves:
        fill = colours.lanes[curve.number % len(colours.lanes)]
        for row in curve.rows:
            deviation = row.deviation or 0.0
            common = {"x": row.per_class, "name": curve.name, "fill": fill}
            means.append(
                common
                | {"y": row.mean, "low": max(0.0, row.mean - deviation), "high": min(1.0, row.mean + deviation)}
                | {"top": max(*row.accuracies, min(1.0, row.mean + deviation)), "value": percent(row.mean)}
                | {"words": percent(row.mean) + spread(row.deviation, " "), "photos": row.in_words}
                | {"gain": str(row.gain) if row.gain else "–"}
            )
            seeds += [common | {"y": accuracy} for accuracy in row.accuracies]
        if several and curve.rows:
            ends.append(means[-1])
    values = [point["y"] for point in seeds] + [point[end] for point in means for end in ("low", "high")]
    low = max(0.0, math.floor(round(min(values) / 0.05, 6)) * 0.05)
    high = min(1.0, math.ceil(round((max(values) + 0.015) / 0.05, 6)) * 0.05)
    xs = sorted({point["x"] for point in means})
    first, last = xs[0], max(xs[-1], xs[0] * 2)
    places = base.label_places([end["y"] for end in ends], low, high, height - AROUND)
    ends = [end | {"place": place} for end, place in zip(ends, places, strict=True)]
    words = {"labelColor": colours.muted, "labelFontSize": 11, "titleColor": colours.muted}
    words |= {"titleFontSize": 11, "titleFontWeight": "normal"}
    x: Spec = {
        "field": "x",
        "type": "quantitative",
        "scale": {"type": "log", "domain": [first / 1.12, last * 1.12], "nice": False},
        "axis": words
        | {"title": "Training photos per class", "values": xs, "grid": False, "labelOverlap": "greedy"}
        | {"labelExpr": "format(datum.value, datum.value < 100 ? '.3~r' : ',.0f')"}
        | {"domainColor": colours.rule, "tickColor": colours.rule},
    }
    y: Spec = {
        "field": "y",
        "type": "quantitative",
        "scale": {"domain": [round(low, 2), round(high, 2)], "nice": False},
        "axis": words
        | {"title": None, "format": ".0%", "tickCount": max(2, height // 52), "gridColor": colours.grid}
        | {"domain": False, "ticks": False},
    }
    colour: Spec = {"field": "fill", "type": "nominal", "scale": None}
    detail: Spec = {"field": "name", "type": "nominal"}
    tooltip = [
        *([{"field": "name", "type": "nominal", "title": "Run"}] if several else []),
        {"field": "photos", "type": "nominal", "title": "Photos"},
        {"field": "words", "type": "nominal", "title": "Accuracy"},
        {"field": "gain", "type": "nominal", "title": "Gain"},
    ]
    dot = {"type": "point", "size": 62, "filled": True, "opacity": 1, "stroke": colours.page, "strokeWidth": 2}
    figure = {"type": "text", "dy": -10, "fontSize": 11, "fontWeight": 600, "color": colours.text}
    layers = [
        _layer({"type": "area", "opacity": 0.16}, means, x=x, y=y | {"field": "low"}, y2={"field": "high"},
               color=colour, detail=detail),
        _layer({"type": "point", "size": 20, "filled": True, "opacity": 0.4}, seeds, x=x, y=y, color=colour),
        _layer({"type": "line", "strokeWidth": 2}, means, x=x, y=y, color=colour, detail=detail),
        _layer(dot, means, x=x, y=y, color=colour, tooltip=tooltip),
    ]  # fmt: skip
    if several:
        right = {"value": {"expr": "width + 6"}}
        name = {"type": "text", "align": "left", "dx": 8, "fontSize": 12, "color": colours.text}
        square = {"type": "point", "shape": "square", "size": 46, "filled": True, "opacity": 1}
        level = y | {"field": "place"}
        layers += [
            _layer(square, ends, x=right, y=level, color=colour),
            _layer(name, ends, x=right, y=level, text={"field": "name", "type": "nominal"}),
        ]
    else:
        layers.append(
            _layer(figure, _apart(means), x=x, y=y | {"field": "top"}, text={"field": "value", "type": "nominal"})
        )
    return {
        "layer": layers,
        "height": height,
        "padding": {"left": 1, "top": 5, "right": 1, "bottom": 5},
        "config": {"view": {"strokeWidth": 0}, "background": "transparent"},
    }


def _apart(means: Sequence[Spec]) -> list[Spec]:
    """Those whose figures do not run into each other, the last among them."""
    reach = math.log(means[-1]["x"] / means[0]["x"]) or 1.0
    kept: list[Spec] = []
    for row in reversed(means):
        if not kept or math.log(kept[-1]["x"] / row["x"]) >= LABEL_DISTANCE * reach:
            kept.append(row)
    return kept[::-1]


def chart_in_words(curves: Sequence[Curve]) -> str:
    """Each curve from its first to its last row: "5 a class 75.6%, …"."""
    said = []
    for curve in curves:
        figures = ", ".join(
            f"{average(row.per_class)} a class {percent(row.mean)}{spread(row.deviation, ' ')}" for row in curve.rows
        )
        said.append(f"{curve.name}: {figures}" if curve.name else figures)
    return "; ".join(said) + "."


def _layer(mark: Spec, rows: list[Spec], **encoding: Any) -> Spec:
    """The chart speaks through its alt text: its points one by one say nothing to a listener."""
    return {"mark": mark | {"aria": False}, "data": {"values": rows}, "encoding": encoding}
