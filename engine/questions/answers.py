"""Visitors' own answers to the questions: Markdown, every version kept in LAB_HOME/answers/<number>/<version>.md.

A version's name is the time at which it was saved, so that names sort by age. Nothing is ever overwritten: whoever
saves an answer that began from an older version than the newest adds a version too, and is told of the other one.
"""

import re
import time
from dataclasses import dataclass
from pathlib import Path

from engine.contract.run_folder import LabHome
from engine.errors import EngineError

LIMIT = 20_000  # characters of an answer
_NAME = re.compile(r"\d{8}-\d{6}-\d{6}")


@dataclass(frozen=True)
class Version:
    name: str  # "20261125-211502-004213"
    saved: float  # Unix seconds
    text: str  # Markdown as it was typed; `harmless` before it is drawn


@dataclass(frozen=True)
class Saved:
    version: Version
    missed: Version | None  # saved by somebody else since this one was begun: both are kept


def versions(home: LabHome, number: int) -> list[Version]:
    """Of the answer to that question, the newest first; what cannot be read is left out."""
    found = []
    for path in sorted(_folder(home, number).glob("*.md"), reverse=True):
        if _NAME.fullmatch(path.stem):
            try:
                found.append(Version(path.stem, path.stat().st_mtime, path.read_text(encoding="utf-8").strip()))
            except (OSError, ValueError):
                continue
    return found


def newest(home: LabHome, number: int) -> Version | None:
    return next(iter(versions(home, number)), None)


def save(home: LabHome, number: int, text: str, begun_from: str) -> Saved:
    """Add a version; `begun_from`: the name of the version that was edited, "" where there was none.

    The newest one saved again is no new version. Raises EngineError for a text that is too long, and where the disk is
    full or not writable.
    """
    text = text.replace("\r\n", "\n").replace("\0", "").strip()
    if len(text) > LIMIT:
        raise EngineError(f"This answer has {len(text):,} characters; shorten it to {LIMIT:,}. It was not saved.")
    before = newest(home, number)
    if before and before.text == text:
        return Saved(before, None)
    folder = _folder(home, number)
    data = (text + "\n").encode("utf-8", "replace")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        name = _write(folder, data)
    except OSError as error:
        raise EngineError(
            f"The answer cannot be written to {folder}: {error.strerror}. Free some disk space and save it again."
        ) from error
    version = Version(name, (folder / f"{name}.md").stat().st_mtime, text)
    return Saved(version, before if before and before.name != begun_from else None)


def _write(folder: Path, data: bytes) -> str:
    """A file of its own, whole or not at all; two that are saved in the same moment get two names."""
    while True:
        now = time.time()
        name = time.strftime("%Y%m%d-%H%M%S", time.localtime(now)) + f"-{int(now % 1 * 1e6):06d}"
        part = folder / f".{name}.part"
        try:
            with open(part, "xb") as file:
                file.write(data)
            # A link fails where there is such a version already; renaming would overwrite it.
            (folder / f"{name}.md").hardlink_to(part)
            return name
        except FileExistsError:
            time.sleep(0.0001)
        finally:
            part.unlink(missing_ok=True)


def harmless(text: str) -> str:
    """Markdown that loads nothing: pictures become links. HTML is left to whoever draws it, who shows it as text."""
    return text.replace("![", "[")


def _folder(home: LabHome, number: int) -> Path:
    return Path(home.path, "answers", str(number))
