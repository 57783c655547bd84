"""The curves of a run as the lines of a chart: read, smoothed, and their ends foreseen."""

import math
from collections.abc import Mapping
from dataclasses import replace

from engine.charts.curve_charts import (
    ACCURACY,
    BOTH,
    EPOCHS,
    POINTS,
    SECONDS,
    SHOWN_LANES,
    STEPS,
    TRAINING,
    VALIDATION,
    Line,
)
from engine.runs import Curve, Story
from engine.stats import smooth


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
