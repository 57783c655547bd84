"""Samples and the photos of sets and runs: what is listed, what a key names, and what it may not reach."""

import json
import os
from pathlib import Path

import pytest

from engine import assets, settings
from engine.contract import dataset as datasets
from engine.contract.run_folder import LabHome
from engine.errors import PhotosError
from engine.models import samples
from engine.questions import quoted
from tests.photo_folders import draw_photos


@pytest.fixture
def lab(tmp_path) -> settings.Settings:
    draw_photos(tmp_path / "lab" / "datasets" / "lamps")
    (tmp_path / "data").mkdir()
    return settings.load({"LAB_HOME": str(tmp_path / "lab"), "LAB_DATA": str(tmp_path / "data")})


def pretend_fetched(home: LabHome, name: str, draw) -> Path:
    """An asset as if it had been fetched, with other bytes."""
    row = assets.asset(name)
    path = Path(home.assets, name, row.file)
    draw(path)
    extent = path.stat().st_size if path.is_file() else sum(1 for each in path.rglob("*") if each.is_file())
    stamp = {"sha256": row.sha256, "extent": extent, "source": "a test"}
    (path.parent / ".verified").write_text(json.dumps(stamp))
    assert assets.find(home, name) == path
    return path


def test_without_assets_there_is_grace_hopper_to_fetch_and_no_photo_of_a_visitor(lab):
    (only,) = samples.samples(lab)
    assert (only.key, only.path) == ("grace_hopper", None)
    assert "public domain" in only.attribution
    with pytest.raises(PhotosError, match="Fetch it first"):
        samples.read(only)


def test_built_in_sets_show_a_photo_of_each_class_with_its_attribution(lab):
    pretend_fetched(lab.home, "traffic_lights", draw_photos)
    found = samples.samples(lab)
    assert [each.title for each in found] == ["Grace Hopper", "green light", "red light", "yellow light"]
    assert found[1].key == "traffic_lights/green/000.jpg"
    assert "CC BY-SA 4.0" in found[1].attribution
    assert samples.find(lab, found[1].key).path == found[1].path
    assert samples.read(found[1])[:2] == b"\xff\xd8"


def test_a_key_names_a_photo_of_an_uploaded_set_and_its_label(lab):
    found = samples.find(lab, "lamps/red/003.jpg")
    assert (found.title, found.attribution) == ("003.jpg", "")
    assert samples.label(found.key) == "red"
    assert samples.label("grace_hopper") == ""


@pytest.mark.parametrize(
    "key",
    [
        "",
        "lamps",
        "lamps/red",
        "lamps/red/999.jpg",
        "lamps/red/../../secret.jpg",
        "lamps/../secret.jpg",
        "../lamps/red",
        "lamps/./000.jpg",
        "lamps//000.jpg",
        "lamps/red/\0.jpg",
        "lamps/red/" + "a" * 400,
        "nobody/red/000.jpg",
        "/etc/passwd",
        "lamps/red/link.jpg",
        "lamps/red/loop.jpg",
    ],
)
def test_a_key_that_names_nothing_or_leads_out_is_one_sentence(lab, key):
    Path(lab.home.datasets, "secret.jpg").write_bytes(b"secret")
    red = Path(lab.home.datasets, "lamps", "red")
    outside = Path(lab.home.path).parent / "outside.jpg"
    outside.write_bytes(b"secret")
    os.symlink(outside, red / "link.jpg")
    os.symlink(red / "loop.jpg", red / "loop.jpg")
    with pytest.raises(PhotosError, match=r"There is no picture .* Choose another one\."):
        samples.find(lab, key)


def test_the_photos_of_a_set_are_listed_by_the_split_that_a_run_would_use(lab):
    Path(lab.home.datasets, "lamps", "red", "notes.txt").write_text("no photo")
    found = samples.listed(lab, "lamps")
    assert (found.title, found.labels, len(found.photos)) == ("Lamps", ["green", "red", "yellow"], 60)
    for label in range(3):
        splits = [photo.split for photo in found.photos if photo.label == label]
        assert {split: splits.count(split) > 0 for split in datasets.SPLITS} == dict.fromkeys(datasets.SPLITS, True)


def test_the_photos_of_a_run_have_the_splits_that_it_used(lab):
    root = draw_photos(Path(lab.data_roots[-1], "elsewhere"))
    folder = lab.home.run("20261122-141502-3fa9c1")
    os.makedirs(folder.path)
    used = datasets.Dataset("Elsewhere", str(root), ["red"], [datasets.Photo("red/003.jpg", 0, "testing")])
    datasets.write(folder.dataset, used)
    assert samples.listed(lab, folder.id) == used
    assert samples.find(lab, f"{folder.id}/red/003.jpg").path == root / "red" / "003.jpg"
    with pytest.raises(PhotosError, match="cannot be listed"):
        samples.listed(lab, "20261122-000000-000000")


def test_a_run_whose_photos_lie_outside_the_roots_shows_none(lab, tmp_path):
    root = draw_photos(tmp_path / "private")
    folder = lab.home.run("20261122-141502-3fa9c1")
    os.makedirs(folder.path)
    datasets.write(folder.dataset, datasets.Dataset("Private", str(root), ["red"], []))
    with pytest.raises(PhotosError):
        samples.find(lab, f"{folder.id}/red/003.jpg")


def test_the_courseworks_photo_is_known_by_its_name_and_by_its_content(test_data):
    photo = (test_data / "flower_photos" / "daisy" / "21652746_cc379e0eea_m.jpg").read_bytes()
    assert quoted.of("renamed.jpg", photo) is quoted.DAISY
    assert quoted.of("daisy/21652746_cc379e0eea_m.jpg", b"") is quoted.DAISY
    assert quoted.of("another.jpg", b"another") is None


def test_the_quoted_figures_are_those_of_the_write_up():
    assert quoted.DAISY.top[0] == ("daisy", 0.99794)
    assert sum(score for _, score in quoted.DAISY.top) == pytest.approx(1)
    assert quoted.DAISY.seconds == 7.879
