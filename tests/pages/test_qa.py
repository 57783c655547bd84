"""Q&A: answers, their evidence, what is missing and how it gets measured, and a visitor's own answers."""

import json
import shlex
import sys
import time
from pathlib import Path

from engine.contract.kinds.race import LaneResult, RaceSpec
from engine.questions import answers, questions
from engine.runs import delete, list_runs
from engine.words import plain
from tests.pages.conftest import finished
from tests.pages.test_retraining import button, texts
from ui import lab

RACE = RaceSpec()


def labels(app):
    return [each.label for each in app.button]


def said(app) -> str:
    return "\n".join([texts(app), *(each.value for each in app.header), *(each.value for each in app.info)])


def measure(app):
    next(each for each in app.button if each.label.startswith("Measure, about")).click().run()
    assert not app.exception
    return app


def test_an_empty_lab_answers_and_says_which_run_is_missing_and_what_it_takes(visit):
    app = visit("qa", q="8")
    assert questions.read_all()[7].question in said(app)
    assert "**A step costs the same at every rate" in said(app)
    assert "not measured yet" in said(app)
    assert "a run of Retraining with MobileNet v2 at lr 0.005, 0.5, 1.0 on Lamps, 60 photos." in said(app)
    assert "Measure, about 15 s" in labels(app)
    assert "The time is a guess: nothing like it has run on this machine." in said(app)
    assert "*91.1%*" in said(app)  # quoted
    options = app.radio(key="question").options
    assert "hourglass" in options[7]
    assert options[0] == "1. What is TensorFlow? "


def test_the_button_queues_exactly_the_run_that_answers_and_the_figures_appear_with_their_run(visit, home):
    measure(visit("qa", q="8"))
    run = finished(home)
    assert run.spec == RACE
    app = visit("qa", q="8")
    low = run.story.by_lane(LaneResult)["0.005"]
    assert f"[**{low.test_accuracy * 100:.1f}% (" in said(app).replace("\\", "")
    assert f"](retraining?run={run.id})" in said(app)
    assert f"Measured here: {run.id}, MobileNet v2, seed 0, CPU," in said(app)
    assert "not measured yet" not in said(app)
    assert "monitoring" in app.radio(key="question").options[7]
    assert len(app.get("vega_lite_chart")) == 2  # the device strip and the curves
    # The same run answers the next question too.
    assert "lr 1.0 ends at" in said(visit("qa", q="9"))


def test_while_it_is_measured_the_answer_shows_how_far_it_is(visit, home, monkeypatch):
    monkeypatch.setenv("FAKE_SECONDS", "30")
    app = measure(visit("qa", q="8"))
    assert not [label for label in labels(app) if label.startswith("Measure, about")]
    assert any("Lamps · MobileNet v2 · 3 learning rates" in each.proto.text for each in app.get("progress"))
    button(visit("retraining", run=list_runs(home)[0].id), "Cancel").click().run()
    finished(home)
    assert "Measure, about 15 s" in labels(visit("qa", q="8"))


def test_a_failed_run_is_said_and_can_be_tried_again(visit, home, monkeypatch):
    monkeypatch.setenv("FAKE_WORKER", "fail")
    measure(visit("qa", q="8"))
    finished(home)
    app = visit("qa", q="8")
    assert "The newest try did not end well." in said(app)
    assert [each.proto.label for each in app.get("page_link") if "failed" in each.proto.label] == [
        "Open the failed run"
    ]
    monkeypatch.delenv("FAKE_WORKER")
    measure(app)
    assert finished(home).state == "done"


def test_a_run_that_was_deleted_answers_nothing_any_more(visit, home):
    measure(visit("qa", q="8"))
    run = finished(home)
    assert run.id in said(visit("qa", q="8"))
    delete(home, run.id)
    assert "Measure, about 15 s" in labels(visit("qa", q="8"))


def test_an_answer_can_hold_on_to_a_run_until_that_is_deleted(visit, home):
    measure(visit("qa", q="8"))
    first = finished(home)
    lab.queue().start(RACE._replace(seed=1), first.dataset)
    second = finished(home)
    app = visit("qa", q="8")
    assert f"Measured here: {second.id}, MobileNet v2, seed 1," in said(app)
    app.selectbox(key="pin_8_race").set_value(first.id).run()
    assert f"Measured here: {first.id}, MobileNet v2, seed 0," in said(app)
    assert second.id in said(visit("qa", q="9"))
    delete(home, first.id)
    app = visit("qa", q="8")
    assert "The run that this answer was pinned to has been deleted." in said(app)
    app.selectbox(key="pin_8_race").set_value("").run()
    assert second.id in said(app)


