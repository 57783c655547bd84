"""Reports: what they say of every kind of run, that they need nothing else, and that names stay names."""

import csv
import io
import json
import re
import shutil
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from engine import cli, photos, report, settings
from engine.contract import choices, events, kinds, specs
from engine.contract import dataset as datasets
from engine.contract.dataset import Dataset, Photo
from engine.contract.kinds.batch_classification import BatchClassificationSpec
from engine.contract.kinds.batch_size import BatchSizeSpec, BatchTried
from engine.contract.kinds.fine_tuning import FineTuningSpec
from engine.contract.kinds.learning_curve import LearningCurveSpec
from engine.contract.kinds.mnist import MnistSpec, NetworkResult
from engine.contract.kinds.race import LaneResult, RaceSpec
from engine.contract.run_folder import LabHome, write_json
from engine.kinds import results
from engine.kinds.blocks import Chart
from engine.questions import answers
from engine.runs import Run, open_run
from engine.runs.queue import Queue
from engine.words import percent
from tests.digit_sets import draw_digits
from tests.photo_folders import draw_photos
from tests.waiting import wait_until
from tests.weights import pretend

NOW = 1_795_630_000.0
LABELS = ["<script>alert(1)</script>", "=HYPERLINK(1)", "a|b *c*", "x" * 10_000]
SINGLE = RaceSpec(learning_rates=(0.5,))


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> settings.Settings:
    """One for all tests here: making the charts' script takes seconds."""
    home = LabHome(str(tmp_path_factory.mktemp("report") / "lab"))
    draw_photos(Path(home.datasets, "lamps"))
    draw_digits(Path(home.datasets, "bars.npz"))
    pretend(home, "mobilenet_v2")
    return settings.load({"LAB_HOME": home.path})


@pytest.fixture(scope="module")
def lamps(lab) -> Dataset:
    return photos.split(photos.scan(Path(lab.home.datasets, "lamps"), "Lamps"), 10, 20)


@pytest.fixture(scope="module")
def told(lab, lamps) -> dict[str, Run]:
    """A run of every kind, told by the worker without TensorFlow."""
    queue = Queue(lab.home, sys.executable, "tests.fakes.fake_worker")
    pictures = photos.list_pictures(Path(lab.home.datasets, "lamps"), "Lamps").dataset
    classify = BatchClassificationSpec(model="mobilenet_v2", model_title="MobileNet v2")
    asked = [
        (RaceSpec(), lamps),
        (MnistSpec(data="bars", device=choices.GPU), None),
        (FineTuningSpec(), lamps),
        (BatchSizeSpec(device=choices.GPU), None),
        (classify, pictures),
        (LearningCurveSpec(), lamps),
    ]
    ids = [queue.start(spec, dataset) for spec, dataset in asked]
    found = [open_run(lab.home, each) for each in ids]
    wait_until(lambda: not any(run.refresh().is_active for run in found))
    return {run.kind: run for run in found}


def make(lab, run_id: str, spec: specs.Spec = SINGLE, dataset: Dataset | None = None) -> Run:
    """A finished run of one lane, made by hand."""
    folder = lab.home.run(run_id)
    Path(folder.artifacts).mkdir(parents=True)
    specs.write(folder.spec, spec)
    dataset = dataset or Dataset("<b>Lamps</b>", "/nowhere", LABELS, [Photo("a/1.jpg", 0, "testing")])
    datasets.write(folder.dataset, dataset)
    truth = [0, 0, 1, 2, 3]
    said = {"predicted": [0, 1, 1, 2, 3], "score": [0.9, 0.8, 0.7, 0.6, 0.5]}
    files = [f"a/{number}.jpg" for number in range(5)]
    write_json(folder.predictions, {"files": files, "truth": truth, "lanes": {"0.5": said}})
    events.append(
        folder.events,
        events.State(NOW, events.QUEUED, 1),
        events.State(NOW, events.RUNNING, 0),
        events.Stage(NOW, events.TRAINING, 100),
        events.Metric(NOW, "0.5", "validation", [10, 20], [1.0, 2.0], [0.7, 0.81234567], [0.6, 0.5]),
        LaneResult(NOW, "0.5", 0.8, 5, 0.81, 0.5, 0.81, 20, False),
        events.Kept(NOW, "0.5"),
        events.State(NOW + 60, events.DONE, 0),
    )
    return open_run(lab.home, run_id)


