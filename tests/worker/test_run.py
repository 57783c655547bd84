"""Whole runs in processes of their own, as the queue starts them."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from engine.contract import dataset as datasets
from engine.contract import events, specs, tickets
from engine.contract.kinds.race import STAGES, LaneResult, RaceResult, RaceSpec
from engine.contract.run_folder import is_locked, read_json
from engine.worker import images

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
QUICK = RaceSpec(steps=60, train_batch_size=20, validation_batch_size=-1)


class Worker:
    """Starts real workers under one home, as engine/runs/queue.py does, and ends those it started."""

    def __init__(self, home):
        self.home, self.number, self.processes = home, 0, []

    def start(self, dataset, file_size=resource.RLIM_INFINITY, **asked):
        return self.launch(QUICK._replace(**asked), dataset, file_size)

    def launch(self, spec, dataset, file_size=resource.RLIM_INFINITY, address_space=resource.RLIM_INFINITY):
        """The run's folder and its process, which may write files and have memory of so many bytes."""
        self.number += 1
        folder = self.home.run(f"run-{self.number}")
        os.makedirs(folder.artifacts)
        specs.write(folder.spec, spec)
        if dataset is not None:
            datasets.write(folder.dataset, dataset)
        ticket = tickets.take(self.home, spec.device, folder.id)
        events.append(folder.events, events.State(time.time(), events.QUEUED, ticket))
        with open(folder.log, "wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "engine.worker", folder.path],
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=lambda: limit(file_size, address_space),
            )
        self.processes.append(process)
        return folder, process

    def finish(self, dataset, **asked):
        folder, process = self.start(dataset, **asked)
        return folder, process.wait(), told(folder)

    def end(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()


def limit(file_size, address_space):
    """Of this process and its children, in bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_AS, (address_space, resource.RLIM_INFINITY))


def read_text(path):
    with open(path) as file:
        return file.read()


def told(folder):
    return events.Reader(folder.events).read()


def only(story, kind):
    return [event for event in story if isinstance(event, kind)]


def wait_for(condition, seconds=240):
    deadline = time.time() + seconds
    while not condition():
        assert time.time() < deadline, f"it did not happen within {seconds} s"
        time.sleep(0.02)


@pytest.fixture
def worker(home):
    running = Worker(home)
    yield running
    running.end()


def test_a_run_from_photos_to_files(worker, photos):
    folder, code, story = worker.finish(photos, learning_rates=(0.05, 0.5))
    assert code == 0, read_text(folder.log)
    assert [state.state for state in only(story, events.State)] == ["queued", "running", "done"]
    assert [stage.name for stage in only(story, events.Stage)] == list(STAGES)

    result = only(story, RaceResult)[0]
    assert (result.images, result.training, result.validation, result.testing) == (36, 24, 6, 6)
    assert (result.cached, result.computed) == (0, 36)
    assert result.export_photos == 6
    assert result.export_difference <= 1e-4
    assert result.peak_memory_bytes > 50e6

    lanes = {lane.lane: lane for lane in only(story, LaneResult)}
    assert sorted(lanes) == ["0.05", "0.5"]
    metrics = only(story, events.Metric)
    for lane in lanes:
        for split in ("training", "validation"):
            steps = [step for m in metrics if (m.lane, m.split) == (lane, split) for step in m.step]
            assert steps == [10, 20, 30, 40, 50, 60]

    said = read_json(folder.predictions)
    assert len(said["files"]) == len(said["truth"]) == len(said["lanes"][result.kept]["predicted"]) == 6
    right = np.array(said["lanes"][result.kept]["predicted"]) == np.array(said["truth"])
    assert lanes[result.kept].test_accuracy == pytest.approx(right.mean())
    assert right.sum() >= 5  # of 6: drawn lamps are easy, on either interpreter
    with open(folder.labels) as file:
        assert file.read().split() == photos.labels
    contract = read_json(folder.contract)
    assert contract["labels"] == photos.labels
    assert contract["input"]["height"] == 224
    assert contract["learning_rate"] == float(result.kept)
    measured = read_json(folder.calibration)["lanes"]
    used = read_json(folder.photos)
    assert [used["split_of_file"].count(split) for split in datasets.SPLITS] == [24, 6, 6]
    assert used["files"] == [photo.file for photo in photos.photos]
    for lane in lanes:
        assert (measured[lane]["validation_photos"], sum(measured[lane]["bins"]["photos"])) == (6, 6)
        assert 0 < measured[lane]["none_of_these"]["distance"] < 0.5
        head = np.load(os.path.join(folder.lanes, lane + ".npz"))
        assert head["weights"].shape == (1280, 3)

    import tensorflow as tf

    answers = tf.saved_model.load(folder.saved_model).signatures["serving_default"]
    for photo in [photo for photo in photos.photos if photo.split == "testing"]:
        with open(os.path.join(photos.root, photo.file), "rb") as file:
            pixels = np.asarray(images.decode(file.read()))
        probabilities = answers(images=tf.constant(pixels[None]))["probabilities"].numpy()[0]
        assert probabilities.argmax() == said["lanes"][result.kept]["predicted"][said["files"].index(photo.file)]
    assert not is_locked(folder.lock)

    exported = {each.file: each for each in only(story, events.Exported)}
    assert sorted(exported) == ["model-8bit.tflite", "model.tflite", "retrained_graph.pb", "saved_model"]
    for each in exported.values():
        assert (each.photos, each.bytes > 1e6, each.seconds > 0) == (6, True, True)
        if each.file != "model-8bit.tflite":
            assert each.accuracy == lanes[result.kept].test_accuracy
            assert each.difference <= 1e-4
    eight_bit = exported["model-8bit.tflite"]
    assert 1e-4 < eight_bit.difference < 1
    assert eight_bit.bytes < 0.4 * exported["model.tflite"].bytes


@pytest.mark.thorough
def test_a_second_run_of_the_same_photos_starts_training_at_once(worker, photos):
    worker.finish(photos, learning_rates=(0.5,))
    _, code, story = worker.finish(photos, learning_rates=(0.1,))
    assert code == 0
    assert (only(story, RaceResult)[0].cached, only(story, RaceResult)[0].computed) == (36, 0)


@pytest.mark.thorough
def test_photos_that_cannot_be_used_are_listed_and_the_run_goes_on(worker, photos):
    training = [photo.file for photo in photos.photos if photo.split == "training"]
    with open(os.path.join(photos.root, training[0]), "wb") as file:
        file.write(b"words")
    with open(os.path.join(photos.root, training[1]), "r+b") as file:
        file.truncate(700)
    os.remove(os.path.join(photos.root, training[2]))
    _, code, story = worker.finish(photos, learning_rates=(0.5,))
    assert code == 0
    assert {event.file for event in only(story, events.Skipped)} == set(training[:3])
    assert all(event.why for event in only(story, events.Skipped))
    assert only(story, RaceResult)[0].images == 33


@pytest.mark.thorough
def test_a_run_on_one_core_without_the_cache_neither_reads_nor_keeps_bottlenecks(worker, photos):
    with open(worker.home.bottlenecks, "wb") as file:
        file.write(b"read by nobody")
    folder, code, story = worker.finish(photos, learning_rates=(0.05,), threads=1, use_cache=False, group="pair")
    assert code == 0, read_text(folder.log)
    result = only(story, RaceResult)[0]
    assert (result.cached, result.computed) == (0, 36)
    assert result.runtime.endswith(", 1 thread")
    assert result.import_seconds > 0
    assert only(story, events.Warning) == []
    with open(worker.home.bottlenecks, "rb") as file:
        assert file.read() == b"read by nobody"


DISTORTED = {"flip_left_right": True, "random_crop": 10, "random_scale": 20, "random_brightness": 30}


@pytest.mark.thorough
def test_a_run_on_distorted_photos_computes_no_bottlenecks_of_them_and_finds_broken_ones_first(worker, photos):
    training = [photo.file for photo in photos.photos if photo.split == "training"]
    with open(os.path.join(photos.root, training[0]), "r+b") as file:
        file.truncate(700)
    folder, code, story = worker.finish(photos, steps=3, learning_rates=(0.05, 0.5), **DISTORTED)
    assert code == 0, read_text(folder.log)
    assert [skipped.file for skipped in only(story, events.Skipped)] == training[:1]
    stages = only(story, events.Stage)
    assert [(stage.name, stage.total) for stage in stages[1:3]] == [("Bottlenecks", 36), ("Training", 3 * 20)]
    assert story.index(only(story, events.Skipped)[0]) < story.index(stages[2])
    result = only(story, RaceResult)[0]
    assert (result.training, result.validation, result.testing) == (23, 6, 6)
    assert (result.cached, result.computed) == (0, 12)
    assert result.export_difference <= 1e-4
    assert {(m.lane, m.split): m.step for m in only(story, events.Metric)} == {
        (lane, split): [3] for lane in ("0.05", "0.5") for split in ("training", "validation")
    }


def test_a_run_on_distorted_photos_is_stopped_in_the_middle_of_a_step(worker, photos):
    folder, process = worker.start(photos, train_batch_size=100000, learning_rates=(0.5,), **DISTORTED)
    wait_for(
        lambda: (
            any(stage.name == "Training" for stage in only(told(folder), events.Stage))
            and isinstance(told(folder)[-1], events.Progress)
        )
    )
    open(folder.cancel, "w").close()
    assert process.wait() == 130
    story = told(folder)
    assert only(story, events.State)[-1].state == "cancelled"
    assert only(story, events.Metric) == []
    assert os.listdir(folder.lanes) == ["0.5.npz"]
    # The first step alone is 100,000 photos: it was not waited for.
    assert 0 < only(story, events.Progress)[-1].done < 100000


def test_a_class_without_a_photo_left_fails_with_its_name(worker, photos):
    for photo in photos.photos:
        if photo.file.startswith("red/"):
            open(os.path.join(photos.root, photo.file), "wb").close()
    _, code, story = worker.finish(photos)
    assert code == 1
    error = only(story, events.Error)[0]
    assert error.code == "too_few_photos"
    assert "red" in error.message


def test_a_folder_that_is_gone_fails_with_its_name(worker, photos):
    shutil.rmtree(photos.root)
    _, code, story = worker.finish(photos)
    assert code == 1
    assert only(story, events.Error)[0].code == "folder_gone"
    assert photos.root in only(story, events.Error)[0].message
    assert only(story, events.State)[-1].state == "failed"


@pytest.mark.once
def test_a_disk_that_fills_while_exporting_loses_nothing_that_was_learned(worker, photos):
    # The disk itself stays as it is: no file of this run may exceed 4 MB, and the exported model would.
    folder, code, story = worker.finish(photos, learning_rates=(0.5,), file_size=4 * 1000 * 1000)
    assert code == 1
    assert only(story, events.Error)[0].code == "disk_full", read_text(folder.log)
    assert only(story, events.Stage)[-1].name == "Exporting"
    assert len(only(story, LaneResult)) == 1
    assert only(story, events.Kept)[0].lane == "0.5"
    assert os.listdir(folder.lanes) == ["0.5.npz"]
    assert os.path.isfile(folder.predictions)
    assert not [name for name in os.listdir(folder.artifacts) if name.startswith(("saved_model", "model.tflite"))]


def test_missing_weights_fail_with_the_command_that_fetches_them(worker, photos):
    os.unlink(worker.home.assets)
    _, code, story = worker.finish(photos)
    assert code == 1
    error = only(story, events.Error)[0]
    assert error.code == "missing_weights"
    assert "python -m engine assets mobilenet_v2" in error.hint


def test_a_gpu_where_there_is_none_fails_before_anything_is_done(worker, photos):
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        pytest.skip("this machine has a GPU")
    _, code, story = worker.finish(photos, device="gpu")
    assert code == 1
    assert only(story, events.Error)[0].code == "no_gpu"
    assert only(story, events.Stage) == []


@pytest.mark.parametrize("stage", ["Scanning", "Bottlenecks", "Training", "Exporting"])  # Evaluating takes no time
def test_cancelling_in_any_stage_ends_the_run_with_what_it_has(worker, photos, stage):
    # So many steps that nobody is late for Training; the later stages are reached with few.
    steps = 10**6 if stage == "Training" else 60
    folder, process = worker.start(photos, steps=steps, learning_rates=(0.05, 0.5))
    if stage == "Scanning":  # it takes no time: asked before the run's turn
        open(folder.cancel, "w").close()
    wait_for(lambda: process.poll() is not None or any(s.name == stage for s in only(told(folder), events.Stage)))
    open(folder.cancel, "w").close()
    code = process.wait()
    story = told(folder)
    last = only(story, events.State)[-1].state
    # A stage that was over before the flag was seen is followed by others; the last one has nothing left to stop.
    assert (code, last) in ((130, "cancelled"), (0, "done"))
    if stage in ("Scanning", "Training"):
        assert last == "cancelled"
    if stage == "Training":
        assert sorted(os.listdir(folder.lanes)) == ["0.05.npz", "0.5.npz"]
        assert only(story, LaneResult) == []
    assert not is_locked(folder.lock)
    assert tickets.line(worker.home, "cpu") == []


def test_a_worker_killed_in_training_leaves_no_lock_and_no_final_state(worker, photos):
    folder, process = worker.start(photos, steps=10**6)
    wait_for(lambda: only(told(folder), events.Metric))
    assert is_locked(folder.lock)
    assert int(read_text(folder.lock)) == process.pid
    teller = child_of(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: not os.path.exists(f"/proc/{teller}"))
    assert not is_locked(folder.lock)
    assert only(told(folder), events.State)[-1].state == "running"


@pytest.mark.once
def test_a_killed_story_begins_anew_with_half_the_batch_at_once_and_an_ordinary_kill_is_a_cancel(worker, photos):
    folder, process = worker.start(photos, steps=10**6)
    wait_for(lambda: only(told(folder), events.Metric))
    os.kill(child_of(process.pid), signal.SIGKILL)  # as the kernel does where the memory is full
    wait_for(lambda: only(told(folder), events.BatchHalved))
    before = len(only(told(folder), events.Metric))
    wait_for(lambda: len(only(told(folder), events.Metric)) > before)
    assert [(event.lane, event.batch_size) for event in only(told(folder), events.BatchHalved)] == [("", 10)]
    message = only(told(folder), events.Warning)[0].message
    assert "Training ran out of memory: the system killed the process (signal 9)" in message
    assert "a step still learns from its whole batch" in message
    stages = [stage.name for stage in only(told(folder), events.Stage)]
    assert stages == 2 * ["Scanning", "Bottlenecks", "Training"]

    teller = child_of(process.pid)
    process.terminate()
    assert process.wait() == 130
    assert only(told(folder), events.State)[-1].state == "cancelled"
    assert len(os.listdir(folder.lanes)) == 3
    assert not os.path.exists(f"/proc/{teller}")


def child_of(pid):
    """The process that tells the story for this one."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return int(file.read().split()[0])


@pytest.mark.thorough
def test_the_second_run_waits_for_the_first_and_loads_nothing_meanwhile(worker, photos):
    first, process = worker.start(photos, steps=10**6)
    wait_for(lambda: only(told(first), events.Metric))
    second, waiting = worker.start(photos, learning_rates=(0.5,))
    wait_for(lambda: is_locked(second.lock))
    time.sleep(0.5)
    assert [state.state for state in only(told(second), events.State)] == ["queued"]
    assert resident_bytes(waiting.pid) < 60e6
    process.kill()  # even a death lets the next one in
    assert waiting.wait() == 0
    assert only(told(second), events.State)[-1].state == "done"


def resident_bytes(pid):
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_rate_that_is_too_high_is_said_and_divergence_is_named(home):
    from engine.worker.race.retrain import tell_of_trouble
    from engine.worker.reporter import Reporter

    folder = home.run("a-run")
    os.makedirs(folder.path)
    report = Reporter(folder)
    tell_of_trouble("0.5", None, 0.4, np.log(5), report)
    assert told(folder) == []
    tell_of_trouble("5.0", None, 26.7, np.log(5), report)
    tell_of_trouble("10.0", 120, float("nan"), np.log(5), report)
    warning, diverged = told(folder)
    assert "Learning rate 5.0 is too high" in warning.message
    assert "ends at 26.7, while guessing gives 1.61" in warning.message
    assert (diverged.lane, diverged.step) == ("10.0", 120)
    assert "Learning rate 10.0 diverged" in diverged.why


def lane(name, accuracy, cross_entropy, diverged=False):
    return LaneResult(0.0, name, 0.5, 100, accuracy, cross_entropy, accuracy, 1, diverged)


@pytest.mark.parametrize(
    "lanes, kept",
    [
        pytest.param([lane("a", 0.80, 0.5), lane("b", 0.95, 0.9)], "b", id="clearly more accurate"),
        pytest.param([lane("a", 0.90, 0.3), lane("b", 0.91, 2.0)], "a", id="equal within chance: better scores"),
        pytest.param([lane("a", 0.95, 0.1, True), lane("b", 0.60, 1.0)], "b", id="one diverged"),
        pytest.param([lane("a", 0.3, None, True), lane("b", 0.3, 9.0, True)], "b", id="all diverged"),
    ],
)
def test_the_lane_to_keep_is_chosen_by_validation(lanes, kept):
    from engine.worker.race.retrain import choose

    assert choose(lanes, 100) == kept
    # What the testing split says changes nothing.
    assert choose([each._replace(test_accuracy=1 - each.test_accuracy) for each in lanes], 100) == kept
