"""Where the time goes: the stages of runs, and accuracy against what it costs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from engine.charts import base
from engine.charts.base import Spec, palette
from engine.contract import events
from engine.words import duration


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
    places = base.label_places([run.accuracy for run in runs], max(0.0, floor), 1.0, height - base.AROUND)
    rows: list[Spec] = [
        {"name": run.name, "seconds": run.seconds, "accuracy": run.accuracy, "place": place}
        | {"of": "digits" if run.digits else "photos"}
        for run, place in zip(runs, places, strict=True)
    ]
    words = base.axis_words(colours) | {"gridColor": colours.grid}
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
    points = base.layer(point, rows, x=x, y=y, shape=shape, color=colour)
    points["encoding"]["tooltip"] = [
        base.text("name") | {"title": "Run"},
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
        base.layer(name | {"align": "right", "dx": -9}, left, x=x, y=beside, text=base.text("name")),
        base.layer(name | {"align": "left", "dx": 9}, right, x=x, y=beside, text=base.text("name")),
    ]
    return base.chart(layers, height)


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
    words = base.axis_words(colours)
    x_axis = words | {"title": title, "tickCount": 4 if narrow else 8, "grid": False}
    x_axis |= {"domainColor": colours.rule, "tickColor": colours.rule}
    y_axis = words | {"title": None, "domain": False, "ticks": False, "labelPadding": 8}
    y_axis |= {"labelColor": colours.text, "labelFontSize": 12, "labelLimit": 110 if narrow else 240}
    x: Spec = {"type": "quantitative", "scale": ends, "axis": None if alone else x_axis}
    y: Spec = {"field": "run", "type": "nominal", "sort": None, "axis": None if alone else y_axis}
    fill: Spec = {"field": "fill", "type": "nominal", "scale": None}
    ink: Spec = {"field": "ink", "type": "nominal", "scale": None}
    segment = {"type": "bar", "height": 28, "stroke": colours.page, "strokeWidth": 1}
    segments = base.layer(segment, rows, x=x | {"field": "from"}, x2={"field": "to"}, y=y, fill=fill)
    segments["encoding"]["tooltip"] = [
        *([] if alone else [base.text("run") | {"title": "Run"}]),
        base.text("stage") | {"title": "Stage"},
        base.text("took") | {"title": "Took"},
    ]
    word = {"type": "text", "baseline": "middle", "fontSize": 11}
    total = word | {"align": "left", "dx": 8, "fontSize": 12, "fontWeight": 600, "color": colours.text}
    layers = [
        segments,
        base.layer(word, rows, x=x | {"field": "middle"}, y=y, text=base.text("words"), color=ink),
        base.layer(total, totals, x=x | {"field": "to"}, y=y, text=base.text("words")),
    ]
    return base.chart(layers, 32 * len(bars) + (6 if alone else 56))


def stages_in_words(bars: Sequence[StageBar]) -> str:
    """The chart's alt text: "lr 0.5: Scanning 1 s, Training 9 s, 10 s in all." """
    said = []
    for bar in bars:
        stages = ", ".join(f"{stage} {duration(seconds)}" for stage, seconds in bar.stages)
        whole = f"{stages}, {duration(sum(seconds for _, seconds in bar.stages))} in all"
        said.append(f"{bar.name}: {whole}" if bar.name else whole)
    return "; ".join(said) + "."
