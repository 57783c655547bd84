"""Records -> Vega-Lite charts. Never calls st, so that a test reads a chart as data.

The charts are written as Vega-Lite itself, and a test checks them against Altair's schema: building a live chart
through Altair costs 0.4 s of processor time twice a second, as a value less than 1 ms.

Every chart is told whether the page is dark and how high it is in pixels; widths follow the page.
"""

import itertools
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine.calibration import FEW, Bin
from engine.contract import events
from engine.curves import LaneRow, percent, smooth, thin
from engine.runs import Curve, Story
from engine.words import duration

SHOWN_LANES = 6  # the palette has six colours that stay apart; further lanes are listed in the table
POINTS = 400  # of a line, at most
NAME_LIMIT = 40  # letters of a class
CROSSHAIR_POINTS = 120
LABEL_DISTANCE = 17  # pixels between two labels at the right edge
AROUND = 66  # pixels of a chart's height that the x axis, its title and the padding take

VALIDATION, TRAINING, BOTH = "validation", "training", "both"
ACCURACY, LOSS = "accuracy", "cross_entropy"
STEPS, EPOCHS, SECONDS, RUN_SECONDS = "step", "epoch", "seconds", "run_seconds"
CLOCK = "told"  # Unix seconds: of the machine's strips, which draw an axis of their own
AXIS_TITLES = {
    STEPS: "Step",
    EPOCHS: "Epoch",
    SECONDS: "Seconds of training",
    RUN_SECONDS: "Seconds since the run's turn",
}

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


@dataclass(frozen=True)
class Line:
    """One lane on one chart; the lists are equally long and hold no gaps."""

    name: str  # "lr 0.005", "Beginner"
    number: int  # of the lane in the order of creation: its colour
    x: list[float]  # steps, epochs or seconds
    raw: list[float]
    shown: list[float]  # raw, smoothed
    best: int | None  # index of the best evaluation, None where none is marked
    counts: bool  # whether it shapes the axis: a diverged lane does not
    faint: bool = False  # thin, behind the others
    dots: bool = False  # every evaluation is marked: there are few
    labelled: bool = True  # at its end; one line of each lane is
    compared: bool = False  # of another run: dashed, in gray, and its number is the first after the lanes'


def lines(story: Story, titles: Mapping[str, str], split: str, measure: str, axis: str, weight: float) -> list[Line]:
    """What a race reported so far, one line for each of the first six lanes that has evaluations.

    `titles`: lane -> its name for people, in the order of creation.
    """
    found = []
    for number, (lane, title) in enumerate(list(titles.items())[:SHOWN_LANES]):
        curve = story.curves.get((lane, split))
        if curve is None:
            continue
        values = getattr(curve, measure)
        known = [i for i, value in enumerate(values) if value is not None]
        raw = [float(values[i]) for i in known]
        if not raw:
            continue
        marked = split == VALIDATION and measure == ACCURACY
        found.append(
            Line(
                name=title,
                number=number,
                x=[getattr(curve, axis)[i] for i in known],
                raw=raw,
                shown=smooth(raw, weight),
                best=max(range(len(raw)), key=raw.__getitem__) if marked else None,
                counts=lane not in story.diverged,
            )
        )
    return found


def compared_line(
    story: Story, lane: str, name: str, lanes: int, split: str, measure: str, axis: str, weight: float
) -> Line | None:
    """A lane of another run for a chart with that many lanes of its own; None where it has no such curve."""
    found = lines(story, {lane: name}, split, measure, axis, weight)
    number = min(lanes, SHOWN_LANES)
    return replace(found[0], number=number, best=None, compared=True) if found else None


