"""The tables of backbones and of networks for digits. What varies between them is a row here, never an `if`.

Python 3.6, standard library only.
"""

import os
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from engine.contract.run_folder import LabHome, read_json

# How a backbone's weights lie on the disk; engine/worker/backbones.py has a reader for each.
CHECKPOINT, GRAPH, KERAS = "checkpoint", "graph", "keras"
# Who decodes a photo and who resizes it; engine/worker/images.py has both of each.
PILLOW, TENSORFLOW = "pillow", "tensorflow"
# In words, as part of a bottleneck's key and of an exported model's contract.
DECODER = {
    PILLOW: "pillow, EXIF orientation applied, transparency over white, first frame",
    TENSORFLOW: "tensorflow's default JPEG decoding, EXIF orientation not applied",
}
KERNEL = {
    PILLOW: "pillow bilinear, 8 bit, horizontally first",
    TENSORFLOW: "tensorflow 1 bilinear, no antialias, no half-pixel centres",
}


class Backbone(NamedTuple):
    name: str  # the word of specs and command lines
    title: str  # for people
    # CHECKPOINT: a PyTorch file; GRAPH: a frozen TensorFlow graph; KERAS: a TFLite file whose weights become those
    # of a Keras Applications network
    format: str
    asset: str  # the name in engine/assets/ of what holds its weights; "" for a visitor's own
    weights: str  # the file, relative to LAB_HOME/assets
    size: int  # input height and width, pixels
    width: int  # length of a bottleneck
    mean: Tuple[float, float, float]  # subtracted from RGB 0..255
    std: Tuple[float, float, float]  # then divided by
    # PILLOW: upright, one decoder for all formats, antialiased 8-bit resize. TENSORFLOW: as in retrain.py, with
    # TensorFlow's fast JPEG decoding, no EXIF, bilinear without antialias or half-pixel centres
    preprocessing: str
    input_layer: str  # the tensor that takes the normalised picture, in a GRAPH and in what is exported
    bottleneck_layer: str  # GRAPH: the tensor that is the bottleneck; else ""
    answer_layer: str  # GRAPH: the tensor with ImageNet's probabilities, or "" without one; else ""
    labels: str  # a file with the names of those outputs, relative to LAB_HOME/assets; "" without
    parameters: int  # of the frozen part, ImageNet's own last layer left out; 0 where only the file tells
    megabytes: float  # of the weights file
    source: str  # paper and where the weights come from, for people
    licence: str


# ImageNet's 1,000 names, one per output of a backbone's own last layer, relative to LAB_HOME/assets.
IMAGENET_NAMES = "imagenet_names/imagenet1k_clean_names.json"

_PILLOW_CHECKPOINT: Dict[str, Any] = {
    "format": CHECKPOINT,
    "preprocessing": PILLOW,
    "input_layer": "input",
    "bottleneck_layer": "",
    "answer_layer": "",
    "labels": IMAGENET_NAMES,
}

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
        **_PILLOW_CHECKPOINT,
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
        **_PILLOW_CHECKPOINT,
    ),
    Backbone(
        name="inception_v3_keras",
        title="Inception v3 (Keras, 8-bit weights)",
        asset="inception_v3_keras",
        weights="inception_v3_keras/graph.lite",
        size=299,
        width=2048,
        mean=(127.5, 127.5, 127.5),
        std=(127.5, 127.5, 127.5),
        parameters=21768352,
        megabytes=23.9,
        source=(
            "Szegedy et al. 2015, Keras Applications' InceptionV3 with weights dequantised from 8 bits; bottlenecks "
            "are its pooled features"
        ),
        licence="Apache-2.0 (weights by the TensorFlow Authors)",
        **dict(_PILLOW_CHECKPOINT, format=KERAS, input_layer="Mul"),
    ),
    Backbone(
        name="mobilenet_v1_keras",
        title="MobileNet v1 1.0 224 (Keras)",
        asset="mobilenet_v1_keras",
        weights="mobilenet_v1_keras/mobilenet_v1_1.0_224.tflite",
        size=224,
        width=1024,
        mean=(127.5, 127.5, 127.5),
        std=(127.5, 127.5, 127.5),
        parameters=3206976,
        megabytes=16.9,
        source=(
            "Howard et al. 2017, Keras Applications' MobileNet with the weights of mobilenet_v1_1.0_224.tflite; "
            "bottlenecks are its 1,024 pooled features, not the 1,001 class outputs of the original"
        ),
        licence="Apache-2.0 (weights by the TensorFlow Authors)",
        **dict(_PILLOW_CHECKPOINT, format=KERAS),
    ),
]

