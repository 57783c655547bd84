"""Networks of the catalogue, held against Keras' own layers."""

import numpy as np
import pytest

from engine.contract import catalog, layers
from engine.worker.mnist import networks
from tests.worker.keras_digits import keras_network, set_weights

PIXELS = np.random.RandomState(1).rand(6, 28, 28, 1).astype(np.float32)


def rows_of(text):
    return layers.costs(layers.read(text))


def uneven_weights(rows, seed=3):
    """First weights with biases, means and variances that are not all 0 and 1, so that each of them counts."""
    random = np.random.RandomState(seed)
    found = {}
    for weight in networks.first_weights(rows, seed):
        small = random.uniform(0.05, 0.3, weight.value.shape).astype(np.float32)
        found[weight.name] = weight.value + (0 if weight.name.endswith("kernel") else small)
    return found


@pytest.mark.parametrize("network", catalog.NETWORKS, ids=lambda network: network.name)
def test_a_network_answers_as_keras_layers_with_its_weights_and_has_as_many_parameters(network):
    rows = rows_of(network.layers)
    weights = uneven_weights(rows)
    keras = keras_network(rows)
    set_weights(keras, rows, weights)
    assert keras.count_params() == layers.parameters(rows)
    assert keras.output_shape == (None, 10)
    ours = networks.logits(rows, weights, PIXELS).numpy()
    assert np.abs(ours - keras(PIXELS, training=False).numpy()).max() <= 1e-4


@pytest.mark.parametrize("side, kernel, channels, filters", [
    (28, 32, 1, 3), (14, 64, 3, 3), (14, 15, 3, 2), (14, 28, 1, 4), (7, 8, 5, 2), (7, 64, 2, 3), (1, 3, 4, 4),
])  # fmt: skip
def test_a_kernel_larger_than_its_input_is_one_matrix_product_with_the_same_result_and_gradients(
    side, kernel, channels, filters
):
    import tensorflow as tf

    random = np.random.RandomState(2)
    given = (side, side, channels)
    row = layers.Cost(layers.layer("conv", filters, kernel), given, (side, side, filters), 0, 0, 0)
    x = tf.constant(random.randn(5, *given).astype(np.float32))
    weights = tf.constant(random.randn(kernel, kernel, channels, filters).astype(np.float32) * 0.05)
    towards = tf.constant(random.randn(5, side, side, filters).astype(np.float32))
    found = []
    for way in (lambda: networks.wide_convolution(row, x, weights), lambda: tf.nn.conv2d(x, weights, 1, "SAME")):
        with tf.GradientTape() as tape:
            tape.watch([x, weights])
            answer = way()
            total = tf.reduce_sum(answer * towards)
        found.append([each.numpy() for each in [answer] + tape.gradient(total, [x, weights])])
    for ours, plain in zip(*found):
        assert ours.shape == plain.shape
        assert np.abs(ours - plain).max() <= 1e-4 * max(1, np.abs(plain).max())


def test_the_matrix_is_used_where_the_kernel_is_larger_and_not_where_the_matrix_would_be_huge():
    import tensorflow as tf

    def operations(text):
        row = rows_of(text)[-1]
        kernel = np.zeros((row.layer.kernel, row.layer.kernel, row.given[2], row.layer.filters), np.float32)
        graph = tf.function(
            lambda x: networks.convolution(row, x, kernel),
            input_signature=[tf.TensorSpec((None,) + row.given, tf.float32)],
        ).get_concrete_function()
        return {node.type for node in graph.graph.get_operations() if node.type in ("Conv2D", "MatMul")}

    assert operations("conv 3 32") == {"MatMul"}
    assert operations("conv 3 28") == {"Conv2D"}
    assert operations("conv 200 32") == {"Conv2D"}


def test_first_weights_are_the_same_for_a_seed_and_as_wide_as_glorot_says():
    rows = rows_of("conv 32 5, batchnorm, relu, flatten, dense 10")
    first, again, other = [networks.first_weights(rows, seed) for seed in (0, 0, 1)]
    assert [weight.name for weight in first] == [
        "1 kernel", "1 bias", "2 scale", "2 offset", "2 mean", "2 variance", "5 kernel", "5 bias",
    ]  # fmt: skip
    assert [weight.learned for weight in first] == [True, True, True, True, False, False, True, True]
    assert all(np.array_equal(one.value, two.value) for one, two in zip(first, again))
    kernel = first[0].value
    assert not np.array_equal(kernel, other[0].value)
    limit = (6.0 / (25 * (1 + 32))) ** 0.5
    assert 0.9 * limit < np.abs(kernel).max() <= limit
    assert abs(kernel.mean()) < 0.1 * limit


def test_dropout_drops_its_share_in_training_alone_and_keeps_the_mean():
    import tensorflow as tf

    rows = rows_of("flatten, dropout 0.25")
    ones = np.ones((50, 28, 28, 1), np.float32)
    kept, _ = networks.logits_in_training(rows, {}, ones, (0, tf.constant(10)))
    kept = kept.numpy()
    assert abs((kept == 0).mean() - 0.25) < 0.02
    assert abs(kept.mean() - 1) < 0.02
    again, _ = networks.logits_in_training(rows, {}, ones, (0, tf.constant(10)))
    assert np.array_equal(kept, again.numpy())
    for seed, step in ((0, 11), (1, 10)):
        another, _ = networks.logits_in_training(rows, {}, ones, (seed, tf.constant(step)))
        assert abs(np.corrcoef(kept.ravel(), another.numpy().ravel())[0, 1]) < 0.02
    assert np.array_equal(networks.logits(rows, {}, ones).numpy(), ones.reshape(50, -1))
