# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes rays `RayTargets`: plain torch, or Triton in one launch where it can run.

No gradients pass. They lie here and not among the kernels as they need boxes, harmonics and losses.
"""

from typing import NamedTuple

from jaxtyping import Float, Int
from torch import Tensor

from ..fields.instant_ngp import InstantNGPField, view_harmonics
from ..geometry.boxes import intersect_box
from ..geometry.rays import Rays
from ..kernels.triton_use import uses_triton
from ..training.losses import pictures_over_background


class PlacedRays(NamedTuple):
    """Where rays begin in the unit frame, between which distances they are looked along, and what
    the color network is told of their directions.
    """

    origins: Float[Tensor, "rays 3"]
    nears: Float[Tensor, " rays"]
    fars: Float[Tensor, " rays"]
    harmonics: Float[Tensor, "rays harmonics"]


class ShownPixels(NamedTuple):
    """What rays should see in front of random backgrounds, times the gains of their views, and how
    far their samples are moved, in [0, 1).
    """

    jitters: Float[Tensor, " rays"]
    targets: Float[Tensor, "rays 3"]
    backgrounds: Float[Tensor, "rays 3"]
    gains: Float[Tensor, "rays 3"]


def place_rays(
    rays: Rays, field: InstantNGPField, box: Float[Tensor, "2 3"], nearest: float
) -> PlacedRays:
    """Rays in the unit frame, from where they enter `box`, `nearest` away at least, to its end.

    Those that miss it end before they begin.
    """
    if uses_triton(rays.origins):
        from ..kernels import ray_targets_triton

        frame = field.center, field.half
        return PlacedRays(
            *ray_targets_triton.place(rays.origins, rays.directions, *frame, box, nearest)
        )
    return place_by_torch(rays, field, box, nearest)


def place_by_torch(
    rays: Rays, field: InstantNGPField, box: Float[Tensor, "2 3"], nearest: float
) -> PlacedRays:
    """The twin of `ray_targets_triton.place`, for any device and precision."""
    origins = field.to_unit(rays.origins)
    nears, fars = intersect_box(origins, rays.directions, box)
    return PlacedRays(origins, nears.clamp(min=nearest), fars, view_harmonics(rays.directions))


def show_pixels(
    rgba: Float[Tensor, "rays 4"],
    random: Float[Tensor, "rays more"],
    views: Int[Tensor, " rays"],
    log_gains: Float[Tensor, "views 3"],
) -> ShownPixels:
    """Pixels over backgrounds from `random`'s first three numbers in [0, 1); the fourth jitters."""
    if uses_triton(rgba):
        from ..kernels import ray_targets_triton

        return ShownPixels(*ray_targets_triton.show(rgba, random, views, log_gains))
    return show_by_torch(rgba, random, views, log_gains)


def show_by_torch(
    rgba: Float[Tensor, "rays 4"],
    random: Float[Tensor, "rays more"],
    views: Int[Tensor, " rays"],
    log_gains: Float[Tensor, "views 3"],
) -> ShownPixels:
    """The twin of `ray_targets_triton.show`, for any device and precision."""
    backgrounds, jitters = random[:, :3].contiguous(), random[:, 3].contiguous()
    targets = pictures_over_background(rgba, backgrounds)
    return ShownPixels(jitters, targets, backgrounds, log_gains[views].exp())
