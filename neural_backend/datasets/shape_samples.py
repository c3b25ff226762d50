# SPDX-License-Identifier: GPL-3.0-or-later
"""What networks learn shapes from: points, and what a mesh says about each."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..geometry.mesh_distance import signed_distance, winding_number
from ..geometry.surface_samples import sample_surface

__all__ = [
    "NormalizedShape",
    "sample_occupancy_uniform",
    "sample_sdf_as_deepsdf",
    "sample_surface",
]

SPHERE_BUFFER = 1.03
"""How much larger than the shape its unit sphere is (Park et al. 2019, sec. 5)."""

CUBE_PADDING = 0.1
"""How much wider than its unit cube a shape's samples reach (Mescheder et al. 2019, sec. 3.1)."""


@dataclass(frozen=True)
class NormalizedShape:
    """A mesh in its unit frame, and the way back: scene = center + scale · unit."""

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    center: NDArray[np.float64]
    scale: float

    @classmethod
    def in_unit_sphere(
        cls,
        vertices: NDArray[np.floating],
        faces: NDArray[np.integer],
        buffer: float = SPHERE_BUFFER,
    ) -> "NormalizedShape":
        """About the middle of its box, with `buffer` times its farthest vertex at distance 1.

        Source: Park et al. 2019, "DeepSDF", sec. 5.
        """
        center = _middle(vertices, faces)
        used = np.asarray(vertices, dtype=np.float64)[np.unique(faces)]
        radius = float(np.linalg.norm(used - center, axis=-1).max())
        return cls._moved(vertices, faces, center, buffer * radius)

    @classmethod
    def in_unit_cube(
        cls, vertices: NDArray[np.floating], faces: NDArray[np.integer]
    ) -> "NormalizedShape":
        """About the middle of its box, whose longest side becomes 1: from -1/2 to 1/2.

        Source: Mescheder et al. 2019, "Occupancy Networks", sec. 3.1 and the authors' program.
        """
        used = np.asarray(vertices, dtype=np.float64)[np.unique(faces)]
        return cls._moved(
            vertices, faces, _middle(vertices, faces), float(np.ptp(used, axis=0).max())
        )

    @classmethod
    def _moved(
        cls,
        vertices: NDArray[np.floating],
        faces: NDArray[np.integer],
        center: NDArray[np.float64],
        scale: float,
    ) -> "NormalizedShape":
        if not scale > 0:
            raise ValueError(f"expected a mesh with an extent, got one of size {scale}")
        unit = (np.asarray(vertices, dtype=np.float64) - center) / scale
        return cls(unit, np.asarray(faces, dtype=np.int64), center, scale)

    def to_unit(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Scene positions (..., 3) as the unit frame has them."""
        return (np.asarray(points, dtype=np.float64) - self.center) / self.scale

    def to_scene(self, unit_points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Where positions (..., 3) of the unit frame are; distances are `scale` times as long."""
        return self.center + self.scale * np.asarray(unit_points, dtype=np.float64)


def sample_sdf_as_deepsdf(
    shape: NormalizedShape,
    count: int,
    generator: torch.Generator,
    near_share: float = 0.95,
    variances: tuple[float, float] = (0.0025, 0.00025),
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points (count, 3) and their signed distances (count,), both in the unit frame.

    `near_share` of them lie about the surface, with noise of either of the two variances along
    each axis, one half each; the others anywhere in the unit sphere. The order is random.

    Source: Park et al. 2019, "DeepSDF", sec. 5 (variances); 95 % near is about the authors' program
        (47 of 50).
    Differs: the sign is the winding number's, not that of the nearest visible surface, so meshes
        need not be filtered; inner surfaces of an overlapping mesh stay surfaces.
    """
    near = round(near_share * count)
    on_surface, _ = sample_surface(shape.vertices, shape.faces, near, generator)
    deviations = np.repeat(np.sqrt(variances), [near - near // 2, near // 2])
    noise = torch.randn(near, 3, dtype=torch.float64, generator=generator).numpy()
    points = np.concatenate(
        [on_surface + deviations[:, None] * noise, _in_unit_ball(count - near, generator)]
    )
    points = points[torch.randperm(count, generator=generator).numpy()]
    return points, signed_distance(shape.vertices, shape.faces, points)


def sample_occupancy_uniform(
    shape: NormalizedShape,
    count: int,
    generator: torch.Generator,
    padding: float = CUBE_PADDING,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Points (count, 3) anywhere in the padded unit cube, and whether each is inside (count,).

    Source: Mescheder et al. 2019, "Occupancy Networks", sec. 3.1 (uniform in the padded box).
    """
    random = torch.rand(count, 3, dtype=torch.float64, generator=generator).numpy()
    points = (1 + padding) * (random - 0.5)
    return points, np.abs(winding_number(shape.vertices, shape.faces, points)) > 0.5


def _in_unit_ball(count: int, generator: torch.Generator) -> NDArray[np.float64]:
    directions = torch.randn(count, 3, dtype=torch.float64, generator=generator).numpy()
    radii = torch.rand(count, 1, dtype=torch.float64, generator=generator).numpy() ** (1 / 3)
    return radii * directions / np.linalg.norm(directions, axis=-1, keepdims=True)


def _middle(vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> NDArray[np.float64]:
    used = np.asarray(vertices, dtype=np.float64)[np.unique(faces)]
    return (used.min(axis=0) + used.max(axis=0)) / 2
