"""Kinds of run from the form to their figures, and what is done with finished runs, with the real worker.

What the page shows is compared with what the worker wrote: events.jsonl, and the single answers of predictions.json.
"""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from engine.contract import catalog
from engine.contract.kinds.learning_curve import ALL_PHOTOS
from engine.contract.kinds.mnist import MnistSpec
from engine.contract.run_folder import LabHome
from engine.runs.queue import Queue
from tests.assets_home import with_assets
from tests.browser.conftest import Lab, at_rest, serve, stop, wait_until
from tests.photo_folders import draw_photos

STARTED = re.compile(r"run=\d{8}-")
FINAL = ("done", "cancelled", "failed")
RUN_ENDS = 500.0  # seconds: TensorFlow is loaded up to six times, on cores that others use too

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def worker_lab(tmp_path_factory) -> Iterator[Lab]:
    """The real worker with MobileNet v2, MNIST, and 60 photos, some of which lie in a wrong class."""
    folder = tmp_path_factory.mktemp("worker")
    fetched = with_assets("mobilenet_v2", "mnist")
    home = LabHome(str(folder / "lab"))
    Path(home.assets).mkdir(parents=True)
    Path(home.runs).mkdir()
    for name in ("mobilenet_v2", "mnist"):
        Path(home.assets, name).symlink_to(Path(fetched.assets, name))
    lamps = draw_photos(Path(home.datasets) / "lamps")
    for wrong, right, numbers in (("yellow", "red", range(7)), ("red", "green", range(3))):
        for number in numbers:
            (lamps / right / f"{number:03}.jpg").rename(lamps / wrong / f"{right}-{number:03}.jpg")
    (folder / "data").mkdir()
    process, url = serve(home, folder / "stderr.txt", LAB_DATA=str(folder / "data"))
    yield Lab(home, url, {})
    stop(process)


@pytest.fixture(scope="module")
def two_runs(worker_lab) -> tuple[str, str]:
    """A network for digits, trained twice on 1,000 of them; ids of the runs, the older one first."""
    queue = Queue(worker_lab.home, sys.executable, "engine.worker")
    # Its own recipe but for few validation images, and rates so different that no figure is the same.
    beginner = catalog.network("beginner")._replace(validation_images=300)
    usual = MnistSpec(training_images=1000, epochs=1)
    asked = [usual._replace(networks=(beginner._replace(learning_rate=rate),)) for rate in (0.01, 0.001)]
    first, second = (queue.start(spec) for spec in asked)
    for run_id in (first, second):
        wait_until(lambda run_id=run_id: events(worker_lab, run_id, "state")[-1]["state"] in FINAL, RUN_ENDS)
        assert events(worker_lab, run_id, "state")[-1]["state"] == "done"
    return first, second


def events(lab: Lab, run_id: str, kind: str) -> list[dict[str, Any]]:
    """The events of this kind as they stand in the run's folder."""
    log = Path(lab.home.run(run_id).events)
    text = log.read_text(encoding="utf-8") if log.exists() else ""  # a run that starts just now has none yet
    lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
    return [line for line in lines if line["kind"] == kind]


def accuracy_of(lab: Lab, run_id: str, lane: str) -> tuple[float, int]:
    """Counted from the single answers of a lane; and of how many."""
    with open(lab.home.run(run_id).predictions, encoding="utf-8") as file:
        said = json.load(file)
    right = np.array(said["truth"]) == np.array(said["lanes"][lane]["predicted"])
    return right.mean(), len(right)


def main(page: Page, test_id: str) -> Locator:
    """What is seen of this kind on the page, the first from above: open tabs only, and nothing of the sidebar."""
    return page.get_by_test_id("stMain").get_by_test_id(test_id).filter(visible=True).first


def table(page: Page, rows: int) -> list[list[str]]:
    """The cells of the first table, of so many rows, as a screen reader has them: it is drawn on a canvas.

    Of columns that hold numbers these are the numbers; their words are tested without a browser.
    """
    found = main(page, "stDataFrame").locator("canvas tbody tr")
    expect(found).to_have_count(rows)
    at_rest(page)
    return found.evaluate_all("rows => rows.map(row => [...row.querySelectorAll('td')].map(cell => cell.textContent))")


