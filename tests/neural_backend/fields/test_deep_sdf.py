# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
import torch

from neural_backend.fields.deep_sdf import DeepSDFField

BOUNDS = torch.tensor([[-1.0] * 3, [1.0] * 3])


def field(depth=4, frequencies=2) -> DeepSDFField:
    generator = torch.Generator().manual_seed(0)
    return DeepSDFField(BOUNDS, 5, 16, depth, frequencies, generator)


def test_the_network_is_layer_after_layer_with_a_skip_in_the_middle():
    """A slow twin: the code is written beside every point, and weights are made by hand."""
    made = field()
    points, code = torch.randn(7, 3), torch.randn(5)
    for point, value in zip(points, made(points, code), strict=True):
        seen = torch.cat([made.encoding(point), code])
        hidden = seen
        for number, layer in enumerate(made.layers):
            if number == 2:
                hidden = torch.cat([hidden, seen])
            weight = layer.direction / layer.direction.norm(dim=1, keepdim=True)
            hidden = torch.relu((weight * layer.length[:, None]) @ hidden + layer.bias)
        last = made.out
        expected = last.length * (last.direction / last.direction.norm()) @ hidden + last.bias
        torch.testing.assert_close(value, expected[0])


def test_many_shapes_at_once_are_as_one_after_another():
    made, points, codes = field(), torch.randn(3, 11, 3), torch.randn(3, 5)
    together = made.each(points, codes)
    for number in range(3):
        torch.testing.assert_close(together[number], made(points[number], codes[number]))


def test_points_keep_their_shape_and_the_surface_its_code():
    made, code = field(), torch.randn(5)
    points = torch.randn(2, 4, 3)
    assert made(points, code).shape == (2, 4)
    surface = made.isosurface(code)
    torch.testing.assert_close(surface.signed(points[0]), -made(points[0], code))


def test_impossible_shapes_are_refused():
    with pytest.raises(ValueError, match="depth must be even, got 3"):
        field(depth=3)
    with pytest.raises(ValueError, match="code"):
        field()(torch.zeros(1, 3))


def test_gradients_are_finite_at_extremes():
    made = field()
    code = torch.full((5,), 1e3, requires_grad=True)
    values = made(torch.tensor([[0.0] * 3, [1e3] * 3]), code)
    values.sum().backward()
    assert values.isfinite().all()
    assert code.grad.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in made.parameters())
