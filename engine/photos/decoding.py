"""One photo: whether it can be used, and a small picture of it. What a file is, its content says, never its suffix."""

import contextlib
import hashlib
import io
import threading
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from engine.contract.dataset import FORMATS, PIXEL_LIMIT
from engine.errors import PhotosError

FORMATS_TEXT = "JPEG, PNG, WEBP, BMP or GIF"
BIG_PIXELS = 20_000_000  # such pictures are decoded one at a time: 60 MB each
FILE_LIMIT = 200_000_000  # bytes

_big = threading.Lock()


def look(path: Path) -> tuple[bytes, str]:
    """The sha256 of a photo's bytes, and why it cannot be used: "" where it can, else words for people.

    The content is decoded to its end, a JPEG at an eighth of its size, which finds truncated files at a third of the
    cost.
    """
    try:
        if path.stat().st_size > FILE_LIMIT:
            return b"", f"larger than {FILE_LIMIT // 1_000_000} MB"
        data = path.read_bytes()
    except OSError as error:
        return b"", f"cannot be read: {error.strerror}"
    try:
        with opened(data) as image, _big if image.width * image.height > BIG_PIXELS else contextlib.nullcontext():
            image.draft("RGB", (image.width // 8, image.height // 8))
            image.load()
    except PhotosError as error:
        return b"", str(error)
    return hashlib.sha256(data).digest(), ""


@contextlib.contextmanager
def opened(data: bytes) -> Iterator[Image.Image]:
    """The picture, sniffed by its content, not decoded yet. Raises PhotosError from inside the block too."""
    if not data:
        raise PhotosError("the file is empty")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > PIXEL_LIMIT:
                raise PhotosError(
                    f"{image.width:,} x {image.height:,} pixels are more than the {PIXEL_LIMIT // 1_000_000} million "
                    "that the lab decodes"
                )
            yield image
    except PhotosError:
        raise
    except UnidentifiedImageError as error:
        raise PhotosError(f"the content is no {FORMATS_TEXT}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PhotosError(f"it claims more than the {PIXEL_LIMIT // 1_000_000} million pixels") from error
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error and more
        raise PhotosError(f"it is damaged ({error})") from error


def thumbnail(path: Path, size: int) -> bytes:
    """A JPEG of the photo, upright, at most `size` pixels wide and high. Raises PhotosError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PhotosError(f"{path.name} cannot be read: {error.strerror}.") from error
    try:
        with opened(data) as image:
            image.draft("RGB", (size, size))
            image.thumbnail((size, size))
            rgba = ImageOps.exif_transpose(image).convert("RGBA")
    except PhotosError as error:
        raise PhotosError(f"{path.name} cannot be shown: {error}.") from error
    white = Image.new("RGBA", rgba.size, "white")
    out = io.BytesIO()
    Image.alpha_composite(white, rgba).convert("RGB").save(out, "JPEG", quality=85)
    return out.getvalue()
