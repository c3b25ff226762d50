# SPDX-License-Identifier: GPL-3.0-or-later
"""The field of NeRF: one MLP from position and view direction to density and color."""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ..encodings.fourier_features import FourierFeatures
from ..encodings.frequency import PositionalEncoding
from ..networks.mlp import MLP, linear

Encoding = Literal["none", "positional", "fourier"]
DensityActivation = Literal["relu", "softplus"]


class NeRFField(nn.Module):
    """Density and color from a deep MLP with a skip connection.

    Points are scaled so that the longest side of `bounds` spans [-1, 1]. With `unbounded`, what
    lies outside is drawn into the shell between the box and one of twice its size. A `condition`
    of `appearance_dim` numbers changes the color, but not the density.

    Source: Mildenhall et al. 2020, "NeRF", sec. 5.1 and fig. 7; for `encoding` "fourier" Tancik et
        al. 2020, "Fourier features"; for `unbounded` Barron et al. 2022, "Mip-NeRF 360", eq. 10.
    Differs: density is per scene unit, so the MLP's is divided by half the longest side;
        `density_activation` "softplus" keeps a gradient where "relu" (the paper's) is zero;
        without `view_dependence` the color branch stays and loses only its direction; the
        contraction takes the largest coordinate instead of the Euclidean length, so that a box
        stays a box.

    Raises:
        ValueError: if `depth` leaves no layer for the skip connection.
    """

    bounds: Tensor
    center: Tensor
    half_side: Tensor

    def __init__(
        self,
        bounds: Float[Tensor, "2 3"],
        unbounded: bool = False,
        width: int = 256,
        depth: int = 8,
        encoding: Encoding = "positional",
        position_frequencies: int = 10,
        direction_frequencies: int = 4,
        fourier_features: int = 256,
        fourier_scale: float = 4.0,
        view_dependence: bool = True,
        density_activation: DensityActivation = "relu",
        appearance_dim: int = 0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if depth < 3:
            raise ValueError(f"depth must be at least 3, got {depth}")
        self.unbounded = unbounded
        self.density_activation = density_activation
        self.register_buffer("bounds", bounds.clone())
        self.register_buffer("center", bounds.mean(dim=0))
        self.register_buffer("half_side", (bounds[1] - bounds[0]).amax() / 2)

        self.encode_points: nn.Module
        if encoding == "fourier":
            self.encode_points = FourierFeatures(3, fourier_features, fourier_scale, generator)
        else:
            octaves = position_frequencies if encoding == "positional" else 0
            self.encode_points = PositionalEncoding(3, octaves)
        self.encode_directions: nn.Module | None = None
        direction_dim = 0
        if view_dependence:
            octaves = 0 if encoding == "none" else direction_frequencies
            self.encode_directions = PositionalEncoding(3, octaves)
            direction_dim = self.encode_directions.out_dim

        # In the paper the input joins the fifth of eight layers' activations.
        self.trunk = MLP(self.encode_points.out_dim, width, depth, depth // 2 + 1, generator)
        self.to_density = linear(width, 1, generator)
        self.to_feature = linear(width, width, generator)
        in_dim = width + direction_dim + appearance_dim
        self.color_layer = linear(in_dim, width // 2, generator)
        self.to_rgb = linear(width // 2, 3, generator)

    def density(
        self,
        points: Float[Tensor, "*batch 3"],
        condition: Float[Tensor, "*#batch appearance"] | None = None,
    ) -> Float[Tensor, "*batch"]:
        """Density per scene unit at world positions, whatever the appearance."""
        return self._activated(self.to_density(self._trunk(points)), None)

    def forward(
        self,
        points: Float[Tensor, "*batch 3"],
        directions: Float[Tensor, "*#batch 3"],
        condition: Float[Tensor, "*#batch appearance"] | None = None,
        density_noise: Float[Tensor, "*batch"] | None = None,
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch 3"]]:
        """Density, and the color in [0, 1] seen along unit `directions`.

        `density_noise` is added before the density's activation: the paper's regulariser for real
        scenes (appendix A).
        """
        hidden = self._trunk(points)
        density = self._activated(self.to_density(hidden), density_noise)
        seen = [self.to_feature(hidden)]
        if self.encode_directions is not None:
            seen.append(self.encode_directions(directions))
        if condition is not None:
            seen.append(condition)
        shape, dtype = points.shape[:-1], seen[0].dtype
        feature = torch.cat([part.to(dtype).expand(*shape, part.shape[-1]) for part in seen], -1)
        raw_rgb = self.to_rgb(F.relu(self.color_layer(feature)))
        return density, raw_rgb.to(points.dtype).sigmoid()

    def _trunk(self, points: Tensor) -> Tensor:
        unit_points = (points - self.center) / self.half_side
        if self.unbounded:
            unit_points = contract(unit_points) / 2
        return self.trunk(self.encode_points(unit_points))

    def _activated(self, raw_density: Tensor, noise: Tensor | None) -> Tensor:
        raw = raw_density.squeeze(-1).to(self.half_side.dtype)
        if noise is not None:
            raw = raw + noise
        if self.density_activation == "softplus":
            # Begins nearly empty, as the paper's rectified noise around zero would not.
            return F.softplus(raw - 1) / self.half_side
        return F.relu(raw) / self.half_side


def contract(unit_points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """Draws all space into [-2, 2]³; what is in [-1, 1]³ stays where it is.

    Source: Barron et al. 2022, "Mip-NeRF 360", eq. 10, with the largest coordinate as the length.
    """
    length = unit_points.abs().amax(dim=-1, keepdim=True).clamp(min=1)
    return unit_points * (2 - 1 / length) / length
