"""Bottlenecks the original's way: two session calls a photo, and a text file for each."""

import os

import numpy as np
import tensorflow as tf

from engine.worker import backbones

tf1 = tf.compat.v1


class OriginalBottlenecks:
    """One session; decoding with resizing and the network are separate calls, photo by photo, as in retrain.py."""

    def __init__(self, network: backbones.Network):
        size = network.row.size
        self.graph = tf.Graph()
        with self.graph.as_default():
            self.jpeg = tf1.placeholder(tf.string)
            # The original decodes with TensorFlow's default; here the decoder that both sides share, so that the
            # vectors can be compared. Resized by the legacy bilinear kernel.
            pixels = tf.image.decode_jpeg(self.jpeg, 3, fancy_upscaling=True, dct_method="INTEGER_ACCURATE")
            batch = tf.cast(tf.expand_dims(pixels, 0), tf.float32)
            self.resized = tf1.image.resize_bilinear(batch, [size, size])
            self.input = tf1.placeholder(tf.float32, [None, size, size, 3])
            self.bottleneck = backbones.features(network, self.input)
        self.session = tf1.Session(graph=self.graph)

    def cache(self, path: str, folder: str) -> str:
        """Write one photo's bottleneck as text and return the file's path."""
        with open(path, "rb") as file:
            data = file.read()
        resized = self.session.run(self.resized, {self.jpeg: data})
        bottleneck = np.squeeze(self.session.run(self.bottleneck, {self.input: resized}))
        target = os.path.join(folder, os.path.basename(path) + ".txt")
        with open(target, "w") as file:
            file.write(",".join(str(value) for value in bottleneck))
        return target


def read(path: str) -> np.ndarray:
    """(width,) float32"""
    with open(path) as file:
        return np.array([float(value) for value in file.read().split(",")], np.float32)
