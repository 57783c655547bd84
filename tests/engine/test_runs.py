"""Run folders as records, made here by hand as a queue and a worker would."""

import os
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from engine.contract import VERSION, events, specs
from engine.contract import dataset as datasets
from engine.contract.dataset import Dataset, Photo
from engine.contract.kinds.batch_classification import BatchClassificationSpec
from engine.contract.kinds.fine_tuning import FineTuningSpec
from engine.contract.kinds.learning_curve import LearningCurveSpec
from engine.contract.kinds.mnist import STAGES, MnistSpec
from engine.contract.kinds.race import RaceSpec
from engine.contract.run_folder import LabHome, RunFolder, read_json, try_lock, write_json
from engine.errors import EngineError, RunNotFound
from engine.kinds import settings as run_settings
from engine.kinds.mnist.comparison import seconds_left
from engine.runs import delete, list_runs, open_run, size, zip_artifacts, zip_run

SPEC = RaceSpec()
DATASET = Dataset("Traffic lights", "/nowhere", ["green", "red"], [Photo("red/1.jpg", 1, "testing")])


@pytest.fixture
def home(tmp_path: Path) -> LabHome:
    return LabHome(str(tmp_path / "home"))


def make(home: LabHome, run_id: str, ticket: int, *told: object) -> RunFolder:
    folder = home.run(run_id)
    os.makedirs(folder.artifacts)
    specs.write(folder.spec, SPEC)
    datasets.write(folder.dataset, DATASET)
    events.append(folder.events, events.State(1000.0 + ticket, events.QUEUED, ticket), *told)
    return folder


def test_runs_are_listed_newest_first_by_ticket_whatever_the_clock_said(home: LabHome) -> None:
    assert list_runs(home) == []
    make(home, "20261122-100000-aaaaaa", 2)
    make(home, "20261122-090000-bbbbbb", 10)  # the clock was set back before it
    make(home, "20261122-110000-cccccc", 1)
    assert [run.story.ticket for run in list_runs(home)] == [10, 2, 1]


def test_what_is_no_run_or_half_a_run_is_left_out_and_disturbs_nothing(home: LabHome) -> None:
    make(home, "good", 1)
    os.makedirs(Path(home.runs, "being-made-just-now"))
    os.makedirs(Path(home.runs, ".deleted-old"))
    Path(home.runs, "a-file").write_text("x")
    for name, text in (("torn", "{"), ("odd", "[]"), ("other", '{"kind": "knit"}'), ("short", '{"kind": "retrain"}')):
        os.makedirs(Path(home.runs, name))
        Path(home.runs, name, "spec.json").write_text(text)
    assert [run.id for run in list_runs(home)] == ["good"]


def test_a_run_whose_photos_or_backbone_are_unknown_still_has_a_title(home: LabHome) -> None:
    folder = make(home, "a", 1)
    assert open_run(home, "a").title == "Traffic lights · MobileNet v2 · 3 learning rates"
    Path(folder.dataset).write_text("{")
    specs.write(folder.spec, SPEC._replace(backbone="of_tomorrow", learning_rates=(0.5,)))
    assert open_run(home, "a").title == "unknown photos · of_tomorrow · lr 0.5"


