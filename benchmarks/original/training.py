"""The last layer trained the original's way: every step reads its photos' bottlenecks from text files again."""

import random

import numpy as np
import tensorflow as tf

from benchmarks.original.bottlenecks import read

tf1 = tf.compat.v1


class OriginalTraining:
    def __init__(self, width: int, classes: int, learning_rate: float):
        self.graph = tf.Graph()
        with self.graph.as_default():
            self.input = tf1.placeholder(tf.float32, [None, width])
            self.truth = tf1.placeholder(tf.int64, [None])
            weights = tf1.Variable(tf.random.truncated_normal([width, classes], stddev=0.001))
            bias = tf1.Variable(tf.zeros([classes]))
            logits = tf.matmul(self.input, weights) + bias
            self.cross_entropy = tf1.losses.sparse_softmax_cross_entropy(self.truth, logits)
            self.step = tf1.train.GradientDescentOptimizer(learning_rate).minimize(self.cross_entropy)
            right = tf.equal(tf.argmax(logits, 1), self.truth)
            self.accuracy = tf.reduce_mean(tf.cast(right, tf.float32))
            initialise = tf1.global_variables_initializer()
        self.session = tf1.Session(graph=self.graph)
        self.session.run(initialise)

    def train(self, files: list[list[str]], steps: int, batch: int, interval: int) -> float:
        """`files` lists the text files of each class. Returns the last batch's accuracy."""
        accuracy = 0.0
        for step in range(1, steps + 1):
            given = self._batch(files, batch)
            self.session.run(self.step, given)
            if step % interval == 0 or step == steps:
                accuracy, _ = self.session.run([self.accuracy, self.cross_entropy], given)
                self.session.run(self.accuracy, self._batch(files, batch))  # the original's validation batch
        return float(accuracy)

    def _batch(self, files: list[list[str]], batch: int) -> dict:
        truth = [random.randrange(len(files)) for _ in range(batch)]
        vectors = np.stack([read(random.choice(files[label])) for label in truth])
        return {self.input: vectors, self.truth: np.array(truth)}
