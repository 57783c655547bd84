"""The Playground's own chart: how long calls of a network take."""

import math
from collections.abc import Sequence

import numpy as np

from engine.charts.base import Spec, palette

BARS = 24


def histogram(seconds: Sequence[float], p50: float, p95: float, dark: bool, height: int = 120) -> Spec:
    """Calls by their duration: gray bars, p50 and p95 as rules in the accent with their values."""
    colours = palette(dark)
    milliseconds = np.asarray(seconds, float) * 1000
    low, high = float(milliseconds.min()), float(milliseconds.max())
    step = _nice((high - low) / BARS)
    edges = np.arange(math.floor(low / step), math.ceil(high / step) + 2) * step
    counts, _ = np.histogram(milliseconds, edges)
    bars = [
        {"from": float(start), "to": float(start + step), "calls": int(calls)}
        for start, calls in zip(edges[:-1], counts, strict=True)
        if calls
    ]
    tallest = int(counts.max())
    rules = [{"at": p50 * 1000, "words": f"p50 {p50 * 1000:.1f}"}, {"at": p95 * 1000, "words": f"p95 {p95 * 1000:.1f}"}]
    domain = [float(edges[0]), float(edges[-1] + (edges[-1] - edges[0]) * 0.2)]  # room for the words of p95
    axis: Spec = {"title": "Milliseconds per image", "titleColor": colours.muted, "labelColor": colours.muted}
    axis |= {"titleFontSize": 11, "titleFontWeight": "normal", "labelFontSize": 11, "tickCount": 6, "grid": False}
    axis |= {"domainColor": colours.rule, "ticks": False}
    x: Spec = {"type": "quantitative", "scale": {"domain": domain, "nice": False, "zero": False}, "axis": axis}
    y: Spec = {"type": "quantitative", "axis": None, "scale": {"domain": [0, tallest], "nice": False}}
    # Close together, the second pair of words stands lower than the first.
    close = (p95 - p50) * 1000 < (domain[1] - domain[0]) * 0.16
    layers: list[Spec] = [
        {
            "data": {"values": bars},
            "mark": {"type": "bar", "color": colours.rule, "binSpacing": 2, "tooltip": False},
            "encoding": {"x": x | {"field": "from", "bin": {"binned": True, "step": step}}, "x2": {"field": "to"}}
            | {"y": y | {"field": "calls"}},
        },
        {
            "data": {"values": rules},
            "mark": {"type": "rule", "color": colours.accent, "strokeWidth": 2},
            "encoding": {"x": x | {"field": "at"}},
        },
    ]
    for number, rule in enumerate(rules):
        mark = {"type": "text", "align": "left", "dx": 4, "fontSize": 11, "fontWeight": 600, "color": colours.text}
        layers.append(
            {
                "data": {"values": [rule]},
                "mark": mark | {"y": 8 + (16 if close and number else 0)},
                "encoding": {"x": x | {"field": "at"}, "text": {"field": "words", "type": "nominal"}},
            }
        )
    return _chart(layers, height)


def _nice(step: float) -> float:
    """1, 2 or 5 times a power of ten, at least `step` and a hundredth of a millisecond."""
    step = max(step, 0.01)
    power = 10 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * 0.999)


def _chart(layers: list[Spec], height: int) -> Spec:
    return {
        "layer": layers,
        "height": height,
        "padding": {"left": 1, "top": 2, "right": 1, "bottom": 2},
        "config": {"view": {"strokeWidth": 0}, "background": "transparent"},
    }
