"""TensorBoard in its tab: started, seen, reached by nobody else, stopped."""

import sys
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from playwright.sync_api import ConsoleMessage, expect

from engine import photos, settings, tensorboard
from engine.contract.kinds.race import RaceSpec
from engine.kinds.imported import importing as imported
from engine.runs import open_run
from engine.runs.queue import Queue
from engine.worker.formats.summaries import Summaries
from engine.worker.reporter import Reporter
from tests.browser.conftest import at_rest, violations, wait_until


@pytest.fixture
def run_id(busy_lab):
    """A race that has ended, with event files."""
    home = busy_lab.home
    dataset = photos.split(photos.scan(Path(home.datasets) / "lamps", "Lamps"), 10, 10)
    made = Queue(home, sys.executable, "tests.fakes.fake_worker").start(RaceSpec(), dataset)
    wait_until(lambda: not open_run(home, made).is_active, 180)
    folder = home.run(made)
    summaries = Summaries(folder, ["0.005", "0.5", "1.0"], Reporter(folder))
    for number, lane in enumerate(["0.005", "0.5", "1.0"]):
        points = [(step, 0.9 - number / step, 1.0 / step) for step in range(10, 4010, 10)]
        summaries.scalars(lane, "training", points)
        summaries.scalars(lane, "validation", points)
        for step in (2000, 4000):
            summaries.variables(lane, step, np.random.RandomState(step).randn(64, 3), np.zeros(3))
    summaries.close()
    yield made
    tensorboard.stop(home)


@pytest.mark.timeout(180)
def test_tensorboard_starts_shows_the_run_in_its_tab_and_ends(visitor, busy_lab, run_id):
    here = visitor()
    page, said = here.page, list[ConsoleMessage]()
    page.on("console", lambda message: said.append(message))  # a bound C method is no listener to it
    page.goto(f"{busy_lab.url}/retraining?run={run_id}")
    page.get_by_role("tab", name="TensorBoard").click()
    page.get_by_role("button", name="Start TensorBoard").click()
    view = page.frame_locator("iframe[src^='/tensorboard/']")
    expect(view.get_by_text("accuracy_1").first).to_be_visible()
    expect(view.get_by_text(f"({run_id})/0.5/validation").first).to_be_visible()
    assert {urlsplit(url).netloc for url in here.requested if url.startswith("http")} == {urlsplit(busy_lab.url).netloc}
    # Nothing that TensorBoard needs is missing or forbidden. (Streamlit misses two of its own at a page's address.)
    missing = [message for message in said if message.type == "error" or "Failed to" in message.text]
    assert [message.text for message in missing if "_stcore" not in message.location["url"]] == []
    at_rest(page)
    # What stands in the frame is TensorBoard's own.
    assert violations(page, iframes=False) == []

    phone = visitor(phone=True)
    phone.page.goto(f"{busy_lab.url}/retraining?run={run_id}")
    phone.page.get_by_role("tab", name="TensorBoard").click()
    link = phone.page.get_by_role("link", name="Open in a new tab")
    expect(link).to_be_visible()
    expect(phone.page.locator("iframe[src^='/tensorboard/']")).to_have_count(0)
    assert phone.overflow() <= 0
    assert phone.violations() == []

    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Start TensorBoard")).to_be_visible()
    assert tensorboard.state(busy_lab.home).state == tensorboard.STOPPED


@pytest.mark.thorough
def test_imported_curves_lie_over_those_of_a_run(visitor, busy_lab, run_id):
    source = Path(busy_lab.home.run(run_id).summaries)
    lab = settings.load({"LAB_HOME": busy_lab.home.path})
    imported_id = imported.import_summaries(lab, source / "0.5", "Of 2017").run_id
    here = visitor()
    here.page.goto(f"{busy_lab.url}/retraining?run={run_id}")
    here.page.get_by_role("combobox", name="Compare with").click()
    here.page.get_by_role("option", name="Of 2017").click()
    expect(here.page.get_by_test_id("stVegaLiteChart").get_by_text("Of 2017")).to_be_visible()
    here.page.mouse.move(1, 1)
    assert here.violations() == []
    for address in (f"/retraining?run={imported_id}", "/runs"):
        phone = visitor(phone=True)
        phone.page.goto(busy_lab.url + address)
        words = "Of 2017 · imported" if "run=" in address else "Import TensorBoard files"
        phone.page.get_by_text(words).first.click()
        assert phone.violations() == []
        assert phone.overflow() <= 0
