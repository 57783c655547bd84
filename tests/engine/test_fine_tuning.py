"""What unfreezing changed, and which batch size to take."""

import itertools
import json
import time

import numpy as np
import pytest

from engine.cli import main
from engine.contract import events, specs
from engine.contract.kinds.batch_size import BatchSizeResult, BatchSizeSpec, BatchTried
from engine.contract.kinds.fine_tuning import FineTuningSpec
from engine.contract.run_folder import LabHome
from engine.kinds.batch_size import batch_sizes
from engine.kinds.fine_tuning import depths as fine_tuning
from engine.runs import open_run
from tests.photo_folders import draw_photos
from tests.weights import pretend


def test_a_change_and_its_interval_come_from_the_photos_on_which_the_lanes_differ():
    truth = np.zeros(200, int)
    first, second = truth.copy(), truth.copy()
    first[:4] = 1  # only the second is right
    second[10:26] = 1  # only the first is right
    found = fine_tuning.difference(truth, first, second)
    assert (found.change, found.n) == (pytest.approx(-0.06), 200)
    # Agresti and Min: b' = 16.5, c' = 4.5, n' = 202
    middle, spread = -12 / 202, 1.959964 * np.sqrt(21 - 144 / 202) / 202
    assert (found.low, found.high) == (pytest.approx(middle - spread), pytest.approx(middle + spread))
    assert found.is_clear
    assert str(found) == "−6.0 pt (−10.3 to −1.6)"


@pytest.mark.parametrize("n", [1, 5, 60])
def test_two_lanes_that_answer_alike_still_have_an_interval(n):
    truth = np.zeros(n, int)
    found = fine_tuning.difference(truth, truth, truth)
    assert found.change == 0
    assert found.low < 0 < found.high
    assert not found.is_clear
    assert str(found).startswith("0.0 pt (")


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    # Every pair of counts that 40 photos can give, weighed by how probable it is where 10 % are gained and 5 % lost.
    n, gained, lost = 40, 0.10, 0.05
    log = np.cumsum(np.log(np.maximum(np.arange(n + 1), 1)))
    inside = 0.0
    for b, c in itertools.product(range(n + 1), repeat=2):
        if b + c > n:
            continue
        ways = log[n] - log[b] - log[c] - log[n - b - c]
        weight = np.exp(ways + b * np.log(gained) + c * np.log(lost) + (n - b - c) * np.log(1 - gained - lost))
        truth, first, second = np.zeros(n, int), np.zeros(n, int), np.zeros(n, int)
        first[:b] = 1
        second[b : b + c] = 1
        found = fine_tuning.difference(truth, first, second)
        inside += weight * (found.low <= gained - lost <= found.high)
    assert 0.94 < inside < 0.985


def test_no_photos_say_nothing():
    assert fine_tuning.difference([], [], []) == fine_tuning.Difference(0.0, -1.0, 1.0, 0)


def row(title, number, against, epoch_seconds=2.0, diverged=False):
    return fine_tuning.DepthRow(
        lane=title, title=title, number=number, parameters=1000 * (number + 1), peak_memory_bytes=10**9,
        epoch_seconds=epoch_seconds, batch_size=32, at_once=32, validation_accuracy=0.9, validation_n=60,
        test_accuracy=0.9, test_low=0.85, test_high=0.94, test_n=240, diverged=diverged, against=against,
    )  # fmt: skip


FROZEN = row("Frozen", 0, None, 0.5)


@pytest.mark.parametrize(
    "rows, conclusion, reasons",
    [
        pytest.param(
            [FROZEN, row("All blocks", 1, fine_tuning.Difference(-0.021, -0.05, 0.009, 240), 60)],
            "Unfreezing all blocks changed accuracy by −2.1 pt (−5.0 to +0.9): on 240 photos that is no difference.",
            "With all blocks learning an epoch took 1m 00s, frozen 0.5 s.",
            id="no difference",
        ),
        pytest.param(
            [
                FROZEN,
                row("Last block", 1, fine_tuning.Difference(0.04, 0.01, 0.07, 240)),
                row("All blocks", 2, fine_tuning.Difference(0.01, -0.02, 0.04, 240)),
            ],
            "Unfreezing the last block changed accuracy by +4.0 pt (+1.0 to +7.0): on 240 photos it gained more than "
            "chance.",
            "Unfreezing all blocks changed accuracy by +1.0 pt (−2.0 to +4.0): on 240 photos that is no difference.",
            id="what is clear comes first",
        ),
        pytest.param(
            [FROZEN, row("All blocks", 1, fine_tuning.Difference(-0.6, -0.7, -0.5, 240), 3.0, True)],
            "Unfreezing all blocks changed accuracy by −60.0 pt (−70.0 to −50.0): it diverged.",
            "an epoch took 3.0 s",
            id="diverged",
        ),
        pytest.param([FROZEN], "Frozen: 90.0% of 240 testing photos right.", "nothing to hold it against", id="alone"),
    ],
)
def test_the_verdict_says_what_unfreezing_changed(rows, conclusion, reasons):
    found = fine_tuning.verdict(rows)
    assert found.conclusion == conclusion
    assert reasons in found.reasons


