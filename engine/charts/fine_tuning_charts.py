"""Records of fine-tuning and of batch sizes -> Vega-Lite charts. Never calls st."""

from collections.abc import Sequence
from typing import Any, Protocol

from engine.charts.base import Spec, palette
from engine.words import size, speed

LABELS = 11  # pixels


class Change(Protocol):
    """Of accuracy, -1..1, with its 95 % interval; str() says it in words."""

    @property
    def change(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


class Depth(Protocol):
    @property
    def title(self) -> str: ...
    @property
    def number(self) -> int: ...  # its colour
    @property
    def against(self) -> Change | None: ...  # None of the depth that the others are held against


class Tried(Protocol):
    """A batch size."""

    @property
    def batch_size(self) -> int: ...
    @property
    def fits(self) -> bool: ...
    @property
    def why(self) -> str: ...  # it does not fit
    @property
    def peak_memory_bytes(self) -> int: ...
    @property
    def images_per_second(self) -> float: ...


def changes(rows: Sequence[Depth], dark: bool) -> Spec:
    """For each depth the change of accuracy with its interval, and a line where nothing changes."""
    colours = palette(dark)
    values: list[Spec] = [
        {
            "title": row.title,
            "change": 100 * row.against.change,
            "low": 100 * row.against.low,
            "high": 100 * row.against.high,
            "words": str(row.against),
            "fill": colours.lanes[row.number % len(colours.lanes)],
        }
        for row in rows
        if row.against
    ]
    reach = max([1.0, *(abs(each[end]) for each in values for end in ("low", "high"))]) * 1.1
    words = {"labelColor": colours.muted, "labelFontSize": LABELS, "titleColor": colours.muted}
    words |= {"titleFontSize": LABELS, "titleFontWeight": "normal"}
    x_axis = words | {"title": "Points of accuracy", "tickCount": 7, "gridColor": colours.grid}
    x_axis |= {"labelExpr": "(datum.value > 0 ? '+' : '') + format(datum.value, '~g')"}
    x_axis |= {"domainColor": colours.rule, "tickColor": colours.rule}
    y_axis = words | {"title": None, "domain": False, "ticks": False, "labelPadding": 8}
    y_axis |= {"labelColor": colours.text, "labelFontSize": 12}
    x: Spec = {"type": "quantitative", "scale": {"domain": [-reach, reach], "nice": False}, "axis": x_axis}
    y: Spec = {"field": "title", "type": "nominal", "sort": None, "axis": y_axis}
    colour: Spec = {"field": "fill", "type": "nominal", "scale": None}
    tooltip = [
        {"field": "title", "type": "nominal", "title": "Learns"},
        {"field": "words", "type": "nominal", "title": "Change"},
    ]
    layers = [
        _layer({"type": "rule", "color": colours.rule, "strokeDash": [4, 3]}, [{"zero": 0}], x=x | {"field": "zero"}),
        _layer({"type": "rule", "strokeWidth": 2}, values, x=x | {"field": "low"}, x2={"field": "high"}, y=y,
               color=colour),
        _layer({"type": "point", "filled": True, "size": 62, "opacity": 1}, values, x=x | {"field": "change"}, y=y,
               color=colour, tooltip=tooltip),
    ]  # fmt: skip
    return _chart(layers, 34 * len(values) + 44)


def against_batch(tried: Sequence[Tried], what: str, limit: int, taken: int, dark: bool) -> Spec:
    """Memory or speed against the batch size, `what` "memory" or "speed"; a size that did not fit is a red cross.

    `limit`: bytes, drawn as a dashed line where it is not 0; `taken`: the recommended size, marked.
    """
    colours = palette(dark)
    is_memory = what == "memory"
    rows: list[Spec] = [
        {
            "batch": each.batch_size,
            "value": each.peak_memory_bytes / 1e6 if is_memory else each.images_per_second,
            "words": size(each.peak_memory_bytes) if is_memory else speed(each.images_per_second),
        }
        for each in tried
        if each.fits
    ]
    failed: list[Spec] = [
        {"batch": each.batch_size, "value": limit / 1e6 if is_memory else 0, "words": each.why or "does not fit"}
        for each in tried
        if not each.fits
    ]
    sizes = [each.batch_size for each in tried] or [1]
    words = {"labelColor": colours.muted, "labelFontSize": LABELS, "titleColor": colours.muted}
    words |= {"titleFontSize": LABELS, "titleFontWeight": "normal"}
    x: Spec = {
        "field": "batch",
        "type": "quantitative",
        "scale": {"type": "log", "base": 2, "domain": [min(sizes), max(*sizes, 2)], "nice": False, "padding": 10},
        "axis": words
        | {"title": "Batch size", "values": [2**power for power in range(11)], "grid": False}
        | {"domainColor": colours.rule, "tickColor": colours.rule},
    }
    top = max([each["value"] for each in rows + failed] + [limit / 1e6 if is_memory else 0, 0.001])
    y: Spec = {
        "field": "value",
        "type": "quantitative",
        "scale": {"domain": [0, top * 1.08], "nice": False},
        "axis": words
        | {"title": "Peak memory, MB" if is_memory else "Images a second", "tickCount": 5, "domain": False}
        | {"ticks": False, "gridColor": colours.grid},
    }
    tooltip = [
        {"field": "batch", "type": "quantitative", "title": "Batch size"},
        {"field": "words", "type": "nominal", "title": "Peak memory" if is_memory else "Speed"},
    ]
    line = {"type": "line", "color": colours.lanes[0], "strokeWidth": 2}
    point = {"type": "point", "filled": True, "size": 48, "opacity": 1, "color": colours.lanes[0]}
    marked = [row for row in rows if row["batch"] == taken]
    layers = [
        _layer(line, rows, x=x, y=y),
        _layer(point, rows, x=x, y=y, tooltip=tooltip),
        _layer({"type": "point", "size": 150, "color": colours.accent, "strokeWidth": 2}, marked, x=x, y=y),
    ]
    if limit and is_memory:
        rule = {"type": "rule", "color": colours.limit, "strokeDash": [4, 3]}
        layers.append(_layer(rule, [{"value": limit / 1e6}], y=y))
    if failed:
        cross = {"type": "point", "shape": "cross", "angle": 45, "filled": True, "size": 90, "color": colours.limit}
        layers.append(_layer(cross, failed, x=x, y=y, tooltip=tooltip))
    return _chart(layers, 240)


def _layer(mark: Spec, rows: list[Spec], **encoding: Any) -> Spec:
    """The chart speaks through its alt text: its points one by one say nothing to a listener."""
    return {"mark": mark | {"aria": False}, "data": {"values": rows}, "encoding": encoding}


def _chart(layers: list[Spec], height: int) -> Spec:
    return {
        "layer": layers,
        "height": height,
        "padding": {"left": 1, "top": 5, "right": 8, "bottom": 5},
        "config": {"view": {"strokeWidth": 0}, "background": "transparent"},
    }
