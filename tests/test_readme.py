"""What README.md promises: its commands run, its make targets are there, its settings are read."""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engine import assets, settings
from engine.cli import _parser
from engine.contract.run_folder import LabHome, RunFolder
from engine.runs import list_runs
from engine.worker.formats.summaries import Summaries
from engine.worker.reporter import Reporter
from tests.engine.test_cli import as_good_as_fetched
from tests.photo_folders import draw_photos
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
PROGRAM = ".venv/bin/python -m engine"
COMMANDS = re.findall(rf"^    {re.escape(PROGRAM)} (.+)$", README, re.MULTILINE)
# Those that a worker without TensorFlow can do, by their first words, as README has them one after the other. What the
# others say is tested where a real interpreter answers: tests/engine/test_models.py, test_poets.py, test_assets*.py.
RUN_HERE = (
    "retrain", "fine_tune", "batch_size", "learning_curve", "mnist", "import_summaries", "runs", "questions",
    "report", "assets",
)  # fmt: skip
NOT_RUN_HERE = ("questions --measure", "assets mobilenet_0.50_224")
SHELL = f"exec {shlex.quote(sys.executable)} -c 'import sys; from engine.cli import main; sys.exit(main(sys.argv[1:], "
SHELL += '"tests.fakes.fake_worker"))\' '


def runs_here(command: str) -> bool:
    return command.startswith(RUN_HERE) and not command.startswith(NOT_RUN_HERE)


def bytes_of(folder: Path) -> dict[str, tuple[str, int]]:
    """File -> sha256 of its content, and when it was changed."""
    return {
        str(file.relative_to(folder)): (hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_mtime_ns)
        for file in folder.rglob("*")
        if file.is_file()
    }


# --- commands --------------------------------------------------------------------------------------------------------


def test_readme_has_a_command_of_each_kind():
    listed = subprocess.run([sys.executable, "-m", "engine", "--help"], cwd=ROOT, capture_output=True, text=True)
    known = set(re.findall(r"^    ([a-z_]+)(?: |$)", listed.stdout, re.MULTILINE))
    assert len(known) >= 15
    assert {command.split()[0] for command in COMMANDS} == known


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_readme_is_one_that_the_command_line_takes(command):
    options = _parser().parse_args(shlex.split(command, comments=True))  # ends the process where it does not
    assert callable(options.command)


@pytest.fixture
def user(tmp_path: Path) -> dict[str, str]:
    """The environment of a visitor who has photos, TensorBoard files and the usual downloads."""
    home = LabHome(str(tmp_path / ".lab"))
    draw_photos(tmp_path / "photos", each=24)
    elsewhere = RunFolder(str(tmp_path / "elsewhere"))
    summaries = Summaries(elsewhere, ["lane"], Reporter(elsewhere))
    summaries.scalars("lane", "training", [(10, 0.5, 1.0), (20, 0.75, 0.5)])
    summaries.scalars("lane", "validation", [(10, 0.5, 1.0), (20, 0.625, 0.75)])
    summaries.close()
    (tmp_path / "tf_files").mkdir()
    shutil.move(Path(elsewhere.summaries) / "lane", tmp_path / "tf_files" / "training_summaries")
    for name in assets.EMBEDDED:
        as_good_as_fetched(home, name)
    kept = {name: value for name, value in os.environ.items() if name not in ("LAB_DATA", "WORKER_PYTHON")}
    own = {"HOME": str(tmp_path), "LAB_HOME": home.path, "FAKE_SECONDS": "0.3", "PYTHONPATH": str(ROOT)}
    return kept | own


@pytest.mark.timeout(600)
def test_the_commands_of_readme_do_their_work_and_leave_the_photos_as_they_were(user, tmp_path):
    home = LabHome(user["LAB_HOME"])
    before = bytes_of(tmp_path / "photos")
    said = {}
    for command in filter(runs_here, COMMANDS):
        ended = subprocess.run(
            ["sh", "-c", SHELL + command], cwd=tmp_path, env=user, capture_output=True, text=True, timeout=300
        )
        assert ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
        said[command.partition("#")[0].strip()] = ended.stdout
    wait_until(lambda: not any(run.refresh().is_active for run in list_runs(home)))
    kinds = {run.kind for run in list_runs(home) if run.state == "done"}
    assert kinds == {"retrain", "fine_tune", "batch_size", "learning_curve", "mnist", "imported"}
    assert len(said["runs"].splitlines()) == len(list_runs(home)) == 6
    assert (tmp_path / "write-up.html").read_text().startswith("<!doctype html>")
    assert bytes_of(tmp_path / "photos") == before


# --- make ------------------------------------------------------------------------------------------------------------


def make(*words: str) -> str:
    kept = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
    return subprocess.run(["make", *words], cwd=ROOT, env=kept, capture_output=True, text=True).stdout


def test_every_target_that_readme_names_is_one_and_each_target_does_something():
    rules = {block.partition(":")[0].splitlines()[-1]: block for block in make("-pnq", "help").split("\n\n") if block}
    named = set(re.findall(r"(?:^    (?:sudo )?|`)make ([a-z0-9-]+)", README, re.MULTILINE))
    assert {"run", "test", "test-thorough", "image-tx2", "check-tx2"} <= named
    phony = set(re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split())
    assert named <= phony
    idle = {target for target in phony if "recipe to execute" not in rules[target]}
    assert idle == set()


def test_every_variable_that_readme_gives_to_make_is_one_of_the_makefile():
    given = set(re.findall(r"make [a-z0-9-]+ ([A-Z]+)=", README))
    assert given >= {"ADDRESS", "PYTHON"}
    declared = set(re.findall(r"^([A-Z]+) \?=", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert given <= declared


# --- settings --------------------------------------------------------------------------------------------------------


class Asked(dict):
    """An environment that remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get(self, name, default=None):
        self.names.add(name)
        return default


def names_that_are_read() -> set[str]:
    environ = Asked()
    settings.load(environ)
    settings.load_door(environ)
    return environ.names


def test_every_setting_that_is_read_is_described_where_it_is_read_and_no_other():
    described = set(re.findall(r"^([A-Z_]+)  +\S", settings.__doc__, re.MULTILINE))
    assert described == names_that_are_read()


def test_readme_names_every_setting_and_no_other():
    named = set(re.findall(r"`((?:LAB|WORKER)_[A-Z_]+|TEGRASTATS)", README))
    assert named == names_that_are_read() - {"WORKER_MODULE"}  # for tests alone


def test_the_table_of_readme_has_what_only_serve_py_reads():
    rows = re.findall(r"^\| (`LAB_.*?) \|", README, re.MULTILINE)
    environ = Asked()
    settings.load_door(environ)
    assert set(re.findall(r"LAB_[A-Z_]+", " ".join(rows))) == environ.names


def test_the_example_values_of_readme_are_taken():
    examples = dict(re.findall(r"`(LAB_[A-Z]+)=([^`]+)`", README))
    assert set(examples) >= {"LAB_HOSTS", "LAB_DOOR", "LAB_PROXIES"}
    door = settings.load_door(examples)
    assert door.hosts == {"lab.example", "tx2"}
    assert door.proxies == ("172.17.0.1",)
    assert {settings.load_door({"LAB_DOOR": state}).state for state in ("on", "off")} == {"on", "off"}
