from pathlib import Path

import pytest

from engine.contract import catalog, choices
from engine.contract.kinds.mnist import MnistSpec, NetworkResult
from engine.kinds.mnist import comparison, explanations
from engine.runs import list_runs, open_run
from engine.words import percent
from tests.pages.conftest import finished, open_page
from tests.pages.test_retraining import button, texts
from tests.waiting import wait_until
from ui import lab

# What the form starts with the beginner's network, the small and the strong one, and two epochs.
COMPARISON = MnistSpec(
    data="bars", networks=tuple(catalog.network(name) for name in ("beginner", "small", "strong")), epochs=2
)


def choose_bars(app):
    app.selectbox(key="digits").set_value("bars").run()
    return app


def start(visit, seed=0):
    """The id of a run as the form starts it."""
    return lab.queue().start(COMPARISON._replace(seed=seed))


def open_tab(app, name):
    app.session_state["mnist_tabs"] = name
    app.run()
    assert not app.exception
    return app


def test_the_form_begins_with_the_usual_comparison(visit, home):
    app = choose_bars(visit("mnist"))
    button(app, "Start comparison").click().run()
    assert finished(home).spec == MnistSpec(data="bars")
    assert app.query_params["run"] == list_runs(home)[0].id


def test_what_is_chosen_is_what_the_run_is_asked_to_do(visit, home):
    app = choose_bars(visit("mnist"))
    app.button_group(key="networks").set_value(["strong", "beginner"]).run()
    app.slider(key="epochs").set_value(3).run()
    app.segmented_control(key="training_images").set_value("5k").run()
    app.segmented_control(key="batch_size").set_value("512").run()
    app.select_slider(key="network_learning_rate").set_value("0.002").run()
    app.number_input(key="seed").set_value(7).run()
    button(app, "Start comparison").click().run()
    recipe = {"batch_size": 512, "learning_rate": 0.002}
    asked = tuple(catalog.network(name)._replace(**recipe) for name in ("beginner", "strong"))
    assert finished(home).spec == MnistSpec("bars", asked, 5000, 3, 7, choices.CPU)


def test_one_network_alone_is_trained_by_its_name(visit, home):
    app = choose_bars(visit("mnist"))
    app.button_group(key="networks").set_value(["beginner"]).run()
    button(app, "Train Beginner").click().run()
    run = finished(home)
    assert run.lanes == ["beginner"]
    assert "**Beginner gets" in texts(visit("mnist", run=run.id))


def test_no_network_is_said_and_stops_the_start(visit):
    app = choose_bars(visit("mnist"))
    app.button_group(key="networks").set_value([]).run()
    assert "0 networks; choose 1 to 6." in texts(app)
    assert button(app, "Start comparison").disabled


def test_digits_that_are_not_here_are_offered_to_be_fetched_and_stop_the_start(visit):
    app = visit("mnist")
    app.selectbox(key="digits").set_value("mnist").run()
    assert "**MNIST is not on this machine yet.**" in texts(app)
    assert button(app, "Start comparison").disabled


def test_an_upload_that_is_no_set_of_digits_is_refused_with_a_sentence(visit, home):
    app = visit("mnist")
    app.selectbox(key="digits").set_value("an upload").run()
    assert button(app, "Keep these files").disabled
    app.file_uploader(key="digit_files").upload("notes.npz", b"no zip").run()
    button(app, "Keep these files").click().run()
    assert "notes.npz" in app.error[0].value
    assert button(app, "Start comparison").disabled


def test_an_uploaded_set_becomes_a_set_of_its_own(visit, home, tmp_path):
    app = visit("mnist")
    app.selectbox(key="digits").set_value("an upload").run()
    content = (tmp_path / "lab" / "datasets" / "bars.npz").read_bytes()
    app.file_uploader(key="digit_files").upload("Stripes.npz", content).run()
    button(app, "Keep these files").click().run()
    assert app.selectbox(key="digits").value == "stripes"
    assert not button(app, "Start comparison").disabled


