"""Blocks that learn: which numbers change, by how much, and whole runs whose memory really ends."""

import os

import numpy as np
import pytest

from engine.contract import choices, events, signatures, specs
from engine.contract import dataset as datasets
from engine.contract.kinds.batch_size import BatchSizeResult, BatchSizeSpec, BatchTried
from engine.contract.kinds.fine_tuning import STAGES, FineTuned, FineTuningSpec
from engine.contract.run_folder import read_json
from engine.worker import children
from engine.worker.batch_size import sizes as batch_size
from engine.worker.classify import classifier as classify
from engine.worker.classify import models
from engine.worker.features import bottlenecks
from engine.worker.fine_tuning import depth_files as fine_tune_export
from engine.worker.fine_tuning import fine_tune
from engine.worker.fine_tuning import lane as fine_tune_lane
from engine.worker.reporter import Reporter, RunFailed
from tests.worker.test_run import Worker, only, read_text, told

CLASSES = 3
HEAD_RATE, BODY_RATE = 0.005, 0.002


@pytest.fixture(scope="module")
def pictures():
    """16 pictures of noise and their labels."""
    random = np.random.RandomState(1)
    return random.randint(0, 256, (16, 224, 224, 3)).astype(np.uint8), np.arange(16) % CLASSES


def tuned(mobilenet, blocks):
    from engine.worker.learning.tuned import Tuned

    head = np.random.RandomState(2).standard_normal((1280, CLASSES)) * 0.01
    return Tuned(mobilenet.body, blocks, head, np.zeros(CLASSES), HEAD_RATE, BODY_RATE)


def test_gradients_reach_the_unfrozen_blocks_and_no_other(mobilenet, pictures):
    pixels, truth = pictures
    before = [conv.kernel.copy() for block in mobilenet.body.blocks for conv in block.convs]
    network = tuned(mobilenet, 2)
    start = network.arrays()
    assert sorted({name.split(" conv")[0] for name in start}) == ["bias", "block 17", "block 18", "weights"]
    assert network.parameters == sum(values.size for values in start.values())
    first, _ = network.learn([(network.features(pixels), truth)], 16)
    second, _ = network.learn([(network.features(pixels), truth)], 16)
    assert second < first
    after = network.arrays()
    assert all((after[name] != start[name]).any() for name in start)
    # What is frozen is the checkpoint's, bit for bit: nobody has written into it.
    for kernel, conv in zip(before, [conv for block in mobilenet.body.blocks for conv in block.convs]):
        assert (kernel == conv.kernel).all()


def test_a_step_is_the_one_that_the_checkpoints_own_kernels_would_have_taken(mobilenet, pictures):
    import tensorflow as tf

    pixels, truth = pictures
    network = tuned(mobilenet, 1)
    conv = mobilenet.body.blocks[-1].convs[0]
    features, head = network.features(pixels), network.arrays()["weights"]
    own = tf.Variable(conv.kernel / conv.scale)  # before batch normalisation was folded into it
    with tf.GradientTape() as tape:
        maps = tf.nn.relu6(tf.nn.conv2d(features, own * conv.scale, 1, "SAME") + conv.bias)
        logits = tf.matmul(tf.reduce_mean(maps, [1, 2]), head)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=truth, logits=logits))
    expected = (own - BODY_RATE * tape.gradient(loss, own)) * conv.scale
    network.learn([(features, truth)], 16)
    found = network.arrays()["block 18 conv 0 kernel"]
    moved = np.abs(found - conv.kernel).max()
    assert moved > 1e-6
    assert np.abs(found - expected.numpy()).max() < 0.01 * moved