# What retrain.py of TensorFlow for Poets offered, as it came: names, tensors, mean, std and preprocessing are its own.
_ORIGINAL: Dict[str, Any] = {
    "format": GRAPH,
    "preprocessing": TENSORFLOW,
    "parameters": 0,
    "licence": "Apache-2.0 (the TensorFlow Authors)",
}


def _original_mobilenet(multiplier: str, size: int, quantized: bool) -> Backbone:
    archive = f"mobilenet_{multiplier}_{size}"
    return Backbone(
        name=archive + ("_quantized" if quantized else ""),
        title="MobileNet v1 {} {}{} (original)".format(multiplier, size, ", quantized" if quantized else ""),
        asset=archive,
        weights="{}/files/{}_graph.pb".format(archive, "quantized" if quantized else "frozen"),
        size=size,
        width=1001,
        mean=(127.5, 127.5, 127.5),
        std=(127.5, 127.5, 127.5),
        input_layer="input",
        bottleneck_layer="MobilenetV1/Predictions/Reshape",
        answer_layer="MobilenetV1/Predictions/Softmax",
        labels=archive + "/files/labels.txt",
        megabytes=ORIGINAL_MEGABYTES[multiplier] / (4 if quantized else 1),
        source=(
            f"Howard et al. 2017, the frozen graph mobilenet_v1_{multiplier}_{size} of June 2017; bottlenecks are its "
            "1,001 class outputs"
        ),
        **_ORIGINAL,
    )


# Four bytes for each of the parameters that the paper's table lists (millions: 4.2, 2.6, 1.3, 0.5), rounded.
ORIGINAL_MEGABYTES = {"1.0": 17.0, "0.75": 10.4, "0.50": 5.4, "0.25": 2.0}

ORIGINALS = [
    Backbone(
        name="inception_v3",
        title="Inception v3 (original, 2015-12-05)",
        asset="inception_v3",
        weights="inception_v3/files/classify_image_graph_def.pb",
        size=299,
        width=2048,
        mean=(128.0, 128.0, 128.0),
        std=(128.0, 128.0, 128.0),
        input_layer="Mul",
        bottleneck_layer="pool_3/_reshape",
        answer_layer="softmax",
        labels="",
        megabytes=95.7,
        source="Szegedy et al. 2015, the frozen graph inception-2015-12-05",
        **_ORIGINAL,
    )
] + [
    _original_mobilenet(multiplier, size, quantized)
    for multiplier in ORIGINAL_MEGABYTES
    for size in (224, 192, 160, 128)
    for quantized in (False, True)
]

ADDED_NAME = r"hub_[a-z0-9_]{1,60}$"  # of a TensorFlow Hub module that a visitor added

# The original's name -> what stands in where its archive cannot be had: the same architecture, other weights.
STAND_INS = {"inception_v3": "inception_v3_keras", "mobilenet_1.0_224": "mobilenet_v1_keras"}

CONSTANT, ONE_CYCLE = "constant", "one_cycle"
ADAM, SGD = "adam", "sgd"


class Network(NamedTuple):
    """For 28 x 28 pictures: its layers, and how it is trained, usually as the tutorial for beginners does."""

    name: str  # the word of specs, lanes and command lines: a-z, 0-9 and _
    title: str = ""  # for people
    layers: str = ""  # see engine/contract/layers.py
    optimizer: str = ADAM  # "adam" (0.9, 0.999, 1e-7) or "sgd" (momentum 0.9)
    learning_rate: float = 0.001  # the highest of the schedule
    schedule: str = CONSTANT  # "constant", or "one_cycle": up to it and down to nearly 0
    batch_size: int = 32  # pictures
    label_smoothing: float = 0.0  # share of the target given to all classes alike, 0..0.5
    augmentation: bool = False  # every picture is turned, shifted and stretched a little each time it is learned from
    validation_images: int = 0  # held out from the end of the training pictures; 0: none, as in the tutorial
    epochs: int = 5  # suggested
    source: str = ""  # where it comes from, for people


