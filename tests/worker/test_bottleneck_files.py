"""The text files of retrain.py: what a run reads, writes and says of them."""

import os
from collections import namedtuple

import numpy as np

from engine.contract import catalog
from engine.worker.formats.bottleneck_files import BottleneckFiles

ROW = catalog.backbone("mobilenet_0.25_128")
Entry, Photo = namedtuple("Entry", "file"), namedtuple("Photo", "entry sha256")


def photo(file):
    return Photo(Entry(file), "sha256 of " + file)


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)


def test_what_is_written_has_the_original_s_name_and_comes_back_bit_for_bit(tmp_path):
    files = BottleneckFiles(str(tmp_path / "bottlenecks"), ROW)
    vector = np.random.RandomState(0).randn(1001).astype(np.float32) / 3
    daisy = photo("daisy/21652746_cc379e0eea_m.jpg")
    files.write_missing([daisy], {daisy.sha256: vector})
    path = tmp_path / "bottlenecks" / "daisy" / "21652746_cc379e0eea_m.jpg_mobilenet_0.25_128.txt"
    assert len(path.read_text().split(",")) == 1001
    assert (BottleneckFiles(files.folder, ROW).read_all([daisy])[daisy.sha256] == vector).all()
    assert list(files.remarks()) == []


def test_a_file_from_earlier_is_used_and_left_as_it_is(tmp_path):
    files = BottleneckFiles(str(tmp_path), ROW)
    old = photo("daisy/old.jpg")
    text = ",".join(["0.25"] * 1001)
    write(files.path(old.entry.file), text)
    assert (files.read_all([old])[old.sha256] == 0.25).all()
    files.write_missing([old], {old.sha256: np.zeros(1001, np.float32)})
    with open(files.path(old.entry.file)) as file:
        assert file.read() == text


def test_a_file_that_is_cut_in_half_or_another_backbone_s_is_made_again_and_said(tmp_path):
    files = BottleneckFiles(str(tmp_path), ROW)
    photos = [photo(f"daisy/{number}.jpg") for number in range(5)]
    whole = ",".join(["0.25"] * 1001)
    texts = [whole[: len(whole) // 2], whole + ",0.25", whole[:-4] + "nan", "", "\xe9"]
    for each, text in zip(photos, texts):
        write(files.path(each.entry.file), text)
    assert files.read_all(photos) == {}
    files.write_missing(photos, {each.sha256: np.ones(1001, np.float32) for each in photos})
    assert len(BottleneckFiles(files.folder, ROW).read_all(photos)) == 5
    remark = list(files.remarks())
    assert len(remark) == 1
    assert "0.jpg_mobilenet_0.25_128.txt" in remark[0]
    assert remark[0].endswith(" and 2 more.")


def test_photos_without_a_bottleneck_get_no_file_and_a_folder_that_cannot_be_made_is_said(tmp_path):
    write(str(tmp_path / "taken"), "a file")
    files = BottleneckFiles(str(tmp_path / "taken"), ROW)
    broken, good = photo("daisy/broken.jpg"), photo("daisy/good.jpg")
    vectors = {broken.sha256: "it is damaged", good.sha256: np.zeros(1001, np.float32)}
    files.write_missing([broken], vectors)
    assert list(files.remarks()) == []
    files.write_missing([good], vectors)
    assert [remark.split(":")[0] for remark in files.remarks()] == [
        "Bottleneck files cannot be written to {}".format(tmp_path / "taken")
    ]


def test_without_a_folder_nothing_is_read_or_written():
    files = BottleneckFiles("", ROW)
    daisy = photo("daisy/1.jpg")
    assert files.read_all([daisy]) == {}
    files.write_missing([daisy], {daisy.sha256: np.zeros(1001, np.float32)})
    assert not os.path.exists(files.path(daisy.entry.file))