@pytest.fixture
def tried(tmp_path):
    """A run that tried sizes: (batch, megabytes, images/s), None where it did not fit."""

    def tried(limit, bounded, *sizes):
        folder = LabHome(str(tmp_path)).run("a-run")
        tmp_path.joinpath("runs", "a-run").mkdir(parents=True)
        specs.write(folder.spec, BatchSizeSpec())
        for size, figures in sizes:
            said = (True, "", figures[0] * 10**6, figures[1]) if figures else (False, "It was killed", 0, 0.0)
            events.append(folder.events, BatchTried(time.time(), size, *said))
        largest = max(size for size, figures in sizes if figures)
        events.append(
            folder.events,
            BatchSizeResult(time.time(), largest, bounded, limit * 10**6, 7 * 10**8, 2_000_000, "a test"),
        )
        return open_run(LabHome(str(tmp_path)), "a-run")

    return tried


def test_the_smallest_size_that_is_nearly_as_fast_is_recommended(tried):
    run = tried(1600, True, (1, (800, 9.0)), (2, (860, 15.0)), (16, None), (4, (980, 21.0)), (8, (1220, 21.5)))
    found = batch_sizes.recommend(run)
    assert found.batch_size == 4
    assert found.conclusion == "Take batches of 4: 21.0 images/s in 980.0 MB."
    assert found.reasons == (
        "The largest that fits within 1.6 GB is 8. 8 gives no more speed for 240.0 MB more. "
        "Each picture more in a batch takes about 60.0 MB."
    )
    assert [each.batch_size for each in batch_sizes.tried(run.story)] == [1, 2, 4, 8, 16]


def test_a_size_that_leaves_no_memory_free_is_not_recommended(tried):
    run = tried(1000, False, (1, (700, 10.0)), (2, (990, 20.0)))
    found = batch_sizes.recommend(run)
    assert found.batch_size == 1
    assert (
        "Up to 2, the most that was tried, all fit within 1.0 GB. 2 is 100% faster for 290.0 MB more." in found.reasons
    )


FAULTS = [
    pytest.param({"backbone": "inception_v3_keras"}, "comes as a finished graph. Choose mobilenet_v2 or", id="graph"),
    pytest.param({"backbone": "../../etc"}, "whose blocks cannot learn", id="no backbone"),
    pytest.param({"blocks": ()}, "0 depths; choose 1 to 8.", id="none"),
    pytest.param({"blocks": (2, 2)}, "A depth is listed twice", id="twice"),
    pytest.param({"blocks": (-2,)}, "Number of blocks that learn is -2; choose 0 to 16 or -1 for all.", id="negative"),
    pytest.param({"batch_size": 0}, "Batch size is 0; choose 1 to 1,024.", id="no batch"),
    pytest.param({"body_learning_rate": float("nan")}, "Blocks' learning rate is nan", id="not a number"),
    pytest.param({"memory_limit": 5}, "Memory limit in MB is 5; choose 100 to 1,000,000 or 0 for none.", id="limit"),
    pytest.param({"testing_percentage": 80, "validation_percentage": 20}, "leave at least 10 %", id="nothing left"),
    pytest.param({"epochs": 0}, "Epochs is 0; choose 1 to 100.", id="no epoch"),
    pytest.param({"device": "tpu"}, "Device is 'tpu'", id="device"),
]


@pytest.mark.parametrize("change, sentence", FAULTS)
def test_what_cannot_be_asked_for_is_said(change, sentence):
    assert any(sentence in fault for fault in FineTuningSpec(**change).faults())


def test_batch_sizes_that_cannot_be_asked_for_are_said():
    spec = BatchSizeSpec(backbone="x", blocks=17, largest=0, memory_limit=-4)
    assert len(spec.faults()) == 4


@pytest.mark.parametrize("spec", [FineTuningSpec(), BatchSizeSpec()], ids=["fine_tune", "batch_size"])
def test_the_usual_settings_are_without_fault_and_come_back_from_their_file(spec, tmp_path):
    assert spec.faults() == []
    specs.write(str(tmp_path / "spec.json"), spec)
    assert specs.read(str(tmp_path / "spec.json")) == spec


@pytest.fixture
def engine(tmp_path, monkeypatch, capsys):
    """A command with --json, carried out by a worker that has no TensorFlow: its exit code and its answer."""
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "lab"))
    monkeypatch.setenv("FAKE_SECONDS", "0.2")
    pretend(LabHome(str(tmp_path / "lab")), "mobilenet_v2")

    def engine(*arguments):
        code = main([*arguments, "--json"], "tests.fakes.fake_worker")
        return code, json.loads(capsys.readouterr().out.splitlines()[-1])

    return engine


def test_depths_are_told_on_the_command_line(engine, tmp_path):
    photos = str(draw_photos(tmp_path / "lamps"))
    code, told = engine("fine_tune", "--image_dir", photos, "--blocks", "0,all", "--epochs", "2")
    assert (code, told["state"]) == (0, "done")
    assert [depth["blocks"] for depth in told["depths"]] == ["Frozen", "All blocks"]
    assert told["depths"][0]["change"] is None
    low, high = told["depths"][1]["change"][1:]
    assert low < told["depths"][1]["change"][0] < high
    assert told["verdict"].startswith("Unfreezing all blocks changed accuracy by +")
    code, told = engine("fine_tune", "--image_dir", photos, "--blocks", "0,99")
    assert (code, told["error"]) == (2, "Number of blocks that learn is 99; choose 0 to 16 or -1 for all.")


def test_batch_sizes_are_told_on_the_command_line(engine):
    code, told = engine("batch_size", "--largest", "32", "--memory_limit", "2000")
    assert (code, told["state"], told["largest"], told["recommended"]) == (0, "done", 16, 4)
    # The gap below the first that does not fit is halved until nothing lies between.
    assert [each["batch_size"] for each in told["tried"] if not each["fits"]] == [17, 18, 20, 24, 32]
