# SPDX-License-Identifier: GPL-3.0-or-later
"""A rendered view on the screen."""

import functools
from typing import Any

import blf
import gpu
import numpy as np
from gpu_extras.batch import batch_for_shader

from .frame_pixels import FramePixels

VERTEX = """
void main()
{
  place = corner * 0.5 + 0.5;
  gl_Position = vec4(corner, 0.0, 1.0);
}
"""

FRAGMENT = """
void main()
{
  result = texture(picture, place);
}
"""

CORNERS = ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, -1.0), (1.0, 1.0), (-1.0, 1.0))
TEXT_SIZE = 16.0

# The stubs know the constructors of these without their arguments.
_types: Any = gpu.types


class ViewportPicture:
    """A texture and how it is drawn."""

    def __init__(self) -> None:
        self._texture: gpu.types.GPUTexture | None = None

    @property
    def is_there(self) -> bool:
        """Whether there is something to draw."""
        return self._texture is not None

    def fill(self, pixels: FramePixels, background: tuple[float, float, float] | None) -> None:
        """Takes a picture over, in front of an even color or clear."""
        rgba = pixels.rgba if background is None else pixels.over(background)
        flat = np.ascontiguousarray(rgba, np.float32).ravel()
        data = _types.Buffer("FLOAT", flat.size, flat)
        self._texture = _types.GPUTexture(pixels.size, format="RGBA16F", data=data)

    def draw(self) -> None:
        """Fills the region."""
        assert self._texture is not None
        shader = _shader()
        batch = batch_for_shader(shader, "TRIS", {"corner": CORNERS})
        gpu.state.blend_set("ALPHA_PREMULT")
        shader.bind()
        shader.uniform_sampler("picture", self._texture)
        batch.draw(shader)
        gpu.state.blend_set("NONE")


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
    info.vertex_out(between)
    info.sampler(0, "FLOAT_2D", "picture")
    info.fragment_out(0, "VEC4", "result")
    info.vertex_source(VERTEX)
    info.fragment_source(FRAGMENT)
    return gpu.shader.create_from_info(info)
