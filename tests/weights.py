"""Weights that are as good as fetched, for tests in which nobody reads their bytes."""

import json
from pathlib import Path

from engine import assets
from engine.contract.run_folder import LabHome


def pretend(home: LabHome, *names: str) -> None:
    """A file or a folder of files for each asset, and the stamp that says where it came from."""
    for name in names:
        row = assets.asset(name)
        path = Path(home.assets, name, row.file)
        for file in [path / each for each in row.files] or [path]:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"weights")
        stamp = {"sha256": row.sha256 or "ab" * 32, "extent": 7 * max(1, len(row.files)), "source": "a test"}
        Path(home.assets, name, ".verified").write_text(json.dumps(stamp))
