"""The same picture as a model would see it through plausible wrong settings: what training and use may differ in.

Each setting is put into the numbers that the model takes, so a model that normalises by itself is fed with the pixels
that it would have to see to arrive at the wrongly normalised picture. numpy and Pillow; Python 3.6.
"""

import io
from typing import Any, List, NamedTuple, Tuple

import numpy as np
from PIL import Image

from engine.contract import catalog
from engine.contract.dataset import FORMATS
from engine.worker import images


class Setting(NamedTuple):
    name: str  # for people
    is_usual: bool
    pixels: Any  # (height, width, 3) float32: 0..255, or beyond where the normalisation is another one


USUAL = "As the model was trained"
# mean, std and what people call them: RGB 0..255, the mean is subtracted and the std divided by.
NORMALISATIONS: List[Tuple[str, Tuple[float, ...], Tuple[float, ...]]] = [
    ("Mean 127.5 and std 127.5, so -1 to 1", (127.5,) * 3, (127.5,) * 3),
    ("Mean 128 and std 128, as label_image.py", (128.0,) * 3, (128.0,) * 3),
    ("ImageNet's mean and std", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    ("0 to 1, without a mean", (0.0,) * 3, (255.0,) * 3),
    ("0 to 255, not normalised", (0.0,) * 3, (1.0,) * 3),
]
EXIF_ORIENTATION = 0x0112


def settings(data: bytes, preprocessing: str, height: int, width: int, mean: Any, std: Any) -> List[Setting]:
    """The usual setting first, then every wrong one that makes a difference to this picture.

    `mean` and `std`, three numbers each: what the model itself learned with. Raises images.ImageError.
    """
    image = images.decode(data, preprocessing)
    usual = resized(image, height, width, preprocessing)
    mean, std = np.array(mean, np.float64), np.array(std, np.float64)
    found = [Setting(USUAL, True, usual)]
    for name, other_mean, other_std in NORMALISATIONS:
        if not (np.allclose(mean, other_mean) and np.allclose(std, other_std)):
            pixels = (usual - np.array(other_mean)) / np.array(other_std) * std + mean
            found.append(Setting(name, False, pixels.astype(np.float32)))
    found.append(Setting("BGR in place of RGB", False, usual[:, :, ::-1].copy()))
    if preprocessing == catalog.PILLOW:
        name = "TensorFlow 1's resize, without antialiasing"
        found.append(Setting(name, False, resized(image, height, width, catalog.TENSORFLOW)))
    else:
        found.append(Setting("Pillow's resize, antialiased", False, resized(image, height, width, catalog.PILLOW)))
    nearest = np.asarray(image.resize((width, height), Image.NEAREST)).astype(np.float32)
    found.append(Setting("Nearest neighbour in place of bilinear", False, nearest))
    cut = _cut(image, height, width)
    if cut.size != image.size:
        name = "The middle cut out, in place of the whole picture squashed"
        found.append(Setting(name, False, resized(cut, height, width, preprocessing)))
    found += _of_the_file(data, preprocessing, height, width)
    # A picture may be such that a setting changes nothing, like a gray one in BGR; then it says nothing either.
    return found[:1] + [each for each in found[1:] if not np.array_equal(each.pixels, usual)]


def resized(image: Image.Image, height: int, width: int, preprocessing: str) -> np.ndarray:
    """8-bit RGB -> (height, width, 3) float32, 0..255, with that kernel; the whole picture, squashed."""
    return images.resize_to(image, height, width, preprocessing).astype(np.float32)


def _cut(image: Image.Image, height: int, width: int) -> Image.Image:
    """The largest part around the middle that has the shape of what the model takes."""
    scale = min(image.width / float(width), image.height / float(height))
    wide, high = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (image.width - wide) // 2, (image.height - high) // 2
    return image.crop((left, top, left + wide, top + high))


def _of_the_file(data: bytes, preprocessing: str, height: int, width: int) -> List[Setting]:
    """What can go wrong in decoding: the orientation that a phone wrote into the file, and the other decoder."""
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        is_jpeg = image.format == "JPEG"
        try:
            turned = image.getexif().get(EXIF_ORIENTATION, 1) in range(2, 9)
        except Exception:  # broken EXIF turns nothing
            turned = False
    found = []
    if preprocessing == catalog.TENSORFLOW:  # TensorFlow is loaded already
        upright = images.decode(data)
        if turned:
            pixels = resized(upright, height, width, preprocessing)
            found.append(Setting("EXIF orientation applied", False, pixels))
        elif is_jpeg:
            pixels = resized(upright, height, width, preprocessing)
            found.append(Setting("Pillow's JPEG decoder", False, pixels))
    elif turned:
        pixels = resized(images.decode(data, turned=False), height, width, preprocessing)
        found.append(Setting("EXIF orientation ignored", False, pixels))
    return found
