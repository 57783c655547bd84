"""Rows of the catalogue's networks as TensorFlow: first weights, the way from pictures to logits.

A network is its layers and a list of arrays, so that one short description serves TensorFlow 2.6 and 2.21 without
Keras; the tests hold it against Keras' own layers. Python 3.6.
"""

from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from engine.contract import layers
from engine.contract.layers import Cost

EPSILON = 1e-3  # of batch normalisation, as Keras
MOMENTUM = 0.95  # of its moving mean and variance; Keras' 0.99 forgets the first weights too slowly for short runs


class Weight(NamedTuple):
    name: str  # "3 kernel": the number of the layer, counted from 1, and what it is there
    value: Any  # float32
    learned: bool  # by gradient descent; otherwise a moving mean or variance


def first_weights(rows: List[Cost], seed: int) -> List[Weight]:
    """Glorot's uniform kernels and zero biases, Keras' defaults; the same for the same seed on every TensorFlow.

    Source: Glorot and Bengio 2010, equation 16.
    """
    random = np.random.RandomState([seed, 10])
    found = []

    def add(number: int, word: str, value: np.ndarray, learned: bool = True) -> None:
        found.append(Weight(f"{number} {word}", value.astype(np.float32), learned))

    for number, row in enumerate(rows, 1):
        each, channels = row.layer, row.given[-1]
        if each.kind in (layers.CONV, layers.DENSE):
            shape: Tuple[int, ...] = (channels, each.filters)
            if each.kind == layers.CONV:
                shape = (each.kernel, each.kernel) + shape
            around = each.kernel**2 if each.kind == layers.CONV else 1
            limit = (6.0 / (around * (channels + each.filters))) ** 0.5
            add(number, "kernel", random.uniform(-limit, limit, shape))
            add(number, "bias", np.zeros(each.filters))
        elif each.kind == layers.BATCHNORM:
            add(number, "scale", np.ones(channels))
            add(number, "offset", np.zeros(channels))
            add(number, "mean", np.zeros(channels), learned=False)
            add(number, "variance", np.ones(channels), learned=False)
    return found


def logits(rows: List[Cost], weights: Dict[str, Any], pixels: Any) -> Any:
    """The answer of a finished network: (N, 28, 28, 1) float32, 0..1 -> (N, 10). `weights`: by name."""
    return _forward(rows, weights, pixels, None)[0]


def logits_in_training(
    rows: List[Cost], weights: Dict[str, Any], pixels: Any, seed: Tuple[int, Any]
) -> Tuple[Any, Dict[str, Any]]:
    """(N, 28, 28, 1) float32, 0..1 -> logits (N, 10), and the means and variances of this batch by weight's name.

    `seed`: of the network, and the step, an int32 tensor; both decide what dropout drops.
    """
    return _forward(rows, weights, pixels, seed)


def _forward(rows: List[Cost], weights: Dict[str, Any], x: Any, seed: Optional[Any]) -> Tuple[Any, Dict[str, Any]]:
    import tensorflow as tf

    seen: Dict[str, Any] = {}
    for number, row in enumerate(rows, 1):
        each = row.layer

        def weight(word: str, number: int = number) -> Any:
            return weights[f"{number} {word}"]

        if each.kind == layers.CONV:
            x = tf.nn.bias_add(convolution(row, x, weight("kernel")), weight("bias"))
        elif each.kind == layers.DENSE:
            x = tf.nn.bias_add(tf.matmul(x, weight("kernel")), weight("bias"))
        elif each.kind == layers.POOL:
            x = tf.nn.max_pool2d(x, each.kernel, each.kernel, "SAME")
        elif each.kind == layers.RELU:
            x = tf.nn.relu(x)
        elif each.kind == layers.AVERAGE:
            x = tf.reduce_mean(x, axis=[1, 2])
        elif each.kind == layers.FLATTEN:
            x = tf.reshape(x, [-1, row.shape[0]])
        elif each.kind == layers.DROPOUT:
            if seed is not None:
                x = x * _kept(tf.shape(x), each.rate, number, seed)
        elif seed is None:
            factor = weight("scale") * tf.math.rsqrt(weight("variance") + EPSILON)
            x = x * factor + (weight("offset") - weight("mean") * factor)
        else:
            flat = tf.reshape(x, [-1, 1, 1, row.given[0]]) if len(row.given) == 1 else x
            flat, mean, variance = tf.compat.v1.nn.fused_batch_norm(
                flat, weight("scale"), weight("offset"), epsilon=EPSILON
            )
            x = tf.reshape(flat, tf.shape(x))
            seen[f"{number} mean"], seen[f"{number} variance"] = mean, variance
    return x, seen


def _kept(shape: Any, rate: float, number: int, seed: Tuple[int, Any]) -> Any:
    """What dropout multiplies by: 0 for that share of the values, 1 / (1 - share) for the others.

    Philox with the network's seed as its key and the step as its counter: tf.random.stateless_uniform would first mix
    the two, which takes longer than the drawing itself.
    """
    import tensorflow as tf

    key = tf.constant([seed[0] * 64 + number], tf.uint64)  # a network has fewer than 64 layers
    counter = tf.stack([tf.constant(0, tf.uint64), tf.cast(seed[1], tf.uint64)])
    chance = tf.raw_ops.StatelessRandomUniformV2(shape=shape, key=key, counter=counter, alg=1)
    return tf.cast(chance >= rate, tf.float32) * (1.0 / (1.0 - rate))


def convolution(row: Cost, x: Any, kernel: Any) -> Any:
    """(N, rows, columns, channels) -> (N, rows, columns, filters), padding "same", without the bias."""
    import tensorflow as tf

    if layers.is_one_product(row):
        return wide_convolution(row, x, kernel)
    return tf.nn.conv2d(x, kernel, 1, "SAME")


def wide_convolution(row: Cost, x: Any, kernel: Any) -> Any:
    """The same for a kernel that is larger than its input, as one product with a dense matrix.

    A 64 x 64 kernel over 14 x 14 places multiplies padding 19 times out of 20. What is left joins every input place
    with every output place: a dense layer whose weights are the kernel's, each used in many places (a Toeplitz matrix).
    It is gathered from the kernel, columns first, then whole blocks of rows: far quicker than number by number.
    """
    import tensorflow as tf

    side, channels, filters = row.given[0], row.given[2], row.layer.filters
    before = (row.layer.kernel - 1) // 2
    low, high = max(0, before - side + 1), min(row.layer.kernel, before + side)
    used = high - low  # of the kernel's rows and columns; the others meet nothing but padding
    place = np.arange(side)
    offset = place[:, None] - place[None, :] + before - low  # [input, output] -> row or column of the kernel
    offset = np.where((offset >= 0) & (offset < used), offset, used).reshape(-1)  # `used`: the zeros added below
    kernel = tf.pad(kernel[low:high, low:high], [[0, 1], [0, 1], [0, 0], [0, 0]])

    columns = tf.reshape(tf.gather(kernel, offset, axis=1), [used + 1, side, side, channels, filters])
    blocks = tf.reshape(tf.transpose(columns, [0, 1, 3, 2, 4]), [used + 1, side * channels, side * filters])
    matrix = tf.reshape(tf.gather(blocks, offset), [side, side, side * channels, side * filters])
    matrix = tf.reshape(tf.transpose(matrix, [0, 2, 1, 3]), [side * side * channels, side * side * filters])
    product = tf.matmul(tf.reshape(x, [-1, side * side * channels]), matrix)
    return tf.reshape(product, [-1, side, side, filters])