def test_depth_0_is_training_the_head_alone(mobilenet, pictures):
    pixels, truth = pictures
    network = tuned(mobilenet, 0)
    features = np.asarray(network.features(pixels))
    assert features.shape == (16, 1280)
    start = network.arrays()
    assert sorted(start) == ["bias", "weights"]
    weights, bias = start["weights"].astype(np.float64), start["bias"].astype(np.float64)
    velocity = [0.0, 0.0]
    for _ in range(3):
        network.learn([(features, truth)], 16)
        logits = features.dot(weights) + bias
        error = np.exp(logits - logits.max(axis=1, keepdims=True))
        error = error / error.sum(axis=1, keepdims=True) - np.eye(CLASSES)[truth]
        found = [features.T.dot(error) / 16, error.mean(axis=0)]
        velocity = [0.9 * v + g for v, g in zip(velocity, found)]
        weights, bias = weights - HEAD_RATE * velocity[0], bias - HEAD_RATE * velocity[1]
    assert np.abs(network.arrays()["weights"] - weights).max() < 1e-5
    assert np.abs(network.arrays()["bias"] - bias).max() < 1e-5


def test_two_halves_of_a_batch_teach_what_the_whole_teaches(mobilenet, pictures):
    pixels, truth = pictures
    whole, halves = tuned(mobilenet, 2), tuned(mobilenet, 2)
    features = whole.features(pixels)
    for _ in range(2):
        one = whole.learn([(features, truth)], 16)
        two = halves.learn([(features[:8], truth[:8]), (features[8:], truth[8:])], 16)
    assert one[0] == pytest.approx(two[0], abs=1e-5)
    assert one[1] == two[1]
    expected, found = whole.arrays(), halves.arrays()
    for name in expected:
        assert np.abs(expected[name] - found[name]).max() < 1e-5, name


@pytest.mark.thorough
def test_a_run_whose_memory_ends_is_begun_anew_with_half_the_photos_at_once_and_says_so(home, photos):
    import tensorflow as tf

    # What TensorFlow itself takes differs between its versions by half a gigabyte.
    limit = 1200 if tf.__version__.startswith("2.6.") else 1650
    spec = FineTuningSpec(
        blocks=(choices.ALL_BLOCKS,), epochs=1, batch_size=24, memory_limit=limit, flip_left_right=True
    )
    worker = Worker(home)
    try:
        folder, process = worker.launch(spec, photos)
        assert process.wait() == 0, read_text(folder.log)
    finally:
        worker.end()
    story = told(folder)
    assert [stage.name for stage in only(story, events.Stage)] == list(STAGES)
    halved = only(story, events.BatchHalved)
    assert [event.lane for event in halved] == ["all"] * len(halved)
    assert [event.batch_size for event in halved] == [12, 6, 3][: len(halved)]
    assert 1 <= len(halved) <= 3
    assert "a step still learns from 24" in only(story, events.Warning)[0].message
    assert len(only(story, events.LaneStarted)) == len(halved) + 1
    figures = only(story, FineTuned)[0]
    assert (figures.blocks, figures.of_blocks, figures.batch_size) == (19, 19, 24)
    assert figures.at_once == halved[-1].batch_size
    assert 0.5 * limit < figures.peak_memory_bytes / 1e6 <= limit
    assert (figures.validation_n, figures.test_n) == (6, 6)
    curve = [(event.split, event.step) for event in only(story, events.Metric) if event.step != [0]]
    assert curve == [("training", [1]), ("validation", [1])]
    said = read_json(folder.predictions)
    right = np.array(said["lanes"]["all"]["predicted"]) == np.array(said["truth"])
    assert figures.test_accuracy == pytest.approx(right.mean())
    assert os.listdir(folder.lanes) == ["all.npz"]
    assert max(event.difference for event in only(story, events.Exported)) < 1e-4
    assert not os.path.exists(os.path.join(folder.path, "shared"))