def everything_in(folder: Path) -> dict[str, object]:
    """Each name below a folder: the bytes of a file, where a link leads, or None for a folder."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        found[name] = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
    return found


@pytest.mark.parametrize(
    "spec, place",
    [
        pytest.param(RaceSpec(), "photos", id="retraining"),
        pytest.param(RaceSpec(), "home/datasets/photos", id="retraining on uploaded photos"),
        pytest.param(FineTuningSpec(), "photos", id="fine-tuning"),
        pytest.param(LearningCurveSpec(), "photos", id="learning curve"),
        pytest.param(BatchClassificationSpec(), "photos", id="pictures"),
        pytest.param(BatchClassificationSpec(), "home/pictures", id="a run that says that all pictures are its own"),
        pytest.param(BatchClassificationSpec(), "home/pictures/../../photos", id="a run that says so by a way around"),
    ],
)
def test_deleting_a_run_leaves_the_photos_as_they_are_byte_for_byte(
    home: LabHome, tmp_path: Path, spec: specs.Spec, place: str
) -> None:
    Path(home.pictures).mkdir(parents=True)
    photos = tmp_path / place
    (photos / "red").mkdir(parents=True)
    for number in range(3):
        (photos / "red" / f"{number}.jpg").write_bytes(os.urandom(100))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "4.jpg").write_bytes(os.urandom(100))
    (photos / "red" / "4.jpg").symlink_to(elsewhere / "4.jpg")
    (photos / "green").symlink_to(elsewhere)
    folder = make(home, "a", 1)
    specs.write(folder.spec, spec)
    found = [Photo(f"red/{number}.jpg", 1, "testing") for number in range(5)]
    datasets.write(folder.dataset, Dataset("Lights", str(photos), ["green", "red"], found))
    Path(folder.artifacts, "photos").symlink_to(photos)  # a link in the run's own folder leads there too
    Path(folder.path, "0.jpg").hardlink_to(photos / "red" / "0.jpg")
    before = everything_in(photos), everything_in(elsewhere)
    assert len(before[0]) == 6
    delete(home, "a")
    assert os.listdir(home.runs) == []
    assert (everything_in(photos), everything_in(elsewhere)) == before


@pytest.mark.parametrize(
    "run_id", ["", ".", "..", "../../x", "../runs/good", "/etc/passwd", "good/", "good/.", "./good", "a\0b", "x" * 5000]
)
def test_a_name_that_is_no_runs_opens_and_deletes_nothing(home: LabHome, run_id: str) -> None:
    make(home, "good", 1)
    Path(home.path, "spec.json").write_text("{}")  # so that climbing out would find something
    for act in (open_run, delete):
        with pytest.raises(RunNotFound):
            act(home, run_id)
    assert [run.id for run in list_runs(home)] == ["good"]
    assert Path(home.path, "spec.json").exists()


def test_a_living_run_is_not_deleted_and_a_dead_one_is_gone(home: LabHome) -> None:
    folder = make(home, "a", 1)
    lock = try_lock(folder.lock)
    with pytest.raises(EngineError, match="still working"):
        delete(home, "a")
    assert open_run(home, "a").is_active
    os.close(lock)
    assert open_run(home, "a").state == events.LOST
    delete(home, "a")
    assert os.listdir(home.runs) == []
    with pytest.raises(RunNotFound, match="It may have been deleted"):
        open_run(home, "a")


def test_the_story_of_a_run_is_told_by_its_events(home: LabHome) -> None:
    folder = make(
        home,
        "a",
        1,
        events.State(1010.0, events.RUNNING, 0),
        events.Stage(1010.0, events.BOTTLENECKS, 600),
        events.Progress(1012.0, 300),
        events.Skipped(1012.5, "red/9.jpg", "the file is empty"),
        events.Stage(1015.0, events.TRAINING, 4000),
        events.Metric(1016.0, "0.5", "validation", [10, 20], [0.1, 0.2], [0.8, 0.9], [0.5, None]),
    )
    run = open_run(home, "a")
    assert [(stage.name, stage.done, stage.ended) for stage in run.story.stages] == [
        (events.BOTTLENECKS, 600, 1015.0),
        (events.TRAINING, 0, None),
    ]
    assert run.seconds == 6.0
    assert run.lanes == ["0.005", "0.5", "1.0"]
    events.append(
        folder.events,
        events.Metric(1017.0, "0.5", "validation", [30], [0.3], [0.95], [0.2]),
        events.Diverged(1017.0, "1.0", 30, "It left the numbers."),
        events.Error(1018.0, "disk_full", "The disk is full.", "Make room."),
        events.State(1018.0, events.FAILED, 0),
    )
    run.refresh()
    curve = run.story.curves["0.5", "validation"]
    assert (curve.step, curve.accuracy, curve.cross_entropy) == ([10, 20, 30], [0.8, 0.9, 0.95], [0.5, None, 0.2])
    assert curve.told == [1015.9, 1016.0, 1017.0]
    assert run.state == events.FAILED
    assert run.story.error.message == "The disk is full."
    assert run.story.stages[-1].ended == 1018.0
    assert list(run.story.diverged) == ["1.0"]
    assert [skipped.file for skipped in run.story.skipped] == ["red/9.jpg"]


def compare(home: LabHome, *told: object, **asked: object) -> RunFolder:
    folder = home.run("c")
    os.makedirs(folder.artifacts)
    specs.write(folder.spec, MnistSpec(**asked))
    events.append(folder.events, events.State(1000.0, events.QUEUED, 1), *told)
    return folder


def steps(lane: str, first: int, last: int, each: float) -> events.Metric:
    """Training of one lane from step to step, at so many seconds each."""
    at = list(range(first, last + 1))
    return events.Metric(1.0, lane, "training", at, [each * step for step in at], [0.5] * len(at), [1.0] * len(at))


def test_a_comparison_is_told_by_its_events_and_needs_no_photos(home: LabHome) -> None:
    networks = MnistSpec().networks
    compare(
        home,
        events.State(1001.0, events.RUNNING, 0),
        events.LaneStarted(1002.0, "beginner", 60000, 0, 32, 1875, 9375),
        events.Stage(1002.0, events.TRAINING, 9375),
        steps("beginner", 1, 20, 0.01),
        events.LaneEnded(1003.0, "beginner", False),
        networks=networks[:1],
    )
    run = open_run(home, "c")
    assert (run.kind, run.lanes, run.titles) == ("mnist", ["beginner"], {"beginner": "Beginner"})
    assert run.title == "MNIST · Beginner · 5 epochs"
    assert run.stages == STAGES
    assert run.story.curves["beginner", "training"].step == list(range(1, 21))
    assert run.story.lanes_ended["beginner"].stopped is False
    assert open_run(home, "c").id in [each.id for each in list_runs(home)]


def test_time_left_is_each_networks_steps_at_its_own_pace_without_its_first_call(home: LabHome) -> None:
    started = [events.LaneStarted(1.0, lane, 60000, 0, 32, 100, 100) for lane in ("beginner", "small")]
    slow_start = events.Metric(2.0, "beginner", "training", [1, 2, 3, 4], [9.0] * 4, [0.1] * 4, [2.0] * 4)
    folder = compare(home, *started, events.Stage(2.0, events.TRAINING, 200), slow_start)
    run = open_run(home, "c")
    assert seconds_left(run) is None  # small has not begun
    events.append(folder.events, steps("small", 1, 50, 0.1))
    at = list(range(5, 21))
    later = events.Metric(3.0, "beginner", "training", at, [9.0 + 0.5 * (s - 4) for s in at], [0.1] * 16, [2.0] * 16)
    events.append(folder.events, later)
    assert seconds_left(run.refresh()) == pytest.approx(80 * 0.5 + 50 * 0.1)
    events.append(folder.events, events.LaneEnded(4.0, "beginner", True))
    assert seconds_left(run.refresh()) == pytest.approx(5.0)
    events.append(folder.events, events.Stage(5.0, events.EVALUATING, 2))
    assert seconds_left(run.refresh()) is None


def test_curves_begin_anew_where_a_comparison_does(home: LabHome) -> None:
    start = events.LaneStarted(1.0, "beginner", 60000, 0, 32, 100, 100)
    end = events.LaneEnded(2.0, "beginner", False)
    again = start._replace(batch_size=16)
    compare(home, start, steps("beginner", 1, 50, 0.1), end, again, steps("beginner", 1, 3, 0.1))
    story = open_run(home, "c").story
    assert story.lanes_ended == {}
    assert story.curves["beginner", "training"].step == [1, 2, 3]
    assert story.lanes_started["beginner"].batch_size == 16


def test_a_retraining_that_begins_anew_tells_its_photos_and_lanes_again(home: LabHome) -> None:
    told = [
        events.Stage(1001.0, events.TRAINING, 100),
        events.Skipped(1001.5, "red/2.jpg", "it is empty"),
        events.Metric(1002.0, "0.5", "training", [10], [0.1], [0.7], [0.9]),
        events.Diverged(1002.5, "0.5", 10, "It diverged."),
    ]
    make(home, "a", 1, *told, events.Warning(1003.0, "Training ran out of memory."), *told[:1])
    run = open_run(home, "a")
    assert run.story.curves["0.5", "training"].step == [10]
    events.append(run.folder.events, events.BatchHalved(1003.5, "", 50), *told[:3])
    story = run.refresh().story
    assert story.curves["0.5", "training"].step == [10]
    assert [photo.file for photo in story.skipped] == ["red/2.jpg"]
    assert story.diverged == {}
    assert [warning.message for warning in story.warnings] == ["Training ran out of memory."]


def test_a_run_says_which_version_of_the_lab_made_it_and_one_from_before_says_nothing(home: LabHome) -> None:
    folder = make(home, "new", 1)
    assert run_settings.which(open_run(home, "new")) == {"Lab": f"version {VERSION}", "Run": "new"}
    written = read_json(folder.spec)
    del written["version"]
    write_json(folder.spec, written)
    assert run_settings.which(open_run(home, "new")) == {"Run": "new"}


def test_only_the_end_of_a_long_log_is_read(home: LabHome) -> None:
    folder = make(home, "a", 1)
    run = open_run(home, "a")
    assert run.log_tail() == ""
    Path(folder.log).write_bytes(b"".join(b"line %d \xff\n" % number for number in range(50_000)))
    assert run.log_tail(2).splitlines() == ["line 49998 \ufffd", "line 49999 \ufffd"]


def test_what_a_run_kept_comes_as_one_zip(home: LabHome) -> None:
    folder = make(home, "a", 1)
    os.makedirs(folder.lanes)
    Path(folder.labels).write_text("green\nred\n")
    Path(folder.lanes, "0.5.npz").write_bytes(b"weights")
    with zipfile.ZipFile(BytesIO(zip_artifacts(open_run(home, "a")))) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == ["a/labels.txt", "a/lanes/0.5.npz", "a/spec.json"]


def test_predictions_are_read_once_they_are_there(home: LabHome) -> None:
    folder = make(home, "a", 1)
    run = open_run(home, "a")
    assert run.predictions() is None
    Path(folder.predictions).write_text('{"files": ["red/1.jpg"]}')
    assert run.predictions() == {"files": ["red/1.jpg"]}


def test_a_run_as_a_zip_is_its_folder_without_links_and_what_belongs_to_the_living(home: LabHome) -> None:
    folder = make(home, "a", 1)
    Path(folder.artifacts, "labels.txt").write_text("green\nred\n")
    Path(folder.artifacts, "passwd").symlink_to("/etc/passwd")
    for path in (folder.lock, folder.cancel):
        Path(path).touch()
    with zipfile.ZipFile(BytesIO(zip_run(open_run(home, "a")))) as archive:
        assert sorted(archive.namelist()) == [
            "a/artifacts/labels.txt", "a/dataset.json", "a/events.jsonl", "a/spec.json"
        ]  # fmt: skip
        archive.extractall(Path(home.path, "elsewhere", "runs"))
    assert open_run(LabHome(str(Path(home.path, "elsewhere"))), "a").title == open_run(home, "a").title
    assert size(home, "a") > 200
    assert size(home, "gone") == 0
