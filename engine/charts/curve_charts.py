"""Curves of learning, with their crosshair: lanes of a race, networks of a comparison, and runs beside each other."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.charts import base
from engine.charts.base import Spec, palette
from engine.stats import thin
from engine.words import percent

SHOWN_LANES = 6  # the palette has six colours that stay apart; further lanes are listed in the table
POINTS = 400  # of a line, at most
CROSSHAIR_POINTS = 120
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
    x: Spec = {"field": "x", "type": "quantitative", "scale": {"domain": [0, base.of_frame("end")], "nice": False}}
    y_domain = [base.of_frame("low"), base.of_frame("high")]
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
    corner = base.layer(
        {"type": "point", "opacity": 0},
        "frame",
        x=x | {"axis": x_axis | base.axis_words(colours)},
        y=y | {"axis": y_axis | base.axis_words(colours)},
    )
    layers = [corner, *_line_layers(names, len(compared), colours, x, y), _crosshair_layer(names, colours, axis, x)]
    frame = {"x": 0.0, "y": low, "end": float(end), "low": low, "high": high}
    return base.chart(layers, height) | {
        "datasets": {"frame": [frame]}
        | _line_rows(drawn, measure, end, (low, high), height)
        | {"crosshair": _crosshair_rows(drawn, names, measure, axis, end)},
    }


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
    places = base.label_places([line.shown[-1] for line in drawn], low, high, height - base.AROUND)
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


def _line_layers(names: Sequence[str], compared: int, colours: base.Palette, x: Spec, y: Spec) -> list[Spec]:
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
        base.layer(leader, "leaders", x=x, x2={"field": "end"}, y=y, y2={"field": "place"}, color=colour),
        base.layer(raw, "points", x=x, y=raw_y, color=colour),
        base.layer(faint, "faint", x=x, y=y, color=colour),
        base.layer({"type": "line", "strokeWidth": 2, "clip": True}, "points", x=x, y=y, color=colour, strokeDash=dash),
        base.layer(dot, "dots", x=x, y=y, color=colour),
        base.layer(best, "bests", x=x, y=y, fill=colour),
        base.layer(above, "bests", x=x, y=y, text=base.text("words")),
        base.layer(square, "ends", x=right(14), y=place_y, color=colour),
        base.layer(text | {"fontWeight": 600}, "ends", x=right(24), y=place_y, text=base.text("value")),
        base.layer(text, "ends", x=right(66), y=place_y, text=base.text("lane")),
    ]


def _value(value: float, measure: str) -> str:
    return percent(value) if measure == ACCURACY else f"{value:.3f}"


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


def _crosshair_layer(names: Sequence[str], colours: base.Palette, axis: str, x: Spec) -> Spec:
    """A rule on the nearest place, with one tooltip for every lane."""
    tooltip = [base.text("at") | {"title": "Time" if axis == SECONDS else AXIS_TITLES[axis]}]
    tooltip += [base.text(f"lane{number}") | {"title": name} for number, name in enumerate(names)]
    hover = {"type": "point", "nearest": True, "on": "pointerover", "clear": "pointerout", "fields": ["x"]}
    opacity = {"condition": {"param": "crosshair", "value": 1, "empty": False}, "value": 0}
    rule = base.layer({"type": "rule", "color": colours.rule}, "crosshair", x=x, opacity=opacity)
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
