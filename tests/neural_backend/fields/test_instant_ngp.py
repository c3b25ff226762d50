# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
import torch
import torch.nn.functional as F

from neural_backend.fields.instant_ngp import InstantNGPField
from neural_backend.kernels.hash_grid import hash_grid_layout

BOUNDS = torch.tensor([[1.0, 2.0, 3.0], [3.0, 8.0, 4.0]])


def make_field(unbounded: bool, frame: float = 1.0) -> InstantNGPField:
    layout = hash_grid_layout(4, 4, 10, 4, 32)
    generator = torch.Generator().manual_seed(0)
    return InstantNGPField(layout, BOUNDS, unbounded, frame=frame, generator=generator)


def test_the_unit_frame_holds_the_bounds():
    unit = make_field(False).to_unit(BOUNDS)
    torch.testing.assert_close(unit, torch.tensor([[-1 / 3, -1, -1 / 6], [1 / 3, 1, 1 / 6]]))
    torch.testing.assert_close(make_field(True, frame=2.0).to_unit(BOUNDS), unit / 2)


def test_it_starts_as_thin_even_fog():
    points = torch.rand(100, 3) * (BOUNDS[1] - BOUNDS[0]) + BOUNDS[0]
    density = make_field(False).density(points)
    torch.testing.assert_close(density, torch.full((100,), torch.e**-1 / 3), rtol=0.01, atol=0)


def test_objects_end_at_their_bounds_and_other_scenes_go_on_ever_thinner():
    outside = torch.tensor([[0.9, 5.0, 3.5], [2.0, 50.0, 3.5], [2.0, 5000.0, 3.5]])
    assert not make_field(False).density(outside).any()
    near, far, farther = make_field(True).density(outside).tolist()
    assert near > far > farther > 0
    assert far / farther == pytest.approx(4995 / 45, rel=0.02)


@pytest.mark.parametrize("unbounded", [False, True])
def test_colors_are_colors_and_gradients_finite_even_far_away(unbounded):
    field = make_field(unbounded)
    field.encoding.table.data *= 1e4
    points = torch.cat([BOUNDS, BOUNDS.mean(dim=0, keepdim=True), torch.full((1, 3), 1e6)])
    directions = F.normalize(torch.randn(4, 3), dim=-1)
    density, rgb = field(points, directions)
    assert ((rgb >= 0) & (rgb <= 1)).all()
    assert (density >= 0).all()
    gradients = torch.autograd.grad(density.sum() + rgb.sum(), list(field.parameters()))
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_batches_may_have_any_shape_and_directions_fewer_dimensions():
    field = make_field(False)
    points = torch.rand(5, 7, 3) + BOUNDS[0]
    density, rgb = field(points, torch.tensor([0.0, 0.0, 1.0]))
    assert density.shape == (5, 7)
    assert rgb.shape == (5, 7, 3)
    torch.testing.assert_close(density, field.density(points))
