"""What becomes of a story that runs out of memory: told apart, halved, begun anew, and given up in words; and of one
that is to stop.
"""

import os
import signal
import subprocess
import sys

import pytest

from engine.contract import dataset as datasets
from engine.contract import events, specs, tickets
from engine.contract.kinds.batch_classification import BatchClassificationSpec
from engine.contract.kinds.batch_size import BatchSizeSpec, BatchTried
from engine.contract.kinds.fine_tuning import FineTuned, FineTuningSpec
from engine.contract.kinds.race import RaceSpec
from engine.contract.run_folder import is_locked
from engine.worker import children
from engine.worker.batch_classification import label
from engine.worker.batch_size import sizes as batch_size
from engine.worker.race import retrain
from engine.worker.reporter import Reporter, RunCancelled, RunFailed
from tests.worker.test_run import Worker, child_of, only, read_text, told, wait_for


@pytest.fixture
def folder(home):
    folder = home.run("a-run")
    os.makedirs(folder.path)
    return folder


def tell(folder, fits, steps=100):
    spec = RaceSpec(seed=fits, steps=steps)
    specs.write(folder.spec, spec)
    children.run_story("tests.worker.hungry", spec, folder, Reporter(folder))


def test_photos_at_once_are_halved_in_a_new_process_until_it_fits_and_a_kill_is_told_from_a_refusal(folder):
    tell(folder, 2)
    story = told(folder)
    assert [(event.lane, event.batch_size) for event in only(story, events.BatchHalved)] == [("", 8), ("", 4), ("", 2)]
    whys = [warning.message for warning in only(story, events.Warning)]
    assert ["was refused the memory (ResourceExhausted)" in why for why in whys] == [True, True, False]
    assert ["the system killed the process (signal 9)" in why for why in whys] == [False, False, True]
    assert whys[2].endswith(
        "with at most 2 photos in memory at a time, and what they teach is added up: a step still learns from its "
        "whole batch."
    )


def test_what_does_not_even_fit_one_at_a_time_ends_in_words(folder):
    with pytest.raises(RunFailed, match="Training ran out of memory, and nothing is left to be made less") as caught:
        tell(folder, 0)
    assert caught.value.code == "out_of_memory"
    assert only(told(folder), events.BatchHalved)[-1].batch_size == 1


def test_a_run_that_is_to_stop_is_not_begun_anew(folder):
    with pytest.raises(RunCancelled):
        tell(folder, 2, steps=300)
    assert len(only(told(folder), events.Stage)) == 1
    assert only(told(folder), events.BatchHalved) == []


def test_a_child_that_ends_well_though_it_was_to_stop_is_the_last_one(folder):
    tell(folder, 16, steps=300)
    with pytest.raises(RunCancelled):
        tell(folder, 16)
    assert len(only(told(folder), events.Stage)) == 1


@pytest.mark.parametrize(
    "stage, asked, at_once, expected",
    [
        pytest.param("Training", {}, 0, 100, id="a batch"),
        pytest.param("Training", {"train_batch_size": -1}, 0, 24, id="every training photo"),
        pytest.param("Training", {}, 7, 7, id="halved before"),
        pytest.param("Bottlenecks", {"device": "gpu"}, 0, 32, id="a batch through the backbone"),
        pytest.param("Evaluating", {}, 0, 1, id="nothing to be made less"),
        pytest.param("Exporting", {}, 7, 1, id="one process after the other already"),
    ],
)
def test_how_many_photos_a_stage_of_a_retraining_takes_at_once(folder, photos, stage, asked, at_once, expected):
    datasets.write(folder.dataset, photos)
    assert retrain.in_memory(stage, RaceSpec(**asked), folder, at_once) == expected
    assert label.in_memory("Loading", BatchClassificationSpec(), folder, 0) == 1
    # An export that did not fit beside the other process changes nothing in the stages before.
    beside = retrain.in_memory("Exporting", RaceSpec(), folder, 0)
    assert beside // 2 >= retrain.in_memory("Training", RaceSpec(), folder, 0)


@pytest.fixture
def worker(home):
    running = Worker(home)
    yield running
    running.end()


def cancel(folder, process):
    """Ask it to stop while a process of its own works; nobody may be left."""
    teller = child_of(process.pid)
    open(folder.cancel, "w").close()
    assert process.wait() == 130, read_text(folder.log)
    assert only(told(folder), events.State)[-1].state == "cancelled"
    assert not os.path.exists(f"/proc/{teller}")
    assert not is_locked(folder.lock)
    assert tickets.line(folder.home, "cpu") == []


