"""python -m engine learning_curve: how accuracy grows with photos per class, and where it flattens."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from engine import settings
from engine.cli.answers import add_json
from engine.cli.following import carry_out
from engine.cli.inputs import dataset, fetch_backbone
from engine.contract import catalog, choices
from engine.contract.kinds.learning_curve import LearningCurvePoint, LearningCurveSpec
from engine.errors import SpecError

if TYPE_CHECKING:
    from engine.runs import Run

NAME, HELP = "learning_curve", "how accuracy grows with photos per class, and where it flattens"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    default, add = LearningCurveSpec(), parser.add_argument
    add("image_dir", help="a folder with one folder per class, or the name of a set: traffic_lights")
    add("--backbone", default=default.backbone)
    add(
        "--sizes",
        type=_sizes,
        default=default.sizes,
        help="photos per class to learn from: 5,10,20; all that there are are measured too",
    )
    add("--seeds", type=int, default=default.seeds, help="trainings of each size, from other photos each time")
    add("--learning_rate", type=float, default=default.learning_rate)
    add("--steps", type=int, default=default.steps, help="of each training")
    add("--train_batch_size", type=int, default=default.train_batch_size)
    add("--validation_percentage", type=int, default=default.validation_percentage)
    add("--testing_percentage", type=int, default=default.testing_percentage)
    add("--seed", type=int, default=default.seed, help="the first one")
    add("--device", choices=choices.DEVICES, default=default.device)
    add_json(parser)
    parser.set_defaults(command=_learning_curve)


def _sizes(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} are no numbers of photos; write 5,10,20") from None


def _learning_curve(options: argparse.Namespace, lab: settings.Settings) -> int:
    spec = LearningCurveSpec(**{name: getattr(options, name) for name in LearningCurveSpec._fields})
    if faults := spec.faults():
        raise SpecError(" ".join(faults))
    try:
        row = catalog.backbone(spec.backbone, lab.home)
    except KeyError:
        raise SpecError(f"There is no backbone {spec.backbone} here. Add its module first.") from None
    photos = dataset(options.image_dir, lab, spec)
    fetch_backbone(lab, row)
    return carry_out(options, lab, spec, photos, report=_report, last_lines=_last, new_lines=_Lines())


def _report(run: "Run") -> dict[str, Any]:
    """A run as one record for programs; a size is listed once all its seeds were measured."""
    from engine.kinds.learning_curve import photo_counts as learning_curve

    rows = learning_curve.rows(run)
    enough = learning_curve.flattens(rows)
    return {
        "run": run.id,
        "state": run.state,
        "error": run.story.error.message if run.story.error else None,
        "sizes": [
            {
                "photos_per_class": row.title,
                "photos": row.photos,
                "test_accuracy": row.mean,
                "test_accuracies": list(row.accuracies),
                "test_photos": row.test_n,
                "deviation": row.deviation,
                "gain": [row.gain.mean, row.gain.low, row.gain.high] if row.gain else None,
            }
            for row in rows
        ],
        "flattens_at": enough.title if enough else None,
        "verdict": learning_curve.verdict(rows).conclusion if rows else None,
    }


class _Lines:
    """The trainings that were tested since the last call."""

    def __init__(self) -> None:
        self.said = 0

    def __call__(self, run: "Run") -> list[str]:
        from engine.kinds.learning_curve import photo_counts as learning_curve

        new = run.story.every(LearningCurvePoint)[self.said :]
        self.said += len(new)
        return [learning_curve.point_in_words(point) for point in new]


def _last(run: "Run") -> Iterator[str]:
    from engine.kinds.learning_curve import photo_counts as learning_curve
    from engine.words import percent, spread

    rows = learning_curve.rows(run)
    for row in rows:
        gain = f", {row.gain}" if row.gain else ""
        yield f"{row.title:>7}  {percent(row.mean)}{spread(row.deviation, ' ')}, {row.photos:,} photos{gain}"
    if rows:
        found = learning_curve.verdict(rows)
        yield f"{found.conclusion} {found.reasons}"
