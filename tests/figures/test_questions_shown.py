"""What Q&A says where golden runs can answer: its page, its report, and which runs the command line names.

A question's own text says which figure stands where: {{race.tested lane=0.005}}. Each is held against the raw run.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from engine import cli
from engine.contract import catalog
from engine.contract.kinds.batch_size import BatchSizeSpec
from engine.contract.run_folder import LabHome
from tests import golden
from tests.figures import reading, reports
from tests.figures.test_other_kinds import change, sizes, tuned
from tests.figures.test_race import joules
from tests.golden import figures
from tests.pages.conftest import APP
from tests.weights import pretend

CONTENT = Path(__file__).parent.parent.parent / "content" / "questions"
NAMED = re.compile(r"\{\{\s*([a-z0-9_]+)\.([a-z0-9_]+)(?:\s+lane=(\S+?))?\s*\}\}")

# The runs that are there: id -> the golden run, and what its lanes are called, since questions ask for certain ones.
LANES: dict[str, dict[str, str]] = {
    "race": dict(zip(sorted(figures.lane_results("race"), key=float), ("0.005", "0.5", "1.0"), strict=True)),
    "mnist": {"beginner": "beginner", "small": "strong", "own": "coursework_as_meant"},
    "handed_in": {"beginner": "coursework_as_handed_in", "small": "small", "own": "own"},
}
MADE_OF = {"handed_in": "mnist", "inception_one": "pair_one", "inception_all": "pair_all"}
PLAIN = ("single", "pair_one", "pair_all", "fine_tune", "batch_size", "learning_curve")
OWN = max(("race", "single"), key=lambda run_id: golden.raw_events(run_id, "state")[0]["ticket"])  # the newest
HALVES = ("pair_one", "pair_all")

# Question -> its query -> the runs that answer it.
ANSWERED = {
    8: {"race": ["race"]},
    9: {"race": ["race"]},
    10: {"own": [OWN], "curve": ["learning_curve"]},
    11: {"devices": ["pair_one", "pair_all"]},
    12: {"devices": ["inception_one", "inception_all"]},
    14: {"beginner": ["mnist"]},
    15: {"networks": ["mnist"]},
    16: {"sizes": ["batch_size"]},
    17: {"tuned": ["fine_tune"]},
    18: {"race": ["race"], "inception": ["inception_one", "inception_all"], "own": [OWN], "networks": ["handed_in"]},
}


def change_json(path: Path, changed: Callable[[Any], Any]) -> None:
    path.write_text(json.dumps(changed(json.loads(path.read_text(encoding="utf-8")))), encoding="utf-8")


def rename(folder: Path, lanes: dict[str, str]) -> None:
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    for each in lines:
        each |= {key: lanes[each[key]] for key in ("lane", "kept") if each.get(key) in lanes}
    (folder / "events.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines), encoding="utf-8")
    change_json(
        folder / "artifacts" / "predictions.json",
        lambda said: said | {"lanes": {lanes[lane]: each for lane, each in said["lanes"].items()}},
    )


@pytest.fixture(scope="module")
def asked(tmp_path_factory) -> LabHome:
    """A home whose runs are golden ones, asked for as the questions want them; shared, so nothing in it is changed."""
    home = LabHome(str(tmp_path_factory.mktemp("questions") / "lab"))
    pretend(home, "mobilenet_v2")
    folder: Callable[[str], Path] = lambda name: Path(home.run(name).path)  # noqa: E731
    for name, original in MADE_OF.items():
        golden.copy(home, original)
        folder(original).rename(folder(name))
    golden.copy(home, "race", "mnist", *PLAIN)
    for name, lanes in LANES.items():
        rename(folder(name), lanes)
    rates = {"learning_rates": [float(lane) for lane in LANES["race"].values()]}
    change_json(folder("race") / "spec.json", lambda spec: spec | rates)
    for name in ("mnist", "handed_in"):
        change_json(
            folder(name) / "spec.json", lambda spec, name=name: spec | {"data": "mnist", "networks": nets(name)}
        )
    blocks = {"blocks": BatchSizeSpec().blocks}
    change_json(folder("batch_size") / "spec.json", lambda spec: spec | blocks)
    for name in ("inception_one", "inception_all"):
        change_json(folder(name) / "spec.json", lambda spec: spec | {"backbone": "inception_v3", "group": "0badbeef"})
    return home


def nets(name: str) -> list[dict[str, Any]]:
    """The networks of golden's comparison under the names that are asked for, and then with their layers."""
    known = {network.name: network.layers for network in catalog.NETWORKS}
    found = []
    for each in golden.raw_json("mnist", "spec.json")["networks"]:
        new = LANES[name][each["name"]]
        found.append(each | {"name": new, "layers": known.get(new, each["layers"])})
    return found


