"""Whole comparisons in processes of their own, as the queue starts them."""

import os
import resource
import signal
import subprocess
import sys

import numpy as np
import pytest

from engine.contract import catalog, events, layers, protocol, tickets
from engine.contract.kinds.mnist import STAGES, MnistResult, MnistSpec, NetworkExported, NetworkResult
from engine.contract.run_folder import is_locked, read_json
from engine.worker.mnist import batches, networks
from engine.worker.reporter import Reporter, RunFailed
from tests.worker.test_run import ROOT, Worker, child_of, only, read_text, told, wait_for
from tests.worker.test_summaries import read

BEGINNER = catalog.network("beginner")
TINY = catalog.network("small")._replace(
    name="tiny", title="Tiny", layers="conv 6 5, batchnorm, relu, pool 2, pool 2, dropout 0.1, flatten, dense 10"
)
STOPPED = BEGINNER._replace(name="stopped", title="Stopped", layers="flatten, dense 10")
LONG = 100  # epochs: longer than any test


@pytest.fixture
def some_digits(home, digits):
    """2,400 training pictures, 300 for testing, as a set that somebody uploaded."""
    os.makedirs(home.datasets)
    few = {"x_train": 2400, "y_train": 2400, "x_test": 300, "y_test": 300}
    np.savez(os.path.join(home.datasets, "some.npz"), **{name: digits[name][:count] for name, count in few.items()})
    return "some"


@pytest.fixture
def comparing(home, some_digits):
    running = Comparing(home)
    yield running
    running.end()


class Comparing(Worker):
    def ask(self, file_size=resource.RLIM_INFINITY, address_space=resource.RLIM_INFINITY, **asked):
        usual = MnistSpec("some", (BEGINNER, TINY), 0, 2, 0, "cpu")
        return self.launch(usual._replace(**asked), None, file_size, address_space)

    def compare(self, **asked):
        folder, process = self.ask(**asked)
        return folder, process.wait(), told(folder)


def curve(story, lane, split, field="step"):
    return [value for each in only(story, events.Metric) if (each.lane, each.split) == (lane, split)
            for value in getattr(each, field)]  # fmt: skip


@pytest.mark.timeout(300)
def test_a_comparison_from_pictures_to_files_that_answer_the_same(comparing, digits):
    folder, process = comparing.ask(networks=(BEGINNER, TINY, STOPPED))
    open(folder.stop("stopped"), "w").close()  # before its first step
    assert process.wait() == 0, read_text(folder.log)
    story = told(folder)
    assert [state.state for state in only(story, events.State)] == ["queued", "running", "done"]
    assert [stage.name for stage in only(story, events.Stage)] == list(STAGES)

    started = {each.lane: each for each in only(story, events.LaneStarted)}
    assert (started["beginner"].training, started["beginner"].validation) == (2400, 0)  # as in the tutorial
    assert (started["tiny"].training, started["tiny"].validation) == (2160, 240)
    assert (started["tiny"].batch_size, started["tiny"].steps_an_epoch, started["tiny"].steps) == (128, 17, 34)
    assert curve(story, "beginner", "training") == list(range(1, 151))
    assert curve(story, "beginner", "validation") == []
    assert curve(story, "tiny", "training") == list(range(1, 35))
    assert curve(story, "tiny", "validation") == [17, 34]
    # Side by side: neither is done before the other has begun.
    order = [each.lane for each in only(story, events.Metric)]
    assert order.index("tiny") < len(order) - 1 - order[::-1].index("beginner")
    ended = {each.lane: each.stopped for each in only(story, events.LaneEnded)}
    assert ended == {"beginner": False, "tiny": False, "stopped": True}
    assert [step for step, _ in read(folder.summaries, "tiny", "validation")["accuracy_1"]] == [17, 34]
    assert read(folder.summaries, "tiny", "train")["cross_entropy_1"][-1][0] == 34

    said = read_json(folder.predictions)
    truth = np.array(said["truth"])
    assert truth.tolist() == digits["y_test"][:300].tolist()
    for result in only(story, NetworkResult):
        predicted = np.array(said["lanes"][result.lane]["predicted"])
        assert result.test_accuracy == pytest.approx((predicted == truth).mean())
        assert result.test_n == 300
        if result.lane == "stopped":  # it is tested as it is, while the others go on
            assert (result.epochs, result.stopped, result.images_per_second) == (0, True, 0)
            continue
        assert result.test_accuracy > 0.6
        assert (result.epochs, result.stopped) == (2, False)
        assert result.train_seconds == pytest.approx(curve(story, result.lane, "training", "seconds")[-1], abs=0.01)
        pictures = 2 * started[result.lane].training
        assert result.images_per_second == pytest.approx(pictures / result.train_seconds, rel=0.01)
    results = {each.lane: each for each in only(story, NetworkResult)}
    assert (results["beginner"].validation_accuracy, results["beginner"].best_epoch) == (None, 0)
    accuracies = curve(story, "tiny", "validation", "accuracy")
    assert results["tiny"].validation_accuracy == pytest.approx(accuracies[-1], abs=1e-4)
    assert results["tiny"].best_epoch == 1 + int(np.argmax(accuracies))

    for exported in only(story, NetworkExported):  # by a process that loaded the files again
        assert exported.images == 64
        assert exported.difference <= 1e-4
        assert exported.image_seconds > 0
    assert only(story, MnistResult)[0].peak_memory_bytes > 50e6

    with np.load(folder.digits) as kept:
        wrong = {at for lane in said["lanes"].values() for at in np.flatnonzero(np.array(lane["predicted"]) != truth)}
        assert set(kept["index"]) == wrong
        assert np.array_equal(kept["pixels"], digits["x_test"][kept["index"]])
        assert np.abs(kept["mean"] - digits["x_train"][:2400].mean(axis=0)).max() <= 0.5
        sevens = digits["x_train"][:2400][digits["y_train"][:2400] == 7]
        assert np.abs(kept["class_means"][7] - sevens.mean(axis=0)).max() <= 0.5
    assert not is_locked(folder.lock)
    assert tickets.line(comparing.home, "cpu") == []

    # What the weights alone say is what the run said: nothing else is needed to have the network again.
    with np.load(os.path.join(folder.lanes, "tiny.npz")) as weights:
        rows = layers.costs(layers.read(TINY.layers))
        pixels = (digits["x_test"][:300, ..., None] / np.float32(255)).astype(np.float32)
        answers = networks.logits(rows, {name: weights[name] for name in weights.files}, pixels).numpy()
    assert (answers.argmax(axis=1) == said["lanes"]["tiny"]["predicted"]).mean() >= 0.99

    ask_the_classifier(folder, digits)


