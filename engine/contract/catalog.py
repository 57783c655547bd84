"""The tables of backbones and of networks for digits. What varies between them is a row here, never an `if`.

Python 3.6, standard library only.
"""

from typing import Any, Dict, NamedTuple, Tuple

Backbone = NamedTuple(
    "Backbone",
    [
        ("name", str),  # the word of specs and command lines
        ("title", str),  # for people
        ("asset", str),  # the name in engine/assets.py of the file that holds its weights
        ("weights", str),  # that file, relative to LAB_HOME/assets
        ("size", int),  # input height and width, pixels
        ("width", int),  # length of a bottleneck
        ("mean", Tuple[float, float, float]),  # subtracted from RGB 0..255
        ("std", Tuple[float, float, float]),  # then divided by
        ("parameters", int),  # of the frozen part: batch normalisation folded away, ImageNet's own last layer left out
        ("megabytes", float),  # of the weights file
        ("source", str),  # paper and where the weights come from, for people
        ("licence", str),
    ],
)

# ImageNet's 1,000 names, one per output of a backbone's own last layer, relative to LAB_HOME/assets.
IMAGENET_NAMES = "imagenet_names/imagenet1k_clean_names.json"

BACKBONES = [
    Backbone(
        name="mobilenet_v2",
        title="MobileNet v2",
        asset="mobilenet_v2",
        weights="mobilenet_v2/mobilenet_v2-b0353104.pth",
        size=224,
        width=1280,
        # torchvision's: (RGB / 255 - mean) / std with mean (0.485, 0.456, 0.406) and std (0.229, 0.224, 0.225)
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375),
        parameters=2206816,
        megabytes=14.2,
        source="Sandler et al. 2018, torchvision's ImageNet checkpoint mobilenet_v2-b0353104",
        licence="BSD-3-Clause (torchvision)",
    ),
    Backbone(
        name="efficientnet_lite0",
        title="EfficientNet-Lite0",
        asset="efficientnet_lite0",
        weights="efficientnet_lite0/efficientnet-lite0-57934424.pth",
        size=224,
        width=1280,
        mean=(127.0, 127.0, 127.0),
        std=(128.0, 128.0, 128.0),
        parameters=3350000,
        megabytes=18.8,
        source="Tan and Le 2019, the Lite variant of 2020, ImageNet checkpoint efficientnet-lite0-57934424",
        licence="Apache-2.0",
    ),
]

CONSTANT, ONE_CYCLE = "constant", "one_cycle"
ADAM, SGD = "adam", "sgd"

Network = NamedTuple(  # for 28 x 28 pictures: its layers, and how it is trained
    "Network",
    [
        ("name", str),  # the word of specs, lanes and command lines: a-z, 0-9 and _
        ("title", str),  # for people
        ("layers", str),  # see engine/contract/layers.py
        ("optimizer", str),  # "adam" (0.9, 0.999, 1e-7) or "sgd" (momentum 0.9)
        ("learning_rate", float),  # the highest of the schedule
        ("schedule", str),  # "constant", or "one_cycle": up to it and down to nearly 0
        ("batch_size", int),  # pictures
        ("label_smoothing", float),  # share of the target given to all classes alike, 0..0.5
        ("augmentation", bool),  # every picture is turned, shifted and stretched a little each time it is learned from
        ("validation_images", int),  # held out from the end of the training pictures; 0: none, as in the tutorial
        ("epochs", int),  # suggested
        ("source", str),  # where it comes from, for people
    ],
)

COURSEWORK = {
    "optimizer": ADAM,
    "learning_rate": 0.001,
    "schedule": CONSTANT,
    "batch_size": 32,
    "label_smoothing": 0.0,
    "augmentation": False,
    "validation_images": 5000,
    "epochs": 7,
}  # type: Dict[str, Any]

