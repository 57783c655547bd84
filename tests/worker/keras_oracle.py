"""Both backbones written down the plain way, in Keras' own layers with batch normalisation: what ours must equal.

Python 3.6; also what the benchmarks run as "plain Keras".
"""

import numpy as np

from engine.worker.formats import torch_file

# (kernel size, stride, expansion, output channels, repeats) of the inverted residual blocks
MOBILENET = [(3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (3, 2, 6, 32, 3), (3, 2, 6, 64, 4), (3, 1, 6, 96, 3)]
MOBILENET += [(3, 2, 6, 160, 3), (3, 1, 6, 320, 1)]
EFFICIENTNET = [(3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3)]
EFFICIENTNET += [(5, 2, 6, 192, 4), (3, 1, 6, 320, 1)]


class KerasOracle:
    """The same papers, written down the plain way: a layer for a layer, weights copied by name."""

    def __init__(self, tensors, epsilon, symmetric):
        import tensorflow as tf

        self.layers = tf.keras.layers
        self.keras = tf.keras
        self.tensors, self.epsilon, self.symmetric, self.copies = tensors, epsilon, symmetric, []

    def conv(self, x, name, norm, stride=1, depthwise=False, relu6=True):
        kernel = self.tensors[name + ".weight"]
        size = kernel.shape[2]
        padding = "same"
        if self.symmetric and size > 1:
            x, padding = self.layers.ZeroPadding2D(size // 2)(x), "valid"
        if depthwise:
            layer = self.layers.DepthwiseConv2D(size, stride, padding=padding, use_bias=False)
            self.copies.append((layer, [kernel.transpose(2, 3, 0, 1)]))
        else:
            layer = self.layers.Conv2D(len(kernel), size, stride, padding=padding, use_bias=False)
            self.copies.append((layer, [kernel.transpose(2, 3, 1, 0)]))
        # TensorFlow 2.6's fused kernel silently takes 1.001e-5 where it is given 1e-5: the variance carries the rest.
        epsilon = max(self.epsilon, 1.001e-5)
        normalise = self.layers.BatchNormalization(epsilon=epsilon)
        parts = [self.tensors[norm + "." + part] for part in ("weight", "bias", "running_mean", "running_var")]
        parts[3] = parts[3] + np.float32(self.epsilon - epsilon)
        self.copies.append((normalise, parts))
        x = normalise(layer(x))
        return self.layers.ReLU(6.0)(x) if relu6 else x

    def model(self, stem, last, blocks, names):
        given = x = self.layers.Input((224, 224, 3))
        x = self.conv(x, stem[0], stem[1], 2)
        number = 0
        for _, first_stride, expansion, out, repeats in blocks:
            for repeat in range(repeats):
                stride = first_stride if repeat == 0 else 1
                expand, depthwise, project = names(number, expansion)
                y = self.conv(x, *expand) if expansion != 1 else x
                y = self.conv(y, depthwise[0], depthwise[1], stride, depthwise=True)
                y = self.conv(y, project[0], project[1], relu6=False)
                x = self.layers.Add()([x, y]) if stride == 1 and x.shape[-1] == out else y
                number += 1
        x = self.layers.GlobalAveragePooling2D()(self.conv(x, *last))
        model = self.keras.Model(given, x)
        for layer, weights in self.copies:
            layer.set_weights(weights)
        return model


def mobilenet_names(number, expansion):
    at = f"features.{number + 1}.conv."
    first = 0 if expansion == 1 else 1
    return (
        (at + "0.0", at + "0.1"),
        (at + f"{first}.0", at + f"{first}.1"),
        (at + str(first + 1), at + str(first + 2)),
    )


def efficientnet_names(number, expansion):
    at = f"_blocks.{number}."
    return (
        (at + "_expand_conv", at + "_bn0"),
        (at + "_depthwise_conv", at + "_bn1"),
        (at + "_project_conv", at + "_bn2"),
    )


def keras_model(row, path):
    """The Keras model of a catalogue row: normalised RGB (N, 224, 224, 3) -> (N, 1280)."""
    tensors = torch_file.read(path)
    if row.name == "mobilenet_v2":
        plain = KerasOracle(tensors, 1e-5, symmetric=True)
        stem, last = ("features.0.0", "features.0.1"), ("features.18.0", "features.18.1")
        return plain.model(stem, last, MOBILENET, mobilenet_names)
    plain = KerasOracle(tensors, 1e-3, symmetric=False)
    return plain.model(("_conv_stem", "_bn0"), ("_conv_head", "_bn1"), EFFICIENTNET, efficientnet_names)
