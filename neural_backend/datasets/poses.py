# SPDX-License-Identifier: GPL-3.0-or-later
"""From whatever matrices a file holds to rigid camera poses, or to a sentence that says why not."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..protocol.errors import JobError

OPENCV_TO_BLENDER = np.diag([1.0, -1.0, -1.0, 1.0])
"""Right factor that turns a camera looking along +Z with Y down into one looking along −Z with Y
up."""

_SCALE_TOLERANCE = 1e-3
_SHEAR_TOLERANCE = 0.02


def read_pose(values: Any, source: Path, name: str) -> tuple[NDArray[np.float64], float]:
    """A rigid (4, 4) camera-to-world matrix and the scale that was removed from it.

    Takes (3, 4) as well as (4, 4) values. Rounding is taken out: the rotation is the orthonormal
    matrix nearest to the one given.

    Raises:
        JobError: where the matrix has the wrong shape, holds NaN, is singular, mirrors or shears.
    """
    problem = ""
    try:
        matrix = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        matrix = np.zeros(0)
    if matrix.shape not in ((3, 4), (4, 4)):
        problem = "is not a table of 4 rows of 4 numbers"
    elif not np.isfinite(matrix).all():
        problem = "holds NaN or infinite numbers"
    elif len(matrix) == 4 and not np.allclose(matrix[3], (0, 0, 0, 1), atol=1e-6):
        problem = "is no camera pose: its last row is not 0 0 0 1"
    if problem:
        raise _bad_pose(source, name, problem)
    rotation = matrix[:3, :3]
    scales = np.linalg.norm(rotation, axis=0)
    if scales.min() < 1e-12 or abs(np.linalg.det(rotation / scales)) < 1e-6:
        raise _bad_pose(source, name, "is singular: its axes do not span space")
    if np.linalg.det(rotation) < 0:
        raise _bad_pose(source, name, "is left-handed: it mirrors the picture")
    left, _, right = np.linalg.svd(rotation / scales)
    nearest = left @ right
    if np.abs(nearest - rotation / scales).max() > _SHEAR_TOLERANCE:
        raise _bad_pose(source, name, "is sheared: its axes are not at right angles")
    rigid = np.eye(4)
    rigid[:3, :3] = nearest
    rigid[:3, 3] = matrix[:3, 3]
    scale = float(scales.mean())
    return rigid, 1.0 if np.abs(scales - 1).max() < _SCALE_TOLERANCE else scale


def stand_at_one_point(positions: NDArray[np.float64]) -> bool:
    """Whether there are several cameras and all stand at the same place."""
    if len(positions) < 2:
        return False
    extent = np.ptp(positions, axis=0).max()
    return bool(extent <= 1e-9 * max(1.0, np.abs(positions).max()))


def quaternion_to_rotation(quaternion: NDArray[np.float64]) -> NDArray[np.float64]:
    """The (3, 3) rotation of a quaternion w x y z, which need not have unit length."""
    w, x, y, z = quaternion / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def rotation_to_quaternion(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """The unit quaternion w x y z, w ≥ 0, of a (3, 3) rotation.

    Source: Bar-Itzhack 2000, "New method for extracting the quaternion from a rotation matrix".
    """
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation
    symmetric = (
        np.array(
            [
                [xx + yy + zz, zy - yz, xz - zx, yx - xy],
                [zy - yz, xx - yy - zz, yx + xy, zx + xz],
                [xz - zx, yx + xy, yy - xx - zz, zy + yz],
                [yx - xy, zx + xz, zy + yz, zz - xx - yy],
            ]
        )
        / 3
    )
    quaternion = np.linalg.eigh(symmetric)[1][:, -1]
    return quaternion if quaternion[0] >= 0 else -quaternion


def _bad_pose(source: Path, name: str, problem: str) -> JobError:
    return JobError(
        f"{source}: the camera pose of {name} {problem}.",
        "Correct this camera or remove it from the file, or solve the cameras again.",
    )