def test_a_finished_comparison_has_a_verdict_and_a_table_from_the_same_rows(ran):
    run = ran(COMPARISON)
    app = open_page("mnist", run=run.id)
    rows = comparison.network_rows(run)
    assert f"**{comparison.verdict(run).conclusion}**" in texts(app)
    table = app.dataframe[0].value
    assert list(table.columns) == [
        "Network", "Test accuracy", "Wrong of 200", "Training", "Images/s", "Per image", "Parameters",
        "Multiply-adds", "Best epoch",
    ]  # fmt: skip
    assert list(table["Network"]) == [row.title for row in rows]
    assert [int(wrong) for wrong in table["Wrong of 200"]] == [row.wrong for row in rows]
    for said, row in zip(table["Test accuracy"], rows, strict=True):
        assert said == f"{row.test_accuracy:.2%} ({row.test_low * 100:.2f}–{row.test_high * 100:.2f})"
    assert "Beginner holds no images out: its full line is training." in texts(app)


def test_every_tab_of_a_finished_comparison_can_be_opened(ran):
    run = ran(COMPARISON)
    app = open_page("mnist", run=run.id)
    explained = explanations.explanations(run)
    assert f"**{explained[0].title}**" in texts(open_tab(app, "Why"))
    hardest = comparison.hardest(run)
    words = texts(open_tab(app, "Mistakes"))
    assert words.count("**Is ") == len(hardest)
    best, second = comparison.network_rows(run)[:2]
    assert comparison.disagreement(run, best.lane, second.lane).sentence in words
    matrix = open_tab(app, "Confusion").dataframe[0].value
    assert matrix["Test images"].sum() == 200
    leaders = open_tab(app, "Leaderboard").dataframe[0].value
    assert list(leaders["Network"]) == [row.title for row in comparison.leaderboard([run])]
    assert any("fake worker" in list(each.value["Value"]) for each in open_tab(app, "Settings").table)
    app = open_tab(app, "Layers")
    costs = next(each.value for each in app.dataframe if "Parameters" in each.value.columns)
    # Beginner: 784 pixels to 128 units, and those to 10 classes, each unit with a bias.
    assert list(costs["Parameters"].dropna()) == ["100,480", "1,290"]
    assert list(costs["Multiply-adds"].dropna()) == ["100,352", "1,280"]
    Path(run.folder.log).write_text("The worker's own words.\n")
    assert [each.value for each in open_tab(app, "Log").code] == ["The worker's own words."]
    assert not open_tab(app, "Draw a digit").button(key="digit_test").disabled


def test_two_networks_that_are_the_same_one_have_no_disagreement(ran):
    run = ran(COMPARISON)
    app = open_tab(open_page("mnist", run=run.id), "Mistakes")
    app.selectbox(key=f"second_lane_{run.id}").set_value(comparison.network_rows(run)[0].lane).run()
    assert "Choose two different networks." in texts(app)


def test_another_session_sees_the_same(ran):
    run = ran(COMPARISON)
    first, second = open_page("mnist", run=run.id), open_page("mnist", run=run.id)
    assert [each.value for each in first.markdown] == [each.value for each in second.markdown]


def test_a_network_is_stopped_alone_and_the_others_go_on(visit, home):
    run_id = start(visit, seed=905)  # takes a minute
    wait_until(lambda: len(open_run(home, run_id).story.curves) > 1)
    app = visit("mnist", run=run_id)
    table = app.dataframe[0].value
    assert list(table["Network"]) == ["Beginner", "Small", "Strong"]
    assert "of 3 networks done" in texts(app)
    assert "Test accuracy arrives after Evaluating." in texts(app)
    button(app, "Stop Strong").click().run()
    assert button(app, "Stopping Strong").disabled
    wait_until(lambda: open_run(home, run_id).story.lanes_ended)
    app.run()
    assert open_run(home, run_id).is_active
    assert "Strong · stopped" in list(app.dataframe[0].value["Network"])
    assert not [each for each in app.button if each.label.endswith("Strong")]
    app.button(key="cancel").click().run()
    assert finished(home, run_id).state == "cancelled"


def test_a_running_comparison_shows_its_settings_and_can_be_cancelled(visit, home):
    run_id = start(visit, seed=905)
    app = visit("mnist", run=run_id)
    assert "**This run**" in texts(app)
    settings = app.table[0].value
    assert dict(zip(settings["Setting"], settings["Value"], strict=True)) == {
        "Data": "Bars", "Networks": "3", "Epochs": "2", "Images": "All", "Batch": "32, 128",
        "Learning rate": "0.001, 0.01, 0.006", "Device": "CPU", "Seed": "905",
    }  # fmt: skip
    wait_until(lambda: open_run(home, run_id).story.curves)
    app.button(key="cancel").click().run()
    assert finished(home, run_id).state == "cancelled"
    app = visit("mnist", run=run_id)
    assert "you stopped it after" in texts(app)
    assert "No test result: the run stopped before Evaluating." in texts(app)
    assert "Download" in [each.label for each in app.get("download_button")]
    button(app, "Start again with these settings").click().run()
    assert open_run(home, app.query_params["run"]).spec == open_run(home, run_id).spec
    app.button(key="cancel").click().run()
    finished(home, app.query_params["run"])


