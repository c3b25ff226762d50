# SPDX-License-Identifier: GPL-3.0-or-later
"""A rendered view on the screen, with its depth, so that gizmos and overlays lie right in it."""

import functools
from typing import Any

import blf
import gpu
import numpy as np
from gpu_extras.batch import batch_for_shader
from numpy.typing import NDArray

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
  vec4 light = texture(picture, place);
  vec2 field = texture(distances, place).rg;
  float z = max(field.r, 1e-6);
  /* What is more clear than solid hides nothing. */
  bool solid = field.g >= 0.5;
  float third = clamp((factors.x * z + factors.y) / z, -1.0, 1.0);
  gl_FragDepth = solid ? third * 0.5 + 0.5 : 1.0;
  result = light;
}
"""

CORNERS = ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, -1.0), (1.0, 1.0), (-1.0, 1.0))
TEXT_SIZE = 16.0


class ViewportPicture:
    """Two textures and how they are drawn."""

    def __init__(self) -> None:
        self._picture: gpu.types.GPUTexture | None = None
        self._distances: gpu.types.GPUTexture | None = None

    @property
    def is_there(self) -> bool:
        """Whether there is something to draw."""
        return self._picture is not None

    def fill(self, pixels: FramePixels, background: tuple[float, float, float] | None) -> None:
        """Takes a picture over, in front of an even color or clear."""
        rgba = pixels.rgba if background is None else pixels.over(background)
        distances = np.stack([pixels.depth, pixels.rgba[..., 3]], axis=-1)
        self._picture = _texture(rgba, pixels.size, "RGBA16F")
        self._distances = _texture(distances, pixels.size, "RG32F")

    def draw(self, depth_factors: tuple[float, float]) -> None:
        """Fills the region. Depth becomes the third coordinate (a z + b) / z of the projection."""
        shader = _shader()
        batch = batch_for_shader(shader, "TRIS", {"corner": CORNERS})
        gpu.state.blend_set("ALPHA_PREMULT")
        gpu.state.depth_test_set("ALWAYS")
        gpu.state.depth_mask_set(True)
        shader.bind()
        shader.uniform_sampler("picture", self._picture)
        shader.uniform_sampler("distances", self._distances)
        shader.uniform_float("factors", depth_factors)
        batch.draw(shader)
        gpu.state.depth_mask_set(False)
        gpu.state.depth_test_set("NONE")
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


def _texture(values: NDArray[np.float32], size: tuple[int, int], kind: Any) -> gpu.types.GPUTexture:
    flat = np.ascontiguousarray(values, np.float32).ravel()
    return gpu.types.GPUTexture(size, format=kind, data=gpu.types.Buffer("FLOAT", flat.size, flat))


@functools.cache
def _shader() -> gpu.types.GPUShader:
    between = gpu.types.GPUStageInterfaceInfo("neural_field_place")
    between.smooth("VEC2", "place")
    info = gpu.types.GPUShaderCreateInfo()
    info.vertex_in(0, "VEC2", "corner")
    info.vertex_out(between)
    info.sampler(0, "FLOAT_2D", "picture")
    info.sampler(1, "FLOAT_2D", "distances")
    info.push_constant("VEC2", "factors")
    info.fragment_out(0, "VEC4", "result")
    info.depth_write("ANY")
    info.vertex_source(VERTEX)
    info.fragment_source(FRAGMENT)
    return gpu.shader.create_from_info(info)
