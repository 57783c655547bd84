"""What becomes of a story that runs out of memory: told apart, halved, begun anew, and given up in words."""

import os

import pytest

from engine.contract import dataset as datasets
from engine.contract import events, specs
from engine.worker import children, label, retrain
from engine.worker.reporter import Reporter, RunCancelled, RunFailed
from tests.worker.test_run import only, told


@pytest.fixture
def folder(home):
    folder = home.run("a-run")
    os.makedirs(folder.path)
    return folder


def tell(folder, fits):
    spec = specs.DEFAULT_RETRAIN._replace(seed=fits)
    specs.write(folder.spec, spec)
    children.run_story("tests.worker.hungry", spec, folder, Reporter(folder))


def test_photos_at_once_are_halved_in_a_new_process_until_it_fits_and_a_kill_is_told_from_a_refusal(folder):
    tell(folder, 2)
    story = told(folder)
    assert [(event.lane, event.batch_size) for event in only(story, events.BatchHalved)] == [("", 8), ("", 4), ("", 2)]
    whys = [warning.message for warning in only(story, events.Warning)]
    assert ["was refused the memory (ResourceExhausted)" in why for why in whys] == [True, True, False]
    assert ["the system killed the process (signal 9)" in why for why in whys] == [False, False, True]
    assert whys[2].endswith(
        "with at most 2 photos in memory at a time, and what they teach is added up: a step still learns from its "
        "whole batch."
    )


def test_what_does_not_even_fit_one_at_a_time_ends_in_words(folder):
    with pytest.raises(RunFailed, match="Training ran out of memory, and nothing is left to be made less") as caught:
        tell(folder, 0)
    assert caught.value.code == "out_of_memory"
    assert only(told(folder), events.BatchHalved)[-1].batch_size == 1


def test_a_run_that_is_to_stop_is_not_begun_anew(folder):
    open(folder.cancel, "w").close()
    with pytest.raises(RunCancelled):
        tell(folder, 2)
    assert only(told(folder), events.BatchHalved) == []


@pytest.mark.parametrize(
    "stage, asked, at_once, expected",
    [
        pytest.param("Training", {}, 0, 100, id="a batch"),
        pytest.param("Training", {"train_batch_size": -1}, 0, 24, id="every training photo"),
        pytest.param("Training", {}, 7, 7, id="halved before"),
        pytest.param("Bottlenecks", {"device": "gpu"}, 0, 32, id="a batch through the backbone"),
        pytest.param("Evaluating", {}, 0, 1, id="nothing to be made less"),
        pytest.param("Exporting", {}, 7, 1, id="one process after the other already"),
    ],
)
def test_how_many_photos_a_stage_of_a_retraining_takes_at_once(folder, photos, stage, asked, at_once, expected):
    datasets.write(folder.dataset, photos)
    assert retrain.in_memory(stage, specs.DEFAULT_RETRAIN._replace(**asked), folder, at_once) == expected
    assert label.in_memory("Loading", specs.DEFAULT_CLASSIFY, folder, 0) == 1
    # An export that did not fit beside the other process changes nothing in the stages before.
    beside = retrain.in_memory("Exporting", specs.DEFAULT_RETRAIN, folder, 0)
    assert beside // 2 >= retrain.in_memory("Training", specs.DEFAULT_RETRAIN, folder, 0)


def test_why_a_child_ended_tells_a_refusal_from_a_kill():
    assert "ResourceExhausted" in children.why_it_ended(3)
    assert "the system killed the process" in children.why_it_ended(-9)
    assert "crashed (signal 6)" in children.why_it_ended(-6)
    assert "more memory than the limit" in children.why_it_ended(children.OVER)
