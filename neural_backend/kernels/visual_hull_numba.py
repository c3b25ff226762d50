# SPDX-License-Identifier: GPL-3.0-or-later
"""Carves cells away that some picture shows as empty."""

import math

import numpy as np

from .compilation import jit


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
def carve(first, last, lower, cell, cameras, offsets, sizes, sums, kept):
    """Marks in `kept` (x, y, z) the cells that no camera sees as empty and at least one sees.

    `sums` holds the summed-area tables of the silhouettes, (height + 1, width + 1) each, one after
    the other from `offsets`; `sizes` are (height, width). A cell is looked up with its whole
    outline.

    Source: Laurentini 1994, "The visual hull concept"; Crow 1984, "Summed-area tables".
    """
    radius = cell * 0.8660254  # half the diagonal of a cell
    for ix in range(first, last):
        for iy in range(kept.shape[1]):
            for iz in range(kept.shape[2]):
                x = lower[0] + (ix + 0.5) * cell
                y = lower[1] + (iy + 0.5) * cell
                z = lower[2] + (iz + 0.5) * cell
                seen, keep = False, True
                for view in range(len(cameras)):
                    u, v, depth = _project(cameras[view], x, y, z)
                    if depth <= 0.0:
                        continue
                    height, width = sizes[view, 0], sizes[view, 1]
                    reach_x = radius * cameras[view, 12] / depth
                    reach_y = radius * cameras[view, 13] / depth
                    # What reaches over the picture's edge may be full there.
                    if (
                        u - reach_x < 0
                        or v - reach_y < 0
                        or u + reach_x > width
                        or v + reach_y > height
                    ):
                        continue
                    seen = True
                    left, top = int(u - reach_x), int(v - reach_y)
                    right, bottom = (
                        min(int(u + reach_x) + 1, width),
                        min(int(v + reach_y) + 1, height),
                    )
                    table, stride = offsets[view], width + 1
                    inside = (
                        sums[table + bottom * stride + right]
                        - sums[table + top * stride + right]
                        - sums[table + bottom * stride + left]
                        + sums[table + top * stride + left]
                    )
                    if inside == 0:
                        keep = False
                        break
                kept[ix, iy, iz] = np.uint8(keep and seen)
