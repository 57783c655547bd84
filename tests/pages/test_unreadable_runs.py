"""One folder in runs/ that is no run, whatever is wrong with it: every page shows the others, and it can be deleted."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engine import runs
from engine.contract import specs
from engine.contract.kinds.race import RaceSpec
from tests.pages.test_runs import SINGLE, listed, texts

NESTED = "[" * 200_000
PAGES = ("", "runs", "playground", "mnist", "retraining", "qa", "device")


def spec(**changes):
    return json.dumps({"kind": "retrain", **RaceSpec()._asdict(), **changes})


def events(**changes):
    state = {"kind": "state", "t": 1.9e9, "state": "done", "ticket": 1}
    return json.dumps(state | changes) + "\n"


# name -> the files of a copied run that are other than they should be; None: a folder in its place
HOSTILE = {
    "null": {"spec.json": "null"},
    "list": {"spec.json": "[]"},
    "number": {"spec.json": "3"},
    "not-json": {"spec.json": "{"},
    "not-text": {"spec.json": b"\xff\xfe\x00"},
    "nested": {"spec.json": NESTED},
    "kind-unknown": {"spec.json": spec(kind="later")},
    "format-newer": {"spec.json": spec(format=specs.FORMAT + 1)},
    "format-text": {"spec.json": spec(format="1")},
    "kind-list": {"spec.json": spec(kind=[])},
    "device-null": {"spec.json": spec(device=None)},
    "steps-text": {"spec.json": spec(steps="many")},
    "steps-huge": {"spec.json": spec(steps=10**400)},
    "rates-number": {"spec.json": spec(learning_rates=3)},
    "rates-text": {"spec.json": spec(learning_rates=["a"])},
    "rates-nan": {"spec.json": spec(learning_rates=[float("nan")])},
    "rates-none": {"spec.json": spec(learning_rates=[])},
    "spec-folder": {"spec.json": None},
    "events-nested": {"events.jsonl": NESTED + "\n"},
    "events-t": {"events.jsonl": events(t=None)},
    "events-ticket": {"events.jsonl": events(ticket="x")},
    "events-state": {"events.jsonl": events(state=[])},
    "events-list": {"events.jsonl": "[]\n3\nnull\n"},
    "events-infinite": {"events.jsonl": events(t=float("inf"))},
    "dataset-null": {"dataset.json": "null"},
    "dataset-title": {"dataset.json": json.dumps({"title": 3, "root": None, "labels": 3, "files": []})},
    "dataset-nested": {"dataset.json": NESTED},
    "contract-list": {"artifacts/contract.json": "[]"},
    "contract-nested": {"artifacts/contract.json": NESTED},
}
# The others are odd and can be listed like any run.
UNREADABLE = {name for name in HOSTILE if not name.startswith(("events", "dataset", "contract", "rates-none"))}


@pytest.fixture
def among_others(start, home):
    """A run that is as it should be, and copies of it that are not."""
    (good,) = start(SINGLE)
    for name, files in HOSTILE.items():
        folder = Path(home.runs, name)
        shutil.copytree(good.folder.path, folder)
        for file, text in files.items():
            path = folder / file
            path.unlink()
            if text is None:
                path.mkdir()
            else:
                path.write_bytes(text if isinstance(text, bytes) else text.encode())
        os.utime(folder, (1.7e9, 1.7e9))
    return good


def run_command(*arguments):
    return subprocess.run([sys.executable, "-m", "engine", *arguments, "--json"], capture_output=True, text=True)


def test_damaged_folders_break_no_page_and_no_command(among_others, visit):
    for page in PAGES:
        assert not visit(page).exception, page
    assert among_others.title in texts(visit("retraining", run=among_others.id))
    assert among_others.title in listed(visit("runs"))
    for command in ("questions", "models"):
        assert run_command(command).returncode == 0, command
    found = {row["id"]: row["state"] for row in json.loads(run_command("runs").stdout)["runs"]}
    assert set(found) == {*HOSTILE, among_others.id}
    assert {name for name, state in found.items() if state == "unreadable"} >= UNREADABLE
    assert found[among_others.id] == "done"


def test_each_of_them_can_be_deleted_without_being_read(among_others, visit, home):
    app = visit("runs")
    offered = {button.key for button in app.button}
    assert {f"delete_{name}" for name in UNREADABLE} <= offered
    app.button(key="delete_null").click().run()
    app.button(key="delete_confirmed").click().run()
    assert not Path(home.runs, "null").exists()
    for name in HOSTILE.keys() - {"null"}:
        runs.delete(home, name)
    assert os.listdir(home.runs) == [among_others.id]


def test_a_link_in_the_place_of_a_run_goes_and_what_it_leads_to_stays(start, home, tmp_path):
    (good,) = start(SINGLE)
    kept = tmp_path / "kept"
    shutil.copytree(good.folder.path, kept)
    Path(home.runs, "link").symlink_to(kept)
    runs.delete(home, "link")
    assert (kept / "spec.json").is_file()
    assert os.listdir(home.runs) == [good.id]
