"""The machine in experiments, with the real worker: one thread against all, and batches up to one that does not fit."""

import re

import pytest
from playwright.sync_api import expect

from engine.contract.kinds.batch_size import BatchSizeResult, BatchTried
from engine.runs import list_runs, open_run
from tests.browser.conftest import wait_until
from tests.browser.test_pages import choose_lamps

CHART = "[data-testid=stVegaLiteChart]"


@pytest.mark.timeout(900)  # two real runs, on two cores that others use too
def test_a_comparison_is_started_with_one_click_and_watched_to_its_verdict(visitor, real_lab):
    here = visitor()
    page = here.page
    page.goto(f"{real_lab.url}/retraining?mode=devices")
    choose_lamps(page)
    # TensorFlow is asked what there is, which takes it some seconds to load.
    start = page.get_by_role("button", name=re.compile(r"^Run with 1 and \d+ threads$|^Run on both$"))
    expect(start).to_be_enabled(timeout=90000)
    expect(
        page.get_by_text(re.compile("No GPU was found, so 1 thread runs against all|Runs on the CPU, then"))
    ).to_be_visible()
    start.click()
    page.wait_for_url(re.compile("compare="))
    expect(page.get_by_text("still run")).to_be_visible()
    group = re.search(r"compare=(\w+)", page.url)[1]
    pair = [run for run in list_runs(real_lab.home) if getattr(run.spec, "group", "") == group]
    assert len(pair) == 2
    wait_until(lambda: not any(run.refresh().is_active for run in pair), 800)
    assert [run.state for run in pair] == ["done", "done"]
    expect(page.get_by_text(re.compile(r"end to end\. Backbone features"))).to_be_visible()
    both = page.locator(f"{CHART}[aria-label*='; '][aria-label*='in all']")
    expect(both).to_be_visible()
    expect(page.get_by_role("button", name="New run")).to_be_visible()  # beside the settings of the pair

    page.get_by_role("link", name=pair[0].title).click()
    expect(page.get_by_role("link", name="One half of a comparison: see both")).to_be_visible()
    page.get_by_role("tab", name="Machine").click()
    curve = page.locator(f"{CHART}[aria-label^='Validation accuracy in the time of the machine']")
    processor = page.locator(f"{CHART}[aria-label^='CPU during the run']")
    expect(curve).to_be_visible()
    expect(processor).to_be_visible()
    above, below = curve.bounding_box(), processor.bounding_box()
    assert above["y"] + above["height"] <= below["y"]
    assert (above["x"], above["width"]) == (below["x"], below["width"])  # one time axis for both


@pytest.mark.thorough
@pytest.mark.timeout(900)  # a process of TensorFlow's for each size
def test_batch_sizes_are_tried_up_to_one_that_really_does_not_fit(visitor, real_lab):
    here = visitor()
    page = here.page
    page.goto(f"{real_lab.url}/retraining?mode=batch_size")
    largest = page.get_by_role("slider", name="Try batches up to")
    largest.press("Home")
    for size in ("2", "4", "8"):
        largest.press("ArrowRight")
        expect(largest).to_have_attribute("aria-valuetext", size)
    # TensorFlow with the backbone takes 750 MB here, and each picture of a batch about 50 more.
    limit = page.get_by_role("spinbutton", name="Memory limit, MB")
    limit.fill("1000")
    limit.press("Enter")
    page.get_by_role("button", name="Try batch sizes").click()
    page.wait_for_url(re.compile("run="))
    run = open_run(real_lab.home, re.search(r"run=([\w-]+)", page.url)[1])
    wait_until(lambda: not run.refresh().is_active, 800)
    assert run.state == "done", run.log_tail()
    failed = [each for each in run.story.every(BatchTried) if not each.fits]
    assert failed
    fits = run.story.last(BatchSizeResult).largest
    expect(page.get_by_text(f"The largest that fits within 1.0 GB is {fits}.")).to_be_visible()
    assert all(re.search("memory", each.why) for each in failed)
    at_once = f"{failed[0].batch_size} pictures at once: {failed[0].why}"
    expect(page.locator(f"{CHART}[aria-label*='{at_once}']").first).to_be_visible()
    expect(page.get_by_text(re.compile("^Take batches of"))).to_be_visible()
