# SPDX-License-Identifier: GPL-3.0-or-later
"""Residual networks that a code steers."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from .mlp import linear


class ConditionalBatchNorm(nn.Module):
    """Batch normalisation whose scale and shift are linear in a code.

    While training a channel's mean and variance are those over all points of all shapes, and
    running ones are kept for later. At first it is plain batch normalisation.

    Source: de Vries et al. 2017, "Modulating early visual processing by language", sec. 3;
        Mescheder et al. 2019, "Occupancy networks", supplementary sec. 1.1, eq. 1.
    """

    mean: Float[Tensor, " channels"]
    variance: Float[Tensor, " channels"]

    def __init__(
        self, latent_dim: int, channels: int, momentum: float = 0.1, eps: float = 1e-5
    ) -> None:
        super().__init__()
        self.momentum, self.eps = momentum, eps
        self.scale, self.shift = linear(latent_dim, channels), linear(latent_dim, channels)
        for layer in (self.scale, self.shift):
            nn.init.zeros_(layer.weight)
        nn.init.ones_(self.scale.bias)
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))

    def forward(
        self,
        inputs: Float[Tensor, "shapes points channels"],
        codes: Float[Tensor, "shapes latent"],
    ) -> Float[Tensor, "shapes points channels"]:
        if self.training:
            variance, mean = torch.var_mean(inputs, dim=(0, 1), correction=0)
            with torch.no_grad():
                self.mean.lerp_(mean.detach(), self.momentum)
                self.variance.lerp_(variance.detach(), self.momentum)
        else:
            mean, variance = self.mean, self.variance
        # One product and one sum a value: mean, variance, scale and shift are merged first.
        factor = self.scale(codes) * torch.rsqrt(variance + self.eps)
        offset = self.shift(codes) - factor * mean
        return torch.addcmul(offset[:, None], inputs, factor[:, None])


class ConditionalResidualBlock(nn.Module):
    """A residual block with conditional batch normalisation before each layer.

    Source: Mescheder et al. 2019, "Occupancy networks", supplementary fig. 1.
    """

    def __init__(
        self, latent_dim: int, width: int, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.norms = nn.ModuleList(ConditionalBatchNorm(latent_dim, width) for _ in range(2))
        first, second = (linear(width, width, generator) for _ in range(2))
        nn.init.zeros_(second.weight)
        self.layers = nn.ModuleList([first, second])

    def forward(
        self,
        inputs: Float[Tensor, "shapes points width"],
        codes: Float[Tensor, "shapes latent"],
    ) -> Float[Tensor, "shapes points width"]:
        hidden = inputs
        for norm, layer in zip(self.norms, self.layers, strict=True):
            hidden = layer(F.relu(norm(hidden, codes)))
        return inputs + hidden