def start(lab: Lab, page: Page, **asked: object) -> str:
    """The id of the run that the form starts, which is asked for just that."""
    page.locator(".st-key-start button").click()
    page.wait_for_url(STARTED)
    run_id = re.search(r"run=([\w-]+)", page.url)[1]
    with open(lab.home.run(run_id).spec, encoding="utf-8") as file:
        spec = json.load(file)
    assert {name: spec[name] for name in asked} == asked
    return run_id


def has_ended(lab: Lab, page: Page, run_id: str) -> None:
    """The run is done, and its page knows."""
    wait_until(lambda: (said := events(lab, run_id, "state")) and said[-1]["state"] in FINAL, RUN_ENDS)
    assert events(lab, run_id, "state")[-1]["state"] == "done", Path(lab.home.run(run_id).log).read_text()
    expect(page.locator(".st-key-cancel")).to_have_count(0)


def slide(page: Page, name: str, right: int = 0) -> None:
    """Move a slider to its first value, and so many steps on; it takes a moment until the form knows."""
    slider = page.get_by_role("slider", name=name)
    for key in ["Home", *["ArrowRight"] * right]:
        slider.press(key)


def choose(page: Page, name: str, option: str) -> None:
    page.get_by_role("combobox", name=name, exact=True).click()
    page.get_by_role("option", name=option).click()


def percent(share: float) -> str:
    return f"{100 * share:.1f}%"


# --- kinds of run ----------------------------------------------------------------------------------------------------


def test_two_depths_are_fine_tuned_and_their_rows_are_what_they_answered(visitor, worker_lab):
    page = visitor().page
    page.goto(f"{worker_lab.url}/retraining?mode=fine_tune")
    slide(page, "Epochs")
    choose(page, "Photos", "Lamps")
    run_id = start(worker_lab, page, blocks=[0, 2], epochs=1)
    has_ended(worker_lab, page, run_id)
    tuned = events(worker_lab, run_id, "fine_tuned")
    assert [each["blocks"] for each in tuned] == [0, 2]
    rows = table(page, 2)
    for row, each in zip(rows, tuned, strict=True):
        accuracy, n = accuracy_of(worker_lab, run_id, each["lane"])
        assert (accuracy, n) == (pytest.approx(each["test_accuracy"]), each["test_n"])
        assert float(row[1]) == pytest.approx(accuracy)
        assert float(row[3]) == pytest.approx(each["validation_accuracy"])
    shares = [accuracy_of(worker_lab, run_id, each["lane"])[0] for each in tuned]
    assert float(rows[1][2]) == pytest.approx(shares[1] - shares[0])  # the first row is what it is held against


def test_a_learning_curve_shows_the_mean_of_its_trainings(visitor, worker_lab):
    page = visitor().page
    page.goto(f"{worker_lab.url}/retraining?mode=learning_curve")
    slide(page, "Trainings of each", 1)
    slide(page, "Steps")
    choose(page, "Photos", "Lamps")
    run_id = start(worker_lab, page, seeds=3, steps=100)
    has_ended(worker_lab, page, run_id)
    by_size: dict[int, list[dict[str, Any]]] = {}
    for point in events(worker_lab, run_id, "learning_curve_point"):
        by_size.setdefault(point["size"], []).append(point)
    assert {size: len(points) for size, points in by_size.items()} == {5: 3, 10: 3, ALL_PHOTOS: 3}
    rows = table(page, 3)
    for row, points in zip(rows, by_size.values(), strict=True):
        shares = [each["correct"] / each["test_n"] for each in points]
        assert float(row[1]) == points[0]["photos"]
        assert float(row[2]) == pytest.approx(float(np.mean(shares)))
        assert float(row[4]) == pytest.approx(min(shares))
    # The chart says the same figures to those who do not see it.
    said = main(page, "stVegaLiteChart").get_attribute("aria-label")
    for row in rows:
        assert percent(float(row[2])) in said


