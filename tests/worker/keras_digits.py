"""The catalogue's networks of Keras' own layers: the plain way, which ours must equal."""

from engine.contract import layers


def keras_network(rows):
    """Logits of (N, 28, 28, 1) float32, 0..1."""
    import tensorflow as tf

    make = tf.keras.layers
    kinds = {
        layers.CONV: lambda each: make.Conv2D(each.filters, each.kernel, padding="same"),
        layers.DENSE: lambda each: make.Dense(each.filters),
        layers.POOL: lambda each: make.MaxPooling2D(each.kernel, padding="same"),
        layers.BATCHNORM: lambda each: make.BatchNormalization(epsilon=1e-3),
        layers.RELU: lambda each: make.ReLU(),
        layers.DROPOUT: lambda each: make.Dropout(each.rate),
        layers.AVERAGE: lambda each: make.GlobalAveragePooling2D(),
        layers.FLATTEN: lambda each: make.Flatten(),
    }
    first = make.InputLayer((28, 28, 1))
    return tf.keras.Sequential([first] + [kinds[row.layer.kind](row.layer) for row in rows])


WORDS = {
    layers.CONV: ["kernel", "bias"],
    layers.DENSE: ["kernel", "bias"],
    layers.BATCHNORM: ["scale", "offset", "mean", "variance"],  # Keras' gamma, beta, moving mean and variance
}


def set_weights(keras, rows, weights):
    """Give a Keras network our weights (a dict by name)."""
    made = [layer for layer in keras.layers if type(layer).__name__ != "InputLayer"]
    for number, (layer, row) in enumerate(zip(made, rows), 1):
        words = WORDS.get(row.layer.kind)
        if words:
            layer.set_weights([weights[f"{number} {word}"] for word in words])


def weights_of(keras, rows):
    """The same the other way round."""
    made = [layer for layer in keras.layers if type(layer).__name__ != "InputLayer"]
    found = {}
    for number, (layer, row) in enumerate(zip(made, rows), 1):
        for word, value in zip(WORDS.get(row.layer.kind, ()), layer.get_weights()):
            found[f"{number} {word}"] = value
    return found