def network_lines(
    story: Story, titles: Mapping[str, str], split: str, measure: str, axis: str, weight: float
) -> list[Line]:
    """What a comparison reported so far: for each network its validation in full, its training faint behind it.

    `split`: VALIDATION, TRAINING or BOTH. A network that holds nothing out has its training in full in each of them.
    Only training is smoothed: validation is measured on the whole split, once an epoch.
    """
    behind: list[Line] = []
    front: list[Line] = []
    for number, (lane, title) in enumerate(list(titles.items())[:SHOWN_LANES]):
        started = story.lanes_started.get(lane)
        if started is None:
            continue
        curve, measured = (story.curves.get((lane, each), Curve()) for each in (TRAINING, VALIDATION))
        whole = None
        if started.validation and split != TRAINING:
            x, raw = _points(measured, measure, axis, started.steps_an_epoch, 1)
            if raw:
                best = max(range(len(raw)), key=raw.__getitem__) if measure == ACCURACY else None
                whole = Line(title, number, x, raw, raw, best, counts=True, dots=True)
                front.append(whole)
        if split != VALIDATION or not started.validation:
            # As many batches to a point as the whole curve will need, so that points stay where they are.
            planned = started.steps / curve.step[0] if curve.step else 1
            x, raw = _points(curve, measure, axis, started.steps_an_epoch, math.ceil(planned / POINTS))
            if raw:
                faint = split == BOTH and started.validation > 0
                shown = smooth(raw, weight)
                line = Line(title, number, x, raw, shown, None, counts=True, faint=faint, labelled=whole is None)
                (behind if faint else front).append(line)
    return behind + front


def _points(curve: Curve, measure: str, axis: str, steps_an_epoch: int, together: int) -> tuple[list[float], list]:
    """x and y of a network's curve; each point is the mean of so many evaluations, at the last of them."""
    values = getattr(curve, measure)
    xs = curve.seconds if axis == SECONDS else curve.step
    unit = steps_an_epoch if axis == EPOCHS else 1
    x, y = [], []
    for at in range(0, len(values), together):
        known = [value for value in values[at : at + together] if value is not None]
        if known:
            x.append(xs[min(at + together, len(values)) - 1] / unit)
            y.append(sum(known) / len(known))
    return x, y


def networks_end(story: Story, epochs: int, axis: str) -> float:
    """Where the axis of a comparison ends: the last planned step or epoch, or the seconds of the slowest network."""
    if axis == EPOCHS:
        return epochs
    started = story.lanes_started.values()
    if axis == STEPS:
        return max((each.steps for each in started), default=1)
    ends = [1.0]
    for each in started:
        curve = story.curves.get((each.lane, TRAINING))
        if curve and curve.step:
            planned = curve.step[-1] if each.lane in story.lanes_ended else each.steps
            ends.append(curve.seconds[-1] * planned / curve.step[-1])
    return max(ends)


def x_end(story: Story, steps: int, axis: str) -> float:
    """Where the axis ends from the beginning: the planned last step, or the seconds it is going to take."""
    if axis == STEPS:
        return steps
    curves = [curve for curve in story.curves.values() if curve.step]
    return max((curve.seconds[-1] * steps / curve.step[-1] for curve in curves), default=1.0) or 1.0


