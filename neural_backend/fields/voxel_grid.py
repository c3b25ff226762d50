# SPDX-License-Identifier: GPL-3.0-or-later
"""A radiance field of voxels: density and harmonic color at the corners of active cells."""

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..kernels import voxel_grid as kernels
from ..kernels.memory import zeros
from ..kernels.threads import for_each
from ..kernels.voxel_grid import Grid, Space
from ..kernels.voxel_grid_reference import NOTHING, harmonics, squeeze

_BLOCK = 2
"""Cells along the side of the blocks by which empty space is jumped."""
_NEIGHBORHOOD = 8
"""Corners along the side of the cubes whose rows follow each other."""


class VoxelGridField:
    """Density and color interpolated between the stored corners of a grid, nothing elsewhere.

    Density is a softplus of what is interpolated, color a sigmoid of the harmonics' sum.

    Source: Fridovich-Keil et al. 2022, "Plenoxels", sec. 3.1; Sun et al. 2022, "DVGO", sec. 4
    (activation
        after interpolation).
    Differs: sigmoid instead of a clamped color; corners are stored only where the scene can be.
    """

    def __init__(
        self, space: Space, stored: Bool[Tensor, "x y z"], degree: int, raw_density: float
    ) -> None:
        self.num_basis = (degree + 1) ** 2
        self.space = space
        self._set_stored(stored)
        # Padded to whole vectors of the processor.
        channels = -(-(1 + 3 * self.num_basis) // 16) * 16
        self.rows = zeros(len(self.cells), channels, like=torch.empty(0, device=stored.device))
        self.rows[:, 0] = raw_density
        self.refresh_skip(NOTHING)

    @property
    def grid(self) -> Grid:
        return Grid(self.space, self.index, self.skip, self.rows, self.num_basis)

    @property
    def cell_size(self) -> float:
        """Side of a cell inside the bounds, in scene units."""
        return self.space.half / self.space.cells_per_unit

    @property
    def strides(self) -> tuple[int, ...]:
        """From a corner to its six neighbours in the flat index."""
        _, ny, nz = self.index.shape
        return (ny * nz, -ny * nz, nz, -nz, 1, -1)

    def density(self, points: Float[Tensor, "points 3"]) -> Float[Tensor, " points"]:
        """Density per scene unit at world positions."""
        places, reach = squeeze(self.space, points)
        raw = kernels.lookup(self.grid, places, 1)[:, 0]
        return F.softplus(raw) * (self.space.density_scale / self.space.half) / reach.square()

    def color(
        self, points: Float[Tensor, "points 3"], directions: Float[Tensor, "points 3"]
    ) -> Float[Tensor, "points 3"]:
        """Color in [0, 1] at world positions, seen along `directions`."""
        places, _ = squeeze(self.space, points)
        features = kernels.lookup(self.grid, places, self.rows.shape[1], partial=True)
        coefficients = features[:, 1 : 1 + 3 * self.num_basis].reshape(-1, self.num_basis, 3)
        basis = harmonics(directions, self.num_basis)
        return torch.sigmoid((coefficients * basis[..., None]).sum(dim=-2))

    def raw_of_opacity(self, opacity: float) -> float:
        """The raw density at which a cell's side has this opacity."""
        depth = -np.log1p(-opacity) * self.space.cells_per_unit / self.space.density_scale
        return float(np.log(np.expm1(depth))) if depth < 30 else float(depth)

    def refresh_skip(self, raw_threshold: float) -> None:
        """Samples only cells with a corner above `raw_threshold` from now on.

        `skip` stays where it is as long as the grid does: recorded steps read it there.
        """
        occupied = self._occupied_cells(raw_threshold)
        missing = [-size % _BLOCK for size in reversed(occupied.shape)]
        padded = F.pad(occupied, [0, missing[0], 0, missing[1], 0, missing[2]])
        blocks = F.max_pool3d(padded[None].float(), _BLOCK)[0] > 0
        distances = _chessboard_distances(blocks)
        jumps = torch.where(distances > 1, (distances - 1) * _BLOCK, 1).clamp(max=255)
        jumps = jumps.to(torch.uint8)
        for axis in range(3):
            jumps = jumps.repeat_interleave(_BLOCK, dim=axis)
        x, y, z = occupied.shape
        self.skip.copy_(torch.where(occupied > 0, 0, jumps[:x, :y, :z]))

    def refine(self, cells_per_unit: float, opacity: float) -> None:
        """Goes on with smaller cells, leaving out corners around which no cell has this opacity.

        Where nothing would be left, the grid stays as it is.
        """
        raw = torch.full(self.index.shape, NOTHING, device=self.rows.device)
        raw.view(-1)[self.cells.long()] = self.rows[:, 0]
        nearby = F.max_pool3d(raw[None], 3, stride=1, padding=1)[0]
        keep = (nearby > self.raw_of_opacity(opacity)) & (self.index >= 0)
        space = replace(self.space, cells_per_unit=cells_per_unit)
        scale = self.space.cells_per_unit / cells_per_unit
        stored = keep
        for axis, size in enumerate(grid_shape(space)):
            nearest = (torch.arange(size, device=keep.device) * scale).round().long()
            stored = stored.index_select(axis, nearest.clamp(max=keep.shape[axis] - 1))
        stored = _whole_cells(stored)
        if not stored[1:-1, 1:-1, 1:-1].any():
            return
        before = self.grid
        self.space = space
        self._set_stored(stored)
        places = self._corner_places().float() * scale
        self.rows = kernels.lookup(before, places, before.rows.shape[1], partial=True)
        self.refresh_skip(self.raw_of_opacity(opacity))

    def _set_stored(self, stored: Bool[Tensor, "x y z"]) -> None:
        # A border of unstored corners spares the kernels from asking whether a neighbour exists.
        inner = torch.zeros_like(stored)
        inner[1:-1, 1:-1, 1:-1] = stored[1:-1, 1:-1, 1:-1]
        self.cells: Int[Tensor, " rows"] = _by_neighborhood(inner)
        self.index = zeros(*stored.shape, like=self.cells).fill_(-1)
        self.index.view(-1)[self.cells.long()] = torch.arange(
            len(self.cells), dtype=torch.int32, device=stored.device
        )
        self.skip = torch.zeros(stored.shape, dtype=torch.uint8, device=stored.device)

    def _corner_places(self) -> Int[Tensor, "rows 3"]:
        _, ny, nz = self.index.shape
        flat = self.cells.long()
        return torch.stack([flat // (ny * nz), flat // nz % ny, flat % nz], dim=-1)

    def _occupied_cells(self, raw_threshold: float) -> Tensor:
        """uint8, 1 for cells with all corners stored and one denser than the threshold."""
        if self.rows.device.type == "cpu":
            from ..kernels.voxel_cells_numba import opaque_cells

            cells = np.zeros(self.index.shape, dtype=np.uint8)
            index, rows = self.index.numpy(), self.rows.numpy()
            for_each(
                lambda x: opaque_cells(x, x + 1, index, np.float32(raw_threshold), rows, cells),
                len(cells) - 1,
            )
            return torch.from_numpy(cells)
        raw = torch.full(self.index.shape, -torch.inf, device=self.rows.device)
        raw.view(-1)[self.cells.long()] = self.rows[:, 0]
        lowest = -F.max_pool3d(-raw[None], 2, stride=1)[0]
        highest = F.max_pool3d(raw[None], 2, stride=1)[0]
        occupied = (lowest > -torch.inf) & (highest > raw_threshold)
        return F.pad(occupied.to(torch.uint8), (0, 1, 0, 1, 0, 1))


def grid_shape(space: Space) -> tuple[int, int, int]:
    """Corners along each axis."""
    x, y, z = (int(np.floor(2 * side * space.cells_per_unit)) + 2 for side in space.extent)
    return x, y, z


def _by_neighborhood(stored: Bool[Tensor, "x y z"]) -> Int[Tensor, " rows"]:
    """The flat places of stored corners, one cube of them after the other.

    Along a ray rows are then close together in memory, which is read faster so.
    """
    places = torch.arange(stored.numel(), dtype=torch.int32, device=stored.device)
    places = torch.where(stored, places.view(stored.shape), -1)
    side = _NEIGHBORHOOD
    missing_x, missing_y, missing_z = (-size % side for size in stored.shape)
    cubes = F.pad(places, (0, missing_z, 0, missing_y, 0, missing_x), value=-1)
    x, y, z = (size // side for size in cubes.shape)
    ordered = cubes.view(x, side, y, side, z, side).permute(0, 2, 4, 1, 3, 5).reshape(-1)
    return ordered[ordered >= 0]


def _whole_cells(stored: Bool[Tensor, "x y z"]) -> Bool[Tensor, "x y z"]:
    """The corners of the cells whose lower and upper corner are both stored."""
    cells = stored[:-1, :-1, :-1] & stored[1:, 1:, 1:]
    corners = torch.zeros_like(stored)
    nx, ny, nz = cells.shape
    for corner in range(8):
        x, y, z = corner >> 2, (corner >> 1) & 1, corner & 1
        corners[x : x + nx, y : y + ny, z : z + nz] |= cells
    return corners


def _chessboard_distances(blocks: Bool[Tensor, "x y z"]) -> Int[Tensor, "x y z"]:
    if blocks.device.type == "cpu":
        from ..kernels.voxel_cells_numba import block_distances

        table = np.where(blocks.numpy(), 0, 255).astype(np.uint8)
        block_distances(table)
        return torch.from_numpy(table).int()
    distances = torch.where(blocks, 0, 255).int()
    reached = blocks.float()[None]
    for distance in range(1, 64):
        wider = F.max_pool3d(reached, 3, stride=1, padding=1)
        distances = torch.where((wider > 0)[0] & (distances == 255), distance, distances)
        reached = wider
    return distances
