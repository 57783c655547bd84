"""A run as a zip, and how large its folder is."""

import contextlib
import io
import os
import zipfile
from pathlib import Path

from engine.contract.run_folder import LabHome
from engine.errors import EngineError
from engine.runs.record import Run


def zip_artifacts(run: Run) -> bytes:
    """Everything in the run's artifacts folder and its spec, as one zip with a folder named after the run.

    Stored, not compressed: weights hardly shrink. Raises EngineError where the files cannot be read.
    """
    out = io.BytesIO()
    try:
        with zipfile.ZipFile(out, "w") as archive:
            archive.write(run.folder.spec, f"{run.id}/spec.json")
            for path in sorted(Path(run.folder.artifacts).rglob("*")):
                if path.is_file():
                    archive.write(path, f"{run.id}/{path.relative_to(run.folder.artifacts)}")
    except OSError as error:
        raise EngineError(f"The files of run {run.id} cannot be read: {error.strerror}.") from error
    return out.getvalue()


def zip_run(run: Run) -> bytes:
    """The whole folder as one zip, all but what belongs to the living: unpacked into runs/ it is the same run.

    Stored, not compressed. Links are left out. Raises EngineError where the files cannot be read.
    """
    out = io.BytesIO()
    try:
        with zipfile.ZipFile(out, "w") as archive:
            for path in sorted(Path(run.folder.path).rglob("*")):
                if path.is_file() and not path.is_symlink() and str(path) not in (run.folder.lock, run.folder.cancel):
                    archive.write(path, f"{run.id}/{path.relative_to(run.folder.path)}")
    except OSError as error:
        raise EngineError(f"The files of run {run.id} cannot be read: {error.strerror}.") from error
    return out.getvalue()


def size(home: LabHome, run_id: str) -> int:
    """Bytes in the folder of a run; what vanishes meanwhile counts nothing."""
    total = 0
    for folder, _, files in os.walk(home.run(run_id).path):
        for file in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(folder, file)).st_size
    return total
