# SPDX-License-Identifier: GPL-3.0-or-later
"""The signed distances of a family of shapes, each of which has a code."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ..encodings.frequency import PositionalEncoding
from ..meshing.isosurface import Isosurface
from ..networks.weight_norm import WeightNormLinear

_STEEPEST = 3.0
"""How fast a learned distance may change per unit length. True ones change by at most 1; what was
learned under a clamp is steeper in places, and flat far from the surface."""


class DeepSDFField(nn.Module):
    """Signed distance, negative inside, to the shape that a latent code stands for.

    Distances are in the units of the unit frame. With `frequencies` the network is also shown sines
    and cosines of the position. Where only the zero level matters, as under a clamped loss,
    distances far from the surface mean no more than that they are far.

    Source: Park et al. 2019, "DeepSDF", sec. 4 and fig. 4.
    Differs: the skip widens the middle layer; the paper narrows the one before it. The last
        layer is linear: the paper's tanh saturates where the loss is clamped anyway. No dropout.

    Raises:
        ValueError: if `depth` is odd, which leaves no middle for the skip connection.
    """

    bounds: Float[Tensor, "2 3"]

    def __init__(
        self,
        bounds: Float[Tensor, "2 3"],
        latent_dim: int = 256,
        width: int = 512,
        depth: int = 8,
        frequencies: int = 0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if depth % 2 or depth < 2:
            raise ValueError(f"depth must be even, got {depth}")
        self.register_buffer("bounds", bounds.clone())
        self.latent_dim = latent_dim
        self.encoding = PositionalEncoding(3, frequencies)
        self.middle = depth // 2
        seen = latent_dim + self.encoding.out_dim
        dims = [seen] + [width] * (depth - 1)
        dims[self.middle] = width + seen
        self.layers = nn.ModuleList(WeightNormLinear(dim, width, generator) for dim in dims)
        self.out = WeightNormLinear(width, 1, generator)
        with torch.no_grad():
            self.out.length.mul_(0.1)

    def forward(
        self,
        points: Float[Tensor, "*batch 3"],
        latent: Float[Tensor, " latent"] | None = None,
    ) -> Float[Tensor, "*batch"]:
        """Raises ValueError without a code: there is no shape without one."""
        if latent is None:
            raise ValueError("expected the code of a shape, got none")
        return self.each(points.reshape(1, -1, 3), latent[None])[0].reshape(points.shape[:-1])

    def each(
        self, points: Float[Tensor, "shapes points 3"], codes: Float[Tensor, "shapes latent"]
    ) -> Float[Tensor, "shapes points"]:
        """Points of several shapes at once, each with its code."""
        seen, codes = self.encoding(points), codes[:, None]
        hidden = seen
        for number, layer in enumerate(self.layers):
            if number == 0:
                hidden = layer(hidden, codes)
            elif number == self.middle:
                hidden = layer(torch.cat([hidden, seen], dim=-1), codes)
            else:
                hidden = layer(hidden)
            hidden = F.relu(hidden)
        return self.out(hidden)[..., 0]

    def isosurface(self, latent: Float[Tensor, " latent"] | None = None) -> Isosurface:
        def distances(points: Float[Tensor, "points 3"]) -> Float[Tensor, " points"]:
            with torch.no_grad():
                return self(points, latent)

        return Isosurface(distances, 0.0, False, self.bounds, steepest=_STEEPEST)
