# SPDX-License-Identifier: GPL-3.0-or-later
"""A field on a sparse grid: blocks of voxels where there is something, nothing elsewhere.

Instead of a color each voxel has what it emits, color times density: interpolated between a full
and an empty voxel a color would turn dark, what is emitted fades with the density.
"""

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from .isosurface import MAX_POINTS, ValueFn

SIDE = 8
"""Voxels along a block: those of OpenVDB's leaves, so that one becomes the other."""

MeanColorFn = Callable[[Float[Tensor, "points 3"]], Float[Tensor, "points 3"]]


@dataclass(frozen=True)
class DensityBlocks:
    """`corners` (blocks, 3) are the indices of each block's first voxel, multiples of `SIDE`.

    The voxel (i, j, k) is centered at `lower + (index + 0.5) · voxel`. `density` (blocks, 8, 8, 8)
    is per scene unit, `emission` (blocks, 8, 8, 8, 3) linear light per scene unit.
    """

    lower: NDArray[np.float64]
    voxel: float
    shape: tuple[int, int, int]
    corners: NDArray[np.int32]
    density: NDArray[np.float32]
    emission: NDArray[np.float32]

    @property
    def share_filled(self) -> float:
        """How much of the box is not empty."""
        return float(np.count_nonzero(self.density)) / math.prod(self.shape)


@dataclass(frozen=True)
class OpacityLimits:
    """Shares of light that a voxel stops: below `smallest` it is empty, above `largest` cut."""

    smallest: float
    largest: float

    def applied(self, density: Tensor, voxel: float) -> Tensor:
        """The density between the limits; what is not a number is empty."""
        least, most = (-math.log1p(-opacity) / voxel for opacity in (self.smallest, self.largest))
        density = torch.nan_to_num(density, nan=0.0, posinf=most).clamp(max=most)
        return torch.where(density < max(least, 1e-30), 0.0, density)


def sample_blocks(
    density_fn: ValueFn,
    color_fn: MeanColorFn,
    bounds: Float[Tensor, "2 3"],
    resolution: int,
    limits: OpacityLimits,
) -> Generator[tuple[int, int], None, DensityBlocks]:
    """Samples a field at the voxels' centers; yields how many of how many blocks are done.

    `resolution` is the number of voxels along the longest side. `color_fn` gives linear light.
    """
    lower, size = bounds[0].double(), (bounds[1] - bounds[0]).double()
    voxel = float(size.max()) / resolution
    shape = [max(1, math.ceil(float(side) / voxel - 1e-6)) for side in size]
    counts = [math.ceil(count / SIDE) for count in shape]
    total = math.prod(counts)
    at_once = max(1, MAX_POINTS // SIDE**3)
    within = torch.stack(torch.meshgrid(*[torch.arange(SIDE)] * 3, indexing="ij"), dim=-1)
    within = within.reshape(-1, 3).to(bounds.device)
    limit = torch.tensor(shape, device=bounds.device)
    corners, densities, emissions = [], [], []
    for start in range(0, total, at_once):
        yield start, total
        numbers = torch.arange(start, min(total, start + at_once), device=bounds.device)
        first = SIDE * torch.stack(
            [
                numbers // (counts[1] * counts[2]),
                numbers // counts[2] % counts[1],
                numbers % counts[2],
            ],
            dim=-1,
        )
        index = first[:, None] + within
        points = (lower + (index + 0.5) * voxel).float().reshape(-1, 3)
        density = limits.applied(density_fn(points).detach().float(), voxel)
        density = density.view(len(first), -1) * (index < limit).all(dim=-1)
        filled = (density > 0).any(dim=-1)
        if not filled.any():
            continue
        density, points = density[filled], points.view(len(first), -1, 3)[filled]
        emission = torch.zeros_like(points)
        some = density > 0
        emission[some] = color_fn(points[some]).float() * density[some][:, None]
        corners.append(first[filled].int().cpu().numpy())
        densities.append(density.view(-1, SIDE, SIDE, SIDE).cpu().numpy())
        emissions.append(emission.view(-1, SIDE, SIDE, SIDE, 3).cpu().numpy())
    return DensityBlocks(
        lower=lower.cpu().numpy(),
        voxel=voxel,
        shape=(shape[0], shape[1], shape[2]),
        corners=_joined(corners, (0, 3), np.int32),
        density=_joined(densities, (0, SIDE, SIDE, SIDE), np.float32),
        emission=_joined(emissions, (0, SIDE, SIDE, SIDE, 3), np.float32),
    )


def _joined(parts: list[NDArray], empty: tuple[int, ...], kind: type) -> NDArray:
    return np.concatenate(parts) if parts else np.zeros(empty, kind)
