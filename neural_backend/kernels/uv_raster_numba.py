# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the triangle that lies over each texel of a texture."""

import math

import numpy as np

from .compilation import jit


@jit
def rasterize(corners, faces, shares):
    """Fills `faces` (height, width) with numbers of triangles and `shares` (height, width, 3).

    `corners` (triangles, 3, 2) are in texels from the texture's upper left corner; the center of
    the first texel is at (0.5, 0.5). `shares` are the barycentric coordinates of a texel's center.
    Where triangles meet or overlap the last one counts; texels under none keep what they have.

    Source: Pineda 1988, "A parallel algorithm for polygon rasterization", sec. 3 (edge functions).
    """
    height, width = faces.shape
    for face in range(len(corners)):
        ax, ay = corners[face, 0, 0], corners[face, 0, 1]
        bx, by = corners[face, 1, 0], corners[face, 1, 1]
        cx, cy = corners[face, 2, 0], corners[face, 2, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0.0:
            continue
        left = max(0, math.floor(min(ax, min(bx, cx)) - 0.5))
        right = min(width - 1, math.ceil(max(ax, max(bx, cx)) - 0.5))
        top = max(0, math.floor(min(ay, min(by, cy)) - 0.5))
        bottom = min(height - 1, math.ceil(max(ay, max(by, cy)) - 0.5))
        for row in range(top, bottom + 1):
            y = row + 0.5
            for column in range(left, right + 1):
                x = column + 0.5
                first = ((bx - x) * (cy - y) - (by - y) * (cx - x)) / area
                second = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) / area
                third = 1.0 - first - second
                if first >= -1e-9 and second >= -1e-9 and third >= -1e-9:
                    faces[row, column] = face
                    shares[row, column, 0] = np.float32(first)
                    shares[row, column, 1] = np.float32(second)
                    shares[row, column, 2] = np.float32(third)
