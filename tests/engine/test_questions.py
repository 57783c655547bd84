"""The questions as they stand in content/, and what their figures become with and without runs."""

import dataclasses
import json
import os
import re
import shutil
import sys
import time
from pathlib import Path

import pytest

from engine import cli, photos
from engine.contract import catalog, events, hardware
from engine.contract.kinds.batch_size import BatchSizeSpec
from engine.contract.kinds.fine_tuning import FineTuningSpec
from engine.contract.kinds.mnist import MnistSpec
from engine.contract.kinds.race import LaneResult, RaceSpec
from engine.contract.run_folder import LabHome
from engine.kinds import settings as run_settings
from engine.kinds.blocks import Chart, Table, Text
from engine.questions import evidence, questions, quoted, write_up
from engine.runs import list_runs, open_run
from engine.runs.queue import Queue
from engine.settings import Settings
from tests.photo_folders import draw_photos
from tests.weights import pretend

ALL = questions.read_all()
QUERIES = [(question.number, name) for question in ALL for name in question.runs]


def of(number):
    return next(question for question in ALL if question.number == number)


# --- the text --------------------------------------------------------------------------------------------------------

# Digits that are names or settings, and no figures. Whatever else is a number in the prose has to be a reference.
NAMES = r"MobileNet v[12]|Inception v3|MobileNet 0\.50 224|TensorFlow [12]|lr (0\.005|0\.5|1\.0)"


def prose(question):
    parts = [*question.answer, *question.original]
    return [piece for part in parts if not isinstance(part, questions.Reference) for piece in part.parts]


@pytest.mark.parametrize("question", ALL, ids=lambda question: question.title)
def test_no_figure_is_typed_into_an_answer(question):
    for piece in prose(question):
        if isinstance(piece, str):
            assert not re.search(r"\d", re.sub(NAMES, "", piece)), piece


@pytest.mark.parametrize("question", ALL, ids=lambda question: question.title)
def test_an_answer_begins_with_its_conclusion_and_is_short(question):
    first = question.answer[0]
    assert isinstance(first, questions.Paragraph)
    text = "".join(piece if isinstance(piece, str) else "figure" for piece in first.parts)
    assert text.startswith("**")
    assert len(text.splitlines()) <= 4
    assert question.sources


def test_the_questions_are_those_of_the_coursework():
    assert [question.number for question in ALL] == list(range(1, 19))
    assert of(8).name == "Low learning rate"  # addresses of answers are kept: ?q=8


def test_every_quoted_figure_is_used_and_says_where_it_comes_from():
    used = {piece.field for question in ALL for piece in prose(question) if not isinstance(piece, str)}
    assert set(quoted.FIGURES) <= used
    assert all(row.words and row.source for row in quoted.FIGURES.values())


