# SPDX-License-Identifier: GPL-3.0-or-later
"""Rays, and what is seen along them."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Rays:
    """Half lines in scene units.

    `directions` have unit length. `times` are in [0, 1], None for a scene that does not move.
    `views` are the indices of the training views that the rays belong to, None for new cameras.
    """

    origins: Float[Tensor, "rays 3"]
    directions: Float[Tensor, "rays 3"]
    times: Float[Tensor, " rays"] | None = None
    views: Int[Tensor, " rays"] | None = None

    def __len__(self) -> int:
        return self.origins.shape[0]

    def __getitem__(self, index: slice | Tensor) -> "Rays":
        return Rays(
            self.origins[index],
            self.directions[index],
            None if self.times is None else self.times[index],
            None if self.views is None else self.views[index],
        )

    def to(self, device: torch.device | str) -> "Rays":
        return Rays(
            self.origins.to(device),
            self.directions.to(device),
            None if self.times is None else self.times.to(device),
            None if self.views is None else self.views.to(device),
        )


@dataclass(frozen=True)
class RenderedRays:
    """What each ray gathers.

    `rgb` is premultiplied: the light of the field alone, without background. Shown over a
    background it is `rgb + (1 - accumulation) * background`. `depth` is the distance along the
    ray, in scene units, averaged by what is seen; infinite for a ray that meets nothing.
    `normals` are unit vectors in world space, None where not asked for.
    """

    rgb: Float[Tensor, "rays 3"]
    accumulation: Float[Tensor, " rays"]
    depth: Float[Tensor, " rays"]
    normals: Float[Tensor, "rays 3"] | None = None