def curves(
    drawn: Sequence[Line],
    lanes: Sequence[str],
    *,
    measure: str,
    axis: str,
    end: float,
    height: int,
    dark: bool,
    narrow: bool = False,
) -> Spec:
    """Curves with direct labels, a marker on the best evaluation and a crosshair that reads every lane.

    `lanes`: names of all lanes of the run, drawn or not yet. Whatever grows while a run goes on is in `datasets`, the
    ends of the axes too: the browser then moves the lines of the chart that stands there, and a crosshair stays where
    the hand holds it. A change anywhere else makes it build a new one.
    """
    colours = palette(dark)
    compared = [line.name for line in drawn if line.compared]
    names = [*lanes[:SHOWN_LANES], *compared]
    low, high = _range(drawn, measure)
    x: Spec = {"field": "x", "type": "quantitative", "scale": {"domain": [0, _of_frame("end")], "nice": False}}
    y_domain = [_of_frame("low"), _of_frame("high")]
    y: Spec = {"field": "y", "type": "quantitative", "scale": {"domain": y_domain, "nice": False}}
    x_axis = {
        "title": AXIS_TITLES[axis],
        # 500, 1k, 1.5k: the format "~s" would write 0k and 0.5k on an axis that reaches thousands
        "labelExpr": "datum.value < 1000 ? format(datum.value, '~r') : format(datum.value / 1000, '~r') + 'k'",
        "tickCount": 4 if narrow else 8,
        "grid": False,
        "domain": True,
        "domainColor": colours.rule,
        "tickColor": colours.rule,
        "ticks": True,
        "tickSize": 4,
    }
    y_axis = {
        "title": None,
        "format": ".0%" if measure == ACCURACY else "~g",
        "tickCount": max(2, height // 52),
        "gridColor": colours.grid,
        "grid": True,
        "domain": False,
        "ticks": False,
    }
    # One invisible point keeps the axes where there is nothing to draw yet.
    corner = _layer(
        {"type": "point", "opacity": 0},
        "frame",
        x=x | {"axis": x_axis | _axis_words(colours)},
        y=y | {"axis": y_axis | _axis_words(colours)},
    )
    layers = [corner, *_line_layers(names, len(compared), colours, x, y), _crosshair_layer(names, colours, axis, x)]
    frame = {"x": 0.0, "y": low, "end": float(end), "low": low, "high": high}
    return _chart(layers, height) | {
        "datasets": {"frame": [frame]}
        | _line_rows(drawn, measure, end, (low, high), height)
        | {"crosshair": _crosshair_rows(drawn, names, measure, axis, end)},
    }


def _of_frame(field: str) -> Spec:
    return {"expr": f"data('frame')[0].{field}"}


def _chart(layers: list[Spec], height: int) -> Spec:
    return {
        "layer": layers,
        "height": height,
        "padding": {"left": 1, "top": 5, "right": 1, "bottom": 5},
        "config": {"view": {"strokeWidth": 0}, "background": "transparent"},
    }


def _layer(mark: Spec, data: str | list[Spec], **encoding: Spec) -> Spec:
    """`data`: rows, or the name of a dataset of the chart.

    The chart speaks through its alt text: its points one by one, and layers that are empty, say nothing to a listener.
    """
    rows = {"name": data} if isinstance(data, str) else {"values": data}
    return {"mark": mark | {"aria": False}, "data": rows, "encoding": encoding}


def _axis_words(colours: Palette) -> Spec:
    return {
        "labelColor": colours.muted,
        "labelFontSize": 11,
        "titleColor": colours.muted,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
    }


def _text(field: str) -> Spec:
    return {"field": field, "type": "nominal"}


def _range(drawn: Sequence[Line], measure: str) -> tuple[float, float]:
    """The ends of the y axis."""
    counted = [line for line in drawn if line.counts] or list(drawn)
    if measure == LOSS:
        values = [value for line in counted for value in line.shown]
        return 0.0, max(float(np.quantile(values, 0.97)), 1e-3) if values else 1.0
    if not counted:
        return 0.0, 1.0
    # Rounded before floor: 0.85 - 0.1 is a little less than 0.75, which would open the axis five points lower.
    low = math.floor(round((min(line.shown[-1] for line in counted if line.labelled) - 0.1) / 0.05, 6)) * 0.05
    best = max(max(max(line.shown), line.raw[line.best] if line.best is not None else 0.0) for line in counted)
    high = math.floor(round(best / 0.02, 6)) * 0.02 + 0.02
    return max(0.0, round(low, 2)), min(1.0, round(high, 2))


def _line_rows(
    drawn: Sequence[Line], measure: str, end: float, domain: tuple[float, float], height: int
) -> dict[str, list[Spec]]:
    """What the layers draw, by the name of the dataset.

    points and faint (lines), dots (evaluations that are marked), ends (labels at the right edge), leaders (to labels of
    lines that end early) and bests.
    """
    low, high = domain
    points: list[Spec] = []
    faint: list[Spec] = []
    dots: list[Spec] = []
    ends: list[Spec] = []
    bests: list[Spec] = []
    for line in drawn:
        rows: list[Spec] = [
            {"lane": line.name, "x": float(line.x[i]), "raw": line.raw[i], "y": line.shown[i]}
            for i in thin(len(line.x), POINTS)
        ]
        (faint if line.faint else points).extend(rows)
        if line.dots:
            dots += [row for row in rows if low <= row["y"] <= high]
    drawn = [line for line in drawn if line.labelled]
    places = label_places([line.shown[-1] for line in drawn], low, high, height - AROUND)
    for line, place in zip(drawn, places, strict=True):
        last, x = line.shown[-1], float(line.x[-1])
        in_sight = min(high, max(low, last))
        words = _value(last, measure)
        ends.append({"lane": line.name, "x": x, "y": in_sight, "end": float(end), "place": place, "value": words})
        if line.best is not None and low <= line.shown[line.best] <= high:
            words = f"best {percent(line.raw[line.best])}" if len(drawn) == 1 else ""
            at = float(line.x[line.best])
            bests.append({"lane": line.name, "x": at, "y": line.shown[line.best], "words": words})
    leaders = [row for row, line in zip(ends, drawn, strict=True) if line.x[-1] < 0.995 * end]
    return {"points": points, "faint": faint, "dots": dots, "ends": ends, "leaders": leaders, "bests": bests}


def _line_layers(names: Sequence[str], compared: int, colours: Palette, x: Spec, y: Spec) -> list[Spec]:
    """`names` of the lanes in the order of creation, and behind them of so many that are compared with."""
    lane: Spec = {"field": "lane", "type": "nominal", "legend": None}
    own = len(names) - compared
    inks = [*colours.lanes[:own], *[colours.muted] * compared]
    colour = lane | {"scale": {"domain": list(names), "range": inks}}
    dashes = [[5, 3] if number >= min(own, SHOWN_LANES - 1) else [1, 0] for number in range(len(names))]
    dash = lane | {"scale": {"domain": list(names), "range": dashes}}
    place_y, raw_y = y | {"field": "place"}, y | {"field": "raw"}

    def right(pixels: int) -> Spec:
        return {"value": {"expr": f"width + {pixels}"}}

    leader = {"type": "rule", "strokeDash": [1, 3], "strokeWidth": 1.2}
    raw = {"type": "line", "strokeWidth": 1, "opacity": 0.22, "clip": True}
    faint = {"type": "line", "strokeWidth": 1.2, "opacity": 0.5, "clip": True}
    dot = {"type": "point", "size": 22, "filled": True, "opacity": 1}
    best = {"type": "point", "size": 62, "filled": True, "opacity": 1, "stroke": colours.page, "strokeWidth": 2}
    square = {"type": "point", "shape": "square", "size": 46, "filled": True, "opacity": 1}
    text = {"type": "text", "align": "left", "fontSize": 12, "color": colours.text}
    above = {"type": "text", "fontWeight": 600, "fontSize": 11, "dy": -13, "color": colours.text}
    return [
        _layer(leader, "leaders", x=x, x2={"field": "end"}, y=y, y2={"field": "place"}, color=colour),
        _layer(raw, "points", x=x, y=raw_y, color=colour),
        _layer(faint, "faint", x=x, y=y, color=colour),
        _layer({"type": "line", "strokeWidth": 2, "clip": True}, "points", x=x, y=y, color=colour, strokeDash=dash),
        _layer(dot, "dots", x=x, y=y, color=colour),
        _layer(best, "bests", x=x, y=y, fill=colour),
        _layer(above, "bests", x=x, y=y, text=_text("words")),
        _layer(square, "ends", x=right(14), y=place_y, color=colour),
        _layer(text | {"fontWeight": 600}, "ends", x=right(24), y=place_y, text=_text("value")),
        _layer(text, "ends", x=right(66), y=place_y, text=_text("lane")),
    ]


def _value(value: float, measure: str) -> str:
    return percent(value) if measure == ACCURACY else f"{value:.3f}"


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


def _crosshair_rows(drawn: Sequence[Line], names: Sequence[str], measure: str, axis: str, end: float) -> list[Spec]:
    """120 places on the x axis, with every lane's value in words; "–" where a lane has none."""
    grid = np.linspace(0, end, CROSSHAIR_POINTS + 1)[1:]
    formats = {STEPS: "{:,.0f}", EPOCHS: "{:.2f}", SECONDS: "{:.1f} s", RUN_SECONDS: "{:.1f} s"}
    rows: list[Spec] = [{"x": float(at), "at": formats[axis].format(at)} for at in grid]
    # Field names without dots: Vega reads "lr 0.05" as a path.
    for row in rows:
        row |= {f"lane{number}": "–" for number in range(len(names))}
    for line in sorted(drawn, key=lambda line: not line.labelled):
        between = [(a + b) / 2 for a, b in itertools.pairwise(line.x)]
        for row, i in zip(rows, np.searchsorted(between, grid), strict=True):
            if row["x"] <= line.x[-1] + end / CROSSHAIR_POINTS:
                words, field = _value(line.shown[int(i)], measure), f"lane{line.number}"
                row[field] = words if line.labelled else f"{row[field]} (training {words})"
    return rows


def _crosshair_layer(names: Sequence[str], colours: Palette, axis: str, x: Spec) -> Spec:
    """A rule on the nearest place, with one tooltip for every lane."""
    tooltip = [_text("at") | {"title": "Time" if axis == SECONDS else AXIS_TITLES[axis]}]
    tooltip += [_text(f"lane{number}") | {"title": name} for number, name in enumerate(names)]
    hover = {"type": "point", "nearest": True, "on": "pointerover", "clear": "pointerout", "fields": ["x"]}
    opacity = {"condition": {"param": "crosshair", "value": 1, "empty": False}, "value": 0}
    rule = _layer({"type": "rule", "color": colours.rule}, "crosshair", x=x, opacity=opacity)
    rule["encoding"]["tooltip"] = tooltip
    return rule | {"params": [{"name": "crosshair", "select": hover}]}


def curves_in_words(drawn: Sequence[Line], measure: str, axis: str) -> str:
    """Where every line ends: "at step 4,000: 91.4% at lr 0.5." """
    if not drawn:
        return "before the first evaluation."
    after = f"step {drawn[0].x[-1]:,.0f}" if axis == STEPS else f"{drawn[0].x[-1]:.1f} s of training"
    return f"at {after}: " + ", ".join(f"{_value(line.shown[-1], measure)} at {line.name}" for line in drawn) + "."


def networks_in_words(drawn: Sequence[Line], measure: str) -> str:
    """Where every network's line ends: "Beginner 97.8%, Strong 99.6%." """
    if not drawn:
        return "before the first batches."
    return ", ".join(f"{line.name} {_value(line.shown[-1], measure)}" for line in drawn if line.labelled) + "."


def confusion(counts: np.ndarray, labels: Sequence[str], dark: bool, what: str = "Photos") -> Spec:
    """counts: (classes, classes), rows true. The colour is the share of the row, the text the count, blank for zero.

    `what`: the title of the counts.
    """
    colours, labels = palette(dark), short_names(labels)
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
    axis = _axis_words(colours) | {"domain": False, "ticks": False, "grid": False, "labelColor": colours.text}
    band: Spec = {"type": "nominal", "sort": list(labels), "scale": {"padding": 0}}
    x = band | {"field": "predicted", "title": "Predicted", "axis": axis | {"labelAngle": 0 if level else -45}}
    y = band | {"field": "true", "title": "True", "axis": axis | {"labelLimit": 120}}
    scale = {"domain": [0, 1], "range": list(colours.shares)}
    fill = {"field": "share", "type": "quantitative", "legend": None, "scale": scale}
    on_full = colours.page if dark else "#ffffff"
    ink = {"condition": {"test": "datum.share > 0.55", "value": on_full}, "value": colours.text}
    cells = _layer({"type": "rect", "stroke": colours.page, "strokeWidth": 2, "cornerRadius": 2}, rows, x=x, y=y)
    cells["encoding"] |= {
        "color": fill,
        "tooltip": [
            _text("true") | {"title": "True"},
            _text("predicted") | {"title": "Predicted"},
            {"field": "count", "type": "quantitative", "title": what},
            {"field": "share", "type": "quantitative", "title": "Share of the row", "format": ".1%"},
        ],
    }
    numbers = _layer(
        {"type": "text", "fontSize": 12, "fontWeight": 600}, rows, x=x, y=y, text=_text("words"), color=ink
    )
    return _chart([cells, numbers], 48 * len(labels) + 60 if few else 26 * len(labels) + 90)


def short_names(names: Sequence[str]) -> list[str]:
    """Names of at most 40 letters that stay apart: whoever draws thousands of letters measures each of them."""
    short, seen = [], Counter[str]()
    for name in names:
        cut = name if len(name) <= NAME_LIMIT else f"{name[: NAME_LIMIT - 1]}…"
        seen[cut] += 1
        short.append(cut if seen[cut] == 1 else f"{cut} · {seen[cut]}")
    return short


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
        _layer(bar | {"color": colours.track}, rows, x=x | {"field": "full"}, y=y),
        _layer(bar, rows, x=x | {"field": "value"}, y=y, color={"condition": winner, "value": colours.rule}),
        _layer(words, rows, x={"value": {"expr": "width + 52"}}, y=y, text=_text("words")),
    ]
    return _chart(layers, 29 * len(rows))


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
    words = _axis_words(colours) | {"format": ".0%", "tickCount": 5, "ticks": False}
    scale = {"domain": [0, 1], "nice": False}
    x: Spec = {"type": "quantitative", "scale": scale}
    y: Spec = {"type": "quantitative", "scale": scale | {"domain": [0, 1.08]}}  # room for a number over a full bar
    x_axis = words | {"title": "Calibrated score", "grid": False, "domainColor": colours.rule}
    y_axis = words | {"title": "Answered right", "grid": True, "gridColor": colours.grid, "domain": False}
    y_axis |= {"values": [0, 0.25, 0.5, 0.75, 1]}
    bar = _layer(
        {"type": "rect", "color": colours.accent, "stroke": colours.page, "strokeWidth": 2},
        rows,
        x=x | {"field": "low", "axis": x_axis},
        x2={"field": "high"},
        y=y | {"field": "zero", "axis": y_axis},
        y2={"field": "right"},
        opacity={"condition": {"test": "datum.few", "value": 0.4}, "value": 1},
    )
    bar["encoding"]["tooltip"] = [
        _text("scores") | {"title": "Calibrated score"},
        {"field": "photos", "type": "quantitative", "title": "Photos"},
        {"field": "confidence", "type": "quantitative", "title": "Mean score", "format": ".1%"},
        {"field": "right", "type": "quantitative", "title": "Answered right", "format": ".1%"},
    ]
    diagonal: list[Spec] = [{"low": 0, "high": 1, "from": 0, "to": 1}]
    count = {"type": "text", "baseline": "bottom", "dy": -3, "fontSize": 11, "fontWeight": 600, "color": colours.text}
    layers = [
        bar,
        _layer(
            {"type": "rule", "color": colours.text, "strokeDash": [4, 3], "strokeWidth": 1.2},
            diagonal,
            x=x | {"field": "low"},
            x2={"field": "high"},
            y=y | {"field": "from"},
            y2={"field": "to"},
        ),
        _layer(count, rows, x=x | {"field": "middle"}, y=y | {"field": "right"}, text=_text("words")),
    ]
    return _chart(layers, height)


