"""Many pictures as a visitor meets them: the form and the run."""

import csv
import io
import json
import os
import zipfile
from pathlib import Path

import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

from engine import runs
from engine.contract import catalog, events
from engine.contract.kinds.batch_classification import BatchClassificationSpec, Classified
from engine.contract.run_folder import is_locked
from engine.kinds.batch_classification import many_pictures
from engine.runs import list_runs, open_run
from tests.pages.conftest import finished
from tests.pages.test_retraining import texts
from tests.photo_folders import draw_photos
from tests.waiting import wait_until
from ui import lab


@pytest.fixture
def page(home, visit):
    """A visitor with the form before them; a pretrained model is here, which knows two of the three lamps."""
    path = Path(home.assets, catalog.IMAGENET_NAMES)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(["green", "red", "lamp post"]))

    return lambda **query: visit("playground", **({"many": "1"} | query))


def start(app: AppTest) -> AppTest:
    app.button(key="many_start").click().run()
    assert not app.exception
    return app


def classified(page, home, source: str = "lamps") -> runs.Run:
    app = page()
    app.selectbox(key="many_source").set_value(source).run()
    start(app)
    return finished(home)


def jpeg(colour: str = "red") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(file, "JPEG")
    return file.getvalue()


def test_a_set_is_classified_judged_by_the_names_of_its_folders_and_told(page, home):
    app = page()
    assert "A run of its own" in texts(app)
    app.selectbox(key="many_source").set_value("lamps").run()
    assert app.button(key="many_start").label == "Classify 60 pictures"
    assert "The folder yellow is no label of this model: its 20 pictures are classified" in texts(app)
    start(app)
    run = finished(home)
    assert app.query_params["run"] == run.id
    assert run.spec == BatchClassificationSpec(model="mobilenet_v2", model_title="MobileNet v2")
    assert run.title == "Lamps · MobileNet v2 · 60 pictures"
    assert run.state == "done"

    app = page(run=run.id)
    assert len(many_pictures.rows(run)) == 60
    # In the fake worker every fifth picture is taken for a lamp post, and every tenth was learned from.
    assert "**77.8% of 54 pictures right** (95 % interval 65.1% to 86.8%, 42 of 54)." in texts(app)
    assert "6 pictures that the model learned from are not counted: 100.0% of them right." in texts(app)
    table = app.dataframe[0].value
    assert list(table["File"][:2]) == ["green/000.jpg", "green/001.jpg"]
    assert list(table["Judged"][:6]) == ["wrong", "right", "right", "right", "right", "wrong"]
    assert table["Picture"][0].startswith("data:image/jpeg;base64,")
    app.segmented_control(key="answers_order").set_value("Wrong, surest first").run()
    wrong = app.dataframe[0].value
    assert len(wrong) == 12
    assert list(wrong["Score"]) == sorted(wrong["Score"], reverse=True)
    assert lab.rows()[0].accuracy == pytest.approx(42 / 54)


def test_the_machine_tab_says_what_was_read_during_the_run_and_no_more(page, home):
    run = classified(page, home)
    began = run.story.stages[0].began
    app = page(run=run.id)
    app.session_state["many_tabs"] = "Machine"
    file = Path(run.folder.device)
    file.unlink(missing_ok=True)
    assert "Nobody read the device during this run" in texts(app.run())
    file.write_text(json.dumps({"t": began - 60, "cpu": 90.0}) + "\n")
    assert "The run was too short for a reading." in texts(app.run())
    file.write_text("".join(json.dumps({"t": began + 0.01 * cpu, "cpu": cpu}) + "\n" for cpu in (10.0, 20.0, 60.0)))
    app.run()
    assert [each.value for each in app.metric if each.label == "CPU"] == ["30%"]
    assert "mean, at most 60%" in texts(app)


def test_the_csv_has_every_row(page, home):
    run = classified(page, home)
    rows = many_pictures.rows(run)
    table = list(csv.DictReader(io.StringIO(many_pictures.to_csv(rows, run.dataset.root))))
    assert len(table) == 60
    assert table[0]["file"].endswith("lamps/green/000.jpg")
    assert [table[0][name] for name in ("known", "right", "learned_from", "label_1")] == [
        "green", "wrong", "no", "lamp post"
    ]  # fmt: skip
    assert (table[1]["right"], table[9]["learned_from"], table[50]["right"]) == ("right", "yes", "wrong")
    assert float(table[0]["score_1"]) == rows[0].top[0][1]


def test_uploaded_pictures_go_with_the_last_run_that_shows_them(page, home):
    app = page()
    app.file_uploader(key="many_uploads").upload("a.jpg", jpeg()).upload("../a.jpg", jpeg("green")).run()
    assert app.button(key="many_start").label == "Classify 2 pictures"
    start(app)
    run = finished(home)
    folder = Path(home.pictures, "uploaded-pictures")
    assert sorted(os.listdir(folder)) == ["a-2.jpg", "a.jpg"]
    app = page(run=run.id)
    assert "**2 pictures classified**, most often as lamp post" in texts(app)
    assert "Confusion" not in [tab.label for tab in app.tabs]
    again = finished(home, lab.queue().start(run.spec, run.dataset))
    gone(home, run)
    assert folder.is_dir()
    gone(home, again)
    assert not folder.exists()
    assert Path(home.pictures).is_dir()


