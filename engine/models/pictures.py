"""What a visitor hands in as a picture: is it one, and if not, what is it."""

from engine import photos
from engine.errors import PhotosError

UPLOAD_MEGABYTES = 50

_BEGINNINGS = (  # of files that people take for pictures, or hand in by mistake
    (b"%PDF", "a PDF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"8BPS", "a Photoshop file"),
    (b"PK\x03\x04", "a zip"),
    (b"\x00\x00\x01\x00", "an icon"),
    (b"\x1a\x45\xdf\xa3", "a video"),
    (b"RIFF", "sound or video"),
    (b"\x7fELF", "a program"),
    (b"TFL3", "a model"),
)


def check(name: str, data: bytes) -> None:
    """Raises PhotosError with a whole sentence where this is no picture that the lab reads; nothing is decoded yet."""
    try:
        with photos.opened(data):
            return
    except PhotosError as error:
        kind = kind_of(data)
        if kind:
            raise PhotosError(f"{name} is {kind}. Save it as JPEG or PNG and try again.") from error
        raise PhotosError(f"{name}: {error}. Give a picture as {photos.FORMATS_TEXT}.") from error


def kind_of(data: bytes) -> str:
    """What a file is that is no picture of ours, "a PDF"; "" where its content does not tell."""
    if data[4:8] == b"ftyp":
        brand = data[8:12]
        if brand in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"):
            return "HEIC"
        return "AVIF" if brand in (b"avif", b"avis") else "a video"
    for beginning, kind in _BEGINNINGS:
        if data.startswith(beginning) and data[8:12] != b"WEBP":
            return kind
    if data.startswith((b"\xff\xd8\xff", b"\x89PNG")):
        return ""
    text = data[:1000].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in text:
        return "SVG"
    return "a web page" if text.startswith((b"<!doctype html", b"<html")) else ""
