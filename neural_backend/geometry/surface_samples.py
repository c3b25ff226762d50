# SPDX-License-Identifier: GPL-3.0-or-later
"""Points on triangles."""

import numpy as np
import torch
from numpy.typing import NDArray


def face_normals(vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> NDArray[np.float64]:
    """Normals (faces, 3), each as long as twice its triangle's area; zero where it has none."""
    corners = np.asarray(vertices, dtype=np.float64)[np.asarray(faces)]
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def sample_surface(
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    count: int,
    generator: torch.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points (count, 3) spread evenly over the area of a mesh, and their triangles' unit normals.

    Source: Osada et al. 2002, "Shape Distributions", eq. 1 (the root keeps a triangle's evenly
        spread).

    Raises:
        ValueError: if the mesh has no area.
    """
    normals = face_normals(vertices, faces)
    lengths = np.linalg.norm(normals, axis=-1)
    if not lengths.sum() > 0:
        raise ValueError(f"expected a mesh with area, got {len(faces)} faces without any")
    random = torch.rand(count, 3, dtype=torch.float64, generator=generator).numpy()
    upper = np.cumsum(lengths) / lengths.sum()
    # "right": a triangle without area, whose upper end is that of the one before, is never chosen.
    chosen = np.searchsorted(upper, random[:, 0], side="right")
    chosen = np.minimum(chosen, np.flatnonzero(lengths)[-1])
    root, along = np.sqrt(random[:, 1:2]), random[:, 2:]
    corners = np.asarray(vertices, dtype=np.float64)[np.asarray(faces)[chosen]]
    points = (
        (1 - root) * corners[:, 0]
        + root * (1 - along) * corners[:, 1]
        + root * along * corners[:, 2]
    )
    return points, normals[chosen] / lengths[chosen, None]
