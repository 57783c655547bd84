"""Figures of papers and of the coursework that this lab grew from, quoted beside its own: never measured here."""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Quoted:
    """What the coursework reported of one photo."""

    model: str
    top: tuple[tuple[str, float], ...]  # label, probability 0..1; most probable first
    seconds: float  # of the first call of the network, which label_image.py times
    source: str  # a sentence


DAISY = Quoted(
    model="Inception v3, retrained on flower_photos",
    top=(("daisy", 0.99794), ("sunflowers", 0.00148), ("dandelion", 0.00043), ("tulips", 0.00012), ("roses", 0.00003)),
    seconds=7.879,
    source="Quoted from the coursework's write-up: label_image.py on its own machine, not measured here.",
)
_DAISY_FILE = "21652746_cc379e0eea_m.jpg"
_DAISY_SHA256 = "c0b3521645946a5024275e1c844085e73c7cd69a4faf9fecc32e1b1b3727a0c9"


def of(name: str, picture: bytes) -> Quoted | None:
    """What was reported of this photo, known by its content or its file's name; None of any other."""
    if name.rpartition("/")[2] == _DAISY_FILE or hashlib.sha256(picture).hexdigest() == _DAISY_SHA256:
        return DAISY
    return None


@dataclass(frozen=True)
class Figure:
    """A figure that answers quote by name, {{quoted.NAME}}."""

    words: str  # plain
    source: str  # a sentence


_IMAGENET = "ImageNet's own statistics at image-net.org: all images, and synsets that have any."
_CHALLENGE = "Russakovsky et al. 2015, ImageNet Large Scale Visual Recognition Challenge. arXiv:1409.0575"
_MOBILENET = "Howard et al. 2017, MobileNets, section 3.1 and tables 4, 6 and 8. arXiv:1704.04861"
_MOBILENET_V2 = "Sandler et al. 2018, MobileNetV2, table 4. arXiv:1801.04381"
_INCEPTION = "Szegedy et al. 2015, Rethinking the Inception Architecture, abstract. arXiv:1512.00567"
_WRITE_UP = "The coursework's write-up, on its own machine."
_CURVES = "The coursework's own curves of MobileNet 0.50 224, smoothed, at step 3,999."
_QUICKSTART = "The TensorFlow 2 quickstart for beginners."
_RETRAIN = "retrain.py of TensorFlow for Poets, its defaults and its table of models."

FIGURES: dict[str, Figure] = {
    "imagenet_images": Figure("14,197,122", _IMAGENET),
    "imagenet_synsets": Figure("21,841", _IMAGENET),
    "challenge_classes": Figure("1,000", _CHALLENGE),
    "challenge_training": Figure("1,281,167", _CHALLENGE),
    "separable_saving": Figure("8 to 9 times", _MOBILENET),
    "mobilenet_parameters": Figure("4.2 million", _MOBILENET),
    "mobilenet_multiply_adds": Figure("569 million", _MOBILENET),
    "mobilenet_accuracy": Figure("70.6%", _MOBILENET),
    "googlenet_parameters": Figure("6.8 million", _MOBILENET),
    "googlenet_multiply_adds": Figure("1,550 million", _MOBILENET),
    "googlenet_accuracy": Figure("69.8%", _MOBILENET),
    "mobilenet_v2_parameters": Figure("3.4 million", _MOBILENET_V2),
    "mobilenet_v2_multiply_adds": Figure("300 million", _MOBILENET_V2),
    "mobilenet_v2_accuracy": Figure("72.0%", _MOBILENET_V2),
    "inception_v3_parameters": Figure("fewer than 25 million", _INCEPTION),
    "inception_v3_accuracy": Figure("78.8%", _INCEPTION),  # 21.2 % of the first answers wrong
    "inception_v3_multiply_adds": Figure("5 billion", _INCEPTION),
    "one_photo": Figure("7.879 s", _WRITE_UP),
    "short_training": Figure("2 min", _WRITE_UP),
    "short_steps": Figure("500 steps", _WRITE_UP),
    "longer_training": Figure("2.5 min", _WRITE_UP),
    "longer_steps": Figure("700 steps", _WRITE_UP),
    "inception_gpu": Figure("14 min", _WRITE_UP),
    "inception_cpu": Figure("40 min", _WRITE_UP),
    "own_accuracy": Figure("about 83%", _WRITE_UP),
    "own_photos": Figure("150 photos a class", _WRITE_UP),
    "batch_first": Figure("5", _WRITE_UP),
    "batch_then": Figure("2", _WRITE_UP),
    "improved_accuracy": Figure("98.5%", _WRITE_UP),
    "daisy_score": Figure("0.99794", _WRITE_UP),
    "default_validation": Figure("88.3%", _CURVES),
    "default_training": Figure("98.8%", _CURVES),
    "low_validation": Figure("91.1%", _CURVES),
    "low_training": Figure("98.2%", _CURVES),
    "high_validation": Figure("86.3%", _CURVES),
    "high_training": Figure("94.7%", _CURVES),
    "beginner_accuracy": Figure("97 to 98%", _QUICKSTART),
    "default_rate": Figure("0.01", _RETRAIN),
    "inception_input": Figure("Mul", _RETRAIN),
    "inception_size": Figure("299", _RETRAIN),
    "mobilenet_input": Figure("input", _RETRAIN),
    "mobilenet_size": Figure("224", _RETRAIN),
    "original_bottleneck": Figure("2,048", _RETRAIN),
    "mobilenet_bottleneck": Figure("1,001", _RETRAIN),
}
