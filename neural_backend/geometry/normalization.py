# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the things of interest are, judged by the cameras that look at them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .cameras import Intrinsics

_ONE_WAY = 0.9
"""Cameras look one way when their mean viewing direction is at least this long; 1 for parallel
ones."""


def meeting_point(poses: NDArray[np.float64]) -> NDArray[np.float64]:
    """The point nearest to all optical axes, by least squares; poses are (views, 4, 4).

    For parallel axes, which meet nowhere, it is the one of the nearest points that lies closest
    to the world's origin.
    """
    origins, axes = poses[:, :3, 3], -poses[:, :3, 2]
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    nearest = (across @ origins[:, :, None]).sum(axis=0)[:, 0]
    return np.linalg.lstsq(across.sum(axis=0), nearest, rcond=1e-6)[0]


def estimate_bounds(
    poses: NDArray[np.float64],
    intrinsics: Sequence[Intrinsics],
    points: NDArray[np.float64] | None = None,
    depths: tuple[float, float] | None = None,
    has_alpha: bool = False,
) -> NDArray[np.float64]:
    """The (2, 3) box where the things of interest are.

    - Cameras around something: a cube about the point that they look at. With alpha (the pictures
      show nothing else) it is as large as what they see there; of photos it reaches half way to
      the cameras.
    - Cameras that look one way: what they see, from the nearest depth to the middle of the depths.
    - Cameras that look outwards: the surface points, or a box around the cameras.

    `points` are (num, 3) surface points, of which outliers are no harm; `depths` the nearest and
    farthest distances that were seen.
    """
    origins, axes = poses[:, :3, 3], -poses[:, :3, 2]
    center = meeting_point(poses)
    ahead = ((center - origins) * axes).sum(axis=-1)
    distance = float(np.median(np.linalg.norm(center - origins, axis=-1)))
    meets = bool(np.mean(ahead > 0.1 * distance) > 0.9) and distance > 0
    looks_one_way = bool(np.linalg.norm(axes.mean(axis=0)) > _ONE_WAY)
    has_points = points is not None and len(points) >= 100
    if meets and (has_alpha or not looks_one_way):
        half = distance * (_widest_slope(intrinsics) if has_alpha else 0.5)
        return np.stack([center - half, center + half])
    if has_points and points is not None:
        return _around(points, low=1, high=99, margin=0.05)
    if looks_one_way and (depths is not None or meets):
        near, far = depths or (0.5 * distance, 2.5 * distance)
        return _frustums(poses, intrinsics, near, (near + far) / 2)
    spread = float(np.linalg.norm(origins - origins.mean(axis=0), axis=-1).max())
    reach = depths[1] if depths is not None else (2 * spread or 1.0)
    middle = origins.mean(axis=0) + (reach * axes.mean(axis=0) if looks_one_way else 0)
    return np.stack([middle - reach, middle + reach])


def _widest_slope(intrinsics: Sequence[Intrinsics]) -> float:
    """Half of a picture's longer side at distance 1: the median of all lenses, at most 60°."""
    slopes = [
        max(one.width / one.focal_x_px, one.height / one.focal_y_px) / 2 for one in intrinsics
    ]
    return min(float(np.median(slopes)), float(np.tan(np.radians(60))))


def _frustums(
    poses: NDArray[np.float64], intrinsics: Sequence[Intrinsics], near: float, far: float
) -> NDArray[np.float64]:
    """The box around what most of the cameras see between two depths."""
    slope_x = np.array([one.width / one.focal_x_px / 2 for one in intrinsics])
    slope_y = np.array([one.height / one.focal_y_px / 2 for one in intrinsics])
    corners = [
        poses[:, :3, 3]
        + depth
        * (
            side_x * slope_x[:, None] * poses[:, :3, 0]
            + side_y * slope_y[:, None] * poses[:, :3, 1]
            - poses[:, :3, 2]
        )
        for depth in (near, far)
        for side_x in (-1, 1)
        for side_y in (-1, 1)
    ]
    return np.median([np.min(corners, axis=0), np.max(corners, axis=0)], axis=1)


def _around(
    points: NDArray[np.float64], low: float, high: float, margin: float
) -> NDArray[np.float64]:
    """The box around points between percentiles, widened by a share of its longest side."""
    box = np.percentile(points, [low, high], axis=0)
    widening = margin * max(float(np.ptp(box, axis=0).max()), 1e-6)
    return box + np.array([[-widening], [widening]])
