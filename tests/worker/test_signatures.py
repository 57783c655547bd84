"""Whose runs answer: those that this lab wrote, as it wrote them. Python 3.6."""

import os
import shutil
import stat

import pytest

from engine.contract import signatures, specs
from engine.contract.kinds.mnist import MnistSpec
from engine.contract.kinds.race import RaceSpec
from engine.contract.run_folder import LabHome, read_json, write_json
from engine.worker.classify import models


@pytest.fixture
def folder(tmp_path):
    """A run with two files of a model, not signed yet."""
    folder = LabHome(str(tmp_path / "lab")).run("a-run")
    os.makedirs(folder.saved_model)
    specs.write(folder.spec, RaceSpec())
    for path in (folder.tflite, os.path.join(folder.saved_model, "saved_model.pb")):
        with open(path, "w") as file:
            file.write(path)
    return folder


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_the_key_is_this_users_alone_and_lies_outside_the_runs(folder):
    signatures.sign(folder)
    key = os.path.join(folder.home.private, "signing_key")
    assert (mode(key), mode(folder.home.private)) == (0o600, 0o700)
    assert not key.startswith(folder.home.runs)
    assert os.path.getsize(key) == 32
    before = os.stat(key).st_mtime_ns
    signatures.sign(folder)
    assert os.stat(key).st_mtime_ns == before


def test_a_signed_run_answers_also_under_another_name_in_the_same_lab(folder):
    signatures.sign(folder)
    assert signatures.refusal(folder) == ""
    again = folder.home.run("again")
    shutil.copytree(folder.path, again.path)  # exported and unpacked
    assert signatures.refusal(again) == ""


def test_a_run_of_another_lab_is_refused_with_its_signature_and_without(folder, tmp_path):
    signatures.sign(folder)
    elsewhere = LabHome(str(tmp_path / "elsewhere")).run("a-run")
    signatures.prepare(elsewhere.home)
    shutil.copytree(folder.path, elsewhere.path)
    assert "was not made by this lab" in signatures.refusal(elsewhere)
    os.remove(elsewhere.signature)
    assert "was not made by this lab" in signatures.refusal(elsewhere)
    for damaged in ("null", "[]", "{}", "[" * 100000, '{"files": 3, "hmac": "x"}'):
        with open(elsewhere.signature, "w") as file:
            file.write(damaged)
        assert "was not made by this lab" in signatures.refusal(elsewhere)


def replaced(folder):
    """Same size, same time of change."""
    before = os.stat(folder.tflite)
    with open(folder.tflite, "r+") as file:
        file.write("!")
    os.utime(folder.tflite, ns=(before.st_atime_ns, before.st_mtime_ns))


def added(folder):
    with open(os.path.join(folder.saved_model, "more.pb"), "w") as file:
        file.write("more")


def removed(folder):
    os.remove(os.path.join(folder.saved_model, "saved_model.pb"))


def another_spec(folder):
    specs.write(folder.spec, RaceSpec(backbone="inception_v3"))


def linked(folder):
    os.rename(folder.tflite, folder.path + "-away")
    os.symlink(folder.path + "-away", folder.tflite)


def linked_folder(folder):
    os.rename(folder.saved_model, folder.path + "-away")
    os.symlink(folder.path + "-away", folder.saved_model)


def other_digests(folder):
    signed = read_json(folder.signature)
    replaced(folder)
    elsewhere = LabHome(folder.path + "-elsewhere").run("a-run")
    shutil.copytree(folder.path, elsewhere.path)
    signatures.sign(elsewhere)
    write_json(folder.signature, dict(signed, files=read_json(elsewhere.signature)["files"]))


@pytest.mark.parametrize(
    "change",
    [replaced, added, removed, another_spec, linked, linked_folder, other_digests],
    ids=lambda each: each.__name__,
)
def test_what_has_changed_since_is_refused(folder, change):
    signatures.sign(folder)
    assert signatures.refusal(folder) == ""
    change(folder)
    assert signatures.refusal(folder)


def test_runs_from_before_the_key_are_asked_about_once(folder):
    home = folder.home
    os.makedirs(home.run("without-model").artifacts)
    assert signatures.older(home) == ["a-run"]  # makes the key
    later = home.run("later")
    shutil.copytree(folder.path, later.path)
    assert signatures.older(home) == ["a-run"]  # what comes afterwards came from elsewhere
    assert "from before the lab signed" in signatures.refusal(folder)
    assert "was not made by this lab" in signatures.refusal(later)
    signatures.sign(folder)
    signatures.settle_older(home)
    assert (signatures.older(home), signatures.refusal(folder)) == ([], "")
    os.remove(folder.signature)
    assert signatures.older(home) == []


def test_a_model_in_a_copied_run_is_never_loaded(assets, tmp_path):
    """Its network for digits writes a file as soon as it is called."""
    import tensorflow as tf

    home, written = LabHome(str(tmp_path / "lab")), str(tmp_path / "written")
    folder = home.run("copied")
    signatures.prepare(home)
    os.makedirs(folder.networks)

    class Evil(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 28, 28], tf.float32)])
        def answer(self, gray):
            tf.io.write_file(written, "here")
            return {"probabilities": tf.reshape(gray, [-1, 784])[:, :10]}

    evil = Evil()
    tf.saved_model.save(evil, folder.network_saved_model("evil"), signatures=evil.answer)
    specs.write(folder.spec, MnistSpec())
    write_json(folder.contract, {"networks": [{"name": "evil"}], "labels": list("0123456789")})
    with pytest.raises(models.Refused, match="was not made by this lab"):
        models.Models(home, through_tensorflow=True).get("copied:evil")
    assert not os.path.exists(written)
