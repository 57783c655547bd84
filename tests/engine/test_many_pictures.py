"""Who is right about many pictures, and what other programs get of it."""

import csv
import io
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from engine import photos, runs
from engine.contract import dataset as datasets
from engine.contract import events, specs
from engine.contract.dataset import Dataset, Photo
from engine.contract.kinds.batch_classification import BatchClassificationSpec, Classified
from engine.contract.run_folder import LabHome
from engine.kinds.batch_classification import many_pictures
from engine.kinds.batch_classification.many_pictures import ELSE, Row
from engine.runs import open_run
from engine.runs.queue import Queue
from tests.assets_home import with_assets
from tests.photo_folders import draw_photos
from tests.waiting import wait_until

ROOT = Path(__file__).parent.parent.parent

# ImageNet has two cranes, and names as people write them.
LABELS = ["tench", "crane", "Granny Smith", "crane", "Petri dish"]
FOLDERS = ["crane", "granny_smith", "holiday"]


def said(*rows: tuple[str, str, float]) -> list[Row]:
    """Rows of (known, answer, score)."""
    return [Row(f"{n}.jpg", known, ((answer, score),), False) for n, (known, answer, score) in enumerate(rows)]


def written(home: LabHome, name: str, root: str, *blocks: Classified) -> runs.Run:
    folder = home.run(name)
    os.makedirs(folder.artifacts)
    specs.write(folder.spec, BatchClassificationSpec(model="mobilenet_v2", model_title="MobileNet v2"))
    photos = [Photo(f"{FOLDERS[n]}/{n}.jpg", n, "") for n in range(3)] + [Photo("3.jpg", -1, "")]
    datasets.write(folder.dataset, Dataset("Trip", root, FOLDERS, photos))
    Path(folder.labels).write_text("".join(f"{label}\n" for label in LABELS))
    events.append(folder.events, events.State(1.0, events.QUEUED, 1), *blocks, events.State(2.0, events.DONE, 0))
    return open_run(home, name)


def test_answers_are_judged_by_name_and_a_folder_that_is_no_label_says_nothing(tmp_path: Path) -> None:
    block = Classified(1.5, [0, 1], [3, 0, 4, 2], [0.6, 0.3, 0.5, 0.4], [False, True])
    rest = Classified(1.6, [2, 3], [0, 1, 1, 0], [0.9, 0.1, 0.8, 0.1], [False, False])
    run = written(LabHome(str(tmp_path)), "a-run", "/pictures", block, rest)
    rows = many_pictures.rows(run)
    assert [(row.file, row.known, row.top[0][0], row.is_right, row.is_learned) for row in rows] == [
        ("crane/0.jpg", "crane", "crane", True, False),  # the other crane is as right
        ("granny_smith/1.jpg", "Granny Smith", "Petri dish", False, True),
        ("holiday/2.jpg", "", "tench", None, False),
        ("3.jpg", "", "crane", None, False),
    ]
    assert rows[0].top == (("crane", 0.6), ("tench", 0.3))
    assert (run.title, run.kind, run.stages) == (
        "Trip · MobileNet v2 · 4 pictures", "classify", ("Loading", "Classifying")
    )  # fmt: skip
    assert [row.file for row in many_pictures.newest(run, 3)] == ["3.jpg", "holiday/2.jpg", "granny_smith/1.jpg"]
    assert many_pictures.newest(run, 10) == rows[::-1]
    found = many_pictures.accuracy(rows)
    assert found
    assert (found.right, found.n, found.share) == (1, 2, 0.5)
    unlearned = many_pictures.judged(rows)
    assert unlearned
    assert (unlearned.right, unlearned.n) == (1, 1)
    assert many_pictures.accuracy(rows[2:]) is None


def test_a_run_of_damaged_files_still_has_rows(tmp_path: Path) -> None:
    run = written(LabHome(str(tmp_path)), "a-run", "/p", Classified(1.5, [3], [4, 0], [0.6, 0.4], [False]))
    Path(run.folder.labels).write_text("tench\nhalf a li")
    assert many_pictures.rows(run)[0].top == (("class 4", 0.6), ("tench", 0.4))
    os.remove(run.folder.labels)
    assert many_pictures.rows(run)[0].top[0][0] == "class 4"


