# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a thing that moves can be in which slice of the time, by its silhouettes alone."""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool
from numpy.typing import NDArray
from torch import Tensor

from ..datasets.ray_batches import RayBatches
from ..datasets.silhouettes import silhouettes
from ..kernels.ray_marching import time_slices
from ..sampling.visual_hull import visual_hull


def moving_hull(
    batches: RayBatches,
    center: NDArray[np.float64],
    half: float,
    resolution: int,
    slices: int,
    share: float,
    margin: int,
) -> Bool[Tensor, "slices cells"]:
    """The cells of the cube around `center` that may be full at some time of each slice.

    A picture says where nothing is at its time. A cell stays where at least a `share` of the times
    of a slice, and at least one, allow it, or a cell not further away than `margin`. Slices without
    pictures are left whole.
    """
    shapes, views = silhouettes(batches), batches.views
    box = np.stack([center - half, center + half])
    times = torch.zeros(len(views)) if batches.times is None else batches.times.cpu()
    votes, total = torch.zeros(slices, resolution**3), torch.zeros(slices)
    for time in times.unique():
        some = [int(i) for i in (times == time).nonzero()[:, 0]]
        hull = visual_hull(
            [shapes[i] for i in some],
            [views[i].intrinsics for i in some],
            np.array([views[i].camera_to_world for i in some]),
            box,
            resolution,
        )
        part = int(time_slices(time, slices))
        votes[part] += torch.from_numpy(hull.reshape(-1)).float()
        total[part] += 1
    possible = votes >= (share * total).clamp(min=1).minimum(total)[:, None]
    cubes = possible.view(slices, 1, resolution, resolution, resolution).float()
    wide = F.max_pool3d(cubes, 2 * margin + 1, stride=1, padding=margin)
    return wide.flatten(1) > 0
