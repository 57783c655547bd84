"""A run as blocks: what it found, its curves, tables and pictures, for a report or for a screen.

Nothing here fails because of a damaged folder: what cannot be read is said, and the rest stands.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from engine import kinds, photos
from engine.charts import answer_charts, curve_charts, time_charts
from engine.contract import events
from engine.errors import PhotosError
from engine.kinds import curve_lines
from engine.kinds import settings as settings_of_runs
from engine.kinds.blocks import Block, Chart, Picture, Pictures, Section, Table, Text
from engine.runs import Run
from engine.settings import Settings
from engine.stats import confusion, per_class
from engine.words import count, duration, number, percent, plain

HARDEST = 10  # photos or digits shown
CLASSES = 10  # likewise
THUMBNAIL = 128  # pixels of its longer side
CHART_LABELS = 40  # a larger confusion matrix cannot be read
DAMAGED = (OSError, ValueError, LookupError, TypeError, AttributeError)  # what reading a damaged folder raises


def section(run: Run, settings: Settings, height: int = 300) -> Section:
    """All that a report shows of a run; `height` of its curves in pixels."""
    return Section(run.id, run.title, _facts(run), list(_blocks(run, settings, height)))


def _facts(run: Run) -> str:
    when = time.strftime("%-d %b %Y %H:%M", time.localtime(run.started))
    took = "" if run.seconds is None or not run.stages else duration(run.seconds)
    return " · ".join(filter(None, [run.state.capitalize(), run.spec.device.upper(), when, took]))


def _blocks(run: Run, settings: Settings, height: int) -> Iterator[Block]:
    parts: list[Callable[[], Iterator[Block]]] = [
        lambda: _ending(run),
        lambda: kinds.of(run).results(run, settings, height),
        lambda: _stages(run),
        lambda: _settings(run, settings),
    ]
    for part in parts:
        try:
            yield from part()
        except DAMAGED:
            yield Text("A part of this run cannot be read: its folder is damaged.")


def _ending(run: Run) -> Iterator[Block]:
    """Why there is less than of a finished run; nothing for those that are done."""
    error = run.story.error
    if run.state == events.FAILED:
        yield Text(f"**{plain(error.message)}** {plain(error.hint)}" if error else "**The run failed without a word.**")
    elif run.state == events.LOST:
        yield Text("**The worker died without a word.** Below is what it had found.")
    elif run.state == events.CANCELLED:
        yield Text("**This run was stopped before its end.**")
    elif run.is_active:
        yield Text("**This run was still going on** when this was made.")
    for each in run.story.diverged.values():
        yield Text(f"**{plain(run.titles.get(each.lane, each.lane))} diverged.** {plain(each.why)}")
    for warning in run.story.warnings:
        yield Text(plain(warning.message))
    if skipped := run.story.skipped:
        yield Text(f"Left out, because they could not be used: {count(len(skipped), 'photo')}.")


def verdict(found: Any) -> Text:
    """Of anything with a conclusion and reasons."""
    return Text(f"**{plain(found.conclusion)}** {plain(found.reasons)}")


def predictions(run: Run) -> dict | None:
    """None where there are none yet, or they cannot be read."""
    try:
        return run.predictions()
    except DAMAGED:
        return None


def answers(run: Run, settings: Settings, predictions: dict | None, lane: str) -> Iterator[Block]:
    """What a lane made of the testing photos: confusion, classes, and the photos it got wrong."""
    if predictions is None:
        yield Text("What it said of each testing photo cannot be read.")
        return
    labels = run.dataset.labels
    counts = confusion(predictions["truth"], predictions["lanes"][lane]["predicted"], len(labels))
    title = run.titles.get(lane, lane)
    yield from confusion_blocks(counts, labels, "photo", f"{title}: " if len(run.lanes) > 1 else "")
    yield from _classes(run, settings)
    yield from _hardest_photos(run, settings, predictions, lane)


def confusion_blocks(counts: np.ndarray, labels: Sequence[str], one: str, whose: str) -> Iterator[Block]:
    if len(labels) <= CHART_LABELS:
        yield Chart(
            lambda dark: answer_charts.confusion(counts, labels, dark, f"{one.capitalize()}s"),
            f"{int(counts.trace()):,} of {int(counts.sum()):,} {one}s right; rows are the true class.",
            "Confusion",
            f"{whose}Rows are what a {one} shows, columns what was said; the colour is the share of the row.",
            "confusion",
            [
                {"true": label} | {name: int(number) for name, number in zip(labels, row, strict=True)}
                for label, row in zip(labels, counts, strict=True)
            ],
        )
    yield Table(class_rows(counts, labels, one), "Recall and precision")


def wrong_photos(predictions: dict, lane: str) -> list[tuple[float, str, int, int]]:
    """The testing photos that a lane got wrong, the surest errors first: score 0..1, file, true class, predicted."""
    answers = predictions["lanes"][lane]
    found = [
        (score, file, true, predicted)
        for file, true, predicted, score in zip(
            predictions["files"], predictions["truth"], answers["predicted"], answers["score"], strict=True
        )
        if true != predicted
    ]
    return sorted(found, reverse=True)


def _hardest_photos(run: Run, settings: Settings, predictions: dict, lane: str) -> Iterator[Block]:
    wrong, labels = wrong_photos(predictions, lane), run.dataset.labels
    if not wrong:
        yield Text(f"Every one of the {len(predictions['truth']):,} testing photos is right.")
        return
    shown = []
    for score, file, true, predicted in wrong[:HARDEST]:
        words = f"{labels[true]} → {labels[predicted]} {percent(score)}"
        if picture := thumbnail(run.dataset.root, file, settings):
            shown.append(Picture(picture, words, f"{file}: {words}"))
    said = f"{len(wrong):,} of {len(predictions['truth']):,} testing photos are wrong, the surest errors first."
    if len(shown) < min(HARDEST, len(wrong)):
        said += f" {count(min(HARDEST, len(wrong)) - len(shown), 'photo')} could no longer be read at their place."
    yield Pictures(shown, "Hardest photos", said)


def _classes(run: Run, settings: Settings) -> Iterator[Block]:
    """One photo of each class, of those that were learned from."""
    dataset, shown = run.dataset, []
    for place, label in enumerate(dataset.labels[:CLASSES]):
        files = [photo.file for photo in dataset.photos if photo.label == place and photo.split == "training"]
        picture = next(filter(None, (thumbnail(dataset.root, file, settings) for file in files[:3])), None)
        if picture:
            shown.append(Picture(picture, f"{label}: {count(len(files), 'photo')}", f"A photo of {label}"))
    if shown:
        more = f"; the first {CLASSES} of {len(dataset.labels):,} classes" if len(dataset.labels) > CLASSES else ""
        yield Pictures(shown, "Classes", f"One photo of each, and how many of them it learned from{more}.")


def thumbnail(root: str, file: str, settings: Settings) -> bytes | None:
    """A small JPEG; None where the photo is gone, unreadable, or lies where the lab reads no photos."""
    try:
        folder = photos.allowed(root, settings.data_roots)
        path = (folder / file).resolve()
        return photos.thumbnail(path, THUMBNAIL) if path.is_relative_to(folder) else None
    except (PhotosError, OSError, ValueError):
        return None


def curves(run: Run, axis: str, end: float, height: int) -> Iterator[Block]:
    """Validation accuracy of the lanes, or training accuracy where nothing else was told."""
    field = curve_charts.STEPS if axis == curve_charts.EPOCHS else axis  # an evaluation an epoch, counted from 1
    weight = 0.0 if axis == curve_charts.EPOCHS else 0.9 if len(run.lanes) > 2 else 0.6
    for split in (curve_charts.VALIDATION, curve_charts.TRAINING):
        drawn = curve_lines.lines(run.story, run.titles, split, curve_charts.ACCURACY, field, weight)
        if drawn:
            break
    else:
        return
    smoothed = f", smoothed by {weight:g} as TensorBoard does; faint lines are as measured" if weight else ""
    yield Chart(
        lambda dark: curve_charts.curves(
            drawn,
            list(run.titles.values()),
            measure=curve_charts.ACCURACY,
            axis=axis,
            end=max(end, max(line.x[-1] for line in drawn)),
            height=height,
            dark=dark,
        ),
        f"{split.capitalize()} accuracy, {curve_charts.curves_in_words(drawn, curve_charts.ACCURACY, field)}",
        f"{split.capitalize()} accuracy",
        f"Of each lane over its {'epochs' if axis == curve_charts.EPOCHS else 'steps'}{smoothed}.",
        "curves",
        evaluations(run),
        "curves",
    )


def evaluations(
    run: Run, splits: Sequence[str] = (curve_charts.TRAINING, curve_charts.VALIDATION)
) -> list[dict[str, object]]:
    """Every evaluation of these splits that the run told, as it was measured."""
    titles = run.titles
    return [
        {"lane": titles.get(lane, lane), "split": split, "step": step, "seconds": seconds, "accuracy": accuracy}
        | {"cross_entropy": entropy}
        for (lane, split), curve in run.story.curves.items()
        if split in splits
        for step, seconds, accuracy, entropy in zip(
            curve.step, curve.seconds, curve.accuracy, curve.cross_entropy, strict=True
        )
    ]


def _stages(run: Run) -> Iterator[Block]:
    if run.is_active or not run.stage_seconds:
        return
    bar = time_charts.StageBar("", tuple(run.stage_seconds))
    yield Chart(
        lambda dark: time_charts.stage_bars([bar], dark),
        time_charts.stages_in_words([bar]),
        "Where the time went",
        name="stages",
        data=[{"stage": stage, "seconds": round(seconds, 3)} for stage, seconds in run.stage_seconds],
    )


def _settings(run: Run, settings: Settings) -> Iterator[Block]:
    asked = settings_of_runs.to_hand_on(run)
    note = ""
    if run.has_dataset:
        found = [one for one in photos.sources(settings) if one.root and str(one.root) == run.dataset.root]
        note = f"Photos: {found[0].attribution}." if found and found[0].attribution else ""
    rows = [{"Setting": name, "Value": value} for name, value in asked.items()]
    yield Table(rows, "Settings", note)


def class_rows(counts: np.ndarray, labels: Sequence[str], one: str) -> list[dict[str, str | None]]:
    """Recall and precision of each class; `counts` (classes, classes), rows true; `one`: what is counted, "photo"."""
    return [
        {
            "Class": label,
            f"Test {one}s": number(figures.photos),
            "Recall": None if figures.recall is None else percent(figures.recall),
            "Precision": None if figures.precision is None else percent(figures.precision),
        }
        for label, figures in zip(labels, per_class(counts), strict=True)
    ]
