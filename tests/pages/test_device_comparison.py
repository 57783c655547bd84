"""CPU against GPU on the page, with an interpreter that says what TensorFlow would find on such a machine."""

import json
import re
import shlex
import sys
import time
from pathlib import Path

import pytest

from engine import runs
from engine.contract import events
from engine.kinds import settings as run_settings
from engine.runs import list_runs
from tests.pages.conftest import finished
from tests.pages.test_retraining import button, choose_lamps, texts
from tests.waiting import wait_until
from ui import lab
from ui.choices import foresight

GPU = {"name": "NVIDIA Tegra X2", "memory_bytes": 6_000_000_000}
FORESEEN = {
    "seconds": 12.0, "photos": 60, "measured": 24, "disk_bytes": 10**6, "memory_bytes": 10**9, "training_seconds": 0.0
}  # fmt: skip
NO_DRIVER = "TensorFlow says: Could not find cuda drivers on your machine, GPU will not be used."


@pytest.fixture
def machine(home, tmp_path, monkeypatch):
    def machine(cores: int = 2, gpus: tuple = (), why: str = NO_DRIVER, memory: int = 10**9) -> None:
        """Its worker's Python answers like this what it computes on and how long that takes; the rest is as usual."""
        answer = {"tensorflow": "2.7.0", "gpus": list(gpus), "why_no_gpu": "" if gpus else why, "cores": cores}
        foreseen = FORESEEN | {"memory_bytes": memory}
        python = tmp_path / "python"
        python.write_text(
            f"#!/bin/sh\n[ \"$2 $3\" = 'engine.worker.environment devices' ] "
            f"&& exec echo {shlex.quote(json.dumps(answer))}\n"
            f"[ $2 = engine.worker.predict ] && exec echo {shlex.quote(json.dumps(foreseen))}\n"
            f'exec {shlex.quote(sys.executable)} "$@"\n'
        )
        python.chmod(0o755)
        monkeypatch.setenv("WORKER_PYTHON", str(python))

    return machine


def looked(app):
    """The page once TensorFlow has been asked."""
    wait_until(lambda: "Looking for a GPU" not in texts(app) or not app.run())
    return app


def test_without_a_gpu_one_thread_runs_against_all_and_the_page_says_why(visit, home, machine):
    machine(cores=2)
    app = looked(choose_lamps(visit("retraining", mode="devices")))
    assert f"No GPU was found, so 1 thread runs against all 2. {NO_DRIVER}" in texts(app)
    button(app, "Measure 24 photos first").click().run()
    each = "About 12 s with 1 thread and 12 s with 2 threads for bottlenecks, predicted from 24 photos each time."
    assert each in texts(app)
    button(app, "Run with 1 and 2 threads").click().run()
    assert not app.exception
    group = app.query_params["compare"]
    both = sorted(list_runs(home), key=lambda run: run.story.ticket)
    assert [(run.spec.threads, run.spec.use_cache, run.spec.group, run.spec.device) for run in both] == [
        (1, False, group, "cpu"),
        (2, False, group, "cpu"),
    ]
    assert both[0].spec._replace(threads=2) == both[1].spec
    for run in both:
        assert finished(home, run.id).state == events.DONE
        assert run.story.predicted.seconds == 12

    app = visit("retraining", compare=group)
    assert app.session_state["mode"] == "devices"
    assert re.search(r"\*\*(\d threads? (is|are) [\d.]+× faster|.* take the same time) end to end\.\*\*", texts(app))
    assert "Backbone features" in texts(app)
    table = app.dataframe[0].value
    assert list(table["Device"]) == ["1 thread", "2 threads"]
    assert (table["Peak memory"] == "200.0 MB").all()
    assert len(app.get("vega_lite_chart")) == 3  # beside the pages, stages, curves
    assert "Neither run reads or keeps bottlenecks" in texts(app)

    half = visit("retraining", run=both[0].id)
    assert "One half of a comparison: see both" in [link.proto.label for link in half.get("page_link")]
    settings = run_settings.rows(both[0])
    assert settings["Device"] == "CPU, 1 thread"

    # Where no sensor says the power there is no energy; where one does it is the area below its readings.
    for run in both:
        Path(run.folder.device).unlink(missing_ok=True)
    assert "Energy" not in visit("retraining", compare=group).dataframe[0].value
    for run, seconds, milliwatts in ((both[0], 2, (5000, 7000)), (both[1], 1000, (10_000, 10_000))):
        readings = [{"t": run.started, "power": {"VDD_IN": milliwatts[0]}}]
        readings += [{"t": run.started + seconds, "power": {"VDD_IN": milliwatts[1]}}]
        Path(run.folder.device).write_text("".join(json.dumps(each) + "\n" for each in readings))
    energy = visit("retraining", compare=group).dataframe[0].value["Energy"]
    assert list(energy) == ["12 J", "2.8 Wh"]  # 2 s at 6 W, and 1,000 s at 10 W