def test_a_built_network_is_trained_and_its_row_is_what_it_answered(visitor, worker_lab):
    page = visitor().page
    network = "pool 4, flatten, dense 10; title Coarse; sgd 0.05; batch 64; held_out 500"
    page.goto(f"{worker_lab.url}/mnist?{urlencode({'build': 1, 'network': network})}")
    page.locator(".st-key-add_network button").click()
    networks = page.locator(".st-key-networks")
    expect(networks.get_by_role("button", name="Coarse")).to_be_visible()
    slide(page, "Epochs")
    for network in MnistSpec().networks[1:]:
        networks.get_by_role("button", name=network.title, exact=True).click()
    page.get_by_role("radio", name="5k").click()
    run_id = start(worker_lab, page, epochs=1, training_images=5000)
    has_ended(worker_lab, page, run_id)
    results = {each["lane"]: each for each in events(worker_lab, run_id, "network_result")}
    assert set(results) == {"beginner", "coarse"}
    rows = {row[0]: row for row in table(page, 2)}
    for lane, title in (("beginner", "Beginner"), ("coarse", "Coarse")):
        accuracy, n = accuracy_of(worker_lab, run_id, lane)
        assert (accuracy, n) == (pytest.approx(results[lane]["test_accuracy"]), 10_000)
        assert float(rows[title][1]) == pytest.approx(accuracy)
        assert float(rows[title][2]) == round(n * (1 - accuracy))
    # Of 28 x 28 pixels every 4 x 4 become one: 49 inputs and a bias for each of ten classes.
    assert float(rows["Coarse"][6]) == 49 * 10 + 10


# --- finished runs ---------------------------------------------------------------------------------------------------


def listed(page: Page, rows: int) -> None:
    expect(page.locator("[class*=st-key-runs_table] canvas tbody tr")).to_have_count(rows)
    at_rest(page)


def pick(page: Page, *places: int) -> None:
    """Tick rows of the table of runs, which is drawn on a canvas: 35 pixels a row, the head's included."""
    for place in places:
        at_rest(page)
        page.locator("[class*=st-key-runs_table]").get_by_test_id("stDataFrame").click(
            position={"x": 18, "y": 35 * (place + 1) + 18}
        )


def newest_first(lab: Lab) -> list[str]:
    """The ids of all runs in the order of the list."""
    states = {each.name: events(lab, each.name, "state") for each in Path(lab.home.runs).iterdir()}
    queued = {run_id: said[0]["ticket"] for run_id, said in states.items() if said}
    return sorted(queued, key=lambda run_id: queued[run_id], reverse=True)


def test_runs_are_compared_and_curves_imported_and_deleted_again(visitor, worker_lab, two_runs):
    page, home = visitor().page, worker_lab.home
    page.goto(f"{worker_lab.url}/runs")
    ids = newest_first(worker_lab)
    listed(page, len(ids))
    pick(page, *(ids.index(run_id) for run_id in two_runs))
    page.get_by_role("button", name="Compare 2 runs").click()
    expect(page.get_by_role("button", name="All runs")).to_be_visible()
    at_rest(page)
    rows = table(page, 2)
    for row, run_id in zip(rows, two_runs, strict=True):
        accuracy, n = accuracy_of(worker_lab, run_id, "beginner")
        (result,) = events(worker_lab, run_id, "network_result")
        assert float(row[4]) == pytest.approx(result["validation_accuracy"])
        assert float(row[5]) == pytest.approx(accuracy)
        assert float(row[6]) == n
    assert rows[0][4:6] != rows[1][4:6]

    # Event files of a run, taken elsewhere, become a run of their own.
    elsewhere = Path(home.path).parent / "data" / "elsewhere"
    shutil.copytree(Path(home.run(two_runs[0]).summaries, "beginner"), elsewhere)
    files = {file: file.read_bytes() for file in elsewhere.rglob("*") if file.is_file()}
    page.goto(f"{worker_lab.url}/runs")
    page.locator(".st-key-import_expander summary").click()
    page.locator(".st-key-import_folder input").fill(str(elsewhere))
    page.locator(".st-key-import_title input").fill("From elsewhere")
    page.get_by_test_id("stFormSubmitButton").get_by_role("button").click()
    listed(page, len(ids) + 1)
    (imported,) = set(newest_first(worker_lab)) - set(ids)
    # The event files have the mean of each block of training steps, and every evaluation of the validation images.
    curves: dict[str, dict[int, float]] = {"training": {}, "validation": {}}
    for each in events(worker_lab, imported, "metric"):
        curves[each["split"]] |= dict(zip(each["step"], each["accuracy"], strict=True))
    known: dict[str, dict[int, float]] = {split: {} for split in curves}
    for each in events(worker_lab, two_runs[0], "metric"):
        known[each["split"]][each["step"][-1]] = float(np.mean(each["accuracy"]))
    assert curves == {split: pytest.approx(points, abs=1e-5) for split, points in known.items()}
    page.goto(f"{worker_lab.url}/retraining?run={imported}")
    last = list(known["validation"].values())[-1]
    expect(main(page, "stVegaLiteChart")).to_have_attribute("aria-label", re.compile(re.escape(f"{100 * last:.1f}%")))

    page.goto(f"{worker_lab.url}/runs")
    listed(page, len(ids) + 1)
    pick(page, newest_first(worker_lab).index(imported))
    page.locator(".st-key-actions").get_by_role("button", name="Delete").click()
    page.locator(".st-key-delete_confirmed button").click()
    listed(page, len(ids))
    assert newest_first(worker_lab) == ids
    assert {file: file.read_bytes() for file in elsewhere.rglob("*") if file.is_file()} == files


