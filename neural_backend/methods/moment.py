# SPDX-License-Identifier: GPL-3.0-or-later
"""A field as it is at one time."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from .base import DynamicMethod, Method


@dataclass(frozen=True)
class Moment:
    """A method's field at a time in [0, 1], None for 0; what does not move is the same at any."""

    method: Method
    time: float | None = None

    def density(self, points: Float[Tensor, "points 3"]) -> Float[Tensor, " points"]:
        """Density per scene unit at world positions."""
        if isinstance(self.method, DynamicMethod):
            return self.method.density(points, self._times(points))
        return self.method.density(points)

    def color(
        self, points: Float[Tensor, "points 3"], directions: Float[Tensor, "points 3"]
    ) -> Float[Tensor, "points 3"]:
        """Color in [0, 1] of the field at `points` seen along `directions`."""
        if isinstance(self.method, DynamicMethod):
            return self.method.color(points, directions, self._times(points))
        return self.method.color(points, directions)

    def _times(self, points: Tensor) -> Tensor:
        return points.new_full((len(points),), self.time or 0.0)