def test_with_a_gpu_the_same_run_is_queued_on_both_and_the_second_waits_for_the_first(visit, home, machine):
    machine(gpus=(GPU,))
    app = looked(choose_lamps(visit("retraining", mode="devices")))
    assert "Runs on the CPU, then on the GPU: NVIDIA Tegra X2." in texts(app)
    app.number_input(key="seed").set_value(905).run()  # slow
    button(app, "Run on both").click().run()
    both = {run.spec.device: run for run in list_runs(home)}
    assert sorted(both) == ["cpu", "gpu"]
    assert lab.queue().ahead(both["gpu"].id) == [both["cpu"].id]
    assert "CPU and GPU still run." in texts(app)
    assert "The halves run one after the other" in texts(app)
    for run in both.values():
        lab.queue().cancel(run.id)
    for run in both.values():
        assert finished(home, run.id).state == events.CANCELLED
    app.run()
    assert "CPU was stopped. GPU was stopped." in texts(app)


def test_a_half_that_fails_is_said_and_the_other_one_stands(visit, home, machine):
    machine(gpus=(GPU,))
    app = looked(choose_lamps(visit("retraining", mode="devices")))
    button(app, "Run on both").click().run()
    group = app.query_params["compare"]
    both = {run.spec.device: finished(home, run.id) for run in list_runs(home)}
    gone = events.Error(time.time(), "no_gpu", "TensorFlow finds no GPU on this machine.", "Start it on the CPU.")
    events.append(both["gpu"].folder.events, gone, events.State(time.time(), events.FAILED, 0))
    app = visit("retraining", compare=group)
    assert "GPU failed: TensorFlow finds no GPU on this machine." in texts(app)
    assert re.search(r"CPU stands: .* end to end\.", texts(app))

    runs.delete(home, both["gpu"].id)
    assert "The other half of this comparison has been deleted." in texts(visit("retraining", compare=group))


def test_where_there_is_nothing_to_compare_nothing_can_be_started(visit, machine):
    machine(cores=1)
    app = looked(choose_lamps(visit("retraining", mode="devices")))
    assert "there is one core: nothing to compare." in texts(app)
    assert button(app, "Run on both").disabled
    assert "There is no comparison 'nonsense'" in texts(visit("retraining", compare="nonsense"))


def test_a_run_that_would_not_fit_is_told_before(visit, machine):
    machine(memory=9 * 10**18)
    app = choose_lamps(visit("retraining", mode="single"))
    button(app, "Measure 24 photos first").click().run()
    told = [each.value for each in app.warning if each.value.startswith("It would not fit: it takes about 90000")]
    assert len(told) == 1
    assert told[0].endswith(" is free. End other programs first, or the system may end the run.")
    assert not button(app, "Start training").disabled  # whoever knows better may


def test_what_was_measured_before_is_shown_beside_what_it_took(visit, home):
    app = choose_lamps(visit("retraining", mode="single"))
    button(app, "Measure 24 photos first").click().run()
    assert "The backbone cannot be loaded" in texts(app)  # these weights are pretended
    button(app, "Start training").click().run()
    before = finished(home)
    foreseen = events.Predicted(time.time(), 2.0, 60, 24, 30_000_000, 100_000_000, 1.5)
    run = finished(home, lab.queue().start(before.spec, before.dataset, foreseen))
    rows = foresight.rows(run)
    assert re.fullmatch(r"1\.5 s; it took .*, so \d+% too much", rows["Training foreseen"])
    assert re.fullmatch(r"2\.0 s, from 24 photos; they took .*, so \d+% too much", rows["Bottlenecks foreseen"])
    assert rows["Memory foreseen"] == "100.0 MB; it was 200.0 MB, so 50% too little"
