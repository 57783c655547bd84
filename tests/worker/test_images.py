"""Pictures as they come, and as the model sees them."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from engine.worker import export, images


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def gradient(mode="RGB", size=(40, 30)):
    random = np.random.RandomState(3)
    return Image.fromarray(random.randint(0, 256, (size[1], size[0], 3)).astype(np.uint8)).convert(mode)


@pytest.mark.parametrize("kind", ["PNG", "BMP"])
def test_lossless_formats_give_the_pixels_that_were_saved(kind):
    assert (np.asarray(images.decode(saved(gradient(), kind))) == np.asarray(gradient())).all()


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF"])
def test_other_formats_give_rgb_of_the_same_size(kind):
    image = images.decode(saved(gradient(), kind))
    assert (image.mode, image.size) == ("RGB", (40, 30))


def test_a_phone_photo_is_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: rotate by 90 degrees
    image = Image.new("RGB", (60, 40), (0, 0, 255))
    image.paste((255, 0, 0), (0, 0, 60, 10))  # a red stripe along the stored top is the upright right edge
    upright = images.decode(saved(image, "JPEG", exif=exif, quality=95))
    assert upright.size == (40, 60)
    assert upright.getpixel((38, 30))[0] > 200
    assert upright.getpixel((2, 30))[2] > 200


def test_sixteen_bit_grey_is_scaled_and_not_clipped():
    levels = np.array([[0, 257 * 100, 65535]], np.uint16)
    image = images.decode(saved(Image.fromarray(levels), "PNG"))
    assert [image.getpixel((x, 0)) for x in range(3)] == [(0, 0, 0), (100, 100, 100), (255, 255, 255)]


def test_cmyk_becomes_rgb():
    red = images.decode(saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95)).getpixel((8, 8))
    assert red[0] > 200
    assert max(red[1:]) < 60


def test_transparency_is_laid_over_white():
    image = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert images.decode(saved(image, "PNG")).getpixel((1, 1)) == (255, 255, 255)


def test_the_first_frame_of_an_animation_is_taken():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert images.decode(data).getpixel((4, 4)) == (255, 0, 0)


def huge_png(side):
    """A few bytes that claim side x side pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "data, why",
    [
        pytest.param(b"", "the file is empty", id="0 bytes"),
        pytest.param(b"these are words", "no JPEG, PNG, WEBP, BMP or GIF", id="text"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no JPEG, PNG", id="a format that is not taken"),
        pytest.param(saved(gradient(size=(400, 300)), "JPEG")[:3000], "it is damaged", id="truncated JPEG"),
        pytest.param(saved(gradient(size=(400, 300)), "PNG")[:3000], "it is damaged", id="truncated PNG"),
        pytest.param(huge_png(13000), "13,000 x 13,000 pixels", id="13,000 x 13,000 pixels"),
        pytest.param(huge_png(60000), "pixels than the lab decodes|60,000 x 60,000", id="a larger bomb"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(data, why):
    with pytest.raises(images.ImageError, match=why):
        images.decode(data)


@pytest.mark.parametrize(
    "size", [(320, 240), (180, 240), (224, 224), (100, 60), (500, 333), (3, 1200)], ids="{0[0]} x {0[1]}".format
)
def test_tensorflow_repeats_the_resize_bit_for_bit(size):
    import tensorflow as tf

    image = gradient(size=size)
    ours = images.resize(image, 224)
    theirs = export.resize_bytes(tf.constant(np.asarray(image)[None]), 224).numpy()[0]
    assert (ours == theirs).all()


def test_the_unrounded_resize_stays_within_one_grey_level():
    import tensorflow as tf

    image = gradient(size=(320, 240))
    floats = export.resize_floats(tf.constant(np.asarray(image)[None].astype(np.float32)), 224).numpy()[0]
    assert np.abs(floats - images.resize(image, 224)).max() <= 1.01


def test_at_the_model_s_size_the_resize_changes_nothing():
    image = gradient(size=(224, 224))
    assert (images.resize(image, 224) == np.asarray(image)).all()
