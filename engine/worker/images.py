"""Files and bytes to pixels: the decoder and the resize kernel of the lab, and those of the original scripts.

catalog.PILLOW: numpy and Pillow alone. The kernel is Pillow's bilinear on 8-bit pixels: triangular, widened when it
shrinks a photo (antialiased), rounded to whole grey levels after the horizontal pass and again after the vertical one.
`engine/worker/export.py` says the same in TensorFlow's words, bit for bit, so that an exported model answers
as the lab did.

catalog.TENSORFLOW: what retrain.py and label_image.py of TensorFlow for Poets did, for the original backbones alone.
TensorFlow's default JPEG decoding, which is faster and up to 22 grey levels off; no EXIF; the bilinear kernel of
TensorFlow 1, which takes four neighbours from the upper left corner of each pixel on, however far it shrinks a photo.

Python 3.6.
"""

import io
import warnings

import numpy as np
from PIL import Image, ImageOps

from engine.contract import catalog
from engine.contract.dataset import FORMATS, PIXEL_LIMIT

DECODER, KERNEL = catalog.DECODER, catalog.KERNEL


class ImageError(Exception):
    """The bytes are no picture that the lab reads; the text says why, for people."""


def decode(data: bytes, preprocessing: str = catalog.PILLOW, turned: bool = True) -> Image.Image:
    """The picture as 8-bit RGB; upright, except with TENSORFLOW's preprocessing, which ignores the EXIF orientation.

    JPEG, PNG, WEBP, BMP or GIF by content. 16-bit samples are scaled to 8, CMYK is converted, transparency is laid
    over white, of an animation the first frame is taken. `turned`: False leaves it as the camera held it. Raises
    ImageError.
    """
    if not data:
        raise ImageError("the file is empty")
    try:
        with warnings.catch_warnings():
            # Pillow warns of a bomb and of broken EXIF; the size is judged here, and EXIF may be broken.
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            if image.width * image.height > PIXEL_LIMIT:
                raise ImageError(
                    f"{image.width:,} x {image.height:,} pixels are more than the {PIXEL_LIMIT // 1000000:,} million "
                    "that the lab decodes"
                )
            if preprocessing == catalog.TENSORFLOW:
                return _decode_jpeg(data) if image.format == "JPEG" else _eight_bit_rgb(image)
            pixels = _eight_bit_rgb(image)
            return _upright(pixels, image) if turned else pixels
    except ImageError:
        raise
    except Image.UnidentifiedImageError:
        raise ImageError("the content is no JPEG, PNG, WEBP, BMP or GIF") from None
    except Image.DecompressionBombError:
        raise ImageError("it claims more pixels than the lab decodes") from None
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error and more
        raise ImageError(f"it is damaged ({error})") from error


def resize(image: Image.Image, size: int, preprocessing: str = catalog.PILLOW) -> np.ndarray:
    """The whole picture squashed to a square: (size, size, 3), 0..255; uint8, with TENSORFLOW's kernel float32."""
    return resize_to(image, size, size, preprocessing)


def resize_to(image: Image.Image, height: int, width: int, preprocessing: str = catalog.PILLOW) -> np.ndarray:
    """The same to any size: (height, width, 3)."""
    if preprocessing == catalog.TENSORFLOW:
        return resize_as_tensorflow_1(image, height, width)
    # In two calls: in one, newer Pillows choose the order of the passes by cost, and the order shows in the rounding.
    wide = image.resize((width, image.height), Image.BILINEAR)
    return np.asarray(wide.resize((width, height), Image.BILINEAR))


def resize_as_tensorflow_1(image: Image.Image, height: int, width: int) -> np.ndarray:
    """8-bit RGB -> (height, width, 3) float32, 0..255, as tf.compat.v1.image.resize_bilinear without options.

    Source: tensorflow/core/kernels/image/resize_bilinear_op.cc with LegacyScaler; in float32 and in its order.
    """
    pixels, places = np.asarray(image), []
    for length, size in zip(pixels.shape[:2], (height, width)):
        at = np.arange(size, dtype=np.float32) * (np.float32(length) / np.float32(size))
        lower = at.astype(np.int64)
        places.append((lower, np.minimum(lower + 1, length - 1), at - lower.astype(np.float32)))
    (top, bottom, down), (left, right, across) = places
    rows = []
    for row in (pixels[top], pixels[bottom]):  # (height, the photo's width, 3)
        from_left = row[:, left].astype(np.float32)
        rows.append(from_left + (row[:, right].astype(np.float32) - from_left) * across[None, :, None])
    return rows[0] + (rows[1] - rows[0]) * down[:, None, None]


def _decode_jpeg(data: bytes) -> Image.Image:
    import tensorflow as tf

    try:
        with tf.device("/CPU:0"):
            return Image.fromarray(tf.io.decode_jpeg(data, channels=3).numpy())
    except tf.errors.OpError as error:
        raise ImageError("it is damaged ({})".format(error.message.split(" [Op:")[0])) from error


def _eight_bit_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        image.load()
        return image
    if image.mode.startswith("I") or image.mode == "F":  # 16-bit grey; convert("RGB") would clip it to white
        levels = np.asarray(image).astype(np.float64) / 257.0  # 65535 -> 255
        return Image.fromarray(np.clip(levels + 0.5, 0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _upright(pixels: Image.Image, image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(0x0112, 1)
    except Exception:  # broken EXIF says nothing about the pixels
        return pixels
    if orientation == 1:
        return pixels
    # exif_transpose reads the orientation of the image it turns; a converted copy has lost it.
    pixels.getexif()[0x0112] = orientation
    return ImageOps.exif_transpose(pixels) or pixels
