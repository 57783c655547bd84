"""The first quarter of an hour of a stranger, with the real worker, the real weights and real photos."""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from engine.contract.run_folder import LabHome
from engine.runs import open_run
from tests.assets_home import with_assets
from tests.browser.conftest import Lab, serve, stop, wait_until
from tests.browser.test_retraining import CURVES, points


@pytest.fixture(scope="module")
def real_lab(tmp_path_factory) -> Iterator[Lab]:
    """A home that is empty but for the assets that `make run` fetches."""
    folder = tmp_path_factory.mktemp("first-run")
    fetched = with_assets("mobilenet_v2", "imagenet_names", "traffic_lights")
    (folder / "lab").mkdir()
    (folder / "lab" / "assets").symlink_to(fetched.assets)
    home = LabHome(str(folder / "lab"))
    process, url = serve(home, folder / "stderr.txt")
    yield Lab(home, url, {})
    stop(process)


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
    wait_until(lambda: len(points(page)) > 20, 60)

    expect(page.get_by_text("in total · finished")).to_be_visible(timeout=300000)
    verdict = page.get_by_text(re.compile(r"Keep lr [\d.]+: [\d.]+% of the validation photos")).inner_text()
    run = open_run(real_lab.home, run_id)
    assert run.state == "done"
    kept = run.story.lane_results[run.story.result.kept]
    assert f"Keep lr {kept.lane}: {kept.final_validation_accuracy * 100:.1f}%" in verdict
    assert kept.test_accuracy >= 0.98
    expect(page.get_by_text("Ordered by validation accuracy")).to_be_visible()

    page.get_by_role("tab", name="Try it").click()
    photo = next(Path(run.dataset.root, each.file) for each in run.dataset.photos if each.file.startswith("green/"))
    page.locator("input[type=file]").set_input_files(photo)
    expect(page.get_by_text(re.compile(r"^Green \d+\.\d%$"))).to_be_visible(timeout=60000)
    expect(page.get_by_text("What the model sees")).to_be_visible()
    expect(page.get_by_text(re.compile(r"Evaluation time [\d.]+ m?s on CPU with"))).to_be_visible()
    assert here.violations() == []

    with page.expect_download(timeout=60000) as download:
        page.get_by_test_id("stDownloadButton").get_by_role("button").click()
    archive = zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes()))
    names = {name.removeprefix(f"{run_id}/") for name in archive.namelist()}
    assert {"labels.txt", "contract.json", "model.tflite", "predictions.json", "spec.json"} <= names
    assert {"lanes/0.005.npz", "lanes/0.5.npz", "lanes/1.0.npz", "saved_model/saved_model.pb"} <= names
    assert archive.read(f"{run_id}/labels.txt").decode().split() == ["green", "red", "yellow"]
    assert json.loads(archive.read(f"{run_id}/contract.json"))
