"""The Playground as a visitor meets it, with the real classifier and real weights."""

import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from engine import assets
from engine.contract.run_folder import LabHome
from tests.assets_home import with_assets
from tests.pages.conftest import APP, finished, open_page
from tests.pages.test_retraining import button, texts
from tests.photo_folders import draw_photos
from tests.waiting import wait_until
from ui import lab

ROOT = Path(APP).parent


@pytest.fixture(scope="module")
def real_home(tmp_path_factory) -> Iterator[LabHome]:
    home = LabHome(str(tmp_path_factory.mktemp("playground") / "lab"))
    fetched = with_assets("mobilenet_v2", "efficientnet_lite0", "imagenet_names", "grace_hopper")
    os.makedirs(home.path)
    os.symlink(fetched.assets, home.assets)
    draw_photos(Path(home.datasets) / "lamps")
    yield home
    lab._classifier(home.path, sys.executable).close()


@pytest.fixture
def visit(real_home, monkeypatch):
    for name in ("LAB_DATA", "WORKER_MODULE", "WORKER_PYTHON"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LAB_HOME", real_home.path)

    def visit(**query: str) -> AppTest:
        return open_page("playground", **query)

    return visit


def answered(app: AppTest) -> str:
    """What stands above the bars, "Military uniform 36.5%"; "" where there is no answer."""
    found = [each.value for each in app.subheader if re.search(r":gray\[\d", each.value)]
    return re.sub(r":gray\[(.*)\]", r"\1", found[0]) if found else ""


def upload(app: AppTest, *files: tuple[str, bytes]) -> AppTest:
    app.button_group(key="picture_source").set_value("Upload").run()
    app.file_uploader(key="playground_upload").set_value([(name, data, "") for name, data in files]).run()
    assert not app.exception
    return app


def picture(colour: tuple[int, int, int] = (200, 40, 40), size: tuple[int, int] = (60, 80), kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, kind)
    return file.getvalue()


def test_a_first_visitor_sees_the_form_and_what_will_appear(visit):
    app = visit()
    assert "**Choose a picture**" in texts(app)
    assert app.selectbox(key="playground_model").value == "mobilenet_v2"
    assert button(app, "Classify").disabled
    assert answered(app) == ""


def test_a_sample_is_answered_at_once_and_its_link_shows_the_same(visit):
    app = visit()
    app.button_group(key="sample").set_value("grace_hopper").run()
    assert answered(app).startswith("Military uniform ")
    assert app.query_params["sample"] in ("grace_hopper", ["grace_hopper"])
    assert app.query_params["model"] in ("mobilenet_v2", ["mobilenet_v2"])
    assert "public domain" in texts(app)
    assert re.search(r"Evaluation time \(1-image\): \d+\.\d{3}s", texts(app))
    again = visit(model="mobilenet_v2", sample="grace_hopper")
    assert answered(again) == answered(app)
    assert [each.label for each in again.metric] == ["This image", "p95", "First image", "Rate"]


def test_classify_measures_repeats_and_draws_them(visit):
    app = visit(model="mobilenet_v2", sample="grace_hopper")
    app.slider(key="repeats").set_value(10).run()
    button(app, "Classify").click().run()
    assert [each.label for each in app.metric] == ["p50", "p95", "First image", "Rate"]
    assert "10 repeats of the same image" in texts(app)
    # What was measured stays while other things are looked at.
    app.slider(key="repeats").set_value(20).run()
    assert app.metric[0].label == "p50"


@pytest.mark.parametrize("model", ["20261125-000000-abcdef", "model:nobody", "../../etc", "model:"])
def test_a_model_that_is_gone_is_said_and_another_one_answers(visit, model):
    app = visit(model=model, sample="grace_hopper")
    (warning,) = app.warning
    assert "MobileNet v2 answers in its place." in warning.value
    assert answered(app).startswith("Military uniform ")


@pytest.mark.parametrize("sample", ["nobody/red/000.jpg", "lamps/red/999.jpg", "lamps/../../secret.jpg"])
def test_a_picture_that_is_gone_leaves_the_page_usable(visit, sample):
    app = visit(model="mobilenet_v2", sample=sample)
    assert "There is no picture" in app.error[0].value
    app.selectbox(key="photo_file").select_index(1).run()
    assert not app.error
    assert answered(app)
    app.button_group(key="picture_source").set_value("Samples").run()
    app.button_group(key="sample").set_value("grace_hopper").run()
    assert answered(app).startswith("Military uniform ")


def test_a_model_whose_weights_are_not_here_offers_to_fetch_them(visit, tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "empty"))
    app = visit(model="efficientnet_lite0")
    assert "EfficientNet-Lite0 is not on this machine yet." in texts(app)
    assert button(app, f"Fetch {assets.megabytes(assets.asset('efficientnet_lite0').sources[0].bytes)}")


