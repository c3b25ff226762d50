# SPDX-License-Identifier: GPL-3.0-or-later
"""Lens models: from pixels to directions and back.

Cameras look along −Z with Y up (Blender, OpenGL, transforms.json); image rows run downwards; the centre of
the first pixel is at (0.5, 0.5). Distortion follows OpenCV, whose camera looks along +Z with Y down.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

LensModel = Literal["OPENCV", "OPENCV_FISHEYE"]


@dataclass(frozen=True, kw_only=True)
class Intrinsics:
    """A perspective or fisheye lens in front of an image of a known size.

    A pinhole is `OPENCV` without distortion. `distortion` holds OpenCV's coefficients: k1 k2 p1 p2 k3 k4 k5 k6 for
    `OPENCV` (the last four are those of its rational model), k1 k2 k3 k4 for `OPENCV_FISHEYE`; missing ones are zero.
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


def pixel_directions(intrinsics: Intrinsics, pixels: NDArray[np.floating] | None = None) -> NDArray[np.float32]:
    """Unit directions, in camera space, of the rays through `pixels`.

    `pixels` are (..., 2) image positions (x right, y down); by default every pixel's centre, (height, width, 2).
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
    """Image positions (..., 2) of camera-space points (..., 3); NaN behind a perspective camera."""
    points = np.asarray(points, dtype=np.float64) * (1.0, -1.0, -1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        if intrinsics.model == "OPENCV_FISHEYE":
            radius = np.linalg.norm(points[..., :2], axis=-1, keepdims=True)
            theta = np.arctan2(radius, points[..., 2:])
            plane = points[..., :2] / np.maximum(radius, 1e-12)
            plane = plane * _fisheye_radius(theta, intrinsics.distortion)
        else:
            plane = np.where(points[..., 2:] > 0, points[..., :2] / points[..., 2:], np.nan)
            plane = distort(plane, intrinsics.distortion)
    return plane * (intrinsics.focal_x_px, intrinsics.focal_y_px) + (
        intrinsics.center_x_px,
        intrinsics.center_y_px,
    )


def distort(plane: NDArray[np.floating], coefficients: tuple[float, ...]) -> NDArray[np.float64]:
    """Where OpenCV's radial and tangential lens moves points of the z = 1 plane, shape (..., 2).

    Source: OpenCV, calib3d, "Detailed description" (rational model).
    """
    k1, k2, p1, p2, k3, k4, k5, k6 = (*coefficients, *([0.0] * (8 - len(coefficients))))
    x, y = plane[..., 0], plane[..., 1]
    r2 = x * x + y * y
    radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
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
    """The inverse of `distort`, by Newton's method with a numerical Jacobian."""
    seen = np.asarray(seen, dtype=np.float64)
    plane = seen.copy()
    step = 1e-6
    for _ in range(iterations):
        value = distort(plane, coefficients)
        along_x = (distort(plane + (step, 0.0), coefficients) - value) / step
        along_y = (distort(plane + (0.0, step), coefficients) - value) / step
        error = value - seen
        determinant = along_x[..., 0] * along_y[..., 1] - along_x[..., 1] * along_y[..., 0]
        determinant = np.where(np.abs(determinant) < 1e-9, 1.0, determinant)
        move_x = (along_y[..., 1] * error[..., 0] - along_y[..., 0] * error[..., 1]) / determinant
        move_y = (along_x[..., 0] * error[..., 1] - along_x[..., 1] * error[..., 0]) / determinant
        plane = plane - np.stack([move_x, move_y], axis=-1)
        if np.abs(error).max(initial=0.0) < 1e-12:
            break
    return plane


def _fisheye_radius(theta: NDArray[np.floating], coefficients: tuple[float, ...]) -> NDArray[np.float64]:
    k1, k2, k3, k4 = (*coefficients, *([0.0] * (4 - len(coefficients))))
    t2 = theta * theta
    return theta * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))


def _fisheye_directions(seen: NDArray[np.floating], coefficients: tuple[float, ...]) -> NDArray[np.float64]:
    radius = np.linalg.norm(seen, axis=-1, keepdims=True)
    theta = radius.copy()
    for _ in range(20):
        step = 1e-6
        value = _fisheye_radius(theta, coefficients)
        slope = (_fisheye_radius(theta + step, coefficients) - value) / step
        theta = theta - (value - radius) / np.where(np.abs(slope) < 1e-9, 1.0, slope)
    sideways = seen / np.maximum(radius, 1e-12) * np.sin(theta)
    return np.concatenate([sideways, np.cos(theta)], axis=-1)
