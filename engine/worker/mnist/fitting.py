"""Trains one network of the catalogue: many steps in one call, over pictures that are in memory.

Keras asks Python for every batch. Here a block of steps is one TensorFlow function that loops by itself; it learns
step for step what Keras would (tests/worker/test_fitting.py). Python 3.6.
"""

import time
from typing import Any, Callable, Dict, List, NamedTuple

import numpy as np

from engine.contract import catalog
from engine.contract.catalog import Network
from engine.contract.layers import Cost
from engine.worker.mnist import networks

BLOCK_SECONDS = 0.25  # what a block should take, so that a page sees curves move and a cancel never waits long
ADAM = (0.9, 0.999, 1e-7)  # Keras' defaults: beta 1, beta 2, epsilon
SGD_MOMENTUM = 0.9
WARM_UP = 0.25  # share of a one-cycle schedule in which the rate climbs
MEASURED_AT_ONCE = 500  # pictures

# How far a picture is moved for augmentation, each drawn uniformly from plus or minus this.
ANGLE, SHIFT, STRETCH, SHEAR = 0.17, 2.0, 0.1, 0.1  # radians, pixels, share, share


class Block(NamedTuple):
    step: List[int]  # counted from 1
    seconds: List[float]  # spent on this network until then
    cross_entropy: Any  # (steps,) nats, of the batch before its update, dropout and moved pictures included
    accuracy: Any  # (steps,) 0..1, likewise


