"""The table of backbones: names, sizes, preprocessing. What varies between them is a row here, never an `if`.

Python 3.6, standard library only.
"""

from typing import NamedTuple, Tuple

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


def backbone(name):
    # type: (str) -> Backbone
    """The row of that name. Raises KeyError."""
    for row in BACKBONES:
        if row.name == name:
            return row
    raise KeyError(name)