def html(lab, *ids: str) -> str:
    return report.html(report.of_runs(lab, ids), lab, NOW)


def without_scripts(page: str) -> str:
    return re.sub(r"<script.*?</script>", "", page, flags=re.S)


def files(made: report.Report) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(report.markdown_zip(made, NOW))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_there_is_a_teller_for_every_kind_of_run_and_each_tells_its_figures(lab, told):
    assert set(told) | {"imported"} == set(kinds.KINDS)
    page = html(lab, *(run.id for run in told.values()))
    assert "cannot be read" not in page
    retrained, compared = told["retrain"], told["mnist"]
    kept = retrained.story.by_lane(LaneResult)[retrained.story.kept]
    assert f"Keep lr {retrained.story.kept}: {percent(kept.final_validation_accuracy)}" in page
    for result in retrained.story.by_lane(LaneResult).values():
        assert f"{percent(result.test_accuracy)} (" in page
    for result in compared.story.by_lane(NetworkResult).values():
        assert f"{result.test_accuracy:.2%} (" in page
    for tried in told["batch_size"].story.every(BatchTried):
        assert f"<td>{tried.batch_size:,}</td>" in page
    charts = json.loads(re.search(r'id="charts">(.*?)</script>', page)[1])
    assert len(charts) == page.count("data-chart=") > 10


def test_a_page_has_its_pictures_inside_and_names_stay_names(lab):
    run = make(lab, "hostile")
    page = html(lab, run.id)
    assert page.count("<script") == page.count("</script>") == 3  # the charts as data, Vega, the page's own
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "&lt;b&gt;Lamps&lt;/b&gt;" in page
    rest = without_scripts(page)
    assert re.findall(r"(?:src|href|action)=[\"']?(?!#|data:)", rest) == []
    assert "default-src 'none'" in rest
    assert len(page) < 2_000_000


def test_own_answers_and_links_to_runs_in_the_write_up(lab, told):
    answers.save(lab.home, 8, "**Mine** <img src=x onerror=alert(1)> ![p](http://host/p.png)", "")
    made = report.of_questions(lab)
    page = report.html(made, lab, NOW)
    assert "<strong>Mine</strong>" in page
    assert "<img src=x" not in page
    assert 'src="http' not in page
    race = told["retrain"]
    assert f'href="#{race.id}"' in page
    anchors = set(re.findall(r'href="#([^"]+)"', page))
    assert anchors <= set(re.findall(r'id="([^"]+)"', page))
    written = files(made)
    assert f"]({race.id}.md)" in written["question-8.md"].decode()
    assert "**Mine**" in written["question-8.md"].decode()


@pytest.mark.parametrize(
    ("harm", "left"),
    [
        ("predictions", "What it said of each testing photo cannot be read."),
        ("dataset", "A part of this run cannot be read"),
        ("events", "The worker died without a word."),
        ("spec", "There is no run"),
    ],
)
def test_a_damaged_folder_says_so_and_the_others_stand(lab, harm, left):
    run, whole = make(lab, f"harmed-{harm}"), make(lab, f"whole-{harm}")
    path = Path(getattr(run.folder, harm))
    if harm == "spec":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    page = html(lab, run.id, whole.id)
    assert left in page
    assert "80.0% of 5 testing photos right" in page