def test_what_a_depth_has_learned_is_in_every_file_and_answers_in_the_playground(home, mobilenet, photos):
    folder = home.run("tuned")
    shared = fine_tune.Shared(folder)
    for path in (folder.lanes, shared.path):
        os.makedirs(path)
    spec = FineTuningSpec(blocks=(1, 2))
    specs.write(folder.spec, spec)
    datasets.write(folder.dataset, photos)
    row, files = mobilenet.row, [photo.file for photo in photos.photos]
    pixels = np.stack([bottlenecks.pixels_of(os.path.join(photos.root, file), row) for file in files])
    truth = np.array([photo.label for photo in photos.photos])
    testing = np.array([photo.split == "testing" for photo in photos.photos])
    np.savez(shared.start, labels=truth, splits=2 * testing, files=np.array(files))
    expected = {}
    for blocks, accuracy in zip(spec.blocks, (0.5, 0.9)):
        network, lane = tuned(mobilenet, blocks), choices.depth_name(blocks)
        for _ in range(2):  # enough to be no longer the checkpoint
            network.learn([(network.features(pixels[:16]), truth[:16])], 16)
        np.savez(os.path.join(folder.lanes, lane + ".npz"), **network.arrays())
        expected[lane] = network.probabilities(network.features(pixels[testing]))
        np.save(shared.probabilities(lane), expected[lane])
        figures = dict.fromkeys(FineTuned._fields, 1)
        figures.update(lane=lane, blocks=blocks, validation_accuracy=accuracy, validation_n=40, test_accuracy=0.9)
        events.append(folder.events, FineTuned(**figures))
    fine_tune_export.export_depths(spec, folder, Reporter(folder))
    signatures.sign(folder)

    story = told(folder)
    assert only(story, events.Kept)[0].lane == "last_2"
    exported = {event.file: event.difference for event in only(story, events.Exported)}
    assert sorted(exported) == ["model.tflite", "retrained_graph.pb", "saved_model"]
    assert max(exported.values()) < 1e-4
    assert read_json(folder.contract)["blocks"] == 2
    assert np.abs(expected["last_1"] - expected["last_2"]).max() > 0.01
    tflite, tensorflow = models.Models(home), models.Models(home, through_tensorflow=True)
    asked = [(tflite, "tuned", "last_2"), (tflite, "tuned:last_1", "last_1"), (tensorflow, "tuned:last_1", "last_1")]
    for way, key, lane in asked:
        model = way.get(key)
        assert model.labels == photos.labels
        found = np.concatenate([model.run(classify.normalised(each, model)) for each in pixels[testing]])
        assert np.abs(found - expected[lane]).max() < 1e-4, key
    os.remove(os.path.join(folder.lanes, "last_1.tflite"))
    os.remove(os.path.join(folder.lanes, "last_1.npz"))
    signatures.sign(folder)
    with pytest.raises(models.Refused, match="has no lane 'last_1'"):
        tflite.get("tuned:last_1")


def test_depths_that_all_diverged_are_not_exported_and_the_run_says_so(home, photos):
    folder = home.run("diverged")
    os.makedirs(folder.path)
    datasets.write(folder.dataset, photos)
    figures = dict.fromkeys(FineTuned._fields, 1)
    figures.update(lane="all", validation_accuracy=0.3, validation_cross_entropy=None)
    events.append(folder.events, FineTuned(**figures))
    fine_tune_export.export_depths(FineTuningSpec(), folder, Reporter(folder))
    assert only(told(folder), events.Warning)[0].message == "No model is exported: every depth diverged."
    assert not only(told(folder), events.Stage)


