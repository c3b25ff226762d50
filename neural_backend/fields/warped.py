# SPDX-License-Identifier: GPL-3.0-or-later
"""A field in a scene that moves: a warp, then a field at rest."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .base import RadianceField, Warp


@dataclass(frozen=True)
class WarpedCondition:
    """What a warped field depends on: what its warp does, and what the field at rest does.

    `warp` is a time or a code, `canonical` an appearance; both broadcast over samples.
    """

    warp: Float[Tensor, "*batch dim"]
    canonical: Float[Tensor, "*batch appearance"] | None = None


@dataclass(frozen=True)
class WarpedField:
    """`field` behind `warp`: what is asked of a point is answered for where it came from.

    Directions are those of the straight rays, as in both papers.

    Source: Pumarola et al. 2021, "D-NeRF", eq. 3 to 8; Park et al. 2021, "Nerfies", eq. 4.
    """

    warp: Warp
    field: RadianceField

    @property
    def bounds(self) -> Float[Tensor, "2 3"]:
        """Those of the field at rest, which what moves should not leave."""
        return self.field.bounds

    def density(
        self, points: Float[Tensor, "*batch 3"], condition: WarpedCondition
    ) -> Float[Tensor, "*batch"]:
        """Density per scene unit at world positions."""
        return self.field.density(self.warp(points, condition.warp), condition.canonical)

    def __call__(
        self,
        points: Float[Tensor, "*batch 3"],
        directions: Float[Tensor, "*#batch 3"],
        condition: WarpedCondition,
        density_noise: Float[Tensor, "*batch"] | None = None,
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch 3"]]:
        """Density, and the color in [0, 1] seen along unit `directions`."""
        canonical = self.warp(points, condition.warp)
        return self.field(canonical, directions, condition.canonical, density_noise)


@torch.no_grad()
def warp_points(
    warp: Warp,
    points: Float[Tensor, "points 3"],
    condition: Float[Tensor, "points dim"],
    points_at_once: int = 2**18,
) -> Float[Tensor, "points 3"]:
    """Canonical positions of any number of points, without gradients."""
    parts = zip(points.split(points_at_once), condition.split(points_at_once), strict=True)
    return torch.cat([warp(*part) for part in parts])
