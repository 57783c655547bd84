"""A kind of run that one file defines is everywhere that the others are, with nothing else changed."""

import json
import sys

import pytest

from engine import cli, kinds, report, settings
from engine.contract import events
from engine.contract import kinds as table
from engine.kinds import compared
from engine.questions import evidence
from engine.runs import list_runs
from engine.runs.queue import Queue
from tests import toy_kind
from tests.pages.conftest import finished
from tests.pages.test_retraining import button, texts

WORKER = "tests.toy_kind"  # the workers' own program, with the kind in its table too


@pytest.fixture(autouse=True)
def known(monkeypatch, home):
    monkeypatch.setitem(table.KINDS, "coin", toy_kind.ROOMS)
    monkeypatch.setenv("WORKER_MODULE", WORKER)
    yield
    kinds.named.cache_clear()


@pytest.fixture
def tossed(home):
    """A run that is done."""
    return finished(home, Queue(home, sys.executable, WORKER).start(toy_kind.CoinSpec(seed=3)))


def test_it_runs_and_is_read_back_with_its_own_events(tossed):
    assert tossed.state == events.DONE, tossed.log_tail()
    assert (tossed.kind, tossed.spec, tossed.title) == ("coin", toy_kind.CoinSpec(seed=3), "A coin · 200 tosses")
    tosses, heads = toy_kind.counted(tossed)
    assert tosses == 200
    assert 60 < heads < 140
    assert [stage.name for stage in tossed.story.stages] == ["Tossing"]


def test_its_form_starts_it_and_its_page_shows_what_it_found(visit, home):
    app = visit("retraining", mode="coin")
    assert "Toss a coin" in app.button_group(key="mode").options
    app.number_input(key="coin_tosses").set_value(300).run()
    button(app, "Toss").click().run()
    run = finished(home)
    assert run.spec == toy_kind.CoinSpec(tosses=300)
    shown = texts(visit("retraining", run=run.id))
    assert f"**{toy_kind.in_words(run)}.**" in shown
    assert "A coin · 300 tosses" in shown


def test_home_and_runs_list_it_and_its_settings_are_copied(visit, tossed):
    assert tossed.title in list(visit("").dataframe[0].value["Run"])
    app = visit("runs", kind="Coin")
    assert list(app.dataframe[0].value["Run"]) == [tossed.title]
    app.session_state["runs_table_1"] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    app.run()
    button(app, "Copy settings").click().run()
    assert not app.exception
    assert app.number_input(key="coin_seed").value == 3


def test_a_report_and_an_answer_tell_of_it(tossed):
    lab = settings.load()
    made = report.of_runs(lab, [tossed.id])
    assert toy_kind.in_words(tossed) in report.html(made, lab, 0.0)
    asked = evidence.query({"kind": "coin"})
    found = evidence.finder(lab)(asked)
    assert [run.id for run in found.runs] == [tossed.id]
    assert evidence.figure(found, "heads", {}) == f"{toy_kind.counted(tossed)[1]:,}"
    (shown,) = evidence.blocks(found, "tosses", lab, 300)
    assert shown.rows == [{"Tosses": "200", "Heads": f"{toy_kind.counted(tossed)[1]:,}"}]


def test_two_of_them_are_put_beside_each_other(visit, home, tossed):
    other = finished(home, Queue(home, sys.executable, WORKER).start(toy_kind.CoinSpec(seed=4)))
    assert compared.verdict(compared.sides([tossed, other])).conclusion == "There is nothing to choose by."
    assert "There is nothing to choose by." in texts(visit("runs", compare=f"{tossed.id},{other.id}"))


def test_the_command_line_has_its_command_and_lists_its_runs(home, capsys):
    assert cli.main(["coin", "--tosses", "500", "--json"], WORKER) == 0
    told = json.loads(capsys.readouterr().out)
    (run,) = list_runs(home)
    assert told == {"run": run.id, "heads": toy_kind.counted(run)[1]}
    assert cli.main(["runs"]) == 0
    assert "A coin · 500 tosses" in capsys.readouterr().out
    assert cli.main(["report", run.id, "--out", f"{home.path}/coin.html"]) == 0
