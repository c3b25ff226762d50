# SPDX-License-Identifier: GPL-3.0-or-later
"""The frame in which a scene stands upright whose cameras were solved in one of no meaning."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CAMERA_DISTANCE = 4.0
"""How far the middle camera of all stands from the middle of the scene afterwards."""

_TELLING = 0.02
"""Mean squared sine of the angle between the cameras' horizontals from which on they tell the
vertical: about eight degrees.
"""


@dataclass(frozen=True)
class SimilarityTransform:
    """Goes from `points` to `scale · rotation @ (points − middle)`."""

    scale: float
    rotation: NDArray[np.float64]
    middle: NDArray[np.float64]

    def points(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Where (num, 3) points come to lie."""
        return self.scale * (np.asarray(points, np.float64) - self.middle) @ self.rotation.T

    def poses(self, poses: NDArray[np.floating]) -> NDArray[np.float64]:
        """Where rigid (num, 4, 4) cameras come to stand; they stay rigid."""
        moved = np.array(poses, np.float64)
        moved[:, :3, 3] = self.points(moved[:, :3, 3])
        moved[:, :3, :3] = self.rotation @ moved[:, :3, :3]
        return moved


def upright(
    poses: NDArray[np.floating], points: NDArray[np.floating] | None = None
) -> SimilarityTransform:
    """The frame of a scene as photographers stand in it, by their (num, 4, 4) cameras.

    Z is up, because photos are seldom taken with a tilted horizon; the first camera looks along +Y,
    the origin is the middle of the `points` (without them, of the cameras), and half of the cameras
    are nearer than `CAMERA_DISTANCE`.
    """
    poses = np.asarray(poses, np.float64)
    up = _up(poses)
    forward = _across(-poses[0, :3, 2], up)
    if forward is None:  # it looks straight up or down
        forward = _across(poses[0, :3, 1], up)
    assert forward is not None
    rotation = np.stack([np.cross(forward, up), forward, up])
    positions = poses[:, :3, 3]
    middle = np.median(positions if points is None or not len(points) else points, axis=0)
    distance = float(np.median(np.linalg.norm(positions - middle, axis=-1)))
    return SimilarityTransform(CAMERA_DISTANCE / max(distance, 1e-9), rotation, middle)


def _up(poses: NDArray[np.float64]) -> NDArray[np.float64]:
    """The direction that is at right angles to the cameras' horizontals, where these differ enough,
    else the mean of what is up in the pictures, which looking down falsifies.
    """
    horizontals, mean = poses[:, :3, 0], poses[:, :3, 1].mean(axis=0)
    squares, directions = np.linalg.eigh(horizontals.T @ horizontals / len(poses))
    if squares[1] > _TELLING and squares[1] > 4 * squares[0]:
        return directions[:, 0] * (1.0 if directions[:, 0] @ mean >= 0 else -1.0)
    return mean / max(float(np.linalg.norm(mean)), 1e-9)


def _across(direction: NDArray[np.float64], up: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """A unit direction's part at right angles to `up`, of length 1; None where it has none."""
    across = direction - (direction @ up) * up
    length = float(np.linalg.norm(across))
    return across / length if length > 1e-3 else None