def test_one_button_queues_all_that_are_missing_and_each_run_once(visit, home, tmp_path, monkeypatch):
    told = {"tensorflow": "2.7.0", "gpus": [], "why_no_gpu": "none", "cores": 2}
    python = tmp_path / "python"
    python.write_text(
        f"#!/bin/sh\n[ \"$2 $3\" = 'engine.worker.environment devices' ] && exec echo {shlex.quote(json.dumps(told))}\n"
        f'exec {shlex.quote(sys.executable)} "$@"\n'
    )
    python.chmod(0o755)
    monkeypatch.setenv("WORKER_PYTHON", str(python))
    monkeypatch.setenv("FAKE_SECONDS", "0")
    app = visit("qa", q="1")
    app.button(key="measure_all").click().run(timeout=60)
    assert not app.exception
    queued = list_runs(home)
    deadline = time.monotonic() + 90
    while any(run.refresh().is_active for run in queued):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    # Digits and Inception have to be fetched first, and what the race answers is not run twice.
    kinds = sorted((run.kind, bool(getattr(run.spec, "group", ""))) for run in queued)
    assert kinds == [
        ("batch_size", False),
        ("fine_tune", False),
        ("learning_curve", False),
        ("retrain", False),
        ("retrain", True),
        ("retrain", True),
    ]
    app = visit("qa", all="1")
    assert "measure_all" not in [each.key for each in app.button]
    assert [each.value for each in app.header] == [plain(question.question) for question in questions.read_all()]
    assert "To fetch first: **MNIST" in said(app)


def test_photos_of_ones_own_are_asked_for_where_there_are_none(visit, home):
    Path(home.datasets, "lamps").rename(Path(home.path, "elsewhere"))
    app = visit("qa", q="10")
    assert "Nobody has brought photos of their own yet" in said(app)
    assert "Bring your own photos" in [each.proto.label for each in app.get("page_link")]
    assert "To fetch first: **Traffic lights" in said(app)


def test_an_address_that_names_no_question_shows_the_first(visit):
    for wrong in ("99", "x", "-1", "<script>"):
        assert visit("qa", q=wrong).radio(key="question").value == 1


def test_choosing_a_question_changes_the_address(visit):
    app = visit("qa", q="8")
    app.radio(key="question").set_value(13).run()
    assert app.query_params["q"] == "13"
    assert "*Mul*" in said(app)


HOSTILE = "<script>alert(1)</script> ![x](http://example.org/x.png) " + "a" * 10_000


def test_an_own_answer_is_kept_with_its_versions_and_hostile_markdown_stays_text(visit, home):
    app = visit("qa", q="3")
    app.text_area[0].set_value("My **answer**.")
    button(app, "Save").click().run()
    app = visit("qa", q="3")
    assert "My **answer**." in said(app)
    app.text_area[0].set_value(HOSTILE)
    button(app, "Save").click().run()
    assert not app.exception
    shown = next(each for each in app.markdown if each.value.startswith("<script>"))
    assert not shown.allow_html
    assert "](http://example.org/x.png)" in shown.value
    assert "![" not in shown.value
    assert [each.text for each in answers.versions(home, 3)] == [HOSTILE, "My **answer**."]
    older = app.selectbox(key="own_3_version")
    older.set_value(answers.versions(home, 3)[1].name).run()
    app.button(key="own_3_restore").click().run()
    assert answers.newest(home, 3).text == "My **answer**."
    assert len(answers.versions(home, 3)) == 3


def test_two_people_editing_one_answer_lose_neither_and_the_second_is_told(visit, home):
    first, second = visit("qa", q="3"), visit("qa", q="3")
    for app, words in ((first, "Mine."), (second, "Theirs.")):
        app.text_area[0].set_value(words)
        button(app, "Save").click().run()
    assert "Somebody else saved an answer" not in said(first)
    assert "Somebody else saved an answer while you wrote this one. Both are kept" in said(second)
    assert [each.text for each in answers.versions(home, 3)] == ["Theirs.", "Mine."]


def test_an_own_answer_that_is_too_long_is_refused_and_not_lost(visit, home):
    app = visit("qa", q="3")
    app.text_area[0].set_value("a" * 20_001)
    button(app, "Save").click().run()
    assert "This answer has 20,001 characters; shorten it to 20,000." in said(app)
    assert app.text_area[0].value == "a" * 20_001
    assert answers.versions(home, 3) == []


def test_half_a_run_folder_and_hostile_names_change_nothing(visit, home):
    measure(visit("qa", q="8"))
    run = finished(home)
    dataset = json.loads(Path(run.folder.dataset).read_text())
    dataset["title"] = HOSTILE
    Path(run.folder.dataset).write_text(json.dumps(dataset))
    half = Path(home.runs, "20990101-000000-aaaaaa")
    half.mkdir()
    (half / "spec.json").write_text(Path(run.folder.spec).read_text()[:40])
    app = visit("qa", q="8")
    assert run.id in said(app)
    assert "<script>" not in said(app).replace("\\<script\\>", "")
