"""The first half hour of a stranger, with the real worker, the real weights, real photos and real digits."""

import io
import json
import re
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import expect

from engine.contract.kinds.mnist import NetworkExported, NetworkResult
from engine.contract.kinds.race import LaneResult, RaceResult
from engine.runs import open_run
from tests.browser import test_mnist
from tests.browser.conftest import wait_until
from tests.browser.test_retraining import CURVES, points


@pytest.mark.timeout(600)  # 1,484 photos through the real backbone, on two cores that others use too
def test_race_read_classify_and_download(visitor, real_lab):
    here = visitor()
    page = here.page
    page.goto(real_lab.url)
    page.get_by_role("link", name="Retraining").click()
    page.get_by_role("combobox", name="Photos").click()
    page.get_by_role("option", name="Traffic lights").click()
    expect(page.get_by_text("Traffic lights · 3 classes, 1,484 photos")).to_be_visible(timeout=60000)
    expect(page.get_by_text("CC BY-SA 4.0").first).to_be_visible()
    sliders = page.get_by_role("slider", name=re.compile("Learning rate"))
    assert [sliders.nth(i).get_attribute("aria-valuetext") for i in range(3)] == ["0.005", "0.5", "1.0"]
    page.get_by_role("button", name="Race 3 rates").click()
    page.wait_for_url(re.compile(r"run=\d{8}-"))
    run_id = re.search(r"run=([\w-]+)", page.url)[1]

    # Bottlenecks take most of the time; then the curves move.
    expect(page.get_by_text(re.compile(r"Bottlenecks [\d,]+ / 1,484"))).to_be_visible(timeout=120000)
    wait_until(lambda: open_run(real_lab.home, run_id).story.curves, 300)
    page.reload()
    expect(page.get_by_text("Traffic lights · MobileNet v2 · 3 learning rates").first).to_be_visible()
    expect(page.locator(CURVES)).to_be_visible()
    wait_until(lambda: len(points(page)) > 20, 180)

    expect(page.get_by_text("in total · finished")).to_be_visible(timeout=300000)
    verdict = page.get_by_text(re.compile(r"Keep lr [\d.]+: [\d.]+% of the validation photos")).inner_text()
    run = open_run(real_lab.home, run_id)
    assert run.state == "done"
    kept = run.story.by_lane(LaneResult)[run.story.last(RaceResult).kept]
    assert f"Keep lr {kept.lane}: {kept.final_validation_accuracy * 100:.1f}%" in verdict
    assert kept.test_accuracy >= 0.98
    expect(page.get_by_text("Ordered by validation accuracy")).to_be_visible()

    page.get_by_role("tab", name="Try it").click()
    photo = next(Path(run.dataset.root, each.file) for each in run.dataset.photos if each.file.startswith("green/"))
    page.locator("input[type=file]").set_input_files(photo)
    expect(page.get_by_text(re.compile(r"^Green \d+\.\d%$"))).to_be_visible(timeout=60000)
    expect(page.get_by_text("What the model sees")).to_be_visible()
    expect(page.get_by_text(re.compile(r"^Evaluation time \(1-image\): \d+\.\d{3}s$"))).to_be_visible()
    expect(page.get_by_role("link", name="Open in the Playground")).to_be_visible()
    assert here.violations() == []

    with page.expect_download(timeout=60000) as download:
        page.get_by_test_id("stDownloadButton").get_by_role("button").click()
    archive = zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes()))
    names = {name.removeprefix(f"{run_id}/") for name in archive.namelist()}
    assert {"labels.txt", "contract.json", "model.tflite", "predictions.json", "spec.json"} <= names
    assert {"lanes/0.005.npz", "lanes/0.5.npz", "lanes/1.0.npz", "saved_model/saved_model.pb"} <= names
    assert archive.read(f"{run_id}/labels.txt").decode().split() == ["green", "red", "yellow"]
    assert json.loads(archive.read(f"{run_id}/contract.json"))


@pytest.mark.timeout(600)  # 40,000 digits learned from, on two cores that others use too
def test_compare_two_networks_and_draw_a_seven(visitor, real_lab):
    here = visitor()
    page = here.page
    page.goto(real_lab.url)
    page.get_by_role("link", name="MNIST comparison").click()
    for other in ("Coursework, as meant", "Small"):
        page.get_by_role("button", name=other, exact=True).click()
    epochs = page.get_by_role("slider", name="Epochs")
    epochs.press("Home")
    expect(epochs).to_have_value("1")
    page.get_by_role("radio", name="20k").click()
    page.get_by_role("button", name="Start comparison").click()
    page.wait_for_url(re.compile(r"run=\d{8}-"))
    run_id = re.search(r"run=([\w-]+)", page.url)[1]
    run = open_run(real_lab.home, run_id)
    assert (run.lanes, run.spec.epochs) == (["beginner", "strong"], 1)

    expect(page.get_by_text(re.compile(r"^\d of 2 networks done"))).to_be_visible(timeout=120000)
    wait_until(lambda: sum(len(each) > 60 for each in test_mnist.lines(page)) >= 2, 180)  # both curves are drawn
    wait_until(lambda: "beginner" in run.refresh().story.lanes_ended, 180)
    before = test_mnist.lines(page)
    wait_until(lambda: test_mnist.lines(page) != before, 180)  # strong learns on
    expect(page.get_by_text("in total · finished")).to_be_visible(timeout=300000)

    results = run.refresh().story.by_lane(NetworkResult)
    assert run.story.lanes_started["beginner"].training == 20000
    assert results["beginner"].test_accuracy >= 0.9
    assert results["strong"].test_accuracy >= 0.96
    assert all(each.difference <= 1e-4 for each in run.story.by_lane(NetworkExported).values())
    expect(
        page.get_by_text(re.compile(r"^Strong is best: 9[6-9]\.\d+% of the 10,000 test digits right\."))
    ).to_be_visible()
    expect(page.get_by_test_id("stDataFrame").first).to_be_visible()

    page.get_by_role("tab", name="Confusion").click()
    matrix = page.locator("[data-testid=stVegaLiteChart][aria-label*='of 10,000 test images right by Beginner']")
    expect(matrix).to_be_visible()
    page.get_by_role("tab", name="Mistakes").click()
    expect(page.get_by_text("The hardest digits, and what each network takes them for")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile(r"Test image [\d,]+, a \d: Beginner: \d")).first).to_be_visible()

    page.get_by_role("tab", name="Draw a digit").click()
    field = page.locator("canvas[aria-label^='Drawing field']")
    expect(field).to_be_visible()
    field.scroll_into_view_if_needed()
    box = field.bounding_box()
    strokes = [(0.28, 0.22), (0.5, 0.2), (0.72, 0.22), (0.6, 0.45), (0.5, 0.65), (0.44, 0.85)]
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in strokes]
    page.mouse.move(*at[0])
    page.mouse.down()
    for x, y in at[1:]:
        page.mouse.move(x, y, steps=6)
    page.mouse.up()
    expect(page.get_by_text("Both networks say 7.")).to_be_visible(timeout=30000)
    expect(page.get_by_text("What the networks see")).to_be_visible()
    assert here.violations() == []

    page.get_by_role("link", name="Open in the Playground").click()
    expect(page.get_by_role("combobox", name="Model", exact=True)).to_have_value("MNIST · Beginner")
    page.get_by_role("radio", name="Samples").click()
    page.get_by_role("radio", name="7", exact=True).click()
    expect(page.get_by_text(re.compile(r"^7 \d+\.\d%$"))).to_be_visible(timeout=30000)
    expect(page.get_by_text("It is labelled 7: right.")).to_be_visible()
