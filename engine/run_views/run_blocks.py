"""A run as blocks: what it found, its curves, tables and pictures, for a report or for a screen.

Nothing here fails because of a damaged folder: what cannot be read is said, and the rest stands.
"""

import io
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image

from engine import photos
from engine.charts import (
    answer_charts,
    curve_charts,
    fine_tuning_charts,
    learning_curve_charts,
    mnist_charts,
    time_charts,
)
from engine.contract import catalog, events, kinds
from engine.errors import PhotosError
from engine.kinds.batch_classification import many_pictures
from engine.kinds.batch_size import batch_sizes
from engine.kinds.fine_tuning import depths as fine_tuning
from engine.kinds.learning_curve import photo_counts as learning_curve
from engine.kinds.mnist import comparison, explanations
from engine.kinds.race.curves import LaneRow, lane_rows, verdict
from engine.run_views import run_settings, run_tables
from engine.run_views.blocks import Block, Chart, Picture, Pictures, Section, Table, Text
from engine.runs import Curve, Run
from engine.settings import Settings
from engine.stats import confusion
from engine.words import count, duration, percent, plain

HARDEST = 10  # photos or digits shown
CLASSES = 10  # likewise
THUMBNAIL = 128  # pixels of its longer side
DIGIT_ENLARGED = 4
CHART_LABELS = 40  # a larger confusion matrix cannot be read
DAMAGED = (OSError, ValueError, LookupError, TypeError, AttributeError)  # what reading a damaged folder raises


def section(run: Run, settings: Settings, height: int = 300) -> Section:
    """All that a report shows of a run; `height` of its curves in pixels."""
    return Section(run.id, run.title, _facts(run), list(_blocks(run, settings, height)))


def _facts(run: Run) -> str:
    when = time.strftime("%-d %b %Y %H:%M", time.localtime(run.started))
    took = "" if run.seconds is None or run.is_imported else duration(run.seconds)
    return " · ".join(filter(None, [run.state.capitalize(), run.spec.device.upper(), when, took]))


