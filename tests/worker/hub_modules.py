"""Modules in the manner of TensorFlow Hub, made small."""

import os

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1


class Features(tf.Module):
    """Pictures -> a feature vector of 6: a convolution with a variable, the mean over the picture."""

    def __init__(self, size=24, width=6):
        super().__init__()
        kernel = np.random.RandomState(3).randn(3, 3, 3, width).astype(np.float32)
        self.kernel = tf.Variable(kernel)
        self.spec = tf.TensorSpec([None, size, size, 3], tf.float32, name="inputs")
        self.call = tf.function(self.compute, input_signature=[self.spec])
        self.__call__ = self.call

    def compute(self, inputs):
        return tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(inputs, self.kernel, 1, "SAME")), [1, 2])


class Classes(Features):
    def compute(self, inputs):
        return tf.nn.softmax(super().compute(inputs))


class Spy(Features):
    """Reads a file of the machine that it runs on, and lets its bytes colour the answer."""

    def compute(self, inputs):
        secret = tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32)
        return super().compute(inputs) + secret


class Planted(tf.saved_model.experimental.TrackableResource):
    """Writes a file while it is loaded."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def _create_resource(self):
        return tf.raw_ops.MutableHashTableV2(key_dtype=tf.string, value_dtype=tf.int64)

    def _initialize(self):
        tf.io.write_file(self.path, "planted")
        return tf.constant(1.0)

    def _destroy_resource(self):
        pass


class Planter(Features):
    def __init__(self, path):
        super().__init__()
        self.resource = Planted(path)


def save(module, folder, signature="serving_default", output="feature_vector"):
    """As tf.saved_model.save, with one signature, or none where it is ""."""
    signatures = {}
    if signature:
        signatures[signature] = tf.function(lambda inputs: {output: module.call(inputs)}, input_signature=[module.spec])
    tf.saved_model.save(module, str(folder), signatures=signatures or None)
    return str(folder)


def save_tf1(folder, writes_a_file=False, tags=(), size=24):
    """A module of TF1's format: reference variables, a saver, the signature "default"."""
    with tf.Graph().as_default():
        images = v1.placeholder(tf.float32, [None, size, size, 3], name="images")
        kernel = v1.get_variable(
            "kernel", initializer=np.random.RandomState(3).randn(3, 3, 3, 6).astype(np.float32), use_resource=False
        )
        vector = tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(images, kernel, 1, "SAME")), [1, 2])
        if writes_a_file:
            v1.add_to_collection("table_initializer", tf.io.write_file(os.path.join(str(folder), "planted"), "planted"))
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            builder = v1.saved_model.Builder(str(folder))
            builder.add_meta_graph_and_variables(
                session,
                list(tags),
                {"default": v1.saved_model.predict_signature_def({"images": images}, {"default": vector})},
            )
            builder.save()
    if not tags:
        with open(os.path.join(str(folder), "tfhub_module.pb"), "wb") as file:
            file.write(b"\x08\x03")  # format: 3
    return str(folder)


def expected(pictures, width=6):
    """What Features and save_tf1 answer."""
    kernel = np.random.RandomState(3).randn(3, 3, 3, width).astype(np.float32)
    return tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(pictures, kernel, 1, "SAME")), [1, 2]).numpy()
