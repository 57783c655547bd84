"""Models as the classifier keeps them: their kinds, how many fit, and what is said of those that cannot answer."""

import os
import shutil

import numpy as np
import pytest

from engine.contract import signatures, specs
from engine.contract.kinds.race import RaceSpec
from engine.contract.run_folder import write_json
from engine.worker import export, hub_module
from engine.worker.classify.models import SMALLEST_LIMIT, Models, Refused, convert, load_tflite, memory_limit
from engine.worker.features import bottlenecks
from engine.worker.formats import tflite
from engine.worker.learning import heads

PICTURE = np.random.RandomState(0).uniform(0, 255, (1, 224, 224, 3)).astype(np.float32)


def last_layers():
    """By lane: weights (1280, 3), bias (3,)."""
    random = np.random.RandomState(0)
    found = {}
    for lane in ("0.5", "0.01", "10.0"):
        found[lane] = (random.randn(1280, 3).astype(np.float32) * 0.05, random.randn(3).astype(np.float32))
    found["10.0"][0][0, 0] = np.nan
    return found


@pytest.fixture(scope="module")
def kept(mobilenet, tmp_path_factory):
    """The TFLite file of the lane 0.5."""
    path = str(tmp_path_factory.mktemp("kept") / "model.tflite")
    export.write_tflite(path, mobilenet, *last_layers()["0.5"])
    return path


@pytest.fixture
def lanes(home, mobilenet, kept):
    """A run that kept the lane 0.5, and two more."""
    folder = home.run("a-run")
    os.makedirs(folder.artifacts)
    specs.write(folder.spec, RaceSpec(backbone="mobilenet_v2", learning_rates=(0.5, 0.01, 10.0)))
    for lane, (weights, bias) in last_layers().items():
        export.write_lane(folder, lane, weights, bias)
    shutil.copy(kept, folder.tflite)
    export.write_contract(folder, mobilenet, ["one", "two", "three"], {"learning_rate": 0.5})
    signatures.sign(folder)
    return last_layers()


def test_a_lane_that_was_not_kept_answers_from_its_own_last_layer(home, mobilenet, lanes):
    known = Models(home)
    features = bottlenecks.TfliteThreads(mobilenet, home, 1)(PICTURE[0])[None]
    for lane in ("0.5", "0.01"):
        answer = known.get("a-run:" + lane).run(PICTURE)
        assert np.allclose(answer, heads.probabilities(features, *lanes[lane]), atol=1e-4)
    assert known.get("a-run:0.5") is known.get("a-run")


@pytest.mark.parametrize(
    "key, complaint",
    [
        ("a-run:10.0", "Learning rate 10.0 diverged: its weights are no numbers"),
        ("a-run:0.7", "has no lane '0.7'"),
        ("a-run:../../x", "no finished model 'a-run:../../x'"),
        ("a-run:..", r"no finished model 'a-run:\.\.'"),
        ("model:gone", "no uploaded model 'gone'"),
        ("inception_v3", "has no names"),
    ],
)
def test_what_cannot_answer_says_why(home, lanes, key, complaint):
    with pytest.raises(Refused, match=complaint):
        Models(home).get(key)


def test_a_backbone_with_other_weights_than_a_lane_learned_with_is_not_taken(home, mobilenet, lanes):
    known = Models(home)
    folder, others = home.run("a-run"), mobilenet._replace(digest="0" * 64)
    export.write_contract(folder, others, ["one", "two", "three"], {"learning_rate": 0.5})
    signatures.sign(folder)
    with pytest.raises(Refused, match="are others than those that run a-run learned with; only its kept lane"):
        known.get("a-run:0.01")
    assert known.get("a-run").labels == ["one", "two", "three"]


