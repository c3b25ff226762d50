# SPDX-License-Identifier: GPL-3.0-or-later
"""How the features of a hash grid change with the place they are read at, on the CPU."""

import numpy as np

from .compilation import jit
from .hash_grid_numba import BLOCK, level_mask, locate_block


@jit
def add_point_gradient(points, table, resolutions, offsets, gradient, d_points, start, count):
    """Adds to d_points[:3] what the `gradient` of features hands back to points.

    All three are matrices of samples, of which start … start + count - 1 are looked at. Nothing is
    handed back along an axis where a point lies outside the unit cube: there its border is read.
    """
    per_level = table.shape[1]
    rows, weights = np.empty((8, BLOCK), np.int32), np.empty((8, BLOCK), np.float32)
    products = np.empty((8, BLOCK), np.float32)
    for level in range(resolutions.shape[0]):
        mask = level_mask(resolutions, offsets, level)
        for first in range(start, start + count, BLOCK):
            many = min(BLOCK, start + count - first)
            locate_block(
                points, first, many, resolutions[level], offsets[level], mask, rows, weights
            )
            if per_level == 4:
                _multiply_rows_of_4(table, rows, gradient, 4 * level, first, many, products)
            else:
                _multiply_rows_of_2(table, rows, gradient, 2 * level, first, many, products)
            _slope_block(points, products, first, many, resolutions[level], d_points)


@jit
def _multiply_rows_of_4(table, rows, gradient, row, first, many, products):
    """The table's rows at 8 corners times the gradient of the features blended from them."""
    g0, g1, g2, g3 = gradient[row], gradient[row + 1], gradient[row + 2], gradient[row + 3]
    for s in range(many):
        a, b, c, d = g0[first + s], g1[first + s], g2[first + s], g3[first + s]
        for corner in range(8):
            seen = table[rows[corner, s]]
            products[corner, s] = seen[0] * a + seen[1] * b + seen[2] * c + seen[3] * d


@jit
def _multiply_rows_of_2(table, rows, gradient, row, first, many, products):
    g0, g1 = gradient[row], gradient[row + 1]
    for s in range(many):
        a, b = g0[first + s], g1[first + s]
        for corner in range(8):
            seen = table[rows[corner, s]]
            products[corner, s] = seen[0] * a + seen[1] * b


@jit
def _slope_block(points, products, first, many, resolution, d_points):
    """The slope of a trilinear blend of 8 numbers, added up."""
    largest, highest = np.float32(resolution), np.int32(resolution - 1)
    zero, one = np.float32(0), np.float32(1)
    p0, p1, p2, p3 = products[0], products[1], products[2], products[3]
    p4, p5, p6, p7 = products[4], products[5], products[6], products[7]
    px, py, pz = points[0], points[1], points[2]
    for s in range(many):
        x, y, z = px[first + s] * largest, py[first + s] * largest, pz[first + s] * largest
        inside_x = largest if x > zero and x < largest else zero
        inside_y = largest if y > zero and y < largest else zero
        inside_z = largest if z > zero and z < largest else zero
        x, y, z = (
            min(max(x, zero), largest),
            min(max(y, zero), largest),
            min(max(z, zero), largest),
        )
        u = x - np.float32(min(np.int32(x), highest))
        v = y - np.float32(min(np.int32(y), highest))
        w = z - np.float32(min(np.int32(z), highest))
        low_x = (one - w) * ((one - v) * (p1[s] - p0[s]) + v * (p3[s] - p2[s]))
        high_x = w * ((one - v) * (p5[s] - p4[s]) + v * (p7[s] - p6[s]))
        low_y = (one - w) * ((one - u) * (p2[s] - p0[s]) + u * (p3[s] - p1[s]))
        high_y = w * ((one - u) * (p6[s] - p4[s]) + u * (p7[s] - p5[s]))
        low_z = (one - v) * ((one - u) * (p4[s] - p0[s]) + u * (p5[s] - p1[s]))
        high_z = v * ((one - u) * (p6[s] - p2[s]) + u * (p7[s] - p3[s]))
        d_points[0, first + s] += inside_x * (low_x + high_x)
        d_points[1, first + s] += inside_y * (low_y + high_y)
        d_points[2, first + s] += inside_z * (low_z + high_z)
