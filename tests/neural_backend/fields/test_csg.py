# SPDX-License-Identifier: GPL-3.0-or-later
import math

import pytest
import torch
from torch import Tensor

from neural_backend.fields.analytic_shapes import Box, Capsule, Cylinder, Plane, Sphere
from neural_backend.fields.csg import (
    Difference,
    FileShape,
    FunctionShape,
    Intersection,
    Moved,
    Offset,
    Placed,
    Shell,
    Union,
    bind,
    smooth_minimum,
)
from neural_backend.fields.shape import Shape, length
from neural_backend.geometry.gradients import gradient


def ball(x: float, radius: float = 1.0) -> Shape:
    return Moved(Sphere(radius), (x, 0.0, 0.0))


def points_in_space(count: int = 2000, dimensions: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return 5 * torch.rand(count, dimensions, dtype=torch.float64, generator=generator) - 2.5


def surface_points(count: int = 400) -> Tensor:
    """Unit directions, evenly spread: a Fibonacci spiral."""
    number = torch.arange(count, dtype=torch.float64)
    up = 1 - 2 * (number + 0.5) / count
    turn = number * math.pi * (3 - 5**0.5)
    across = (1 - up**2).sqrt()
    return torch.stack([across * turn.cos(), across * turn.sin(), up], dim=-1)


PAIR = (ball(-0.5), ball(0.6, 0.8))
OPERATIONS = {
    "union": (Union, lambda first, second: first | second),
    "intersection": (Intersection, lambda first, second: first & second),
    "difference": (Difference, lambda first, second: first & ~second),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_insides_combine_as_sets_do(name: str) -> None:
    kind, expected = OPERATIONS[name]
    points = points_in_space()
    first, second = (part.distance(points) < 0 for part in PAIR)
    inside = kind(PAIR).distance(points) < 0
    assert torch.equal(inside, expected(first, second))
    assert inside.any()


@pytest.mark.parametrize("smoothness", [0.0, 0.4])
@pytest.mark.parametrize("name", OPERATIONS)
def test_distances_are_never_too_long_and_exact_where_the_nearest_part_decides(
    name: str, smoothness: float
) -> None:
    """Against the nearest point of a dense sample of the surface that is left."""
    kind, _ = OPERATIONS[name]
    shape = kind(PAIR, smoothness)
    dense = torch.cat(
        [-0.5 * torch.eye(3, dtype=torch.float64)[0] + surface_points(4000),
         0.6 * torch.eye(3, dtype=torch.float64)[0] + 0.8 * surface_points(4000)]
    )  # fmt: skip
    # Onto the surface by Newton's method: on the seam, where it has no one gradient, some remain
    # off it and are left out.
    for _ in range(20):
        slope = gradient(shape.distance, dense)
        dense = dense - shape.distance(dense)[:, None] * slope / slope.square().sum(
            dim=-1, keepdim=True
        ).clamp(min=0.1)
    dense = dense[shape.distance(dense).abs() < 1e-6]
    points = points_in_space(300)
    nearest = torch.cdist(points, dense).amin(dim=-1)
    found = shape.distance(points)
    assert float((found.abs() - nearest).max()) < 1e-6
    if smoothness == 0 and name == "union":
        outside = found > 0
        # Samples are up to 0.04 apart.
        torch.testing.assert_close(found[outside], nearest[outside], atol=0.04, rtol=0)


@pytest.mark.parametrize("smoothness", [0.01, 0.3, 2.0])
def test_the_smooth_minimum_is_the_minimum_where_values_differ_enough(smoothness: float) -> None:
    first, second = points_in_space(5000)[:, 0], points_in_space(5000)[:, 1]
    exact = torch.minimum(first, second)
    found = smooth_minimum(first, second, smoothness)
    far = (first - second).abs() >= smoothness
    torch.testing.assert_close(found[far], exact[far])
    assert (found <= exact).all()
    assert float((exact - found).max()) <= smoothness / 4 + 1e-12
    torch.testing.assert_close(found, smooth_minimum(second, first, smoothness))
    equal = smooth_minimum(first, first, smoothness)
    torch.testing.assert_close(equal, first - smoothness / 4)


def test_the_smooth_minimum_has_no_kink() -> None:
    """Its slope by one argument goes from 1 to 0 without a jump, and both slopes add up to 1."""
    first = torch.linspace(-2, 2, 4001, dtype=torch.float64)
    pair = torch.stack([first, torch.zeros_like(first)], dim=-1)
    slopes = gradient(lambda pair: smooth_minimum(pair[..., 0], pair[..., 1], 0.7), pair)
    assert float(slopes[:, 0].diff().abs().max()) < 2e-3
    torch.testing.assert_close(slopes.sum(dim=-1), torch.ones_like(first))


@pytest.mark.parametrize("name", OPERATIONS)
def test_smooth_operations_approach_the_sharp_ones(name: str) -> None:
    kind, _ = OPERATIONS[name]
    points = points_in_space()
    sharp = kind(PAIR).distance(points)
    errors = [
        float((kind(PAIR, smoothness).distance(points) - sharp).abs().max())
        for smoothness in (0.4, 0.04, 0.004)
    ]
    assert errors[0] > 0.05
    assert errors == sorted(errors, reverse=True)
    assert errors[2] <= 0.001 + 1e-12


@pytest.mark.parametrize("smoothness", [0.0, 0.5])
def test_no_distance_grows_faster_than_one_a_unit(smoothness: float) -> None:
    """What sphere tracing and skipping of blocks rely on."""
    parts = (
        Box((1.0, 0.4, 0.7)),
        ball(0.8),
        Moved(Cylinder(0.3, 2.0), (0.0, 0.0, 0.0), (70.0, 0.0, 0.0)),
    )
    for kind in (Union, Intersection, Difference):
        shape = Shell(Offset(kind(parts, smoothness), 0.1), 0.05)
        assert float(length(gradient(shape.distance, points_in_space())).max()) < 1 + 1e-9


def test_a_placed_shape_is_at_the_scaled_distance_of_its_own_space() -> None:
    shape = Moved(Box((1.0, 0.5, 0.25)), (1.0, -2.0, 0.5), (30.0, 45.0, 60.0), 1.5)
    local = points_in_space(200)
    scene = local
    for axis, angle in enumerate((30.0, 45.0, 60.0)):
        scene = rotation(axis, angle, scene)
    scene = 1.5 * scene + torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    torch.testing.assert_close(shape.distance(scene), 1.5 * shape.part.distance(local))
    torch.testing.assert_close(
        length(gradient(shape.distance, scene)), torch.ones(200, dtype=torch.float64)
    )


def rotation(axis: int, angle_deg: float, points: Tensor) -> Tensor:
    """Right-handed, by Rodrigues' formula."""
    around = torch.eye(3, dtype=torch.float64)[axis].expand_as(points)
    angle = math.radians(angle_deg)
    return (
        points * math.cos(angle)
        + torch.linalg.cross(around, points) * math.sin(angle)
        + around * (points * around).sum(dim=-1, keepdim=True) * (1 - math.cos(angle))
    )


def test_in_the_plane_one_angle_turns_against_the_clock() -> None:
    bar = Moved(Box((1.0, 0.1)), (0.0, 0.0), (90.0,), 1.0)
    tip = Moved(Capsule((0.0, 0.0), (1.0, 0.0), 0.1), (2.0, 0.0), (90.0,))
    assert float(bar.distance(torch.tensor([0.0, 0.9]))) < 0
    assert float(tip.distance(torch.tensor([2.0, 1.0]))) == pytest.approx(-0.1)
    torch.testing.assert_close(
        tip.bounds(), torch.tensor([[1.9, -0.1], [2.1, 1.1]], dtype=torch.float64)
    )


def test_a_mirror_is_a_placement_and_a_stretch_is_none() -> None:
    mirror = Placed(ball(1.0), ((-1.0, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)))
    points = points_in_space(50)
    torch.testing.assert_close(mirror.distance(points), ball(-1.0).distance(points))
    stretch = ((2.0, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))
    perspective = ((1.0, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 1, 1))
    flat = ((0.0, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))
    for matrix in (stretch, perspective, flat):
        with pytest.raises(ValueError, match="stretched"):
            Placed(Sphere(), matrix)


def test_offsets_and_shells_of_a_sphere_are_spheres() -> None:
    points = points_in_space()
    torch.testing.assert_close(
        Offset(Sphere(1.0), 0.25).distance(points), Sphere(1.25).distance(points)
    )
    layer = Difference((Sphere(1.1), Sphere(0.9)))
    torch.testing.assert_close(Shell(Sphere(1.0), 0.2).distance(points), layer.distance(points))


@pytest.mark.parametrize(
    "shape",
    [
        Union(PAIR, 0.5),
        Union((*PAIR, ball(1.5, 0.5)), 0.5),
        Intersection(PAIR),
        Difference(PAIR, 0.2),
        Offset(Union(PAIR), 0.3),
        Offset(Union(PAIR), -0.1),
        Shell(Box((0.5, 0.6, 0.7)), 0.1),
        Moved(Box((0.5, 0.3, 0.9)), (0.3, 0.2, 0.1), (20.0, 30.0, 40.0), 1.2),
    ],
)
def test_bounds_hold_the_whole_solid(shape: Shape) -> None:
    lower, upper = shape.bounds()
    points = points_in_space(20000)
    inside = points[shape.distance(points) < 0]
    assert len(inside)
    assert (inside >= lower).all()
    assert (inside <= upper).all()


def test_a_plane_turned_or_not_is_endless_until_something_cuts_it() -> None:
    for turn in ((0.0, 0.0, 0.0), (30.0, 0.0, 0.0)):
        plane = Moved(Plane(), (0.0, 0.0, 1.0), turn, 2.0)
        assert plane.bounds().isinf().all()
        cut = Intersection((plane, Sphere(1.5)))
        torch.testing.assert_close(cut.bounds(), Sphere(1.5).bounds())


def test_loaded_shapes_take_the_place_of_their_files_wherever_they_are() -> None:
    tree = Difference((Offset(FileShape("a.ply"), 0.1), Union((Sphere(0.2), FileShape("b")))))
    loaded: list[str] = []

    def load(file: FileShape) -> Shape:
        loaded.append(file.path)
        return FunctionShape(lambda points: points.norm(dim=-1) - 1, Sphere(1.0).bounds().float())

    bound = bind(tree, load)
    assert loaded == ["a.ply", "b"]
    points = points_in_space(60)
    expected = Difference((Sphere(1.1), Union((Sphere(0.2), Sphere(1.0))))).distance(points)
    torch.testing.assert_close(bound.distance(points), expected)
    torch.testing.assert_close(bound.distance(points.reshape(3, 20, 3)).reshape(-1), expected)
    torch.testing.assert_close(bound.bounds(), Sphere(1.1).bounds())
    with pytest.raises(ValueError, match=r"a\.ply has not been loaded"):
        tree.distance(points)


def test_gradients_reach_the_parameters_of_a_learned_part() -> None:
    radius = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    part = FunctionShape(lambda points: points.norm(dim=-1) - radius, Sphere(1.0).bounds())
    Union((part, ball(5.0))).distance(points_in_space(10)).sum().backward()
    assert radius.grad is not None
    assert float(radius.grad) == -10


@pytest.mark.parametrize("kind", [Union, Intersection, Difference])
def test_operations_without_parts_or_with_negative_smoothness_are_refused(kind: type) -> None:
    with pytest.raises(ValueError, match="at least one"):
        kind(())
    with pytest.raises(ValueError, match="negative"):
        kind(PAIR, -0.1)
