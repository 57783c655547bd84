"""Where retrain.py's flags send a run's files: checked before it starts, copied when it is done."""

import argparse
import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import EngineError

if TYPE_CHECKING:
    from engine.contract.run_folder import RunFolder

FILES, FOLDERS = (
    ("output_graph", "output_labels"),
    ("intermediate_output_graphs_dir", "bottleneck_dir", "summaries_dir"),
)


def faults(options: argparse.Namespace) -> list[str]:
    """Sentences about places that nothing can be written to; better said before an hour of training than after it."""
    found = []
    for flag in (*FILES, *FOLDERS):
        if not (text := getattr(options, flag)):
            continue
        path = Path(text).expanduser().absolute()
        if flag in FILES and os.path.isdir(path):
            found.append(f"--{flag} names the folder {text}; give a file's path.")
            continue
        ways = path.parents if flag in FILES else (path, *path.parents)
        there = next(folder for folder in ways if os.path.exists(folder))
        if not os.path.isdir(there):
            found.append(f"--{flag} is {text}, but {there} is a file; give another path.")
        elif not os.access(there, os.W_OK | os.X_OK):
            found.append(f"--{flag} is {text}, but nothing may be written in {there}; give another path.")
    return found


def copy(folder: "RunFolder", options: argparse.Namespace) -> None:
    """Copy what the flags ask for; each file is there whole or not at all. Raises EngineError."""
    for source, target in _copies(folder, options):
        if not source.is_file():
            raise EngineError(f"The run kept no {source.name}, so that there is none to copy to {target}.")
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, part)
            os.replace(part, target)
        except OSError as error:
            raise EngineError(
                f"{target} cannot be written: {error.strerror}. The run is done; its files are in {folder.artifacts}."
            ) from error
        finally:
            with contextlib.suppress(OSError):
                part.unlink()


def _copies(folder: "RunFolder", options: argparse.Namespace) -> Iterator[tuple[Path, Path]]:
    if options.output_graph:
        yield Path(folder.graph), Path(options.output_graph).expanduser()
    if options.output_labels:
        yield Path(folder.labels), Path(options.output_labels).expanduser()
    if options.intermediate_output_graphs_dir:
        for source in sorted(Path(folder.intermediate).glob("*.pb")):
            yield source, Path(options.intermediate_output_graphs_dir).expanduser() / source.name
