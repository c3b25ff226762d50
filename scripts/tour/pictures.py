# SPDX-License-Identifier: GPL-3.0-or-later
"""Screenshots as the documentation wants them: cropped, and small enough for a repository."""

import io
from pathlib import Path

from PIL import Image

MOST_BYTES = 150_000
COLORS = (256, 128, 64, 32)


def save(picture: Image.Image, path: Path) -> int:
    """Writes a PNG with as many colors as its size allows; the bytes it has.

    Where no palette makes it small enough, it is made smaller.
    """
    picture = picture.convert("RGB")
    while True:
        for colors in COLORS:
            # Median cut, the default, takes the colors of what is small and bright away.
            few = picture.quantize(
                colors, Image.Quantize.MAXCOVERAGE, kmeans=2, dither=Image.Dither.NONE
            )
            buffer = io.BytesIO()
            few.save(buffer, "PNG", optimize=True)
            if buffer.tell() <= MOST_BYTES:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(buffer.getvalue())
                return buffer.tell()
        width, height = picture.size
        picture = picture.resize((width * 4 // 5, height * 4 // 5), Image.Resampling.LANCZOS)


def cropped(screenshot: Path, box: tuple[float, float, float, float]) -> Image.Image:
    """The part of a screenshot between left, top, right and bottom."""
    with Image.open(screenshot) as whole:
        left, top, right, bottom = (round(edge) for edge in box)
        inside = (max(left, 0), max(top, 0), min(right, whole.width), min(bottom, whole.height))
        return whole.convert("RGB").crop(inside)


def is_blank(picture: Image.Image) -> bool:
    """Whether everything has one color, as where a window was not drawn."""
    return all(low == high for low, high in picture.convert("RGB").getextrema())
