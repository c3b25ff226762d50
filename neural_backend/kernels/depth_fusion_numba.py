# SPDX-License-Identifier: GPL-3.0-or-later
"""Adds up what many depth pictures say about points: the hot loop for CPUs."""

import math

import numpy as np

from .compilation import jit


@jit
def fuse(first, last, points, cameras, sizes, offsets, depths, band, out):
    """Fills out[first:last]; see `kernels.depth_fusion.fused_distance` for what it means.

    `cameras` holds world-to-camera (3 × 4, row by row), then focal lengths and center; `sizes` is
    (height, width) of each picture, whose rows lie in `depths` from `offsets` on.
    """
    one, zero, half = np.float32(1), np.float32(0), np.float32(0.5)
    for place in range(first, last):
        px, py, pz = points[place, 0], points[place, 1], points[place, 2]
        total, weights, seen = zero, zero, False
        for view in range(len(cameras)):
            camera = cameras[view]
            z = -(camera[8] * px + camera[9] * py + camera[10] * pz + camera[11])
            if z <= np.float32(1e-6):
                continue
            x = camera[0] * px + camera[1] * py + camera[2] * pz + camera[3]
            y = -(camera[4] * px + camera[5] * py + camera[6] * pz + camera[7])
            u = camera[14] + camera[12] * x / z - half
            v = camera[15] + camera[13] * y / z - half
            height, width = sizes[view, 0], sizes[view, 1]
            if not (u >= -half and v >= -half and u < width - half and v < height - half):
                continue
            seen = True
            left = min(max(math.floor(u), 0), width - 2)
            top = min(max(math.floor(v), 0), height - 2)
            at = offsets[view] + top * width + left
            a, b, c, d = depths[at], depths[at + 1], depths[at + width], depths[at + width + 1]
            fu = min(max(u - np.float32(left), zero), one)
            fv = min(max(v - np.float32(top), zero), one)
            stretch = math.sqrt(x * x + y * y + z * z) / z
            if max(max(a, b), max(c, d)) - min(min(a, b), min(c, d)) < band:
                depth = (one - fv) * ((one - fu) * a + fu * b) + fv * ((one - fu) * c + fu * d)
            elif fv < half:
                depth = a if fu < half else b
            else:
                depth = c if fu < half else d
            distance = (depth - z) * stretch
            if distance <= -band:
                continue
            weight = min(one, one + distance / band)
            total += weight * min(distance, band)
            weights += weight
        if weights > zero:
            out[place] = total / weights
        else:
            out[place] = -band if seen else band