def reliability_in_words(bins: Sequence[Bin]) -> str:
    """The chart's alt text."""
    told = [
        f"of {each.photos:,} with a score of {each.low:.0%} to {each.high:.0%}, {each.right:.0%} are right"
        for each in bins
        if each.right is not None
    ]
    return f"Photos of the testing split by calibrated score: {'; '.join(told)}." if told else "No photo was tested."


@dataclass(frozen=True)
class TimedRun:
    """One point of accuracy against time."""

    name: str
    seconds: float
    accuracy: float  # 0..1, on the testing split
    digits: bool = False  # a network for digits; otherwise a backbone on photos


TIME_TICKS = {4: "4 s", 15: "15 s", 60: "1 min", 240: "4 min", 960: "16 min", 3600: "1 h", 14400: "4 h"}


def accuracy_against_time(runs: Sequence[TimedRun], height: int, dark: bool) -> Spec:
    """Log seconds with ticks that people say; every point is named; squares are photos, circles digits."""
    colours = palette(dark)
    shortest, longest = min(run.seconds for run in runs), max(run.seconds for run in runs)
    low = max((tick for tick in TIME_TICKS if tick <= shortest), default=min(1.0, shortest))
    high = min((tick for tick in TIME_TICKS if tick >= max(longest, 4 * low)), default=longest)
    middle = math.sqrt(low * high)
    floor = min(0.9, math.floor(round(min(run.accuracy for run in runs) / 0.05, 6)) * 0.05 - 0.02)
    places = label_places([run.accuracy for run in runs], max(0.0, floor), 1.0, height - AROUND)
    rows: list[Spec] = [
        {"name": run.name, "seconds": run.seconds, "accuracy": run.accuracy, "place": place}
        | {"of": "digits" if run.digits else "photos"}
        for run, place in zip(runs, places, strict=True)
    ]
    words = _axis_words(colours) | {"gridColor": colours.grid}
    x = {
        "field": "seconds",
        "type": "quantitative",
        "scale": {"type": "log", "domain": [low, high], "nice": False, "padding": 10},
        "axis": words
        | {
            "values": list(TIME_TICKS),
            "labelExpr": f"{TIME_TICKS}[datum.value]",
            "title": "Time",
            "grid": True,
        }
        | {"domainColor": colours.rule, "tickColor": colours.rule},
    }
    y = {
        "field": "accuracy",
        "type": "quantitative",
        "scale": {"domain": [max(0.0, floor), 1], "nice": False},
        "axis": words | {"title": None, "format": ".0%", "tickCount": 5, "domain": False, "ticks": False, "grid": True},
    }
    point = {"type": "point", "size": 62, "filled": True, "opacity": 1}
    of: Spec = {"field": "of", "type": "nominal", "legend": None}
    shape = of | {"scale": {"domain": ["digits", "photos"], "range": ["circle", "square"]}}
    colour = of | {"scale": {"domain": ["digits", "photos"], "range": list(colours.lanes[:2])}}
    points = _layer(point, rows, x=x, y=y, shape=shape, color=colour)
    points["encoding"]["tooltip"] = [
        _text("name") | {"title": "Run"},
        {"field": "accuracy", "type": "quantitative", "title": "Test accuracy", "format": ".1%"},
        {"field": "seconds", "type": "quantitative", "title": "Seconds", "format": ".1f"},
    ]
    name = {"type": "text", "fontSize": 11, "color": colours.text}
    beside = y | {"field": "place"}
    # A name stands on the side where there is room, and is pushed up or down where another one is.
    left = [row for row in rows if row["seconds"] > middle]
    right = [row for row in rows if row["seconds"] <= middle]
    layers = [
        points,
        _layer(name | {"align": "right", "dx": -9}, left, x=x, y=beside, text=_text("name")),
        _layer(name | {"align": "left", "dx": 9}, right, x=x, y=beside, text=_text("name")),
    ]
    return _chart(layers, height)


