# SPDX-License-Identifier: GPL-3.0-or-later
"""How far an extracted mesh lies from the scene's real surfaces.

Only surfaces that pictures can tell something about are compared, on both sides: samples that at
least `MIN_CAMERAS` training cameras see past everything else of their own mesh. The underside of a
table and the inside of a solid count neither for nor against a mesh.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Vector
from mathutils.bvhtree import BVHTree
from numpy.typing import NDArray

NUM_SAMPLES = 15_000
MIN_CAMERAS = 3
"""Fewer than two cannot place a point; the third keeps chance glimpses out."""
THRESHOLD = 0.005
"""Share of the scene's diagonal within which the F-score calls a sample right."""


@dataclass(frozen=True)
class Surface:
    """Triangles in world space, and a tree to ask them."""

    vertices: NDArray[np.float64]
    triangles: NDArray[np.int64]
    tree: BVHTree

    @property
    def diagonal(self) -> float:
        return float(np.linalg.norm(np.ptp(self.vertices, axis=0)))


@dataclass(frozen=True)
class Comparison:
    """Distances in scene units; precision, recall and F-score in [0, 1]."""

    chamfer: float
    precision: float
    recall: float
    diagonal: float

    @property
    def chamfer_percent(self) -> float:
        return 100 * self.chamfer / self.diagonal

    @property
    def f_score(self) -> float:
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total > 0 else 0.0


def surface_of(objects: Iterable[bpy.types.Object]) -> Surface:
    """The triangles of evaluated objects, modifiers included."""
    depsgraph = bpy.context.evaluated_depsgraph_get()
    vertices: list[NDArray[np.float64]] = []
    triangles: list[NDArray[np.int64]] = []
    count = 0
    for item in objects:
        evaluated = item.evaluated_get(depsgraph)
        mesh = evaluated.to_mesh()
        mesh.calc_loop_triangles()
        points = np.empty(3 * len(mesh.vertices), dtype=np.float32)
        mesh.vertices.foreach_get("co", points)
        corners = np.empty(3 * len(mesh.loop_triangles), dtype=np.int32)
        mesh.loop_triangles.foreach_get("vertices", corners)
        world = np.array(evaluated.matrix_world)
        vertices.append(points.reshape(-1, 3).astype(np.float64) @ world[:3, :3].T + world[:3, 3])
        triangles.append(corners.reshape(-1, 3).astype(np.int64) + count)
        count += len(mesh.vertices)
        evaluated.to_mesh_clear()
    if not count:
        raise ValueError("no triangles to compare")
    points, corners = np.concatenate(vertices), np.concatenate(triangles)
    return Surface(points, corners, BVHTree.FromPolygons(points.tolist(), corners.tolist()))


def compare(reference: Surface, mesh: Surface, cameras: NDArray[np.float64]) -> Comparison:
    """Chamfer distance (mean of both directions) and F-score of what `cameras` (n, 3) see."""
    diagonal = reference.diagonal
    missing = distances(visible_samples(reference, cameras, diagonal), mesh)
    excess = distances(visible_samples(mesh, cameras, diagonal), reference)
    within = THRESHOLD * diagonal
    return Comparison(
        chamfer=float(missing.mean() + excess.mean()) / 2,
        precision=float((excess < within).mean()),
        recall=float((missing < within).mean()),
        diagonal=diagonal,
    )


def visible_samples(
    surface: Surface, cameras: NDArray[np.float64], diagonal: float
) -> NDArray[np.float64]:
    """Points spread evenly over what enough cameras see."""
    generator = np.random.default_rng(0)
    points = samples(surface, NUM_SAMPLES, generator)
    # In chance order, so that a point that many cameras see is done after a few.
    eyes = [Vector(position) for position in generator.permutation(cameras)]
    wanted = min(MIN_CAMERAS, len(eyes))
    seen = [is_seen(Vector(point), surface.tree, eyes, wanted, 1e-4 * diagonal) for point in points]
    if not any(seen):
        raise ValueError("no camera sees any of the surface")
    return points[np.array(seen)]


def is_seen(point: Vector, tree: BVHTree, eyes: list[Vector], wanted: int, slack: float) -> bool:
    count = 0
    for eye in eyes:
        towards = point - eye
        hit = tree.ray_cast(eye, towards.normalized())[3]
        if hit is not None and hit >= towards.length - slack:
            count += 1
            if count == wanted:
                return True
    return False


def samples(surface: Surface, count: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Points spread evenly over all triangles."""
    a, b, c = (surface.vertices[surface.triangles[:, corner]] for corner in range(3))
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=-1) / 2
    chosen = generator.choice(len(areas), size=count, p=areas / areas.sum())
    # Osada et al. 2002, "Shape Distributions", eq. 1: the root keeps samples even.
    root, along = np.sqrt(generator.random((count, 1))), generator.random((count, 1))
    return (1 - root) * a[chosen] + root * (1 - along) * b[chosen] + root * along * c[chosen]


def distances(points: NDArray[np.float64], surface: Surface) -> NDArray[np.float64]:
    """From each point to the nearest point of the surface."""
    return np.array([surface.tree.find_nearest(Vector(point))[3] for point in points])
