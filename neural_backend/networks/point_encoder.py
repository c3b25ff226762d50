# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cloud of points is like, as one vector that does not depend on their order."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from .mlp import linear


class ResidualBlock(nn.Module):
    """Two linear layers around a shortcut, which is linear where the width changes.

    Source: He et al. 2016, "Identity mappings in deep residual networks", fig. 1b; the last layer
        starts at zero, so that a block starts as its shortcut.
    """

    def __init__(self, in_dim: int, out_dim: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.first = linear(in_dim, out_dim, generator)
        self.second = linear(out_dim, out_dim, generator)
        nn.init.zeros_(self.second.weight)
        self.shortcut = None if in_dim == out_dim else linear(in_dim, out_dim, generator)

    def forward(self, inputs: Float[Tensor, "*batch in"]) -> Float[Tensor, "*batch out"]:
        change = self.second(F.relu(self.first(F.relu(inputs))))
        return (inputs if self.shortcut is None else self.shortcut(inputs)) + change


class PointEncoder(nn.Module):
    """A code for each cloud of points, whatever their order and number.

    Every point is seen alone, but after each block it is told the maximum over its cloud.

    Source: Mescheder et al. 2019, "Occupancy networks", supplementary sec. 1.2 and fig. 2 (five
        blocks, maxima concatenated, a last maximum); Qi et al. 2017, "PointNet", theorem 1.
    """

    def __init__(
        self,
        latent_dim: int,
        width: int,
        blocks: int = 5,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if blocks < 1:
            raise ValueError(f"expected at least one block, got {blocks}")
        self.lift = linear(3, 2 * width, generator)
        self.blocks = nn.ModuleList(
            ResidualBlock(2 * width, width, generator) for _ in range(blocks)
        )
        self.code = linear(width, latent_dim, generator)

    def forward(self, clouds: Float[Tensor, "clouds points 3"]) -> Float[Tensor, "clouds latent"]:
        hidden = self.blocks[0](self.lift(clouds))
        for block in self.blocks[1:]:
            pooled = hidden.amax(dim=1, keepdim=True).expand_as(hidden)
            hidden = block(torch.cat([hidden, pooled], dim=-1))
        return self.code(F.relu(hidden.amax(dim=1)))