HEAD = """+++
number = 1
name = "Name"
question = "Question?"
[runs.race]
kind = "retrain"
learning_rates = [0.005]
+++
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("**No head**", "must begin with TOML"),
        (HEAD + "{{race.tested lane=0.5}}", "choose lane= one of 0.005"),
        (HEAD + "{{race.tested width=3}}", "choose lane= one of 0.005"),
        (HEAD + "{{race.colour}}", "runs of kind retrain have no figure colour"),
        (HEAD + "{{other.tested}}", r"there is no \[runs.other\]"),
        (HEAD + "{{quoted.weight}}", "has no such figure"),
        (HEAD + "It has {{race.curves}} here.", "must stand alone"),
        (HEAD + "It has {{race tested}} here.", "figures are written"),
        (HEAD + "It has {{race.tested here.", "figures are written"),
        (HEAD.replace('"retrain"', '"resprain"'), "kind is 'resprain'; choose one of retrain, "),
        (HEAD.replace("learning_rates", "learning_rate"), "a query has no learning_rate"),
        (HEAD.replace("0.005", "30.0"), "Learning rate is 30"),
        (HEAD.replace("number = 1", "number = 1\nnumbers = 2"), "unknown fields numbers"),
        (HEAD.replace('name = "Name"\n', ""), "name"),
    ],
)
def test_a_file_that_is_not_as_it_should_be_says_what_is_wrong(tmp_path, text, said):
    (tmp_path / "wrong.md").write_text(text)
    with pytest.raises(ValueError, match=rf"wrong\.md: .*{said}"):
        questions.read_all(tmp_path)


def test_two_questions_with_one_number_are_refused(tmp_path):
    for name in ("a.md", "b.md"):
        (tmp_path / name).write_text(HEAD)
    with pytest.raises(ValueError, match="Two questions have the number 1"):
        questions.read_all(tmp_path)


# --- what fits -------------------------------------------------------------------------------------------------------

RACE = RaceSpec()
DIGITS = MnistSpec()


@pytest.mark.parametrize(
    ("asked", "given", "fitting"),
    [
        pytest.param({"kind": "retrain", "learning_rates": [0.5]}, RACE, True, id="a race with that lane"),
        pytest.param({"kind": "retrain", "learning_rates": [0.1]}, RACE, False, id="a race without it"),
        pytest.param({"kind": "retrain", "device": "gpu"}, RACE, False, id="another device"),
        pytest.param({"kind": "retrain"}, RACE._replace(random_crop=10), False, id="distorted photos"),
        pytest.param({"kind": "retrain"}, RACE._replace(group="a"), False, id="half of a comparison"),
        pytest.param({"kind": "devices"}, RACE._replace(group="a"), True, id="the comparison"),
        pytest.param({"kind": "devices"}, RACE, False, id="no comparison"),
        pytest.param({"kind": "retrain", "backbone": ["inception_v3", "mobilenet_v2"]}, RACE, True, id="either"),
        pytest.param({"kind": "retrain", "backbone": ["inception_v3"]}, RACE, False, id="another backbone"),
        pytest.param({"kind": "mnist", "networks": ["beginner"]}, DIGITS, True, id="one of its networks"),
        pytest.param({"kind": "mnist"}, DIGITS._replace(training_images=5000), False, id="only some digits"),
        pytest.param({"kind": "mnist"}, DIGITS._replace(data="fashion_mnist"), False, id="other pictures"),
        pytest.param({"kind": "mnist"}, RACE, False, id="another kind"),
        pytest.param(
            {"kind": "mnist", "networks": ["beginner"]},
            DIGITS._replace(networks=(catalog.network("small")._replace(name="beginner"),)),
            False,
            id="another network of that name",
        ),
        pytest.param({"kind": "fine_tune", "blocks": [0, 2]}, FineTuningSpec(), True, id="both depths"),
        pytest.param({"kind": "fine_tune", "blocks": [4]}, FineTuningSpec(), False, id="another depth"),
        pytest.param({"kind": "batch_size"}, BatchSizeSpec(blocks=2), False, id="fewer blocks"),
    ],
)
def test_whether_a_run_fits_a_query(asked, given, fitting):
    assert evidence.fits(evidence.query(asked), given) is fitting


@pytest.mark.parametrize(("number", "name"), QUERIES)
def test_what_would_be_run_for_a_query_answers_it(number, name):
    asked = of(number).runs[name]
    spec = evidence.spec(asked)
    assert spec.faults() == []
    assert evidence.fits(asked, spec)


# --- with runs -------------------------------------------------------------------------------------------------------


def settings_of(home: LabHome) -> Settings:
    return Settings(home, (Path(home.datasets),), sys.executable)


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> LabHome:
    """A finished run for every query."""
    home = LabHome(str(tmp_path_factory.mktemp("measured")))
    root = draw_photos(Path(home.datasets) / "lamps")
    scan = photos.scan(root, "Lamps <script>alert(1)</script>")
    queue = Queue(home, sys.executable, "tests.fakes.fake_worker")
    os.environ["FAKE_SECONDS"] = "0"
    try:
        for asked in dict.fromkeys(of(number).runs[name] for number, name in QUERIES):
            spec, dataset = evidence.spec(asked), None
            if asked.kind not in ("mnist", "batch_size"):
                dataset = photos.split(scan, spec.validation_percentage, spec.testing_percentage)
            if asked.kind == evidence.DEVICES:
                group = "-".join(asked.backbone)
                for threads in (1, 2):
                    queue.start(spec._replace(threads=threads, group=group), dataset)
            else:
                queue.start(spec, dataset)
        deadline = time.monotonic() + 90
        while any(run.is_active for run in list_runs(home)):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        del os.environ["FAKE_SECONDS"]
    assert {run.state for run in list_runs(home)} == {"done"}
    for run in list_runs(home):
        if run.spec._asdict().get("group"):  # the worker that stands in exports nothing
            events.append(run.folder.events, events.Exported(time.time(), "model.tflite", 9, 1.0, 9, 0.0, 0.021))
    return home


def reader(home: LabHome):
    """question's number -> its answer from the runs of that home, which are read once."""
    found = settings_of(home)
    find = evidence.finder(found)
    return lambda number: write_up.answer(of(number), find, found)


@pytest.fixture(scope="module")
def answer(measured):
    return reader(measured)