# --- what each figure must be ----------------------------------------------------------------------------------------


def golden_of(run_id: str, lane: str | None) -> tuple[str, str]:
    """The golden run and its lane that stand behind a figure; without a name the lane that it kept."""
    original = MADE_OF.get(run_id, run_id)
    if lane is None:
        kept = golden.raw_events(original, "kept")
        return original, kept[0]["lane"] if kept else ""
    return original, next((old for old, new in LANES.get(run_id, {}).items() if new == lane), lane)


def photos(said: str, run_id: str, lane: str) -> None:
    dataset = golden.raw_json(run_id, "dataset.json")
    reading.says(said, len(dataset["files"]), len(dataset["labels"]))
    assert dataset["title"] in said


def result_of(run_id: str, lane: str) -> dict[str, Any]:
    (found,) = golden.raw_events(run_id, "network_result" if run_id == "mnist" else "lane_result", lane=lane)
    return found


def of_test(said: str, run_id: str, lane: str) -> None:
    result = result_of(run_id, lane)
    share, total = result["test_accuracy"], result["test_n"]
    reading.says(said, *(100 * each for each in (share, *figures.wilson(share, total))))


def plateau(said: str, run_id: str, lane: str) -> None:
    found, steps = figures.plateau(run_id, lane), golden.raw_json(run_id, "spec.json")["steps"]
    reading.says(said, *([found[0]] if found else []), steps)


def spread(said: str, run_id: str, lane: str) -> None:
    reading.says(said, 100 * figures.spread(run_id, lane))


def validation(run_id: str, lane: str) -> float:
    return 100 * result_of(run_id, lane)["final_validation_accuracy"]


def usable(said: str, run_id: str, lane: str) -> None:
    """A rate against the best of the others."""
    others = [each for each in figures.lane_results(run_id) if each != lane]
    best = max(others, key=lambda each: validation(run_id, each))
    called = [float(LANES[run_id][each]) for each in (lane, best)]
    own, other, wobble = validation(run_id, lane), validation(run_id, best), 100 * figures.spread(run_id, lane)
    reading.says(said, called[0], own, called[1], other, wobble)


def pace(said: str, run_id: str, lane: str) -> None:
    reading.last_in_order(said, figures.stages(run_id)["Training"])
    spec = golden.raw_json(run_id, "spec.json")
    reading.names(said, spec["steps"], len(spec["learning_rates"]))


def of_halves(seconds: Callable[[str], float]) -> Callable[[str, str, str], None]:
    def check(said: str, run_id: str, lane: str) -> None:
        reading.last_in_order(said, *map(seconds, HALVES))

    return check


def race_verdict(said: str, run_id: str, lane: str) -> None:
    results = figures.lane_results(run_id)
    second = max((each for each in results if each != lane), key=lambda each: validation(run_id, each))
    for each in (lane, second):
        called = f"lr {LANES[run_id][each]}"
        assert reading.is_rounded(reading.after(said, called), validation(run_id, each))
    only_kept, only_second, p = figures.mcnemar(run_id, lane, second)
    reading.names(said, only_kept + only_second, results[lane]["test_n"], only_kept, only_second, p)


