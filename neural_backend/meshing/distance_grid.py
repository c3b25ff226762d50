# SPDX-License-Identifier: GPL-3.0-or-later
"""Evaluating a field whose values cannot change fast on a fine grid, only where its surface is.

A cube of grid points whose middle is farther from the level than values can change on the way to
its corners lies on one side; any other is cut into eight. What is found is what the whole grid
would have shown, from a share of its points that shrinks as the grid grows.
"""

from collections.abc import Generator
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray

from .grid import BLOCK, BlockGrid, BlockIndex, Lattice
from .isosurface import Isosurface

_LAST_SIDE = 2
"""Points along the smallest cube that is judged by its middle."""


def evaluate_by_distance(
    surface: Isosurface, lattice: Lattice
) -> Generator[tuple[int, int], None, BlockGrid]:
    """As `grid.evaluate_near_surface`, for a surface that knows how steep it is at most.

    Yields (steps done, steps known of) as it goes; returns the grid.

    Raises:
        ValueError: if the surface does not know it.
    """
    if not surface.steepest > 0:
        raise ValueError(f"expected a surface with a positive slope, got {surface.steepest}")
    count = lattice.num_blocks
    blocks = np.argwhere(np.ones(count, dtype=bool))
    cut, inside = _judged(surface, lattice, blocks * BLOCK - 1, BLOCK)
    uniform = np.zeros(count, dtype=bool)
    uniform[tuple(blocks[inside].T)] = True
    # The layer around the grid is outside: a solid that reaches it has a surface there.
    rim = inside & _touches_layer(lattice, blocks)
    cut |= rim
    active = blocks[cut]
    signs = np.zeros((len(active), BLOCK, BLOCK, BLOCK), dtype=bool)
    signs[rim[cut]] = True
    yield 1, 1 + len(active)
    order = np.flatnonzero(~rim[cut])
    rows = max(1, (1 << 16) // 8**3)
    for start in range(0, len(order), rows):
        chosen = order[start : start + rows]
        _cut_further(surface, lattice, active[chosen], chosen, signs)
        yield 1 + start + len(chosen), 1 + len(active)
    _empty_layer(lattice, active, signs)
    return _assembled(lattice, active, signs, uniform)


def _cut_further(
    surface: Isosurface,
    lattice: Lattice,
    blocks: NDArray[np.int64],
    rows: NDArray[np.int64],
    signs: NDArray[np.bool_],
) -> None:
    """Fills `signs[rows]` of these blocks."""
    side = BLOCK
    places = np.zeros((len(blocks), 3), dtype=np.int64)
    owners = np.arange(len(blocks))
    while side > 1:
        side //= 2
        shifts = np.array(list(product((0, side), repeat=3)))
        places = (places[:, None] + shifts).reshape(-1, 3)
        owners = np.repeat(owners, 8)
        lower = blocks[owners] * BLOCK - 1 + places
        if side < _LAST_SIDE:
            values = _values(surface, lattice, np.clip(lower, 0, lattice.cells).astype(float))
            x, y, z = places[values >= 0].T
            signs[rows[owners[values >= 0]], x, y, z] = True
            return
        cut, inside = _judged(surface, lattice, lower, side)
        number = BLOCK // side
        by_cube = signs.reshape(-1, number, side, number, side, number, side)
        x, y, z = (places[inside] // side).T
        by_cube[rows[owners[inside]], x, :, y, :, z, :] = True
        places, owners = places[cut], owners[cut]


def _judged(
    surface: Isosurface, lattice: Lattice, lower: NDArray[np.int64], side: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which cubes may hold some of the surface, and which others are inside.

    Only the part of a cube that is in the grid counts: beyond it fields have learned nothing.
    """
    low = np.maximum(lower, 0)
    high = np.minimum(lower + side - 1, lattice.cells)
    exists = (low <= high).all(axis=-1)
    middle = (low[exists] + high[exists]) / 2
    reach = np.linalg.norm((high[exists] - low[exists]) / 2 * lattice.cell, axis=-1)
    values = _values(surface, lattice, middle)
    near = np.abs(values) <= surface.steepest * reach
    cut, inside = np.zeros(len(lower), dtype=bool), np.zeros(len(lower), dtype=bool)
    cut[exists] = near
    inside[exists] = ~near & (values > 0)
    return cut, inside


def _values(
    surface: Isosurface, lattice: Lattice, indices: NDArray[np.float64]
) -> NDArray[np.float32]:
    points = torch.from_numpy(lattice.world(indices).astype(np.float32))
    return surface.signed(points.to(surface.bounds.device)).cpu().numpy()


def _touches_layer(lattice: Lattice, blocks: NDArray[np.int64]) -> NDArray[np.bool_]:
    # One point more at the end: the first of the next block belongs to this one's last cells.
    last = blocks * BLOCK + BLOCK - 1
    return ((blocks == 0) | (last > lattice.cells)).any(axis=-1)


def _empty_layer(lattice: Lattice, active: NDArray[np.int64], signs: NDArray[np.bool_]) -> None:
    """Nothing beyond the grid is inside."""
    index = active[:, :, None] * BLOCK - 1 + np.arange(BLOCK)
    exists = (index >= 0) & (index <= np.array(lattice.cells)[:, None])
    for number in np.flatnonzero(~exists.all(axis=(1, 2))):
        x, y, z = exists[number]
        signs[number] &= x[:, None, None] & y[:, None] & z


def _assembled(
    lattice: Lattice,
    active: NDArray[np.int64],
    signs: NDArray[np.bool_],
    uniform: NDArray[np.bool_],
) -> BlockGrid:
    """Blocks with the points that they share with the next ones, where both signs occur."""
    own: dict[BlockIndex, NDArray[np.bool_]] = {
        _index(block): signs[number] for number, block in enumerate(active)
    }
    touched = {
        _index(np.array(block) - shift)
        for block in own
        for shift in product((0, 1), repeat=3)
        if min(np.array(block) - shift) >= 0
    }
    grid = BlockGrid(lattice)
    for block in sorted(touched):
        inside = np.zeros((BLOCK + 1,) * 3, dtype=bool)
        for shift in product((0, 1), repeat=3):
            x, y, z = (start + step for start, step in zip(block, shift, strict=True))
            if not all(index < size for index, size in zip((x, y, z), uniform.shape, strict=True)):
                continue
            target = tuple(slice(BLOCK, None) if step else slice(0, BLOCK) for step in shift)
            source = tuple(slice(0, 1) if step else slice(None) for step in shift)
            known = own.get((x, y, z))
            inside[target] = uniform[x, y, z] if known is None else known[source]
        if inside.any() and not inside.all():
            grid.blocks[block] = inside
        else:
            grid.uniform[block] = bool(inside[0, 0, 0])
    return grid


def _index(block: NDArray[np.int64]) -> BlockIndex:
    x, y, z = block.tolist()
    return x, y, z
