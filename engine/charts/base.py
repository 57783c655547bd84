"""What all charts are made of: colours, and the pieces of a Vega-Lite chart.

The charts are written as Vega-Lite itself, and a test checks them against Altair's schema: building a live chart
through Altair costs 0.4 s of processor time twice a second, as a value less than 1 ms.

Every chart is told whether the page is dark and how high it is in pixels; widths follow the page.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

NAME_LIMIT = 40  # letters of a class
AROUND = 66  # pixels of a chart's height that the x axis, its title and the padding take
LABEL_DISTANCE = 17  # pixels between two labels at the right edge
Spec = dict[str, Any]  # a Vega-Lite chart


@dataclass(frozen=True)
class Palette:
    text: str
    muted: str
    grid: str
    rule: str
    accent: str
    limit: str
    page: str
    track: str  # behind bars and progress
    lanes: tuple[str, ...]  # in the order of creation; the sixth is always dashed as well
    shares: tuple[str, ...]  # from 0 to 1
    stages: tuple[str, ...]  # Scanning to Exporting
    on_stages: tuple[str, ...]  # words inside them


LIGHT = Palette(
    text="#10141a",
    muted="#5b6472",
    grid="#eceff2",
    rule="#9aa3b0",
    accent="#2564cf",
    limit="#c5303f",
    page="#ffffff",
    track="#eceff2",
    lanes=("#1f4fb0", "#d96300", "#139a76", "#a8408a", "#3b3f46", "#2f9bea"),
    shares=(
        "#f4f8fd",
        "#e1edfa",
        "#c8ddf5",
        "#a5c8ee",
        "#7cabe4",
        "#558dd8",
        "#3671c4",
        "#2459a6",
        "#194280",
        "#102c58",
    ),
    stages=("#b9c3d0", "#8ea2c4", "#1f4fb0", "#139a76", "#dfe3e8"),
    on_stages=("#10141a", "#10141a", "#ffffff", "#10141a", "#10141a"),
)
DARK = Palette(
    text="#eef0f3",
    muted="#a3acb9",
    grid="#22262e",
    rule="#6b7482",
    accent="#6ea8ff",
    limit="#ff8b8b",
    page="#0f1115",
    track="#22262e",
    lanes=("#5aa9ff", "#f28a30", "#1fae84", "#d77fc0", "#f3ea5a", "#d5dae2"),
    shares=(
        "#14181f",
        "#172436",
        "#1a3150",
        "#1e406c",
        "#24508a",
        "#2f65ac",
        "#4a82c9",
        "#71a2de",
        "#9fc3ee",
        "#d3e5fb",
    ),
    stages=("#4a525e", "#6c7f9f", "#5aa9ff", "#1fae84", "#2a2f38"),
    on_stages=("#eef0f3", "#0f1115", "#0f1115", "#0f1115", "#eef0f3"),
)


def palette(dark: bool) -> Palette:
    return DARK if dark else LIGHT


def of_frame(field: str) -> Spec:
    return {"expr": f"data('frame')[0].{field}"}


def chart(layers: list[Spec], height: int) -> Spec:
    return {
        "layer": layers,
        "height": height,
        "padding": {"left": 1, "top": 5, "right": 1, "bottom": 5},
        "config": {"view": {"strokeWidth": 0}, "background": "transparent"},
    }


def layer(mark: Spec, data: str | list[Spec], **encoding: Spec) -> Spec:
    """`data`: rows, or the name of a dataset of the chart.

    The chart speaks through its alt text: its points one by one, and layers that are empty, say nothing to a listener.
    """
    rows = {"name": data} if isinstance(data, str) else {"values": data}
    return {"mark": mark | {"aria": False}, "data": rows, "encoding": encoding}


def axis_words(colours: Palette) -> Spec:
    return {
        "labelColor": colours.muted,
        "labelFontSize": 11,
        "titleColor": colours.muted,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
    }


def text(field: str) -> Spec:
    return {"field": field, "type": "nominal"}


def short_names(names: Sequence[str]) -> list[str]:
    """Names of at most 40 letters that stay apart: whoever draws thousands of letters measures each of them."""
    short, seen = [], Counter[str]()
    for name in names:
        cut = name if len(name) <= NAME_LIMIT else f"{name[: NAME_LIMIT - 1]}…"
        seen[cut] += 1
        short.append(cut if seen[cut] == 1 else f"{cut} · {seen[cut]}")
    return short


_LENGTHS = {  # what of a chart is measured in pixels
    "fontSize", "labelFontSize", "titleFontSize", "labelPadding", "labelLimit", "titlePadding", "strokeWidth",
    "strokeDash", "tickSize", "height", "dx", "dy", "cornerRadius", "padding",
}  # fmt: skip
_AREAS = {"size"}  # likewise, in square pixels
_FROM_EDGE = re.compile(r"width ([+-]) (\d+)")


def enlarged(chart: Spec, factor: float) -> Spec:
    """The same chart for a large screen: whatever is measured in pixels is so many times larger, its rows are not."""
    return _enlarge(chart, factor) if factor != 1 else chart


def _enlarge(value: Any, factor: float, name: str = "") -> Any:
    if name in ("values", "datasets"):
        return value
    if isinstance(value, dict):
        return {key: _enlarge(each, factor, key) for key, each in value.items()}
    if isinstance(value, list):
        return [_enlarge(each, factor, name) for each in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value * (factor if name in _LENGTHS else factor**2 if name in _AREAS else 1)
    if isinstance(value, str) and name == "expr":
        return _FROM_EDGE.sub(lambda edge: f"width {edge[1]} {int(edge[2]) * factor:g}", value)
    return value


def label_places(values: Sequence[float], low: float, high: float, height: int) -> list[float]:
    """Where labels go so that they are at least 17 pixels apart and inside low..high, in the units of the values."""
    pixels_each = height / (high - low)
    order = sorted(range(len(values)), key=lambda i: -values[i])  # from the top
    down = [min(height, max(0.0, (high - values[i]) * pixels_each)) for i in order]
    for k in range(1, len(down)):
        down[k] = max(down[k], down[k - 1] + LABEL_DISTANCE)
    # What was pushed out at the bottom pushes back up.
    for k in reversed(range(len(down))):
        down[k] = min(down[k], height - LABEL_DISTANCE * (len(down) - 1 - k))
    places = [0.0] * len(values)
    for i, pixels in zip(order, down, strict=True):
        places[i] = high - pixels / pixels_each
    return places
