# SPDX-License-Identifier: GPL-3.0-or-later
"""Which corners of a voxel grid are worth storing: by silhouettes, or by cameras."""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool
from numpy.typing import NDArray
from torch import Tensor

from ..datasets.ray_batches import RayBatches
from ..fields.voxel_grid import grid_shape
from ..kernels.voxel_grid import Space
from ..kernels.voxel_grid_reference import unsqueeze
from ..sampling.seen_space import count_views


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
