"""How many photos are enough: rows, their gains with intervals, the sentence, the chart, and the command line."""

import json
import statistics
import time

import altair as alt
import numpy as np
import pytest
from scipy import stats

from engine.charts import learning_curve_charts
from engine.charts.learning_curve_charts import Curve
from engine.cli import main
from engine.contract import dataset as datasets
from engine.contract import events, specs
from engine.contract.kinds.learning_curve import ALL_PHOTOS, SEEDS_LIMIT, LearningCurvePoint, LearningCurveSpec
from engine.contract.run_folder import LabHome
from engine.kinds.learning_curve import photo_counts as learning_curve
from engine.runs import open_run
from engine.words import spread
from tests.photo_folders import draw_photos
from tests.weights import pretend

LABELS = ["dandelion", "roses"]
SPEC = LearningCurveSpec(sizes=(5, 10), seeds=5)
ALL = ALL_PHOTOS


def measured(tmp_path, spec=SPEC, **correct):
    """The rows of a run that told so many right of 100: by size ("s5", "s10", "all"), one for each seed."""
    folder = LabHome(str(tmp_path)).run("curve")
    folder_of_artifacts = tmp_path / "runs" / "curve" / "artifacts"
    folder_of_artifacts.mkdir(parents=True)
    specs.write(folder.spec, spec)
    datasets.write(folder.dataset, datasets.Dataset("Flowers", str(tmp_path), LABELS, []))
    told = [events.State(time.time(), events.QUEUED, 1), events.State(time.time(), events.RUNNING, 0)]
    for name, rights in correct.items():
        size = ALL if name == "all" else int(name[1:])
        photos = 2 * size or 61
        told += [
            LearningCurvePoint(time.time(), size, seed, photos, right, 100, False, 0.1)
            for seed, right in enumerate(rights)
        ]
    events.append(folder.events, *told)
    return learning_curve.rows(open_run(folder.home, "curve"))


def test_a_row_has_the_mean_its_spread_and_what_it_gained_seed_by_seed(tmp_path):
    found = measured(tmp_path, s5=[70, 74, 72, 71, 73], s10=[80, 83, 82, 82, 81])
    assert [(row.title, row.photos, row.per_class, row.test_n) for row in found] == [
        ("5", 10, 5, 100),
        ("10", 20, 10, 100),
    ]
    assert found[0].mean == pytest.approx(0.72)
    assert found[0].deviation == pytest.approx(np.std([70, 74, 72, 71, 73], ddof=1) / 100)
    changes = np.array([10, 9, 10, 11, 8]) / 100
    low, high = stats.t.interval(0.95, 4, changes.mean(), stats.sem(changes))
    gain = found[1].gain
    assert (gain.mean, gain.low, gain.high) == (
        pytest.approx(0.096),
        pytest.approx(low, rel=1e-3),
        pytest.approx(high, rel=1e-3),
    )
    assert str(gain) == "+9.6 pt (+8.2 to +11.0)"
    assert found[0].gain is None


def test_the_factors_of_the_intervals_are_students():
    assert pytest.approx(stats.t.ppf(0.975, range(1, SEEDS_LIMIT)), abs=0.001) == learning_curve.T_95


@pytest.mark.parametrize(
    ("correct", "enough", "conclusion", "reasons"),
    [
        pytest.param(
            {"s5": [70, 74, 72, 71, 73], "s10": [88, 86, 87, 89, 85], "all": [87, 88, 86, 88, 87]},
            10,
            "10 photos a class reach 87.0%; more gained nothing clear.",
            "All photos (30.5 a class) reach 87.2%: +0.2 pt (−1.8 to +2.2), within the spread of 5 seeds. Each figure "
            "is the mean of 5 seeds on the same 100 testing photos; on others 87.2% might be 79.0% to 92.2%.",
            id="it flattens",
        ),
        pytest.param(
            {"s5": [70, 74, 72, 71, 73], "s10": [80, 81, 82, 80, 81], "all": [90, 91, 91, 92, 90]},
            None,
            "More photos still helped: all photos (30.5 a class) reach 90.8%, 10 photos a class 80.8%.",
            "The last step gained +10.0 pt (+8.5 to +11.5), more than the spread of 5 seeds. Where the curve flattens "
            "lies beyond what was measured.",
            id="it still rises",
        ),
        pytest.param(
            {"s5": [99] * 5, "s10": [99, 99, 99, 99, 100], "all": [100, 99, 100, 100, 100]},
            5,
            "5 photos a class reach 99.0%; more gained less than a point.",
            "All photos (30.5 a class) reach 99.8%: +0.8 pt (+0.2 to +1.4), more than the spread of 5 seeds.",
            id="a photo more is no help",
        ),
        pytest.param(
            {"s5": [90] * 5, "s10": [80] * 5, "all": [80] * 5},
            5,
            "5 photos a class reach 90.0%; more gained nothing clear.",
            "All photos (30.5 a class) reach 80.0%: −10.0 pt (−10.0 to −10.0), more than the spread of 5 seeds.",
            id="it falls",
        ),
        pytest.param(
            {"s5": [70, 74, 72, 71, 73]},
            None,
            "5 photos a class reach 72.0%.",
            "There is no other number to hold it against.",
            id="stopped after one size",
        ),
        pytest.param(
            {"s5": [70, 74, 72, 71, 73], "s10": [80, 81]},
            None,
            "5 photos a class reach 72.0%.",
            "There is no other number",
            id="stopped within a size",
        ),
    ],
)
def test_the_sentence_says_where_more_photos_stop_helping(tmp_path, correct, enough, conclusion, reasons):
    found = measured(tmp_path, **correct)
    flat = learning_curve.flattens(found)
    assert (flat and flat.size) == enough
    said = learning_curve.verdict(found)
    assert said.conclusion == conclusion
    assert said.reasons.startswith(reasons)


