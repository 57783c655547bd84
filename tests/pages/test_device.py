"""The page Device and the tab Machine, with a real sampler and programs in the place of tegrastats."""

import contextlib
import os
import shutil
import signal
import time

import pytest
from streamlit.dataframe_util import convert_arrow_bytes_to_pandas_df

from engine.contract import VERSION
from engine.contract.run_folder import LabHome
from engine.machine import buffers, sampler
from engine.machine.device import Reading, encode
from tests.fakes.tegrastats import LINE, program
from tests.pages.conftest import finished
from tests.pages.test_retraining import button, start, texts


@pytest.fixture(autouse=True)
def ended(home):
    yield
    if pid := sampler.holder(home):
        with contextlib.suppress(ProcessLookupError):  # it has ended just now
            os.kill(pid, signal.SIGTERM)


def wait_for(fact):
    deadline = time.monotonic() + 60
    while not fact():
        assert time.monotonic() < deadline, "it has not come true in time"
        time.sleep(0.05)


def metrics(app) -> dict[str, str]:
    return {each.label: each.value for each in app.metric}


def charts(app) -> dict[str, dict[str, list]]:
    """Rows by dataset, by the first word of the chart's alt text."""
    found = [each.proto for each in app.get("vega_lite_chart")]
    return {
        each.alt.split(" ")[0]: {
            data.name: convert_arrow_bytes_to_pandas_df(data.data.data).to_dict("records") for data in each.datasets
        }
        for each in found
        if each.alt
    }


def tab(app, name, key="device_tabs"):
    app.session_state[key] = name
    app.run()
    assert not app.exception
    return app


def test_a_jetson_is_shown_in_five_strips_with_the_line_as_it_came(visit, home, tmp_path, monkeypatch):
    monkeypatch.setenv("TEGRASTATS", program(tmp_path, "plays"))
    app = visit("device")
    wait_for(lambda: any(each.source == "tegrastats" for each in sampler.History(home).last(5, time.time())))
    app.run()
    shown = {"GPU": "53%", "CPU": "22%", "Memory": "2.7 GB", "Temperature": "41 °C", "Power": "3.2 W"}
    assert metrics(app) == shown
    assert {"GPU", "CPU", "Memory", "Temperature", "Power"} <= set(charts(app))
    assert "4 of 6 cores on, mean in bold" in texts(app)
    assert not app.info
    assert LINE in [each.value for each in tab(app, "Raw line").code]
    newest = app.toggle(key="device_live").set_value(False).run().session_state["_device_at"]
    assert app.run().session_state["_device_at"] == newest  # the picture stays as it was
    assert not app.exception


def test_without_tegrastats_its_rows_are_left_out_and_the_reason_stands_once(visit, home, monkeypatch):
    monkeypatch.setenv("TEGRASTATS", "")
    app = visit("device")
    wait_for(lambda: sampler.History(home).last(5, time.time()))
    app.run()
    assert {"CPU", "Memory"} <= set(metrics(app))
    assert "GPU" not in metrics(app) or os.path.exists("/dev/nvidiactl")
    if "Power" not in metrics(app):
        (box,) = app.info
        assert box.value.startswith("**There is no tegrastats on this machine.**")
        assert "Power is not shown: nothing here measures it." in box.value
    assert "There is no tegrastats on this machine." in texts(tab(app, "Raw line"))


def test_a_tegrastats_that_dies_is_said_and_the_page_goes_on(visit, home, tmp_path, monkeypatch):
    monkeypatch.setenv("TEGRASTATS", program(tmp_path, "dies"))
    app = visit("device")
    wait_for(lambda: sampler.status(home).tegrastats)
    app.run()
    (box,) = app.warning
    assert "tegrastats ended by itself with exit code 3. Its last words: cannot open /dev/nvhost." in box.value.replace(
        "\\", ""
    )
    assert {"CPU", "Memory"} <= set(metrics(app))


def environment(app):
    """The tab Environment, once the workers' interpreter has answered."""
    tab(app, "Environment")
    wait_for(lambda: not any(value.startswith("Being asked") for value in app.run().table[0].value["Value"]))
    return app


def answer_of_tensorflow(app) -> str:
    """What stands in the place of the answer, once it has come."""
    button(app, "Ask TensorFlow for a GPU").click().run()
    wait_for(lambda: app.run().code)
    assert "**Runs use the CPU.** No GPU was found, because:" in [each.value for each in app.info]
    return app.code[0].value


