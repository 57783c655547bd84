"""The only reader of the environment; everything else is handed what it needs.

LAB_HOME        where the lab keeps its files (default: .lab beside the app)
LAB_DATA        folders that photos may come from, separated by ":" (default: the home folder of the user)
WORKER_PYTHON   the interpreter of the workers (default: the one that runs the dashboard)
TEGRASTATS      the program that reads a Jetson (default: the one that is found; "" for none)
WORKER_MODULE   what that interpreter runs (default: engine.worker); tests name a worker without TensorFlow here
"""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.contract.run_folder import LabHome

APP_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Settings:
    home: LabHome
    data_roots: tuple[Path, ...]  # photos are read only below these, links resolved; the lab's own datasets included
    worker_python: str
    worker_module: str = "engine.worker"
    tegrastats: str = ""  # the program, "" where there is none


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    home = LabHome(str(Path(environ.get("LAB_HOME") or APP_ROOT / ".lab").expanduser()))
    named = [Path(part).expanduser() for part in environ.get("LAB_DATA", "").split(os.pathsep) if part]
    own = [Path(home.datasets), Path(home.assets)]
    roots = tuple(path.resolve() for path in [*own, *(named or [Path.home()])])
    worker_python = environ.get("WORKER_PYTHON") or sys.executable
    tegrastats = environ.get("TEGRASTATS")
    if tegrastats is None:
        tegrastats = shutil.which("tegrastats") or shutil.which("/usr/bin/tegrastats") or ""
    return Settings(home, roots, worker_python, environ.get("WORKER_MODULE") or "engine.worker", tegrastats)