def ratios(said: str, run_id: str, lane: str) -> None:
    """How many times as long one half took as the other: in all, for bottlenecks, and for the last layer."""
    found = [
        figures.seconds(HALVES[0]) / figures.seconds(HALVES[1]),
        *(figures.stages(HALVES[0])[name] / figures.stages(HALVES[1])[name] for name in ("Bottlenecks", "Training")),
    ]
    apart = [ratio if ratio >= 1 else 1 / ratio for ratio in found if not 1 / 1.05 < ratio < 1.05]
    said_here = [each for each in reading.numbers(said.replace("×", " ")) if "." in each]
    assert len(said_here) == len(apart)
    assert all(map(reading.is_rounded, said_here, apart))


def curve_verdict(said: str, run_id: str, lane: str) -> None:
    rows = [accuracies for _, accuracies in sizes().values()]
    total = golden.raw_events("learning_curve", "learning_curve_point")[0]["test_n"]
    bounds = [100 * each for each in figures.wilson(rows[-1].mean(), total)]
    reading.names(said, 100 * rows[-1].mean(), *bounds, total, len(rows[-1]))


def networks_verdict(said: str, run_id: str, lane: str) -> None:
    results = sorted(golden.raw_events("mnist", "network_result"), key=lambda e: (-e["test_accuracy"], e["parameters"]))
    reading.names(said, *(100 * event["test_accuracy"] for event in results[:2]), results[0]["test_n"])
    reading.names(said, *figures.mcnemar("mnist", results[0]["lane"], results[1]["lane"]))


def sizes_verdict(said: str, run_id: str, lane: str) -> None:
    tried = sorted(golden.raw_events("batch_size", "batch_tried"), key=lambda event: event["batch_size"])
    limit = figures.only("batch_size", "batch_size_result")["memory_limit_bytes"]
    roomy = [each for each in tried if each["fits"] and each["peak_memory_bytes"] <= 0.8 * limit]
    roomy = roomy or [each for each in tried if each["fits"]][:1]
    best = max(event["images_per_second"] for event in roomy)
    taken = next(event for event in roomy if event["images_per_second"] >= 0.95 * best)
    batch, speed, memory = reading.numbers(said)[:3]
    assert batch == str(taken["batch_size"])
    assert reading.is_rounded(speed, taken["images_per_second"])
    assert reading.is_rounded(memory, taken["peak_memory_bytes"] / (1e9 if taken["peak_memory_bytes"] >= 1e9 else 1e6))


def tuned_verdict(said: str, run_id: str, lane: str) -> None:
    for each in list(tuned())[1:]:
        reading.names(said, *change(each))


def one_photo(run_id: str) -> float:
    (event,) = golden.raw_events(run_id, "exported", file="model.tflite")
    return event["seconds"]


def trained(said: str, run_id: str, lane: str) -> None:
    reading.lasts(said, result_of(run_id, lane)["train_seconds"])


def wrong(said: str, run_id: str, lane: str) -> None:
    reading.says(said, len(figures.wrong(run_id, lane)), result_of(run_id, lane)["test_n"])


FIGURES: dict[str, Callable[[str, str, str], None]] = {
    "photos": photos,
    "tested": of_test,
    "plateau": plateau,
    "spread": spread,
    "usable": usable,
    "pace": pace,
    "validation_accuracy": lambda said, run_id, lane: reading.says(said, validation(run_id, lane)),
    "bottlenecks": of_halves(lambda run_id: figures.stages(run_id)["Bottlenecks"]),
    "one_photo": of_halves(one_photo),
    "parameters": lambda said, run_id, lane: reading.says(said, result_of(run_id, lane)["parameters"]),
    "epochs": lambda said, run_id, lane: reading.says(said, golden.raw_json(run_id, "spec.json")["epochs"]),
    "training": trained,
    "wrong": wrong,
}
NO_FIGURE = ("backbone",)
VERDICTS = {
    9: race_verdict,
    10: curve_verdict,
    11: ratios,
    12: ratios,
    15: networks_verdict,
    16: sizes_verdict,
    17: tuned_verdict,
}


