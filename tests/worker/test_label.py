"""Many pictures in a run of their own, with the model of a real run."""

import os

import numpy as np
import pytest
from PIL import Image

from engine.contract import dataset as datasets
from engine.contract import events
from engine.contract.kinds.batch_classification import (
    BatchClassificationResult,
    BatchClassificationSpec,
    Classified,
    ModelLoaded,
)
from tests.worker.test_classify import Pipe
from tests.worker.test_run import Worker, only, read_text, told, wait_for

SPEC = BatchClassificationSpec(model="mobilenet_v2", model_title="MobileNet v2", top=3)


@pytest.fixture
def worker(home):
    running = Worker(home)
    yield running
    running.end()


def unsorted(photos, files=None):
    """The dataset as it is classified: without splits."""
    entries = [photo._replace(split="") for photo in photos.photos]
    return photos._replace(photos=entries + [datasets.Photo(file, -1, "") for file in files or []])


def finished(worker, spec, photos):
    folder, process = worker.launch(spec, photos)
    return folder, process.wait(), told(folder)


@pytest.mark.once
def test_what_a_runs_model_says_of_every_picture(worker, photos):
    learned, code, _ = worker.finish(photos, learning_rates=(0.5,))
    assert code == 0, read_text(learned.log)
    with open(os.path.join(photos.root, photos.photos[5].file), "rb") as file:
        cut_short = file.read()[:600]
    broken = {
        "broken.jpg": b"words",
        "cut.jpg": cut_short,
        "empty.png": b"",
        "drawing.svg": b"<svg/>",
        "notes.pdf": b"%PDF-1.4",
    }
    for name, content in broken.items():
        with open(os.path.join(photos.root, name), "wb") as file:
            file.write(content)
    Image.new("1", (13000, 13000)).save(os.path.join(photos.root, "bomb.png"))
    Image.new("RGB", (1, 1)).save(os.path.join(photos.root, "dot.png"))
    unusable = sorted(broken) + ["bomb.png", "gone.jpg", "red"]
    asked = unsorted(photos, unusable + ["dot.png"])
    folder, code, story = finished(worker, SPEC._replace(model=learned.id), asked)
    assert code == 0, read_text(folder.log)
    assert [state.state for state in only(story, events.State)] == ["queued", "running", "done"]
    stages = [(stage.name, stage.total) for stage in only(story, events.Stage)]
    assert stages == [("Loading", 0), ("Classifying", 45)]
    assert only(story, events.Progress)[-1].done == 45
    assert read_text(folder.labels).split() == ["green", "red", "yellow"]

    skipped = {event.file: event.why for event in only(story, events.Skipped)}
    assert sorted(skipped) == sorted(unusable)
    assert skipped["bomb.png"] == "13,000 x 13,000 pixels are more than the 100 million that the lab decodes"
    assert skipped["broken.jpg"] == "the content is no JPEG, PNG, WEBP, BMP or GIF"
    blocks = only(story, Classified)
    assert [place for block in blocks for place in block.photo] == list(range(36)) + [44]
    of_photo = np.array([label for block in blocks for label in block.label]).reshape(37, 3)
    scores = np.array([score for block in blocks for score in block.score]).reshape(37, 3)
    right = sum(of_photo[at, 0] == photo.label for at, photo in enumerate(photos.photos))
    assert right >= 33  # of 36: drawn lamps are easy, on either interpreter
    assert np.allclose(scores.sum(axis=1), 1, atol=1e-4)
    is_learned = [each for block in blocks for each in block.learned]
    assert is_learned == [photo.split == "training" for photo in photos.photos] + [False]
    (result,) = only(story, BatchClassificationResult)
    assert (result.photos, result.photo_seconds > 0, result.network_seconds > 0) == (37, True, True)
    (loaded,) = only(story, ModelLoaded)
    assert (loaded.device, loaded.input_height, loaded.input_width) == ("CPU", 224, 224)

    pipe = Pipe(worker.home)  # what the page and the command line ask
    for at in (0, 17, 35):
        with open(os.path.join(photos.root, photos.photos[at].file), "rb") as file:
            answer = pipe.ask(learned.id, file.read(), top=3)
        assert [label for label, _ in answer.top] == [photos.labels[label] for label in of_photo[at]]
        assert np.allclose([score for _, score in answer.top], scores[at], atol=1e-4)
    pipe.process.stdin.close()
    pipe.process.wait()
    pipe.process.stdout.close()


def test_a_cancel_keeps_what_was_classified(worker, photos):
    many = unsorted(photos)._replace(photos=unsorted(photos).photos * 1000)
    folder, process = worker.launch(SPEC, many)
    wait_for(lambda: len(only(told(folder), Classified)) >= 3)
    open(folder.cancel, "w").close()
    assert process.wait() == 130, read_text(folder.log)
    story = told(folder)
    assert only(story, events.State)[-1].state == "cancelled"
    blocks = only(story, Classified)
    assert sum(len(block.photo) for block in blocks) == only(story, events.Progress)[-1].done > 3
    assert only(story, events.Progress)[-1].done < len(many.photos)
    assert len(blocks[-1].label) == 3 * len(blocks[-1].photo)


@pytest.mark.once
def test_without_a_picture_that_can_be_used_a_run_fails_and_lists_them(worker, photos):
    none = photos._replace(photos=[datasets.Photo(name, -1, "") for name in ("a.jpg", "b.jpg")])
    _, code, story = finished(worker, SPEC, none)
    assert code == 1
    (error,) = only(story, events.Error)
    assert (error.code, error.message) == ("no_pictures", "None of the 2 pictures could be classified.")
    assert len(only(story, events.Skipped)) == 2


@pytest.mark.parametrize("model", ["a-run", "a-run:0.5", "model:mine", "mobilenet_v9"])
def test_a_model_that_is_gone_is_said(worker, photos, model):
    _, code, story = finished(worker, SPEC._replace(model=model), unsorted(photos))
    assert code == 1
    (error,) = only(story, events.Error)
    assert error.code == "no_model"
    assert model.partition(":")[0] in error.message or model.partition(":")[2] in error.message
    assert only(story, Classified) == []
