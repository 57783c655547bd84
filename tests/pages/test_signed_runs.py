"""Runs from before the lab signed what it makes: their owner is asked about them, on Runs or in a shell."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engine.contract import signatures
from tests.pages.test_runs import SINGLE, button


@pytest.fixture
def before(start, home):
    """Two runs of a lab that did not sign its runs yet."""
    found = start(SINGLE, SINGLE)
    shutil.rmtree(home.private)
    for run in found:
        Path(run.folder.signature).unlink()
    return found


def test_runs_from_before_the_signatures_are_asked_about_once(before, visit):
    mine, other = before
    app = visit("runs")
    assert set(app.multiselect(key="older_ours").value) == {mine.id, other.id}
    app.multiselect(key="older_ours").set_value([mine.id]).run()
    app.button(key="sign_older").click().run()
    assert not [each for each in app.multiselect if each.key == "older_ours"]
    assert signatures.refusal(mine.folder) == ""
    assert "was not made by this lab" in signatures.refusal(other.folder)
    assert button(app, "Import")


def test_the_command_line_asks_before_it_signs(before):
    mine, other = before

    def answer(text, *arguments):
        command = [sys.executable, "-m", "engine", "runs", "sign", *arguments]
        return subprocess.run(command, input=text, capture_output=True, text=True)

    ran = answer("\n")
    assert ran.returncode == 1
    assert {mine.id, other.id} <= set(ran.stderr.split())
    assert signatures.refusal(mine.folder)
    assert answer("y\n").returncode == 0
    assert [signatures.refusal(run.folder) for run in before] == ["", ""]
    Path(mine.folder.signature).unlink()
    assert signatures.refusal(mine.folder)
    assert answer("", "--yes", mine.id).returncode == 0
    assert signatures.refusal(mine.folder) == ""
