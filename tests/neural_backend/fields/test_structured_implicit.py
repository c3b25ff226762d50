# SPDX-License-Identifier: GPL-3.0-or-later
import math

import pytest
import torch
from scipy.spatial.transform import Rotation

from neural_backend.fields.structured_implicit import (
    LEVEL,
    Element,
    StructuredImplicitField,
    rotation_matrices,
)

BOUNDS = torch.tensor([[-1.0] * 3, [1.0] * 3])


def field(local_dim=0) -> StructuredImplicitField:
    generator = torch.Generator().manual_seed(0)
    made = StructuredImplicitField(BOUNDS, 4, True, local_dim, 8, generator)
    with torch.no_grad():
        made.quaternions.copy_(torch.randn(4, 4, generator=generator))
        made.log_radii.add_(0.5 * torch.randn(4, 3, generator=generator))
        made.log_constants.copy_(torch.randn(4, generator=generator))
    return made


def test_quaternions_turn_as_scipy_says():
    quaternions = torch.randn(9, 4, dtype=torch.float64)
    w, x, y, z = quaternions.T
    expected = Rotation.from_quat(torch.stack([x, y, z, w], dim=-1).numpy()).as_matrix()
    torch.testing.assert_close(rotation_matrices(quaternions), torch.from_numpy(expected))


def test_an_unturned_gaussian_is_the_papers_formula():
    """Eq. 2: c · exp(- sum over axes of (p - x)² / (2 r²))."""
    made = StructuredImplicitField(BOUNDS, 1)
    element = Element((0.1, -0.2, 0.3), (0.2, 0.4, 0.1), (1.0, 0.0, 0.0, 0.0), -0.7)
    made.set_elements([element])
    points = torch.rand(30, 3) * 2 - 1
    for point, value in zip(points.tolist(), made(points).tolist(), strict=True):
        parts = zip(point, element.center, element.radii, strict=True)
        exponent = sum((x - p) ** 2 / (2 * r**2) for x, p, r in parts)
        assert math.isclose(value, -0.7 * math.exp(-exponent), rel_tol=1e-4, abs_tol=1e-6)


def test_the_sum_is_that_of_turned_gaussians_one_by_one():
    made, points = field(), torch.rand(25, 3) * 2 - 1
    expected = torch.zeros(25)
    for element in made.elements():
        w, x, y, z = element.rotation
        axes = torch.from_numpy(Rotation.from_quat([x, y, z, w]).as_matrix()).float()
        for number, point in enumerate(points):
            # Column i of the rotation is the ellipsoid's axis i in the frame.
            local = axes.T @ (point - torch.tensor(element.center)) / torch.tensor(element.radii)
            expected[number] += element.constant * torch.exp(-local.square().sum() / 2)
    torch.testing.assert_close(made(points), expected, rtol=1e-4, atol=1e-5)


def test_elements_that_are_read_and_set_again_show_the_same_shape():
    made, other = field(), StructuredImplicitField(BOUNDS, 4)
    other.set_elements(made.elements())
    points = torch.rand(50, 3) * 2 - 1
    torch.testing.assert_close(other(points), made(points), rtol=1e-4, atol=1e-5)


def test_an_element_that_is_moved_takes_its_part_of_the_shape_along():
    made, shift = field(local_dim=3), torch.tensor([0.3, -0.1, 0.2])
    torch.nn.init.normal_(made.out.weight)
    points = torch.rand(50, 3) * 2 - 1
    before = made(points)
    moved = [
        Element(
            tuple(value + float(step) for value, step in zip(one.center, shift, strict=True)),
            one.radii,
            one.rotation,
            one.constant,
        )
        for one in made.elements()
    ]
    made.set_elements(moved)
    torch.testing.assert_close(made(points + shift), before, rtol=1e-3, atol=1e-4)


def test_local_networks_start_without_detail_and_add_some():
    made, points = field(local_dim=3), torch.rand(50, 3) * 2 - 1
    plain = StructuredImplicitField(BOUNDS, 4)
    plain.set_elements(made.elements())
    torch.testing.assert_close(made(points), plain(points), rtol=1e-4, atol=1e-5)
    torch.nn.init.normal_(made.out.weight)
    influences, local = made.influences(points)
    detail = torch.zeros(4, 50)
    for element in range(4):
        for number in range(50):
            seen = torch.cat([local[element, number].clamp(-4, 4), made.codes[element]])
            detail[element, number] = made.out(
                torch.relu(made.middle(torch.relu(made.lift(seen))))
            )[0]
    expected = (influences * (1 + detail)).sum(dim=0)
    torch.testing.assert_close(made(points), expected, rtol=1e-4, atol=1e-5)


def test_beyond_its_reach_there_is_no_surface():
    made = field()
    low, high = made.reach()
    points = torch.rand(4000, 3) * 3 * (high - low) + low - (high - low)
    outside = ((points < low) | (points > high)).any(dim=-1)
    assert (made(points[outside]) > LEVEL).all()
    ball = StructuredImplicitField(BOUNDS, 1)
    ball.set_elements([Element((0.5, 0.0, 0.0), (0.1, 0.2, 0.3), (1.0, 0.0, 0.0, 0.0), -1.0)])
    expected = torch.tensor([[0.2, -0.6, -0.9], [0.8, 0.6, 0.9]])
    torch.testing.assert_close(ball.reach(), expected, rtol=1e-4, atol=1e-5)


def test_the_surface_is_inside_below_the_papers_level():
    surface = field().isosurface()
    assert (surface.level, surface.inside_above) == (LEVEL, False)


@pytest.mark.parametrize(
    "changes",
    [{"radii": (0.0, 1.0, 1.0)}, {"constant": 0.5}, {"rotation": (0.0,) * 4},
     {"center": (math.nan, 0.0, 0.0)}],
)  # fmt: skip
def test_impossible_elements_are_refused(changes):
    made = StructuredImplicitField(BOUNDS, 1)
    values = {"center": (0.0,) * 3, "radii": (1.0,) * 3, "rotation": (1.0, 0.0, 0.0, 0.0)}
    with pytest.raises(ValueError, match="positive radii"):
        made.set_elements([Element(**{**values, "constant": -1.0, **changes})])
    with pytest.raises(ValueError, match="expected 1 elements, got 0"):
        made.set_elements([])


@pytest.mark.parametrize("local_dim", [0, 3])
def test_gradients_are_finite_at_extremes(local_dim):
    made = field(local_dim)
    with torch.no_grad():
        made.log_radii[0] = -60
        made.log_radii[1] = 20
    values = made(torch.tensor([[0.0] * 3, [1e3] * 3]))
    values.sum().backward()
    assert values.isfinite().all()
    for parameter in made.parameters():
        if parameter.grad is not None:
            assert parameter.grad.isfinite().all()
