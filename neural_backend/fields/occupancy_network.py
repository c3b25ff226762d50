# SPDX-License-Identifier: GPL-3.0-or-later
"""The occupancy of shapes that are known by a cloud of points."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ..encodings.frequency import PositionalEncoding
from ..meshing.isosurface import Isosurface
from ..networks.conditional_resnet import ConditionalBatchNorm, ConditionalResidualBlock
from ..networks.mlp import linear
from ..networks.point_encoder import PointEncoder


class OccupancyNetworkField(nn.Module):
    """The probability, as a logit, that a point lies inside of the shape that a code stands for.

    Codes come from `encode`, which sees points on the shape's surface. The surface lies where the
    probability is `threshold`.

    Source: Mescheder et al. 2019, "Occupancy networks", sec. 3.1, 3.3 and supplementary sec. 1.
    Differs: with `frequencies` the decoder is also shown sines and cosines of the position.
    """

    bounds: Float[Tensor, "2 3"]

    def __init__(
        self,
        bounds: Float[Tensor, "2 3"],
        latent_dim: int = 512,
        encoder_width: int = 512,
        width: int = 256,
        blocks: int = 5,
        frequencies: int = 0,
        threshold: float = 0.2,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("bounds", bounds.clone())
        self.level = math.log(threshold / (1 - threshold))
        self.encoder = PointEncoder(latent_dim, encoder_width, 5, generator)
        self.encoding = PositionalEncoding(3, frequencies)
        self.lift = linear(self.encoding.out_dim, width, generator)
        self.blocks = nn.ModuleList(
            ConditionalResidualBlock(latent_dim, width, generator) for _ in range(blocks)
        )
        self.norm = ConditionalBatchNorm(latent_dim, width)
        self.out = linear(width, 1, generator)

    def encode(self, clouds: Float[Tensor, "clouds points 3"]) -> Float[Tensor, "clouds latent"]:
        """The codes of clouds of surface points."""
        return self.encoder(clouds)

    def each(
        self, points: Float[Tensor, "shapes points 3"], codes: Float[Tensor, "shapes latent"]
    ) -> Float[Tensor, "shapes points"]:
        """Points of several shapes at once, each with its code."""
        hidden = self.lift(self.encoding(points))
        for block in self.blocks:
            hidden = block(hidden, codes)
        return self.out(F.relu(self.norm(hidden, codes)))[..., 0]

    def forward(
        self,
        points: Float[Tensor, "*batch 3"],
        latent: Float[Tensor, " latent"] | None = None,
    ) -> Float[Tensor, "*batch"]:
        """Raises ValueError without a code: there is no shape without one."""
        if latent is None:
            raise ValueError("expected the code of a shape, got none")
        return self.each(points.reshape(1, -1, 3), latent[None])[0].reshape(points.shape[:-1])

    def isosurface(self, latent: Float[Tensor, " latent"] | None = None) -> Isosurface:
        def logits(points: Float[Tensor, "points 3"]) -> Float[Tensor, " points"]:
            self.eval()
            with torch.no_grad():
                return self(points, latent)

        return Isosurface(logits, self.level, True, self.bounds)