# Each stage has the colour of its work, whatever its kind of run calls it.
STAGE_COLOURS = {
    events.SCANNING: 0,
    events.LOADING: 0,
    events.BOTTLENECKS: 1,
    events.TRAINING: 2,
    events.CLASSIFYING: 2,
    events.TRYING: 2,
    events.EVALUATING: 3,
    events.EXPORTING: 4,
}


@dataclass(frozen=True)
class StageBar:
    """Where the time of one run went."""

    name: str  # at its left; "" where it stands alone
    stages: tuple[tuple[str, float], ...]  # stage, seconds of wall time; in order
    inside: str = ""  # core-seconds inside Bottlenecks: "decoding 12 s, backbone 49 s"; "" where they are not known


def stage_bars(bars: Sequence[StageBar], dark: bool, narrow: bool = False) -> Spec:
    """One stacked bar for each run, its total at the end; a bar without a name stands alone, without an axis.

    A stage says its name where its segment is wide enough; all of them are in the tooltips.
    """
    colours = palette(dark)
    longest = max(sum(seconds for _, seconds in bar.stages) for bar in bars) or 1.0
    unit, title = (60, "Minutes") if longest >= 120 else (1, "Seconds")
    room_for_both, room_for_name = (0.45, 0.25) if narrow else (0.16, 0.09)  # shares of the axis
    rows: list[Spec] = []
    totals: list[Spec] = []
    for bar in bars:
        at = 0.0
        for stage, seconds in bar.stages:
            share, took, colour = seconds / longest, duration(seconds), STAGE_COLOURS.get(stage)
            inside = f"; of all cores together {bar.inside}" if stage == events.BOTTLENECKS and bar.inside else ""
            rows.append(
                {
                    "run": bar.name,
                    "stage": stage,
                    "words": f"{stage} {took}" if share > room_for_both else stage if share > room_for_name else "",
                    "from": at / unit,
                    "to": (at + seconds) / unit,
                    "middle": (at + seconds / 2) / unit,
                    "took": took + inside,
                    "fill": colours.track if colour is None else colours.stages[colour],
                    "ink": colours.text if colour is None else colours.on_stages[colour],
                }
            )
            at += seconds
        totals.append({"run": bar.name, "to": at / unit, "words": duration(at)})
    alone = len(bars) == 1 and not bars[0].name
    # The total stands behind the longest bar.
    ends = {"domain": [0, longest / unit], "range": [0, {"expr": "width - 64"}], "nice": False}
    words = _axis_words(colours)
    x_axis = words | {"title": title, "tickCount": 4 if narrow else 8, "grid": False}
    x_axis |= {"domainColor": colours.rule, "tickColor": colours.rule}
    y_axis = words | {"title": None, "domain": False, "ticks": False, "labelPadding": 8}
    y_axis |= {"labelColor": colours.text, "labelFontSize": 12, "labelLimit": 110 if narrow else 240}
    x: Spec = {"type": "quantitative", "scale": ends, "axis": None if alone else x_axis}
    y: Spec = {"field": "run", "type": "nominal", "sort": None, "axis": None if alone else y_axis}
    fill: Spec = {"field": "fill", "type": "nominal", "scale": None}
    ink: Spec = {"field": "ink", "type": "nominal", "scale": None}
    segment = {"type": "bar", "height": 28, "stroke": colours.page, "strokeWidth": 1}
    segments = _layer(segment, rows, x=x | {"field": "from"}, x2={"field": "to"}, y=y, fill=fill)
    segments["encoding"]["tooltip"] = [
        *([] if alone else [_text("run") | {"title": "Run"}]),
        _text("stage") | {"title": "Stage"},
        _text("took") | {"title": "Took"},
    ]
    word = {"type": "text", "baseline": "middle", "fontSize": 11}
    total = word | {"align": "left", "dx": 8, "fontSize": 12, "fontWeight": 600, "color": colours.text}
    layers = [
        segments,
        _layer(word, rows, x=x | {"field": "middle"}, y=y, text=_text("words"), color=ink),
        _layer(total, totals, x=x | {"field": "to"}, y=y, text=_text("words")),
    ]
    return _chart(layers, 32 * len(bars) + (6 if alone else 56))


def stages_in_words(bars: Sequence[StageBar]) -> str:
    """The chart's alt text: "lr 0.5: Scanning 1 s, Training 9 s, 10 s in all." """
    said = []
    for bar in bars:
        stages = ", ".join(f"{stage} {duration(seconds)}" for stage, seconds in bar.stages)
        whole = f"{stages}, {duration(sum(seconds for _, seconds in bar.stages))} in all"
        said.append(f"{bar.name}: {whole}" if bar.name else whole)
    return "; ".join(said) + "."


def race_in_words(rows: Sequence[LaneRow]) -> str:
    """The table's alt text."""
    return (
        "; ".join(f"lr {row.lane}: {percent(row.test_accuracy)} of {row.test_n:,} testing photos" for row in rows) + "."
    )


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