@pytest.mark.thorough
@pytest.mark.timeout(300)
def test_a_fine_tuning_with_batches_of_one_is_stopped_in_the_middle_and_leaves_nobody(worker, photos):
    spec = FineTuningSpec(blocks=(0, 1), epochs=100, batch_size=1)
    folder, process = worker.launch(spec, photos)
    wait_for(lambda: [1] in [metric.step for metric in only(told(folder), events.Metric)], 250)
    started = only(told(folder), events.LaneStarted)[0]
    assert (started.lane, started.batch_size, started.steps_an_epoch) == ("frozen", 1, 24)
    cancel(folder, process)
    assert only(told(folder), FineTuned) == []
    assert not os.path.exists(os.path.join(folder.path, "shared"))


def test_trying_batch_sizes_is_stopped_while_one_is_being_tried_and_leaves_nobody(worker):
    folder, process = worker.launch(BatchSizeSpec(blocks=0), None)
    wait_for(lambda: only(told(folder), events.Stage))
    wait_for(lambda: read_text(f"/proc/{process.pid}/task/{process.pid}/children"))
    cancel(folder, process)
    assert only(told(folder), BatchTried) == []
    left = ["artifacts", "cancel", "events.jsonl", "lock", "log.txt", "signature.json", "spec.json"]
    assert sorted(os.listdir(folder.path)) == left


@pytest.mark.thorough
@pytest.mark.timeout(300)
def test_a_retraining_that_is_refused_the_memory_of_its_batch_learns_it_in_parts(worker, photos):
    pytest.importorskip("ai_edge_litert")  # without it TensorFlow's own memory is more than the batch's
    spec = RaceSpec(steps=10**6, eval_step_interval=1, train_batch_size=100000, learning_rates=(0.5,), threads=1)
    # Not the machine's memory: the process may have 0.8 GB of address space, and the batch alone takes 0.5 GB.
    folder, process = worker.launch(spec, photos, address_space=8 * 10**8)
    wait_for(lambda: only(told(folder), events.Metric), 250)
    assert only(told(folder), events.BatchHalved)[0].batch_size == 50000
    message = only(told(folder), events.Warning)[0].message
    assert "Training ran out of memory: the process was refused the memory (ResourceExhausted)" in message
    cancel(folder, process)


@pytest.mark.parametrize(
    "words, bounded, expected",
    [
        ("Status: 1, message: could not create a memory object", False, True),
        ("std::bad_alloc", False, True),
        ("Status: 5, message: could not execute a primitive, in file mkl_matmul_op_fused.cc:306", True, True),
        ("Status: 5, message: could not execute a primitive, in file mkl_matmul_op_fused.cc:306", False, False),
        ("Incompatible shapes: [5] vs. [6]", True, False),
    ],
)
def test_the_words_of_libraries_that_were_refused_memory_are_known(words, bounded, expected):
    # In a process of its own: nothing lifts the bound again.
    code = (
        "import sys; from engine.worker import children, machine\n"
        "if sys.argv[2] == 'True': machine.bound_memory(2 * 10**9)\n"
        "print(children.is_want_of_memory(RuntimeError(sys.argv[1])))"
    )
    command = [sys.executable, "-c", code, words, str(bounded)]
    assert subprocess.check_output(command, universal_newlines=True).strip() == str(expected)


def test_a_child_that_dies_of_a_signal_under_a_limit_did_not_fit_and_one_that_was_through_did(folder):
    specs.write(folder.spec, BatchSizeSpec())
    codes = {}

    def fits(size):
        codes[size] = children.run_module("tests.worker.aborting", [folder.path, str(size)], Reporter(folder))
        return codes[size] == 0

    assert batch_size.largest_that_fits(fits, 8) == (2, True)
    assert codes == {1: 0, 2: 0, 4: -signal.SIGABRT, 3: -signal.SIGABRT}
    assert "memory" in children.why_it_ended(codes[3])
    assert told(folder) == []  # no error of the run


def test_why_a_child_ended_tells_a_refusal_from_a_kill():
    assert "ResourceExhausted" in children.why_it_ended(3)
    assert "the system killed the process" in children.why_it_ended(-9)
    assert "crashed (signal 6)" in children.why_it_ended(-6)
    assert "more memory than the limit" in children.why_it_ended(children.OVER)


def test_a_gpu_that_goes_away_is_named_with_what_to_do(folder):
    driver = "Failed to synchronize stream: CUDA_ERROR_LAUNCH_FAILED: unspecified launch failure\n\t [[node Relu6]]"
    Reporter(folder).fail(RuntimeError(driver))
    error = only(told(folder), events.Error)[0]
    assert error.code == "gpu_gone"
    assert error.message.endswith("CUDA_ERROR_LAUNCH_FAILED: unspecified launch failure")
    assert "Start the run on the CPU" in error.hint