def test_the_environment_is_told_and_the_loaders_own_words_say_why_there_is_no_gpu(visit, home, tmp_path, monkeypatch):
    why = "TensorFlow says: Could not load dynamic library libcudart.so.10.2."
    python = tmp_path / "python"
    python.write_text(
        '#!/bin/sh\ncase "$2 $3" in\n'
        '"engine.worker.environment ") echo \'{"python": "3.6.9", "tensorflow": "2.7.0"}\';;\n'
        f'*) echo \'{{"tensorflow": "2.7.0", "gpus": [], "why_no_gpu": "{why}", "cores": 6}}\';;\n'
        "esac\n"
    )
    python.chmod(0o755)
    monkeypatch.setenv("WORKER_PYTHON", str(python))
    app = environment(visit("device"))
    facts = dict(zip(app.table[0].value["Setting"], app.table[0].value["Value"], strict=True))
    assert facts["Workers"] == f"Python 3.6.9 with TensorFlow 2.7.0, {python}"
    assert facts["Disk"].endswith(" free")
    assert facts["Lab"] == f"Version {VERSION}"
    wait_for(lambda: sampler.holder(home))
    assert {"Dashboard", "Sampler"} <= set(app.run().dataframe[0].value["Process"])
    assert app.table[1].value["Setting"][0] == f"All of {home.path}"
    assert ("Free the buffers" in [each.label for each in app.button]) == buffers.can_be_freed()
    assert answer_of_tensorflow(app) == why


def test_a_worker_that_cannot_be_asked_is_said(visit, monkeypatch):
    monkeypatch.setenv("WORKER_PYTHON", "/no/such/python")
    app = environment(visit("device"))
    sentence = "Cannot run WORKER_PYTHON=/no/such/python: No such file or directory."
    assert sentence in list(app.table[0].value["Value"])
    (said,) = app.error
    assert said.value.startswith(f"**No run can be started.** {sentence} Set WORKER_PYTHON to a Python that has")
    assert sentence in answer_of_tensorflow(app)


def test_a_run_out_of_memory_shows_the_memory_of_its_last_minute(visit, home):
    run = finished(home, start(visit, home, seed=901))
    ended = run.story.last_t
    with open(run.folder.device, "w") as file:
        moments = [run.story.stages[0].began + part / 20 * (ended - run.story.stages[0].began) for part in range(21)]
        file.writelines(encode(Reading(t, 50.0, memory_used=7.9e9, memory_total=8e9)) for t in moments)
    app = visit("retraining", run=run.id)
    assert "Memory of the machine up to the end, of 8.0 GB; most was 7.9 GB" in texts(app)
    assert charts(app)["Memory"]["points"][-1]["y"] == 7.9


def test_a_copied_folder_still_shows_what_the_machine_did(visit, home, tmp_path, monkeypatch):
    run = finished(home, start(visit, home))
    app = tab(visit("retraining", run=run.id), "Machine", "run_tabs")
    began, ended = run.story.stages[0].began, run.story.last_t
    moments = [began + (ended - began) * part / 20 for part in range(21)]
    readings = [Reading(t, 50.0, (40.0, 60.0), memory_used=4e9, memory_total=8e9) for t in moments]
    with open(run.folder.device, "w") as file:
        file.writelines(map(encode, readings))
    elsewhere = LabHome(str(tmp_path / "elsewhere"))
    shutil.copytree(run.folder.path, elsewhere.run(run.id).path)
    monkeypatch.setenv("LAB_HOME", elsewhere.path)
    try:
        app = tab(visit("retraining", run=run.id), "Machine", "run_tabs")
        assert {"Validation", "CPU", "Memory"} <= set(charts(app))
        assert "GPU" not in charts(app)
        curve, cpu = charts(app)["Validation"], charts(app)["CPU"]
        assert curve["frame"][0]["high"] == cpu["frame"][0]["high"]  # one time axis
        assert [band["stage"] for band in cpu["bands"]] == [stage.name for stage in run.story.stages]
        assert len(cpu["points"]) == 21
        table = tab(visit("device"), "History").dataframe[0].value
        assert (table["CPU"][0], table["Memory"][0]) == ("50%", "4.0 GB")
    finally:
        if pid := sampler.holder(elsewhere):
            os.kill(pid, signal.SIGTERM)
