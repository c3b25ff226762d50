# SPDX-License-Identifier: GPL-3.0-or-later
"""A rendered view on the screen."""

import functools
import time
from dataclasses import dataclass
from typing import Any

import blf
import gpu
import numpy as np
from gpu_extras.batch import batch_for_shader
from numpy.typing import NDArray

VERTEX = """
void main()
{
  place = texel;
  gl_Position = vec4(corner, 0.0, 1.0);
}
"""

FRAGMENT = """
void main()
{
  result = texture(picture, place);
}
"""

TEXT_SIZE = 16.0
BAND_PIXELS = 1 << 18
"""What is handed to the graphics card at once: a few milliseconds' worth, where it is slow."""
HAND_OVER_S = 0.01
"""A drawing begins no further band after this long; those to come draw the rest."""

# The stubs know the constructors of these without their arguments.
_types: Any = gpu.types


@dataclass(frozen=True)
class Rows:
    """Rows `start` to `stop` of a picture, and those from `first` to `last` that go with them.

    One more row on each side is what filtering needs to leave no seam.
    """

    start: int
    stop: int
    first: int
    last: int


def bands_of(width: int, height: int, most_pixels: int = BAND_PIXELS) -> list[Rows]:
    """Parts a picture into bands of whole rows, each of about as many pixels at most."""
    rows = max(1, most_pixels // max(width, 1))
    return [
        Rows(start, min(start + rows, height), max(start - 1, 0), min(start + rows + 1, height))
        for start in range(0, height, rows)
    ]


@dataclass(frozen=True)
class Band:
    """A part of a picture on the graphics card, and where in the region it is drawn."""

    texture: gpu.types.GPUTexture
    batch: gpu.types.GPUBatch


class ViewportPicture:
    """A picture in bands, and the next one as far as the graphics card has it.

    Handing a large picture over takes longer than Blender may be held up. So a drawing hands over
    some bands of it, and what was there before is drawn until all have come.
    """

    def __init__(self) -> None:
        self._shown: list[Band] = []
        self._coming: list[Band] = []
        self._rest: list[Rows] = []
        self._rgba: NDArray[np.float32] | None = None

    @property
    def is_there(self) -> bool:
        """Whether there is something to draw."""
        return bool(self._shown)

    @property
    def is_coming(self) -> bool:
        """Whether a picture is being handed over, so that another drawing is needed."""
        return bool(self._rest)

    def take(self, rgba: NDArray[np.float32]) -> None:
        """Begins to take a picture over, instead of one that has not come whole.

        (height, width, 4), rows from the bottom, linear light, premultiplied.
        """
        height, width = rgba.shape[:2]
        self._rgba, self._coming = rgba, []
        self._rest = bands_of(width, height)

    def advance(self, most_s: float = HAND_OVER_S) -> None:
        """Hands over one band, and more while there is time."""
        started = time.perf_counter()
        while self._rest:
            self._coming.append(self._band(self._rest.pop(0)))
            if not self._rest:
                self._shown, self._coming, self._rgba = self._coming, [], None
            if time.perf_counter() - started > most_s:
                break

    def draw(self) -> None:
        """Fills the region."""
        assert self._shown
        shader = _shader()
        gpu.state.blend_set("ALPHA_PREMULT")
        shader.bind()
        for band in self._shown:
            shader.uniform_sampler("picture", band.texture)
            band.batch.draw(shader)
        gpu.state.blend_set("NONE")

    def _band(self, rows: Rows) -> Band:
        assert self._rgba is not None
        height, width = self._rgba.shape[:2]
        # Contiguous rows: the buffer is a view of them and no copy.
        flat = np.ascontiguousarray(self._rgba[rows.first : rows.last], np.float32).reshape(-1)
        data = _types.Buffer("FLOAT", flat.size, flat)
        texture = _types.GPUTexture((width, rows.last - rows.first), format="RGBA16F", data=data)
        bottom, top = (2 * row / height - 1 for row in (rows.start, rows.stop))
        low, high = (
            (row - rows.first) / (rows.last - rows.first) for row in (rows.start, rows.stop)
        )
        corners: dict[str, Any] = {
            "corner": ((-1.0, bottom), (1.0, bottom), (1.0, top), (-1.0, top)),
            "texel": ((0.0, low), (1.0, low), (1.0, high), (0.0, high)),
        }
        triangles = ((0, 1, 2), (0, 2, 3))
        return Band(texture, batch_for_shader(_shader(), "TRIS", corners, indices=triangles))


def forget_shader() -> None:
    """Frees what all pictures are drawn with; the next one makes it again."""
    _shader.cache_clear()


def draw_message(text: str, width: int, height: int) -> None:
    """Writes sentences into the middle of a region, each on a line of its own."""
    font = 0
    lines = text.replace(". ", ".\n").split("\n")
    blf.size(font, TEXT_SIZE)
    blf.color(font, 1.0, 1.0, 1.0, 0.9)
    for number, line in enumerate(lines):
        across, _ = blf.dimensions(font, line)
        blf.position(font, (width - across) / 2, height / 2 - 1.6 * TEXT_SIZE * number, 0)
        blf.draw(font, line)


@functools.cache
def _shader() -> gpu.types.GPUShader:
    between = _types.GPUStageInterfaceInfo("neural_field_place")
    between.smooth("VEC2", "place")
    info = gpu.types.GPUShaderCreateInfo()
    info.vertex_in(0, "VEC2", "corner")
    info.vertex_in(1, "VEC2", "texel")
    info.vertex_out(between)
    info.sampler(0, "FLOAT_2D", "picture")
    info.fragment_out(0, "VEC4", "result")
    info.vertex_source(VERTEX)
    info.fragment_source(FRAGMENT)
    return gpu.shader.create_from_info(info)
