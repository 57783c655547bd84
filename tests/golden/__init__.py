"""Run folders as the real worker writes them: one for each kind of run, and one for each ending of a retraining run.

    runs/<name>/    the run's folder; its id is its name
    photos.zip      the photos and pictures that those runs refer to, below lamps/ and street/
    digits.npz      the digits that the comparison of networks learned from
    sizes.json      run -> file -> bytes of what is too large to be kept here: models, weights, summaries

`python -m tests.golden.make` makes all of it anew. Their figures all differ from each other, so that a page that shows
one in the place of another is noticed (tests/test_golden.py).
"""

import contextlib
import fcntl
import json
import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

from engine.contract.run_folder import LabHome

HERE = Path(__file__).resolve().parent
RUNS, PHOTOS, DIGITS, SIZES = HERE / "runs", HERE / "photos.zip", HERE / "digits.npz", HERE / "sizes.json"

# The endings of these runs are no final state: nobody is alive who could go on with them, unless `held` says so.
QUEUED, RUNNING, LOST = "race_queued", "race_running", "race_lost"

# What the run folders say for the places on the machine that they were made on.
LAB, APP, PYTHON, ELSEWHERE = "/lab", "/app", "/python", "/photos"


def names() -> list[str]:
    """Every run folder, by name."""
    return sorted(path.name for path in RUNS.iterdir())


def copy(home: LabHome, *wanted: str) -> list[str]:
    """Put these runs (default: all) into the home, with the photos, pictures and digits that they refer to.

    Their dataset.json names the photos where they lie in that home. What is too large to be kept in the repository is
    as long as it was and holds nothing: a file of zeros that takes no room on the disk. Returns the ids.
    """
    ids = list(wanted) or names()
    datasets = Path(home.datasets)
    if not (datasets / "lamps").exists():
        datasets.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(PHOTOS) as archive:
            archive.extractall(datasets)
        shutil.copyfile(DIGITS, datasets / "bars.npz")
    sizes = json.loads(SIZES.read_text())
    for name in ids:
        folder = home.run(name)
        shutil.copytree(RUNS / name, folder.path)
        os.makedirs(folder.artifacts, exist_ok=True)  # git keeps no empty folder
        for file, size in sizes.get(name, {}).items():
            path = Path(folder.path, file)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as empty:
                empty.truncate(size)
        if os.path.exists(folder.dataset):
            text = Path(folder.dataset).read_text(encoding="utf-8")
            Path(folder.dataset).write_text(text.replace(f'"{ELSEWHERE}/', f'"{datasets}/'), encoding="utf-8")
    return ids


@contextlib.contextmanager
def held(home: LabHome, *ids: str) -> Iterator[None]:
    """While this lasts, these runs look alive: somebody holds their locks, as their workers would."""
    with contextlib.ExitStack() as stack:
        for run_id in ids:
            lock = stack.enter_context(open(home.run(run_id).lock, "w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def raw_events(run_id: str, kind: str = "", **fields: object) -> list[dict]:
    """The run's events as they stand in the file, in order; those of one kind, whose fields have these values."""
    lines = (RUNS / run_id / "events.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    return [
        each
        for each in found
        if kind in ("", each["kind"]) and all(each.get(name) == value for name, value in fields.items())
    ]


def raw_json(run_id: str, file: str) -> dict:
    """A JSON file of the run, "spec.json" or "artifacts/predictions.json"."""
    return json.loads((RUNS / run_id / file).read_text(encoding="utf-8"))


def ending(run_id: str) -> str:
    """The last state that the run reported: "done", or "running" where it never said another."""
    return raw_events(run_id, "state")[-1]["state"]


def readings(run_id: str) -> list[dict]:
    """What the machine did during the run, as it stands in the file."""
    lines = (RUNS / run_id / "device.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]
