# SPDX-License-Identifier: GPL-3.0-or-later
"""Triangles of an isosurface.

Source: Lorensen and Cline 1987, "Marching Cubes"; the tables are those of PyMCubes.
"""

from collections.abc import Generator

import mcubes
import numpy as np
import torch
from numpy.typing import NDArray

from .distance_grid import evaluate_by_distance
from .grid import BLOCK, BlockGrid, Lattice, evaluate_near_surface
from .isosurface import Isosurface

BISECTIONS = 5
"""Halvings of the interval in which a vertex is sought; a last linear step follows."""

GENTLE_BISECTIONS = 2
"""The same for a field that cannot change fast, which is nearly linear across a cell."""


def marching_cubes(
    surface: Isosurface, resolution: int, seed: int = 0
) -> Generator[tuple[int, int], None, tuple[NDArray[np.float32], NDArray[np.int64]]]:
    """Vertices in scene units and triangles, counter-clockwise seen from outside.

    The mesh is closed, at the faces of the box too. Yields (done, known of) as it goes.
    """
    lattice = Lattice.over(surface.bounds, resolution)
    if surface.steepest > 0:
        grid = yield from evaluate_by_distance(surface, lattice)
    else:
        grid = yield from evaluate_near_surface(surface, lattice, seed)
    edges, faces = polygonize(grid)
    indices = place_on_edges(surface, lattice, edges)
    return lattice.world(indices).astype(np.float32), faces


def polygonize(grid: BlockGrid) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The middles, in grid indices, of the edges that the surface crosses, and its triangles.

    Marching cubes is told only which points are inside: its vertices then are middles of edges,
    which two blocks never compute differently and two edges never share.
    """
    all_middles, all_faces, count = [np.zeros((0, 3))], [np.zeros((0, 3), dtype=np.int64)], 0
    for block in sorted(grid.blocks):
        signs = np.where(grid.blocks[block], np.float32(1), np.float32(-1))
        middles, faces = mcubes.marching_cubes(signs, 0.0)
        all_middles.append(middles + (np.array(block) * BLOCK - 1.0))
        all_faces.append(faces.astype(np.int64) + count)
        count += len(middles)
    middles = np.concatenate(all_middles)
    halves = np.round(2 * middles).astype(np.int64) + 2
    side = 2 * max(grid.lattice.cells) + 8
    keys = halves @ np.array([side * side, side, 1])
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    return middles[first], group.reshape(-1)[np.concatenate(all_faces)].reshape(-1, 3)


def place_on_edges(
    surface: Isosurface, lattice: Lattice, middles: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Where the field crosses its level on grid edges that are given by their middles.

    Interpolating between the edge's ends is only right for a linear field; trained density jumps
    by orders of magnitude within a cell, which would leave steps on the surface. Edges into the
    layer around the grid end at its face.
    """
    low, high = np.floor(middles), np.ceil(middles)
    within = ((low >= 0) & (high <= lattice.cells)).all(axis=-1)
    placed = np.clip(middles, 0, lattice.cells)
    low, high = low[within], high[within]
    low_value, high_value = _values(surface, lattice, low), _values(surface, lattice, high)
    for _ in range(GENTLE_BISECTIONS if surface.steepest > 0 else BISECTIONS):
        middle = (low + high) / 2
        value = _values(surface, lattice, middle)
        same_side = (value >= 0) == (low_value >= 0)
        low[same_side], low_value[same_side] = middle[same_side], value[same_side]
        high[~same_side], high_value[~same_side] = middle[~same_side], value[~same_side]
    # Equal signs are left only where an end lies at the level within rounding.
    size = np.abs(low_value.astype(np.float64)), np.abs(high_value.astype(np.float64))
    share = size[0] / np.maximum(size[0] + size[1], 1e-300)
    placed[within] = low + share[:, None] * (high - low)
    return placed


def _values(
    surface: Isosurface, lattice: Lattice, indices: NDArray[np.float64]
) -> NDArray[np.float32]:
    points = torch.from_numpy(lattice.world(indices).astype(np.float32))
    return surface.signed(points.to(surface.bounds.device)).cpu().numpy()
