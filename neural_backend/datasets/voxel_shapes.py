# SPDX-License-Identifier: GPL-3.0-or-later
"""Shapes that are given as voxels."""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from .shape_set import ShapeSamples

_PADDING = 4
"""Empty voxels added on all sides: a shape that touches the grid's faces has an outside there."""


def fill_voxels(voxels: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The solid whose shell `voxels` are: what no way leads to from outside belongs to it."""
    padded = np.pad(voxels, 1)
    return ndimage.binary_fill_holes(padded)[1:-1, 1:-1, 1:-1]


class VoxelShape:
    """Signed distances to the surface of filled voxels; the grid spans [-1, 1] along each axis.

    Between voxel centers distances are interpolated, so the surface passes half way between a
    full and an empty one. Beyond the grid the distance to the grid is added, a lower bound.

    Raises:
        ValueError: if the grid is no cube or no voxel is full.
    """

    def __init__(self, voxels: NDArray[np.bool_]) -> None:
        if voxels.ndim != 3 or len(set(voxels.shape)) != 1:
            raise ValueError(f"expected a cube of voxels, got shape {voxels.shape}")
        if not voxels.any():
            raise ValueError("expected a shape, got no full voxel")
        self.solid = fill_voxels(voxels)
        padded = np.pad(self.solid, _PADDING)
        # From center to center; the face between a full and an empty voxel is half a voxel away.
        outside = ndimage.distance_transform_edt(~padded) - 0.5
        inside = ndimage.distance_transform_edt(padded) - 0.5
        voxel = 2 / voxels.shape[0]
        self._half = 1 + _PADDING * voxel
        grid = np.where(padded, -inside, outside) * voxel
        self._grid = torch.from_numpy(grid.astype(np.float32))

    def distances(self, points: Float[Tensor, "points 3"]) -> Float[Tensor, " points"]:
        size = self._grid.shape[0]
        # Samples between the outermost centers: `align_corners` puts those at -1 and 1.
        reach = self._half * (size - 1) / size
        within = points.clamp(-reach, reach)
        places = (within / reach).flip(-1)[None, None, None]
        values = F.grid_sample(self._grid[None, None], places, align_corners=True)[0, 0, 0, 0]
        return values + (points - within).norm(dim=-1)

    def occupied(self, points: Float[Tensor, "points 3"]) -> Bool[Tensor, " points"]:
        """Whether points lie in a full voxel of the solid."""
        size = self.solid.shape[0]
        index = ((points + 1) / 2 * size).floor().long()
        within = ((index >= 0) & (index < size)).all(dim=-1)
        x, y, z = index.clamp(0, size - 1).unbind(dim=-1)
        return torch.from_numpy(self.solid)[x, y, z] & within


def sample_voxels(
    shape: VoxelShape,
    name: str,
    num_surface: int,
    num_near: int,
    num_uniform: int,
    generator: torch.Generator,
    spread: float = 0.05,
) -> ShapeSamples:
    """Samples of a voxel shape; `near` ones have a normal distance of about `spread`.

    Surface points start about the surface and are led onto it along the distance's slope.
    """
    surface = _on_surface(shape, num_surface, generator)
    chosen = torch.randint(num_surface, (num_near,), generator=generator)
    near = surface[chosen] + spread * torch.randn(num_near, 3, generator=generator)
    uniform = (torch.rand(num_uniform, 3, generator=generator) * 2 - 1) * 1.05
    return ShapeSamples(
        name, surface, near, shape.distances(near), uniform, shape.distances(uniform)
    )


def _on_surface(shape: VoxelShape, count: int, generator: torch.Generator) -> Tensor:
    size = shape.solid.shape[0]
    shell = shape.solid & ~ndimage.binary_erosion(shape.solid)
    centers = torch.from_numpy((np.argwhere(shell) + 0.5) / size * 2 - 1).float()
    chosen = centers[torch.randint(len(centers), (count,), generator=generator)]
    points = chosen + (torch.rand(count, 3, generator=generator) * 2 - 1) * 1.5 / size
    step = 0.5 / size
    axes = step * torch.eye(3)
    for _ in range(4):
        around = torch.stack([points + axis for axis in (*axes, *-axes)])
        values = shape.distances(around.reshape(-1, 3)).reshape(6, count)
        slope = ((values[:3] - values[3:]) / (2 * step)).T
        steepness = slope.square().sum(dim=-1, keepdim=True).clamp(min=0.1)
        points = points - shape.distances(points)[:, None] * slope / steepness
    return points
