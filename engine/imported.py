"""Curves from elsewhere: TensorBoard's event files, of the original retrain.py for one, become a run of the lab."""

import json
import os
import re
import secrets
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from engine.contract.run_folder import LabHome
from engine.errors import EngineError, ImportRefused
from engine.queue import worker_environment
from engine.runs import Run, list_runs
from engine.settings import APP_ROOT, Settings

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
    command = [settings.worker_python, "-m", "engine.worker.import_summaries"]
    try:
        os.makedirs(settings.home.runs, exist_ok=True)
        ran = subprocess.run(
            [*command, str(source), settings.home.path, run_id, title],
            cwd=APP_ROOT,
            env=worker_environment(os.environ) | {"LC_ALL": "C.UTF-8"},
            capture_output=True,
            timeout=PATIENCE_SECONDS,
        )
        answer = json.loads(ran.stdout)
    except subprocess.TimeoutExpired:
        raise EngineError(f"Reading {source} took too long and was ended. Import the runs in it one by one.") from None
    except OSError as error:
        raise EngineError(f"Cannot run WORKER_PYTHON={settings.worker_python}: {error.strerror}.") from error
    except ValueError:
        last = (ran.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
        raise EngineError(f"The import ended without an answer: {last}") from None
    if "error" in answer:
        raise ImportRefused(answer["error"])
    return Imported(run_id, answer["warnings"])


def list_imported(home: LabHome) -> list[Run]:
    """Every imported run, newest first."""
    return [run for run in list_runs(home) if run.is_imported]