# --- what is said ----------------------------------------------------------------------------------------------------


def paragraphs(number: int) -> Iterator[str]:
    """Of a question's text, those in which a figure is named; charts and tables stand alone and are none."""
    (file,) = CONTENT.glob(f"{number:02}-*.md")
    body = file.read_text(encoding="utf-8").split("\n+++\n")[1]
    for paragraph in body.strip().split("\n\n"):
        for part in paragraph.splitlines() if paragraph.startswith("|") else [paragraph.strip()]:
            is_asked = any(query != "quoted" for query, *_ in NAMED.findall(part))
            if is_asked and not NAMED.fullmatch(part):
                yield part


def bare(markdown: str) -> str:
    """The words without what marks them as bold, as links or as they are written."""
    without = re.sub(r"(?<!\\)\[((?:\\.|[^\]\\])*)\]\([^)]*\)", r"\1", markdown)
    without = re.sub(r":[a-z]+(?<!\\)\[((?:\\.|[^\]\\])*)\]", r"\1", without)
    return reports.unescaped(without.replace("**", "").replace("*", "")).replace("`", "")


def check(number: int, text: str) -> None:
    """Fails unless every figure of this answer is the one that its own text asks for."""
    verdicts = ""
    for paragraph in paragraphs(number):
        found = NAMED.findall(paragraph)
        between = [re.escape(bare(part)) for part in re.split(r"\{\{.*?\}\}", paragraph.strip())]
        match = re.search("^" + "(.+?)".join(between) + "$", text, re.M)
        assert match, f"{number}: nothing is like {paragraph!r} in\n{text}"
        for said, (query, field, lane) in zip(match.groups(), found, strict=True):
            if field in ("verdict", "reasons"):
                verdicts += f"{said} "
            elif query != "quoted" and field not in NO_FIGURE:
                original, of_lane = golden_of(ANSWERED[number][query][0], lane or None)
                FIGURES[field](said, original, of_lane)
    if number in VERDICTS:
        original, lane = golden_of(next(iter(ANSWERED[number].values()))[0], None)
        VERDICTS[number](verdicts, original, lane)
    else:
        assert not verdicts


def halves(rows: list[list[str]]) -> None:
    """The table of one thread against all."""
    lane = figures.only("pair_one", "kept")["lane"]
    for row, run_id in zip(rows, HALVES, strict=True):
        _, whole, bottlenecks, speed, layer, step, seconds, accuracy, energy, memory = row
        stages, result = figures.stages(run_id), figures.only(run_id, "result")
        reading.lasts(whole, figures.seconds(run_id))
        reading.lasts(bottlenecks, stages["Bottlenecks"])
        reading.says(speed, result["computed"] / stages["Bottlenecks"])
        reading.lasts(layer, stages["Training"])
        step_at, seconds_at = figures.plateau(run_id, lane)
        reading.says(step, step_at)
        reading.lasts(seconds, seconds_at)
        reading.says(accuracy, 100 * figures.lane_results(run_id)[lane]["test_accuracy"])
        reading.says(energy, joules(run_id) if energy.endswith(" J") else joules(run_id) / 3600)
        reading.weighs(memory, result["peak_memory_bytes"])


def stages(layers: list[reading.Layer], alt: str) -> None:
    """The bars of one thread and of all."""
    segments, _, totals = layers
    unit = 60 if "minute" in segments.title("x") else 1
    everything: list[float] = []
    for row, run_id in zip(totals.rows, HALVES, strict=True):
        whole = [figures.starting(run_id), *figures.stages(run_id).values()]
        own = [each for each in segments.rows if each["run"] == row["run"]]
        spans = [unit * (each[segments.field("x2")] - each[segments.field("x")]) for each in own]
        assert spans == pytest.approx(whole, rel=1e-3, abs=0.02)
        reading.lasts(row[totals.field("text")], sum(whole))
        everything += [*whole, sum(whole)]
    reading.last_in_order(alt, *everything)


