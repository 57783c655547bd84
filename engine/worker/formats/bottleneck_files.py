"""Bottlenecks as retrain.py keeps them: one text file a photo, which its users have from earlier.

    <bottleneck_dir>/<class folder>/<file>_<architecture>.txt    decimal floats, separated by commas, no header

Such a file says nothing of the photo's bytes: as in the original, a photo that was changed since keeps its old
bottleneck until the file is deleted. Python 3.6.
"""

import os
from typing import Any, Dict, Iterator, List, Optional

import numpy as np

from engine.contract import catalog


class BottleneckFiles:
    """The files of one folder for one backbone; with no folder, "", nothing is read or written.

    `photos` below are records with `entry.file`, "<class folder>/<file>", and `sha256`.
    """

    def __init__(self, folder: str, row: catalog.Backbone) -> None:
        self.folder, self.row = folder, row
        self._damaged: List[str] = []
        self._trouble: Optional[str] = None

    def path(self, file: str) -> str:
        return os.path.join(self.folder, f"{file}_{self.row.name}.txt")

    def read_all(self, photos: List[Any]) -> Dict[str, np.ndarray]:
        """sha256 -> (width,) float32 for the photos that have a whole file."""
        found: Dict[str, np.ndarray] = {}
        for photo in photos if self.folder else []:
            vector = self.read(photo.entry.file)
            if vector is not None:
                found[photo.sha256] = vector
        return found

    def read(self, file: str) -> Optional[np.ndarray]:
        """(width,) float32 of one photo; None where it has no file, or none that is whole."""
        path = self.path(file)
        try:
            with open(path, encoding="ascii") as text:
                vector = np.array(text.read(64 * self.row.width).split(","), np.float32)
        except FileNotFoundError:
            return None
        except (OSError, ValueError):  # not readable, no text, no numbers
            vector = np.empty(0, np.float32)
        if vector.shape != (self.row.width,) or not np.isfinite(vector).all():
            self._damaged.append(path)
            return None
        return vector

    def write_missing(self, photos: List[Any], vectors: Dict[str, Any]) -> None:
        """A file for every photo that has none or a damaged one; every float with the digits that bring it back.

        `vectors`: sha256 -> (width,) float32, or a text where the photo cannot be used.
        """
        for photo in photos if self.folder else []:
            path, vector = self.path(photo.entry.file), vectors[photo.sha256]
            if isinstance(vector, str) or (os.path.exists(path) and path not in self._damaged):
                continue
            part = f"{path}.{os.getpid()}.part"
            try:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(part, "w", encoding="ascii") as text:
                    text.write(",".join(map(str, vector)))
                os.replace(part, path)
            except OSError as error:
                self._trouble = error.strerror
                return

    def remarks(self) -> Iterator[str]:
        """Whole sentences about what was damaged or could not be written."""
        if self._damaged:
            yield "Bottleneck files were cut short or belong to another backbone, and were made again: {}{}.".format(
                ", ".join(self._damaged[:3]),
                f" and {len(self._damaged) - 3:,} more" if len(self._damaged) > 3 else "",
            )
        if self._trouble:
            yield f"Bottleneck files cannot be written to {self.folder}: {self._trouble}."
