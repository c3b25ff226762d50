# SPDX-License-Identifier: GPL-3.0-or-later
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from neural_backend.fields.analytic_shapes import (
    Box,
    Capsule,
    Cone,
    Cylinder,
    Plane,
    RoundedBox,
    Sphere,
    Torus,
)
from neural_backend.fields.shape import Shape, length
from neural_backend.geometry.gradients import gradient

SHAPES = {
    "sphere": Sphere(0.8),
    "box": Box((0.5, 0.9, 0.3)),
    "rounded_box": RoundedBox((0.5, 0.9, 0.4), 0.15),
    "torus": Torus(0.7, 0.2),
    "fat_torus": Torus(0.5, 0.5),
    "cylinder": Cylinder(0.5, 0.7),
    "disk": Cylinder(0.9, 0.1),
    "cone": Cone(0.8, 0.0, 0.6),
    "cone_on_its_tip": Cone(0.0, 0.7, 0.5),
    "cut_cone": Cone(0.8, 0.3, 0.4),
    "capsule": Capsule((-0.5, 0.1, 0.0), (0.4, -0.2, 0.6), 0.25),
    "ball_as_capsule": Capsule((0.1, 0.1, 0.1), (0.1, 0.1, 0.1), 0.4),
}


def points_in_space(count: int, dimensions: int = 3, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.rand(count, dimensions, dtype=torch.float64, generator=generator) - 1.5


def profile(corners: list[tuple[float, float]], count: int) -> np.ndarray:
    """Points close together on a line through corners."""
    steps = [np.linspace(start, end, count) for start, end in pairwise(corners)]
    return np.concatenate([np.array(step).reshape(-1, 2) for step in steps])


def turned(outline: np.ndarray, count: int) -> np.ndarray:
    """An outline (radius, height) around the Z axis."""
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    across, up = outline[:, :1], np.repeat(outline[:, 1:], count, axis=1)
    return np.stack([across * np.cos(angles), across * np.sin(angles), up], axis=-1).reshape(-1, 3)


def slow_distance(inside: np.ndarray, surface: np.ndarray, points: np.ndarray) -> np.ndarray:
    nearest = np.array([np.linalg.norm(surface - point, axis=-1).min() for point in points])
    return np.where(inside, -nearest, nearest)


@pytest.mark.parametrize("name", ["cone", "cone_on_its_tip", "cut_cone", "cylinder", "disk"])
def test_solids_of_revolution_are_as_far_away_as_their_nearest_surface_point(name: str) -> None:
    shape = SHAPES[name]
    half = shape.half_height
    bottom, top = (
        (shape.radius, shape.radius)
        if isinstance(shape, Cylinder)
        else (shape.bottom_radius, shape.top_radius)
    )
    surface = turned(profile([(0, -half), (bottom, -half), (top, half), (0, half)], 150), 400)
    points = points_in_space(150).numpy()
    across, up = np.hypot(points[:, 0], points[:, 1]), points[:, 2]
    side = bottom + (top - bottom) * (up + half) / (2 * half)
    inside = (np.abs(up) < half) & (across < side)
    expected = slow_distance(inside, surface, points)
    found = shape.distance(torch.from_numpy(points)).numpy()
    np.testing.assert_allclose(found, expected, atol=8e-3)
    assert inside.any()


def test_a_torus_is_as_far_away_as_the_nearest_point_of_its_ring_less_its_tube() -> None:
    angles = np.linspace(0, 2 * np.pi, 5000)
    ring = 0.7 * np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=-1)
    points = points_in_space(100).numpy()
    expected = slow_distance(np.zeros(100, bool), ring, points) - 0.2
    found = SHAPES["torus"].distance(torch.from_numpy(points)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_capsule_is_as_far_away_as_the_nearest_point_of_its_line_less_its_radius() -> None:
    shape = SHAPES["capsule"]
    share = np.linspace(0, 1, 5001)[:, None]
    line = (1 - share) * np.array(shape.start) + share * np.array(shape.end)
    points = points_in_space(100).numpy()
    expected = slow_distance(np.zeros(100, bool), line, points) - shape.radius
    np.testing.assert_allclose(
        shape.distance(torch.from_numpy(points)).numpy(), expected, atol=1e-6
    )


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        ((0.0, 0.0, 0.0), -0.3),
        ((0.5, 0.0, 0.0), 0.0),
        ((0.8, 0.0, 0.0), 0.3),
        ((0.5 + 0.3, 0.9 + 0.4, 0.0), 0.5),
        ((0.5 + 0.2, 0.9 + 0.3, 0.3 + 0.6), 0.7),
    ],
)
def test_a_box_is_measured_from_its_faces_edges_and_corners(
    point: tuple[float, ...], expected: float
) -> None:
    found = SHAPES["box"].distance(torch.tensor(point, dtype=torch.float64))
    assert float(found) == pytest.approx(expected)


