"""The Playground in a real browser, with the real classifier, the real worker and real weights; nothing is trained."""

import csv
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from engine.contract.run_folder import LabHome
from engine.runs import list_runs
from tests.assets_home import with_assets
from tests.browser.conftest import ROOT, Lab, serve, stop
from tests.photo_folders import draw_photos

UPLOADER = "[data-testid=stFileUploader]:has-text('up to 50 MB') input"
TOP = "[data-testid=stVegaLiteChart][aria-label^='Top five']"


@pytest.fixture(scope="module")
def playground(tmp_path_factory) -> Iterator[Lab]:
    """Two pretrained networks, samples, and a set of lamps."""
    folder = tmp_path_factory.mktemp("playground")
    fetched = with_assets("mobilenet_v2", "efficientnet_lite0", "imagenet_names", "grace_hopper", "traffic_lights")
    (folder / "lab").mkdir()
    (folder / "lab" / "assets").symlink_to(fetched.assets)
    home = LabHome(str(folder / "lab"))
    draw_photos(Path(home.datasets) / "lamps", each=10)
    process, url = serve(home, folder / "stderr.txt")
    yield Lab(home, url, {})
    stop(process)


def answer(page: Page) -> list[tuple[str, str]]:
    """(label, percentage) of the bars, the likeliest first."""
    said = page.locator(TOP).get_attribute("aria-label") or ""
    return re.findall(r"(?:: |, )(.+?) ([\d.]+%)", said)


def at_rest(page: Page) -> None:
    """Nothing is pale because it is being drawn anew, or under the pointer."""
    page.mouse.move(0, 0)
    expect(page.locator("[data-stale=true]")).to_have_count(0)


