"""What a run offers once its files are there: the files themselves, its answers, and how far to believe them.

The runs are the fake worker's; classifier, weights and bottlenecks are real.
"""

import io
import json
import math
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from engine import photos
from engine.contract import catalog, signatures
from engine.contract.kinds.race import RaceSpec
from engine.contract.run_folder import LabHome, read_json, write_json
from engine.runs import Run
from engine.runs.queue import Queue
from engine.worker import backbones
from engine.worker.classify import models
from engine.worker.features import bottlenecks
from tests.assets_home import with_assets
from tests.pages.conftest import APP, finished
from tests.pages.test_retraining import texts
from tests.photo_folders import draw_photos
from ui import lab

FAKE = "tests.fakes.fake_worker"


@pytest.fixture(scope="module")
def real_home(tmp_path_factory) -> Iterator[LabHome]:
    home = LabHome(str(tmp_path_factory.mktemp("exported") / "lab"))
    fetched = with_assets("mobilenet_v2", "imagenet_names")
    os.makedirs(home.path)
    os.symlink(fetched.assets, home.assets)
    draw_photos(Path(home.datasets) / "lamps")
    yield home
    lab._classifier(home.path, sys.executable).close()


@pytest.fixture(scope="module")
def dataset(real_home):
    return photos.split(photos.scan(Path(real_home.datasets, "lamps"), "Lamps"), 10, 10)


@pytest.fixture(scope="module")
def race(real_home, dataset) -> Run:
    """A finished race of three rates."""
    asked = RaceSpec(steps=200)
    return finished(real_home, Queue(real_home, sys.executable, FAKE).start(asked, dataset))


@pytest.fixture
def visit(real_home, monkeypatch):
    for name in ("LAB_DATA", "WORKER_PYTHON"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORKER_MODULE", FAKE)
    monkeypatch.setenv("LAB_HOME", real_home.path)

    def visit(page: str, **query: str) -> AppTest:
        app = AppTest.from_file(APP, default_timeout=120)
        app.query_params.update(query)
        app.run()
        app.switch_page(f"pages/{page}.py").run()
        assert not app.exception
        return app

    return visit


def tab(app: AppTest, tabs: str, name: str) -> AppTest:
    app.session_state[tabs] = name
    app.run()
    assert not app.exception
    return app


def download(app: AppTest, key: str):
    return next(each for each in app.get("download_button") if each.proto.id.endswith(f"-{key}"))


def measure(text: str) -> float:
    """ "20.5 KB" in bytes, "13 ms" in seconds, "80.0%" as a share."""
    units = {"%": 0.01, "ms": 0.001, "s": 1.0, "B": 1.0, "KB": 1e3, "MB": 1e6, "": 1.0}
    found = re.fullmatch(r"([\d.]+(?:e-?\d+)?) ?(%|ms|s|B|KB|MB|)", text)
    assert found, text
    return float(found[1]) * units[found[2]]


def told(run: Run, kind: str) -> list[dict]:
    lines = Path(run.folder.events).read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["kind"] == kind]


def test_every_file_has_the_row_that_its_test_said_and_a_way_to_take_it_away(visit, race):
    app = tab(visit("retraining", run=race.id), "run_tabs", "Files")
    (table,) = (each.value for each in app.dataframe)
    exported = told(race, "exported")
    assert [each["file"] for each in exported] == [
        "saved_model",
        "retrained_graph.pb",
        "model.tflite",
        "model-8bit.tflite",
    ]
    figures = ("accuracy", "difference", "bytes", "seconds")
    for (_, row), event in zip(table.iterrows(), exported, strict=True):
        for shown, figure in zip(row.iloc[1:5], figures, strict=True):
            rounded = {"bytes": {"abs": 600}, "difference": {"rel": 0.06}}.get(figure, {})  # to KB, to two digits
            assert measure(shown) == pytest.approx(event[figure], **rounded or {"rel": 0.01}), (event["file"], figure)
    large, small = (
        next(each for each in exported if each["file"] == name) for name in ("model.tflite", "model-8bit.tflite")
    )
    assert small["bytes"] == os.path.getsize(race.folder.tflite_8bit)
    assert f"{large['bytes'] / small['bytes']:.1f}×" in texts(app)
    for name in ("retrained_graph.pb", "labels.txt", "model.tflite", "model-8bit.tflite"):
        assert download(app, f"download_{name}").proto.label == name
    assert any(race.folder.graph in each.value for each in app.code)


