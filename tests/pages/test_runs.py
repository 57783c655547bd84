"""The page Runs: filters, runs beside each other, copied settings, deleting."""

import os
from pathlib import Path

from engine.contract import events, hardware
from engine.contract.kinds.mnist import MnistSpec
from engine.contract.kinds.race import RaceSpec
from engine.runs import list_runs
from tests.pages.conftest import finished
from tests.pages.test_retraining import button, texts

SINGLE = RaceSpec(learning_rates=(0.01,), steps=100)
DIGITS = MnistSpec(data="bars", networks=MnistSpec().networks[:1], epochs=1)


def choose(app, table, *places):
    app.session_state[f"runs_table_{table}"] = {"selection": {"rows": list(places), "columns": [], "cells": []}}
    return app.run()


def listed(app):
    return list(app.dataframe[0].value["Run"])


def test_filters_stand_in_the_address_and_say_how_many_runs_are_left(visit, start):
    photo, digits = start(SINGLE, DIGITS)
    app = visit("runs", kind="Retraining")
    assert listed(app) == [photo.title]
    assert "1 of 2 runs" in texts(app)
    app.selectbox(key="filter_kind").set_value(None).run()
    assert "kind" not in app.query_params
    app.selectbox(key="filter_model").set_value("Beginner").run()
    assert app.query_params["model"] == "Beginner"
    assert listed(app) == [digits.title]
    app.selectbox(key="filter_data").set_value("Lamps").run()
    assert "**No run is like that.** 0 of 2 runs." in texts(app)
    button(app, "Show every run").click().run()
    assert len(listed(app)) == 2
    assert "**No run is like that.**" in texts(visit("runs", device="Abacus"))


def test_a_run_that_came_from_another_machine_says_so(visit, start):
    (run,) = start(SINGLE)
    assert list(visit("runs").dataframe[0].value["Device"]) == ["CPU"]
    events.append(run.folder.events, hardware.here()._replace(name="Jetson TX2", cores=6))  # as its worker would tell
    assert list(visit("runs").dataframe[0].value["Device"]) == ["CPU, Jetson TX2"]
    assert list(visit().dataframe[0].value["Device"]) == ["CPU, Jetson TX2"]


def test_chosen_runs_stay_chosen_when_another_one_appears(visit, start):
    (first,) = start(SINGLE)
    app = choose(visit("runs"), 1, 0)
    (second,) = start(DIGITS)
    app.run()
    assert listed(app) == [second.title, first.title]
    assert f"{first.title} · 2 runs" in texts(app)


def test_runs_beside_each_other_have_a_verdict_an_address_and_marked_differences(visit, start):
    one, other, digits = start(SINGLE, SINGLE._replace(learning_rates=(0.5,)), DIGITS)
    app = choose(visit("runs"), 1, 1, 2)
    button(app, "Compare 2 runs").click().run()
    assert app.query_params["compare"] == f"{one.id},{other.id}"  # in the order of creation
    assert "2 · lr 0.5 is better by validation" in texts(app)
    assert list(app.dataframe[0].value["Lane"]) == ["lr 0.01", "lr 0.5"]
    app.session_state["compared_tabs"] = "Settings"
    app.run()
    assert app.dataframe[0].value.to_dict("records") == [
        {"Setting": "Learning rate", "1 · lr 0.01": "0.01", "2 · lr 0.5": "≠ 0.5"}
    ]
    button(app, "All runs").click().run()
    assert len(listed(app)) == 3
    assert button(app, "Compare 2 runs")  # still chosen
    app = visit("runs", compare=f"{one.id},{digits.id},../secret,gone")
    assert "There are no runs ../secret and gone." in texts(app)
    assert "drawn apart: Retraining and MNIST comparison" in texts(app)
    assert len(app.get("vega_lite_chart")) == 3  # two kinds, and the device
    app = visit("runs", compare=f"{one.id},gone,![](http://elsewhere)")
    assert "**A comparison takes two to six runs.**" in texts(app)
    assert r"\!\[\](http\://elsewhere)" in texts(app)


def test_a_form_filled_with_the_settings_of_a_run_asks_for_the_same(visit, start, home):
    odd = SINGLE._replace(learning_rates=(0.007, 0.5), steps=300, random_crop=10, train_batch_size=-1, seed=7)
    networks = (*MnistSpec().networks[:1], MnistSpec().networks[2]._replace(label_smoothing=0.1))
    digits = DIGITS._replace(networks=networks, epochs=40, training_images=12_345, seed=3)
    start(odd, digits)
    app = choose(visit("runs"), 1, 1)
    button(app, "Copy settings").click().run()
    assert f"Filled in with the settings of {list_runs(home)[1].title}." in texts(app)
    app.switch_page("pages/retraining.py").run()  # AppTest itself stays on the page that it was told
    button(app, "Race 2 rates").click().run()
    assert finished(home).spec == odd
    app = choose(visit("runs"), 1, 1)
    button(app, "Copy settings").click().run()
    app.switch_page("pages/mnist.py").run()
    button(app, "Start comparison").click().run()
    other = networks[1]._replace(title="Small of that run", name="small_of_that_run")
    assert finished(home).spec == digits._replace(networks=(networks[0], other))


def test_several_are_deleted_at_once_and_what_works_stays_with_its_name(visit, start, home):
    start(SINGLE, DIGITS)
    (living,) = start(SINGLE._replace(seed=905), wait=False)
    app = choose(visit("runs"), 1, 0, 1, 2)
    button(app, "Delete 3 runs").click().run()
    title = next(run.title for run in list_runs(home) if run.id == living)
    assert f"**{title}** is still working and will not be deleted." in texts(app)
    app.button(key="delete_confirmed").click().run()
    assert [run.id for run in list_runs(home)] == [living]
    app = choose(visit("runs"), 1, 0)
    button(app, "Cancel").click().run()
    finished(home, living)


def test_a_run_deleted_while_it_is_chosen_and_a_damaged_one_disturb_nothing(visit, start, home):
    damaged, gone = start(SINGLE, DIGITS)
    Path(damaged.folder.dataset).write_text("[")
    app = choose(visit("runs"), 1, 0, 1)
    os.rename(gone.folder.path, f"{home.runs}/.elsewhere")
    app.run()
    assert "unknown photos · MobileNet v2 · lr 0.01 · 1 run" in texts(app)
    button(app, "Copy settings").click().run()
    assert "Which photos it learned from can no longer be read" in texts(app)
    app = choose(visit("runs"), 1, 0)
    button(app, "Delete").click().run()
    app.button(key="delete_confirmed").click().run()
    assert list_runs(home) == []


def test_what_the_form_has_no_place_for_is_said(visit, start):
    start(SINGLE._replace(threads=1, final_tensor_name="answer"))
    app = choose(visit("runs"), 1, 0)
    button(app, "Copy settings").click().run()
    assert r"The form has no place for final\_tensor\_name and threads: left out." in texts(app)
