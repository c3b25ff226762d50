# SPDX-License-Identifier: GPL-3.0-or-later
"""Which corners of a voxel grid are worth storing: by silhouettes, by cameras, by what rays see."""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from ..datasets.ray_batches import RayBatches
from ..fields.voxel_grid import VoxelGridField, grid_shape
from ..kernels import voxel_grid as kernels
from ..kernels.voxel_grid import GridRays, Space
from ..kernels.voxel_grid_reference import unsqueeze
from ..sampling.seen_space import count_views
from ..training.sparse_adam import SparseAdam

_RAYS = 8192
"""In each look."""
_GRAY_SLOPE = 0.25 * 0.28209479177387814 * 1.5
"""Slope of half the squared error by the color of a gray row that is all that a ray shows."""


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


def rays_of_rows(
    field: VoxelGridField,
    adam: SparseAdam,
    batches: RayBatches,
    looks: int,
    generator: torch.Generator,
) -> Float[Tensor, " rows"]:
    """How many rays' worth of color each row shows, of `looks` times 8192 rays of the pictures.

    How much a ray shows of a row is the slope of its brightness by the row's color, here of an
    error of 1 to 2, from a picture that is darker than black. Uses the gradients of `adam`, which
    must be clear, and clears them.
    """
    device = adam.values.device
    nothing, whole = torch.zeros(_RAYS, 3), torch.ones(_RAYS, 3)
    darker = torch.cat([-whole, whole[:, :1]], dim=1)
    for _ in range(looks):
        rays = batches.draw(_RAYS, generator).rays
        jitters = torch.rand(_RAYS, generator=generator)
        made = (part.to(device) for part in (darker, nothing, jitters, whole))
        seen = GridRays(rays.origins, rays.directions, *made)
        unused = torch.empty(_RAYS, 3, device=device)
        kernels.learn(field.grid, seen, adam.gradients, adam.touched, unused)
    shown = adam.gradients[:, :, 1].sum(dim=0) / _GRAY_SLOPE
    adam.gradients.zero_()
    adam.touched.zero_()
    return shown
