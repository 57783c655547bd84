"""A backbone whose last blocks learn, with its new last layer: gradients through those blocks and no further.

The blocks are a checkpoint's convolutions with batch normalisation folded into kernel and bias (checkpoints.py), so
that it stays in inference mode by construction: its averages cannot move, however small a batch is. Kernels, biases and
the head learn by gradient descent with momentum, the head at a rate of its own.

A folded kernel is the checkpoint's times a scale of each channel, and the first one is divided by the pictures'
deviation besides. Descending in folded numbers would be descending at another rate in each channel, in the first layer
thousands of times too fast; so gradients of kernels are multiplied by the square of that scale, and every step is the
one that the checkpoint's own kernels would have taken. TensorFlow 2.6 to 2.21; Python 3.6.
"""

import copy
from typing import Any, Iterable, Tuple

import numpy as np

from engine.contract import choices
from engine.worker import backbones
from engine.worker.formats.checkpoints import Block, Chain, through

MOMENTUM = 0.9


class Tuned:
    """The network of one lane."""

    def __init__(
        self, chain: Chain, blocks: int, weights: np.ndarray, bias: np.ndarray, head_rate: float, body_rate: float
    ) -> None:
        """`blocks`: how many of the last ones learn, choices.ALL_BLOCKS for all; weights (width, classes): the head."""
        import tensorflow as tf

        self.of_blocks = len(chain.blocks)
        self.blocks = self.of_blocks if blocks == choices.ALL_BLOCKS else min(blocks, self.of_blocks)
        first = self.of_blocks - self.blocks
        self.body = [_with_variables(block) for block in chain.blocks[first:]]
        self.head = [tf.Variable(weights.astype(np.float32)), tf.Variable(bias.astype(np.float32))]
        in_body = [variable for block in self.body for conv in block.convs for variable in (conv.kernel, conv.bias)]
        self.variables = in_body + self.head
        # What a gradient is multiplied by; an array shaped to the kernel, or a number
        squares = [factor for block in self.body for conv in block.convs for factor in (conv.scale**2, 1.0)]
        self._rates = [body_rate * square for square in squares] + [head_rate] * 2
        self._velocities = [tf.Variable(tf.zeros_like(each)) for each in self.variables]
        frozen = chain.blocks[:first]

        def features(rgb: Any) -> Any:
            maps = through(frozen, chain.centred(rgb))
            return maps if self.body else chain.pooled(maps)

        def logits(x: Any) -> Any:
            pooled = chain.pooled(through(self.body, x)) if self.body else x
            return tf.matmul(pooled, self.head[0]) + self.head[1]

        def gradients(x: Any, truth: Any, of: Any) -> Any:
            with tf.GradientTape() as tape:
                answers = logits(x)
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=truth, logits=answers)
                loss = tf.reduce_sum(losses) / of
            right = tf.reduce_sum(tf.cast(tf.equal(tf.argmax(answers, 1, output_type=tf.int32), truth), tf.float32))
            return tape.gradient(loss, self.variables), tf.reduce_sum(losses), right

        def descend(found: Any) -> None:
            for variable, velocity, gradient, rate in zip(self.variables, self._velocities, found, self._rates):
                velocity.assign(MOMENTUM * velocity + gradient)
                variable.assign_sub(rate * velocity)

        def graph(function: Any, *shapes: Any) -> Any:
            return tf.function(function, input_signature=[tf.TensorSpec(*each) for each in shapes], autograph=False)

        size = chain.size
        self._features = graph(features, ([None, size, size, 3], tf.float32))
        at = (
            self._features.get_concrete_function().structured_outputs.shape
        )  # (n, rows, columns, channels) or (n, width)
        self.feature_shape = tuple(int(side) for side in at[1:])
        of_features = ([None] + list(self.feature_shape), tf.float32)
        self._gradients = graph(gradients, of_features, ([None], tf.int32), ([], tf.float32))
        self._descend = tf.function(descend, autograph=False)
        self._logits = graph(logits, of_features)

    def features(self, rgb: np.ndarray) -> Any:
        """(n, size, size, 3), 0..255 -> what goes into the first block that learns, or into the head; a tensor."""
        return self._features(rgb.astype(np.float32))

    @property
    def parameters(self) -> int:
        """How many numbers learn."""
        return sum(int(np.prod(variable.shape)) for variable in self.variables)

    def learn(self, parts: Iterable[Tuple[Any, np.ndarray]], count: int) -> Tuple[float, int]:
        """One step on a batch of `count` photos that comes in parts: (features, labels (n,)) each, made when it is
        their turn; gradients are added up.

        Nothing in the network looks at other photos of the batch, so that parts give what the whole gives. Returns the
        mean cross-entropy (nats) and how many were right, both before the step.
        """
        total: Any = None
        loss = 0.0
        right = 0.0
        for x, truth in parts:
            found, losses, correct = self._gradients(x, truth.astype(np.int32), np.float32(count))
            total = found if total is None else [one + other for one, other in zip(total, found)]
            loss += float(losses)
            right += float(correct)
        self._descend(total)
        return loss / count, int(right)

    def probabilities(self, x: Any) -> np.ndarray:
        """Features as `features` makes them -> (n, classes) float32."""
        import tensorflow as tf

        return tf.nn.softmax(self._logits(x)).numpy()

    def arrays(self) -> Any:
        """The numbers that learned, by name: "weights", "bias", "block 17 conv 0 kernel"."""
        found = {"weights": self.head[0].numpy(), "bias": self.head[1].numpy()}
        for number, block in enumerate(self.body, self.of_blocks - self.blocks):
            for at, conv in enumerate(block.convs):
                found[f"block {number} conv {at} kernel"] = conv.kernel.numpy()
                found[f"block {number} conv {at} bias"] = conv.bias.numpy()
        return found


def load(network: backbones.Network, path: str) -> Tuple[backbones.Network, np.ndarray, np.ndarray]:
    """The backbone with the blocks that a lane has learned, and its last layer: weights and bias.

    `path`: a file of contract.models.lane_file. One that holds a last layer alone, a retraining run's or the frozen
    lane's, leaves the backbone as it is.
    """
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    return _restored(network, arrays), arrays["weights"], arrays["bias"]


def _restored(network: backbones.Network, arrays: Any) -> backbones.Network:
    """`arrays`: what Tuned.arrays gave."""
    chain = network.body
    names = [name for name in arrays if name.startswith("block ")]
    if not names:
        return network
    blocks = []
    for number, block in enumerate(chain.blocks):
        convs = []
        for at, conv in enumerate(block.convs):
            name = f"block {number} conv {at} "
            if name + "kernel" in arrays:
                conv = conv._replace(kernel=arrays[name + "kernel"], bias=arrays[name + "bias"])
            convs.append(conv)
        blocks.append(Block(convs, block.residual))
    learned = copy.copy(chain)
    learned.blocks = blocks
    return network._replace(body=learned)


def _with_variables(block: Block) -> Block:
    import tensorflow as tf

    convs = [conv._replace(kernel=tf.Variable(conv.kernel), bias=tf.Variable(conv.bias)) for conv in block.convs]
    return Block(convs, block.residual)