def ask_the_classifier(folder, digits):
    """It answers a digit with every network of the run, as the run itself did."""
    process = subprocess.Popen(
        [sys.executable, "-m", "engine.worker.classify.classifier", folder.home.path],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )

    def question(model, at):
        return protocol.encode(protocol.ClassifyDigit(model, digits["x_test"][at].tobytes()))

    lines = [question(folder.id, at) for at in range(20)] + [question("no-run", 0)]
    answers, _ = process.communicate(("\n".join(lines) + "\n").encode())
    answers = [protocol.decode(line, protocol.ANSWERS) for line in answers.decode().splitlines()]
    said = read_json(folder.predictions)["lanes"]
    for at, answer in enumerate(answers[:20]):
        assert [network.lane for network in answer.networks] == ["beginner", "tiny", "stopped"]
        for network in answer.networks:
            assert sum(network.probabilities) == pytest.approx(1, abs=1e-4)
            assert int(np.argmax(network.probabilities)) == said[network.lane]["predicted"][at]
    sentence = "There are no trained networks of 'no-run'. The run may have been deleted."
    assert answers[20] == protocol.Refusal(sentence)


@pytest.mark.once
def test_cancelling_in_the_first_batch_keeps_what_there_is(comparing):
    folder, process = comparing.ask(epochs=LONG)
    wait_for(lambda: any(stage.name == "Training" for stage in only(told(folder), events.Stage)))
    open(folder.cancel, "w").close()
    assert process.wait() == 130
    assert only(told(folder), events.State)[-1].state == "cancelled"
    assert sorted(os.listdir(folder.lanes)) == ["beginner.npz", "tiny.npz"]
    assert only(told(folder), NetworkResult) == []
    assert not is_locked(folder.lock)


