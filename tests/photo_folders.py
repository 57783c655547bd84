"""Small folders of photos for tests, drawn here: every photo differs, classes differ by colour."""

import random
from pathlib import Path

from PIL import Image

COLOURS = {"green": (40, 170, 80), "red": (200, 50, 50), "yellow": (210, 190, 40)}


def draw_photos(root: Path, classes: tuple[str, ...] = ("green", "red", "yellow"), each: int = 20) -> Path:
    """root/<class>/<n>.jpg, 48 x 64 pixels."""
    chance = random.Random(5)
    for name in classes:
        (root / name).mkdir(parents=True)
        for number in range(each):
            picture = Image.new("RGB", (48, 64), tuple(c + chance.randrange(-30, 30) for c in COLOURS[name]))
            picture.putpixel((number % 48, number % 64), (255, 255, 255))
            picture.paste((20, 20, 20), (chance.randrange(20), chance.randrange(30), 30, 40))
            picture.save(root / name / f"{number:03}.jpg", quality=92)
    return root
