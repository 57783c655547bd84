"""What a command needs before it can start, photos and weights: looked at or fetched behind a bar."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from engine import assets, settings
from engine.cli.progress import progress_bar
from engine.contract import catalog, choices
from engine.contract.kinds.fine_tuning import FineTuningSpec
from engine.contract.kinds.learning_curve import LearningCurveSpec
from engine.contract.kinds.race import RaceSpec
from engine.errors import PhotosError

if TYPE_CHECKING:
    from engine.contract.dataset import Dataset
    from engine.photos import Scan


def need(lab: settings.Settings, name: str) -> Path:
    """Where the asset lies, fetched behind a bar where it is missing. Raises AssetError."""
    row = assets.asset(name)
    with progress_bar() as bar:
        return assets.fetch_asset(
            lab.home,
            row,
            lambda done, total: bar.draw("Fetching", done, total, f"{assets.megabytes(done)} of {row.title}"),
        )


def fetch_backbone(lab: settings.Settings, row: catalog.Backbone, model_dir: str | None = None) -> None:
    """Its weights, from `model_dir` or fetched where they are missing. Raises AssetError."""
    with progress_bar() as bar:
        assets.fetch_backbone(
            lab.home,
            row,
            Path(model_dir).expanduser() if model_dir else None,
            lambda done, total: bar.draw("Fetching", done, total, f"{assets.megabytes(done)} of {row.title}"),
        )


def dataset(
    image_dir: str,
    lab: settings.Settings,
    spec: RaceSpec | FineTuningSpec | LearningCurveSpec,
    split_key: str = "",
) -> "Dataset":
    """The photos to learn from, split as `spec` says; what is odd about them goes to stderr.

    `split_key`: as photos.split has it. Raises PhotosError and AssetError.
    """
    from engine import photos

    found = scan(image_dir, lab)
    if faults := photos.faults(found):
        raise PhotosError(" ".join(faults))
    made = photos.split(found, spec.validation_percentage, spec.testing_percentage, split_key or photos.NAME)
    for remark in photos.remarks(found, made):
        print(remark, file=sys.stderr)
    return made


def scan(image_dir: str, lab: settings.Settings) -> "Scan":
    """The photos of a folder, or of a set that is named by its word. Raises PhotosError and AssetError."""
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


def add_tuned_backbone(parser: argparse.ArgumentParser, default: str) -> None:
    """The option of kinds whose blocks learn."""
    names = ", ".join(row.name for row in choices.tunable())
    parser.add_argument("--backbone", default=default, help=f"one whose blocks can learn: {names}")


def depth(text: str) -> int:
    """ "all" or a number, as --blocks takes them."""
    try:
        return choices.ALL_BLOCKS if text.strip() == "all" else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of blocks; write a number or all") from None
