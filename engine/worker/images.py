"""Files and bytes to pixels: the one decoder and the one resize kernel of the lab. numpy and Pillow alone.

The kernel is Pillow's bilinear on 8-bit pixels: triangular, widened when it shrinks a photo (antialiased), rounded to
whole grey levels after the horizontal pass and again after the vertical one. `engine/worker/export.py` says the same
in TensorFlow's words, bit for bit, so that an exported model answers as the lab did.

Python 3.6.
"""

import io
import warnings

import numpy as np
from PIL import Image, ImageOps

from engine.contract.dataset import FORMATS, PIXEL_LIMIT

DECODER = "pillow, EXIF orientation applied, transparency over white, first frame"
KERNEL = "pillow bilinear, 8 bit, horizontally first"


class ImageError(Exception):
    """The bytes are no picture that the lab reads; the text says why, for people."""


def decode(data):
    # type: (bytes) -> Image.Image
    """The picture as 8-bit RGB, upright.

    JPEG, PNG, WEBP, BMP or GIF by content. 16-bit samples are scaled to 8, CMYK is converted, transparency is laid
    over white, of an animation the first frame is taken, the EXIF orientation is applied (the original scripts of
    TensorFlow for Poets did not). Raises ImageError.
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
                    "{:,} x {:,} pixels are more than the {:,} million that the lab decodes".format(
                        image.width, image.height, PIXEL_LIMIT // 1000000
                    )
                )
            return _upright(_eight_bit_rgb(image), image)
    except ImageError:
        raise
    except Image.UnidentifiedImageError:
        raise ImageError("the content is no JPEG, PNG, WEBP, BMP or GIF")
    except Image.DecompressionBombError:
        raise ImageError("it claims more pixels than the lab decodes")
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error and more
        raise ImageError("it is damaged ({})".format(error))


def resize(image, size):
    # type: (Image.Image, int) -> np.ndarray
    """The whole picture squashed to a square: (size, size, 3) uint8, 0..255."""
    # In two calls: in one, newer Pillows choose the order of the passes by cost, and the order shows in the rounding.
    wide = image.resize((size, image.height), Image.BILINEAR)
    return np.asarray(wide.resize((size, size), Image.BILINEAR))


def _eight_bit_rgb(image):
    # type: (Image.Image) -> Image.Image
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


def _upright(pixels, image):
    # type: (Image.Image, Image.Image) -> Image.Image
    try:
        orientation = image.getexif().get(0x0112, 1)
    except Exception:  # broken EXIF says nothing about the pixels
        return pixels
    if orientation == 1:
        return pixels
    # exif_transpose reads the orientation of the image it turns; a converted copy has lost it.
    pixels.getexif()[0x0112] = orientation
    return ImageOps.exif_transpose(pixels) or pixels
