# SPDX-License-Identifier: GPL-3.0-or-later
"""Which parts of a surface the cameras can have seen.

Where no light came from, a trained field is what chance made it: solids are hollow, with walls
within, and there are things below the ground. No picture says anything about these surfaces.
"""

from collections.abc import Generator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter

from ..geometry.cameras import Intrinsics, project
from .mesh import Mesh

Camera = tuple[Intrinsics, NDArray[np.float64]]
"""A lens and its rigid camera_to_world matrix."""

_CELLS_PER_BIN = 1.5
"""Width of the depth picture's pixels: wide enough that vertices leave no gaps in a surface."""

_CELLS_BEHIND, _CELLS_BEHIND_SLOPES, _MOST_CELLS_BEHIND = 2.0, 1.5, 5.0
"""How far behind the nearest vertex around it a vertex still counts as seen: farther on slopes, by
the tangent of the angle at which they are seen."""

_RINGS = 2
"""Neighbours of seen vertices that are kept, so that edges do not fray."""

_PATCH_CELLS = 150.0
"""Area of the largest patch that is kept though nobody sees it, so that crevices leave no holes."""


def without_unseen(
    mesh: Mesh, normals: NDArray[np.floating], cameras: Sequence[Camera], cell: float
) -> Generator[tuple[int, int], None, Mesh]:
    """The mesh without what no camera sees: hidden by other parts, turned away, or out of view.

    `cell` is about the distance between vertices. Yields (done, total) cameras; returns the mesh.
    """
    seen = np.zeros(len(mesh.vertices), dtype=bool)
    vertices, outward = mesh.vertices.astype(np.float64), np.asarray(normals, dtype=np.float64)
    for done, (lens, camera_to_world) in enumerate(cameras):
        yield done, len(cameras)
        seen |= _seen_from(vertices, outward, lens, camera_to_world, cell)
    for _ in range(_RINGS):
        touched = seen[mesh.faces].any(axis=1)
        seen[mesh.faces[touched]] = True
    kept = seen[mesh.faces].all(axis=1)
    if not kept.any() or kept.all():
        return mesh.with_faces(mesh.faces[kept])
    hidden = Mesh(mesh.vertices, mesh.faces[~kept])
    patch = hidden.parts_of_faces()
    areas = np.bincount(patch, hidden.face_areas())
    kept[~kept] = (areas < _PATCH_CELLS * cell**2)[patch]
    return mesh.with_faces(mesh.faces[kept])


def _seen_from(
    vertices: NDArray[np.float64],
    normals: NDArray[np.float64],
    lens: Intrinsics,
    camera_to_world: NDArray[np.float64],
    cell: float,
) -> NDArray[np.bool_]:
    away = vertices - camera_to_world[:3, 3]
    depth = np.linalg.norm(away, axis=1)
    places = project(lens, away @ camera_to_world[:3, :3])
    with np.errstate(invalid="ignore"):
        in_view = ((places >= 0) & (places < (lens.width, lens.height))).all(axis=1)
    seen = np.zeros(len(vertices), dtype=bool)
    chosen = np.flatnonzero(in_view & (depth > 0))
    if not len(chosen):
        return seen
    focal = (lens.focal_x_px + lens.focal_y_px) / 2
    bin_px = max(_CELLS_PER_BIN * cell * focal / float(np.median(depth[chosen])), 0.25)
    rows = int(lens.height / bin_px) + 1
    columns = int(lens.width / bin_px) + 1
    bins = (places[chosen] / bin_px).astype(np.int64)
    nearest = np.full(rows * columns, np.inf)
    flat = bins[:, 1] * columns + bins[:, 0]
    np.minimum.at(nearest, flat, depth[chosen])
    # Things nearer than most are sampled more coarsely; their gaps are filled from beside them.
    covered = minimum_filter(nearest.reshape(rows, columns), size=3).reshape(-1)
    cosine = -(normals[chosen] * away[chosen]).sum(axis=1) / depth[chosen]
    slope = np.sqrt(np.maximum(1 - cosine**2, 0)) / np.maximum(cosine, 1e-6)
    behind = np.minimum(_CELLS_BEHIND + _CELLS_BEHIND_SLOPES * slope, _MOST_CELLS_BEHIND) * cell
    seen[chosen] = (cosine > 0) & (depth[chosen] <= covered[flat] + behind)
    return seen