def test_upload_why_beside_many_and_the_same_in_a_shell(visitor, playground, tmp_path):
    here = visitor()
    page = here.page
    page.goto(playground.url)
    page.get_by_role("link", name="Playground").click()
    expect(page.get_by_text("Choose a picture")).to_be_visible()

    # A photo is uploaded and answered.
    page.get_by_role("radio", name="Upload").click()
    photo = Path(playground.home.assets, "grace_hopper", "grace_hopper.jpg")
    page.locator(UPLOADER).set_input_files(photo)
    expect(page.get_by_text(re.compile(r"^Military uniform \d+\.\d%$"))).to_be_visible(timeout=120000)
    expect(page.get_by_text("What the model sees")).to_be_visible()
    expect(page.get_by_text(re.compile(r"^Evaluation time \(1-image\): \d+\.\d{3}s$"))).to_be_visible()
    page.get_by_role("button", name="Classify", exact=True).click()
    expect(page.get_by_text("50 repeats of the same image")).to_be_visible()

    # What it hangs on.
    page.get_by_role("button", name="Occlusion map", exact=True).click()
    heat = page.get_by_role("img", name=re.compile(r"Occlusion map of grace_hopper\.jpg for military uniform"))
    expect(heat).to_be_visible(timeout=60000)

    # Another model on the same picture.
    page.get_by_role("combobox", name="Add a model").click()
    page.get_by_role("option", name="EfficientNet-Lite0").click()
    expect(page.get_by_text(re.compile(r"Both say military uniform|They disagree"))).to_be_visible(timeout=120000)
    at_rest(page)
    assert here.violations() == []

    # The command that is shown says the same in a shell.
    page.get_by_role("tab", name="Command line").click()
    at_rest(page)
    assert here.violations() == []
    command = page.get_by_test_id("stCode").filter(has_text="label_image").first.inner_text().strip()
    assert "--image grace_hopper.jpg" in command
    with page.expect_download() as download:
        page.get_by_role("button", name="Download grace_hopper.jpg").click()
    download.value.save_as(tmp_path / "grace_hopper.jpg")
    assert (tmp_path / "grace_hopper.jpg").read_bytes() == photo.read_bytes()
    python = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{python}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    said = subprocess.run(
        command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    listed = re.findall(r"(.+) \(score=([\d.]+)\)", said.stdout)
    assert [(label, f"{100 * float(score):.1f}%") for label, score in listed] == answer(page)

    # Thirty pictures with known labels are a run of their own, whose table leaves as CSV.
    page.get_by_role("radio", name="Many pictures").click()
    page.get_by_role("combobox", name="Pictures").click()
    page.get_by_role("option", name="Lamps").click()
    page.get_by_role("button", name="Classify 30 pictures").click()
    page.wait_for_url(re.compile(r"run=\d{8}-"))
    expect(page.get_by_text("in total · finished")).to_be_visible(timeout=120000)
    with page.expect_download() as download:
        page.get_by_test_id("stDownloadButton").get_by_role("button", name="CSV").click()
    with open(download.value.path(), newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert len(rows) == 31
    (run,) = list_runs(playground.home)
    assert run.kind == "classify"
    at_rest(page)
    assert here.violations() == []
    page.get_by_role("radio", name="One picture").click()
    expect(page.get_by_role("radio", name="Samples")).to_be_visible()
    assert all(url.startswith((playground.url, "data:", "blob:")) for url in here.requested)


@pytest.mark.parametrize("scheme, phone", [("light", False), ("dark", False), ("light", True)])
def test_it_looks_right_in_both_schemes_and_on_a_phone(visitor, playground, scheme, phone):
    here = visitor(scheme, phone)
    page = here.page
    page.goto(f"{playground.url}/playground?model=mobilenet_v2&sample=grace_hopper")
    expect(page.get_by_text(re.compile(r"^Military uniform \d+\.\d%$"))).to_be_visible(timeout=120000)
    expect(page.locator(TOP)).to_be_visible()
    page.get_by_role("tab", name="Skew check").click()
    expect(page.get_by_text(re.compile(r"would change the answer|No wrong setting changes"))).to_be_visible()
    at_rest(page)
    assert here.violations() == []
    page.get_by_role("tab", name="Model").click()
    expect(page.get_by_text("in memory, ")).to_be_visible()
    assert here.violations() == []
    if phone:
        assert here.overflow() == 0
        seen, contract = (page.get_by_text(words, exact=True).last for words in ("What the model sees", "Contract"))
        assert contract.bounding_box()["y"] > seen.bounding_box()["y"]
        folded = page.get_by_text("Model and image")
        expect(page.get_by_role("combobox", name="Model", exact=True)).to_be_hidden()
        folded.click()
        expect(page.get_by_role("combobox", name="Model", exact=True)).to_be_visible()
        assert here.overflow() == 0
    assert all(url.startswith((playground.url, "data:", "blob:")) for url in here.requested)


def test_links_and_the_back_button_show_what_they_name(visitor, playground):
    page = visitor().page
    page.goto(f"{playground.url}/playground?model=mobilenet_v2")
    page.get_by_role("radio", name="Grace Hopper").click()
    expect(page.get_by_text(re.compile(r"^Military uniform \d+\.\d%$"))).to_be_visible(timeout=120000)
    page.get_by_role("radio", name="red light").click()
    expect(page.get_by_text(re.compile(r"^Military uniform"))).to_be_hidden()
    expect(page).to_have_url(re.compile(r"sample=traffic_lights"))
    page.go_back()
    expect(page.get_by_text(re.compile(r"^Military uniform \d+\.\d%$"))).to_be_visible()
    expect(page.get_by_role("radio", name="Grace Hopper")).to_have_attribute("aria-checked", "true")


def test_a_file_that_is_no_picture_is_an_error_across_the_results(visitor, playground, tmp_path):
    page = visitor().page
    (tmp_path / "holiday.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    page.goto(f"{playground.url}/playground?model=mobilenet_v2")
    page.get_by_role("radio", name="Upload").click()
    page.locator(UPLOADER).set_input_files(tmp_path / "holiday.heic")
    expect(page.get_by_text("holiday.heic is HEIC. Save it as JPEG or PNG and try again.")).to_be_visible()
    expect(page.get_by_text("Nothing was stored.")).to_be_visible()