def test_present_is_led_by_keys_and_escape_leads_back(visitor, worker_lab, two_runs):
    page = visitor().page
    page.goto(f"{worker_lab.url}/present?runs={','.join(two_runs)}&at=1")
    for key, run_id in (("", two_runs[0]), ("ArrowRight", two_runs[1]), ("ArrowLeft", two_runs[0])):
        if key:
            page.keyboard.press(key)
        accuracy, _ = accuracy_of(worker_lab, run_id, "beginner")
        expect(page.get_by_test_id("stTable").first).to_contain_text(f"{100 * accuracy:.2f}% (")
    page.keyboard.press("Escape")
    page.wait_for_url(re.compile("/runs"))
    listed(page, len(newest_first(worker_lab)))


# --- questions and the machine ---------------------------------------------------------------------------------------


def test_question_8_starts_its_race_and_has_the_figures_of_its_run(visitor, worker_lab):
    page = visitor().page
    page.goto(f"{worker_lab.url}/qa?q=8")
    known = set(newest_first(worker_lab))
    page.locator(".st-key-measure_8 button").click()
    wait_until(lambda: set(newest_first(worker_lab)) - known, 60)
    (run_id,) = set(newest_first(worker_lab)) - known
    has_ended(worker_lab, page, run_id)
    rates = ("0.005", "0.5", "1.0")
    assert [each["lane"] for each in events(worker_lab, run_id, "lane_result")] == list(rates)
    rows = table(page, 3)
    shares = {rate: accuracy_of(worker_lab, run_id, rate)[0] for rate in rates}
    for rate in rates:
        (row,) = (row for row in rows if row[0].split()[1] == rate)
        assert float(row[1]) == pytest.approx(shares[rate])
    said = page.locator(f"a[href$='run={run_id}']").all_inner_texts()
    figures = [words.split(" (")[0] for words in said if re.match(r"[\d.]+% \(", words)]
    assert figures == [percent(shares["0.005"]), percent(shares["0.5"])]


def test_device_goes_on_while_one_looks_and_shows_what_was_read(visitor, worker_lab):
    page = visitor().page
    page.goto(f"{worker_lab.url}/device")
    values = page.get_by_test_id("stMetricValue")
    expect(values.nth(1)).to_be_visible()
    has_gpu = page.get_by_test_id("stMetric").filter(has_text="GPU").count()  # which comes first then
    cpu, memory = values.nth(has_gpu), values.nth(has_gpu + 1)
    before = memory.inner_text()
    eaten = np.ones(400_000_000, np.uint8)  # what the machine holds then is 0.4 GB more
    expect(memory).not_to_have_text(before)
    seen = {"cpu": cpu.inner_text(), "memory": memory.inner_text()}
    with open(Path(worker_lab.home.path, "device", "readings.jsonl"), encoding="utf-8") as file:
        readings = [json.loads(line) for line in file if line.endswith("\n")]
    assert eaten.all()
    assert seen["cpu"] in {f"{each['cpu']:.0f}%" for each in readings}
    assert seen["memory"] in {f"{each['memory_used'] / 1e9:.1f} GB" for each in readings}
