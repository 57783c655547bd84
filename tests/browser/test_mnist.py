"""What a visitor does on MNIST comparison, with a worker that has no TensorFlow."""

import re
import sys

from playwright.sync_api import expect

from engine.contract.kinds.mnist import MnistSpec
from engine.runs import open_run
from engine.runs.queue import Queue
from tests.browser.conftest import wait_until
from tests.browser.test_pages import choose_bars, go

CURVES = "[data-testid=stVegaLiteChart][aria-label*='networks,']"
STARTED = re.compile(r"run=\d{8}-")


def lines(page):
    """What the curves are drawn with: grows while a run goes on."""
    return [each.get_attribute("d") or "" for each in page.locator(f"{CURVES} svg .mark-line path").all()]


def test_networks_are_chosen_and_watched_to_their_end_and_a_reload_shows_the_same_run(visitor, busy_lab):
    page = visitor().page
    page.goto(f"{busy_lab.url}/mnist")
    choose_bars(page)
    page.get_by_role("button", name="Small", exact=True).click()
    page.get_by_role("button", name="Coursework, as meant").click()
    expect(page.get_by_text("The first run measures how long it takes on this CPU.")).to_be_visible()
    page.get_by_role("button", name="Start comparison").click()
    page.wait_for_url(STARTED)
    run_id = re.search(r"run=([\w-]+)", page.url)[1]
    assert open_run(busy_lab.home, run_id).lanes == ["beginner", "strong"]
    expect(page.locator(CURVES)).to_be_visible()
    wait_until(lambda: sum(len(each) > 100 for each in lines(page)) >= 2, 180)  # both networks move
    expect(page.get_by_text("in total · finished")).to_be_visible(timeout=40000)
    conclusion = page.get_by_text(re.compile(r"(is best|are level): [\d.]+% of the 200 test images right"))
    words = conclusion.inner_text()
    page.reload()
    assert run_id in page.url
    expect(conclusion).to_have_text(words)


def test_one_network_is_stopped_and_the_chart_stays_the_same_node_while_the_others_go_on(visitor, busy_lab):
    queue = Queue(busy_lab.home, sys.executable, "tests.fakes.fake_worker")
    run_id = queue.start(MnistSpec(data="bars", seed=905))  # takes a minute
    wait_until(lambda: open_run(busy_lab.home, run_id).story.curves, 180)
    page = visitor().page
    page.goto(f"{busy_lab.url}/mnist?run={run_id}")
    svg = page.locator(f"{CURVES} svg")
    expect(svg).to_be_visible()
    svg.evaluate("svg => svg.dataset.marked = 'yes'")
    page.get_by_role("button", name="Stop Small").click()
    expect(page.get_by_role("button", name="Stop Small")).to_have_count(0)
    wait_until(lambda: "small" in open_run(busy_lab.home, run_id).story.lanes_ended, 180)
    before = lines(page)
    wait_until(lambda: lines(page) != before, 180)
    assert svg.get_attribute("data-marked") == "yes"
    expect(page.get_by_text("1 of 4 networks done")).to_be_visible()
    expect(page.get_by_role("button", name="Stop Strong")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("you stopped it after")).to_be_visible()


def test_the_chart_stays_in_its_place_when_a_control_changes(visitor, request):
    here = visitor()
    go(here, request, "compared")
    chart = here.page.locator(CURVES)
    chart.evaluate("node => node.dataset.marked = 'yes'")
    for name in ("Loss", "Steps"):
        here.page.get_by_role("radio", name=name).click()
    expect(chart).to_have_attribute("aria-label", re.compile("Loss of 4 networks"))
    assert chart.get_attribute("data-marked") == "yes"


def test_mistakes_are_pictures_with_words_for_those_who_do_not_see_them(visitor, request):
    here = visitor()
    lab = go(here, request, "compared")
    here.page.get_by_role("tab", name="Mistakes").click()
    picture = here.page.get_by_role("img", name=re.compile(r"Test image \d+, a \d: Beginner: \d")).first
    expect(picture).to_be_visible()
    assert picture.bounding_box()["width"] == 72
    assert picture.evaluate("image => image.naturalWidth") == 140
    assert open_run(lab.home, lab.runs["compared"]).state == "done"
