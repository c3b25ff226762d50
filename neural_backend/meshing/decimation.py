# SPDX-License-Identifier: GPL-3.0-or-later
"""Fewer triangles for nearly the same surface."""

import numpy as np

from .mesh import Mesh

_FEWEST_FACES = 4


def target_faces(num_faces: int, keep: float) -> int:
    """How many faces are to stay: `keep` is a share up to 1, above it a number of faces."""
    wanted = keep * num_faces if keep <= 1 else keep
    return min(num_faces, max(_FEWEST_FACES, round(wanted)))


def decimated(mesh: Mesh, keep: float) -> Mesh:
    """The mesh with fewer faces, without normals and colors, which no longer fit.

    Edges are removed where that changes the surface least.

    Source: Garland and Heckbert 1997, "Surface simplification using quadric error metrics".

    Raises:
        ValueError: if `keep` is not positive.
    """
    if not keep > 0:
        raise ValueError(f"expected a share or number of faces above 0, got {keep}")
    wanted = target_faces(len(mesh.faces), keep)
    if wanted >= len(mesh.faces):
        return mesh
    import fast_simplification

    vertices, faces = fast_simplification.simplify(
        np.ascontiguousarray(mesh.vertices, np.float32),
        np.ascontiguousarray(mesh.faces, np.int32),
        target_count=wanted,
    )
    fewer = Mesh(vertices.astype(np.float32), faces.astype(np.int64))
    flat = fewer.face_areas() <= 0
    return fewer.with_faces(fewer.faces[~flat]) if flat.any() else fewer