def test_photos_of_a_set_are_chosen_by_class_and_split(visit):
    app = visit(model="mobilenet_v2", sample="lamps/red/003.jpg")
    assert (app.selectbox(key="photo_class").value, app.selectbox(key="photo_file").value) == ("red", "003.jpg")
    assert answered(app)
    app.button_group(key="photo_split").set_value("Test").run()
    chosen = app.selectbox(key="photo_file").value
    assert chosen in app.selectbox(key="photo_file").options
    assert len(app.selectbox(key="photo_file").options) < 20
    assert app.query_params["sample"][0].endswith(chosen) or app.query_params["sample"].endswith(chosen)


def test_an_upload_is_answered_whatever_it_is_called_and_however_small(visit):
    app = upload(visit(model="mobilenet_v2"), ("photo.txt", picture()))
    first = answered(app)
    assert first
    app = upload(visit(model="mobilenet_v2"), ("one pixel.png", picture(size=(1, 1))))
    assert answered(app)
    app = upload(visit(model="mobilenet_v2"), ("a.png", picture()), ("b.png", picture((1, 2, 3))))
    assert answered(app) == first
    assert "The first of 2 is answered here" in texts(app)


@pytest.mark.parametrize(
    "name, data, said",
    [
        ("holiday.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "holiday.heic is HEIC. Save it as JPEG or PNG"),
        ("paper.pdf", b"%PDF-1.7\n", "paper.pdf is a PDF."),
        ("logo.svg", b"<svg onload='alert(1)'/>", "logo.svg is SVG."),
        ("<b>.jpg", b"words", "the content is no JPEG, PNG, WEBP, BMP or GIF"),
        ("half.jpg", picture(size=(600, 600), kind="JPEG")[:2000], "half.jpg could not be classified."),
    ],
)
def test_a_file_that_is_no_picture_is_named_and_the_next_one_is_answered(visit, name, data, said):
    app = upload(visit(model="mobilenet_v2"), (name, data))
    (error,) = app.error
    assert said in error.value
    assert "Nothing was stored." in texts(app)
    assert answered(app) == ""
    assert answered(upload(app, ("photo.png", picture())))


def test_an_address_inside_is_refused_on_the_page(visit):
    app = visit(model="mobilenet_v2")
    app.button_group(key="picture_source").set_value("Address").run()
    app.text_input(key="picture_address").set_value("http://127.0.0.1:8501/healthz").run()
    assert "names port 8501" in app.error[0].value
    app.text_input(key="picture_address").set_value("http://localhost/").run()
    assert "localhost is no public address" in app.error[0].value


def test_two_models_on_one_picture_and_where_they_disagree(visit):
    app = visit(model="mobilenet_v2", sample="grace_hopper")
    app.selectbox(key="beside_add").set_value("efficientnet_lite0").run()
    assert not app.exception
    table = next(each.value for each in app.dataframe if "Top class" in each.value.columns)
    assert list(table["Model"]) == ["MobileNet v2", "EfficientNet-Lite0"]
    agree = len({name.removeprefix("≠ ") for name in table["Top class"]}) == 1
    assert ("**Both say" in texts(app)) is agree
    assert ("**They disagree.**" in texts(app)) is not agree


def test_a_classifier_that_was_killed_comes_back_and_the_page_says_so(visit):
    app = visit(model="mobilenet_v2", sample="grace_hopper")
    button(app, "Classify").click().run()
    resident = [
        each for each in psutil.Process().children() if "engine.worker.classify.classifier" in " ".join(each.cmdline())
    ]
    assert resident
    for each in resident:
        os.kill(each.pid, signal.SIGKILL)
    wait_until(lambda: all(each.status() == psutil.STATUS_ZOMBIE for each in resident))
    button(app, "Classify").click().run()
    assert not app.exception
    assert "The classifier had stopped. It was started again and has answered." in [each.value for each in app.info]
    assert answered(app).startswith("Military uniform ")
    app.slider(key="repeats").set_value(20).run()
    assert not app.info


def test_the_courseworks_figures_stand_beside_ours_for_its_photo(visit, test_data):
    photo = test_data / "flower_photos" / "daisy" / "21652746_cc379e0eea_m.jpg"
    app = upload(visit(model="mobilenet_v2"), ("renamed.jpg", photo.read_bytes()))
    assert "**The coursework's figures, quoted**" in texts(app)
    table = next(each.value for each in app.dataframe if "Quoted" in each.value.columns)
    assert table["Quoted"][0] == "0.99794"
    assert table["Quoted"].iloc[-1] == "7.879 s"


def test_the_command_that_is_shown_gives_the_same_scores(visit, real_home):
    app = visit(model="mobilenet_v2", sample="lamps/red/003.jpg")
    app.session_state["playground_tabs"] = "Command line"
    app.run()
    command = next(each.value for each in app.code if "label_image" in each.value)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    said = subprocess.run(command, shell=True, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    listed = re.findall(r"(.+) \(score=([\d.]+)\)", said.stdout)
    chart = json.loads(
        next(each for each in app.get("vega_lite_chart") if each.proto.alt.startswith("Top five")).proto.spec
    )
    shown = chart["layer"][0]["data"]["values"]
    assert [label for label, _ in listed] == [row["label"] for row in shown]
    for (_, score), row in zip(listed, shown, strict=True):
        assert float(score) == pytest.approx(row["value"], abs=1e-4)


def test_several_uploads_become_a_run_of_their_own(visit, real_home, monkeypatch):
    monkeypatch.setenv("WORKER_MODULE", "tests.fakes.fake_worker")
    app = upload(visit(model="mobilenet_v2"), ("a.png", picture()), ("b.png", picture((1, 2, 3))))
    button(app, "Classify all 2").click().run()
    assert not app.exception
    run = finished(real_home)
    assert (run.kind, run.spec.model, len(run.dataset.photos)) == ("classify", "mobilenet_v2", 2)
    assert app.query_params["run"] in (run.id, [run.id])


def test_a_tflite_file_is_added_asked_and_deleted(visit, real_home):
    (file,) = Path(real_home.derived).glob("mobilenet_v2-*imagenet*.tflite")
    app = visit(model="mobilenet_v2", sample="grace_hopper")
    usual = answered(app)
    names = json.loads(Path(real_home.assets, "imagenet_names", "imagenet1k_clean_names.json").read_text())
    app.file_uploader(key="model_file").set_value(("mine.tflite", file.read_bytes(), ""))
    app.file_uploader(key="model_labels").set_value(("labels.txt", "\n".join(names).encode(), ""))
    app.text_input(key="model_title").set_value("Mine")
    app.number_input(key="model_mean").set_value(0.0)
    app.number_input(key="model_std").set_value(1.0)
    button(app, "Check and add").click().run()
    assert not app.exception
    assert [each.value for each in app.error] == []
    assert app.selectbox(key="playground_model").value.startswith("model:")
    assert answered(app) == usual
    key = app.selectbox(key="playground_model").value
    app.session_state["playground_tabs"] = "Model"
    app.run()
    button(app, "Delete").click().run()
    assert not app.exception
    assert app.selectbox(key="playground_model").value == "mobilenet_v2"
    assert "It may have been deleted." in visit(model=key).warning[0].value


def test_a_file_that_is_no_model_is_refused_with_a_sentence(visit):
    app = visit(model="mobilenet_v2")
    app.file_uploader(key="model_file").set_value(("mine.pb", b"no graph at all", ""))
    button(app, "Check and add").click().run()
    assert not app.exception
    assert app.error[0].value.startswith("**mine.pb was not added.**")


def test_without_the_sample_photo_it_is_offered_to_fetch(visit, real_home, tmp_path, monkeypatch):
    home = LabHome(str(tmp_path / "other"))
    for name in ("mobilenet_v2", "imagenet_names", "derived"):
        os.makedirs(home.assets, exist_ok=True)
        os.symlink(Path(real_home.assets, name), Path(home.assets, name))
    monkeypatch.setenv("LAB_HOME", home.path)
    app = visit(sample="grace_hopper")
    assert not app.error
    assert "A sample photo, Grace Hopper, is not on this machine yet." in texts(app)
    assert button(app, "Fetch 6.0 MB")
    lab._classifier(home.path, sys.executable).close()