@pytest.mark.parametrize(
    ("seed", "sentence"),
    [
        pytest.param(901, "**Out of memory while training Strong.**", id="failed"),
        pytest.param(907, "The worker died without a word.", id="lost"),
    ],
)
def test_a_run_that_ended_badly_says_so_and_starts_again(visit, home, seed, sentence):
    run = finished(home, start(visit, seed=seed))
    app = visit("mnist", run=run.id)
    assert sentence in texts(app)
    button(app, "Start again with these settings").click().run()
    assert finished(home, app.query_params["run"]).spec == run.spec


def test_a_run_is_shown_by_the_page_of_its_kind(ran):
    run = ran(COMPARISON)
    app = open_page("retraining", run=run.id)
    assert app.title[0].value == "MNIST comparison"
    assert f"**{run.title}**" in texts(app)


def test_the_cost_is_said_once_it_has_been_measured_here(visit, home):
    app = choose_bars(visit("mnist"))
    assert "The first run measures how long it takes on this CPU." in texts(app)
    finished(home, start(visit))
    app = choose_bars(visit("mnist"))
    assert "without Coursework, as meant, which this run is the first to measure." in texts(app)
    app.button_group(key="networks").set_value(["beginner", "strong"]).run()
    assert "2 networks, about" in texts(app)
    assert "as measured here" in texts(app)


def test_the_controls_choose_what_the_curves_show(ran):
    run = ran(COMPARISON)
    app = open_page("mnist", run=run.id)

    def alt():
        return next(each.proto.alt for each in app.get("vega_lite_chart") if "networks," in each.proto.alt)

    validation = run.story.curves[("strong", "validation")]
    assert alt().startswith("Accuracy of 3 networks, both: ")
    assert f"Strong {percent(validation.accuracy[-1])}" in alt()
    app.segmented_control(key="network_measure").set_value("Loss").run()
    app.segmented_control(key="network_axis").set_value("Steps").run()
    app.segmented_control(key="network_split").set_value("Validation").run()
    assert alt().startswith("Loss of 3 networks, validation: ")
    assert f"Strong {validation.cross_entropy[-1]:.3f}" in alt()


def test_the_best_network_by_validation_speaks_for_the_run_on_home(ran):
    run = ran(COMPARISON)
    table = open_page().dataframe[0].value
    validated = [each for each in run.story.by_lane(NetworkResult).values() if each.validation_accuracy is not None]
    best = max(validated, key=lambda each: each.validation_accuracy)
    assert list(table["Run"]) == [run.title]
    assert table["Val. acc."][0] == f"{best.validation_accuracy:.1%}"
    app = open_page("runs")
    assert app.dataframe[0].value["Test acc."][0] == f"{best.test_accuracy:.1%}"


def test_deleting_a_comparison_names_what_goes(visit, home):
    finished(home, start(visit))
    app = visit("runs")
    app.session_state["runs_table_1"] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    app.run()
    button(app, "Delete").click().run()
    assert "weights and exported files of 3 networks. The images stay." in texts(app)
    app.button(key="delete_confirmed").click().run()
    assert list_runs(home) == []


def test_the_address_of_the_builder_opens_it(visit):
    app = visit("mnist", build="1")
    assert button(app, "Close the builder")
    button(app, "Close the builder").click().run()
    assert "build" not in app.query_params
    button(app, "Build a network").click().run()
    assert "build" in app.query_params


def test_a_network_of_ones_own_is_chosen_once_it_is_built_and_trained_beside_the_others(visit, home):
    app = choose_bars(visit("mnist", build="1"))
    app.button(key="add_network").click().run()
    own = app.session_state["_own_networks"][0]
    assert own.name in app.button_group(key="networks").value
    app.button_group(key="networks").set_value([own.name, "beginner"]).run()
    app.button(key=f"drop_{own.name}").click().run()
    assert button(app, "Train Beginner")
    app.button(key="add_network").click().run()
    button(app, "Start comparison").click().run()
    assert finished(home).spec.networks == (catalog.network("beginner"), own)
    assert "build" not in app.query_params
