"""The only reader of the environment; everything else is handed what it needs.

LAB_HOME        where the lab keeps its files (default: .lab beside the app)
LAB_DATA        folders that photos may come from, separated by ":" (default: the home folder of the user)
WORKER_PYTHON   the interpreter of the workers (default: the one that runs the dashboard)
TEGRASTATS      the program that reads a Jetson (default: the one that is found; "" for none)
WORKER_MODULE   what that interpreter runs (default: engine.worker); tests name a worker without TensorFlow here

Who may come in, read by serve.py alone:

LAB_PASSPHRASE  what visitors are asked for in the place of a token that is new with every start
LAB_PASSPHRASE_FILE  a file that holds it, as its only line
LAB_DOOR        "on": asks on loopback addresses too; "off": nobody is asked anything, wherever the lab listens
LAB_HOSTS       names that the lab is reached by beside its own, separated by ",": those of a proxy or of its container
LAB_PROXIES     addresses of proxies whose word is taken for whom they ask (default: 127.0.0.1,::1)
"""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.contract.run_folder import LabHome
from engine.errors import SettingError

ON, OFF = "on", "off"
PASSPHRASE_LETTERS = 8  # at least; wrong ones are slowed down, but a short one is guessed all the same

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


@dataclass(frozen=True)
class Door:
    """Who may come in, see engine/door.py."""

    state: str  # ON, OFF, or "": as the address demands it
    passphrase: str  # "": a token is made
    hosts: frozenset[str]  # lower case
    proxies: tuple[str, ...]


def load_door(environ: Mapping[str, str] = os.environ) -> Door:
    """Raises SettingError."""
    state = environ.get("LAB_DOOR", "").strip().lower()
    if state not in (ON, OFF, ""):
        raise SettingError(f"LAB_DOOR is {state!r}; choose on or off, or leave it out.")
    passphrase, source = environ.get("LAB_PASSPHRASE", ""), "LAB_PASSPHRASE"
    if file := environ.get("LAB_PASSPHRASE_FILE"):
        if passphrase:
            raise SettingError("LAB_PASSPHRASE and LAB_PASSPHRASE_FILE are both set; leave one of them out.")
        source = "LAB_PASSPHRASE_FILE"
        try:
            passphrase = Path(file).read_text().rstrip("\r\n")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise SettingError(f"LAB_PASSPHRASE_FILE={file} cannot be read: {reason}.") from error
    if (passphrase or source != "LAB_PASSPHRASE") and len(passphrase) < PASSPHRASE_LETTERS:
        raise SettingError(f"{source} has {len(passphrase)} letters; choose {PASSPHRASE_LETTERS} or more.")
    if state == OFF and passphrase:
        raise SettingError(f"LAB_DOOR is off, and {source} would never be asked for; leave one of them out.")
    hosts = frozenset(name.lower() for name in _listed(environ.get("LAB_HOSTS", "")))
    return Door(state, passphrase, hosts, _listed(environ.get("LAB_PROXIES") or "127.0.0.1,::1"))


def _listed(names: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in names.split(",") if name.strip())
