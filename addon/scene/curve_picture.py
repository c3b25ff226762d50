# SPDX-License-Identifier: GPL-3.0-or-later
"""Small curves as pixels, for a panel that can show pictures and draw no lines."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Points = Sequence[tuple[float, float]]
MARGIN_PX = 4.0


def draw_curves(
    size_px: int, curves: Sequence[tuple[Points, tuple[float, float, float]]]
) -> NDArray[np.float32]:
    """(size, size, 4) with rows upwards and premultiplied, as Blender draws icons. X of points is
    in [0, 1]; each curve has the height to itself, from its least to its greatest value.
    """
    picture = np.zeros((size_px, size_px, 4), dtype=np.float32)
    picture[..., :3], picture[..., 3] = 0.5, 0.10
    for quarter in (0.25, 0.5, 0.75):
        picture[round(quarter * size_px), :, 3] = 0.25
    for points, color in curves:
        if points:
            _draw(picture, np.array(points, dtype=np.float64), np.array(color))
    picture[..., :3] *= picture[..., 3:]
    return picture


def _draw(
    picture: NDArray[np.float32], points: NDArray[np.float64], color: NDArray[np.float64]
) -> None:
    size = len(picture)
    inside = size - 2 * MARGIN_PX
    x = MARGIN_PX + inside * points[:, 0].clip(0, 1)
    low, high = points[:, 1].min(), points[:, 1].max()
    share = (points[:, 1] - low) / (high - low) if high > low else np.full(len(x), 0.5)
    y = MARGIN_PX + inside * share
    columns = np.arange(size) + 0.5
    drawn = (columns >= x[0] - 1.5) & (columns <= x[-1] + 1.5)
    # Where a curve is steep, a column shows all that it passes through.
    edges = np.interp(np.arange(size + 1), x, y)
    lower, upper = np.minimum(edges[:-1], edges[1:]), np.maximum(edges[:-1], edges[1:])
    rows = (np.arange(size) + 0.5)[:, None]
    away = np.maximum(np.maximum(lower - rows, rows - upper), 0)
    cover = np.where(drawn, (1.5 - away).clip(0, 1), 0)[..., None]
    picture[..., :3] = picture[..., :3] * (1 - cover) + color * cover
    picture[..., 3:] = np.maximum(picture[..., 3:], cover)
