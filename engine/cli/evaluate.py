"""python -m engine evaluate: how often a model is right on a folder of photos, and how sure it is of it."""

import argparse
import math
import sys
from pathlib import Path
from typing import Any

from engine import settings
from engine.cli import models
from engine.cli.answers import DONE, add_json, print_json
from engine.cli.inputs import scan
from engine.cli.progress import progress_bar
from engine.errors import ClassifierError, PhotosError

SMALLEST_PROBABILITY = 1e-10  # as in engine/worker/evaluate.py


def add_arguments(parser: argparse.ArgumentParser) -> None:
    models.add_flags(parser)
    parser.add_argument(
        "--image_dir",
        required=True,
        help="a folder with one folder per class, named as the labels are, or a set's name",
    )
    add_json(parser)
    parser.set_defaults(command=_evaluate)


def _evaluate(options: argparse.Namespace, lab: settings.Settings) -> int:
    from engine import photos as photo_folders

    found = scan(options.image_dir, lab)
    for remark in photo_folders.remarks(found, None):
        print(remark, file=sys.stderr)
    # (path, its class's label)
    photos = [(found.root / row.folder / file, row.label) for row in found.classes for file in row.files]
    if not photos:
        raise PhotosError(f"{options.image_dir} holds no photo in a folder of its class. Give a folder that does.")
    told = _ask_model(options, lab, photos) if options.model else _ask_graph(options, lab, photos)
    for path, why in told["skipped"]:
        print(f"{path} is left out: {why}.", file=sys.stderr)
    if options.json:
        print_json(told)
        return DONE
    width = max(len(row["label"]) for row in told["per_class"])
    for row in told["per_class"]:
        share = f"{row['right'] / row['photos'] * 100:.1f}%" if row["photos"] else "–"
        print(f"{row['label']:{width}}  {share:>6} of {row['photos']:,}")
    print(f"Accuracy = {told['accuracy'] * 100:.1f}% (N={told['photos']})")
    print(f"Cross entropy = {told['cross_entropy']:f}")
    return DONE


def _ask_graph(options: argparse.Namespace, lab: settings.Settings, photos: list[tuple[Path, str]]) -> dict[str, Any]:
    from engine.models import graph_files

    graph = models.graph_file(options)
    assert graph.labels
    labels = [line.strip() for line in graph.labels.read_text(encoding="utf-8", errors="replace").splitlines()]
    labels = [line for line in labels if line]
    places = _places(labels, photos, str(graph.labels))
    given = {name: getattr(graph, name) for name in models.INPUT_FLAGS}
    with progress_bar() as bar:
        answer = graph_files.evaluate(
            lab.worker_python,
            graph.graph,
            labels,
            [(path, places[label]) for path, label in photos],
            lambda done, total: bar.draw("Evaluating", done, total, f"{done:,} of {total:,} photos"),
            **given,
        )
    return {
        "model": str(graph.graph),
        "accuracy": answer.accuracy,
        "cross_entropy": answer.cross_entropy,
        "photos": answer.photos,
        "classes": answer.classes,
        "per_class": [{"label": label, "right": right, "photos": seen} for label, right, seen in answer.per_class],
        "skipped": answer.skipped,
        **{name: getattr(answer, name) for name in models.INPUT_FLAGS},
    }


def _ask_model(options: argparse.Namespace, lab: settings.Settings, photos: list[tuple[Path, str]]) -> dict[str, Any]:
    """A run or a backbone, one photo after another through the resident classifier, as the pages ask it."""
    seen: dict[str, int] = {}
    right: dict[str, int] = {}
    named: dict[str, str] = {}  # the model's own word for a class
    skipped, cross_entropy, classes = [], 0.0, 0
    with models.opened(options, lab) as model, progress_bar() as bar:
        for number, (path, label) in enumerate(photos, start=1):
            try:
                answer = model.classify(path.read_bytes(), 100_000, 0)  # every label
            except (OSError, ClassifierError) as error:
                if not seen and not isinstance(error, OSError):
                    raise  # the model itself
                skipped.append((str(path), str(error).rstrip(".")))
                continue
            scores = dict(answer.top)
            if not seen:
                labels, classes = sorted(scores), answer.classes
                named = {label: labels[at] for label, at in _places(labels, photos, model.name).items()}
                seen, right = dict.fromkeys(named.values(), 0), dict.fromkeys(named.values(), 0)
            truth = named[label]
            seen[truth] += 1
            right[truth] += answer.top[0][0] == truth
            cross_entropy -= math.log(max(scores[truth], SMALLEST_PROBABILITY))
            bar.draw("Evaluating", number, len(photos), f"{number:,} of {len(photos):,} photos")
        name = model.name
    count = sum(seen.values())
    if not count:
        raise PhotosError(f"None of the photos can be used: {skipped[0][1]}.")
    return {
        "model": name,
        "accuracy": sum(right.values()) / count,
        "cross_entropy": cross_entropy / count,
        "photos": count,
        "classes": classes,
        "per_class": [{"label": label, "right": right[label], "photos": seen[label]} for label in sorted(seen)],
        "skipped": skipped,
    }


def _places(labels: list[str], photos: list[tuple[Path, str]], source: str) -> dict[str, int]:
    """Which output each class's label is. Raises PhotosError where a class has none."""
    from engine.photos import label

    places = {label(each): place for place, each in reversed(list(enumerate(labels)))}
    if unknown := sorted({each for _, each in photos} - set(places)):
        some = ", ".join(labels[:6]) + (f" and {len(labels) - 6:,} more" if len(labels) > 6 else "")
        raise PhotosError(
            f"{source} has no label {' and no '.join(unknown)}; it has {some}. Name the folders as the labels."
        )
    return places
