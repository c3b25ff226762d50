# SPDX-License-Identifier: GPL-3.0-or-later
"""Axis-aligned boxes, as (2, 3) tensors: lower corner, upper corner."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def intersect_box(
    origins: Float[Tensor, "rays 3"],
    directions: Float[Tensor, "rays 3"],
    bounds: Float[Tensor, "2 3"],
) -> tuple[Float[Tensor, " rays"], Float[Tensor, " rays"]]:
    """Where rays enter and leave a box: `near`, `far`, in units of `directions`.

    Neither is negative: a ray that starts inside has `near` 0. For a ray that misses, or whose box
    lies behind it, both are 0, so that it has no length in the box and nothing along it is far from
    the scene.

    Source: Kay and Kajiya 1986, "Ray tracing complex scenes", sec. 2 (slabs).
    """
    # A ray parallel to a face meets it at infinity; one that lies in it at NaN, which is no hit.
    to_planes = (bounds[:, None] - origins) / directions
    near = to_planes.amin(dim=0).amax(dim=-1).clamp(min=0)
    far = to_planes.amax(dim=0).amin(dim=-1)
    hit = far > near
    return torch.where(hit, near, 0), torch.where(hit, far, 0)


def inside_box(
    points: Float[Tensor, "*batch 3"], bounds: Float[Tensor, "2 3"]
) -> Bool[Tensor, "*batch"]:
    """Which points lie in the box, its faces included."""
    return ((points >= bounds[0]) & (points <= bounds[1])).all(dim=-1)
