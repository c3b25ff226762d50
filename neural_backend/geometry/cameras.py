# SPDX-License-Identifier: GPL-3.0-or-later
"""Lens models: from pixels to directions and back.

Cameras look along −Z with Y up (Blender, OpenGL, transforms.json); image rows run downwards; the
center of the first pixel is at (0.5, 0.5). Distortion follows OpenCV, whose camera looks along +Z
with Y down. Past the field of view where a lens's polynomial stops rising it means nothing: no
point is seen there, and pixels there look along the edge of that field.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

LensModel = Literal["OPENCV", "OPENCV_FISHEYE"]

_WIDEST_SLOPE = 20.0
"""Perspective lenses are looked at up to this tangent of the angle to the axis, 87°."""


@dataclass(frozen=True, kw_only=True)
class Intrinsics:
    """A perspective or fisheye lens in front of an image of a known size.

    A pinhole is `OPENCV` without distortion. `distortion` holds OpenCV's coefficients, missing ones
    are zero: k1 k2 p1 p2 k3 k4 k5 k6 for `OPENCV` (k4 k5 k6 are the denominator of its rational
    model), k1 k2 k3 k4 for `OPENCV_FISHEYE`.
    """

    width: int
    height: int
    focal_x_px: float
    focal_y_px: float
    center_x_px: float
    center_y_px: float
    model: LensModel = "OPENCV"
    distortion: tuple[float, ...] = ()

    def resized(self, width: int, height: int) -> "Intrinsics":
        """The same lens in front of the same picture at another size."""
        scale_x, scale_y = width / self.width, height / self.height
        return replace(
            self,
            width=width,
            height=height,
            focal_x_px=self.focal_x_px * scale_x,
            focal_y_px=self.focal_y_px * scale_y,
            center_x_px=self.center_x_px * scale_x,
            center_y_px=self.center_y_px * scale_y,
        )

    @property
    def is_distorted(self) -> bool:
        return self.model == "OPENCV_FISHEYE" or any(self.distortion)


def pixel_directions(
    intrinsics: Intrinsics, pixels: NDArray[np.floating] | None = None
) -> NDArray[np.float32]:
    """Unit directions, in camera space, of the rays through `pixels`.

    `pixels` are (..., 2) image positions (x right, y down); by default every pixel's center, as
    (height, width, 2).
    """
    if pixels is None:
        x, y = np.meshgrid(np.arange(intrinsics.width) + 0.5, np.arange(intrinsics.height) + 0.5)
        pixels = np.stack([x, y], axis=-1)
    seen = np.stack(
        [
            (pixels[..., 0] - intrinsics.center_x_px) / intrinsics.focal_x_px,
            (pixels[..., 1] - intrinsics.center_y_px) / intrinsics.focal_y_px,
        ],
        axis=-1,
    )
    if intrinsics.model == "OPENCV_FISHEYE":
        directions = _fisheye_directions(seen, intrinsics.distortion)
    else:
        plane = undistort(seen, intrinsics.distortion) if any(intrinsics.distortion) else seen
        directions = np.concatenate([plane, np.ones_like(plane[..., :1])], axis=-1)
        directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    return (directions * (1.0, -1.0, -1.0)).astype(np.float32)


def project(intrinsics: Intrinsics, points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Image positions (..., 2) of camera-space points (..., 3); NaN where the lens sees none.

    Those are points behind a perspective camera, and points past the lens's field of view. Whether
    a position lies within the picture is not looked at.
    """
    points = np.asarray(points, dtype=np.float64) * (1.0, -1.0, -1.0)
    if intrinsics.model == "OPENCV_FISHEYE":
        across = np.linalg.norm(points[..., :2], axis=-1, keepdims=True)
        theta = np.arctan2(across, points[..., 2:])
        radius = _fisheye_radius(theta, intrinsics.distortion)
        plane = points[..., :2] / np.maximum(across, 1e-12) * radius
        angles, _ = _fisheye_range(intrinsics.distortion)
        plane = np.where(
            (theta <= angles[-1]) & (np.abs(points).max(-1, keepdims=True) > 0), plane, np.nan
        )
    else:
        in_front = points[..., 2:] > 0
        plane = points[..., :2] / np.where(in_front, points[..., 2:], 1.0)
        if any(intrinsics.distortion):
            slopes, _ = _radial_range(intrinsics.distortion)
            in_front &= np.linalg.norm(plane, axis=-1, keepdims=True) <= slopes[-1]
            plane = distort(np.where(in_front, plane, 0.0), intrinsics.distortion)
        plane = np.where(in_front, plane, np.nan)
    return plane * (intrinsics.focal_x_px, intrinsics.focal_y_px) + (
        intrinsics.center_x_px,
        intrinsics.center_y_px,
    )


