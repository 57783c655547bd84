"""As on a Jetson TX2: the dashboard on its own Python starts a real worker on Python 3.6 with TensorFlow 2.6."""

import os
import re
import sys
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect

from engine.contract import events
from engine.contract.run_folder import LabHome
from engine.models.classifier import Classifier
from engine.runs import open_run
from tests.assets_home import with_assets
from tests.browser.conftest import ROOT, Lab, serve, stop, wait_until
from tests.browser.test_pages import choose_lamps
from tests.browser.test_retraining import CURVES
from tests.engine.test_models import as_strangers_read
from tests.photo_folders import draw_photos

OLD = ROOT / ".venv36" / "bin" / "python"


@pytest.fixture
def two_interpreters(tmp_path):
    if not (OLD.parent.parent / "lab-setup").exists():
        pytest.skip("there is no .venv36: make test-worker36 makes it where there is a Python 3.6")
    home = LabHome(str(tmp_path / "lab"))
    draw_photos(Path(home.datasets) / "lamps")
    os.symlink(with_assets("mobilenet_v2").assets, home.assets)
    process, url = serve(home, tmp_path / "stderr.txt", WORKER_PYTHON=str(OLD))
    yield Lab(home, url, {})
    stop(process)


@pytest.mark.thorough
@pytest.mark.timeout(300)
def test_the_dashboard_has_python_36_race_three_learning_rates(visitor, two_interpreters, tmp_path):
    page = visitor().page
    page.goto(f"{two_interpreters.url}/retraining")
    choose_lamps(page)
    page.get_by_role("slider", name="Steps").press("Home")
    expect(page.get_by_role("slider", name="Steps")).to_have_attribute("aria-valuetext", "100")
    page.get_by_role("button", name="Race 3 rates").click()
    page.wait_for_url(re.compile(r"run=\d{8}-"))
    run_id = re.search(r"run=([\w-]+)", page.url)[1]
    lock = Path(two_interpreters.home.run(run_id).lock)
    wait_until(lambda: lock.read_text().isdigit(), 180)
    assert Path(f"/proc/{lock.read_text()}/exe").resolve().name == "python3.6"
    expect(page.get_by_text("in total · finished")).to_be_visible(timeout=240_000)
    expect(page.locator(CURVES)).to_be_visible()
    expect(page.get_by_text(re.compile(r"Keep lr [\d.]+: [\d.]+% of the validation photos"))).to_be_visible()
    run = open_run(two_interpreters.home, run_id)
    assert (run.state, len(run.lanes)) == (events.DONE, 3)
    assert "TensorFlow 2.6" in Path(two_interpreters.home.run(run_id).events).read_text()

    # And a laptop opens it: in the Playground, and by its exported files. A PNG, because decoders of JPEG differ.
    photo = tmp_path / "lamp.png"
    Image.open(Path(run.dataset.root, run.dataset.photos[0].file)).save(photo)
    answers = []
    for python in (str(OLD), sys.executable):
        classifier = Classifier(two_interpreters.home, python)
        answers.append(dict(classifier.classify(run_id, photo.read_bytes()).top))
        classifier.close()
    for each in [answers[1], *as_strangers_read(sys.executable, run, photo)]:
        assert each == pytest.approx(answers[0], abs=1e-4)
