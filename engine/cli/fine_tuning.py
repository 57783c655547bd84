"""python -m engine fine_tune: the last blocks of a backbone learn along with the new last layer, one lane per depth."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from engine import settings
from engine.cli.answers import add_json
from engine.cli.following import carry_out
from engine.cli.inputs import add_tuned_backbone, dataset, depth, fetch_backbone
from engine.contract import catalog, choices
from engine.contract.kinds.fine_tuning import FineTuningSpec
from engine.errors import SpecError
from engine.words import quick

if TYPE_CHECKING:
    from engine.runs import Run

NAME, HELP = "fine_tune", "let the last blocks of a backbone learn along, one lane per depth"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    default, add = FineTuningSpec(), parser.add_argument
    add("--image_dir", required=True, help="a folder with one folder per class, or the name of a set: traffic_lights")
    add_tuned_backbone(parser, default.backbone)
    add(
        "--blocks",
        type=_depths,
        default=default.blocks,
        help="how many of the last blocks learn, a lane each: 0,2,all; 0: the new last layer alone",
    )
    add("--epochs", type=int, default=default.epochs)
    add("--batch_size", type=int, default=default.batch_size)
    add("--head_learning_rate", type=float, default=default.head_learning_rate)
    add("--body_learning_rate", type=float, default=default.body_learning_rate, help="of the blocks")
    add("--flip_left_right", action="store_true", help="mirror half of the training photos, anew in each epoch")
    add("--random_crop", type=int, default=default.random_crop, help="percent: how much of a photo's margin to crop")
    add("--random_scale", type=int, default=default.random_scale, help="percent: how much to enlarge at most")
    add("--random_brightness", type=int, default=default.random_brightness, help="percent: how much to multiply by")
    add("--validation_percentage", type=int, default=default.validation_percentage)
    add("--testing_percentage", type=int, default=default.testing_percentage)
    add("--seed", type=int, default=default.seed)
    add("--device", choices=choices.DEVICES, default=default.device)
    add("--memory_limit", type=int, default=default.memory_limit, help="MB for the process of a depth; 0: no limit")
    add_json(parser)
    parser.set_defaults(command=_fine_tune)


def _depths(text: str) -> tuple[int, ...]:
    return tuple(depth(part) for part in text.split(","))


def _fine_tune(options: argparse.Namespace, lab: settings.Settings) -> int:
    spec = FineTuningSpec(**{name: getattr(options, name) for name in FineTuningSpec._fields})
    if faults := spec.faults():
        raise SpecError(" ".join(faults))
    photos = dataset(options.image_dir, lab, spec)
    fetch_backbone(lab, catalog.backbone(spec.backbone))
    return carry_out(options, lab, spec, photos, report=_report, last_lines=_lines)


def _report(run: "Run") -> dict[str, Any]:
    """A run as one record for programs; a depth is listed once it was tested."""
    from engine.kinds.fine_tuning import depths as fine_tuning

    rows = fine_tuning.rows(run)
    return {
        "run": run.id,
        "state": run.state,
        "error": run.story.error.message if run.story.error else None,
        "depths": [
            {
                "blocks": row.title,
                "test_accuracy": row.test_accuracy,
                "test_interval": [row.test_low, row.test_high],
                "test_photos": row.test_n,
                "validation_accuracy": row.validation_accuracy,
                "change": [row.against.change, row.against.low, row.against.high] if row.against else None,
                "parameters": row.parameters,
                "peak_memory_bytes": row.peak_memory_bytes,
                "epoch_seconds": row.epoch_seconds,
                "batch_size": row.batch_size,
                "at_once": row.at_once,
                "diverged": row.diverged,
            }
            for row in rows
        ],
        "verdict": fine_tuning.verdict(rows).conclusion if rows else None,
    }


def _lines(run: "Run") -> Iterator[str]:
    from engine.kinds.fine_tuning import depths as fine_tuning
    from engine.words import many, size

    rows = fine_tuning.rows(run)
    width = max((len(row.title) for row in rows), default=0)
    for row in rows:
        yield (
            f"{row.title:{width}}  test accuracy {row.test_accuracy:.1%} ({row.test_low:.1%} to {row.test_high:.1%}, "
            f"N={row.test_n:,}), {many(row.parameters)} parameters, {size(row.peak_memory_bytes)}, "
            f"{quick(row.epoch_seconds)} an epoch"
        )
    if rows:
        found = fine_tuning.verdict(rows)
        yield f"{found.conclusion} {found.reasons}"
