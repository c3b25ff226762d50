# SPDX-License-Identifier: GPL-3.0-or-later
"""Rendered views as numbers, and several of them in one picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .errors import SceneError

NO_DEPTH = 1e10
"""Depth where nothing is seen, as Blender's own depth pass has it."""


@dataclass(frozen=True)
class FramePixels:
    """A picture with rows from the bottom, as Blender has them.

    `rgba` (height, width, 4) is linear light, premultiplied; `depth` (height, width) is z-depth in
    scene units.
    """

    rgba: NDArray[np.float32]
    depth: NDArray[np.float32]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.rgba.shape[1], self.rgba.shape[0]

    def over(self, color: tuple[float, float, float]) -> NDArray[np.float32]:
        """The picture in front of an even color, opaque."""
        rgba = self.rgba.copy()
        rgba[..., :3] += (1 - rgba[..., 3:]) * np.array(color, np.float32)
        rgba[..., 3] = 1
        return rgba


def read_frame(path: Path, scale: float = 1.0) -> FramePixels:
    """What the worker wrote; `scale` is that of the field's empty, which its depths lack.

    Raises:
        SceneError: where the file cannot be read.
    """
    try:
        pixels = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise SceneError(f"The rendered view {path} cannot be read: {error}.") from error
    upwards = pixels[::-1]
    depth = np.ascontiguousarray(upwards[..., 4])
    if scale != 1.0:
        depth[depth < NO_DEPTH] *= scale
    return FramePixels(np.ascontiguousarray(upwards[..., :4]), depth)


def by_depth(frames: Sequence[FramePixels]) -> FramePixels:
    """One picture of several, in each pixel the nearer in front of the farther.

    Depth is averaged by what is seen of each, as within a field.
    """
    if len(frames) == 1:
        return frames[0]
    rgba = np.stack([frame.rgba for frame in frames])
    depth = np.stack([frame.depth for frame in frames])
    order = np.argsort(depth, axis=0, kind="stable")
    rgba = np.take_along_axis(rgba, order[..., None], axis=0)
    depth = np.take_along_axis(depth, order, axis=0)
    result, escaped = np.zeros_like(rgba[0]), np.ones_like(depth[0])
    weighted, weights = np.zeros_like(depth[0]), np.zeros_like(depth[0])
    for layer, distance in zip(rgba, depth, strict=True):
        result += escaped[..., None] * layer
        seen = np.where(distance < NO_DEPTH, escaped * layer[..., 3], 0)
        weighted += seen * np.where(distance < NO_DEPTH, distance, 0)
        weights += seen
        escaped = escaped * (1 - layer[..., 3])
    averaged = weighted / np.maximum(weights, 1e-30)
    return FramePixels(result, np.where(weights > 0, averaged, np.float32(NO_DEPTH)))
