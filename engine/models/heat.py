"""A heat map over a picture. numpy and Pillow alone.

The ramp is that of cividis (Nuñez et al. 2018), blue to yellow, which looks the same to people who confuse red and
green; strength is told by opacity too.
"""

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

# From nothing to the strongest, RGB: five places on cividis, read off between them.
RAMP = np.array([(0, 34, 78), (66, 78, 108), (124, 123, 120), (188, 174, 108), (254, 232, 56)], np.float64)
OPACITY = 0.75  # of the strongest place; by the square root below it, so that what is half as strong is seen too
LONGER_SIDE = 672  # pixels, about, of what is drawn: on a picture of 224 pixels blocks would have no smooth edges


def overlay(seen_png: bytes, grid: Sequence[Sequence[float]]) -> bytes:
    """PNG of a picture with the grid drawn over it, from nothing at 0 and below to the strongest place."""
    picture = Image.open(io.BytesIO(seen_png)).convert("RGB")
    times = max(1, round(LONGER_SIDE / max(picture.size)))
    size = (picture.width * times, picture.height * times)
    strength = _strength(grid)
    smooth = Image.fromarray(np.round(strength * 255).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    share = np.asarray(smooth).astype(np.float64) / 255  # (height, width), 0..1
    places = np.linspace(0, 1, len(RAMP))
    colours = np.stack([np.interp(share, places, RAMP[:, channel]) for channel in range(3)], axis=2)
    gray = np.asarray(picture.convert("L").convert("RGB").resize(size, Image.Resampling.BICUBIC), np.float64)
    # The picture in gray beneath, so that every colour is the map's.
    opacity = OPACITY * np.sqrt(share[..., None])
    file = io.BytesIO()
    Image.fromarray(np.round(gray * (1 - opacity) + colours * opacity).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def legend() -> bytes:
    """PNG of the ramp from left, nothing, to right, the strongest place, over mid-gray; 160 x 12 pixels."""
    share = np.linspace(0, 1, 160)
    places = np.linspace(0, 1, len(RAMP))
    colours = np.stack([np.interp(share, places, RAMP[:, channel]) for channel in range(3)], axis=1)
    opacity = OPACITY * np.sqrt(share[:, None])
    row = np.round(128 * (1 - opacity) + colours * opacity).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(np.repeat(row[None], 12, axis=0)).save(file, "PNG")
    return file.getvalue()


def data_url(png: bytes) -> str:
    """For an image inside a table or a text."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def strongest(grid: Sequence[Sequence[float]]) -> float:
    """The legend's right end, in the grid's own units; its left end is 0."""
    return float(np.max(np.asarray(grid, np.float64)))


def in_words(grid: Sequence[Sequence[float]]) -> str:
    """Where it is strongest, for people who do not see it: "the upper left", "the middle", "nowhere"."""
    strength = _strength(grid)
    if not strength.any():
        return "nowhere"
    row, column = np.unravel_index(int(strength.argmax()), strength.shape)
    down = _third(int(row), strength.shape[0], ("upper", "", "lower"))
    across = _third(int(column), strength.shape[1], ("left", "", "right"))
    if not down and not across:
        return "the middle"
    if not across:
        return {"upper": "the top", "lower": "the bottom"}[down]
    return f"the {down} {across}" if down else f"the {across}"


def _third(at: int, length: int, words: tuple[str, str, str]) -> str:
    return words[min(2, int((at + 0.5) * 3 / length))]


def _strength(grid: Sequence[Sequence[float]]) -> np.ndarray:
    """(rows, columns) 0..1: what lies below 0 speaks against the label and is left out."""
    values = np.nan_to_num(np.asarray(grid, np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    top = values.max()
    return np.clip(values / top, 0, 1) if top > 0 else np.zeros_like(values)