def test_a_damaged_contract_or_a_file_that_is_no_model_is_said(home, lanes):
    folder = home.run("a-run")
    with open(folder.tflite, "wb") as file:
        file.write(b"no TFLite")
    signatures.sign(folder)
    with pytest.raises(Refused, match="What is kept of 'a-run' cannot be read"):
        Models(home).get("a-run")
    with open(folder.contract, "w") as file:
        file.write("{}")
    signatures.sign(folder)
    with pytest.raises(Refused, match="What is kept of 'a-run' cannot be read"):
        Models(home).get("a-run")


def test_the_model_not_used_for_longest_leaves_when_the_bytes_are_used_up(home, lanes):
    room = Models(home, limit=1 << 40)
    for key in ("a-run", "a-run:0.01", "a-run"):
        room.get(key)
    told = room.memory()
    assert [key for key, _ in told.models] == ["backbone:mobilenet_v2", "a-run:0.01", "a-run"]
    assert told.bytes == sum(size for _, size in told.models)
    assert dict(told.models)["a-run"] >= os.path.getsize(home.run("a-run").tflite)
    assert room.get("a-run") is room.get("a-run")
    narrow = Models(home, limit=1)
    first = narrow.get("a-run")
    assert narrow.get("a-run") is first  # the one asked is never sent away
    answer = narrow.get("a-run:0.01").run(PICTURE)
    assert answer.shape == (1, 3)
    assert "a-run" not in [key for key, _ in narrow.memory().models]
    assert narrow.get("a-run") is not first
    assert len(narrow.memory().models) == 1


def test_the_limit_follows_the_machine(home):
    assert Models(home).limit == memory_limit() >= SMALLEST_LIMIT


def test_a_network_for_digits_answers_by_its_own_key(home):
    folder = home.run("digits")
    os.makedirs(folder.networks)
    write_json(folder.contract, {"networks": [{"name": "beginner"}], "labels": list("0123456789")})
    tflite.keep(folder.network_tflite("beginner"), lambda gray: gray[:, 0, :10] / 255.0, [1, 28, 28])
    signatures.sign(folder)
    gray = np.random.RandomState(0).uniform(0, 255, (1, 28, 28, 1)).astype(np.float32)
    model = Models(home).get("digits:beginner")
    assert (model.input_height, model.input_width, model.labels) == (28, 28, list("0123456789"))
    assert np.allclose(model.run(np.repeat(gray, 3, axis=3)), gray[:, 0, :10, 0] / 255)
    with pytest.raises(Refused, match="has several networks; name one of them: digits:beginner"):
        Models(home).get("digits")
    with pytest.raises(Refused, match="has no network 'strong'; it has beginner"):
        Models(home).get("digits:strong")


@pytest.mark.filterwarnings("ignore")
def test_a_classifier_of_tensorflow_hub_answers_with_imagenet_s_names_where_it_has_as_many(home, tmp_path):
    from tests.worker.hub_modules import Classes, Features, expected, save

    save(Features(width=1001), str(tmp_path / "logits"), output="logits")
    save(Classes(), str(tmp_path / "six"), output="probabilities")
    rows = [hub_module.add(home, str(tmp_path / name)) for name in ("logits", "six")]
    picture = np.random.RandomState(0).uniform(0, 255, (1, 24, 24, 3)).astype(np.float32)
    model = Models(home, through_tensorflow=True).get(rows[0].name)
    assert model.labels[:2] == ["background", "tench"]
    logits = expected(picture / 255, 1001)
    assert np.allclose(model.run(picture), np.exp(logits) / np.exp(logits).sum(), atol=1e-5)
    path = str(tmp_path / "converted.tflite")
    convert(home, rows[0], path, "answers")
    assert np.allclose(load_tflite(path, None, 24, "pillow").run(picture), model.run(picture), atol=1e-5)
    assert Models(home, through_tensorflow=True).get(rows[1].name).labels == [f"class {n}" for n in range(6)]
    save(Features(), str(tmp_path / "features"))
    with pytest.raises(Refused, match="has no names for what it was trained on"):
        Models(home).get(hub_module.add(home, str(tmp_path / "features")).name)