def test_confusion_has_the_pictures_labels_and_one_column_for_anything_else() -> None:
    rows = said(("red", "red", 0.9), ("red", "green", 0.5), ("green", "green", 0.8), ("", "red", 0.9))
    counts, names = many_pictures.confusion(rows)
    assert (names, counts.tolist()) == (["green", "red"], [[1, 0], [1, 1]])
    counts, names = many_pictures.confusion([*rows, *said(("red", "tench", 0.4))])
    assert (names, counts.tolist()) == (["green", "red", ELSE], [[1, 0, 0], [1, 1, 1], [0, 0, 0]])


@pytest.mark.parametrize(
    ("folders", "photos", "sentence"),
    [
        ([], [-1, -1], ""),
        (["crane", "PETRI-DISH"], [0, 1], ""),
        (["holiday"], [0, 0, -1], "The folder holiday is no label of this model: its 2 pictures are classified, and"),
        (["a", "crane", "ö"], [0, 1, 2], "The folders a, ö are no labels of this model: their 2 pictures are"),
        ([str(n) for n in range(9)], list(range(9)), "The folders 0, 1, 2, 3, 4 and 4 more are no labels"),
    ],
)
def test_what_cannot_be_judged_is_said(folders: list[str], photos: list[int], sentence: str) -> None:
    found = many_pictures.remarks(folders, photos, LABELS)
    assert [each[: len(sentence)] for each in found] == ([sentence] if sentence else [])


def test_a_csv_holds_every_answer_and_no_formula() -> None:
    rows = [
        Row("a,b.jpg", "red", (("red", 0.75), ("green", 0.25)), True),
        Row('=cmd|"x".jpg', "", (("@evil", 0.5),), False),
    ]
    table = list(csv.reader(io.StringIO(many_pictures.to_csv(rows, ""))))
    assert table == [
        ["file", "known", "right", "learned_from", "label_1", "score_1", "label_2", "score_2"],
        ["a,b.jpg", "red", "right", "yes", "red", "0.750000", "green", "0.250000"],
        ['\'=cmd|"x".jpg', "", "", "no", "'@evil", "0.500000"],
    ]


def test_only_pictures_that_were_uploaded_for_a_run_go_with_it(tmp_path: Path) -> None:
    home = LabHome(str(tmp_path / "lab"))
    for number, root in enumerate((f"{home.pictures}/..", home.pictures, home.runs, str(tmp_path), "/")):
        assert runs.uploaded_pictures(written(home, f"run-{number}", root)) is None
    uploaded = Path(home.pictures, "trip")
    uploaded.mkdir(parents=True)
    (Path(home.pictures) / "link").symlink_to(tmp_path)
    assert runs.uploaded_pictures(written(home, "linked", f"{home.pictures}/link")) is None
    run = written(home, "own", str(uploaded))
    assert runs.uploaded_pictures(run) == uploaded
    written(home, "another", str(uploaded))
    assert runs.uploaded_pictures(run) is None


def test_the_command_line_says_the_same_of_every_picture(tmp_path: Path) -> None:
    home = LabHome(str(tmp_path / "lab"))
    os.makedirs(home.path)
    os.symlink(with_assets("mobilenet_v2", "imagenet_names").assets, home.assets)
    lamps = draw_photos(tmp_path / "lamps", each=4)
    spec = BatchClassificationSpec(model="mobilenet_v2", model_title="MobileNet v2")
    run = open_run(home, Queue(home, sys.executable).start(spec, photos.list_pictures(lamps, "Lamps").dataset))
    words = ["label_image", "--model", "mobilenet_v2", "--image", lamps, "--csv", tmp_path / "said.csv"]
    environment = os.environ | {"LAB_HOME": home.path}
    subprocess.run([sys.executable, "-m", "engine", *words], cwd=ROOT, env=environment, check=True, capture_output=True)
    wait_until(lambda: not run.refresh().is_active)
    assert run.state == events.DONE, run.log_tail()
    said = defaultdict(dict)
    for row in csv.DictReader(io.StringIO((tmp_path / "said.csv").read_text())):
        said[row["image"]][row["label"]] = float(row["score"])
    rows = many_pictures.rows(run)
    assert len(rows) == len(said) == 12
    for row in rows:
        assert dict(row.top) == pytest.approx(said[str(lamps / row.file)], abs=1e-4)
