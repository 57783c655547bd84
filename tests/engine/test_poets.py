"""TensorFlow for Poets as the coursework went through it: its commands as they were typed, with real TensorFlow."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.contract.run_folder import LabHome
from engine.runs import list_runs

ROOT = Path(__file__).parent.parent.parent
CLASSES = ("daisy", "dandelion", "roses", "sunflowers", "tulips")
DAISY = "tf_files/flower_photos/daisy/21652746_cc379e0eea_m.jpg"
# Of the coursework but for the steps, 500 there.
RETRAIN = """
retrain --bottleneck_dir=tf_files/bottlenecks --how_many_training_steps=50 --model_dir=tf_files/models/
    --summaries_dir=tf_files/training_summaries/mobilenet_0.25_128 --output_graph=tf_files/retrained_graph.pb
    --output_labels=tf_files/retrained_labels.txt --architecture=mobilenet_0.25_128
    --image_dir=tf_files/flower_photos
"""


@pytest.fixture(scope="module")
def folder(test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A current folder with tf_files/flower_photos, 20 photos a class, and the archive in tf_files/models."""
    folder = tmp_path_factory.mktemp("tensorflow-for-poets")
    for name in CLASSES:
        (folder / "tf_files" / "flower_photos" / name).mkdir(parents=True)
        photos = sorted((test_data / "flower_photos" / name).iterdir())
        for photo in [*photos[:19], test_data / "flower_photos" / DAISY.removeprefix("tf_files/flower_photos/")]:
            if photo.parent.name == name:
                (folder / "tf_files" / "flower_photos" / name / photo.name).symlink_to(photo)
    (folder / "tf_files" / "models").mkdir()
    archive = "mobilenet_v1_0.25_128_frozen.tgz"
    (folder / "tf_files" / "models" / archive).symlink_to(test_data / "tf1" / archive)
    cut_off = bottleneck(folder)  # a run of the original was killed over this one
    cut_off.parent.mkdir(parents=True)
    cut_off.write_text("0.1,0.2,0.")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def bottleneck(folder: Path) -> Path:
    return folder / "tf_files" / "bottlenecks" / "daisy" / f"{Path(DAISY).name}_mobilenet_0.25_128.txt"


def typed(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """`python -m engine` with that command, in that current folder."""
    environ = os.environ | {"LAB_HOME": str(folder / "lab"), "PYTHONPATH": str(ROOT)}
    arguments = [sys.executable, "-m", "engine", *shlex.split(command)]
    return subprocess.run(arguments, cwd=folder, env=environ, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def retrained(folder: Path) -> subprocess.CompletedProcess[str]:
    return typed(folder, RETRAIN)


def test_the_retraining_prints_the_originals_lines(retrained: subprocess.CompletedProcess[str]) -> None:
    assert retrained.returncode == 0, retrained.stderr
    *steps, final = retrained.stdout.splitlines()
    assert len(steps) == 3 * 5
    for at, line in enumerate(steps):
        step = 10 * (at // 3 + 1)
        form = (
            rf"Step {step}: Train accuracy = \d+\.\d%",
            rf"Step {step}: Cross entropy = \d+\.\d{{6}}",
            rf"Step {step}: Validation accuracy = \d+\.\d% \(N=100\)",
        )[at % 3]
        assert re.fullmatch(form, line)
    assert re.fullmatch(r"Final test accuracy = \d+\.\d% \(N=\d+\)", final)
    assert "stands in" not in retrained.stderr


def test_its_files_lie_where_the_flags_say(folder: Path, retrained: subprocess.CompletedProcess[str]) -> None:
    assert retrained.returncode == 0, retrained.stderr
    assert (folder / "tf_files" / "retrained_graph.pb").stat().st_size > 1_500_000
    assert (folder / "tf_files" / "retrained_labels.txt").read_text() == "".join(f"{name}\n" for name in CLASSES)
    summaries = folder / "tf_files" / "training_summaries" / "mobilenet_0.25_128"
    assert {path.parent.name for path in summaries.rglob("events.out.tfevents.*")} == {"train", "validation"}
    (run,) = list_runs(LabHome(str(folder / "lab")))
    assert (folder / "tf_files" / "retrained_graph.pb").read_bytes() == Path(run.folder.graph).read_bytes()
    texts = sorted((folder / "tf_files" / "bottlenecks").rglob("*.txt"))
    assert len(texts) == len(run.dataset.photos)
    for path in (texts[0], bottleneck(folder)):  # the one that was cut off is whole again
        vector = np.array(path.read_text().split(","), np.float32)
        assert vector.shape == (1001,)


@pytest.fixture(scope="module")
def labelled(folder: Path, retrained: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    return typed(folder, f"label_image --graph=tf_files/retrained_graph.pb --image={DAISY}")


def test_the_graph_names_the_daisy(labelled: subprocess.CompletedProcess[str]) -> None:
    ended = labelled
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.split("\n")
    assert (lines[0], lines[2], lines[8:]) == ("", "", [""])
    assert re.fullmatch(r"Evaluation time \(1-image\): \d+\.\d{3}s", lines[1])
    found = [re.fullmatch(r"([a-z]+) \(score=(\d\.\d{5})\)", line) for line in lines[3:8]]
    assert found[0]
    assert found[0][1] == "daisy"
    assert sorted(match[1] for match in found if match) == sorted(CLASSES)
    assert sum(float(match[2]) for match in found if match) == pytest.approx(1, abs=1e-4)


def test_by_inceptions_name_of_the_input_it_answers_the_same(
    folder: Path, labelled: subprocess.CompletedProcess[str]
) -> None:
    said = json.loads(typed(folder, f"label_image --image={DAISY} --input_layer=Mul --json").stdout)
    assert [f"{each['label']} (score={each['score']:.5f})" for each in said["top"]] == labelled.stdout.split("\n")[3:8]
    assert said["p50_seconds"] > 0
    assert (said["input_height"], said["input_width"], said["input_mean"], said["input_std"]) == (128, 128, 128, 128)


def test_the_graph_is_right_about_the_photos_it_learned_from(folder: Path, labelled: object) -> None:
    ended = typed(folder, "evaluate --image_dir=tf_files/flower_photos --json")
    said = json.loads(ended.stdout)
    assert (said["photos"], said["classes"]) == (96, 5)
    assert said["accuracy"] > 0.85
    assert 0 < said["cross_entropy"] < 0.6