class Fitting:
    """One network while it learns. `pixels` (N, 28, 28, 1) float32, 0..1 and `labels` (N,) int32 are tensors."""

    def __init__(
        self,
        network: Network,
        rows: List[Cost],
        pixels: Any,
        labels: Any,
        epochs: int,
        seed: int,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        import tensorflow as tf

        self.network, self.rows, self.seed, self.clock = network, rows, seed, clock
        self._pixels, self._labels = pixels, labels
        self.pictures = int(pixels.shape[0])
        self.batch_size = min(network.batch_size, self.pictures)
        self.steps_an_epoch = -(-self.pictures // self.batch_size)  # the last batch of an epoch may be smaller
        self.steps = self.steps_an_epoch * epochs
        self.step = 0
        self.seconds = 0.0  # spent in `train`
        self.learned = 0  # pictures, each time it was learned from
        self._each = 0.0  # seconds of one step, as last measured
        self._order = np.zeros(0, np.int32)
        weights = networks.first_weights(rows, seed)
        self.weights = {each.name: tf.Variable(each.value) for each in weights}
        self._learned = [each.name for each in weights if each.learned]
        self._slots = [[tf.Variable(tf.zeros_like(self.weights[name])) for _ in range(2)] for name in self._learned]
        self._block = tf.function(
            self._steps,
            input_signature=[
                tf.TensorSpec([None, None], tf.int32),
                tf.TensorSpec([None], tf.float32),
                tf.TensorSpec([], tf.int32),
            ],
        )
        self._answer = tf.function(
            lambda pixels: tf.nn.softmax(networks.logits(rows, self.weights, pixels)),
            input_signature=[tf.TensorSpec([None, 28, 28, 1], tf.float32)],
        )

    @property
    def is_done(self) -> bool:
        return self.step >= self.steps

    @property
    def epoch(self) -> int:
        """Whole epochs learned."""
        return self.step // self.steps_an_epoch

    def train(self) -> Block:
        """Learn for about a quarter of a second, at most to the end of the epoch."""
        began = self.clock()
        place = self.step % self.steps_an_epoch
        if place == 0:
            self._order = np.random.RandomState([self.seed, 11, self.epoch]).permutation(self.pictures).astype(np.int32)
        whole = self.pictures // self.batch_size  # batches of full size
        count = max(1, int(BLOCK_SECONDS / self._each)) if self._each else 4
        count = min(count, whole - place) if place < whole else 1
        chosen = self._order[place * self.batch_size : (place + count) * self.batch_size]
        rates = [self.rate(step) for step in range(self.step, self.step + count)]
        if self.network.optimizer == catalog.ADAM:
            # Its means start at zero; what corrects for that depends on the step alone (Kingma and Ba 2015, section 2).
            number = np.arange(self.step, self.step + count) + 1.0
            rates = rates * np.sqrt(1 - ADAM[1] ** number) / (1 - ADAM[0] ** number)
        cross_entropy, accuracy = self._block(
            chosen.reshape(count, -1), np.array(rates, np.float32), np.int32(self.step)
        )
        cross_entropy, accuracy = cross_entropy.numpy(), accuracy.numpy()
        took = self.clock() - began
        if self.step:  # the first call builds the function
            self._each = took / count
        steps = range(self.step + 1, self.step + count + 1)
        seconds = [self.seconds + took * (at + 1) / count for at in range(count)]
        self.step += count
        self.seconds += took
        self.learned += len(chosen)
        return Block(list(steps), seconds, cross_entropy, accuracy)

    def rate(self, step: int) -> float:
        """The learning rate of a step counted from 0."""
        top = self.network.learning_rate
        if self.network.schedule == catalog.CONSTANT:
            return top
        # One cycle: up in a straight line, down along a cosine (Smith and Topin 2018, fastai's form).
        share = (step + 1.0) / self.steps
        if share < WARM_UP:
            return top * share / WARM_UP
        return top * (0.5 + 0.5 * np.cos(np.pi * (share - WARM_UP) / (1.0 - WARM_UP))) + 1e-6

    def probabilities(self, pixels: Any, between: Callable[[], None] = lambda: None) -> np.ndarray:
        """(N, 28, 28, 1) float32, 0..1 -> (N, 10) float32. `between` is called after every few hundred pictures."""
        found = []
        for at in range(0, int(pixels.shape[0]), MEASURED_AT_ONCE):
            found.append(self._answer(pixels[at : at + MEASURED_AT_ONCE]).numpy())
            between()
        return np.concatenate(found)

    def arrays(self) -> Dict[str, np.ndarray]:
        """The weights by name, float32."""
        return {name: variable.numpy() for name, variable in self.weights.items()}

    def _steps(self, order: Any, rates: Any, first: Any) -> Any:
        """order (steps, batch): which pictures; rates (steps,): of `_update`; first: steps that were learned before.

        Returns cross-entropy and accuracy of every batch before its update, (steps,) each.
        """
        import tensorflow as tf

        count = tf.shape(order)[0]
        said = tf.TensorArray(tf.float32, count)  # logits; what they amount to is computed once for the whole block
        for at in tf.range(count):
            pixels, truth = tf.gather(self._pixels, order[at]), tf.gather(self._labels, order[at])
            step = first + at
            if self.network.augmentation:
                pixels = moved(pixels, tf.stack([self.seed, step]))
            with tf.GradientTape() as tape:
                answers, seen = networks.logits_in_training(self.rows, self.weights, pixels, (self.seed, step))
                goal = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=truth, logits=answers))
                if self.network.label_smoothing:
                    # a target of which a share is spread over all classes
                    spread = tf.reduce_mean(tf.nn.log_softmax(answers))
                    goal = (1.0 - self.network.label_smoothing) * goal - self.network.label_smoothing * spread
            self._update(tape.gradient(goal, [self.weights[name] for name in self._learned]), rates[at])
            # A plain mean of the first batches, so that what they start from counts for nothing.
            if seen:
                share = tf.maximum(1.0 - networks.MOMENTUM, 1.0 / tf.cast(step + 1, tf.float32))
                for name in seen:
                    self.weights[name].assign_add(share * (seen[name] - self.weights[name]))
            said = said.write(at, answers)
        answers, truth = said.stack(), tf.gather(self._labels, order)  # (steps, batch, 10), (steps, batch)
        cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=truth, logits=answers)
        right = tf.equal(tf.argmax(answers, axis=2, output_type=tf.int32), truth)
        return tf.reduce_mean(cross_entropy, axis=1), tf.reduce_mean(tf.cast(right, tf.float32), axis=1)

    def _update(self, gradients: List[Any], rate: Any) -> None:
        """`rate`: of Adam with its correction for the first steps in it, see `train`."""
        import tensorflow as tf

        beta_1, beta_2, epsilon = ADAM
        for name, slots, gradient in zip(self._learned, self._slots, gradients):
            variable, (first, second) = self.weights[name], slots
            if self.network.optimizer == catalog.ADAM:
                tf.raw_ops.ResourceApplyAdam(
                    var=variable.handle,
                    m=first.handle,
                    v=second.handle,
                    beta1_power=0.0,
                    beta2_power=0.0,
                    lr=rate,
                    beta1=beta_1,
                    beta2=beta_2,
                    epsilon=epsilon,
                    grad=gradient,
                )
            else:
                first.assign(SGD_MOMENTUM * first - rate * gradient)
                variable.assign_add(first)


def moved(pixels: Any, seed: Any) -> Any:
    """Every picture turned, shifted, stretched and sheared a little, bilinear, zeros from outside; same shape."""
    import tensorflow as tf

    count = tf.shape(pixels)[0]
    chance = tf.random.stateless_uniform([6, count], seed, -1.0, 1.0)
    angle, shear = ANGLE * chance[0], SHEAR * chance[1]
    wide, high = 1.0 + STRETCH * chance[2], 1.0 + STRETCH * chance[3]
    cosine, sine = tf.cos(angle), tf.sin(angle)
    # output place -> input place, around the middle of 28 x 28
    a, b = cosine * wide, (shear * cosine - sine) * high
    c, d = sine * wide, (shear * sine + cosine) * high
    middle = 13.5
    right = middle - a * middle - b * middle + SHIFT * chance[4]
    down = middle - c * middle - d * middle + SHIFT * chance[5]
    nothing = tf.zeros_like(a)
    transforms = tf.stack([a, b, right, c, d, down, nothing, nothing], axis=1)  # (N, 8)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=pixels,
        transforms=transforms,
        output_shape=tf.constant([28, 28]),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
