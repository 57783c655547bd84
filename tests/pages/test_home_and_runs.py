from engine.contract.kinds.race import LaneResult, RaceResult
from engine.runs import list_runs, open_run
from tests.pages.conftest import finished
from tests.pages.test_retraining import button, start, texts
from tests.waiting import wait_until
from ui import lab


def test_the_first_visit_says_how_to_start_and_what_is_ready(visit):
    app = visit()
    assert "No runs yet. Three ways to start" in texts(app)
    what = list(app.table[0].value["What"])
    assert any("Memory" in each for each in what)
    assert any("MobileNet v2" in each for each in what)


def test_home_lists_runs_with_state_and_figures(visit, home):
    done = finished(home, start(visit, home))
    failed = finished(home, start(visit, home, seed=901))
    table = visit().dataframe[0].value
    assert list(table["Run"]) == [failed.title, done.title]
    assert [list(each) for each in table["Status"]] == [["Failed"], ["Done"]]
    kept = done.story.by_lane(LaneResult)[done.story.last(RaceResult).kept]
    assert table["Val. acc."][1] == f"{kept.final_validation_accuracy:.1%}"


def test_a_running_run_is_on_home_and_can_be_cancelled_there(visit, home):
    run_id = start(visit, home, seed=905)
    wait_until(lambda: open_run(home, run_id).state != "queued")
    app = visit()
    app.run()
    assert "**Lamps · MobileNet v2 · 3 learning rates**" in texts(app)
    button(app, "Cancel").click().run()
    assert finished(home, run_id).state == "cancelled"


def test_runs_says_that_there_are_none(visit):
    assert "**No runs yet.**" in texts(visit("runs"))


def test_deleting_asks_and_names_what_goes(visit, home):
    run = finished(home, start(visit, home))
    app = visit("runs")
    app.session_state["runs_table_1"] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    app.run()
    button(app, "Delete").click().run()
    assert f"**{run.title}**, started just now, goes with everything in its folder" in texts(app)
    assert "The photos and their bottlenecks stay." in texts(app)
    assert len(list_runs(home)) == 1
    app.button(key="delete_confirmed").click().run()
    assert list_runs(home) == []


def evaluations(run):
    return sum(len(curve.step) for curve in run.story.curves.values())


def test_a_run_that_goes_on_is_read_further_and_not_again_from_its_start(visit, home):
    run_id = start(visit, home, seed=905)
    with lab.following(run_id) as first:
        read = evaluations(first)
    wait_until(lambda: evaluations(open_run(home, run_id)) > read)
    with lab.following(run_id) as later:
        assert later is first
        assert evaluations(later) > read
    button(visit("retraining", run=run_id), "Cancel").click().run()
    whole = finished(home, run_id)
    with lab.following(run_id) as ended:
        assert ended.state == "cancelled"
        assert ended.story.curves == whole.story.curves
    with lab.following(run_id) as again:
        assert again is not ended