NETWORKS = [
    Network(
        name="beginner",
        title="Beginner",
        layers="flatten, dense 128, relu, dropout 0.2, dense 10",
        source="TensorFlow 2 quickstart for beginners, which quotes 97 to 98 %",
        **dict(COURSEWORK, validation_images=0, epochs=5),
    ),
    Network(
        name="coursework_as_handed_in",
        title="Coursework, as handed in",
        layers=(
            "conv 3 32, relu, pool 2, conv 3 64, relu, conv 3 64, relu, pool 2, flatten, "
            "dense 100, relu, dropout 0.2, dense 10"
        ),
        source="The coursework's improved network, which quotes 98.5 %; its Conv2D(3, 32) is 3 filters of 32 x 32",
        **COURSEWORK,
    ),
    Network(
        name="coursework_as_meant",
        title="Coursework, as meant",
        layers=(
            "conv 32 3, relu, pool 2, conv 64 3, relu, conv 64 3, relu, pool 2, flatten, "
            "dense 100, relu, dropout 0.2, dense 10"
        ),
        source="The same with the arguments the other way round: 32 filters of 3 x 3",
        **COURSEWORK,
    ),
    Network(
        name="small",
        title="Small",
        layers=(
            "conv 12 5, batchnorm, relu, pool 2, conv 24 3, batchnorm, relu, conv 24 3, batchnorm, relu, pool 2, "
            "conv 28 3, batchnorm, relu, pool 2, flatten, dense 10"
        ),
        optimizer=ADAM,
        learning_rate=0.01,
        schedule=ONE_CYCLE,
        batch_size=128,
        label_smoothing=0.0,
        augmentation=True,
        validation_images=5000,
        epochs=8,
        source="The lab's own: few parameters, batch normalisation, one learning-rate cycle, moved pictures",
    ),
    Network(
        name="strong",
        title="Strong",
        layers=(
            "conv 24 5, batchnorm, relu, pool 2, conv 48 3, batchnorm, relu, conv 64 3, batchnorm, relu, pool 2, "
            "conv 96 3, batchnorm, relu, dropout 0.3, flatten, dense 10"
        ),
        optimizer=ADAM,
        learning_rate=0.006,
        schedule=ONE_CYCLE,
        batch_size=128,
        label_smoothing=0.05,
        augmentation=True,
        validation_images=5000,
        epochs=8,
        source="The lab's own: wider, with dropout and label smoothing; chosen on the validation split",
    ),
]

DigitSet = NamedTuple(  # 28 x 28 gray pictures of ten classes
    "DigitSet",
    [
        ("name", str),  # the word of specs and command lines, and of the asset in engine/assets.py
        ("title", str),  # for people
        ("file", str),  # an .npz with x_train, y_train, x_test and y_test, relative to LAB_HOME/assets
        ("labels", Tuple[str, ...]),  # of the ten classes
    ],
)
DIGITS = tuple(str(digit) for digit in range(10))

DIGIT_SETS = [
    DigitSet("mnist", "MNIST", "mnist/mnist.npz", DIGITS),
    DigitSet(
        "fashion_mnist",
        "Fashion-MNIST",
        "fashion_mnist/fashion_mnist.npz",
        ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
]


def backbone(name):
    # type: (str) -> Backbone
    """The row of that name. Raises KeyError."""
    for row in BACKBONES:
        if row.name == name:
            return row
    raise KeyError(name)


def network(name):
    # type: (str) -> Network
    """The row of that name. Raises KeyError."""
    for row in NETWORKS:
        if row.name == name:
            return row
    raise KeyError(name)


def digit_set(name):
    # type: (str) -> DigitSet
    """The row of that name, or one for a set that a visitor uploaded: LAB_HOME/datasets/<name>.npz."""
    for row in DIGIT_SETS:
        if row.name == name:
            return row
    return DigitSet(name, name.replace("-", " ").capitalize(), "../datasets/{}.npz".format(name), DIGITS)
