# SPDX-License-Identifier: GPL-3.0-or-later
"""Evaluating a field on a fine grid only where its surface is.

The grid is cut into blocks. A coarse pass finds blocks that hold some of the surface; wherever the
surface leaves a block through a face, the block beyond follows. So a part of the surface that
the coarse pass meets anywhere is found whole, however thin it is elsewhere, and memory grows with
the surface's area instead of the box's volume.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from itertools import product

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from .isosurface import MAX_POINTS, Isosurface

BLOCK = 32
"""Cells along a block's side."""

MAX_STRIDE = 4
"""Cells along a coarse cell's side; fewer where that would leave less than 64 coarse cells."""

JITTERED = 3
"""Random samples within a coarse cell, beside those at its corners."""

MARGIN = 0.25
"""Share of a coarse cell's range of values by which the field may rise between its samples."""

OUTSIDE = -1e30
"""Value of the layer around the grid that closes the surface at the box's faces."""

BlockIndex = tuple[int, int, int]


@dataclass(frozen=True)
class Lattice:
    """Grid points over a box: index i along an axis lies at `lower + i * cell`, 0 ≤ i ≤ `cells`.

    One layer of outside points surrounds them, so blocks begin at index -1.
    """

    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    cells: tuple[int, int, int]

    @classmethod
    def over(cls, bounds: Float[Tensor, "2 3"], resolution: int) -> "Lattice":
        """`resolution` cells along the longest side, nearly cubic, that fill the box exactly.

        Raises:
            ValueError: if `resolution` is not positive or the box is empty.
        """
        lower, upper = bounds.detach().cpu().double().numpy()
        extent = upper - lower
        if resolution < 1 or not (extent > 0).all() or not np.isfinite(extent).all():
            raise ValueError(
                f"expected a resolution of at least 1 and a box with volume, got {resolution} "
                f"and {lower.tolist()} to {upper.tolist()}"
            )
        x, y, z = np.maximum(np.round(extent / extent.max() * resolution), 1).astype(int).tolist()
        return cls(lower, upper, (x, y, z))

    @property
    def cell(self) -> NDArray[np.float64]:
        return (self.upper - self.lower) / self.cells

    @property
    def num_blocks(self) -> BlockIndex:
        x, y, z = (-(-(count + 2) // BLOCK) for count in self.cells)
        return x, y, z

    def world(self, indices: NDArray[np.number]) -> NDArray[np.float64]:
        """Positions of grid indices (..., 3), which need not be whole."""
        return self.lower + indices.astype(np.float64) * self.cell


@dataclass
class BlockGrid:
    """Which grid points are inside, for the blocks that hold some of the surface.

    A block has BLOCK + 1 points along each axis; neighbours share those of their common face.
    `uniform` says of each block that was looked at and holds no surface whether it is inside.
    """

    lattice: Lattice
    blocks: dict[BlockIndex, NDArray[np.bool_]] = field(default_factory=dict)
    uniform: dict[BlockIndex, bool] = field(default_factory=dict)

    @property
    def num_evaluated(self) -> int:
        return len(self.blocks) + len(self.uniform)


def evaluate_near_surface(
    surface: Isosurface, lattice: Lattice, seed: int = 0
) -> Generator[tuple[int, int], None, BlockGrid]:
    """Yields (steps done, steps known of) as it goes; returns the grid."""
    coarse = yield from _blocks_near_surface(surface, lattice, seed)
    steps = len(_coarse_edges(lattice)[0]) - 1
    grid = BlockGrid(lattice)
    waiting = sorted(coarse)
    known = set(waiting)
    while waiting:
        # A few blocks at once keep the field busy; more would only wait to be stored.
        batch, waiting = waiting[: MAX_POINTS // BLOCK**3], waiting[MAX_POINTS // BLOCK**3 :]
        for block, inside in zip(batch, _evaluate(surface, lattice, batch), strict=True):
            _take_shared_points(grid, block, inside)
            if inside.all() or not inside.any():
                grid.uniform[block] = bool(inside[0, 0, 0])
                continue
            grid.blocks[block] = inside
            for neighbor in _neighbors_across_surface(inside, block, lattice.num_blocks):
                if neighbor not in known:
                    known.add(neighbor)
                    waiting.append(neighbor)
        yield steps + grid.num_evaluated, steps + len(known)
    return grid


def _coarse_edges(lattice: Lattice) -> list[NDArray[np.int64]]:
    stride = min(max(max(lattice.cells) // 64, 2), MAX_STRIDE)
    return [np.append(np.arange(0, count, stride), count) for count in lattice.cells]


def _blocks_near_surface(
    surface: Isosurface, lattice: Lattice, seed: int
) -> Generator[tuple[int, int], None, list[BlockIndex]]:
    """Blocks that touch a coarse cell within which the field may cross its level."""
    random = torch.Generator().manual_seed(seed)
    edges = _coarse_edges(lattice)
    touched = [_first_and_last_blocks(edge) for edge in edges]
    layers = len(edges[0]) - 1
    found = np.zeros(lattice.num_blocks, dtype=bool)
    high_face = _coarse_face(surface, lattice, edges, 0)
    for layer in range(layers):
        low_face, high_face = high_face, _coarse_face(surface, lattice, edges, layer + 1)
        inner = _jittered_values(surface, lattice, edges, layer, random)
        corners = np.stack([face[y, z] for face in (low_face, high_face) for y, z in _CORNERS])
        values = np.concatenate([corners, inner])
        low, high = values.min(axis=0), values.max(axis=0)
        may_reach = high + MARGIN * (high - low) >= 0
        # The layer around the grid is outside: a solid that reaches a face of the box ends there.
        low[[0, -1]] = low[:, [0, -1]] = OUTSIDE
        if layer in (0, layers - 1):
            low[:] = OUTSIDE
        y, z = np.nonzero((low < 0) & may_reach)
        for side_x, side_y, side_z in product((0, 1), repeat=3):
            x_block = touched[0][side_x][layer]
            found[x_block, touched[1][side_y][y], touched[2][side_z][z]] = True
        yield layer + 1, layers + int(found.sum())
    return [(int(x), int(y), int(z)) for x, y, z in np.argwhere(found)]


def _first_and_last_blocks(
    edges: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of each coarse cell along an axis, those at the ends with the outside layer beside them."""
    first, last = (edges[:-1] + 1) // BLOCK, edges[1:] // BLOCK
    first[0], last[-1] = 0, (edges[-1] + 1) // BLOCK
    return first, last


_CORNERS = tuple(product((slice(None, -1), slice(1, None)), repeat=2))


def _coarse_face(
    surface: Isosurface, lattice: Lattice, edges: list[NDArray[np.int64]], layer: int
) -> NDArray[np.float32]:
    x = edges[0][layer : layer + 1]
    indices = np.stack(np.meshgrid(x, edges[1], edges[2], indexing="ij"), axis=-1)[0]
    return _signed(surface, lattice, indices)


def _jittered_values(
    surface: Isosurface,
    lattice: Lattice,
    edges: list[NDArray[np.int64]],
    layer: int,
    random: torch.Generator,
) -> NDArray[np.float32]:
    starts = [edges[0][layer : layer + 1], edges[1][:-1], edges[2][:-1]]
    sizes = [np.diff(edges[0])[layer : layer + 1], np.diff(edges[1]), np.diff(edges[2])]
    lower = np.stack(np.meshgrid(*starts, indexing="ij"), axis=-1)
    size = np.stack(np.meshgrid(*sizes, indexing="ij"), axis=-1)
    shift = torch.rand(JITTERED, *lower.shape[1:], generator=random).numpy()
    return _signed(surface, lattice, lower + shift * size)


def _signed(
    surface: Isosurface, lattice: Lattice, indices: NDArray[np.number]
) -> NDArray[np.float32]:
    points = torch.from_numpy(lattice.world(indices.reshape(-1, 3)).astype(np.float32))
    values = surface.signed(points.to(surface.bounds.device))
    return values.cpu().numpy().reshape(indices.shape[:-1])


def _evaluate(
    surface: Isosurface, lattice: Lattice, batch: list[BlockIndex]
) -> list[NDArray[np.bool_]]:
    """Which points of several blocks are inside, with one call; those beyond the grid are not."""
    axes = [
        [BLOCK * block[axis] - 1 + np.arange(BLOCK + 1) for axis in range(3)] for block in batch
    ]
    valid = [
        [(index >= 0) & (index <= count) for index, count in zip(three, lattice.cells, strict=True)]
        for three in axes
    ]
    indices = [
        np.stack(
            np.meshgrid(
                *(index[keep] for index, keep in zip(three, kept, strict=True)), indexing="ij"
            ),
            axis=-1,
        )
        for three, kept in zip(axes, valid, strict=True)
    ]
    flat = _signed(surface, lattice, np.concatenate([block.reshape(-1, 3) for block in indices]))
    results, start = [], 0
    for block, kept in zip(indices, valid, strict=True):
        count = block.size // 3
        inside = np.zeros((BLOCK + 1,) * 3, dtype=bool)
        inside[np.ix_(*kept)] = flat[start : start + count].reshape(block.shape[:3]) >= 0
        results.append(inside)
        start += count
    return results


_SHARED: dict[int, tuple[int | slice, int | slice]] = {
    -1: (0, BLOCK),
    0: (slice(None), slice(None)),
    1: (BLOCK, 0),
}
"""By a neighbor's offset: where the shared points lie in a block, and where in that neighbor."""


def _take_shared_points(grid: BlockGrid, block: BlockIndex, inside: NDArray[np.bool_]) -> None:
    """Shared points are what the block that came first says of them.

    A network's result can depend in its last digits on what else is in the batch; a sign that
    differs between two blocks would tear the surface.
    """
    for offset in product((-1, 0, 1), repeat=3):
        x, y, z = (start + step for start, step in zip(block, offset, strict=True))
        own, theirs = (tuple(_SHARED[step][which] for step in offset) for which in (0, 1))
        if (x, y, z) in grid.blocks:
            inside[own] = grid.blocks[x, y, z][theirs]
        elif (x, y, z) in grid.uniform:
            inside[own] = grid.uniform[x, y, z]


def _neighbors_across_surface(
    inside: NDArray[np.bool_], block: BlockIndex, num_blocks: BlockIndex
) -> Iterator[BlockIndex]:
    for axis, side in product(range(3), (-1, 1)):
        face = inside.take(0 if side < 0 else BLOCK, axis=axis)
        index = block[axis] + side
        if face.any() and not face.all() and 0 <= index < num_blocks[axis]:
            x, y, z = (index if number == axis else block[number] for number in range(3))
            yield x, y, z
