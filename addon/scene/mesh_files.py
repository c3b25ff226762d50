# SPDX-License-Identifier: GPL-3.0-or-later
"""Meshes as Blender shows them, modifiers applied, as arrays and as .ply files."""

from collections.abc import Sequence
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from .errors import SceneError
from .files import write_file
from .ply import MeshArrays

_FACE = np.dtype([("count", "u1"), ("corners", "<i4", (3,))])


def evaluated_mesh(item: bpy.types.Object, depsgraph: bpy.types.Depsgraph) -> MeshArrays:
    """The triangles of an object at the current frame, modifiers applied, in world space.

    Raises:
        SceneError: where the object has no faces.
    """
    evaluated = item.evaluated_get(depsgraph)
    mesh = evaluated.to_mesh()
    try:
        if mesh is None or not len(mesh.polygons):
            raise SceneError(f"{item.name} has no faces.", "Select meshes with a surface.")
        mesh.calc_loop_triangles()
        points = np.empty(3 * len(mesh.vertices), np.float32)
        mesh.vertices.foreach_get("co", points)
        corners = np.empty(3 * len(mesh.loop_triangles), np.int32)
        mesh.loop_triangles.foreach_get("vertices", corners)
    finally:
        evaluated.to_mesh_clear()
    world = evaluated.matrix_world
    faces = corners.reshape(-1, 3)
    if world.determinant() < 0:  # a mirrored mesh would be inside out
        faces = faces[:, ::-1]
    return MeshArrays(moved(points.reshape(-1, 3), world), faces)


def moved(points: NDArray[np.float32], matrix: Matrix) -> NDArray[np.float32]:
    """Points (count, 3) where a (4, 4) matrix takes them."""
    by = np.array(matrix, dtype=np.float64)
    return (points @ by[:3, :3].T + by[:3, 3]).astype(np.float32)


def rigid_part(matrix: Matrix) -> Matrix:
    """Where an object stands and how it is turned, without its scale, shear and mirroring."""
    return Matrix.LocRotScale(matrix.to_translation(), matrix.to_quaternion(), None)


def write_ply(mesh: MeshArrays, path: Path) -> None:
    """Writes a mesh as binary .ply.

    Raises:
        SceneError: where the file cannot be written.
    """
    rows = np.empty(len(mesh.faces), _FACE)
    rows["count"], rows["corners"] = 3, mesh.faces
    header = (
        f"ply\nformat binary_little_endian 1.0\nelement vertex {len(mesh.vertices)}\n"
        "property float x\nproperty float y\nproperty float z\n"
        f"element face {len(rows)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    data = header.encode("ascii") + mesh.vertices.astype("<f4").tobytes() + rows.tobytes()
    write_file(path, data)


def write_meshes(
    items: Sequence[bpy.types.Object],
    depsgraph: bpy.types.Depsgraph,
    space: Matrix | None,
    folder: Path,
) -> list[Path]:
    """Writes each object's mesh under its name; returns the files in the same order.

    `space` is the (4, 4) matrix of that from which the meshes are seen; with None each is seen from
    where its object stands, turned as that is, so that only the object's scale is left.

    Raises:
        SceneError: where an object has no faces, the space no size, or a file cannot be written.
    """
    files: list[Path] = []
    for item in items:
        mesh = evaluated_mesh(item, depsgraph)
        seen_from = space
        if seen_from is None:
            seen_from = rigid_part(item.evaluated_get(depsgraph).matrix_world)
        if abs(seen_from.determinant()) < 1e-12:
            raise SceneError("The neural shape is scaled to nothing.", "Reset its scale.")
        faces = mesh.faces[:, ::-1] if seen_from.determinant() < 0 else mesh.faces
        mesh = MeshArrays(moved(mesh.vertices, seen_from.inverted()), faces)
        stem = bpy.path.clean_name(item.name)
        number, path = 1, folder / f"{stem}.ply"
        while path in files:
            number += 1
            path = folder / f"{stem}_{number}.ply"
        write_ply(mesh, path)
        files.append(path)
    return files