def _blocks(run: Run, settings: Settings, height: int) -> Iterator[Block]:
    parts: list[Callable[[], Iterator[Block]]] = [
        lambda: _ending(run),
        lambda: KINDS[run.kind](run, settings, height),
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


def _verdict(found: Any) -> Text:
    """Of anything with a conclusion and reasons."""
    return Text(f"**{plain(found.conclusion)}** {plain(found.reasons)}")


# --- photos ----------------------------------------------------------------------------------------------------------


def _retraining(run: Run, settings: Settings, height: int) -> Iterator[Block]:
    rows = lane_rows(run.story, run.lanes) if run.story.kept and run.state != events.CANCELLED else []
    predictions = _predictions(run)
    if len(rows) > 1:
        yield _verdict(verdict(rows, predictions))
    elif rows:
        yield Text(_one_lane(rows[0]))
    yield from _curves(run, curve_charts.STEPS, run.spec.steps, height)
    if rows:
        yield Table(
            run_tables.lanes(rows),
            "Results",
            "Ordered by validation accuracy at the end; lanes are chosen by it. The test accuracy, with its 95 % "
            "interval, is reported and never chosen by.",
        )
        yield from _answers(run, settings, predictions, rows[0].lane)


def _one_lane(row: LaneRow) -> str:
    return (
        f"**{percent(row.test_accuracy)} of {count(row.test_n, 'testing photo')} right** (95 % interval "
        f"{percent(row.test_low)} to {percent(row.test_high)}) at lr {row.lane}. The best validation accuracy was "
        f"{percent(row.best_validation_accuracy)}, at step {row.best_step:,}."
    )


def _predictions(run: Run) -> dict | None:
    """None where there are none yet, or they cannot be read."""
    try:
        return run.predictions()
    except DAMAGED:
        return None


def _answers(run: Run, settings: Settings, predictions: dict | None, lane: str) -> Iterator[Block]:
    """What a lane made of the testing photos: confusion, classes, and the photos it got wrong."""
    if predictions is None:
        yield Text("What it said of each testing photo cannot be read.")
        return
    labels = run.dataset.labels
    counts = confusion(predictions["truth"], predictions["lanes"][lane]["predicted"], len(labels))
    title = run.titles.get(lane, lane)
    yield from _confusion(counts, labels, "photo", f"{title}: " if len(run.lanes) > 1 else "")
    yield from _classes(run, settings)
    yield from _hardest_photos(run, settings, predictions, lane)


def _confusion(counts: np.ndarray, labels: Sequence[str], one: str, whose: str) -> Iterator[Block]:
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
    yield Table(run_tables.classes(counts, labels, one), "Recall and precision")


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
        if picture := _thumbnail(run.dataset.root, file, settings):
            shown.append(Picture(picture, words, f"{file}: {words}"))
    said = f"{len(wrong):,} of {len(predictions['truth']):,} testing photos are wrong, the surest errors first."
    if len(shown) < min(HARDEST, len(wrong)):
        said += f" {count(min(HARDEST, len(wrong)) - len(shown), 'photo')} could no longer be read at their place."
    yield Pictures(shown, "Hardest photos", said)


def _classes(run: Run, settings: Settings) -> Iterator[Block]:
    """One photo of each class, of those that were learned from."""
    dataset, shown = run.dataset, []
    for number, label in enumerate(dataset.labels[:CLASSES]):
        files = [photo.file for photo in dataset.photos if photo.label == number and photo.split == "training"]
        picture = next(filter(None, (_thumbnail(dataset.root, file, settings) for file in files[:3])), None)
        if picture:
            shown.append(Picture(picture, f"{label}: {count(len(files), 'photo')}", f"A photo of {label}"))
    if shown:
        more = f"; the first {CLASSES} of {len(dataset.labels):,} classes" if len(dataset.labels) > CLASSES else ""
        yield Pictures(shown, "Classes", f"One photo of each, and how many of them it learned from{more}.")


def _thumbnail(root: str, file: str, settings: Settings) -> bytes | None:
    """A small JPEG; None where the photo is gone, unreadable, or lies where the lab reads no photos."""
    try:
        folder = photos.allowed(root, settings.data_roots)
        path = (folder / file).resolve()
        return photos.thumbnail(path, THUMBNAIL) if path.is_relative_to(folder) else None
    except (PhotosError, OSError, ValueError):
        return None


def _fine_tuning(run: Run, settings: Settings, height: int) -> Iterator[Block]:
    rows = fine_tuning.rows(run)
    if rows and not run.is_active:
        yield _verdict(fine_tuning.verdict(rows))
    yield from _curves(run, curve_charts.EPOCHS, run.spec.epochs, height)
    if not rows:
        return
    yield Table(run_tables.depths(rows), "Results", "All depths began with the same head and met the same batches.")
    compared = [row for row in rows if row.against]
    if compared:
        base = run.titles[fine_tuning.base_lane(run)].lower()
        yield Chart(
            lambda dark: fine_tuning_charts.changes(compared, dark),
            "; ".join(f"{row.title}: {row.against}" for row in compared) + ".",
            f"Change of accuracy against {base}",
        )
    predictions = _predictions(run)
    if predictions and run.best_lane in predictions["lanes"]:
        yield from _answers(run, settings, predictions, run.best_lane)


def _batch_size(run: Run, settings: Settings, height: int) -> Iterator[Block]:
    taken, tried = batch_sizes.recommend(run), batch_sizes.tried(run.story)
    if taken:
        yield _verdict(taken)
    if not tried:
        return
    result = run.story.batch_size_result
    limit = result.memory_limit_bytes if result else 1_000_000 * run.spec.memory_limit

    def chart(what: str, title: str) -> Chart:
        return Chart(
            lambda dark: fine_tuning_charts.against_batch(tried, what, limit, taken.batch_size if taken else 0, dark),
            "; ".join(batch_sizes.in_words(each) for each in tried) + ".",
            f"{title} against the batch size",
        )

    yield chart("memory", "Memory")
    yield chart("speed", "Speed")
    yield Table(run_tables.sizes(tried), "Sizes that were tried")


def _learning_curve(run: Run, settings: Settings, height: int) -> Iterator[Block]:
    rows = learning_curve.rows(run)
    if not rows:
        return
    yield _verdict(learning_curve.verdict(rows))
    curve = learning_curve_charts.Curve("", 0, rows)
    yield Chart(
        lambda dark: learning_curve_charts.accuracy_against_photos([curve], height, dark),
        learning_curve_charts.chart_in_words([curve]),
        "Accuracy against photos per class",
        "The band is one standard deviation over the seeds, faint points are the seeds.",
        "learning_curve",
        [
            {"size": point.size, "seed": point.seed, "photos": point.photos, "correct": point.correct}
            | {"tested": point.test_n}
            for point in run.story.learning_curve
        ],
    )
    yield Table(run_tables.photo_counts(rows), "Results", "Gain: against the row before, with its 95 % interval.")


def _imported(run: Run, settings: Settings, height: int) -> Iterator[Block]:
    last = max((max(curve.step) for curve in run.story.curves.values() if curve.step), default=1)
    yield from _curves(run, curve_charts.STEPS, last, height)


def _curves(run: Run, axis: str, end: float, height: int) -> Iterator[Block]:
    """Validation accuracy of the lanes, or training accuracy where nothing else was told."""
    field = curve_charts.STEPS if axis == curve_charts.EPOCHS else axis  # an evaluation an epoch, counted from 1
    weight = 0.0 if axis == curve_charts.EPOCHS else 0.9 if len(run.lanes) > 2 else 0.6
    for split in (curve_charts.VALIDATION, curve_charts.TRAINING):
        drawn = curve_charts.lines(run.story, run.titles, split, curve_charts.ACCURACY, field, weight)
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
        _evaluations(run),
    )