def test_one_seed_says_that_nobody_knows_what_is_chance(tmp_path):
    found = measured(tmp_path, SPEC._replace(seeds=1), s5=[70], s10=[80], all=[80])
    assert learning_curve.flattens(found) is None
    said = learning_curve.verdict(found)
    assert said.conclusion == "5 photos a class reach 70.0%, all photos (30.5 a class) 80.0%."
    assert said.reasons.startswith("With one seed nobody knows what is chance. Each figure is of one seed on")
    assert (str(found[1].gain), spread(found[1].deviation)) == ("+10.0 pt", "")


@pytest.mark.parametrize("dark", [False, True])
def test_the_chart_has_a_band_every_seed_and_a_log_axis_of_what_was_really_learned_from(tmp_path, dark):
    found = measured(tmp_path, s5=[70, 74, 72, 71, 73], s10=[88, 86, 87, 89, 85], all=[100] * 5)
    alone = learning_curve_charts.accuracy_against_photos([Curve("", 0, found)], 300, dark)
    both = learning_curve_charts.accuracy_against_photos([Curve("1", 0, found), Curve("2", 1, found[:1])], 300, dark)
    for chart in (alone, both):
        alt.LayerChart.from_dict(chart)
        drawn = chart["layer"][0]["encoding"]["x"]
        assert drawn["scale"]["type"] == "log"
        assert drawn["axis"]["values"] == [5, 10, 30.5]
    band, seeds, _, means = (layer["data"]["values"] for layer in alone["layer"][:4])
    assert len(seeds) == 15
    assert [row["value"] for row in means] == ["72.0%", "87.0%", "100.0%"]
    deviation = statistics.stdev([0.70, 0.74, 0.72, 0.71, 0.73])
    assert (band[0]["low"], band[0]["high"]) == (pytest.approx(0.72 - deviation), pytest.approx(0.72 + deviation))
    assert alone["layer"][0]["encoding"]["y"]["scale"]["domain"] == [0.7, 1.0]
    assert [row["name"] for row in both["layer"][-1]["data"]["values"]] == ["1", "2"]
    assert learning_curve_charts.chart_in_words([Curve("", 0, found)]) == (
        "5 a class 72.0% ±1.6 pt, 10 a class 87.0% ±1.6 pt, 30.5 a class 100.0% ±0.0 pt."
    )


def test_what_is_wrong_with_the_settings_is_said():
    assert LearningCurveSpec().faults() == []
    spec = SPEC._replace(backbone="x", learning_rate=20.0, steps=0, sizes=(5, 5, 0), seeds=21, train_batch_size=0)
    said = spec._replace(validation_percentage=50, testing_percentage=50).faults()
    for words in (
        "Backbone is 'x'",
        "Learning rate is 20; choose 0.0001 to 10.",
        "Steps is 0; choose 1 to 1,000,000.",
        "Train batch size is 0; choose 1 to 100,000 or -1 for all photos.",
        "A number of photos is listed twice; each size needs its own.",
        "Photos per class is 0; choose 1 to 1,000,000.",
        "Seeds is 21; choose 1 to 20.",
        "leave at least 10 % for training.",
    ):
        assert any(words in fault for fault in said), words
    assert SPEC._replace(sizes=()).faults() == ["0 sizes; choose 1 to 12."]


def test_the_curve_is_told_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "lab"))
    monkeypatch.setenv("FAKE_SECONDS", "0.2")
    pretend(LabHome(str(tmp_path / "lab")), "mobilenet_v2")
    photos = str(draw_photos(tmp_path / "lamps"))
    command = ["learning_curve", photos, "--sizes", "2,10,50", "--seeds", "3", "--testing_percentage", "30"]
    assert main(command, "tests.fakes.fake_worker") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 * 3 + 3 + 1
    assert lines[0].startswith("2 photos a class, seed 0: ")
    assert lines[-4].lstrip().startswith("2  ")
    assert "a class" in lines[-1]
    assert main([*command, "--json"], "tests.fakes.fake_worker") == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [row["photos_per_class"] for row in told["sizes"]] == ["2", "10", "all"]
    assert [len(row["test_accuracies"]) for row in told["sizes"]] == [3, 3, 3]
    assert lines[-1].startswith(told["verdict"])
    # Nothing is started where the settings or the photos will not do.
    few = str(draw_photos(tmp_path / "few", each=3))
    one = str(draw_photos(tmp_path / "one", classes=("red",)))
    for arguments in ([photos, "--seeds", "0"], [few], [one], [str(tmp_path / "nowhere")]):
        assert main(["learning_curve", *arguments], "tests.fakes.fake_worker") == 2
    with pytest.raises(SystemExit) as refused:
        main(["learning_curve", photos, "--sizes", "ten"], "tests.fakes.fake_worker")
    assert refused.value.code == 2
