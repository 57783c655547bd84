"""Every way to ask a model gives the same answer: a real run, a real backbone, real files of strangers."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from engine import photos
from engine.contract import choices, events, specs, tickets
from engine.contract import dataset as datasets
from engine.contract.kinds.fine_tuning import FineTuningSpec
from engine.contract.kinds.race import RaceSpec
from engine.contract.run_folder import LabHome, read_json, try_lock, write_json
from engine.errors import ClassifierError, ModelNotFound, ModelRefused
from engine.models import models, recipes
from engine.models.classifier import Classifier
from engine.models.models import Model
from engine.runs import Run, open_run
from engine.runs.queue import Queue
from engine.settings import Settings
from tests.assets_home import with_assets
from tests.own_processes import children
from tests.photo_folders import draw_photos
from tests.waiting import wait_until

ROOT = Path(__file__).parent.parent.parent
LANES = ("0.5", "0.01")
OLD = str(ROOT / ".venv36" / "bin" / "python")  # as a Jetson TX2 has it, with TensorFlow 2.6
OLD_IS_HERE = (ROOT / ".venv36" / "lab-setup").exists()
pytestmark = pytest.mark.timeout(300)  # seconds: a whole run stands before the first test

# What somebody who has the exported files and the contract would write; nothing of ours is imported.
STRANGER = """
import json, sys
import numpy as np
import tensorflow as tf
from PIL import Image

folder, picture = sys.argv[1:]
contract = json.load(open(folder + "/contract.json"))
image = Image.open(picture).convert("RGB")
saved_model = tf.saved_model.load(folder + "/saved_model").signatures["serving_default"]
by_saved_model = saved_model(images=tf.constant(np.asarray(image)[None]))["probabilities"].numpy()[0]

size = contract["input"]["height"]
square = image.resize((size, image.height), Image.BILINEAR).resize((size, size), Image.BILINEAR)
value = (np.asarray(square, np.float32)[None] - 128) / 128
graph_def = tf.compat.v1.GraphDef.FromString(open(folder + "/retrained_graph.pb", "rb").read())
with tf.compat.v1.Graph().as_default() as graph:
    tf.import_graph_def(graph_def, name="")
    with tf.compat.v1.Session(graph=graph) as session:
        by_graph = session.run("final_result:0", {"input:0": value})[0]
labels = contract["labels"]
print(json.dumps([dict(zip(labels, map(float, each))) for each in (by_saved_model, by_graph)]))
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    home = LabHome(str(tmp_path_factory.mktemp("lab") / "home"))
    os.makedirs(home.path)
    os.symlink(with_assets("mobilenet_v2", "imagenet_names").assets, home.assets)
    return Settings(home, (), sys.executable)


@pytest.fixture(scope="module")
def lamps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_photos(tmp_path_factory.mktemp("photos") / "lamps", each=12)


def bytes_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(file): (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def lamps_as_drawn(lamps: Path) -> dict[str, tuple[bytes, int]]:
    return bytes_of(lamps)


@pytest.fixture(scope="module")
def run(lab: Settings, lamps: Path, lamps_as_drawn) -> Run:
    """A finished one of two lanes."""
    spec = RaceSpec(backbone="mobilenet_v2", learning_rates=tuple(map(float, LANES)), steps=30, train_batch_size=20)
    dataset = photos.split(photos.scan(lamps, "Lamps", roots=(lamps,)), 20, 20)
    started = open_run(lab.home, Queue(lab.home, sys.executable).start(spec, dataset))
    wait_until(lambda: not started.refresh().is_active)
    assert started.state == events.DONE, started.log_tail()
    return started


@pytest.fixture(scope="module")
def classifier(lab: Settings):
    resident = Classifier(lab.home, sys.executable, has_gpu=True)
    yield resident
    resident.close()


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory, lamps: Path) -> Path:
    """A PNG, because decoders of JPEG differ."""
    path = tmp_path_factory.mktemp("photo") / "lamp.png"
    Image.open(lamps / "red" / "003.jpg").save(path)
    return path


