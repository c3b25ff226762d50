# SPDX-License-Identifier: GPL-3.0-or-later
from itertools import pairwise

import pytest
import torch

from neural_backend.kernels.fused_mlp import mlp, mlp_by_torch

SHAPES = {
    "one hidden layer": (32, 64, 16),
    "two": (32, 64, 64, 4),
    "three": (20, 32, 32, 32, 3),
    "narrow": (3, 16, 1),
}


def make(name: str, points: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
    generator, sizes = torch.Generator().manual_seed(points), SHAPES[name]
    matrices = [
        torch.randn(rows, columns, generator=generator) / columns**0.5
        for columns, rows in pairwise(sizes)
    ]
    return torch.randn(points, sizes[0], generator=generator), matrices


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("points", [0, 1, 200, 1000])
def test_tritons_network_is_that_of_the_twin_forward_and_backward(name, points, triton) -> None:
    from neural_backend.kernels import fused_mlp_triton

    inputs, matrices = make(name, points)
    inputs, matrices = inputs.to(triton), [matrix.to(triton) for matrix in matrices]
    exact = [part.double().requires_grad_() for part in (inputs, *matrices)]
    expected = mlp_by_torch(exact[0], exact[1:])
    found = fused_mlp_triton.forward(inputs, matrices, precise=True)
    torch.testing.assert_close(found.double(), expected, atol=1e-4, rtol=1e-4)
    slope = torch.randn(found.shape, generator=torch.Generator().manual_seed(0)).to(triton)
    by_inputs, by_matrices = fused_mlp_triton.gradients(inputs, matrices, slope, precise=True)
    slopes = torch.autograd.grad(expected, exact, slope.double())
    for got, wanted in zip((by_inputs, *by_matrices), slopes, strict=True):
        torch.testing.assert_close(got.double(), wanted, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("name", SHAPES)
def test_in_bfloat16_only_its_rounding_is_lost(name, triton) -> None:
    inputs, matrices = make(name, 500)
    inputs = inputs.to(triton).requires_grad_()
    matrices = [matrix.to(triton).requires_grad_() for matrix in matrices]
    results = []
    for function in (mlp, mlp_by_torch):
        seen = function(inputs, matrices)
        results.append((seen, *torch.autograd.grad(seen.square().sum(), (inputs, *matrices))))
    # Slopes lose more: rounding decides whether any passes a hidden value next to nothing.
    for found, expected, most in zip(*results, (0.02, *[0.1] * 5), strict=False):
        assert (found - expected).norm() < most * expected.norm()
    assert not torch.equal(results[0][0], results[1][0])
