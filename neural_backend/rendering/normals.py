# SPDX-License-Identifier: GPL-3.0-or-later
"""Normals of what rays meet, for fields that offer density only."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ..geometry.gradients import smoothed_gradient
from ..geometry.rays import Rays, RenderedRays


def normals_at_depth(
    density_fn: Callable[[Float[Tensor, "points 3"]], Float[Tensor, " points"]],
    rays: Rays,
    rendered: RenderedRays,
    radius: float,
) -> Float[Tensor, "rays 3"]:
    """Unit normals in world space where rays end, turned to their origins; zero where they do not.

    Against the density's gradient over a ball of `radius`, about as large as the field's details.

    Source: Srinivasan et al. 2021, "NeRV" (normals from the gradient of density).
    Differs: density is squeezed by its logarithm, so that the densest point does not decide alone.
    """
    normals = torch.zeros_like(rays.directions)
    hit = rendered.depth.isfinite() & (rendered.accumulation > 0)
    points = rays.origins[hit] + rendered.depth[hit, None] * rays.directions[hit]
    gradient = smoothed_gradient(
        lambda points: torch.log1p(density_fn(points) * radius), points, radius
    )
    outward = F.normalize(-gradient, dim=-1)
    away = (outward * rays.directions[hit]).sum(dim=-1, keepdim=True) > 0
    normals[hit] = torch.where(away, -outward, outward)
    return normals
