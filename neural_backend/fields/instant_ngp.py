# SPDX-License-Identifier: GPL-3.0-or-later
"""The radiance field of instant-ngp: a hash grid and two small networks."""

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..encodings.hash_grid import HashGrid
from ..encodings.spherical_harmonics import spherical_harmonics
from ..geometry.boxes import inside_box
from ..geometry.contraction import contract, uncontract
from ..kernels.fused_mlp import Gathered, color_mlp, density_mlp
from ..kernels.hash_grid import HashGridLayout
from ..kernels.instant_ngp import NetworkSizes


class InstantNGPField(nn.Module):
    """Density and color from hash-grid features.

    The density network also reads `more_features` that others find (see `density_of_features`).
    The unit frame moves the middle of `bounds` to the origin, and `frame` times half its longest
    side to length 1.
    An unbounded field describes all of space: its hash grid lies in contracted space, and the
    density it learns is that per contracted length, so that far things are as easy as near ones.

    Source: Müller et al. 2022, "Instant neural graphics primitives", sec. 5.4.
    Differs: space outside the bounds is contracted; `density_shift` starts with thin fog.
    """

    bounds: Float[Tensor, "2 3"]
    center: Float[Tensor, "3"]
    half: float  # type: ignore[assignment]  # not torch's method of that name

    def __init__(
        self,
        layout: HashGridLayout,
        bounds: Float[Tensor, "2 3"],
        unbounded: bool,
        width: int = 64,
        color_layers: int = 2,
        density_shift: float = -1.0,
        frame: float = 1.0,
        generator: torch.Generator | None = None,
        more_features: int = 0,
    ) -> None:
        super().__init__()
        self.unbounded = unbounded
        num_features = layout.num_features + more_features
        self.sizes = NetworkSizes(num_features, width, color_layers, density_shift)
        self.register_buffer("bounds", bounds.clone())
        self.register_buffer("center", (bounds[0] + bounds[1]) / 2, persistent=False)
        self.half = float((bounds[1] - bounds[0]).max()) / 2 * frame
        self.encoding = HashGrid(layout, generator)
        matrices = []
        for rows, columns in self.sizes.shapes:
            # Glorot's bound, as for each matrix alone.
            bound = math.sqrt(6 / (rows + columns))
            matrices.append((torch.rand(rows * columns, generator=generator) * 2 - 1) * bound)
        self.weights = nn.Parameter(torch.cat(matrices))

    def to_unit(self, points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
        """Positions in the unit frame."""
        return (points - self.center) / self.half

    def unit_density(
        self, points: Float[Tensor, "points 3"]
    ) -> tuple[Float[Tensor, " points"], Float[Tensor, "points geometry"]]:
        """Density per unit length at points of the unit frame, and what colors are made from."""
        return self.density_in_cube(*self.to_cube(points))

    def density_in_cube(
        self, cube: Float[Tensor, "points 3"], squeeze: Float[Tensor, " points"]
    ) -> tuple[Float[Tensor, " points"], Float[Tensor, "points geometry"]]:
        """`unit_density` at what `to_cube` says of points."""
        return self.density_of_features(self.encoding(cube), squeeze)

    def to_cube(
        self, points: Float[Tensor, "points 3"]
    ) -> tuple[Float[Tensor, "points 3"], Float[Tensor, " points"]]:
        """Where points of the unit frame lie in the hash grid, and how much space shrinks there."""
        if self.unbounded:
            return contract(points) / 4 + 0.5, 1 / points.abs().amax(dim=-1).clamp(min=1)
        return points / 2 + 0.5, torch.ones_like(points[:, 0])

    def from_cube(self, cube: Float[Tensor, "points 3"]) -> Float[Tensor, "points 3"]:
        """Positions in scene units of places in the hash grid's cube."""
        points = uncontract(cube * 4 - 2) if self.unbounded else cube * 2 - 1
        return points * self.half + self.center

    def density_of_features(
        self, features: Float[Tensor, "points features"], squeeze: Float[Tensor, " points"]
    ) -> tuple[Float[Tensor, " points"], Float[Tensor, "points geometry"]]:
        """`unit_density` from what the hash grid tells, and more features where there are any."""
        layers, shift = self.sizes.density_network, self.sizes.density_shift
        return density_mlp(features, self.weights, layers, shift, squeeze)

    def unit_color(
        self,
        geometry: Float[Tensor, "points geometry"],
        harmonics: Float[Tensor, "directions harmonics"],
        owners: Int[Tensor, " points"] | None = None,
    ) -> Float[Tensor, "points 3"]:
        """Color in [0, 1] seen along directions with these `view_harmonics`, each that of the
        points that it owns, or of one point each.
        """
        seen_along = Gathered(harmonics, owners)
        return color_mlp(geometry, self.weights, self.sizes.color_network, seen_along)

    def density(
        self,
        points: Float[Tensor, "*batch 3"],
        condition: Any = None,
    ) -> Float[Tensor, "*batch"]:
        flat = points.reshape(-1, 3)
        density, _ = self.unit_density(self.to_unit(flat))
        return self._cut(flat, density / self.half).reshape(points.shape[:-1])

    def forward(
        self,
        points: Float[Tensor, "*batch 3"],
        directions: Float[Tensor, "*#batch 3"],
        condition: Any = None,
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch 3"]]:
        flat = points.reshape(-1, 3)
        density, geometry = self.unit_density(self.to_unit(flat))
        harmonics = view_harmonics(directions.expand(points.shape).reshape(-1, 3))
        rgb = self.unit_color(geometry, harmonics)
        density = self._cut(flat, density / self.half)
        return density.reshape(points.shape[:-1]), rgb.reshape(points.shape)

    def _cut(self, points: Tensor, density: Tensor) -> Tensor:
        return density if self.unbounded else density * inside_box(points, self.bounds)


def view_harmonics(
    directions: Float[Tensor, "points 3"],
) -> Float[Tensor, "points harmonics"]:
    """What the color network is told of a direction."""
    return spherical_harmonics(directions, 3)
