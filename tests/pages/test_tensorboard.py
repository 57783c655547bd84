"""TensorBoard in its tab, and curves that were imported from its files."""

import json
import os
import shutil
import time

import pytest

from engine import tensorboard
from engine.contract.run_folder import RunFolder
from engine.runs import list_runs, open_run
from engine.worker.formats.summaries import Summaries
from engine.worker.reporter import Reporter
from tests.pages.conftest import finished
from tests.pages.test_retraining import button, start, texts


@pytest.fixture
def stopped(home):
    yield
    tensorboard.stop(home)


@pytest.fixture
def elsewhere(tmp_path) -> str:
    """A folder of event files below LAB_DATA, as the original left them in summaries_dir."""
    folder = RunFolder(str(tmp_path / "data" / "runs" / "old"))
    summaries = Summaries(folder, ["retrain_logs"], Reporter(folder))
    for split in ("training", "validation"):
        points = [(step, 0.5 + step / 10000, 1 - step / 5000) for step in range(0, 4000, 10)]
        summaries.scalars("retrain_logs", split, points)
    summaries.close()
    return os.path.join(folder.summaries, "retrain_logs")


def test_tensorboard_is_offered_started_and_stopped_in_a_tab(visit, home, stopped):
    run_id = start(visit, home)
    shutil.rmtree(finished(home, run_id).folder.summaries)  # as an older run has none

    def open_tab():
        app = visit("retraining", run=run_id)
        app.session_state["run_tabs"] = "TensorBoard"
        return app.run()

    app = open_tab()
    assert "This run has no event files" in texts(app)
    button(app, "Start TensorBoard").click().run()
    deadline = time.monotonic() + 60
    while tensorboard.state(home).state == tensorboard.STARTING:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    app = open_tab()
    (frame,) = app.get("iframe")
    assert frame.proto.src == f"/tensorboard/?runFilter={run_id}#timeseries"
    assert f"port {tensorboard.state(home).port} of this machine" in texts(app)
    button(app, "Stop").click().run()
    assert tensorboard.state(home).state == tensorboard.STOPPED


def import_files(app, folder: str, title: str = ""):
    app.text_input(key="import_folder").set_value(folder)
    app.text_input(key="import_title").set_value(title)
    return button(app, "Import").click().run()


def lines_of(app) -> list[str]:
    """The names of the lines that the chart of curves draws."""
    specs = [json.loads(chart.proto.spec) for chart in app.get("vega_lite_chart")]
    layers = [layer for spec in specs for layer in spec["layer"]]
    (smoothed,) = (layer["encoding"] for layer in layers if "strokeDash" in layer["encoding"])
    return smoothed["strokeDash"]["scale"]["domain"]


def test_files_are_imported_on_runs_and_shown_as_curves(visit, home, elsewhere):
    app = import_files(visit("runs"), elsewhere, "Of 2017")
    assert not app.exception
    (made,) = [run for run in list_runs(home) if run.kind == "imported"]
    assert list(app.dataframe[0].value["Run"]) == ["Of 2017 · imported"]
    app = visit("retraining", run=made.id)
    assert "**Of 2017 · imported**" in texts(app)
    assert lines_of(app) == ["retrain_logs"]
    assert elsewhere in list(app.table[0].value["Value"])
    assert not [each for each in app.get("download_button") if "Download" in str(each.proto)]


@pytest.mark.parametrize("folder", ["", "/etc", "/no/such", "../.."])
def test_a_folder_that_the_lab_may_not_read_is_refused(visit, home, folder):
    app = import_files(visit("runs"), folder)
    assert "is no folder that the lab may read" in texts(app)
    assert list_runs(home) == []


def test_a_folder_without_event_files_is_refused_with_a_sentence(visit, home, tmp_path):
    (tmp_path / "data" / "empty").mkdir()
    app = import_files(visit("runs"), str(tmp_path / "data" / "empty"))
    assert "There is no event file of TensorBoard below" in texts(app)


def test_an_imported_curve_is_laid_dashed_over_those_of_a_run(visit, home, elsewhere):
    run_id = start(visit, home)
    finished(home, run_id)
    assert not [box for box in visit("retraining", run=run_id).selectbox if box.key == "compare_with"]
    import_files(visit("runs"), elsewhere, "Of 2017")
    app = visit("retraining", run=run_id)
    app.selectbox(key="compare_with").select("Of 2017").run()
    assert not app.exception
    assert lines_of(app) == [*open_run(home, run_id).titles.values(), "Of 2017"]
