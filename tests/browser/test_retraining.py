"""What a visitor does on Retraining, with a worker that has no TensorFlow."""

import re
import shutil
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect

from engine import photos
from engine.contract.kinds.race import RaceSpec
from engine.runs import open_run
from engine.runs.queue import Queue
from tests.browser.conftest import wait_until
from tests.browser.test_pages import choose_lamps, go
from tests.photo_folders import draw_photos

CURVES = "[data-testid=stVegaLiteChart][aria-label*='lane'] svg"


def start_race(page, lab):
    page.goto(f"{lab.url}/retraining")
    choose_lamps(page)
    expect(page.get_by_text("Lamps · 3 classes, 60 photos")).to_be_visible()
    page.get_by_role("button", name="Race 3 rates").click()
    page.wait_for_url(re.compile(r"run=\d{8}-"))
    return re.search(r"run=([\w-]+)", page.url)[1]


def points(page):
    """What the curves of the first lane are drawn with: grows while a run goes on."""
    return page.locator(f"{CURVES} .mark-line path").first.get_attribute("d") or ""


@pytest.fixture
def racing(visitor, busy_lab):
    here = visitor()
    run_id = start_race(here.page, busy_lab)
    yield here.page, busy_lab, run_id
    wait_until(lambda: not open_run(busy_lab.home, run_id).is_active, 180)


def test_a_race_is_watched_to_its_end_and_a_reload_shows_the_same_run(racing):
    page, _, run_id = racing
    expect(page.locator(CURVES)).to_be_visible()
    wait_until(lambda: len(points(page)) > 300, 180)
    before = points(page)
    wait_until(lambda: points(page) != before, 10)
    page.reload()
    assert run_id in page.url
    expect(page.get_by_text("Lamps · MobileNet v2 · 3 learning rates").first).to_be_visible()
    expect(page.get_by_text("in total · finished")).to_be_visible(timeout=30000)
    expect(page.get_by_text(re.compile(r"Keep lr [\d.]+: [\d.]+% of the validation photos"))).to_be_visible()


@pytest.fixture
def slow_run(busy_lab):
    """A race of a minute: however slow the browser is, it does not end in between."""
    dataset = photos.split(photos.scan(Path(busy_lab.home.datasets, "lamps"), "Lamps"), 10, 10)
    queue = Queue(busy_lab.home, sys.executable, "tests.fakes.fake_worker")
    run_id = queue.start(RaceSpec(seed=905), dataset)
    yield run_id
    queue.cancel(run_id)
    wait_until(lambda: not open_run(busy_lab.home, run_id).is_active, 180)


def test_the_chart_stays_the_same_node_while_it_grows(visitor, busy_lab, slow_run):
    page = visitor().page
    page.goto(f"{busy_lab.url}/retraining?run={slow_run}")
    wait_until(lambda: len(points(page)) > 100, 180)
    page.locator(CURVES).evaluate("svg => svg.dataset.marked = 'yes'")
    before = points(page)
    wait_until(lambda: points(page) != before, 10)
    assert page.locator(CURVES).get_attribute("data-marked") == "yes"


def test_the_chart_stays_in_its_place_when_a_control_changes(visitor, request):
    here = visitor()
    go(here, request, "race done")
    chart = here.page.locator("[data-testid=stVegaLiteChart][aria-label*='3 lanes']")
    chart.evaluate("node => node.dataset.marked = 'yes'")
    here.page.get_by_role("radio", name="Loss").click()
    expect(chart).to_have_attribute("aria-label", re.compile("Validation loss"))
    assert chart.get_attribute("data-marked") == "yes"


def test_the_keyboard_reaches_the_start_button(visitor, busy_lab):
    page = visitor().page
    page.goto(f"{busy_lab.url}/retraining?mode=single")
    choose_lamps(page)
    expect(page.get_by_text("Lamps · 3 classes, 60 photos")).to_be_visible()
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.innerText").strip().endswith("Start training"):
            return
    raise AssertionError("40 times Tab did not reach the start button")


def test_cancelling_stops_the_run_and_keeps_its_curve(visitor, busy_lab, slow_run):
    page = visitor().page
    page.goto(f"{busy_lab.url}/retraining?run={slow_run}")
    expect(page.locator(CURVES)).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("you stopped it after")).to_be_visible()
    expect(page.locator(CURVES)).to_be_visible()
    expect(page.get_by_role("button", name="Start again with these settings")).to_be_visible()


def test_another_page_says_what_runs_and_leads_back_to_it(racing):
    page, _, run_id = racing
    page.get_by_role("link", name="Runs").click()
    link = page.get_by_role("link", name="Lamps · 3 rates")
    expect(link).to_be_visible()
    link.click()
    page.wait_for_url(re.compile(run_id))


def test_a_zip_is_uploaded_shown_and_becomes_a_set_of_its_own(visitor, busy_lab, tmp_path):
    draw_photos(tmp_path / "signs", ("red", "green"), 12)
    archive = shutil.make_archive(str(tmp_path / "signs"), "zip", tmp_path, "signs")
    page = visitor().page
    page.goto(f"{busy_lab.url}/retraining")
    page.get_by_role("combobox", name="Photos").click()
    page.get_by_role("option", name="Upload a zip").click()
    page.locator("input[type=file]").set_input_files(archive)
    expect(page.get_by_text("Signs · 2 classes, 24 photos")).to_be_visible()
    shutil.rmtree(f"{busy_lab.home.datasets}/signs")
