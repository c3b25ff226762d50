# SPDX-License-Identifier: GPL-3.0-or-later
"""Waves of random direction and frequency."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn


class FourierFeatures(nn.Module):
    """Lifts coordinates to cosines and sines along directions drawn once from a Gaussian.

    A vector v becomes cos(2π B v), then sin(2π B v), with `num_features` rows in B. `scale` is the
    standard deviation of B in periods per unit of v: larger ones follow finer detail and fit noise
    sooner. B belongs to the state.

    Source: Tancik et al. 2020, "Fourier features let networks learn high frequency functions in low
        dimensional domains", sec. 6.1 (Gaussian mapping).
    """

    waves: Tensor

    def __init__(
        self, in_dim: int, num_features: int, scale: float, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        if num_features < 1 or scale <= 0:
            raise ValueError(
                f"num_features and scale must be positive, got {num_features} and {scale}"
            )
        self.out_dim = 2 * num_features
        waves = scale * torch.randn(num_features, in_dim, generator=generator)
        self.register_buffer("waves", waves)

    def forward(self, coordinates: Float[Tensor, "*batch in"]) -> Float[Tensor, "*batch out"]:
        # In bf16, as under autocast, a product has too few digits for a phase.
        with torch.autocast(coordinates.device.type, enabled=False):
            phases = coordinates @ (2 * math.pi * self.waves.T)
        return torch.cat([phases.cos(), phases.sin()], dim=-1)