@pytest.fixture(scope="module")
def page(asked) -> AppTest:
    """All answers on one page."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_HOME", asked.path)
        patch.setenv("WORKER_MODULE", "tests.fakes.fake_worker")
        for name in ("LAB_DATA", "WORKER_PYTHON"):
            patch.delenv(name, raising=False)
        app = AppTest.from_file(APP, default_timeout=120)
        app.run()
        app.query_params["all"] = "1"
        app.switch_page("pages/qa.py")
        app.run()
        assert not app.exception
        return app


def elements(block: Any) -> Iterator[Any]:
    for child in block.children.values():
        if hasattr(child, "children"):
            yield from elements(child)
        else:
            yield child


@pytest.fixture(scope="module")
def on_page(page) -> dict[int, list[Any]]:
    """What stands on the page below the heading of each question, by its number."""
    numbers = {}
    for file in CONTENT.glob("*.md"):
        text = file.read_text(encoding="utf-8")
        numbers[re.search(r'^question = "(.*)"$', text, re.M)[1]] = int(file.name[:2])
    found: dict[int, list[Any]] = {}
    current: list[Any] = []
    for each in elements(page.main):
        if each.type == "header" and bare(each.value) in numbers:
            current = found.setdefault(numbers[bare(each.value)], [])
        current.append(each)
    return found


@pytest.mark.parametrize("number", ANSWERED)
def test_an_answer_on_the_page_has_the_figures_that_its_text_asks_for(on_page, number):
    said = [each.value for each in on_page[number] if each.type == "markdown"]
    check(number, bare("\n".join(said)))
    links = {run for each in said for run in re.findall(r"\((?:retraining|mnist)\?(?:run|compare)=([\w-]+)\)", each)}
    groups = {"pair_one": "0badcafe", "inception_one": "0badbeef"}
    expected = {groups.get(runs[0], runs[0]) for runs in ANSWERED[number].values()}
    assert links <= expected


@pytest.fixture(scope="module")
def report(asked, golden_home, tmp_path_factory) -> dict[str, reports.Part]:
    file = tmp_path_factory.mktemp("report") / "questions.html"
    if Path(golden_home.derived).is_dir():  # the script that draws charts takes seconds to make
        shutil.copytree(golden_home.derived, asked.derived, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_HOME", asked.path)
        assert cli.main(["report", "--questions", "--out", str(file)]) == 0
    return reports.parts(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("number", ANSWERED)
def test_an_answer_in_the_report_has_the_figures_that_its_text_asks_for(report, number):
    check(number, report[f"question-{number}"].written)


def test_one_thread_and_all_stand_beside_each_other_in_the_report(report):
    for number in (11, 12):
        part = report[f"question-{number}"]
        halves(part.tables[0][1:])
        stages(part.charts[0].layers, part.charts[0].alt)


def test_the_command_line_names_the_runs_behind_each_answer(asked, monkeypatch, capsys):
    monkeypatch.setenv("LAB_HOME", asked.path)
    assert cli.main(["questions", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["questions"]
    found = {row["number"]: (row["runs"], row["missing"]) for row in rows}
    for number, queries in ANSWERED.items():
        assert found[number] == ([run_id for runs in queries.values() for run_id in runs], [])
    assert all(found[number] == ([], []) for number in found.keys() - ANSWERED.keys())
    assert cli.main(["questions"]) == 0
    by_number = {line.split(".")[0]: line for line in capsys.readouterr().out.splitlines()}
    for number, queries in ANSWERED.items():
        runs = [run_id for each in queries.values() for run_id in each]
        assert by_number[str(number)].split()[-len(runs) :] == runs
