# SPDX-License-Identifier: GPL-3.0-or-later
import torch

from neural_backend.fields.neural_sdf import NeuralSDFField
from neural_backend.kernels.hash_grid import hash_grid_layout

BOUNDS = torch.tensor([[-0.5, -1.0, 0.0], [0.5, 1.0, 1.0]])


def field() -> NeuralSDFField:
    layout = hash_grid_layout(3, 2, 12, 4, 16)
    return NeuralSDFField(layout, BOUNDS, 16, 2, generator=torch.Generator().manual_seed(0))


def learned() -> NeuralSDFField:
    made = field()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        made.encoding.table.normal_(generator=generator)
        made.layers[-1].weight.normal_(generator=generator)
    return made


def test_at_first_it_is_the_distance_to_a_sphere_in_the_middle():
    points = torch.rand(4, 50, 3) * 2 - 1
    expected = (points - torch.tensor([0.0, 0.0, 0.5])).norm(dim=-1) - 0.5
    torch.testing.assert_close(field()(points), expected)


def test_levels_come_in_one_after_another():
    made, points = learned(), torch.rand(200, 3) - 0.5
    with torch.no_grad():
        coarse, half, two = (made(points, levels=levels) for levels in (1.0, 1.5, 2.0))
        assert not torch.allclose(coarse, two)
        # Just beyond a whole number the next level hardly counts.
        torch.testing.assert_close(made(points, levels=1.0 + 1e-6), coarse, atol=1e-3, rtol=1e-3)
        assert not torch.allclose(half, two)
        torch.testing.assert_close(made(points, levels=3.0), made(points))
        start, _ = made.encoding.layout.offsets[2:4]
        made.encoding.table[start:] = 0
        torch.testing.assert_close(made(points, levels=2.0), two)
        torch.testing.assert_close(made(points), two)


def test_cells_are_those_of_the_finest_level_that_counts():
    made = field()
    assert made.cell(0.5) == made.cell(1.0) == 2 / 4
    assert made.cell(1.1) == 2 / 8
    assert made.cell(99.0) == 2 / 16


def test_levels_may_be_a_tensor():
    made, points = learned(), torch.rand(50, 3) - 0.5
    for levels in (0.5, 1.0, 1.1, 2.7, 3.0, 99.0):
        there = torch.tensor(levels)
        assert float(made.cell(there)) == made.cell(levels)
        torch.testing.assert_close(made(points, levels=there), made(points, levels=levels))


def test_gradients_are_finite_at_extremes():
    made = learned()
    points = torch.tensor([[0.0, 0.0, 0.5], [1e4, -1e4, 0.0], [-0.5, -1.0, 0.0]])
    values = made(points)
    values.sum().backward()
    assert values.isfinite().all()
    for parameter in made.parameters():
        assert parameter.grad.isfinite().all()