def test_a_distorted_photo_is_another_picture_in_each_epoch_and_the_same_in_every_depth(home, mobilenet, photos):
    folder, row = home.run("distorted"), mobilenet.row
    shared = fine_tune.Shared(folder)
    os.makedirs(shared.path)
    datasets.write(folder.dataset, photos)
    files = [photo.file for photo in photos.photos]
    paths = [os.path.join(photos.root, file) for file in files]
    splits = [("training", "validation", "testing").index(photo.split) for photo in photos.photos]
    head = {"weights": np.zeros((1280, CLASSES)), "bias": np.zeros(CLASSES)}
    labels = [photo.label for photo in photos.photos]
    np.savez(shared.start, labels=labels, splits=splits, files=np.array(files), **head)
    with open(shared.pixels, "wb") as file:
        for path in paths:
            file.write(bottlenecks.pixels_of(path, row).tobytes())
    spec = FineTuningSpec(random_brightness=50, flip_left_right=True, epochs=1)
    lane = fine_tune_lane.Lane(spec, 1, 5, 0, folder, Reporter(folder))
    assert not lane.keep_features()
    numbers = np.array([3, 0, 7])
    first = lane.distorted(numbers, 1, 10)
    assert (first == lane.distorted(numbers, 1, 10)).all()
    assert (first[1:] == lane.distorted(numbers[1:], 1, 11)).all()  # whatever is computed at once
    assert (first != lane.distorted(numbers, 2, 10)).any()
    lane.spec = spec._replace(random_brightness=0, flip_left_right=False)
    assert (lane.distorted(numbers, 1, 10) == lane.pixels.take(numbers)).all()
    lane.spec = spec
    loss, accuracy = lane.epoch(1, 0)
    assert 0 < loss < 2
    assert 0 <= accuracy <= 1
    lane.pixels.close()
    os.remove(paths[3])
    lane.decoded.forget()
    with pytest.raises(RunFailed, match="can no longer be used"):
        lane.distorted(numbers, 1, 10)


@pytest.mark.once
def test_a_batch_size_is_tried_in_a_process_of_its_own(home):
    worker = Worker(home)
    try:
        folder, process = worker.launch(BatchSizeSpec(blocks=0, largest=1), None)
        assert process.wait() == 0, read_text(folder.log)
    finally:
        worker.end()
    story = told(folder)
    tried, result = only(story, BatchTried)[0], only(story, BatchSizeResult)[0]
    assert (tried.batch_size, tried.fits, tried.why) == (1, True, "")
    assert tried.images_per_second > 0
    assert tried.peak_memory_bytes >= result.model_bytes > 100e6
    assert (result.largest, result.bounded, result.parameters) == (1, False, 1281 * batch_size.CLASSES)
    assert result.memory_limit_bytes > tried.peak_memory_bytes  # what was free
    left = ["artifacts", "events.jsonl", "lock", "log.txt", "signature.json", "spec.json"]
    assert sorted(os.listdir(folder.path)) == left


def test_a_limit_below_what_is_loaded_already_is_said():
    with pytest.raises(RunFailed, match="MB before it learns anything, and the limit is 10 MB"):
        children.Memory(choices.CPU, 10).bound("TensorFlow with X")


@pytest.mark.parametrize(
    "most, room, largest, bounded",
    [
        pytest.param(64, 1000, 64, False, id="everything fits"),
        pytest.param(64, 0, 0, True, id="not even one"),
        pytest.param(64, 13, 13, True, id="between two powers"),
        pytest.param(48, 1000, 48, False, id="no power of two"),
        pytest.param(1024, 700, 700, True, id="to a sixteenth"),
        pytest.param(1, 1, 1, False, id="one alone"),
    ],
)
def test_the_largest_that_fits_is_found_by_doubling_and_halving(most, room, largest, bounded):
    asked = []

    def fits(size):
        asked.append(size)
        return size <= room

    found, was_bounded = batch_size.largest_that_fits(fits, most)
    assert was_bounded == bounded
    assert found <= room
    assert found >= largest - largest // 16
    assert len(asked) == len(set(asked)) <= 16
    assert max(asked) <= most


def test_why_a_child_ended_tells_a_refusal_from_a_kill():
    assert "ResourceExhausted" in children.why_it_ended(3)
    assert "the system killed the process" in children.why_it_ended(-9)
    assert "crashed (signal 6)" in children.why_it_ended(-6)
