"""Runs as rows, for all visitors."""

import os

from engine.contract import events, specs
from engine.contract.kinds.mnist import MnistSpec
from engine.contract.run_folder import LabHome
from ui import lab


def test_runs_are_in_the_order_of_their_tickets_though_the_clock_was_set_back(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    for ticket, began in enumerate((2_000_000_000.0, 1_000_000_000.0, 1_500_000_000.0), 1):
        folder = LabHome(str(tmp_path)).run(f"run-{ticket}")
        os.makedirs(folder.path)
        specs.write(folder.spec, MnistSpec())
        queued, done = events.State(began, events.QUEUED, ticket), events.State(began, events.DONE, 0)
        events.append(folder.events, queued, done)
    assert [row.id for row in lab.rows()] == ["run-3", "run-2", "run-1"]
