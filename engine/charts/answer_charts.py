"""What models answer: confusion, the bars of one answer, and how often answers that sure are right."""

from collections.abc import Sequence

import numpy as np

from engine.charts import base
from engine.charts.base import Spec, palette
from engine.stats import FEW, Bin
from engine.words import percent


def confusion(counts: np.ndarray, labels: Sequence[str], dark: bool, what: str = "Photos") -> Spec:
    """counts: (classes, classes), rows true. The colour is the share of the row, the text the count, blank for zero.

    `what`: the title of the counts.
    """
    colours, labels = palette(dark), base.short_names(labels)
    totals = counts.sum(axis=1)
    rows = [
        {
            "true": labels[true],
            "predicted": labels[predicted],
            "share": float(number / totals[true]) if totals[true] else 0.0,
            "count": int(number),
            "words": str(number) if number else "",
        }
        for true, row in enumerate(counts)
        for predicted, number in enumerate(row)
    ]
    few = len(labels) < 9
    level = few or max(map(len, labels)) < 3  # names of many classes lean, where they are longer than digits
    axis = base.axis_words(colours) | {"domain": False, "ticks": False, "grid": False, "labelColor": colours.text}
    band: Spec = {"type": "nominal", "sort": list(labels), "scale": {"padding": 0}}
    x = band | {"field": "predicted", "title": "Predicted", "axis": axis | {"labelAngle": 0 if level else -45}}
    y = band | {"field": "true", "title": "True", "axis": axis | {"labelLimit": 120}}
    scale = {"domain": [0, 1], "range": list(colours.shares)}
    fill = {"field": "share", "type": "quantitative", "legend": None, "scale": scale}
    on_full = colours.page if dark else "#ffffff"
    ink = {"condition": {"test": "datum.share > 0.55", "value": on_full}, "value": colours.text}
    cells = base.layer({"type": "rect", "stroke": colours.page, "strokeWidth": 2, "cornerRadius": 2}, rows, x=x, y=y)
    cells["encoding"] |= {
        "color": fill,
        "tooltip": [
            base.text("true") | {"title": "True"},
            base.text("predicted") | {"title": "Predicted"},
            {"field": "count", "type": "quantitative", "title": what},
            {"field": "share", "type": "quantitative", "title": "Share of the row", "format": ".1%"},
        ],
    }
    numbers = base.layer(
        {"type": "text", "fontSize": 12, "fontWeight": 600}, rows, x=x, y=y, text=base.text("words"), color=ink
    )
    return base.chart([cells, numbers], 48 * len(labels) + 60 if few else 26 * len(labels) + 90)


def top_bars(top: Sequence[tuple[str, float]], dark: bool) -> Spec:
    """(label, probability 0..1), the likeliest first: bars on a full track, the winner in the accent."""
    colours = palette(dark)
    rows = [
        {"label": label, "value": value, "full": 1, "words": "<0.1%" if value < 0.001 else percent(value)}
        for label, value in top
    ]
    order = [label for label, _ in top]
    axis: Spec = {"domain": False, "ticks": False, "labelPadding": 8, "labelLimit": 150}
    axis |= {"labelColor": colours.text, "labelFontSize": 12}
    y: Spec = {"field": "label", "type": "nominal", "sort": order, "title": None, "axis": axis}
    x: Spec = {"type": "quantitative", "axis": None, "scale": {"domain": [0, 1], "nice": False}}
    winner = {"test": f"datum.value == {max(value for _, value in top)!r}", "value": colours.accent}
    bar = {"type": "bar", "height": 14, "cornerRadius": 2}
    words = {"type": "text", "align": "right", "fontSize": 12, "fontWeight": 600, "color": colours.text}
    layers = [
        base.layer(bar | {"color": colours.track}, rows, x=x | {"field": "full"}, y=y),
        base.layer(bar, rows, x=x | {"field": "value"}, y=y, color={"condition": winner, "value": colours.rule}),
        base.layer(words, rows, x={"value": {"expr": "width + 52"}}, y=y, text=base.text("words")),
    ]
    return base.chart(layers, 29 * len(rows))


def reliability(bins: Sequence[Bin], dark: bool, height: int = 240) -> Spec:
    """How often answers are right against how sure they are: a bar for each bin, the diagonal where both are equal.

    Bars of few photos are faint; the number over a bar counts its photos.
    """
    colours = palette(dark)
    rows = [
        {
            "low": each.low,
            "high": each.high,
            "middle": (each.low + each.high) / 2,
            "right": each.right,
            "zero": 0,
            "photos": each.photos,
            "words": f"{each.photos:,}",
            "scores": f"{percent(each.low)} to {percent(each.high)}",
            "confidence": each.confidence,
            "few": each.photos < FEW,
        }
        for each in bins
        if each.right is not None
    ]
    words = base.axis_words(colours) | {"format": ".0%", "tickCount": 5, "ticks": False}
    scale = {"domain": [0, 1], "nice": False}
    x: Spec = {"type": "quantitative", "scale": scale}
    y: Spec = {"type": "quantitative", "scale": scale | {"domain": [0, 1.08]}}  # room for a number over a full bar
    x_axis = words | {"title": "Calibrated score", "grid": False, "domainColor": colours.rule}
    y_axis = words | {"title": "Answered right", "grid": True, "gridColor": colours.grid, "domain": False}
    y_axis |= {"values": [0, 0.25, 0.5, 0.75, 1]}
    bar = base.layer(
        {"type": "rect", "color": colours.accent, "stroke": colours.page, "strokeWidth": 2},
        rows,
        x=x | {"field": "low", "axis": x_axis},
        x2={"field": "high"},
        y=y | {"field": "zero", "axis": y_axis},
        y2={"field": "right"},
        opacity={"condition": {"test": "datum.few", "value": 0.4}, "value": 1},
    )
    bar["encoding"]["tooltip"] = [
        base.text("scores") | {"title": "Calibrated score"},
        {"field": "photos", "type": "quantitative", "title": "Photos"},
        {"field": "confidence", "type": "quantitative", "title": "Mean score", "format": ".1%"},
        {"field": "right", "type": "quantitative", "title": "Answered right", "format": ".1%"},
    ]
    diagonal: list[Spec] = [{"low": 0, "high": 1, "from": 0, "to": 1}]
    count = {"type": "text", "baseline": "bottom", "dy": -3, "fontSize": 11, "fontWeight": 600, "color": colours.text}
    layers = [
        bar,
        base.layer(
            {"type": "rule", "color": colours.text, "strokeDash": [4, 3], "strokeWidth": 1.2},
            diagonal,
            x=x | {"field": "low"},
            x2={"field": "high"},
            y=y | {"field": "from"},
            y2={"field": "to"},
        ),
        base.layer(count, rows, x=x | {"field": "middle"}, y=y | {"field": "right"}, text=base.text("words")),
    ]
    return base.chart(layers, height)


def reliability_in_words(bins: Sequence[Bin]) -> str:
    """The chart's alt text."""
    told = [
        f"of {each.photos:,} with a score of {each.low:.0%} to {each.high:.0%}, {each.right:.0%} are right"
        for each in bins
        if each.right is not None
    ]
    return f"Photos of the testing split by calibrated score: {'; '.join(told)}." if told else "No photo was tested."