def test_twenty_runs_fit_into_five_megabytes(lab, told):
    run = told["retrain"]
    ids = [f"copy-{number}" for number in range(20)]
    for each in ids:
        shutil.copytree(run.folder.path, lab.home.run(each).path)
    made = report.of_runs(lab, ids)
    # A photo of 128 pixels takes 6 KB; those that are drawn for tests are simple, and few of them are wrong.
    picture = results.Picture(bytes(6_000), "red → green 90.0%", "a photo")
    shown = results.Pictures([picture] * (results.HARDEST + 5), "Hardest photos")
    full = [replace(each, blocks=[*each.blocks, shown]) for each in made.sections]
    assert len(report.html(replace(made, sections=full), lab, NOW)) < 5_000_000


def test_the_zip_holds_what_its_markdown_names_and_the_numbers_behind_the_charts(lab):
    run = make(lab, "zipped")
    written = files(report.of_runs(lab, [run.id]))
    text = written[f"{run.id}.md"].decode()
    named = re.findall(r"\]\(((?:images|data)/[^)]+)\)", text)
    assert named
    assert set(named) | {"README.md", f"{run.id}.md"} == set(written)
    rows = list(csv.DictReader(io.StringIO(next(data for name, data in written.items() if "curves" in name).decode())))
    assert [float(row["accuracy"]) for row in rows] == [0.7, 0.81234567]
    assert all(data.startswith(b"<svg") for name, data in written.items() if name.endswith(".svg"))
    cells = next(line for line in text.splitlines() if "c\\*" in line)
    assert cells.replace("\\|", "").count("|") == 5  # a class name is no cell's end
    confusion = next(data for name, data in written.items() if "confusion" in name).decode()
    assert "\n'=HYPERLINK(1)," in confusion  # a spreadsheet would run it


def test_the_dark_chart_is_the_light_one_with_the_differences(lab, told):
    charts = [
        [json.loads(json.dumps(block.draw(dark))) for dark in (False, True)]
        for section in report.of_runs(lab, [run.id for run in told.values()]).sections
        for block in section.blocks
        if isinstance(block, Chart)
    ]
    for light, dark in [*charts, [{"rows": [1, 2]}, {"rows": [1]}]]:
        assert light != dark
        for path, value in report.differences(light, dark):
            place = light
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = value
        assert light == dark


def test_the_command_writes_a_report_and_refuses_what_it_cannot_write(lab, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LAB_HOME", lab.home.path)
    run, out = make(lab, "by-command"), tmp_path / "new" / "report.html"
    assert cli.main(["report", run.id, "--out", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["bytes"] == out.stat().st_size
    for arguments in (["--out", str(out)], [run.id, "--out", "report.doc"], ["nothing", "--out", str(out)]):
        assert cli.main(["report", *arguments]) == 2
    assert "name a file that ends with .html" in capsys.readouterr().err


def test_a_browser_without_a_network_shows_it_and_prints_it(lab, told, browser, tmp_path):
    run = told["retrain"]
    hostile = make(lab, "hostile-in-a-browser")
    path = tmp_path / "report.html"
    path.write_text(html(lab, run.id, hostile.id))
    context = browser.new_context(offline=True, color_scheme="dark", viewport={"width": 390, "height": 844})
    page = context.new_page()
    asked, wrong = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append(dialog.message))
    page.goto(path.as_uri())
    expect(page.locator("html[data-drawn=yes]")).to_be_attached()
    kept = run.story.by_lane(LaneResult)[run.story.kept]
    expect(page.get_by_text(f"Keep lr {run.story.kept}: {percent(kept.final_validation_accuracy)}")).to_be_visible()
    for chart in page.locator("[data-chart]").all():
        expect(chart.locator("svg")).to_be_attached()
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}).response["violations"]
    assert [each["id"] for each in found] == []
    printed = page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type /Page\b", printed)) >= 2  # each run begins a page
    assert {url for url in asked if not url.startswith("data:")} == {path.as_uri()}
    assert wrong == []
    context.close()
