"""Training in blocks, held against Keras step by step."""

import numpy as np
import pytest

from engine.contract import catalog, layers
from engine.worker.mnist import networks
from engine.worker.mnist.comparison import to_floats
from engine.worker.mnist.fitting import Fitting, moved
from tests.worker.keras_digits import keras_network, set_weights, weights_of

BEGINNER = catalog.network("beginner")
COUNT, BATCH = 600, 16


def pictures(count=COUNT, seed=0):
    """Drawn bars, one place a class, with noise: (count, 28, 28) uint8 and labels."""
    random = np.random.RandomState(seed)
    labels = random.randint(0, 10, count)
    pixels = random.randint(0, 120, (count, 28, 28)).astype(np.uint8)
    for picture, label in zip(pixels, labels):
        picture[3 + 2 * label : 5 + 2 * label, 4:24] = 230
    return pixels, labels.astype(np.uint8)


def fitting(network, epochs=2, seed=0, count=COUNT):
    import tensorflow as tf

    pixels, labels = pictures(count)
    rows = layers.costs(layers.read(network.layers))
    return Fitting(network, rows, to_floats(pixels), tf.constant(labels.astype(np.int32)), epochs, seed)


def finish(learner):
    blocks = []
    for _ in range(10000):
        if learner.is_done:
            return blocks
        blocks.append(learner.train())
    raise AssertionError("it does not come to its end")


@pytest.mark.parametrize(
    "text, optimizer",
    [
        pytest.param("flatten, dense 128, relu, dense 10", "adam", id="beginner without dropout"),
        pytest.param("flatten, dense 32, relu, dense 10", "sgd", id="gradient descent with momentum"),
        pytest.param("conv 4 3, relu, pool 2, conv 3 32, relu, pool 2, flatten, dense 10", "adam", id="wide kernels"),
        # Behind a batch normalisation Adam divides the noise of a bias without effect by its own size.
        pytest.param("conv 6 3, batchnorm, relu, average, batchnorm, dense 10", "sgd", id="batch normalisation"),
    ],
)
def test_fifty_steps_are_those_of_keras_with_the_same_batches(text, optimizer):
    import tensorflow as tf

    network = BEGINNER._replace(layers=text, optimizer=optimizer, batch_size=BATCH, learning_rate=0.002)
    learner = fitting(network, epochs=2)
    rows = learner.rows
    keras = keras_network(rows)
    set_weights(keras, rows, learner.arrays())
    way = tf.keras.optimizers.Adam(0.002) if optimizer == "adam" else tf.keras.optimizers.SGD(0.002, momentum=0.9)
    keras.compile(way, tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    pixels, labels = pictures()
    x = pixels[..., None].astype(np.float32) / np.float32(255)
    for step in range(50):
        epoch, place = divmod(step, learner.steps_an_epoch)
        order = np.random.RandomState([0, 11, epoch]).permutation(COUNT)[place * BATCH : (place + 1) * BATCH]
        keras.train_on_batch(x[order], labels[order])
    for _ in range(50):
        if learner.step < 50:
            learner._each = 0.25 / min(7, 50 - learner.step)  # so that the blocks end at step 50
            learner.train()
    assert learner.step == 50
    theirs = weights_of(keras, rows)
    for weight in networks.first_weights(rows, 0):
        if weight.learned:
            assert np.abs(learner.arrays()[weight.name] - theirs[weight.name]).max() <= 1e-4, weight.name


def test_what_is_reported_of_a_step_is_what_keras_says_of_that_batch_before_it():
    import tensorflow as tf

    network = BEGINNER._replace(layers="flatten, dense 16, relu, dense 10", batch_size=BATCH)
    learner = fitting(network)
    keras = keras_network(learner.rows)
    set_weights(keras, learner.rows, learner.arrays())
    pixels, labels = pictures()
    chosen = np.random.RandomState([0, 11, 0]).permutation(COUNT)[:BATCH]
    answers = keras(pixels[chosen][..., None].astype(np.float32) / np.float32(255)).numpy()
    block = learner.train()
    truth = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels[chosen], answers)
    assert block.cross_entropy[0] == pytest.approx(float(truth), abs=1e-5)
    assert block.accuracy[0] == pytest.approx((answers.argmax(axis=1) == labels[chosen]).mean())


def test_every_epoch_meets_every_picture_once_and_the_last_batch_may_be_smaller():
    learner = fitting(BEGINNER._replace(batch_size=70), epochs=2)
    blocks = finish(learner)
    assert (learner.steps_an_epoch, learner.steps, learner.epoch) == (9, 18, 2)
    assert [step for block in blocks for step in block.step] == list(range(1, 19))
    assert learner.learned == 2 * COUNT
    seconds = [value for block in blocks for value in block.seconds]
    assert seconds == sorted(seconds)
    assert seconds[-1] == pytest.approx(learner.seconds)
    edges = [block.step[-1] for block in blocks]
    assert 9 in edges  # no block reaches over the end of an epoch


