# SPDX-License-Identifier: GPL-3.0-or-later
"""A triangle mesh, its parts and its files."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .gltf import encode_glb

FORMATS = (".ply", ".obj", ".glb")


@dataclass(frozen=True)
class Mesh:
    """Triangles in scene units, counter-clockwise seen from outside.

    `normals` (vertices, 3) have unit length; `colors` (vertices, 3) are sRGB in [0, 1].
    """

    vertices: NDArray[np.float32]
    faces: NDArray[np.int64]
    normals: NDArray[np.float32] | None = None
    colors: NDArray[np.float32] | None = None

    def face_normals(self) -> NDArray[np.float64]:
        """Normals (faces, 3) as long as twice their triangle's area."""
        corners = self.vertices.astype(np.float64)[self.faces]
        return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])

    def vertex_normals(self) -> NDArray[np.float64]:
        """Unit normals (vertices, 3), the mean of the faces around each, weighted by their area."""
        normals = np.zeros((len(self.vertices), 3))
        face_normals = self.face_normals()
        for corner in range(3):
            for axis in range(3):
                normals[:, axis] += np.bincount(
                    self.faces[:, corner], face_normals[:, axis], minlength=len(normals)
                )
        return normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-30)

    def without_floaters(self, share: float) -> "Mesh":
        """The mesh without connected parts whose area is less than `share` of the largest's."""
        if share <= 0 or not len(self.faces):
            return self
        part = self.parts_of_faces()
        areas = np.bincount(part, self.face_areas())
        return self.with_faces(self.faces[(areas >= share * areas.max())[part]])

    def face_areas(self) -> NDArray[np.float64]:
        return np.linalg.norm(self.face_normals(), axis=-1) / 2

    def parts_of_faces(self) -> NDArray[np.int64]:
        """The number of the connected part that each face belongs to; not all numbers occur."""
        count = len(self.vertices)
        ends = self.faces[:, (0, 1, 1, 2)].reshape(-1, 2)
        links = coo_array((np.ones(len(ends), dtype=bool), ends.T), shape=(count, count))
        return connected_components(links, directed=False)[1][self.faces[:, 0]]

    def with_faces(self, faces: NDArray[np.int64]) -> "Mesh":
        """The same mesh with only these faces, and the vertices that they need."""
        used, renumbered = np.unique(faces, return_inverse=True)
        return replace(
            self,
            vertices=self.vertices[used],
            faces=renumbered.reshape(-1, 3).astype(np.int64),
            normals=None if self.normals is None else self.normals[used],
            colors=None if self.colors is None else self.colors[used],
        )


def write_mesh(mesh: Mesh, path: Path) -> None:
    """Writes .ply, .obj or .glb so that a reader sees the old file or the new, never half of one.

    In each case Blender's importer, with its default settings, puts the mesh where it is: a .ply
    holds scene axes as they are, .obj and .glb are turned to their Y-up convention.

    Raises:
        ValueError: for another ending.
    """
    kind = path.suffix.lower()
    if kind not in FORMATS:
        raise ValueError(f"expected a file ending in {', '.join(FORMATS)}, got {path.name!r}")
    if kind == ".ply":
        if not len(mesh.vertices):  # which trimesh's normals and colors do not allow for
            mesh = Mesh(mesh.vertices, mesh.faces)
        data = _encode(mesh, "ply", vertex_normal=mesh.normals is not None)
    elif kind == ".obj":
        data = _encode(y_up(mesh), "obj", include_normals=mesh.normals is not None)
    else:
        upright = y_up(mesh)
        data = encode_glb(upright.vertices, upright.faces, upright.normals, upright.colors)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_ply_counts(path: Path) -> tuple[int, int]:
    """How many vertices and faces a .ply file says it has; (0, 0) where it is none."""
    counts = {"vertex": 0, "face": 0}
    with path.open("rb") as file:
        for line in file:
            words = line.split()
            if words[:1] == [b"element"] and len(words) == 3:
                counts[words[1].decode("ascii", "replace")] = int(words[2])
            if words[:1] == [b"end_header"]:
                break
    return counts["vertex"], counts["face"]


def _encode(mesh: Mesh, kind: str, **options: bool) -> bytes:
    written = trimesh.Trimesh(
        mesh.vertices,
        mesh.faces,
        vertex_normals=mesh.normals,
        vertex_colors=None
        if mesh.colors is None
        else np.round(np.clip(mesh.colors, 0, 1) * 255).astype(np.uint8),
        process=False,
    )
    data = trimesh.exchange.export.export_mesh(written, None, file_type=kind, **options)
    return data.encode("utf-8") if isinstance(data, str) else data


def y_up(mesh: Mesh) -> Mesh:
    """The mesh turned so that what was up, along Z, is along Y."""
    turn = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], dtype=np.float32).T
    return replace(
        mesh,
        vertices=mesh.vertices @ turn,
        normals=None if mesh.normals is None else mesh.normals @ turn,
    )
