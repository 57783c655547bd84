"""The resident classifier as the pages use it: real process, real weights."""

import io
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import flatbuffers
import numpy as np
import psutil
import pytest
from PIL import Image

from engine.contract import choices, protocol, signatures, tickets
from engine.contract.kinds.batch_size import BatchSizeSpec
from engine.contract.kinds.race import RaceSpec
from engine.contract.run_folder import LabHome, try_lock, write_json
from engine.errors import ClassifierError, EngineError
from engine.kinds import prediction
from engine.models.classifier import Classifier
from tests.assets_home import with_assets
from tests.own_processes import children
from tests.tiny_tflite import TINY
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def classifier() -> Iterator[Classifier]:
    resident = Classifier(with_assets("mobilenet_v2", "imagenet_names"), sys.executable)
    yield resident
    resident.close()


def picture(shade: int = 90) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((60, 80, 3), shade, np.uint8)).save(file, "PNG")
    return file.getvalue()


def only_child(classifier: Classifier) -> psutil.Process:
    """Other tests of this process may have left classifiers of their own."""
    program = ["engine.worker.classify.classifier", classifier.home.path]
    (child,) = [process for process, command in children() if command[2:4] == program]
    return child


def test_it_answers_with_names_scores_times_and_what_was_seen(classifier):
    answer = classifier.classify("mobilenet_v2", picture(), top=3)
    assert len(answer.top) == 3
    scores = [score for _, score in answer.top]
    assert scores == sorted(scores, reverse=True)
    assert 0 < sum(scores) <= 1
    assert (answer.width, answer.height) == (80, 60)
    assert answer.seconds > 0
    assert Image.open(io.BytesIO(answer.seen_png)).size == (224, 224)


def test_it_never_loads_tensorflow_where_litert_is_installed(classifier):
    pytest.importorskip("ai_edge_litert")
    classifier.classify("mobilenet_v2", picture())
    loaded = [part.path for part in only_child(classifier).memory_maps()]
    assert not [path for path in loaded if "libtensorflow" in path]


def test_a_process_that_was_killed_comes_back_with_the_next_question(classifier):
    before = classifier.classify("mobilenet_v2", picture())
    child = only_child(classifier)
    child.kill()
    child.wait()
    after = classifier.classify("mobilenet_v2", picture())
    assert (after.top, after.was_restarted) == (before.top, True)
    assert not classifier.classify("mobilenet_v2", picture()).was_restarted


def wait_for_end(process: psutil.Process) -> None:
    """Without taking its exit code away from whoever started it."""
    deadline = time.monotonic() + 100
    while process.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "it has not ended in time"
        time.sleep(0.05)


def in_line(home: LabHome, device: str) -> int:
    """The lock of a run that waits for the device."""
    os.makedirs(home.run("asked").path)
    lock = try_lock(home.run("asked").lock)
    tickets.take(home, device, "asked")
    return lock


def test_where_memory_is_short_it_makes_way_for_a_run_and_comes_back_with_the_next_question(tmp_path):
    home = LabHome(str(tmp_path))
    os.symlink(with_assets("mobilenet_v2", "imagenet_names").assets, home.assets)
    resident = Classifier(home, sys.executable, room=10**18)
    before = resident.classify("mobilenet_v2", picture())
    first = only_child(resident)
    lock = in_line(home, choices.CPU)
    wait_for_end(first)
    after = resident.classify("mobilenet_v2", picture())
    assert (after.top, after.was_restarted) == (before.top, False)
    assert only_child(resident).pid != first.pid
    resident.close()
    os.close(lock)


