# SPDX-License-Identifier: GPL-3.0-or-later
"""Which places the cameras of a capture see, and how many of them do."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..geometry.cameras import Intrinsics, project


def count_views(
    points: NDArray[np.floating],
    lenses: Sequence[Intrinsics],
    camera_to_world: NDArray[np.floating],
    near: float = 0.0,
) -> NDArray[np.int32]:
    """How many of the cameras have each of (points, 3) in their pictures, from `near` on.

    `camera_to_world` is (views, 4, 4). What stands in between is not known, and does not count.
    """
    count = np.zeros(len(points), dtype=np.int32)
    finite = np.isfinite(points).all(axis=-1)
    for lens, pose in zip(lenses, camera_to_world, strict=True):
        local = (points[finite] - pose[:3, 3]) @ pose[:3, :3]
        at = project(lens, local)
        # Comparisons with NaN, where the lens sees nothing, are false.
        inside = ((at >= 0) & (at <= (lens.width, lens.height))).all(axis=-1)
        count[finite] += inside & (np.linalg.norm(local, axis=-1) >= near)
    return count
