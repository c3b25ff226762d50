# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sparse voxel grid holds, and where it is empty, on CPUs."""

import numpy as np

from .compilation import jit

ZERO, ONE = np.float32(0.0), np.float32(1.0)


@jit
def opaque_cells(first, last, index, raw_threshold, rows, cells):
    """Marks in `cells` those with all corners stored, one of them above the threshold."""
    ny, nz = index.shape[1] - 1, index.shape[2] - 1
    for x in range(first, last):
        for y in range(ny):
            for z in range(nz):
                stored, dense = True, False
                for corner in range(8):
                    row = index[x + (corner >> 2), y + ((corner >> 1) & 1), z + (corner & 1)]
                    if row < 0:
                        stored = False
                        break
                    dense |= rows[np.uint32(row), 0] > raw_threshold
                cells[x, y, z] = np.uint8(stored and dense)


@jit
def block_distances(distances):
    """Turns a uint8 grid, 0 where occupied and 255 elsewhere, into chessboard distances.

    Source: Rosenfeld and Pfaltz 1968, "Distance functions on digital pictures".
    """
    nx, ny, nz = distances.shape
    for sweep in range(2):
        sign = 1 - 2 * sweep
        for a in range(nx):
            x = a if sweep == 0 else nx - 1 - a
            for b in range(ny):
                y = b if sweep == 0 else ny - 1 - b
                for c in range(nz):
                    z = c if sweep == 0 else nz - 1 - c
                    nearest = np.int32(distances[x, y, z])
                    if nearest == 0:
                        continue
                    for k in range(13):
                        i = x + sign * (k // 9 - 1)
                        j = y + sign * (k // 3 % 3 - 1)
                        m = z + sign * (k % 3 - 1)
                        if 0 <= i < nx and 0 <= j < ny and 0 <= m < nz:
                            nearest = min(nearest, np.int32(distances[i, j, m]) + 1)
                    distances[x, y, z] = nearest


@jit
def lookup(first, last, places, index, rows, partial, out):
    """Interpolates the first channels of the rows at positions in cells.

    Where a corner is not stored the result is −30 and zeros; with `partial` the stored ones stand
    in.
    """
    n0, n1, n2 = index.shape
    num_channels = out.shape[1]
    for point in range(first, last):
        for c in range(num_channels):
            out[point, c] = ZERO
        x, y, z = places[point, 0], places[point, 1], places[point, 2]
        ix, iy, iz = np.int64(np.floor(x)), np.int64(np.floor(y)), np.int64(np.floor(z))
        fx, fy, fz = x - np.float32(ix), y - np.float32(iy), z - np.float32(iz)
        total, missing = ZERO, False
        for corner in range(8):
            i, j, k = ix + (corner >> 2), iy + ((corner >> 1) & 1), iz + (corner & 1)
            inside = 0 <= i < n0 and 0 <= j < n1 and 0 <= k < n2
            row = index[i, j, k] if inside else np.int32(-1)
            if row < 0:
                missing = True
                continue
            share = (
                (fx if corner & 4 else ONE - fx)
                * (fy if corner & 2 else ONE - fy)
                * (fz if corner & 1 else ONE - fz)
            )
            total += share
            for c in range(num_channels):
                out[point, c] += share * rows[np.uint32(row), c]
        if (missing and not partial) or total < np.float32(1e-6):
            for c in range(num_channels):
                out[point, c] = ZERO
            out[point, 0] = np.float32(-30.0)
        elif missing:
            for c in range(num_channels):
                out[point, c] /= total
