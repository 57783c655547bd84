"""python ui/images/draw.py: draws the logo and the mark again, as PNG files beside this one.

The mark is a bottleneck: two trapezoids that meet at a narrow waist. The letters are those of the pages.
"""

from pathlib import Path

import streamlit
from PIL import Image, ImageDraw, ImageFont

HERE = Path(__file__).parent
SCALE = 4  # pixels per CSS pixel of a 24 px high logo


def mark(size: int, colour: str) -> Image.Image:
    """A square picture of `size` pixels, transparent around the mark."""
    large = Image.new("RGBA", (size * 4, size * 4))
    draw = ImageDraw.Draw(large)
    unit = size * 4 / 16
    for points in ([(0, 1.5), (6.9, 5.3), (6.9, 10.7), (0, 14.5)], [(16, 1.5), (9.1, 5.3), (9.1, 10.7), (16, 14.5)]):
        draw.polygon([(x * unit, y * unit) for x, y in points], fill=colour)
    return large.resize((size, size), Image.Resampling.LANCZOS)


def logo(mark_colour: str, text_colour: str) -> Image.Image:
    fonts = Path(streamlit.__file__).parent / "static" / "static" / "media"
    font = ImageFont.truetype(next(fonts.glob("SourceSansVF-Upright*")), 17 * SCALE)
    font.set_variation_by_axes([650])
    name = "Bottleneck Lab"
    width = round(font.getlength(name))
    picture = Image.new("RGBA", (25 * SCALE + width, 24 * SCALE))
    picture.alpha_composite(mark(17 * SCALE, mark_colour), (0, round(3.5 * SCALE)))
    ImageDraw.Draw(picture).text((24 * SCALE, 17.5 * SCALE), name, font=font, fill=text_colour, anchor="ls")
    return picture


if __name__ == "__main__":
    logo("#2564cf", "#10141a").save(HERE / "logo-light.png", optimize=True)
    logo("#6ea8ff", "#eef0f3").save(HERE / "logo-dark.png", optimize=True)
    # The mark alone, on its own, in a blue that shows on light and dark tabs.
    mark(64, "#3b7ae0").save(HERE / "mark.png", optimize=True)
