"""python -m engine retrain: learn from photos, one lane per learning rate."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import settings
from engine.cli.answers import add_json
from engine.cli.following import carry_out
from engine.cli.progress import need, progress_bar
from engine.contract import catalog, events, specs
from engine.errors import PhotosError, SpecError

if TYPE_CHECKING:
    from engine.photos import Scan
    from engine.runs import Run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    default = specs.DEFAULT_RETRAIN
    add = parser.add_argument
    add("--image_dir", required=True, help="a folder with one folder per class, or the name of a set: traffic_lights")
    add("--learning_rate", type=_learning_rates, default=(0.01,), help="one, or several with commas: 0.005,0.5,1.0")
    add("--how_many_training_steps", type=int, default=default.steps)
    add("--testing_percentage", type=int, default=default.testing_percentage)
    add("--validation_percentage", type=int, default=default.validation_percentage)
    add("--eval_step_interval", type=int, default=default.eval_step_interval)
    add("--train_batch_size", type=int, default=default.train_batch_size)
    add("--test_batch_size", type=int, default=default.test_batch_size)
    add("--validation_batch_size", type=int, default=default.validation_batch_size)
    backbones = [row.name for row in catalog.BACKBONES]
    add("--architecture", default=default.backbone, help=f"the backbone: {', '.join(backbones)}")
    add("--device", choices=specs.DEVICES, default=default.device)
    add("--seed", type=int, default=default.seed)
    add(
        "--split_key",
        choices=("name", "typed_path"),
        default="name",
        help="what decides the split of a photo: its class and name, or its path as typed, as in retrain.py",
    )
    add_json(parser)
    parser.set_defaults(command=_retrain)


def _learning_rates(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number and no list like 0.005,0.5,1.0") from None


def _retrain(options: argparse.Namespace, lab: settings.Settings) -> int:
    from engine import photos

    spec = specs.DEFAULT_RETRAIN._replace(
        backbone=options.architecture,
        learning_rates=options.learning_rate,
        steps=options.how_many_training_steps,
        train_batch_size=options.train_batch_size,
        validation_batch_size=options.validation_batch_size,
        test_batch_size=options.test_batch_size,
        eval_step_interval=options.eval_step_interval,
        validation_percentage=options.validation_percentage,
        testing_percentage=options.testing_percentage,
        seed=options.seed,
        device=options.device,
    )
    if faults := specs.faults(spec):
        raise SpecError(" ".join(faults))
    scan = _scan(options.image_dir, lab)
    if faults := photos.faults(scan):
        raise PhotosError(" ".join(faults))
    dataset = photos.split(scan, spec.validation_percentage, spec.testing_percentage, options.split_key)
    for remark in photos.remarks(scan, dataset):
        print(remark, file=sys.stderr)
    need(lab, catalog.backbone(spec.backbone).asset)
    return carry_out(options, lab, spec, dataset, _report, _print_results)


def _scan(image_dir: str, lab: settings.Settings) -> "Scan":
    from engine import photos

    root, title = Path(image_dir).expanduser(), ""
    if not root.is_dir():
        source = next((each for each in photos.sources(lab) if each.key == image_dir), None)
        if source is None:
            raise PhotosError(
                f"There is no folder {image_dir}. Give a folder that holds one folder of photos per class, or a set: "
                f"{', '.join(each.key for each in photos.sources(lab))}."
            )
        root, title = source.root or need(lab, source.key), source.title
    with progress_bar() as bar:
        # No check against LAB_DATA and no bounds for links: this is the user's own shell, not a visitor's browser.
        return photos.scan(
            root,
            title or root.resolve().name,
            lambda done, total: bar.draw("Looking", done, total, f"{done:,} of {total:,} photos"),
            typed=image_dir,
            roots=(Path("/"),),
        )


def _report(run: "Run") -> dict[str, Any]:
    """A run as one flat-ish record for programs; None where something is not known (yet)."""
    from engine import curves

    story, result = run.story, run.story.result
    rows = {row.lane: row for row in curves.lane_rows(story, run.lanes)}
    lanes = []
    for lane in run.lanes:
        row = rows.get(lane)
        plateau = row.plateau if row else None
        lanes.append(
            {
                "learning_rate": float(lane),
                "test_accuracy": row.test_accuracy if row else None,
                "test_n": row.test_n if row else None,
                "best_validation_accuracy": row.best_validation_accuracy if row else None,
                "best_step": row.best_step if row else None,
                "plateau_step": plateau.step if plateau else None,
                "plateau_seconds": plateau.seconds if plateau else None,
                "diverged": lane in story.diverged or (row is not None and row.diverged),
            }
        )
    planned = [photo.split for photo in run.dataset.photos]
    return {
        "run": run.folder.path,
        "state": run.state,
        "seconds": {stage.name: round((stage.ended or story.last_t) - stage.began, 3) for stage in story.stages},
        "images": result.images if result else len(planned),
        "splits": {
            split: getattr(result, split) if result else planned.count(split)
            for split in ("training", "validation", "testing")
        },
        "backbone": run.spec.backbone,
        "lanes": lanes,
        "race_seconds": result.race_seconds if result else None,
        "kept": float(result.kept) if result else None,
        "error": story.error.message if story.error else None,
    }


def _print_results(run: "Run") -> None:
    from engine import curves

    for row in curves.lane_rows(run.story, run.lanes):
        plateau = f"flat from step {row.plateau.step:,}, {row.plateau.seconds:.1f} s" if row.plateau else "never flat"
        print(
            f"{'*' if row.kept else ' '} learning rate {row.lane:<8} test accuracy {row.test_accuracy:.1%}, "
            f"best validation {row.best_validation_accuracy:.1%} at step {row.best_step:,}, "
            f"{'diverged' if row.diverged else plateau}"
        )
        if row.kept:
            final = f"Final test accuracy = {row.test_accuracy:.1%} (N={row.test_n})"
    if run.state == events.DONE:
        print(final)