def distort(plane: NDArray[np.floating], coefficients: tuple[float, ...]) -> NDArray[np.float64]:
    """Where OpenCV's radial and tangential lens moves points of the z = 1 plane, shape (..., 2).

    Source: OpenCV, calib3d, "Detailed description" (rational model).
    """
    _, _, p1, p2, *_ = _padded(coefficients, 8)
    x, y = plane[..., 0], plane[..., 1]
    r2 = np.square(plane).sum(axis=-1)
    radial = _radial_factor(r2, coefficients)
    return np.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        ],
        axis=-1,
    )


def undistort(
    seen: NDArray[np.floating], coefficients: tuple[float, ...], iterations: int = 20
) -> NDArray[np.float64]:
    """The inverse of `distort`: from the inverse of its radial part by Newton's method.

    Where nothing is moved to `seen`, the point of the lens's field of view in that direction.
    """
    seen = np.asarray(seen, dtype=np.float64)
    slopes, radii = _radial_range(coefficients)
    radius = np.linalg.norm(seen, axis=-1, keepdims=True)
    start = seen / np.maximum(radius, 1e-12) * np.interp(radius, radii, slopes)
    plane = start
    step = 1e-6
    right, down = np.array([step, 0.0]), np.array([0.0, step])
    for _ in range(iterations):
        value = distort(plane, coefficients)
        error = value - seen
        if np.abs(error).max(initial=0.0) < 1e-12:
            break
        along_x = (distort(plane + right, coefficients) - value) / step
        along_y = (distort(plane + down, coefficients) - value) / step
        determinant = along_x[..., 0] * along_y[..., 1] - along_x[..., 1] * along_y[..., 0]
        determinant = np.where(np.abs(determinant) < 1e-9, 1.0, determinant)
        move_x = (along_y[..., 1] * error[..., 0] - along_y[..., 0] * error[..., 1]) / determinant
        move_y = (along_x[..., 0] * error[..., 1] - along_x[..., 1] * error[..., 0]) / determinant
        move = np.stack([move_x, move_y], axis=-1)
        # A longer step would jump over the edge of the field of view into the next branch.
        length = np.linalg.norm(move, axis=-1, keepdims=True)
        plane = plane - move * np.minimum(1.0, 0.1 / np.maximum(length, 1e-12))
    found = np.abs(distort(plane, coefficients) - seen).max(axis=-1, keepdims=True) < 1e-6
    inside = np.linalg.norm(plane, axis=-1, keepdims=True) <= slopes[-1] * 1.01
    return np.where(found & inside, plane, start)


@lru_cache(maxsize=64)
def _radial_range(
    coefficients: tuple[float, ...],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Slopes from the axis outwards and the radii where they are seen, as far as these rise."""
    slopes: NDArray[np.float64] = np.linspace(0.0, _WIDEST_SLOPE, 8001)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        radii = slopes * _radial_factor(np.square(slopes), coefficients)
    return _rising_part(slopes, radii)


@lru_cache(maxsize=64)
def _fisheye_range(
    coefficients: tuple[float, ...],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Angles from the axis outwards and the radii where they are seen, as far as these rise."""
    angles = np.linspace(0, np.pi, 4001)
    return _rising_part(angles, _fisheye_radius(angles, coefficients))


def _rising_part(
    inputs: NDArray[np.float64], outputs: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    falls = ~(np.diff(outputs) > 0)
    end = int(np.argmax(falls)) + 1 if falls.any() else len(inputs)
    end = max(end, 2)
    return inputs[:end], outputs[:end]


def _radial_factor(
    r2: NDArray[np.floating], coefficients: tuple[float, ...]
) -> NDArray[np.float64]:
    k1, k2, _, _, k3, k4, k5, k6 = _padded(coefficients, 8)
    return (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))


def _fisheye_radius(
    theta: NDArray[np.floating], coefficients: tuple[float, ...]
) -> NDArray[np.float64]:
    k1, k2, k3, k4 = _padded(coefficients, 4)
    t2 = theta * theta
    return theta * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))


def _fisheye_directions(
    seen: NDArray[np.floating], coefficients: tuple[float, ...]
) -> NDArray[np.float64]:
    angles, radii = _fisheye_range(coefficients)
    radius = np.linalg.norm(seen, axis=-1, keepdims=True)
    theta = np.interp(radius, radii, angles)
    step = 1e-6
    for _ in range(4):
        value = _fisheye_radius(theta, coefficients)
        slope = (_fisheye_radius(theta + step, coefficients) - value) / step
        move = np.clip((value - radius) / np.maximum(slope, 1e-6), -1e-3, 1e-3)
        theta = np.clip(theta - move, 0.0, angles[-1])
    sideways = seen / np.maximum(radius, 1e-12) * np.sin(theta)
    return np.concatenate([sideways, np.cos(theta)], axis=-1)


def _padded(coefficients: tuple[float, ...], count: int) -> tuple[float, ...]:
    return (*coefficients, *([0.0] * count))[:count]
