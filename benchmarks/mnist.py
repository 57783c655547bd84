"""Networks for digits: blocks of steps against Keras' fit, and a kernel larger than its input against Keras' Conv2D."""

import numpy as np
import tensorflow as tf

from benchmarks.measure import in_turn, record, table
from engine.contract import catalog, layers
from engine.worker.mnist import networks
from engine.worker.mnist.comparison import to_floats
from engine.worker.mnist.fitting import Fitting
from tests.assets_home import with_assets
from tests.worker.keras_digits import keras_network, set_weights, weights_of

WIDE_STEPS = 24  # of each network below; their time is proportional to the steps
STRONG_STEPS, MEANT_STEPS = 60, 150
STRONG_EPOCHS, MEANT_EPOCHS = 8, 7
SAME_STEPS = 50  # after which the weights are compared


def run() -> None:
    home = with_assets("mnist")
    with np.load(home.assets + "/mnist/mnist.npz") as file:
        pixels, labels = file["x_train"], file["y_train"]
    x, y = to_floats(pixels), tf.constant(labels.astype(np.int32))
    beginner, wide = catalog.network("beginner"), catalog.network("coursework_as_handed_in")
    strong, meant = catalog.network("strong"), catalog.network("coursework_as_meant")

    def ours() -> None:
        learner = _fitting(beginner, x, y, beginner.epochs)
        while not learner.is_done:
            learner.train()

    def keras() -> None:
        _keras(beginner).fit(x, y, beginner.batch_size, beginner.epochs, verbose=0)

    first = in_turn({"ours": ours, "keras": keras})
    steps = _steps_alone(wide, x, y)
    second = in_turn({"ours": steps["ours"], "keras": steps["keras"]})
    cycle, plain = _steps_alone(strong, x, y, STRONG_STEPS), _steps_alone(meant, x, y, MEANT_STEPS)
    third = in_turn({"ours": cycle["ours"], "keras": plain["keras"]})
    strong_steps, meant_steps = STRONG_EPOCHS * -(-55000 // strong.batch_size), MEANT_EPOCHS * 60000 // meant.batch_size
    strong_scale, meant_scale = strong_steps / STRONG_STEPS, meant_steps / MEANT_STEPS
    rows = [
        [
            "beginner, 5 epochs, building the function included",
            f"{first.median('ours'):.1f} s",
            f"{first.median('keras'):.1f} s, Keras fit",
            f"{first.ratio('keras', 'ours'):.1f}",
            f"{_difference(beginner, x, y, labels):.1e} of a weight after {SAME_STEPS} steps, no dropout",
        ],
        [
            f"coursework as handed in, a step of 32 ({WIDE_STEPS} measured)",
            f"{second.median('ours') / WIDE_STEPS * 1000:.1f} ms",
            f"{second.median('keras') / WIDE_STEPS * 1000:.0f} ms, Keras fit with its Conv2D",
            f"{second.ratio('keras', 'ours'):.1f}",
            f"{_wide_difference(wide, pixels):.1e} of an output, all layers",
        ],
        [
            f"strong, {STRONG_EPOCHS} epochs, against the coursework's as meant, {MEANT_EPOCHS} epochs "
            f"({STRONG_STEPS} and {MEANT_STEPS} steps measured, the rest scaled)",
            f"{third.median('ours') * strong_scale:.0f} s",
            f"{third.median('keras') * meant_scale:.0f} s, Keras fit",
            f"{third.ratio('keras', 'ours') * meant_scale / strong_scale:.2f}",
            "other networks",
        ],
    ]
    record("MNIST", table(["what", "ours", "the alternative", "ours is × faster", "largest difference"], rows))


def _fitting(network: catalog.Network, x: tf.Tensor, y: tf.Tensor, epochs: int) -> Fitting:
    return Fitting(network, layers.costs(layers.read(network.layers)), x, y, epochs, 0)


def _keras(network: catalog.Network) -> tf.keras.Model:
    """As the coursework and the tutorial compile it."""
    model = keras_network(layers.costs(layers.read(network.layers)))
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(tf.keras.optimizers.Adam(network.learning_rate), loss, metrics=["accuracy"])
    return model


def _steps_alone(network: catalog.Network, x: tf.Tensor, y: tf.Tensor, steps: int = WIDE_STEPS) -> dict:
    """So many steps of a network that has been built already."""
    learner, model, size = _fitting(network, x, y, 100), _keras(network), steps * network.batch_size

    def ours() -> None:
        end = learner.step + steps
        while learner.step < end:
            # Blocks as they come, the last one cut so that it ends with the last step.
            learner._each = max(learner._each, 0.25 / (end - learner.step)) if learner._each else 0.0
            learner.train()

    return {"ours": ours, "keras": lambda: model.fit(x[:size], y[:size], network.batch_size, 1, verbose=0)}


def _difference(network: catalog.Network, x: tf.Tensor, y: tf.Tensor, labels: np.ndarray) -> float:
    """Of a weight, the largest, after the same batches and without dropout."""
    network = network._replace(layers=network.layers.replace("dropout 0.2, ", ""))
    learner, model = _fitting(network, x, y, 1), _keras(network)
    set_weights(model, learner.rows, learner.arrays())
    order = np.random.RandomState([0, 11, 0]).permutation(len(labels))
    for step in range(SAME_STEPS):
        chosen = order[step * network.batch_size : (step + 1) * network.batch_size]
        model.train_on_batch(tf.gather(x, chosen), labels[chosen])
    while learner.step < SAME_STEPS:
        learner._each = 0.25 / (SAME_STEPS - learner.step)
        learner.train()
    theirs, found = weights_of(model, learner.rows), learner.arrays()
    return max(float(np.abs(found[name] - theirs[name]).max()) for name in theirs)


def _wide_difference(network: catalog.Network, pixels: np.ndarray) -> float:
    rows = layers.costs(layers.read(network.layers))
    weights = {weight.name: weight.value for weight in networks.first_weights(rows, 0)}
    model = keras_network(rows)
    set_weights(model, rows, weights)
    some = to_floats(pixels[:64])
    return float(np.abs(networks.logits(rows, weights, some).numpy() - model(some, training=False).numpy()).max())
