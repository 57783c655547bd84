"""One click, two runs: on every device that this machine has, or with one thread and with all."""

import re

from playwright.sync_api import expect

from engine.runs import list_runs
from tests.browser.conftest import wait_until
from tests.browser.test_pages import choose_lamps


def test_a_comparison_is_started_with_one_click_and_watched_to_its_verdict(visitor, busy_lab):
    here = visitor()
    page = here.page
    page.goto(f"{busy_lab.url}/retraining?mode=devices")
    choose_lamps(page)
    # The real TensorFlow is asked what there is, which takes it some seconds to load.
    start = page.get_by_role("button", name=re.compile(r"^Run with 1 and \d+ threads$|^Run on both$"))
    expect(start).to_be_enabled(timeout=90000)
    expect(
        page.get_by_text(re.compile("No GPU was found, so 1 thread runs against all|Runs on the CPU, then"))
    ).to_be_visible()
    start.click()
    page.wait_for_url(re.compile("compare="))
    expect(page.get_by_text("still run")).to_be_visible()
    expect(page.locator("[data-testid=stVegaLiteChart][aria-label*='Bottlenecks']")).to_be_visible()
    group = re.search(r"compare=(\w+)", page.url)[1]
    pair = [run for run in list_runs(busy_lab.home) if getattr(run.spec, "group", "") == group]
    assert len(pair) == 2
    wait_until(lambda: not any(run.refresh().is_active for run in pair), 90)
    expect(page.get_by_text(re.compile(r"end to end\. Backbone features"))).to_be_visible()
    both = page.locator("[data-testid=stVegaLiteChart][aria-label*='; '][aria-label*='in all']")
    expect(both).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^Run with|^Run on both"))).to_be_visible()  # the form is back
    page.get_by_role("link", name=pair[0].title).click()
    expect(page.get_by_role("link", name="One half of a comparison: see both")).to_be_visible()
