"""A run is deleted with everything in its folder, and photos stay where they are."""

import os
import shutil
from pathlib import Path

from engine.contract.run_folder import LabHome, is_locked
from engine.errors import EngineError, RunNotFound
from engine.runs.folders import list_runs, open_run
from engine.runs.record import Run


def delete(home: LabHome, run_id: str) -> None:
    """Remove a run and everything in its folder, readable or not; what links lead to stays.

    Raises RunNotFound, and EngineError while the run is alive.
    """
    folder = home.run(run_id)
    if run_id != folder.id or run_id in ("", ".", "..") or not os.path.lexists(folder.path):
        raise RunNotFound(f"There is no run {run_id!r}. It may have been deleted.")
    try:
        run: Run | None = open_run(home, run_id)
    except RunNotFound:
        run = None
    if is_locked(folder.lock):
        raise EngineError(f"{run.title if run else run_id} is still working. Cancel it first, then delete it.")
    pictures = uploaded_pictures(run) if run else None
    # Renamed first: what is half deleted no longer looks like a run.
    grave = Path(home.runs) / f".deleted-{run_id}"
    _remove(grave)
    os.rename(folder.path, grave)
    _remove(grave)
    if pictures:
        shutil.rmtree(pictures, ignore_errors=True)


def uploaded_pictures(run: Run) -> Path | None:
    """The folder of pictures that were uploaded for this run and that no other run shows; None where there is none."""
    if not run.has_dataset:
        return None
    try:
        root, home = Path(run.dataset.root), run.folder.home
        # With links and ".." resolved: what a run that came from elsewhere says is not to be believed.
        if root.resolve() != Path(home.pictures).resolve() / root.name or root.name in ("", ".."):
            return None
        others = [other for other in list_runs(home) if other.has_dataset and other.id != run.id]
        if any(Path(each.dataset.root) == root for each in others):
            return None
    except (OSError, ValueError, KeyError, TypeError):  # a damaged dataset.json: rather too little than too much
        return None
    return root


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)
