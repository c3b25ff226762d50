# SPDX-License-Identifier: GPL-3.0-or-later
import torch

from neural_backend.geometry.contraction import contract, uncontract


def test_uncontract_undoes_contract_from_the_middle_to_far_away():
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(500, 3, generator=generator, dtype=torch.float64)
    points = directions * 10 ** torch.linspace(-3, 4, 500, dtype=torch.float64)[:, None]
    torch.testing.assert_close(uncontract(contract(points)), points, rtol=1e-9, atol=1e-9)


def test_the_cube_in_the_middle_stays_and_nothing_leaves_the_larger_one():
    generator = torch.Generator().manual_seed(0)
    inside = torch.rand(200, 3, generator=generator) * 2 - 1
    torch.testing.assert_close(contract(inside), inside)
    far = contract(torch.randn(200, 3, generator=generator) * 1e6)
    assert (far.abs().amax(dim=-1) <= 2).all()
    assert (far.abs().amax(dim=-1) > 1.999).all()


def test_points_at_twice_the_distance_are_halfway_to_the_border():
    torch.testing.assert_close(
        contract(torch.tensor([[2.0, 1.0, 0.0], [0.0, -4.0, 4.0]])),
        torch.tensor([[1.5, 0.75, 0.0], [0.0, -1.75, 1.75]]),
    )


def test_gradients_are_finite_everywhere_even_in_the_middle():
    points = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [1e8, 0.0, 0.0]], requires_grad=True)
    contract(points).sum().backward()
    assert points.grad.isfinite().all()
