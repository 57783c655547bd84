import io
import struct
import zlib

import pytest
from PIL import Image

from engine.errors import PhotosError
from engine.models import pictures


def png(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 30)).save(file, "PNG")
    return file.getvalue()


def claiming(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims to be that large."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_pictures_pass_whatever_they_are_called():
    pictures.check("one pixel.txt", png(1, 1))
    pictures.check("photo", png(640, 480))


@pytest.mark.parametrize(
    "name, data, said",
    [
        ("holiday.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "holiday.heic is HEIC. Save it as JPEG or PNG"),
        ("photo.jpg", b"\0\0\0\x18ftypavif\0\0\0\0", "photo.jpg is AVIF"),
        ("film.mp4", b"\0\0\0\x18ftypisom\0\0\0\0", "film.mp4 is a video"),
        ("paper.pdf", b"%PDF-1.7\n", "paper.pdf is a PDF"),
        ("logo.svg", b"<?xml version='1.0'?><svg onload='alert(1)'/>", "logo.svg is SVG"),
        ("scan.tif", b"II*\0\x08\0\0\0", "scan.tif is TIFF"),
        ("photos.zip", b"PK\x03\x04abc", "photos.zip is a zip"),
        ("page.jpg", b"\n<!DOCTYPE html><html>", "page.jpg is a web page"),
        ("sound.webp", b"RIFF\0\0\0\0WAVE", "sound.webp is sound or video"),
        ("nothing.jpg", b"", "nothing.jpg: the file is empty"),
        ("words.jpg", b"no picture at all", "words.jpg: the content is no JPEG, PNG, WEBP, BMP or GIF"),
        ("huge.png", claiming(13_000, 13_000), "huge.png: .* pixels"),
        ("broken.png", b"\x89PNG\r\n\x1a\n", "broken.png: "),
    ],
)
def test_what_is_none_is_named_with_what_to_do(name, data, said):
    with pytest.raises(PhotosError, match=said) as caught:
        pictures.check(name, data)
    assert str(caught.value).endswith(("try again.", "Give a picture as JPEG, PNG, WEBP, BMP or GIF."))