@pytest.mark.parametrize("number", range(1, 19))
def test_every_figure_has_a_run_or_a_source_and_without_runs_the_mark_that_it_is_missing(
    measured, answer, tmp_path, number
):
    ids = set(os.listdir(measured.runs))
    here = answer(number)
    for figure in here.figures:
        if figure.state == write_up.QUOTED_FROM:
            assert figure.source
            assert figure.run_id == ""
        else:
            assert figure.state == write_up.MEASURED_HERE, figure
            assert figure.run_id in ids
    assert here.missing == []
    nothing = reader(LabHome(str(tmp_path)))(number)
    assert [figure.state for figure in nothing.figures] == [
        write_up.QUOTED_FROM if figure.state == write_up.QUOTED_FROM else write_up.NOT_MEASURED
        for figure in here.figures
    ]
    assert nothing.missing == list(of(number).runs)
    said = "".join(block.markdown for block in nothing.blocks if isinstance(block, Text))
    assert ("not measured yet" in said) == bool(nothing.missing)
    # Charts and tables stand only where there is something to draw.
    drawn = [part for part in of(number).answer if isinstance(part, questions.Reference)]
    assert len([block for block in here.blocks if isinstance(block, Chart | Table)]) == len(drawn)
    assert not [block for block in nothing.blocks if isinstance(block, Chart | Table)]


def test_the_figures_are_those_of_the_run(answer):
    here = answer(8)
    run = here.evidence["race"].runs[0]
    low = run.story.by_lane(LaneResult)["0.005"]
    said = here.blocks[0].markdown
    assert f"{low.test_accuracy * 100:.1f}%" in said
    assert "<script>" not in said.replace("\\<script", "")  # a name of photos stays what it is


def test_an_answer_says_on_which_machine_its_run_was(measured, answer, tmp_path):
    here = answer(8).evidence["race"]
    assert evidence.where(here) == "Measured here"
    assert hardware.describe(hardware.here()) in evidence.described(here)
    # As a folder that is copied from a board comes.
    (run,) = here.runs
    copied = LabHome(str(tmp_path)).run(run.id)
    shutil.copytree(run.folder.path, copied.path)
    board = hardware.here()._replace(name="Jetson TX2", power_mode="MAXN")
    events.append(copied.events, board)
    there = reader(LabHome(str(tmp_path)))(8).evidence["race"]
    assert evidence.where(there) == "Measured on another machine"
    assert "Jetson TX2, " in evidence.described(there)
    assert run_settings.everything(there.runs[0])["Machine"] == hardware.describe(board)