def gone(home, run: runs.Run) -> None:
    wait_until(lambda: not is_locked(run.folder.lock))  # the worker has said its last word and is about to end
    runs.delete(home, run.id)


def zip_of(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        pytest.param(b"no zip", "is no whole zip file", id="no zip"),
        pytest.param(zip_of({"notes.txt": b"words"}), "trip holds no picture", id="no picture"),
        pytest.param(zip_of({"../a.jpg": jpeg()}), "outside the lab's folder", id="a way out"),
        pytest.param(zip_of({"a.bmp": bytes(20_000_000)}), "unfolds", id="a bomb"),
    ],
)
def test_a_zip_that_cannot_be_used_is_a_sentence_and_leaves_nothing(content, sentence, page, home):
    app = page()
    app.selectbox(key="many_source").set_value("a zip").run()
    app.file_uploader(key="many_zip").upload("trip.zip", content).run()
    start(app)
    assert sentence in texts(app)
    assert list_runs(home) == []
    assert not Path(home.pictures).exists() or os.listdir(home.pictures) == []


def test_a_zip_becomes_a_run(page, home):
    app = page()
    app.selectbox(key="many_source").set_value("a zip").run()
    app.file_uploader(key="many_zip").upload("My trip.zip", zip_of({"red/a.jpg": jpeg(), "b.jpg": jpeg()})).run()
    start(app)
    run = finished(home)
    assert run.title == "My trip · MobileNet v2 · 2 pictures"
    assert [(photo.file, photo.label) for photo in run.dataset.photos] == [("b.jpg", -1), ("red/a.jpg", 0)]


def test_more_uploads_than_are_taken_at_once_stop_the_start(page):
    app = page()
    app.file_uploader(key="many_uploads").set_value([(f"{n}.jpg", b"x", "image/jpeg") for n in range(501)]).run()
    assert "501 pictures are more than the 500 that are taken at once" in texts(app)
    assert app.button(key="many_start").disabled


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("/etc", "outside the folders that photos may come from"),
        ("{data}/missing", "There is no folder"),
        ("{data}", "data holds no picture"),
    ],
)
def test_a_folder_that_cannot_be_used_stops_the_start(typed, sentence, page, tmp_path):
    app = page()
    app.selectbox(key="many_source").set_value("a folder on this machine").run()
    app.text_input(key="many_folder").set_value(typed.format(data=tmp_path / "data")).run()
    assert sentence in texts(app)
    assert app.button(key="many_start").disabled


def test_a_flat_folder_of_the_machine_and_what_is_broken_in_it(page, home, tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_WORKER", "skip")
    os.rename(draw_photos(tmp_path / "drawn", ("red",), 30) / "red", tmp_path / "data" / "trip")
    app = page()
    app.selectbox(key="many_source").set_value("a folder on this machine").run()
    app.text_input(key="many_folder").set_value("trip").run()
    start(app)
    app = page(run=finished(home).id)
    assert "- `000.jpg`: the file is empty\n- `001.jpg`: the file is empty" in texts(app)
    assert "**28 pictures classified**, most often as lamp post (28)." in texts(app)


def test_a_cancelled_run_shows_what_it_has(page, home, monkeypatch):
    monkeypatch.setenv("FAKE_SECONDS", "100")
    app = page()
    app.selectbox(key="many_source").set_value("lamps").run()
    start(app)
    run_id = list_runs(home)[0].id
    wait_until(lambda: open_run(home, run_id).story.every(Classified))
    app = page(run=run_id)
    assert "**Classifying**" in "".join(str(each.proto.text) for each in app.get("progress"))
    assert not app.get("download_button")
    app.button(key="cancel").click().run()
    run = finished(home, run_id)
    assert run.state == "cancelled"
    app = page(run=run_id)
    assert "right**" in texts(app)
    assert len(app.dataframe[0].value) == len(many_pictures.rows(run)) < 60


def test_without_a_model_the_form_says_so(page, home):
    os.remove(Path(home.assets, catalog.IMAGENET_NAMES))
    app = page()
    assert "**No model is here yet.**" in texts(app)
    assert app.button(key="many_start").disabled


def test_a_run_whose_worker_died_or_whose_pictures_are_gone(page, home, monkeypatch):
    monkeypatch.setenv("FAKE_WORKER", "die")
    run = classified(page, home)
    assert run.state == events.LOST
    os.rename(run.dataset.root, f"{run.dataset.root}-moved")
    os.remove(run.folder.labels)
    # As in a server that was started since: rows and thumbnails are kept in its memory.
    st.cache_data.clear()
    st.cache_resource.clear()
    app = page(run=run.id)
    assert "What it had classified is below." in texts(app)
    assert app.dataframe[0].value["Picture"].isna().all()
    assert app.dataframe[0].value["Answer"][0] == "class 3"
