import re

import pytest

from engine.contract import choices
from engine.contract.kinds.batch_size import BatchSizeSpec
from engine.contract.kinds.fine_tuning import FineTuningSpec
from engine.machine.device import Reading, encode
from engine.runs import list_runs
from tests.pages.conftest import finished
from tests.pages.test_device import charts, tab
from tests.pages.test_retraining import button, choose_lamps, texts
from ui.choices import foresight


def train(app, label="Train 2 depths"):
    button(app, label).click().run()
    return app


def test_what_the_form_says_is_what_the_run_is_asked_to_do(visit, home):
    app = choose_lamps(visit("retraining", mode="fine_tune"))
    app.button_group(key="tune_blocks").set_value([0, 1, choices.ALL_BLOCKS]).run()
    app.select_slider(key="tune_body").set_value(0.0005).run()
    app.select_slider(key="tune_epochs").set_value(3).run()
    app.toggle(key="flip_left_right").set_value(True).run()
    app.slider(key="random_crop").set_value(30).run()
    app.number_input(key="tune_memory").set_value(2000).run()
    train(app, "Train 3 depths")
    assert finished(home).spec == FineTuningSpec(
        blocks=(0, 1, choices.ALL_BLOCKS),
        body_learning_rate=0.0005,
        epochs=3,
        flip_left_right=True,
        random_crop=30,
        memory_limit=2000,
    )


def test_a_finished_run_says_what_unfreezing_changed_with_its_interval_and_what_it_cost(visit, home):
    train(choose_lamps(visit("retraining", mode="fine_tune")))
    run = finished(home)
    app = visit("retraining", run=run.id)
    words = texts(app)
    assert "Lamps · MobileNet v2 · frozen against last 2 blocks" in words
    assert "**Unfreezing the last 2 blocks changed accuracy by +" in words
    assert "that is no difference.**" in words
    table = app.dataframe[0].value
    assert list(table["Learns"]) == ["Frozen", "Last 2 blocks"]
    assert list(table["Peak memory"]) == ["700.0 MB", "900.0 MB"]
    assert list(table["An epoch"]) == ["0.2 s", "0.4 s"]
    assert table["Change"].isna().tolist() == [True, False]
    assert app.session_state["mode"] == "fine_tune"
    began, ended = run.story.stages[0].began, run.story.last_t
    with open(run.folder.device, "w") as file:
        file.writelines(encode(Reading(began + part / 9 * (ended - began), 50.0)) for part in range(10))
    shown = charts(tab(app, "Machine", "tune_tabs"))
    told = run.story.curves["frozen", "validation"].told
    assert [each["x"] + began for each in shown["Validation"]["points"]][: len(told)] == pytest.approx(told, abs=1e-3)
    assert shown["Validation"]["frame"][0]["high"] == shown["CPU"]["frame"][0]["high"]  # one time axis
    listed = visit("runs").dataframe[0].value
    assert list(listed["Run"]) == ["Lamps · MobileNet v2 · frozen against last 2 blocks"]
    app = choose_lamps(visit("retraining", mode="fine_tune"))
    assert re.search(r"About \S+ \S+ on this CPU, from earlier runs of these depths\.", texts(app))
    train(app)
    second = finished(home, app.query_params["run"])
    said = foresight.rows(second)["Time foreseen"]
    assert re.fullmatch(r".* from earlier runs of these depths; it took .*, so .*", said)


def test_a_lane_that_ran_out_of_memory_says_so_and_shows_how_many_photos_it_took_at_once(visit, home):
    app = choose_lamps(visit("retraining", mode="fine_tune"))
    app.number_input(key="tune_seed").set_value(906).run()
    train(app)
    app = visit("retraining", run=finished(home).id)
    assert "Last 2 blocks ran out of memory." in texts(app)
    assert list(app.dataframe[0].value["At once"]) == ["32", "16 of 32"]


def test_no_depth_is_no_run(visit):
    app = choose_lamps(visit("retraining", mode="fine_tune"))
    button(app, "Measure a batch first").click().run()
    assert "The backbone cannot be loaded" in texts(app)  # these weights are pretended
    assert "Nothing like it was run on this CPU yet" in texts(app)
    app.button_group(key="tune_blocks").set_value([]).run()
    assert "Choose one depth at least." in texts(app)
    assert all(each.disabled for each in app.button if each.label.startswith("Train"))


@pytest.mark.parametrize("seed", [pytest.param(901, id="failed"), pytest.param(907, id="killed")])
def test_a_run_that_ended_early_still_shows_its_page(visit, home, seed):
    app = choose_lamps(visit("retraining", mode="fine_tune"))
    app.number_input(key="tune_seed").set_value(seed).run()
    train(app)
    app = visit("retraining", run=finished(home).id)
    assert button(app, "Start again with these settings")


def test_batch_sizes_are_tried_without_photos_and_one_is_recommended(visit, home):
    app = visit("retraining", mode="batch_size")
    app.select_slider(key="batch_largest").set_value(32).run()
    app.number_input(key="batch_memory").set_value(2000).run()
    button(app, "Try batch sizes").click().run()
    run = finished(home)
    assert run.spec == BatchSizeSpec(largest=32, memory_limit=2000)
    app = visit("retraining", run=run.id)
    words = texts(app)
    assert "Batch size · MobileNet v2 · all blocks" in words
    assert "**Take batches of 4: 20.0 images/s in 860.0 MB.** The largest that fits within 2.0 GB is 16." in words
    assert "16 gives no more speed for 480.0 MB more." in words
    table = app.dataframe[0].value
    assert list(table["Batch size"]) == ["1", "2", "4", "8", "16", "17", "18", "20", "24", "32"]
    assert list(table["Fits"]) == ["yes"] * 5 + ["no"] * 5
    assert "ResourceExhausted" in list(table["Why not"])[-1]
    assert list(visit("runs").dataframe[0].value["Run"]) == ["Batch size · MobileNet v2 · all blocks"]
    home_page = visit()
    assert not home_page.exception


def test_settings_of_both_kinds_are_copied_into_their_forms(visit, home):
    app = choose_lamps(visit("retraining", mode="fine_tune"))
    app.button_group(key="tune_blocks").set_value([0, 4]).run()
    app.select_slider(key="tune_epochs").set_value(2).run()
    train(app)
    finished(home)
    app = visit("retraining", mode="batch_size")
    app.select_slider(key="batch_largest").set_value(8).run()
    button(app, "Try batch sizes").click().run()
    finished(home)
    compared = visit("runs", compare=",".join(run.id for run in list_runs(home)))
    assert "These runs are of different kinds" in texts(compared)
    for row, title in enumerate(("Batch size", "Lamps")):
        app = visit("runs")
        app.session_state["runs_table_1"] = {"selection": {"rows": [row], "columns": [], "cells": []}}
        app.run()
        button(app, "Copy settings").click().run()
        assert not app.exception
        assert f"Filled in with the settings of {title}" in texts(app)
        if row == 0:
            assert app.select_slider(key="batch_largest").value == 8
        else:
            assert app.button_group(key="tune_blocks").value == [0, 4]
            assert app.select_slider(key="tune_epochs").value == 2