COURSEWORK: Dict[str, Any] = {
    "optimizer": ADAM,
    "learning_rate": 0.001,
    "schedule": CONSTANT,
    "batch_size": 32,
    "label_smoothing": 0.0,
    "augmentation": False,
    "validation_images": 5000,
    "epochs": 7,
}

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


class DigitSet(NamedTuple):
    """28 x 28 gray pictures of ten classes."""

    name: str  # the word of specs and command lines, and of the asset in engine/assets/
    title: str  # for people
    file: str  # an .npz with x_train, y_train, x_test and y_test, relative to LAB_HOME/assets
    labels: Tuple[str, ...]  # of the ten classes


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


def backbone(name: str, home: Optional[LabHome] = None) -> Backbone:
    """The row of that name: of the tables above, or of what a visitor added to that home. Raises KeyError."""
    for row in BACKBONES + ORIGINALS:
        if row.name == name:
            return row
    for row in added_backbones(home) if home else []:
        if row.name == name:
            return row
    raise KeyError(name)


def backbone_of_asset(name: str) -> Optional[Backbone]:
    """The backbone whose weights are that asset; None for photos, digits and the like."""
    return next((row for row in BACKBONES + ORIGINALS if row.asset == name), None)


def is_classifier(row: Backbone) -> bool:
    """Whether it still has a last layer of its own whose answers can be named.

    Of TensorFlow Hub's modules, those that answer with probabilities, or with as many numbers as ImageNet has classes.
    """
    return bool(row.labels) or (row.name.startswith("hub_") and bool(row.answer_layer or row.width in (1000, 1001)))


def labels_file(row: Backbone) -> str:
    """Where the names of a network's own answers lie, relative to LAB_HOME/assets; "" where nobody has named them."""
    if row.labels or not row.name.startswith("hub_"):
        return row.labels
    return IMAGENET_NAMES if row.width in (1000, 1001) else ""


def answer_labels(home: LabHome, row: Backbone) -> List[str]:
    """The names of a network's own answers, output index = position. Raises FileNotFoundError where they are not here.

    Networks that TensorFlow's authors trained have one output more than ImageNet has classes, the first: background.
    """
    file_name = labels_file(row)
    if not file_name:
        return [f"class {number}" for number in range(row.width)]
    path = os.path.join(home.assets, file_name)
    if path.endswith(".json"):
        has_background = row.format == KERAS or row.width == 1001
        return (["background"] if has_background else []) + read_json(path)
    with open(path, encoding="utf-8") as file:
        return [line.strip().split(":", 1)[-1] for line in file if line.strip()]  # "1:tench, Tinca tinca"


def added_backbones(home: LabHome) -> List[Backbone]:
    """What a visitor added, TensorFlow Hub modules: rows that LAB_HOME/backbones/<name>/row.json holds, by name.

    One that cannot be read is left out: the others are still of use.
    """
    found = []
    for name in sorted(os.listdir(home.backbones)) if os.path.isdir(home.backbones) else []:
        path = os.path.join(home.backbones, name, "row.json")
        if not name.startswith(".") and os.path.isfile(path):
            try:
                value = read_json(path)
                found.append(Backbone(**dict(value, name=name, mean=tuple(value["mean"]), std=tuple(value["std"]))))
            except (OSError, ValueError, KeyError, TypeError):
                continue
    return found


def network(name: str) -> Network:
    """The row of that name. Raises KeyError."""
    for row in NETWORKS:
        if row.name == name:
            return row
    raise KeyError(name)


def digit_set(name: str) -> DigitSet:
    """The row of that name, or one for a set that a visitor uploaded: LAB_HOME/datasets/<name>.npz."""
    for row in DIGIT_SETS:
        if row.name == name:
            return row
    return DigitSet(name, name.replace("-", " ").capitalize(), f"../datasets/{name}.npz", DIGITS)
