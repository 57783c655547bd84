"""Importing as pages and the command line do it."""

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from engine import report, settings
from engine.contract.kinds.imported import ImportedSpec
from engine.contract.run_folder import RunFolder
from engine.errors import EngineError, ImportRefused, SpecError
from engine.kinds.imported import importing as imported
from engine.runs import delete, list_runs, open_run
from engine.runs.queue import Queue
from engine.worker.formats.summaries import Summaries
from engine.worker.reporter import Reporter

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def lab(tmp_path):
    return settings.load({"LAB_HOME": str(tmp_path / "lab")})


@pytest.fixture
def files(tmp_path) -> Path:
    """The event files of one lane as this lab writes them, somewhere else."""
    folder = RunFolder(str(tmp_path / "elsewhere" / "runs" / "old"))
    summaries = Summaries(folder, ["old run"], Reporter(folder))
    summaries.scalars("old run", "training", [(10, 0.5, 1.0), (20, 0.75, 0.5)])
    summaries.scalars("old run", "validation", [(10, 0.5, 1.0), (20, 0.625, 0.75)])
    summaries.close()
    return Path(folder.summaries) / "old run"


def test_an_imported_run_is_listed_read_and_deleted_as_any_other(lab, files):
    found = imported.import_summaries(lab, files)
    assert found.warnings == []
    run = open_run(lab.home, found.run_id)
    assert (run.state, run.title, run.kind) == ("done", "old run · imported", "imported")
    assert (run.lanes, run.titles, run.stages) == (["old run"], {"old run": "old run"}, ())
    assert run.story.curves["old run", "validation"].accuracy == [0.5, 0.625]
    assert [each.id for each in list_runs(lab.home)] == [
        each.id for each in list_runs(lab.home) if each.kind == "imported"
    ]
    with pytest.raises(SpecError, match="not run again"):
        Queue(lab.home, sys.executable).start(run.spec)
    delete(lab.home, run.id)
    assert list_runs(lab.home) == []


def test_a_report_does_not_say_where_on_this_machine_the_files_were(lab, files, tmp_path):
    found = imported.import_summaries(lab, files)
    made = report.of_runs(lab, [found.run_id])
    with zipfile.ZipFile(io.BytesIO(report.markdown_zip(made, 1.9e9))) as archive:
        written = [archive.read(name).decode(errors="replace") for name in archive.namelist()]
    for text in [report.html(made, lab, 1.9e9), *written]:
        assert str(tmp_path) not in text


def test_what_cannot_be_imported_leaves_nothing_behind(lab, tmp_path):
    with pytest.raises(ImportRefused, match="There is no event file of TensorBoard below"):
        imported.import_summaries(lab, tmp_path)
    assert os.listdir(lab.home.runs) == []


def test_a_worker_that_cannot_be_run_is_said(tmp_path, files):
    lab = settings.load({"LAB_HOME": str(tmp_path / "lab"), "WORKER_PYTHON": "/no/such/python"})
    with pytest.raises(EngineError, match="Cannot run WORKER_PYTHON=/no/such/python"):
        imported.import_summaries(lab, files)


def test_a_title_is_kept_to_one_line_of_text(lab, files):
    found = imported.import_summaries(lab, files, "  **My**\n<b>run</b> · 2017  ")
    spec = open_run(lab.home, found.run_id).spec
    assert isinstance(spec, ImportedSpec)
    assert spec.title == "My b run b 2017"


def test_the_command_line_imports_too(lab, files):
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "engine", "import_summaries", *arguments]
        environment = os.environ | {"LAB_HOME": lab.home.path}
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)

    ran = run(str(files), "--title", "Of 2017")
    assert ran.returncode == 0, ran.stderr
    (made,) = list_runs(lab.home)
    assert (ran.stdout, made.title) == (f"Imported as {made.id}.\n", "Of 2017 · imported")
    ran = run(str(files / "none"), "--json")
    assert ran.returncode == 2
    assert "There is no folder" in ran.stdout
