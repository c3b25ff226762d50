# SPDX-License-Identifier: GPL-3.0-or-later
"""How close a surface is to the truth."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ..geometry.mesh_distance import nearest_points
from ..geometry.surface_samples import face_normals, sample_surface

Triangles = tuple[NDArray[np.floating], NDArray[np.integer]]
"""Vertices (num, 3) and faces (num, 3)."""


@dataclass(frozen=True)
class SurfaceScores:
    """How two surfaces differ, in scene units.

    `accuracy` is the mean distance from the reconstruction to the truth, `completeness` the mean
    distance back, and `chamfer` their mean. `precision`, `recall` and `f_score` are at `threshold`.
    """

    accuracy: float
    completeness: float
    chamfer: float
    precision: float
    recall: float
    f_score: float
    threshold: float


@dataclass(frozen=True)
class MeshScores(SurfaceScores):
    """How two meshes differ.

    `diagonal` is that of the truth's bounding box; `normal_consistency` in [0, 1] is the mean
    |cosine| between normals where the meshes are nearest to each other.
    """

    diagonal: float
    normal_consistency: float

    @property
    def chamfer_percent(self) -> float:
        """The chamfer distance as a percentage of the diagonal."""
        return 100 * self.chamfer / self.diagonal


def compare_meshes(
    mesh: Triangles,
    truth: Triangles,
    generator: torch.Generator,
    threshold: float = 0.01,
    num_samples: int = 50_000,
) -> MeshScores:
    """Compares samples of each mesh with the other's triangles; `threshold` is of the diagonal.

    Nothing is lost between samples, so the scores of equal meshes are perfect.

    Source: Knapitsch et al. 2017, "Tanks and Temples", sec. 4.2 (precision, recall, F-score);
        Mescheder et al. 2019, "Occupancy Networks", sec. 4 (normal consistency).

    Raises:
        ValueError: if a mesh has no area.
    """
    used = np.asarray(truth[0], dtype=np.float64)[np.unique(truth[1])]
    diagonal = float(np.linalg.norm(np.ptp(used, axis=0))) if len(used) else 0.0
    to_truth, mesh_agrees = _distances(mesh, truth, num_samples, generator)
    to_mesh, truth_agrees = _distances(truth, mesh, num_samples, generator)
    scores = _scores(to_truth, to_mesh, threshold * diagonal)
    return MeshScores(
        **vars(scores),
        diagonal=diagonal,
        normal_consistency=float(mesh_agrees.mean() + truth_agrees.mean()) / 2,
    )


def compare_points(
    points: NDArray[np.floating], truth: NDArray[np.floating], threshold: float
) -> SurfaceScores:
    """Distances between two sets of points, (count, 3) each, that were sampled from surfaces.

    Source: Knapitsch et al. 2017, "Tanks and Temples", sec. 4.2 (precision, recall, F-score).

    Raises:
        ValueError: if a set is empty.
    """
    if not len(points) or not len(truth):
        raise ValueError(f"expected two sets of points, got {len(points)} and {len(truth)}")
    to_truth = cKDTree(truth).query(points, workers=-1)[0]
    to_points = cKDTree(points).query(truth, workers=-1)[0]
    return _scores(to_truth, to_points, threshold)


def volumetric_iou(inside: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Shared volume over joint volume of two solids, by which of the same points each contains.

    1 where both are empty.

    Source: Mescheder et al. 2019, "Occupancy Networks", sec. 4.
    """
    inside, truth = np.asarray(inside, dtype=bool), np.asarray(truth, dtype=bool)
    if inside.shape != truth.shape:
        raise ValueError(f"expected equal shapes, got {inside.shape} and {truth.shape}")
    union = np.count_nonzero(inside | truth)
    return np.count_nonzero(inside & truth) / union if union else 1.0


def _distances(
    samples_of: Triangles, other: Triangles, count: int, generator: torch.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """From samples of a mesh to another: distances, and the |cosine| between their normals."""
    points, normals = sample_surface(*samples_of, count, generator)
    distance, face, _ = nearest_points(*other, points)
    across = face_normals(*other)[face]
    lengths = np.maximum(np.linalg.norm(across, axis=-1), 1e-300)
    return distance, np.abs((normals * across).sum(axis=-1)) / lengths


def _scores(
    to_truth: NDArray[np.float64], to_found: NDArray[np.float64], threshold: float
) -> SurfaceScores:
    precision, recall = float((to_truth < threshold).mean()), float((to_found < threshold).mean())
    both = precision + recall
    return SurfaceScores(
        accuracy=float(to_truth.mean()),
        completeness=float(to_found.mean()),
        chamfer=float(to_truth.mean() + to_found.mean()) / 2,
        precision=precision,
        recall=recall,
        f_score=2 * precision * recall / both if both else 0.0,
        threshold=threshold,
    )
