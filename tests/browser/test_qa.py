"""A question without an answer: one button, the real worker, the figure with its run, and a report without the lab."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from engine.contract.run_folder import LabHome
from engine.runs import list_runs
from tests.assets_home import with_assets
from tests.browser.conftest import serve, stop


@pytest.mark.timeout(600)  # 300,000 digits learned from, on two cores that others use too
def test_from_an_empty_lab_to_a_figure_in_a_report_that_needs_no_lab(visitor, tmp_path):
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "assets").symlink_to(with_assets("mnist").assets)
    home = LabHome(str(tmp_path / "lab"))
    process, url = serve(home, tmp_path / "stderr.txt")
    try:
        here = visitor()
        page = here.page
        page.goto(url)
        page.get_by_role("link", name="The coursework's questions").click()
        page.get_by_text("14. The beginner's network").click()
        expect(page.get_by_text("a run of MNIST comparison with Beginner.")).to_be_visible()
        expect(page.get_by_text("What this machine says is not measured yet.")).to_be_visible()
        page.get_by_role("button", name=re.compile(r"^Measure, about \d+ s")).click()
        expect(page.get_by_role("link", name="Open this run")).to_be_visible(timeout=60000)
        expect(page.get_by_role("button", name=re.compile("^Measure, about"))).to_have_count(0)

        (run,) = list_runs(home)
        assert (run.lanes, run.spec.epochs, run.spec.training_images) == (["beginner"], 5, 0)
        figure = page.get_by_role("link", name=re.compile(r"^9\d\.\d\d% \("))  # of the test digits, with its interval
        expect(figure).to_be_visible(timeout=400000)
        answers = json.loads(Path(run.folder.predictions).read_text())
        right = np.array(answers["lanes"]["beginner"]["predicted"]) == np.array(answers["truth"])
        said = figure.inner_text()
        assert said.startswith(f"{100 * right.mean():.2f}% (")
        assert figure.get_attribute("href").endswith(f"mnist?run={run.id}")
        expect(page.get_by_text(f"Measured here: {run.id}, seed 0, CPU,")).to_be_visible()
        expect(page.get_by_text("What this machine says is not measured yet.")).to_have_count(0)

        page.get_by_role("button", name="Report").click()
        with page.expect_download(timeout=60000) as download:
            page.get_by_role("button", name="One HTML file").click()
        file = tmp_path / "report.html"
        download.value.save_as(file)
    finally:
        stop(process)

    page.goto(file.as_uri())  # the lab has ended
    expect(page.get_by_text(said).first).to_be_visible()
    asked = [address for address in here.requested if address.startswith("http") and not address.startswith(url)]
    assert asked == []
