# SPDX-License-Identifier: GPL-3.0-or-later
"""What every kind of field is to the mesher: a function, a level and which side is inside."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

ValueFn = Callable[[Float[Tensor, "points 3"]], Float[Tensor, " points"]]

MAX_POINTS = 1 << 18
"""Points handed to a field at once: enough to keep it busy, and its activations within memory."""


@dataclass(frozen=True)
class Isosurface:
    """The surface where `value_fn` equals `level`, within `bounds`.

    Density and occupancy are larger inside (`inside_above`), signed distances smaller. `bounds` is
    a box in scene units, on the device that `value_fn` wants its points on. `steepest` bounds how
    fast values change per scene unit, which lets the mesher skip what is too far from the level;
    0 where no such bound is known.
    """

    value_fn: ValueFn
    level: float
    inside_above: bool
    bounds: Float[Tensor, "2 3"]
    steepest: float = 0.0

    def signed(self, points: Float[Tensor, "points 3"]) -> Float[Tensor, " points"]:
        """Difference from the level, positive inside; what is not a number is outside."""
        sign = 1.0 if self.inside_above else -1.0
        parts = [
            (self.value_fn(part).detach().float() - self.level) * sign
            for part in points.split(MAX_POINTS)
        ]
        signed = torch.cat(parts) if parts else points.new_zeros(0)
        return torch.nan_to_num(signed, nan=-1e30, posinf=1e30, neginf=-1e30)

    def placed(self, center: Float[Tensor, "3"], scale: float, distances: bool) -> "Isosurface":
        """The surface of a unit frame in the scene: x there is at `center + scale · x` here.

        Where the values are `distances` they and the level grow with it.

        Raises:
            ValueError: if `scale` is not positive.
        """
        if not scale > 0:
            raise ValueError(f"expected a positive scale, got {scale}")
        center = center.to(self.bounds)
        unit, size = self.value_fn, scale if distances else 1.0
        return Isosurface(
            lambda points: size * unit((points - center) / scale),
            self.level * size,
            self.inside_above,
            self.bounds * scale + center,
            self.steepest * size / scale,
        )

    def cropped(self, lower: Float[Tensor, "3"], upper: Float[Tensor, "3"]) -> "Isosurface":
        """The part within a box.

        Raises:
            ValueError: if the box lies outside of `bounds` or is empty.
        """
        bounds = torch.stack(
            [
                torch.maximum(self.bounds[0], lower.to(self.bounds)),
                torch.minimum(self.bounds[1], upper.to(self.bounds)),
            ]
        )
        if not (bounds[0] < bounds[1]).all():
            raise ValueError(
                f"expected a box that overlaps {self.bounds.tolist()}, "
                f"got {lower.tolist()} to {upper.tolist()}"
            )
        return replace(self, bounds=bounds)
