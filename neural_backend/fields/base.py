# SPDX-License-Identifier: GPL-3.0-or-later
"""What fields promise: functions of points, which anything may query."""

from typing import Any, Protocol

from jaxtyping import Float
from torch import Tensor

from ..meshing.isosurface import Isosurface


class RadianceField(Protocol):
    """Density and color at points in space.

    `condition` is whatever else they depend on (a time, a code), None for a field without.
    """

    @property
    def bounds(self) -> Float[Tensor, "2 3"]:
        """Box, in scene units, of what the field describes."""

    def density(
        self,
        points: Float[Tensor, "*batch 3"],
        condition: Any,
    ) -> Float[Tensor, "*batch"]:
        """Density per scene unit at world positions."""

    def __call__(
        self,
        points: Float[Tensor, "*batch 3"],
        directions: Float[Tensor, "*#batch 3"],
        condition: Any,
        density_noise: Float[Tensor, "*batch"] | None = None,
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch 3"]]:
        """Density, and the color in [0, 1] seen along unit `directions`.

        `density_noise` is added before the density's activation.
        """


class Warp(Protocol):
    """Bends space: where in a canonical scene lies what is at `points` under a condition.

    Positions are in scene units on both sides. Before training it leaves everything in place.
    """

    def __call__(
        self, points: Float[Tensor, "*batch 3"], condition: Any
    ) -> Float[Tensor, "*batch 3"]:
        """Canonical positions; `condition` is a time or a code and broadcasts over samples."""


class SurfaceField(Protocol):
    """One scalar at points in space, whose level set is a surface; the shape may have a code.

    `latent` is the code of the shape that is asked for, None for a field of a single shape.
    """

    bounds: Float[Tensor, "2 3"]
    """Box outside of which there is no surface."""

    def __call__(
        self,
        points: Float[Tensor, "*batch 3"],
        latent: Float[Tensor, " latent"] | None = None,
    ) -> Float[Tensor, "*batch"]:
        """The scalar: a signed distance, negative inside, or an occupancy, larger inside."""

    def isosurface(self, latent: Float[Tensor, " latent"] | None = None) -> Isosurface:
        """The shape's surface, for the mesher and whatever else takes one; without gradients."""
