# SPDX-License-Identifier: GPL-3.0-or-later
"""Spreads the CPU kernels of the hash grid over the threads."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .hash_grid_numba import add_gradient, encode
from .hash_grid_slope_numba import add_point_gradient
from .threads import for_each, spans

Floats = NDArray[np.float32]
CHUNK = 4096


def encode_points(
    points: Floats, table: Floats, resolutions: Sequence[int], offsets: Sequence[int]
) -> Floats:
    """Features (points, levels · features) of points (points, 3)."""
    columns = np.ascontiguousarray(points.T)
    features = np.empty((len(resolutions) * table.shape[1], len(points)), np.float32)
    levels, starts = np.array(resolutions, np.int64), np.array(offsets, np.int64)
    pieces = spans(len(points), CHUNK)

    def work(task: int) -> None:
        start, end = pieces[task]
        encode(columns, table, levels, starts, features, start, end - start)

    for_each(work, len(pieces))
    return np.ascontiguousarray(features.T)


def table_gradient(
    points: Floats,
    gradient: Floats,
    shape: Sequence[int],
    resolutions: Sequence[int],
    offsets: Sequence[int],
) -> Floats:
    """What `encode_points` hands back to its table. One thread owns a level: nothing races."""
    columns = np.ascontiguousarray(points.T)
    levels, starts = np.array(resolutions, np.int64), np.array(offsets, np.int64)
    by_level = np.ascontiguousarray(
        gradient.reshape(len(points), len(levels), shape[1]).transpose(1, 0, 2)
    )
    total = np.zeros(tuple(shape), np.float32)

    def work(level: int) -> None:
        add_gradient(columns, by_level[level], total, levels, starts, level, 0, len(points))

    for_each(work, len(levels))
    return total


def point_gradient(
    points: Floats,
    gradient: Floats,
    table: Floats,
    resolutions: Sequence[int],
    offsets: Sequence[int],
) -> Floats:
    """What `encode_points` hands back to its points."""
    columns, by_feature = np.ascontiguousarray(points.T), np.ascontiguousarray(gradient.T)
    levels, starts = np.array(resolutions, np.int64), np.array(offsets, np.int64)
    total = np.zeros_like(columns)
    pieces = spans(len(points), CHUNK)

    def work(task: int) -> None:
        start, end = pieces[task]
        add_point_gradient(columns, table, levels, starts, by_feature, total, start, end - start)

    for_each(work, len(pieces))
    return np.ascontiguousarray(total.T)
