"""python -m engine import_summaries: TensorBoard's files of a run from elsewhere become a run of the lab."""

import argparse
import sys
from pathlib import Path

from engine import settings
from engine.cli.answers import add_json, said
from engine.errors import ImportRefused

NAME, HELP = "import_summaries", "make a run of TensorBoard's files from elsewhere"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", help="with event files, as retrain.py wrote them to its --summaries_dir")
    parser.add_argument("--title", default="", help="of the run; the folder's name where none is given")
    add_json(parser)
    parser.set_defaults(command=_import)


def _import(options: argparse.Namespace, lab: settings.Settings) -> int:
    from engine.kinds.imported.importing import import_summaries

    folder = Path(options.folder).expanduser().resolve()
    if not folder.is_dir():
        raise ImportRefused(f"There is no folder {options.folder}. Give the folder that holds train and validation.")
    found = import_summaries(lab, folder, options.title)
    for warning in found.warnings:
        print(warning, file=sys.stderr)
    record = {"run": found.run_id, "warnings": found.warnings}
    return said(options, record, f"Imported as {found.run_id}.")
