# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a voxel grid lies, and which of its corners are worth storing."""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from ..datasets.ray_batches import RayBatches
from ..fields.voxel_grid import grid_shape
from ..kernels.voxel_grid import Space
from ..kernels.voxel_grid_reference import unsqueeze
from ..sampling.seen_space import count_views
from .voxel_grid_config import VoxelGridConfig

_NEAREST = 0.5
"""Where rays of unbounded scenes begin, in halves of the bounds."""


def space_over(
    bounds: Float[Tensor, "2 3"], resolution: int, config: VoxelGridConfig, unbounded: bool
) -> Space:
    """A grid over the bounds, and any shell, with this many cells along the longest side."""
    center, sides = bounds.mean(dim=0), bounds[1] - bounds[0]
    half = float(sides.max()) / 2
    shell = config.shell if unbounded else 0.0
    # One cell more on each side is the border that is never stored.
    margin = 0.0 if unbounded else 3.0 / resolution
    extent = torch.full((3,), 1 + shell) if unbounded else sides / (2 * half) + margin
    x, y, z = center.tolist()
    ex, ey, ez = extent.tolist()
    return Space(
        center=(x, y, z),
        half=half,
        extent=(ex, ey, ez),
        cells_per_unit=resolution / 2,
        step=config.sample_cells,
        shell=shell,
        near=_NEAREST * half if unbounded else 0.0,
        fade=half if unbounded else 0.0,
    )


def corners_in_hull(
    space: Space, hull: Bool[Tensor, "x y z"], lower: NDArray[np.floating], cell: float
) -> Bool[Tensor, "corners_x corners_y corners_z"]:
    """Corners of the grid's cells that touch the hull's."""
    wide = F.max_pool3d(hull[None].float(), 3, stride=1, padding=1)[0] > 0
    picked = wide
    for axis, size in enumerate(grid_shape(space)):
        at = (torch.arange(size) / space.cells_per_unit - space.extent[axis]) * space.half
        place = torch.floor((at + space.center[axis] - float(lower[axis])) / cell).long()
        inside = (place >= 0) & (place < hull.shape[axis])
        picked = picked.index_select(axis, place.clamp(0, hull.shape[axis] - 1))
        shape = [1, 1, 1]
        shape[axis] = size
        picked = picked & inside.view(shape)
    return picked


def corners_shown_by(
    batches: RayBatches, least: int, coarse: Space, space: Space
) -> Bool[Tensor, "x y z"]:
    """Corners of `space` that at least so many of the pictures show, or all, if there are fewer.

    It is counted at the corners of `coarse`.
    """
    shape = grid_shape(coarse)
    corners = torch.cartesian_prod(*(torch.arange(size).double() for size in shape))
    counts = count_views(
        unsqueeze(coarse, corners).numpy(),
        [view.intrinsics for view in batches.views],
        np.array([view.camera_to_world for view in batches.views]),
        coarse.near,
    )
    kept = torch.from_numpy(counts >= min(least, batches.num_views)).reshape(shape)
    for axis, size in enumerate(grid_shape(space)):
        nearest = torch.arange(size) * coarse.cells_per_unit / space.cells_per_unit
        kept = kept.index_select(axis, nearest.round().long().clamp(max=shape[axis] - 1))
    return kept
