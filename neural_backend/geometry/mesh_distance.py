# SPDX-License-Identifier: GPL-3.0-or-later
"""Distances to triangle meshes, and whether a mesh has an inside.

The sign comes from the generalized winding number, which also knows the inside of meshes with
holes, overlapping parts and faces that are not joined: what scans and artists' models are like.
"""

from dataclasses import dataclass

import igl
import numpy as np
import torch
from numpy.typing import NDArray

from ..protocol.errors import JobError
from .surface_samples import face_normals, sample_surface

OPENNESS_SAMPLES = 2048
_STEP_OFF = 1e-3
"""How far from the surface openness is judged, as a share of the mesh's diagonal."""

_UNCLEAR = 0.25
"""A winding number this far from a whole number says neither inside nor outside."""

MOST_OPEN = 0.5
"""Share of the surface with unclear sides above which a mesh has no inside."""


def unsigned_distance(
    vertices: NDArray[np.floating], faces: NDArray[np.integer], points: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Distance (points,) to the nearest point of any triangle, in the mesh's units."""
    return nearest_points(vertices, faces, points)[0]


def nearest_points(
    vertices: NDArray[np.floating], faces: NDArray[np.integer], points: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Distance (points,), face (points,) and position (points, 3) of the nearest surface points."""
    vertices, faces, points = _checked(vertices, faces, points)
    if not len(points):
        return np.zeros(0), np.zeros(0, dtype=np.int64), np.zeros((0, 3))
    squared, face, position = igl.point_mesh_squared_distance(points, vertices, faces)
    return np.sqrt(squared), face, position


def winding_number(
    vertices: NDArray[np.floating], faces: NDArray[np.integer], points: NDArray[np.floating]
) -> NDArray[np.float64]:
    """How many times (points,) the mesh winds around each point: 1 inside, 0 outside of a solid.

    Within a hundredth of the exact number. In between where holes leave it open; -1 inside of a
    solid whose faces point inwards.

    Source: Jacobson et al. 2013, "Robust inside-outside segmentation using generalized winding
        numbers", eq. 5; Barill et al. 2018, "Fast winding numbers for soups and clouds", sec. 3
        (faces that are far away are taken together; by libigl).
    """
    vertices, faces, points = _checked(vertices, faces, points)
    return igl.fast_winding_number(vertices, faces, points) if len(points) else np.zeros(0)


def signed_distance(
    vertices: NDArray[np.floating], faces: NDArray[np.integer], points: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Distance (points,) to the mesh, negative inside, in the mesh's units.

    Inside is where the mesh winds around a point by more than half, in whichever direction, so that
    a solid whose faces all point inwards is solid too. Ask `mesh_report` first whether the mesh has
    an inside at all.

    Source: Barill et al. 2018, "Fast winding numbers for soups and clouds", sec. 6 (signed
        distances).
    """
    inside = np.abs(winding_number(vertices, faces, points)) > 0.5
    distance = unsigned_distance(vertices, faces, points)
    return np.where(inside, -distance, distance)


@dataclass(frozen=True)
class MeshReport:
    """What a mesh is like. Vertices at one and the same place count as one.

    `boundary_edges` have a face on one side only; `nonmanifold_edges` join more than two faces, or
    two that face opposite ways. `openness` is the share of the surface whose sides the winding
    number does not tell apart: 0 for a solid, 1 for a sheet. `inside_out` says that the faces of a
    solid point inwards.
    """

    num_vertices: int
    num_faces: int
    degenerate_faces: int
    boundary_edges: int
    nonmanifold_edges: int
    openness: float
    inside_out: bool
    area: float
    bounds: NDArray[np.float64]

    @property
    def watertight(self) -> bool:
        return self.boundary_edges == 0 and self.nonmanifold_edges == 0


def mesh_report(
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    signed: bool = True,
) -> MeshReport:
    """What a mesh is like, once it is sure that distances to it mean something.

    Raises:
        JobError: without faces or area, with coordinates that are not numbers or faces that name no
            vertex; where `signed` distances are wanted, also for a mesh without an inside.
    """
    _refuse_broken(np.asarray(vertices, dtype=np.float64), np.asarray(faces, dtype=np.int64))
    welded, triangles = weld(vertices, faces)
    lengths = np.linalg.norm(face_normals(welded, triangles), axis=-1)
    diagonal = float(np.linalg.norm(np.ptp(welded, axis=0)))
    # Corners in a line leave an area of rounding errors.
    degenerate = lengths <= 1e-12 * diagonal**2
    if degenerate.all():
        raise JobError(
            f"The mesh has no area: its {len(triangles)} faces are points or lines.",
            "Give its faces some size, or choose another mesh.",
        )
    solid = triangles[~degenerate]
    boundary, nonmanifold = _open_edges(solid)
    openness, inside_out = _sides(welded, solid, diagonal)
    if signed and openness > MOST_OPEN:
        raise JobError(
            f"The mesh is too open to have an inside: for {openness:.0%} of its surface nothing "
            "tells inside from outside.",
            "Close its holes, give it a thickness, or ask for unsigned distances.",
        )
    return MeshReport(
        num_vertices=len(welded),
        num_faces=len(triangles),
        degenerate_faces=int(degenerate.sum()),
        boundary_edges=boundary,
        nonmanifold_edges=nonmanifold,
        openness=openness,
        inside_out=inside_out,
        area=float(lengths.sum() / 2),
        bounds=np.stack([welded.min(axis=0), welded.max(axis=0)]),
    )


def weld(
    vertices: NDArray[np.floating], faces: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The mesh with one vertex a place and none that no face uses; faces keep their order."""
    vertices, faces = np.asarray(vertices, dtype=np.float64), np.asarray(faces, dtype=np.int64)
    used, corners = np.unique(faces, return_inverse=True)
    # 0.0 makes -0.0 the same place as 0.0.
    places, merged = np.unique(vertices[used] + 0.0, axis=0, return_inverse=True)
    return places, merged.reshape(-1)[corners.reshape(-1)].reshape(-1, 3)


def _refuse_broken(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> None:
    if not len(faces):
        raise JobError(
            f"The mesh has no faces, only {len(vertices)} vertices.",
            "Choose a mesh with faces; points alone have no surface to measure from.",
        )
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise JobError(
            f"A face names vertex {int(faces.max())}, but the mesh has only {len(vertices)}.",
            "The file is damaged; export it again.",
        )
    broken = ~np.isfinite(vertices[np.unique(faces)]).all(axis=-1)
    if broken.any():
        raise JobError(
            f"{int(broken.sum())} of the mesh's vertices have coordinates that are not numbers.",
            "Remove these vertices, or export the mesh again.",
        )


def _open_edges(faces: NDArray[np.int64]) -> tuple[int, int]:
    """How many edges have one face, and how many are not shared by two that face alike."""
    starts = faces[:, [0, 1, 2]].reshape(-1)
    ends = faces[:, [1, 2, 0]].reshape(-1)
    edges = np.stack([np.minimum(starts, ends), np.maximum(starts, ends)], axis=-1)
    _, which, counts = np.unique(edges, axis=0, return_inverse=True, return_counts=True)
    turns = np.bincount(which.reshape(-1), np.where(starts < ends, 1, -1))
    return int((counts == 1).sum()), int(((counts > 1) & ((counts != 2) | (turns != 0))).sum())


def _sides(
    vertices: NDArray[np.float64], faces: NDArray[np.int64], diagonal: float
) -> tuple[float, bool]:
    """The share of the surface without clear sides, and whether the faces point inwards."""
    generator = torch.Generator().manual_seed(0)
    points, normals = sample_surface(vertices, faces, OPENNESS_SAMPLES, generator)
    step = _STEP_OFF * diagonal * normals
    around = winding_number(vertices, faces, np.concatenate([points - step, points + step]))
    unclear = np.abs(around - np.round(around)) > _UNCLEAR
    behind, front = np.abs(around).reshape(2, -1)
    return float(unclear.mean()), bool((front > 0.5).mean() > (behind > 0.5).mean())


def _checked(
    vertices: NDArray[np.floating], faces: NDArray[np.integer], points: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """As libigl wants them; it reads beyond its arrays where an index is wrong."""
    places = np.ascontiguousarray(vertices, dtype=np.float64)
    triangles = np.ascontiguousarray(faces, dtype=np.int64)
    asked = np.ascontiguousarray(points, dtype=np.float64)
    if asked.ndim != 2 or asked.shape[1] != 3 or not np.isfinite(asked).all():
        raise ValueError(f"expected finite points (count, 3), got an array {asked.shape}")
    if not len(triangles) or triangles.min() < 0 or triangles.max() >= len(places):
        raise ValueError(
            f"expected faces that name some of {len(places)} vertices, got {len(triangles)} faces"
        )
    return places, triangles, asked
