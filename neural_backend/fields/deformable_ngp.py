# SPDX-License-Identifier: GPL-3.0-or-later
"""A radiance field that moves: a small network bends space, a hash grid describes it at rest."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..geometry.boxes import inside_box
from ..kernels.deformable_ngp import DeformationSizes
from .instant_ngp import InstantNGPField, view_harmonics


def time_conditions(
    times: Float[Tensor, " points"], octaves: int
) -> Float[Tensor, "points conditions"]:
    """What the deformation is told of times in [0, 1]; zeros fill up to a multiple of 4.

    Source: Pumarola et al. 2021, "D-NeRF", sec. 4 (positional encoding of the time).
    Differs: half the frequency, so that the first and the last time are not the same.
    """
    numbers = torch.arange(octaves, device=times.device, dtype=times.dtype)
    angles = times[:, None] * (math.pi * numbers.exp2())
    parts = [2 * times[:, None] - 1, angles.sin(), angles.cos()]
    missing = num_time_conditions(octaves) - 1 - 2 * octaves
    return torch.cat([*parts, times.new_zeros(len(times), missing)], dim=-1)


def num_time_conditions(octaves: int) -> int:
    """How many numbers `time_conditions` gives."""
    return -(-(1 + 2 * octaves) // 4) * 4


class DeformableNGPField(nn.Module):
    """Density and color at points and times (the `condition`), behind a deformation.

    The deformation network moves a position in the hash grid's cube at a time to where it lies in
    the `canonical` field, and hands on a few features that the canonical density network also
    reads, so that what is at rest in canonical space may still appear, vanish or change its color.
    It starts as the identity.

    Source: Pumarola et al. 2021, "D-NeRF" (a displacement into canonical space); Park et al. 2021,
        "HyperNeRF", sec. 3 (coordinates beside the canonical position, for what no warp explains);
        Müller et al. 2022, "Instant neural graphics primitives" (the canonical field).
    Differs: no time is canonical; far away, displacements are in contracted space.
    """

    def __init__(
        self,
        canonical: InstantNGPField,
        sizes: DeformationSizes,
        time_octaves: int,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.canonical, self.sizes, self.time_octaves = canonical, sizes, time_octaves
        matrices = []
        for rows, columns in sizes.shapes:
            bound = math.sqrt(6 / (rows + columns))
            matrices.append((torch.rand(rows * columns, generator=generator) * 2 - 1) * bound)
        self.weights = nn.Parameter(torch.cat([*matrices[:-1], torch.zeros_like(matrices[-1])]))

    @property
    def bounds(self) -> Float[Tensor, "2 3"]:
        return self.canonical.bounds

    def conditions(self, times: Float[Tensor, " points"]) -> Float[Tensor, "points conditions"]:
        """What the deformation is told of times."""
        return time_conditions(times, self.time_octaves)

    def deform(
        self,
        cube: Float[Tensor, "points 3"],
        conditions: Float[Tensor, "points conditions"],
    ) -> tuple[Float[Tensor, "points 3"], Float[Tensor, "points features"]]:
        """Displacements of places in the hash grid's cube, and the features that are handed on."""
        sizes = self.sizes
        pieces = self.weights.split([rows * columns for rows, columns in sizes.shapes])
        from_position, from_condition, hidden, out = (
            piece.view(shape) for piece, shape in zip(pieces, sizes.shapes, strict=True)
        )
        first = torch.relu(self._encode(cube) @ from_position.T + conditions @ from_condition.T)
        moved = torch.relu(first @ hidden.T) @ out.T
        return moved[:, :3] * sizes.reach, moved[:, 3 : 3 + sizes.features]

    def unit_density(
        self,
        points: Float[Tensor, "points 3"],
        conditions: Float[Tensor, "points conditions"],
    ) -> tuple[
        Float[Tensor, " points"], Float[Tensor, "points geometry"], Float[Tensor, "points 3"]
    ]:
        """Density per unit length, what colors are made from, and the displacement."""
        return self.density_in_cube(*self.canonical.to_cube(points), conditions)

    def density_in_cube(
        self,
        cube: Float[Tensor, "points 3"],
        squeeze: Float[Tensor, " points"],
        conditions: Float[Tensor, "points conditions"],
    ) -> tuple[
        Float[Tensor, " points"], Float[Tensor, "points geometry"], Float[Tensor, "points 3"]
    ]:
        """`unit_density` at what the canonical field's `to_cube` says of points."""
        shift, features = self.deform(cube, conditions)
        encoded = torch.cat([self.canonical.encoding(cube + shift), features], dim=-1)
        return *self.canonical.density_of_features(encoded, squeeze), shift

    def to_canonical(
        self, points: Float[Tensor, "points 3"], times: Float[Tensor, " points"]
    ) -> Float[Tensor, "points 3"]:
        """Where in the canonical field, in scene units, lies what is at world positions."""
        cube, _ = self.canonical.to_cube(self.canonical.to_unit(points))
        shift, _ = self.deform(cube, self.conditions(times))
        return self.canonical.from_cube((cube + shift).clamp(0, 1))

    def density(
        self, points: Float[Tensor, "*batch 3"], condition: Float[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch"]:
        """Density per scene unit at world positions."""
        flat = points.reshape(-1, 3)
        unit_points = self.canonical.to_unit(flat)
        density, _, _ = self.unit_density(unit_points, self.conditions(condition.reshape(-1)))
        return self._cut(flat, density / self.canonical.half).reshape(points.shape[:-1])

    def forward(
        self,
        points: Float[Tensor, "*batch 3"],
        directions: Float[Tensor, "*#batch 3"],
        condition: Float[Tensor, "*batch"],
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch 3"]]:
        flat = points.reshape(-1, 3)
        unit_points = self.canonical.to_unit(flat)
        found = self.unit_density(unit_points, self.conditions(condition.reshape(-1)))
        density, geometry, _ = found
        harmonics = view_harmonics(directions.expand(points.shape).reshape(-1, 3))
        rgb = self.canonical.unit_color(geometry, harmonics).reshape(points.shape)
        return self._cut(flat, density / self.canonical.half).reshape(points.shape[:-1]), rgb

    def _encode(self, cube: Tensor) -> Tensor:
        place = 2 * cube - 1
        octaves = torch.arange(self.sizes.octaves, device=place.device, dtype=place.dtype).exp2()
        angles = math.pi * octaves[:, None] * place[:, None, :]
        waves = torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)
        ones = place.new_ones(len(place), self.sizes.num_inputs - 3 - 6 * self.sizes.octaves)
        return torch.cat([place, waves, ones], dim=-1)

    def _cut(self, points: Tensor, density: Tensor) -> Tensor:
        if self.canonical.unbounded:
            return density
        return density * inside_box(points, self.bounds)
