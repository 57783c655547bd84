"""Photos of traffic lights, drawn: a folder per colour."""

from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 60), "yellow": (230, 210, 40)}


def draw(
    path: Path, colour: tuple[int, int, int], seed: int, size: tuple[int, int] = (24, 48), **options: object
) -> Path:
    """A crop of a traffic light as a noisy picture; another seed is another picture."""
    noise = np.random.default_rng(seed).integers(0, 40, (size[1], size[0], 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((np.array(colour) * 0.8 + noise).astype(np.uint8)).save(path, **options)
    return path


def draw_lights(root: Path, each: int = 10, colours: tuple[str, ...] = ("red", "green", "yellow")) -> Path:
    for number, colour in enumerate(colours):
        for index in range(each):
            draw(root / colour / f"{colour}-{index}.jpg", COLOURS[colour], number * 1000 + index)
    return root