def _evaluations(
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


# --- digits ----------------------------------------------------------------------------------------------------------


def _mnist(run: Run, settings: Settings, height: int) -> Iterator[Block]:
    rows = comparison.network_rows(run)
    if len(rows) == len(run.lanes):
        yield _verdict(comparison.verdict(run))
    drawn = curve_charts.network_lines(
        run.story, run.titles, curve_charts.BOTH, curve_charts.ACCURACY, curve_charts.EPOCHS, 0.9
    )
    if drawn:
        yield Chart(
            lambda dark: curve_charts.curves(
                drawn,
                list(run.titles.values()),
                measure=curve_charts.ACCURACY,
                axis=curve_charts.EPOCHS,
                end=curve_charts.networks_end(run.story, run.spec.epochs, curve_charts.EPOCHS),
                height=height,
                dark=dark,
            ),
            f"Accuracy of {count(len(run.lanes), 'network')}: "
            f"{curve_charts.networks_in_words(drawn, curve_charts.ACCURACY)}",
            "Accuracy over the epochs",
            "Full lines: validation, once an epoch. Thin lines: training, with dropout and moved images. A network "
            "that holds no images out has its training in full.",
            "curves",
            _epochs(run),
        )
    if not rows:
        return
    yield Table(run_tables.networks(rows), "Results", "Each network met the test images once, at its end.")
    yield Chart(
        lambda dark: mnist_charts.accuracy_against_cost(rows, "train_seconds", height, dark),
        "; ".join(f"{row.title}: {percent(row.test_accuracy)} in {duration(row.train_seconds)}" for row in rows) + ".",
        "Accuracy against training time",
    )
    for each in explanations.explanations(run):
        yield Text(f"**{each.title}**  \n{each.text}")
    if answers := comparison.answers_of(run):
        labels, best = catalog.digit_set(run.spec.data).labels, rows[0]
        if best.lane in answers.predicted:
            counts = confusion(answers.truth, answers.predicted[best.lane], len(labels))
            yield from _confusion(counts, labels, "image", f"{best.title}: " if len(rows) > 1 else "")
    yield from _hardest_digits(run)


def _epochs(run: Run) -> list[dict[str, object]]:
    """Validation as it was measured; of training, whose batches are thousands, the mean of each epoch."""
    found = _evaluations(run, [curve_charts.VALIDATION])
    for lane, started in run.story.lanes_started.items():
        curve = run.story.curves.get((lane, curve_charts.TRAINING), Curve())
        ends: dict[int, list[int]] = {}
        for place, step in enumerate(curve.step):
            ends.setdefault(-(-step // started.steps_an_epoch), []).append(place)
        for places in ends.values():
            accuracy = sum(curve.accuracy[place] for place in places) / len(places)
            found.append(
                {"lane": run.titles.get(lane, lane), "split": curve_charts.TRAINING, "step": curve.step[places[-1]]}
                | {"seconds": curve.seconds[places[-1]], "accuracy": round(accuracy, 5), "cross_entropy": None}
            )
    return found


def _hardest_digits(run: Run) -> Iterator[Block]:
    labels, shown = catalog.digit_set(run.spec.data).labels, []
    for mistake in comparison.hardest(run, HARDEST):
        if mistake.pixels is None:
            continue
        said = [f"{run.titles[lane]}: {labels[guess]}" for lane, (guess, _) in mistake.guesses.items()]
        words = (
            f"{labels[mistake.truth]}, taken for: {', '.join(said)}"
            if len(said) > 1
            else (f"{labels[mistake.truth]} → {said[0].rpartition(': ')[2]}")
        )
        image = Image.fromarray(255 - mistake.pixels)
        out = io.BytesIO()
        image.resize([DIGIT_ENLARGED * side for side in image.size], Image.Resampling.NEAREST).save(out, "PNG")
        shown.append(Picture(out.getvalue(), words, f"Test image {mistake.index:,}: {words}"))
    if shown:
        yield Pictures(shown, "Hardest images", "The test images that most networks get wrong.")


# --- many pictures ---------------------------------------------------------------------------------------------------


def _many_pictures(run: Run, settings: Settings, height: int) -> Iterator[Block]:
    rows = many_pictures.rows(run)
    if not rows:
        return
    yield Text(many_pictures.headline(rows))
    if any(row.known for row in rows):
        counts, names = many_pictures.confusion(rows)
        yield from _confusion(counts, names, "picture", "")
    wrong = sorted((row for row in rows if row.is_right is False), key=lambda row: -row.top[0][1])
    shown = []
    for row in wrong[:HARDEST]:
        words = f"{row.known} → {row.top[0][0]} {percent(row.top[0][1])}"
        if picture := _thumbnail(run.dataset.root, row.file, settings):
            shown.append(Picture(picture, words, f"{row.file}: {words}"))
    if shown:
        yield Pictures(shown, "Wrong, surest first")


# --- all kinds -------------------------------------------------------------------------------------------------------


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
    asked = run_settings.to_hand_on(run)
    note = ""
    if run.has_dataset:
        found = [one for one in photos.sources(settings) if one.root and str(one.root) == run.dataset.root]
        note = f"Photos: {found[0].attribution}." if found and found[0].attribution else ""
    rows = [{"Setting": name, "Value": value} for name, value in asked.items()]
    yield Table(rows, "Settings", note)


KINDS: dict[str, Callable[[Run, Settings, int], Iterator[Block]]] = {
    kinds.RETRAIN: _retraining,
    kinds.MNIST: _mnist,
    kinds.IMPORTED: _imported,
    kinds.CLASSIFY: _many_pictures,
    kinds.FINE_TUNE: _fine_tuning,
    kinds.BATCH_SIZE: _batch_size,
    kinds.LEARNING_CURVE: _learning_curve,
}
