"""Curves from elsewhere: TensorBoard's event files, of the original retrain.py for one, become a run of the lab."""

import os
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from engine import worker_programs
from engine.errors import EngineError, ImportRefused
from engine.settings import Settings

PATIENCE_SECONDS = 600  # a run of the original leaves 100 MB, which take seconds


@dataclass(frozen=True)
class Imported:
    run_id: str
    warnings: list[str]  # of files that were cut short or damaged, whole sentences


def import_summaries(settings: Settings, source: Path, title: str = "") -> Imported:
    """Make a run of the event files below a folder; the files are copied, and the folder may go afterwards.

    Raises ImportRefused where there is nothing to import, EngineError where the worker cannot be run.
    """
    run_id = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
    words = re.sub(r"[^\w.,()+-]+", " ", title or source.name).split()
    title = " ".join(words)[:80] or "Event files"
    try:
        os.makedirs(settings.home.runs, exist_ok=True)
    except OSError as error:
        raise EngineError(f"Cannot write to {settings.home.runs}: {error.strerror}.") from error
    arguments = [str(source), settings.home.path, run_id, title]
    program = "engine.worker.imported.import_summaries"
    python = settings.worker_python
    answer = worker_programs.ask(python, program, arguments, None, PATIENCE_SECONDS, refused=ImportRefused)
    return Imported(run_id, answer["warnings"])
