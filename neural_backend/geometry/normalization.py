# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the things of interest are, judged by the cameras that look at them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .cameras import Intrinsics


def meeting_point(poses: NDArray[np.float64]) -> NDArray[np.float64]:
    """The point nearest to all optical axes, in the sense of least squares; poses are (views, 4, 4)."""
    origins, axes = poses[:, :3, 3], -poses[:, :3, 2]
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    return np.linalg.lstsq(across.sum(0), (across @ origins[:, :, None]).sum(0)[:, 0], rcond=None)[
        0
    ]


def estimate_bounds(
    poses: NDArray[np.float64],
    intrinsics: Sequence[Intrinsics],
    points: NDArray[np.float64] | None = None,
    depths: tuple[float, float] | None = None,
    has_alpha: bool = True,
) -> NDArray[np.float64]:
    """The (2, 3) box where the things of interest are."""
    center = meeting_point(poses)
    distances = np.linalg.norm(poses[:, :3, 3] - center, axis=-1)
    widest = [
        max(one.width / one.focal_x_px, one.height / one.focal_y_px) / 2 for one in intrinsics
    ]
    half = float(np.median(distances * widest)) if has_alpha else float(np.median(distances)) / 2
    return np.stack([center - half, center + half])
