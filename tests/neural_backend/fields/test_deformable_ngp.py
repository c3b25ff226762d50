# SPDX-License-Identifier: GPL-3.0-or-later
import math

import pytest
import torch
import torch.nn.functional as F

from neural_backend.fields.deformable_ngp import (
    DeformableNGPField,
    num_time_conditions,
    time_conditions,
)
from neural_backend.fields.instant_ngp import InstantNGPField
from neural_backend.kernels.deformable_ngp import DeformationSizes
from neural_backend.kernels.hash_grid import hash_grid_layout

BOUNDS = torch.tensor([[1.0, 2.0, 3.0], [3.0, 8.0, 4.0]])


def make_field(unbounded: bool, handed_on: int = 4) -> DeformableNGPField:
    generator = torch.Generator().manual_seed(0)
    canonical = InstantNGPField(
        hash_grid_layout(3, 4, 10, 4, 32),
        BOUNDS,
        unbounded,
        generator=generator,
        more_features=handed_on,
    )
    canonical.encoding.table.data *= 1e4
    sizes = DeformationSizes(3, num_time_conditions(4), 16, handed_on, reach=0.5)
    return DeformableNGPField(canonical, sizes, 4, generator)


def inside(count: int) -> torch.Tensor:
    return torch.rand(count, 3) * (BOUNDS[1] - BOUNDS[0]) + BOUNDS[0]


def test_times_are_told_by_their_octaves():
    told = time_conditions(torch.tensor([0.0, 0.25, 1.0], dtype=torch.float64), 2)
    root = math.sqrt(0.5)
    expected = [
        [-1, 0, 0, 1, 1, 0, 0, 0],
        [-0.5, root, 1, root, 0, 0, 0, 0],
        [1, 0, 0, -1, 1, 0, 0, 0],
    ]
    torch.testing.assert_close(told, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("octaves", [0, 1, 4, 7])
def test_what_is_told_of_times_comes_in_fours(octaves):
    told = time_conditions(torch.rand(5), octaves)
    assert told.shape == (5, num_time_conditions(octaves))
    assert told.shape[1] % 4 == 0


@pytest.mark.parametrize("unbounded", [False, True])
def test_it_starts_at_rest(unbounded):
    field = make_field(unbounded)
    points, times = inside(200), torch.rand(200)
    torch.testing.assert_close(field.to_canonical(points, times), points, atol=1e-4, rtol=1e-4)
    density = field.density(points, times)
    assert torch.equal(density, field.density(points, torch.zeros(200)))


def test_a_displacement_shows_the_field_from_where_it_leads():
    """One that is the same everywhere: the hidden units that read the bias alone are driven."""
    field = make_field(False)
    sizes = field.sizes
    first = sizes.width * sizes.num_inputs
    hidden = first + sizes.width * sizes.num_conditions
    with torch.no_grad():
        field.weights.zero_()
        field.weights[sizes.num_inputs - 1] = 1.0
        field.weights[hidden] = 1.0
        out = hidden + sizes.width**2
        for axis, shift in enumerate((0.1, -0.05, 0.02)):
            field.weights[out + axis * sizes.width] = shift / sizes.reach
    points, times = inside(100) * 0.2 + BOUNDS.mean(dim=0) * 0.8, torch.rand(100)
    moved = field.to_canonical(points, times)
    wanted = points + torch.tensor([0.1, -0.05, 0.02]) * 2 * field.canonical.half
    torch.testing.assert_close(moved, wanted, atol=1e-4, rtol=1e-4)
    far = field.canonical.encoding(field.canonical.to_cube(field.canonical.to_unit(moved))[0])
    here, _, _ = field.unit_density(field.canonical.to_unit(points), field.conditions(times))
    features = torch.cat([far, torch.zeros(100, 4)], dim=-1)
    there, _ = field.canonical.density_of_features(features, torch.ones(100))
    torch.testing.assert_close(here, there, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("unbounded", [False, True])
def test_gradients_reach_all_parameters_and_are_finite_even_far_away(unbounded):
    field = make_field(unbounded)
    field.weights.data += 0.3 * torch.randn(len(field.weights))
    points = torch.cat([inside(50), torch.full((1, 3), 1e6)])
    directions = F.normalize(torch.randn(51, 3), dim=-1)
    density, rgb = field(points, directions, torch.rand(51))
    assert ((rgb >= 0) & (rgb <= 1)).all()
    gradients = torch.autograd.grad(density.sum() + rgb.sum(), list(field.parameters()))
    assert all(gradient.isfinite().all() and gradient.any() for gradient in gradients)


def test_batches_may_have_any_shape():
    field = make_field(False)
    points, times = inside(35).reshape(5, 7, 3), torch.rand(5, 7)
    density, rgb = field(points, torch.tensor([0.0, 0.0, 1.0]), times)
    assert density.shape == (5, 7)
    assert rgb.shape == (5, 7, 3)
    torch.testing.assert_close(density, field.density(points, times))