@pytest.mark.thorough
def test_a_killed_story_begins_anew_with_half_the_batch_of_the_hungriest_and_a_killed_worker_ends_it(comparing):
    folder, process = comparing.ask(epochs=LONG)
    wait_for(lambda: only(told(folder), events.Metric))
    os.kill(child_of(process.pid), signal.SIGKILL)  # as the kernel does where the memory is full
    wait_for(lambda: len(only(told(folder), events.LaneStarted)) == 4)
    story = told(folder)
    assert [(each.lane, each.batch_size) for each in only(story, events.BatchHalved)] == [("tiny", 64)]
    assert [each.batch_size for each in only(story, events.LaneStarted)] == [32, 128, 32, 64]
    warning = only(story, events.Warning)[0].message
    assert "killed by signal 9, most likely for want of memory; Tiny needs most of it." in warning
    assert "with 64 pictures a batch" in warning

    teller = child_of(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not is_locked(folder.lock)
    assert only(told(folder), events.State)[-1].state == "running"
    wait_for(lambda: not os.path.exists(f"/proc/{teller}"), 10)


@pytest.mark.thorough
@pytest.mark.timeout(300)
def test_running_out_of_memory_is_survived_with_a_smaller_batch(comparing):
    # Not the machine's memory: the process may have 5 GB of address space, and this network asks for more.
    wide = TINY._replace(name="wide", title="Wide", layers="conv 256 3, relu, average, dense 10", batch_size=8192)
    folder, process = comparing.ask(networks=(BEGINNER, wide), epochs=LONG, address_space=5 * 10**9)
    wait_for(lambda: only(told(folder), events.BatchHalved), 250)
    open(folder.cancel, "w").close()
    assert process.wait() == 130
    halved = only(told(folder), events.BatchHalved)[0]
    assert (halved.lane, halved.batch_size) == ("wide", 2160 // 2)  # of all pictures, which are fewer than 8,192
    assert "Wide" in only(told(folder), events.Warning)[0].message


def test_a_story_that_dies_again_and_again_ends_in_words(home):
    folder = home.run("a-run")
    os.makedirs(folder.path)
    report, spec = Reporter(folder), MnistSpec()
    for deaths in range(1, batches.DEATH_LIMIT):
        batches.halve_hungriest(spec, folder, report, 11, deaths)
    with pytest.raises(RunFailed, match="was killed 5 times, the last time by signal 11"):
        batches.halve_hungriest(spec, folder, report, 11, batches.DEATH_LIMIT)
    sizes = {network.name: network.batch_size for network in batches.as_halved(spec, folder)}
    assert sum(size < catalog.network(name).batch_size for name, size in sizes.items()) >= 1


def test_a_network_that_runs_out_of_memory_is_named(home):
    folder = home.run("a-run")
    os.makedirs(folder.path)
    with pytest.raises(batches.OutOfMemory) as caught, batches.memory_of(TINY):
        raise MemoryError()
    batches.halve(caught.value, Reporter(folder))
    assert only(told(folder), events.Warning)[0].message == (
        "Tiny ran out of memory with 128 pictures a batch. "
        "The run was started again in a new process, with 64 pictures a batch of that network."
    )


def test_pictures_that_are_missing_or_damaged_fail_with_what_to_do(comparing):
    _, code, story = comparing.compare(data="fashion_mnist")
    assert code == 1
    error = only(story, events.Error)[0]
    assert (error.code, error.hint) == ("missing_digits", "Run `python -m engine assets fashion_mnist`.")
    assert only(story, events.State)[-1].state == "failed"
    path = os.path.join(comparing.home.datasets, "some.npz")
    damages = [{"x_train": np.zeros((5, 28, 28))}, {"x_test": np.zeros((3, 28, 27), np.uint8)}, {}]
    for number, damage in enumerate(damages):
        with np.load(path) as file:
            whole = {name: file[name] for name in file.files}
        if damage:
            np.savez(os.path.join(comparing.home.datasets, f"bad{number}.npz"), **dict(whole, **damage))
        else:
            with open(os.path.join(comparing.home.datasets, f"bad{number}.npz"), "wb") as file:
                file.write(b"PK\x03\x04 not an archive")
        _, code, story = comparing.compare(data=f"bad{number}")
        assert code == 1
        assert only(story, events.Error)[0].code == "bad_digits"


@pytest.mark.thorough
def test_a_disk_that_fills_while_exporting_loses_nothing_that_was_learned(comparing):
    # The disk itself stays as it is: no file of this run may exceed 1 MB, and one of the exported ones would.
    large = BEGINNER._replace(name="large", title="Large", layers="flatten, dense 260, relu, dense 10")
    folder, process = comparing.ask(networks=(TINY, large), epochs=1, file_size=10**6)
    code = process.wait()
    assert code == 1
    story = told(folder)
    assert only(story, events.Error)[0].code == "disk_full", read_text(folder.log)
    assert os.path.isfile(folder.predictions)
    assert len(only(story, NetworkResult)) == 2
    assert not [name for name in os.listdir(folder.networks) if name.endswith(".part")]


def test_a_long_curve_is_the_mean_of_equally_many_batches(digits):
    from engine.worker.mnist.comparison import CURVE_LIMIT, Lane
    from engine.worker.mnist.fitting import Block

    class Learner:
        steps = 2 * CURVE_LIMIT + 1  # so that three batches make a point

    lane = Lane(BEGINNER, Learner(), None, np.zeros(0))
    steps = np.arange(1, 8)
    points = lane.points(Block(steps[:5].tolist(), [0.1 * s for s in steps[:5]], steps[:5] * 1.0, steps[:5] * 0.1))
    assert [(step, round(loss, 6), round(share, 6)) for step, _, loss, share in points] == [(3, 2.0, 0.2)]
    points = lane.points(Block([6, 7], [0.6, 0.7], np.array([6.0, 7.0]), np.array([0.6, 0.7])))
    assert [(step, round(loss, 6)) for step, _, loss, _ in points] == [(6, 5.0)]
