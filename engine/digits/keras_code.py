"""Networks of the catalogue as Keras code, to read and to copy; a test runs it with the real Keras."""

from collections.abc import Sequence

from engine.contract import catalog, layers
from engine.contract.layers import Cost

# What the lab's worker trains with and Keras would not by default (networks.py and fitting.py in
# engine/worker/mnist/).
BATCHNORM_MOMENTUM = 0.95
WARM_UP = 0.25  # share of a one-cycle schedule in which the rate climbs
PICTURES = 60_000  # of MNIST and Fashion-MNIST, to learn from


def layer(each: layers.Layer) -> str:
    """ "Conv2D(32, 3, padding="same")" """
    match each.kind:
        case layers.CONV:
            return f'Conv2D({each.filters}, {each.kernel}, padding="same")'
        case layers.POOL:
            return f'MaxPooling2D({each.kernel}, padding="same")'
        case layers.DROPOUT:
            return f"Dropout({each.rate:g})"
        case layers.DENSE:
            return f"Dense({each.filters})"
        case layers.BATCHNORM:
            return f"BatchNormalization(momentum={BATCHNORM_MOMENTUM})"
        case layers.AVERAGE:
            return "GlobalAveragePooling2D()"
        case layers.FLATTEN:
            return "Flatten()"
    return "ReLU()"


def network(row: catalog.Network) -> str:
    """Builds `model` and compiles it as the lab trains it. Raises ValueError for layers that cannot be read."""
    lines = ["from tensorflow import keras", "from tensorflow.keras.layers import *", ""]
    lines += ["model = keras.Sequential([", "    keras.Input((28, 28, 1)),  # gray values, 0 to 1"]
    lines += [f"    {layer(each)}," for each in layers.read(row.layers)]
    lines += ["])  # logits of the ten classes", *_rate(row), "model.compile(", f"    {_optimizer(row)},"]
    if row.label_smoothing:
        loss = f"CategoricalCrossentropy(from_logits=True, label_smoothing={row.label_smoothing:g})"
        lines += [f"    keras.losses.{loss},  # labels one-hot"]
    else:
        lines += ["    keras.losses.SparseCategoricalCrossentropy(from_logits=True),"]
    lines += ['    metrics=["accuracy"],', ")"]
    if row.augmentation:
        lines += ["# The lab also turns, shifts and stretches every image a little, each time it is learned from."]
    return "\n".join(lines) + "\n"


def _rate(row: catalog.Network) -> list[str]:
    if row.schedule == catalog.CONSTANT:
        return [f"rate = {row.learning_rate:g}"]
    learned = PICTURES - row.validation_images
    return [
        f"steps = {row.epochs} * {-(-learned // row.batch_size)}"
        f"  # epochs × batches of {row.batch_size:,} from {learned:,} images",
        "rate = keras.optimizers.schedules.CosineDecay(",
        f"    0.0, int({1 - WARM_UP:g} * steps), warmup_target={row.learning_rate:g}, "
        f"warmup_steps=int({WARM_UP:g} * steps)",
        ")",
    ]


def _optimizer(row: catalog.Network) -> str:
    return (
        "keras.optimizers.Adam(rate)" if row.optimizer == catalog.ADAM else "keras.optimizers.SGD(rate, momentum=0.9)"
    )


def working(costs: Sequence[Cost]) -> list[tuple[str, Cost]]:
    """The layers that multiply, each with its place and name: "3 Conv2D(64, 3)"."""
    short = [layer(cost.layer).replace(', padding="same"', "") for cost in costs]
    return [
        (f"{number} {name}", cost)
        for number, (name, cost) in enumerate(zip(short, costs, strict=True), 1)
        if cost.multiply_adds
    ]