def test_the_command_line_lists_what_is_measured_and_what_is_missing(measured, tmp_path, monkeypatch, capsys):
    for home, state in ((measured.path, "measured here"), (str(tmp_path), "missing: race")):
        monkeypatch.setenv("LAB_HOME", home)
        assert cli.main(["questions"]) == 0
        (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("8. ")]
        assert state in line
    assert cli.main(["questions", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["questions"]
    assert rows[7] == {"number": 8, "question": of(8).question, "runs": [], "missing": ["race"]}


def test_the_command_line_does_the_runs_that_questions_miss(tmp_path, monkeypatch, capsys):
    home = LabHome(str(tmp_path))
    monkeypatch.setenv("LAB_HOME", home.path)
    monkeypatch.setenv("FAKE_SECONDS", "0")
    monkeypatch.delenv("WORKER_PYTHON", raising=False)
    pretend(home, "mobilenet_v2", "traffic_lights")
    folder = Path(home.assets, "traffic_lights", "photos")
    folder.unlink()
    draw_photos(folder)

    def measure(*numbers: str) -> tuple[int, str, str]:
        code = cli.main(["questions", "--measure", *numbers], "tests.fakes.fake_worker")
        return code, *capsys.readouterr()

    code, out, err = measure("8", "9")
    assert code == 0, err
    (run,) = list_runs(home)  # one race answers both
    assert run.spec == RaceSpec()
    assert "Measuring a run of Retraining with MobileNet v2 at lr 0.005, 0.5, 1.0 on Traffic lights, " in err
    assert [line.split()[-1] for line in out.splitlines() if line.startswith(("8. ", "9. "))] == [run.id, run.id]
    assert measure("8", "9")[0] == 0
    assert len(list_runs(home)) == 1  # nothing is missing any more
    code, out, err = measure("10")  # photos of one's own, which nobody has brought
    assert code == 1
    assert "Nobody has brought photos of their own yet" in err
    assert measure("99") == (1, "", "There is no question 99; they are 1 to 18.\n")


def test_a_comparison_of_devices_takes_the_newest_run_of_each(measured):
    asked = of(11).runs["devices"]
    halves = [run for run in list_runs(measured) if evidence.fits(asked, run.spec)]
    known = [evidence.known(run.folder, run.state, run.started) for run in halves]
    again = [dataclasses.replace(known[0], id="again", started=known[0].started + 9)]
    broken = [dataclasses.replace(known[1], id="broken", started=known[0].started + 9, state="failed")]
    runs = {run.id: run for run in halves} | {"again": halves[0]}
    asked_for = []

    def opened(run_id):
        asked_for.append(run_id)
        return runs[run_id]

    found = evidence.find(asked, known + again + broken, opened, settings_of(measured))
    assert len(found.runs) == 2
    assert set(asked_for) == {"again", known[1].id}
    alone = evidence.find(asked, known[:1], opened, settings_of(measured))
    assert alone.runs == ()


def test_the_newest_run_answers_or_the_one_that_is_pinned(measured):
    known = [evidence.known(run.folder, run.state, run.started) for run in list_runs(measured)]
    asked = evidence.query({"kind": "retrain"})
    fitting = [each for each in known if evidence.fits(asked, each.spec)]
    assert len(fitting) > 1

    def find(query):
        return evidence.find(query, known, lambda run_id: open_run(measured, run_id), settings_of(measured))

    assert find(asked).runs[0].id == max(fitting, key=lambda each: (each.started, each.id)).id
    oldest = min(fitting, key=lambda each: each.started).id
    assert find(dataclasses.replace(asked, pinned=oldest)).runs[0].id == oldest
    gone = find(dataclasses.replace(asked, pinned="20200101-000000-abcdef"))
    assert (gone.runs, gone.gone) == ((), True)
    devices = of(11).runs["devices"]
    both = [run.id for run in find(devices).runs]
    assert [run.id for run in find(dataclasses.replace(devices, pinned=both[1])).runs] == both


def test_a_run_is_pinned_for_one_question_and_let_go_again(tmp_path):
    home = LabHome(str(tmp_path))
    assert questions.pinned(ALL, home) == ALL
    questions.pin(home, of(8), "race", "some-run")
    pinned = {question.number: question for question in questions.pinned(ALL, home)}
    assert pinned[8].runs["race"].pinned == "some-run"
    assert pinned[9] == of(9)
    questions.pin(home, of(8), "race", "")
    assert questions.pinned(ALL, home) == ALL
    (tmp_path / "answers" / "pinned.json").write_text("[1, 2")
    assert questions.pinned(ALL, home) == ALL


def test_a_run_that_goes_on_or_failed_is_told_and_answers_nothing(measured):
    run = next(run for run in list_runs(measured) if evidence.fits(of(8).runs["race"], run.spec))
    done = evidence.known(run.folder, "done", run.started)

    def find(*states):
        known = [
            evidence.Known(f"{run.id}-{number}", state, run.started + number, done.spec, done.root)
            for number, state in enumerate(states)
        ]
        return evidence.find(of(8).runs["race"], known, lambda run_id: run, settings_of(measured))

    going_on = find("failed", "running")
    assert (going_on.runs, [each.state for each in going_on.pending], going_on.failed) == ((), ["running"], None)
    assert find("failed", "lost").failed.state == "lost"
    assert find("cancelled").failed is None
    both = find("done", "queued")
    assert both.runs
    assert both.pending


@pytest.mark.parametrize("damage", ["predictions", "dataset", "events cut", "spec alone", "names"])
def test_a_damaged_folder_never_breaks_an_answer(measured, tmp_path, damage):
    home = LabHome(str(tmp_path / "lab"))
    shutil.copytree(measured.runs, home.runs)
    for run in list_runs(home):
        folder = run.folder
        if damage == "predictions" and os.path.exists(folder.predictions):
            Path(folder.predictions).write_text('{"truth": [0')
        elif damage == "dataset" and os.path.exists(folder.dataset):
            Path(folder.dataset).write_text("[]")
        elif damage == "events cut":
            whole = Path(folder.events).read_bytes()
            done = whole.splitlines(keepends=True)[-1]
            Path(folder.events).write_bytes(whole[: len(whole) // 2] + b"\n" + done)
        elif damage == "spec alone":
            for name in (folder.events, folder.dataset):
                Path(name).unlink(missing_ok=True)
        elif damage == "names" and os.path.exists(folder.dataset):
            value = json.loads(Path(folder.dataset).read_text())
            value["labels"][0] = "<script>alert(1)</script>" + "a" * 10_000
            Path(folder.dataset).write_text(json.dumps(value))
    answer = reader(home)
    for question in ALL:
        for block in answer(question.number).blocks:
            if isinstance(block, Chart):
                assert block.draw(False)