def test_the_gpu_has_one_user_at_a_time(tmp_path):
    home = LabHome(str(tmp_path))
    os.symlink(with_assets("mobilenet_v2", "imagenet_names").assets, home.assets)
    os.makedirs(home.queue)
    resident = Classifier(home, sys.executable, has_gpu=True)
    held = try_lock(tickets.device_lock(home, choices.GPU))  # as a run that has its turn
    answer = resident.classify("mobilenet_v2", picture(), device=choices.GPU)
    assert (answer.device, answer.note) == ("CPU", "On the CPU, because a run works or waits on the GPU.")
    with pytest.raises(EngineError, match="uses the GPU just now"):
        prediction.expect_sizes(home, sys.executable, BatchSizeSpec(device=choices.GPU))
    os.close(held)
    command = [sys.executable, "-m", "engine.worker.classify.classifier", home.path, "--device", "gpu"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin
    assert process.stdout
    process.stdin.write(protocol.encode(protocol.ReportMemory()) + "\n")
    process.stdin.flush()
    assert process.stdout.readline()
    assert try_lock(tickets.device_lock(home, choices.GPU)) == -1  # so a run waits for it
    lock = in_line(home, choices.GPU)
    assert process.wait(timeout=100) == tickets.MADE_WAY
    os.close(try_lock(tickets.device_lock(home, choices.GPU)))
    process.stdin.close()
    process.stdout.close()
    resident.close()
    os.close(lock)


def test_an_interpreter_that_cannot_run_the_classifier_is_named(tmp_path):
    python = shutil.which("true") or "/bin/true"
    resident = Classifier(LabHome(str(tmp_path)), python)
    with pytest.raises(ClassifierError) as raised:
        resident.classify("mobilenet_v2", picture())
    resident.close()
    assert str(raised.value) == (
        f"WORKER_PYTHON={python} cannot run the lab's workers: it said nothing. "
        "Set WORKER_PYTHON to a Python that has TensorFlow."
    )


def test_killed_in_the_middle_of_an_answer_it_answers_all_the_same(classifier):
    classifier.classify("mobilenet_v2", picture())
    first = only_child(classifier)
    first.suspend()  # in the middle, for as long as it takes
    killer = threading.Timer(0.5, first.kill)
    killer.start()
    answer = classifier.classify("mobilenet_v2", picture())
    assert answer.top
    assert answer.was_restarted
    assert only_child(classifier).pid != first.pid


def test_it_says_what_it_keeps_in_memory_and_what_was_loaded_ahead_is_there(classifier):
    assert classifier.memory().models == []  # no process is started for that
    classifier.prepare("mobilenet_v2")
    told = classifier.memory()
    assert [key for key, _ in told.models] == ["mobilenet_v2"]
    assert 10e6 < told.bytes < told.limit_bytes
    with pytest.raises(ClassifierError, match="no finished model"):
        classifier.prepare("20260101-000000-abcdef")


def of_a_newer_tensorflow(file: bytes) -> bytes:
    """A TFLite file whose last operation has a version that no runtime knows yet."""
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    model = schema.ModelT.InitFromPackedBuf(file, 0)
    model.operatorCodes[-1].version = 99
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_a_picture_for_a_network_of_digits_is_centred_on_the_way(tmp_path):
    home = LabHome(str(tmp_path))
    folder = home.run("digits")
    Path(folder.networks).mkdir(parents=True)
    write_json(folder.contract, {"networks": [{"name": "beginner"}], "labels": list("0123456789")})
    Path(folder.network_tflite("beginner")).write_bytes(TINY)
    signatures.sign(folder)
    ink = np.full((200, 300), 255, np.uint8)
    ink[20:120, 200:220] = 0  # a one, far from the middle
    file = io.BytesIO()
    Image.fromarray(ink).save(file, "PNG")
    resident = Classifier(home, sys.executable)
    try:
        seen = np.asarray(Image.open(io.BytesIO(resident.classify("digits:beginner", file.getvalue()).seen_png)))
        assert seen.shape == (28, 28, 3)
        assert seen[4:24, 12:16].max() == 255
        assert not seen[:, 20:].any()
        (drawn,) = resident.digit("digits", seen[..., 0])
        assert (drawn.lane, len(drawn.probabilities)) == ("beginner", 10)
        assert sum(drawn.probabilities) == pytest.approx(1)
        with pytest.raises(ClassifierError, match="There is no digit to be seen"):
            resident.classify("digits:beginner", picture())
        with pytest.raises(ClassifierError, match="This picture cannot be used: the content is no"):
            resident.classify("digits:beginner", b"%PDF-1.7")
        Path(folder.network_tflite("beginner")).write_bytes(of_a_newer_tensorflow(TINY))
        signatures.sign(folder)
        with pytest.raises(ClassifierError, match=r"written for a newer runtime than LiteRT.*'SOFTMAX' version '99'"):
            resident.digit("digits", seen[..., 0])
    finally:
        resident.close()


@pytest.mark.parametrize(
    ("model", "image", "sentence"),
    [
        pytest.param("mobilenet_v2", b"words", "This picture cannot be used", id="no picture"),
        pytest.param("20260101-000000-abcdef", picture(), "no finished model", id="no such run"),
        pytest.param("../../etc", picture(), "no finished model", id="a path"),
    ],
)
def test_what_it_cannot_answer_it_says(classifier, model, image, sentence):
    with pytest.raises(ClassifierError, match=sentence):
        classifier.classify(model, image)


def test_missing_weights_are_said_with_the_command_that_fetches_them(tmp_path):
    resident = Classifier(LabHome(str(tmp_path)), sys.executable)
    try:
        with pytest.raises(ClassifierError, match="python -m engine assets"):
            resident.classify("mobilenet_v2", picture())
    finally:
        resident.close()


def test_an_interpreter_that_cannot_run_is_named(tmp_path):
    with pytest.raises(ClassifierError, match="Cannot run WORKER_PYTHON=/no/such/python"):
        Classifier(LabHome(str(tmp_path)), "/no/such/python").classify("mobilenet_v2", picture())


def test_two_visitors_at_once_get_their_own_answers(classifier):
    shades = [10, 250]
    alone = {shade: classifier.classify("mobilenet_v2", picture(shade)).top for shade in shades}
    got: dict[int, list] = {}

    def ask(shade: int) -> None:
        got[shade] = classifier.classify("mobilenet_v2", picture(shade)).top

    threads = [threading.Thread(target=ask, args=(shade,)) for shade in shades * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == alone


def red_left() -> bytes:
    """Red on the left half, black on the right."""
    pixels = np.zeros((60, 80, 3), np.uint8)
    pixels[:, :40, 0] = 200
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("backbone, size", [("mobilenet_v2", 224), ("inception_v3", 299)])
def test_a_photo_is_shown_as_it_would_be_learned_from_without_weights_or_tensorflow(tmp_path, backbone, size):
    resident = Classifier(LabHome(str(tmp_path)), sys.executable)
    try:
        spec = RaceSpec(backbone=backbone, flip_left_right=True, random_brightness=20)
        samples = resident.distorted(red_left(), spec, seed=3)
        assert len(samples) == 8
        assert resident.distorted(red_left(), spec, seed=3) == samples
        assert resident.distorted(red_left(), spec, seed=2, count=3) != samples[:3]
        pixels = [np.asarray(Image.open(io.BytesIO(sample))).astype(int) for sample in samples]
        assert {each.shape for each in pixels} == {(size, size, 3)}
        mirrored = [bool(each[:, -20:, 0].mean() > 100) for each in pixels]
        assert set(mirrored) == {True, False}
        shades = [each[:, :, 0].max() for each in pixels]
        assert 155 < min(shades) < 180
        assert 220 < max(shades) < 245
        assert not [part.path for part in only_child(resident).memory_maps() if "libtensorflow" in part.path]
        with pytest.raises(ClassifierError, match="This picture cannot be used: the content is no JPEG"):
            resident.distorted(b"words", spec, seed=1)
        with pytest.raises(ClassifierError, match="There is no backbone 'hub_gone' on this machine"):
            resident.distorted(red_left(), spec._replace(backbone="hub_gone"), seed=1)
    finally:
        resident.close()


def test_closing_ends_the_process(classifier):
    classifier.classify("mobilenet_v2", picture())
    pid = only_child(classifier).pid
    classifier.close()
    wait_until(lambda: not Path("/proc", str(pid)).exists())
