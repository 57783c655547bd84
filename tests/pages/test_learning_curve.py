from pathlib import Path

from engine.contract.kinds.learning_curve import LearningCurveSpec
from engine.runs import list_runs
from tests.pages.conftest import finished
from tests.pages.test_retraining import button, choose_lamps, texts
from tests.photo_folders import draw_photos


def measure(app, seeds=3):
    app.button_group(key="sizes_sizes").set_value([2, 5, 50]).run()
    app.select_slider(key="sizes_seeds").set_value(seeds).run()
    button(app, "Measure 3 sizes").click().run()  # no class has 50 photos: 2, 5 and all
    return app


def test_a_curve_from_the_form_to_its_sentence_its_table_and_its_copy(visit, home):
    app = choose_lamps(visit("retraining", mode="learning_curve"))
    app.number_input(key="sizes_seed").set_value(7).run()
    app.select_slider(key="sizes_steps").set_value(200).run()
    measure(app)
    run = finished(home)
    assert run.spec == LearningCurveSpec(sizes=(2, 5, 50), seeds=3, steps=200, seed=7)
    app = visit("retraining", run=run.id)
    words = texts(app)
    assert "Lamps · MobileNet v2 · photos per class" in words
    assert "photos a class" in words
    assert "Each figure is the mean of 3 seeds on the same" in words
    assert app.session_state["mode"] == "learning_curve"
    table = app.dataframe[0].value
    assert list(table["Photos per class"]) == ["2", "5", "all"]
    assert list(table["Photos learned from"])[:2] == ["6", "15"]
    assert table["Gain"].isna().tolist() == [True, False, False]
    listed = visit("runs", kind="How many photos").dataframe[0].value
    assert list(listed["Run"]) == ["Lamps · MobileNet v2 · photos per class"]
    # The next one knows how long it takes, and two are compared by one chart.
    app = choose_lamps(visit("retraining", mode="learning_curve"))
    assert "About " in texts(app)
    measure(app, seeds=1)
    finished(home)
    compared = texts(visit("runs", compare=",".join(run.id for run in list_runs(home))))
    assert "**Test accuracy against photos per class**" in compared
    assert "There is nothing to choose by." in compared
    assert "On the test" in compared
    app = visit("runs")
    app.session_state["runs_table_1"] = {"selection": {"rows": [1], "columns": [], "cells": []}}
    app.run()
    button(app, "Copy settings").click().run()
    assert not app.exception
    assert "Filled in with the settings of Lamps" in texts(app)
    assert app.button_group(key="sizes_sizes").value == [2, 5, 50]
    assert [app.select_slider(key=f"sizes_{name}").value for name in ("seeds", "steps")] == [3, 200]
    assert app.number_input(key="sizes_seed").value == 7


def test_a_run_whose_worker_died_keeps_the_sizes_that_were_measured(visit, home):
    app = choose_lamps(visit("retraining", mode="learning_curve"))
    app.number_input(key="sizes_seed").set_value(907).run()
    measure(app)
    app = visit("retraining", run=finished(home).id)
    assert "The sizes that were measured are below" in texts(app)
    assert list(app.dataframe[0].value["Photos per class"]) == ["2"]
    assert button(app, "Start again with these settings")


def test_what_cannot_be_measured_is_said_and_stops_the_start(visit, home):
    app = choose_lamps(visit("retraining", mode="learning_curve"))
    app.button_group(key="sizes_sizes").set_value([]).run()
    assert "Choose one number of photos at least." in texts(app)
    assert button(app, "Measure 1 size").disabled
    draw_photos(Path(home.datasets) / "few", each=3)
    draw_photos(Path(home.datasets) / "alone", classes=("red",))
    for name, words in (("few", "20"), ("alone", "class")):
        app = visit("retraining", mode="learning_curve")
        app.selectbox(key="photos").set_value(name).run()
        assert words in texts(app)
        assert button(app, "Measure 6 sizes").disabled
