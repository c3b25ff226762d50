# SPDX-License-Identifier: GPL-3.0-or-later
"""Linear layers whose weights have their length and direction learned apart."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class WeightNormLinear(nn.Module):
    """A linear layer with the weights g · v / |v| of each output.

    Inputs may come in two parts, of which the second (`shared`) is the same for all rows of a
    batch: it is multiplied once.

    Source: Salimans and Kingma 2016, "Weight normalization", eq. 2.
    """

    def __init__(self, in_dim: int, out_dim: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        bound = math.sqrt(6 / in_dim)
        direction = (torch.rand(out_dim, in_dim, generator=generator) * 2 - 1) * bound
        self.direction = nn.Parameter(direction)
        self.length = nn.Parameter(direction.norm(dim=1))
        self.bias = nn.Parameter(torch.zeros(out_dim))

    @property
    def weight(self) -> Float[Tensor, "out in"]:
        # A direction of length 0 has no gradient, and no meaning: it is never reached from random.
        norm = self.direction.norm(dim=1).clamp(min=1e-12)
        return self.direction * (self.length / norm)[:, None]

    def forward(
        self,
        inputs: Float[Tensor, "groups rows own"],
        shared: Float[Tensor, "groups 1 shared"] | None = None,
    ) -> Float[Tensor, "groups rows out"]:
        weight = self.weight
        if shared is None:
            return F.linear(inputs, weight, self.bias)
        own = inputs.shape[-1]
        offset = F.linear(shared, weight[:, own:], self.bias)
        if len(inputs) == 1:
            return F.linear(inputs, weight[:, :own], offset[0, 0])
        return F.linear(inputs, weight[:, :own]) + offset