def jpeg(photo: Path) -> bytes:
    return photo.read_bytes()


def noise() -> bytes:
    """A picture that no photo of a lamp is near to."""
    pixels = np.random.default_rng(0).integers(0, 256, (90, 90, 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(np.kron(pixels, np.ones((3, 3, 1), np.uint8))).save(file, "PNG")
    return file.getvalue()


def answered(app: AppTest) -> str:
    """The label that stands above the bars."""
    return next(each.value for each in app.subheader if ":gray[" in each.value).partition(" ")[0]


@pytest.mark.parametrize("colour", ["green", "red", "yellow"])
def test_a_photo_dropped_on_the_page_of_a_run_is_answered_by_its_kept_lane(visit, race, real_home, colour):
    app = tab(visit("retraining", run=race.id), "run_tabs", "Try it")
    photo = Path(real_home.datasets, "lamps", colour, "004.jpg")
    app.file_uploader(key="try_photo").set_value([(photo.name, jpeg(photo), "image/jpeg")]).run()
    assert not app.exception
    assert answered(app) == colour.capitalize()
    assert app.error == []


@pytest.fixture(scope="module")
def vectors(real_home, race, dataset) -> dict[str, np.ndarray]:
    """What the backbone makes of each photo, by its name; the lab's cache holds them, as after a real worker."""
    row = catalog.backbone("mobilenet_v2")
    network = models.Models(real_home).backbone(row)
    found = {}
    for photo in dataset.photos:
        pixels = bottlenecks.pixels_of(os.path.join(dataset.root, photo.file), row)
        found[photo.file] = network.run(pixels[None].astype(np.float32))[0]
    digest = read_json(race.folder.contract)["weights_sha256"]
    key = bottlenecks.key(backbones.Network(row, digest, None))
    cache = bottlenecks.Cache(real_home.bottlenecks, key, row.width)
    used = read_json(race.folder.photos)
    cache.write({sha256: found[file] for file, sha256 in zip(used["files"], used["sha256"], strict=True)})
    cache.close()
    return found


def distance(one: np.ndarray, other: np.ndarray) -> float:
    one, other = one.astype(float), other.astype(float)
    return 1 - float(one @ other) / math.sqrt(float(one @ one) * float(other @ other))


def learned(race: Run) -> dict[str, str]:
    """The training photos and their labels."""
    labels = read_json(race.folder.contract)["labels"]
    used = read_json(race.folder.photos)
    rows = zip(used["files"], used["label_of_file"], used["split_of_file"], strict=True)
    return {file: labels[label] for file, label, split in rows if split == "training"}


def test_the_nearest_photos_are_those_whose_bottlenecks_are_nearest(visit, race, vectors):
    asked = next(photo.file for photo in race.dataset.photos if photo.split == "testing")
    known = learned(race)
    near = sorted(known, key=lambda file: distance(vectors[asked], vectors[file]))[:8]
    app = tab(visit("playground", model=race.id, sample=f"lamps/{asked}"), "playground_tabs", "Nearest photos")
    pictures = [image.proto.imgs[0].alt for image in app.image]
    shown = [re.fullmatch(r"(\S+\.jpg): (\S+) ([\d.]+)", alt) for alt in pictures]
    found = [(each[1], each[2], float(each[3])) for each in shown if each]
    assert [file for file, _, _ in found] == near
    assert [label for _, label, _ in found] == [known[file] for file in near]
    distances = [distance(vectors[asked], vectors[file]) for file in near]
    assert [figure for _, _, figure in found] == pytest.approx(distances, abs=6e-4)
    labels = [known[file] for file in near]
    assert f"{max(map(labels.count, labels))} of the 8 " in texts(app)


def test_a_picture_unlike_all_photos_is_called_none_of_these_and_a_photo_is_not(visit, race, vectors, real_home):
    tested = next(photo.file for photo in race.dataset.photos if photo.split == "testing")
    rule = read_json(race.folder.calibration)["lanes"][race.story.kept]["none_of_these"]
    app = visit("playground", model=race.id, sample=f"lamps/{tested}")
    assert [each.value for each in app.warning] == []
    assert rule["distance"] > min(distance(vectors[tested], vectors[file]) for file in learned(race))
    app.button_group(key="picture_source").set_value("Upload").run()
    app.file_uploader(key="playground_upload").set_value([("noise.png", noise(), "image/png")]).run()
    assert not app.exception
    (warning,) = app.warning
    row = catalog.backbone("mobilenet_v2")
    with Image.open(io.BytesIO(noise())) as image:
        pixels = np.asarray(image.resize((row.size, row.size), Image.Resampling.BILINEAR), np.float32)
    vector = models.Models(real_home).backbone(row).run(pixels[None])[0]
    nearest = min(distance(vector, vectors[file]) for file in learned(race))
    assert nearest > rule["distance"]
    figures = [float(figure) for figure in re.findall(r"\d+\.\d\d\b", warning.value)][:2]
    assert figures == pytest.approx([nearest, rule["distance"]], abs=6e-3)
    assert f"{rule['false_alarms']} of {rule['photos']} photos" in warning.value


def test_reliability_shows_what_the_testing_split_said_of_scores(visit, race, real_home):
    lanes = read_json(race.folder.calibration)
    kept = lanes["lanes"][race.story.kept]
    kept |= {"temperature": 1.31, "expected_calibration_error": 0.052, "uncalibrated_error": 0.113, "photos": 70}
    photo, share, mean = [0] * 10, [None] * 10, [None] * 10
    photo[9], share[9], mean[9], photo[6], share[6], mean[6] = 40, 0.875, 0.96, 30, 0.7, 0.63
    kept["bins"] |= {"photos": photo, "right": share, "confidence": mean}
    kept["none_of_these"] |= {"false_alarms": 7, "photos": 70}
    write_json(race.folder.calibration, lanes)
    signatures.sign(race.folder)
    lab.st.cache_data.clear()  # it is read once
    app = visit("playground", model=race.id, sample="lamps/red/003.jpg")
    said = next(each.value for each in app.caption if "N=40" in each.value)
    assert "88%" in said  # 35 of 40
    app = tab(app, "playground_tabs", "Reliability")
    charts = [json.loads(each.proto.spec) for each in app.get("vega_lite_chart")]
    rows = [row for chart in charts for layer in chart["layer"] for row in layer.get("data", {}).get("values", [])]
    bins = [row for row in rows if row.get("photos")]
    assert {(row["photos"], row["right"], row["confidence"]) for row in bins} == {(40, 0.875, 0.96), (30, 0.7, 0.63)}
    words = texts(app)
    assert "1.31" in words
    assert re.search(r"11\.3 pt\b.*\b5\.2 pt", words)
    assert "7 of 70 photos" in words
    assert "10.0%" in words


def test_grad_cam_is_drawn_where_it_is_asked_for(visit, race):
    app = visit("playground", model=race.id, sample="lamps/red/003.jpg")
    app.session_state["playground_tabs"] = "Why"
    app.run()
    before = len(app.image)
    app.button(key="why_grad_cam").click().run(timeout=240)
    assert not app.exception
    assert app.info == []
    (drawn,) = [
        image.proto.imgs[0].alt for image in list(app.image)[before - 1 :] if "003.jpg for" in image.proto.imgs[0].alt
    ]
    assert "red" in drawn