def test_a_rounded_box_is_a_smaller_one_grown_and_fills_the_same_bounds() -> None:
    shape = SHAPES["rounded_box"]
    inner = Box((0.35, 0.75, 0.25))
    points = points_in_space(500)
    torch.testing.assert_close(shape.distance(points), inner.distance(points) - 0.15)
    on_faces = torch.diag(torch.tensor(shape.half_size, dtype=torch.float64))
    torch.testing.assert_close(shape.distance(on_faces), torch.zeros(3, dtype=torch.float64))


def test_a_planes_distance_is_along_its_normal_however_long_that_is() -> None:
    plane = Plane((0.0, 3.0, 4.0), 0.5)
    points = points_in_space(50)
    expected = 0.6 * points[:, 1] + 0.8 * points[:, 2] - 0.5
    torch.testing.assert_close(plane.distance(points), expected)


def test_in_the_plane_a_sphere_is_a_circle_and_a_box_a_rectangle() -> None:
    points = points_in_space(200, dimensions=2)
    radius = torch.hypot(points[:, 0], points[:, 1])
    circle = Sphere(0.8, dimensions=2)
    torch.testing.assert_close(circle.distance(points), radius - 0.8)
    assert circle.bounds().tolist() == [[-0.8, -0.8], [0.8, 0.8]]
    corner = torch.tensor([1.0 + 0.3, 2.0 + 0.4])
    assert float(Box((1.0, 2.0)).distance(corner)) == pytest.approx(0.5)
    assert float(Capsule((0.0, 0.0), (1.0, 0.0), 0.1).distance(corner)) == pytest.approx(
        math.hypot(0.3, 2.4) - 0.1
    )


@pytest.mark.parametrize("name", SHAPES)
def test_exact_distances_grow_by_one_a_unit(name: str) -> None:
    """|∇d| = 1 almost everywhere, inside and outside."""
    shape = SHAPES[name]
    slope = length(gradient(shape.distance, points_in_space(2000)))
    assert float(((slope - 1).abs() < 1e-6).double().mean()) > 0.999


@pytest.mark.parametrize("name", SHAPES)
def test_the_nearest_surface_point_lies_against_the_normal(name: str) -> None:
    shape = SHAPES[name]
    points = points_in_space(2000)
    foot = points - shape.distance(points)[:, None] * shape.normals(points)
    error = shape.distance(foot).abs()
    assert float((error < 1e-6).double().mean()) > 0.999


@pytest.mark.parametrize("name", SHAPES)
def test_bounds_touch_the_solid_on_every_side(name: str) -> None:
    shape = SHAPES[name]
    lower, upper = shape.bounds()
    random = torch.rand(4000, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for axis in range(3):
        for side, outward in ((lower, -1.0), (upper, 1.0)):
            face = lower + (upper - lower) * random
            face[:, axis] = side[axis]
            beyond = face.clone()
            beyond[:, axis] += 1e-3 * outward
            assert float(shape.distance(beyond).min()) > 0
            # Of a cone's tip or a cylinder's side a face of the box meets a point or a line only.
            assert float(shape.distance(face).min()) < 0.08


@pytest.mark.parametrize("name", SHAPES)
def test_values_and_gradients_stay_finite_at_extremes(name: str) -> None:
    shape = SHAPES[name]
    points = torch.zeros(7, 3)
    points[1, 2], points[2, 0], points[3] = 0.6, 1e8, -1e8
    points[4, 2], points[5, :2], points[6] = -0.6, 0.3, 1e-20
    assert shape.distance(points).isfinite().all()
    assert gradient(shape.distance, points).isfinite().all()
    assert shape.normals(points).isfinite().all()


def test_any_batch_shape_and_precision_is_answered_in_kind() -> None:
    points = points_in_space(24)
    for shape in SHAPES.values():
        flat = shape.distance(points)
        torch.testing.assert_close(shape.distance(points.reshape(2, 3, 4, 3)).reshape(-1), flat)
        by_coordinate = points.T.contiguous().T
        torch.testing.assert_close(shape.distance(by_coordinate), flat)
        assert shape.distance(points.float()).dtype == torch.float32


IMPOSSIBLE = [
    (Sphere, {"radius": 0.0}, "radius"),
    (Box, {"half_size": (1.0, -1.0, 1.0)}, "half_size"),
    (RoundedBox, {"half_size": (1.0, 1.0, 0.1), "radius": 0.2}, "exceed"),
    (Torus, {"ring_radius": 0.2, "tube_radius": 0.3}, "exceed"),
    (Cylinder, {"half_height": math.nan}, "half_height"),
    (Cone, {"bottom_radius": 0.0}, "both 0"),
    (Capsule, {"start": (0.0, 0.0)}, "equally many"),
    (Plane, {"normal": (0.0, 0.0, 0.0)}, "length"),
]


@pytest.mark.parametrize(("kind", "values", "message"), IMPOSSIBLE)
def test_impossible_sizes_are_refused(kind: type[Shape], values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**values)