def test_the_same_seed_learns_the_same_and_another_one_something_else():
    small = BEGINNER._replace(layers="flatten, dense 16, relu, dropout 0.2, dense 10", augmentation=True)
    first, again, other = [fitting(small, epochs=1, seed=seed) for seed in (4, 4, 5)]
    for each in (first, again, other):
        finish(each)
    for name, value in first.arrays().items():
        assert np.allclose(value, again.arrays()[name], atol=1e-6)
    assert not np.allclose(first.arrays()["2 kernel"], other.arrays()["2 kernel"], atol=1e-3)


def test_a_network_learns_the_same_alone_and_in_company():
    network = BEGINNER._replace(layers="flatten, dense 16, relu, dropout 0.2, dense 10", augmentation=True)
    alone, one, other = [fitting(network, epochs=1) for _ in range(3)]
    finish(alone)
    for _ in range(10000):  # in turns, as a comparison does
        if one.is_done:
            break
        one.train()
        other.train()
    assert one.is_done
    for name, value in alone.arrays().items():
        assert np.allclose(value, one.arrays()[name], atol=1e-6)


# Half a minute each on two cores.
LARGE = ("coursework_as_meant", "strong")


@pytest.mark.parametrize(
    "network",
    [
        pytest.param(network, id=network.name, marks=[pytest.mark.thorough] if network.name in LARGE else [])
        for network in catalog.NETWORKS
    ],
)
def test_every_network_of_the_catalogue_learns_from_3000_digits(network, digits):
    import tensorflow as tf

    x, y = to_floats(digits["x_train"][:3000]), tf.constant(digits["y_train"][:3000].astype(np.int32))
    rows = layers.costs(layers.read(network.layers))
    learner = Fitting(network._replace(batch_size=50), rows, x, y, 4, 0)
    finish(learner)
    right = learner.probabilities(to_floats(digits["x_test"][:1000])).argmax(axis=1) == digits["y_test"][:1000]
    assert right.mean() > 0.85


def test_a_batch_larger_than_the_set_is_the_whole_set():
    learner = fitting(BEGINNER._replace(batch_size=8000), epochs=1)
    assert (learner.batch_size, learner.steps) == (COUNT, 1)
    finish(learner)
    assert learner.learned == COUNT


def test_one_cycle_climbs_to_the_rate_and_falls_to_almost_nothing():
    learner = fitting(BEGINNER._replace(schedule="one_cycle", learning_rate=0.01, batch_size=6), epochs=1)
    rates = [learner.rate(step) for step in range(learner.steps)]
    assert max(rates) == pytest.approx(0.01, rel=0.01)
    assert rates.index(max(rates)) == pytest.approx(25, abs=1)  # of 100
    assert rates[-1] < 1e-5
    assert all(rate > 0 for rate in rates)
    assert fitting(BEGINNER, epochs=1).rate(0) == fitting(BEGINNER, epochs=1).rate(17) == 0.001


def test_label_smoothing_spreads_the_goal_and_the_reported_loss_stays_the_plain_one():
    plain, smooth = [
        fitting(BEGINNER._replace(layers="flatten, dense 10", label_smoothing=share), epochs=10) for share in (0.0, 0.2)
    ]
    for each in (plain, smooth):
        finish(each)
    pixels, _ = pictures(100, seed=3)
    # A network that is not asked for certainty is less certain.
    sure = [each.probabilities(to_floats(pixels)).max(axis=1).mean() for each in (plain, smooth)]
    assert sure[1] < sure[0] - 0.02


def test_moved_pictures_stay_near_keep_their_ink_and_differ_from_each_other():
    import tensorflow as tf

    picture = np.zeros((28, 28), np.uint8)
    picture[8:20, 12:16] = 255
    batch = to_floats(np.repeat(picture[None], 200, axis=0))
    found = moved(batch, tf.constant([0, 7])).numpy()[..., 0]
    assert found.shape == (200, 28, 28)
    assert found.min() >= 0
    assert found.max() <= 1
    ink = found.sum(axis=(1, 2)) / batch.numpy()[0].sum()
    assert ink.min() > 0.7
    assert ink.max() < 1.4
    assert ink.mean() == pytest.approx(1, abs=0.05)
    rows, columns = [np.tensordot(found, place, axes=2) for place in np.mgrid[0:28, 0:28]]
    down, right = rows / found.sum(axis=(1, 2)) - 13.5, columns / found.sum(axis=(1, 2)) - 13.5
    for centre in (down, right):
        assert abs(centre.mean()) < 0.3  # no drift to one side
        assert 0.5 < centre.std() < 2
        assert np.abs(centre).max() < 3.5
    again = moved(batch, tf.constant([0, 7])).numpy()[..., 0]
    assert np.array_equal(found, again)
