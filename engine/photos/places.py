"""Where photos may come from: built-in and uploaded sets, and folders of this machine."""

import contextlib
import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from engine import assets
from engine.errors import PhotosError
from engine.settings import Settings


@dataclass(frozen=True)
class Source:
    """A set of photos that a visitor can choose by name."""

    key: str  # the word of command lines: "traffic_lights"; an upload's is its folder's name
    title: str
    root: Path | None  # None: fetchable (engine/assets/), not here yet
    attribution: str


def sources(settings: Settings) -> list[Source]:
    """The built-in sets, here or fetchable, then what was uploaded, by name."""
    found = [
        Source(row.name, row.title, assets.find_asset(settings.home, row), row.attribution)
        for row in assets.ASSETS
        if row.kind == assets.PHOTOS
    ]
    with contextlib.suppress(FileNotFoundError):
        for name in sorted(os.listdir(settings.home.datasets)):
            path = Path(settings.home.datasets, name)
            if not name.startswith(".") and path.is_dir():
                found.append(Source(name, name.replace("-", " ").capitalize(), path, ""))
    return found


def allowed(path: str, roots: tuple[Path, ...]) -> Path:
    """The folder that `path` names, links resolved: an absolute path, ~/..., or one relative to a root.

    Raises PhotosError where it is outside the roots, not there, or no folder. Whether something exists outside the
    roots is not told.
    """
    typed = path.strip()
    if not typed or "\0" in typed:
        raise PhotosError("No folder is named. Give the path of a folder that holds one folder of photos per class.")
    expanded = os.path.expanduser(typed)
    candidates = [Path(expanded)] if os.path.isabs(expanded) else [root / expanded for root in roots]
    try:
        inside = [one for one in map(real, candidates) if is_below(one, roots)]
    except (OSError, RuntimeError):  # a loop of links, a name that is too long
        inside = []
    if not inside:
        where = ", ".join(str(root) for root in roots)
        raise PhotosError(
            f"{typed} is outside the folders that photos may come from: {where}. Move the photos there, or start the "
            "lab with LAB_DATA set to their folder."
        )
    for one in inside:
        if os.path.isdir(one):
            return one
    if any(os.path.exists(one) for one in inside):
        raise PhotosError(f"{typed} is a file. Give a folder that holds one folder of photos per class.")
    raise PhotosError(f"There is no folder {typed}. Check the path; it is a path on the machine that runs the lab.")


def real(path: Path) -> Path:
    """The path with its links resolved. Raises OSError or RuntimeError, depending on the Python, for a loop of them."""
    real = path.resolve()
    if os.path.islink(real):  # Python 3.13 does not raise, and gives the loop back
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return real


def is_below(path: Path, roots: Iterable[Path]) -> bool:
    return any(path == root or root in path.parents for root in roots)
