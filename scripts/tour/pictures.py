# SPDX-License-Identifier: GPL-3.0-or-later
"""Screenshots as the documentation wants them: cropped, and small enough for a repository."""

import io
from pathlib import Path

from PIL import Image

MOST_BYTES = 150_000
MOST_COLORS = 1 << 16
"""Beyond as many, as in photos, looking for the best palette takes minutes."""
COLORS = (256, 128, 64, 32)


def save(picture: Image.Image, path: Path) -> int:
    """Writes a PNG with as many colors as its size allows; the bytes it has.

    Where no palette makes it small enough, it is made smaller.
    """
    picture = picture.convert("RGB")
    while True:
        for colors in COLORS:
            few = with_few_colors(picture, colors)
            buffer = io.BytesIO()
            few.save(buffer, "PNG", optimize=True)
            if buffer.tell() <= MOST_BYTES:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(buffer.getvalue())
                return buffer.tell()
        width, height = picture.size
        picture = picture.resize((width * 4 // 5, height * 4 // 5), Image.Resampling.LANCZOS)


def with_few_colors(picture: Image.Image, colors: int) -> Image.Image:
    """The picture with a palette that keeps the colors of what is small and bright too.

    Median cut, which is Pillow's default, takes them away.
    """
    if picture.getcolors(MOST_COLORS) is None:
        return picture.quantize(colors, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    # The means are made better until less than a hundredth of the pixels changes.
    changes = max(1, picture.width * picture.height // 100)
    return picture.quantize(
        colors, Image.Quantize.MAXCOVERAGE, kmeans=changes, dither=Image.Dither.NONE
    )


def cropped(screenshot: Path, box: tuple[float, float, float, float]) -> Image.Image:
    """The part of a screenshot between left, top, right and bottom."""
    with Image.open(screenshot) as whole:
        left, top, right, bottom = (round(edge) for edge in box)
        inside = (max(left, 0), max(top, 0), min(right, whole.width), min(bottom, whole.height))
        return whole.convert("RGB").crop(inside)


def is_blank(picture: Image.Image) -> bool:
    """Whether everything has one color, as where a window was not drawn."""
    return all(low == high for low, high in picture.convert("RGB").getextrema())
