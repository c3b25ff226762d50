# SPDX-License-Identifier: GPL-3.0-or-later
"""Carves cells away that some picture shows as empty."""

import math

import numpy as np

from .compilation import jit

BLOCK = 4
"""Cells along the side of those that are looked up at once."""


@jit
def _project(camera, x, y, z):
    """Image position and depth of a world point; depth 0 where the lens cannot say.

    `camera` holds world-to-camera (3 × 4, row by row), focal lengths, center, 1 for a fisheye, and
    eight distortion coefficients in OpenCV's order.
    """
    cx = camera[0] * x + camera[1] * y + camera[2] * z + camera[3]
    cy = -(camera[4] * x + camera[5] * y + camera[6] * z + camera[7])
    cz = -(camera[8] * x + camera[9] * y + camera[10] * z + camera[11])
    if cz <= 1e-6:
        return 0.0, 0.0, 0.0
    px, py = cx / cz, cy / cz
    r2 = px * px + py * py
    if camera[16] > 0.5:
        radius = math.sqrt(r2)
        theta = math.atan(radius)
        t2 = theta * theta
        bent = theta * (
            1 + t2 * (camera[17] + t2 * (camera[18] + t2 * (camera[19] + t2 * camera[20])))
        )
        scale = bent / radius if radius > 1e-9 else 1.0
        px, py = px * scale, py * scale
    else:
        k1, k2, p1, p2, k3 = camera[17], camera[18], camera[19], camera[20], camera[21]
        # Beyond the turning point of the polynomial a lens seems to see what it does not.
        if 1 + r2 * (3 * k1 + r2 * (5 * k2 + r2 * 7 * k3)) <= 0:
            return 0.0, 0.0, 0.0
        radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (
            1 + r2 * (camera[22] + r2 * (camera[23] + r2 * camera[24]))
        )
        bent_x = px * radial + 2 * p1 * px * py + p2 * (r2 + 2 * px * px)
        bent_y = py * radial + p1 * (r2 + 2 * py * py) + 2 * p2 * px * py
        px, py = bent_x, bent_y
    return camera[14] + camera[12] * px, camera[15] + camera[13] * py, cz


@jit
def _sight(x, y, z, radius, nearer, cameras, offsets, sizes, sums):
    """What silhouettes say of a ball: 0 it is empty, 2 all are full of it, 1 neither, −1 unseen.

    `nearer` is how much closer to a camera than its center the ball may be. What reaches over a
    picture's edge may be full there.
    """
    seen, full = False, True
    for view in range(len(cameras)):
        u, v, depth = _project(cameras[view], x, y, z)
        if depth <= nearer:
            full = False
            continue
        height, width = sizes[view, 0], sizes[view, 1]
        reach_x = radius * cameras[view, 12] / (depth - nearer)
        reach_y = radius * cameras[view, 13] / (depth - nearer)
        if u - reach_x < 0 or v - reach_y < 0 or u + reach_x > width or v + reach_y > height:
            full = False
            continue
        seen = True
        left, top = int(u - reach_x), int(v - reach_y)
        right = min(int(u + reach_x) + 1, width)
        bottom = min(int(v + reach_y) + 1, height)
        table, stride = offsets[view], width + 1
        inside = (
            sums[table + bottom * stride + right]
            - sums[table + top * stride + right]
            - sums[table + bottom * stride + left]
            + sums[table + top * stride + left]
        )
        if inside == 0:
            return 0
        full &= inside == (right - left) * (bottom - top)
    if not seen:
        return -1
    return 2 if full else 1


@jit
def carve(first, last, lower, cell, cameras, offsets, sizes, sums, kept):
    """Marks in `kept` (x, y, z) the cells that no camera sees as empty and at least one sees.

    `sums` holds the summed-area tables of the silhouettes, (height + 1, width + 1) each, one after
    the other from `offsets`; `sizes` are (height, width). Cells are looked up with their whole
    outline; `BLOCK`³ of them at once first, and one by one where these are neither empty nor full.
    `first` and `last` count blocks.

    Source: Laurentini 1994, "The visual hull concept"; Crow 1984, "Summed-area tables".
    """
    radius = cell * 0.8660254  # half the diagonal of a cell
    across, ny, nz = kept.shape
    for bx in range(first, last):
        for by in range(-(-ny // BLOCK)):
            for bz in range(-(-nz // BLOCK)):
                x = lower[0] + (bx + 0.5) * BLOCK * cell
                y = lower[1] + (by + 0.5) * BLOCK * cell
                z = lower[2] + (bz + 0.5) * BLOCK * cell
                whole = BLOCK * radius
                block = _sight(x, y, z, whole, whole, cameras, offsets, sizes, sums)
                if block == 0:
                    continue
                for ix in range(bx * BLOCK, min(across, (bx + 1) * BLOCK)):
                    for iy in range(by * BLOCK, min(ny, (by + 1) * BLOCK)):
                        for iz in range(bz * BLOCK, min(nz, (bz + 1) * BLOCK)):
                            here = block
                            if block != 2:
                                x = lower[0] + (ix + 0.5) * cell
                                y = lower[1] + (iy + 0.5) * cell
                                z = lower[2] + (iz + 0.5) * cell
                                here = _sight(x, y, z, radius, 0.0, cameras, offsets, sizes, sums)
                            kept[ix, iy, iz] = np.uint8(here > 0)