def command_line(lab: Settings, *words: str | Path) -> dict:
    environment = os.environ | {"LAB_HOME": lab.home.path}
    ended = subprocess.run(
        [sys.executable, "-m", "engine", *map(str, words), "--json"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return json.loads(ended.stdout.splitlines()[-1])


def scores(answer: dict) -> dict[str, float]:
    return {row["label"]: row["score"] for row in answer["top"]}


def test_a_run_answers_alike_on_the_page_in_a_shell_and_from_its_exported_files(lab, run, classifier, photo):
    kept = run.story.kept
    image = photo.read_bytes()
    said = {lane: dict(classifier.classify(f"{run.id}:{lane}", image).top) for lane in LANES}
    assert dict(classifier.classify(run.id, image).top) == said[kept]
    assert said[LANES[0]] != pytest.approx(said[LANES[1]], abs=1e-3)
    for lane in LANES:
        told = command_line(lab, "label_image", "--model", f"{run.id}:{lane}", "--image", photo)
        assert scores(told) == pytest.approx(said[lane], abs=1e-4)
        # Through TensorFlow, as on a GPU; there is none here, and the answer says so.
        answer = classifier.classify(f"{run.id}:{lane}", image, device=choices.GPU)
        assert dict(answer.top) == pytest.approx(said[lane], abs=1e-4)
        assert answer.runtime.startswith("TensorFlow")
        assert answer.device == "GPU" or "no GPU" in answer.note
    # What the race itself said of a testing photo.
    predictions = read_json(run.folder.predictions)
    for lane in LANES:
        file = Path(run.dataset.root, predictions["files"][0])
        answer = classifier.classify(f"{run.id}:{lane}", file.read_bytes())
        assert answer.top[0][1] == pytest.approx(predictions["lanes"][lane]["score"][0], abs=1e-4)
    for each in as_strangers_read(sys.executable, run, photo):
        assert each == pytest.approx(said[kept], abs=1e-4)


def as_strangers_read(python: str, run: Run, photo: Path) -> list[dict[str, float]]:
    """What the exported SavedModel and the frozen graph say, loaded by that interpreter's TensorFlow."""
    command = [python, "-c", STRANGER, run.folder.artifacts, str(photo)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(ended.stdout.splitlines()[-1])


@pytest.mark.skipif(
    not OLD_IS_HERE, reason="there is no .venv36: make test-worker36 makes it where there is Python 3.6"
)
def test_a_run_of_a_laptop_answers_alike_on_the_boards_python(lab, run, classifier, photo):
    said = dict(classifier.classify(run.id, photo.read_bytes()).top)
    board = Classifier(lab.home, OLD)
    try:
        assert dict(board.classify(run.id, photo.read_bytes()).top) == pytest.approx(said, abs=1e-4)
    finally:
        board.close()
    for each in as_strangers_read(OLD, run, photo):
        assert each == pytest.approx(said, abs=1e-4)


def test_every_depth_of_fine_tuning_is_a_model_but_those_that_diverged(tmp_path, lamps):
    home = LabHome(str(tmp_path / "home"))
    settings, folder = Settings(home, (), sys.executable), home.run("20261125-101010-abcdef")
    os.makedirs(folder.lanes)
    specs.write(folder.spec, FineTuningSpec(blocks=(0, 1, 2)))
    datasets.write(folder.dataset, photos.split(photos.scan(lamps, "Lamps", roots=(lamps,)), 20, 20))
    contract = {
        "input": {"height": 224, "width": 224}, "mean": [0, 0, 0], "std": [1, 1, 1], "decoder": "", "resize": "",
        "labels": ["green", "red", "yellow"], "backbone": "mobilenet_v2", "backbone_source": "", "backbone_licence": "",
        "blocks": 1,
    }  # fmt: skip
    write_json(folder.contract, contract)
    Path(folder.tflite).write_bytes(b"kept!")
    Path(folder.lanes, "frozen.tflite").write_bytes(b"frozen")
    found = [model for model in models.list_models(settings) if model.group == models.RUNS]
    assert [(model.key, model.title) for model in found] == [
        (folder.id, "Lamps · MobileNet v2 · last block"),
        (f"{folder.id}:frozen", "Lamps · MobileNet v2 · frozen"),
    ]
    assert [models.card(settings, model.key).bytes for model in found] == [5, 6]
    assert models.find(settings, f"{folder.id}:last_1").is_kept
    with pytest.raises(ModelNotFound, match="has no lane 'last_2'"):
        models.find(settings, f"{folder.id}:last_2")


def test_what_the_playground_shows_to_copy_says_the_same(lab, run, classifier, photo):
    usual = classifier.classify(run.id, photo.read_bytes()).top
    card, kept = models.card(lab, run.id), models.find(lab, run.id)
    scripts = [make(run.folder, card, str(photo)) for make in (recipes.saved_model, recipes.graph)]
    python = subprocess.run([sys.executable, "-c", "\n".join(scripts)], capture_output=True, text=True, check=True)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = recipes.command(lab, kept, str(photo))
    shell = subprocess.run(command, shell=True, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    listed = re.findall(r"(.+) \(score=([\d.]+)\)", python.stdout + shell.stdout)
    assert [label for label, _ in listed] == 3 * [label for label, _ in usual]
    assert [float(score) for _, score in listed] == pytest.approx(3 * [score for _, score in usual], abs=1e-4)


def test_its_exported_files_answer_alike_when_they_are_uploaded(lab, run, classifier, photo):
    image, labels = photo.read_bytes(), Path(run.folder.labels).read_bytes()
    usual = dict(classifier.classify(run.id, image).top)
    for name, path in (("lamps.pb", run.folder.graph), ("lamps.tflite", run.folder.tflite)):
        model = models.add(lab, name, Path(path).read_bytes(), labels, {"title": "Stranger's"})
        assert (model.title, model.group) == ("Stranger's", models.UPLOADED)
        found = models.card(lab, model.key)
        assert (found.labels, found.height, found.by_guess) == (["green", "red", "yellow"], 224, "")
        assert dict(classifier.classify(model.key, image).top) == pytest.approx(usual, abs=1e-4)
        if name == "lamps.tflite":  # the other would load TensorFlow once more
            told = command_line(lab, "label_image", "--model", model.key, "--image", photo)
            assert scores(told) == pytest.approx(usual, abs=1e-4)
        assert model in models.list_models(lab)
        models.delete(lab, model.key)
        with pytest.raises(ClassifierError, match=r"no uploaded model .* may have been deleted"):
            classifier.classify(model.key, image)
        with pytest.raises(ModelNotFound, match="may have been deleted"):
            models.card(lab, model.key)


def test_a_backbone_answers_alike_in_litert_tensorflow_and_a_shell(lab, classifier, photo):
    usual = classifier.classify("mobilenet_v2", photo.read_bytes(), top=20, repeats=4)
    assert usual.p50_seconds <= usual.p95_seconds
    through_tensorflow = classifier.classify("mobilenet_v2", photo.read_bytes(), top=20, device=choices.GPU)
    assert dict(through_tensorflow.top) == pytest.approx(dict(usual.top), abs=1e-4)
    told = command_line(lab, "label_image", "--model", "mobilenet_v2", "--image", photo, "--top", "20")
    assert scores(told) == pytest.approx(dict(usual.top), abs=1e-4)


def test_a_run_that_wants_the_gpu_gets_it(lab, classifier, photo):
    classifier.classify("mobilenet_v2", photo.read_bytes(), device=choices.GPU)
    (on_gpu,) = [process for process, command in children() if "gpu" in command]
    folder = lab.home.run("waits")
    os.makedirs(folder.path)
    lock = try_lock(folder.lock)
    ticket = tickets.take(lab.home, choices.GPU, folder.id)
    try:
        on_gpu.wait(10)  # it makes way by itself
        answer = classifier.classify("mobilenet_v2", photo.read_bytes(), device=choices.GPU)
        assert (answer.runtime, answer.device) == ("LiteRT", "CPU")
        assert answer.note == "On the CPU, because a run works or waits on the GPU."
        assert not answer.was_restarted
    finally:
        os.close(lock)
        tickets.leave(lab.home, choices.GPU, ticket)
        os.remove(folder.lock)
        os.rmdir(folder.path)


def test_a_file_that_is_added_in_a_shell_is_a_model_until_it_is_deleted_there(lab, run, photo, tmp_path):
    labels = tmp_path / "labels.txt"
    labels.write_text("verdant\ncrimson\ngolden\n")
    key = command_line(lab, "models", "add", run.folder.tflite, "--labels", labels, "--title", "Lights")["key"]
    assert key.startswith("model:")
    assert {each["key"]: each["title"] for each in command_line(lab, "models")["models"]}[key] == "Lights"
    own = scores(command_line(lab, "label_image", "--model", run.id, "--image", photo))
    added = scores(command_line(lab, "label_image", "--model", key, "--image", photo))
    assert added == pytest.approx({"verdant": own["green"], "crimson": own["red"], "golden": own["yellow"]}, abs=0.02)
    assert command_line(lab, "models", "delete", key) == {"key": key, "deleted": True}
    assert key not in [each["key"] for each in command_line(lab, "models")["models"]]


def test_photos_that_were_learned_from_and_asked_about_are_byte_for_byte_what_they_were(
    lab, lamps, lamps_as_drawn, run, classifier
):
    asked = sorted(lamps.rglob("*.jpg"))[0]
    classifier.classify(run.id, asked.read_bytes())
    command_line(lab, "evaluate", "--graph", run.folder.graph, "--image_dir", lamps)
    assert len(lamps_as_drawn) == 36
    assert bytes_of(lamps) == lamps_as_drawn


def test_what_can_be_asked_is_listed_and_described(lab, run):
    kept, other = run.story.kept, next(lane for lane in LANES if lane != run.story.kept)
    found = models.list_models(lab)
    assert found[:2] == [
        Model(run.id, f"Lamps · MobileNet v2 · lr {kept}", models.RUNS, run=run.id, lane=kept),
        Model(f"{run.id}:{other}", f"Lamps · MobileNet v2 · lr {other}", models.RUNS, "", run.id, other, is_kept=False),
    ]
    assert Model("mobilenet_v2", "MobileNet v2", models.PRETRAINED) in found
    assert models.find(lab, f"{run.id}:{kept}") == found[0]
    card, backbone = models.card(lab, f"{run.id}:{other}"), models.card(lab, "mobilenet_v2")
    assert (card.labels, card.height, card.mean) == (["green", "red", "yellow"], 224, (123.675, 116.28, 103.53))
    assert card.parameters == 2_206_816 + 1281 * 3
    assert (card.preprocessing, card.is_digit, card.by_guess) == ("pillow", False, "")
    assert len(backbone.labels) == 1000
    assert backbone.bytes == 14_212_972
    told = command_line(lab, "models")["models"]
    assert told[0]["key"] == run.id


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("20260101-000000-abcdef", "no finished model '20260101-000000-abcdef'"),
        ("../../etc/passwd", "There is no model '../../etc/passwd'"),
        ("model:../../etc", "There is no model"),
        ("model:gone-12345678", "no uploaded model 'gone-12345678'"),
        ("inception_v3", "has no names for what it was trained on"),
        ("", "There is no model ''"),
    ],
)
def test_a_key_of_nothing_is_said(lab, key, sentence):
    for ask in (models.find, models.card, models.delete):
        with pytest.raises(ModelNotFound, match=sentence):
            ask(lab, key)


def test_a_lane_that_a_run_does_not_have_is_said_with_those_it_has(lab, run, classifier, photo):
    with pytest.raises(ModelNotFound, match=r"has no lane '0.7'; it has .*0\.01"):
        models.find(lab, f"{run.id}:0.7")
    with pytest.raises(ClassifierError, match=r"has no lane '0.7'"):
        classifier.classify(f"{run.id}:0.7", photo.read_bytes())
    with pytest.raises(ModelNotFound, match="is no uploaded model"):
        models.delete(lab, run.id)


def test_what_is_no_model_leaves_nothing_behind(lab):
    before = os.listdir(lab.home.models) if os.path.isdir(lab.home.models) else []
    with pytest.raises(ModelRefused, match=r"x\.pb is empty"):
        models.add(lab, "../x.pb", b"", None, {})
    with pytest.raises(ModelRefused, match=r"x\.pb is no TensorFlow graph"):
        models.add(lab, "C:\\x.pb", b"%PDF-1.7", None, {})
    with pytest.raises(ModelRefused, match="input_std is 0"):
        models.add(lab, "x.tflite", b"abcdTFL3", None, {"input_std": 0})
    assert os.listdir(lab.home.models) == before
