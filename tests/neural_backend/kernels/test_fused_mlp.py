# SPDX-License-Identifier: GPL-3.0-or-later
from itertools import pairwise

import pytest
import torch

from neural_backend.kernels.fused_mlp import mlp, mlp_by_torch
from neural_backend.kernels.instant_ngp import NetworkSizes
from neural_backend.kernels.instant_ngp_types import LARGEST_EXPONENT
from tests.neural_backend.kernels.numba_tiles import NetworkSamples, evaluate_networks

SIZES = {
    "one color layer": NetworkSizes(32, 64, 1, 0.5),
    "two color layers": NetworkSizes(32, 64, 2, -0.5),
    "narrow": NetworkSizes(4, 16, 2, 0.0),
}
"""A field's two networks."""

OTHERS = {"three hidden layers": (20, 32, 32, 32, 3), "narrow": (3, 16, 1)}
"""Widths of networks that no kernel of the CPU has."""


class PreciseMLP(torch.autograd.Function):
    """Triton's network with factors in single precision."""

    @staticmethod
    def forward(ctx, inputs, *matrices):
        from neural_backend.kernels import fused_mlp_triton

        ctx.save_for_backward(inputs, *matrices)
        return fused_mlp_triton.forward(inputs, list(matrices), precise=True)

    @staticmethod
    def backward(ctx, slope):
        from neural_backend.kernels import fused_mlp_triton

        inputs, *matrices = ctx.saved_tensors
        by_inputs, by_matrices = fused_mlp_triton.gradients(inputs, matrices, slope, precise=True)
        return by_inputs, *by_matrices


def precise_mlp(inputs: torch.Tensor, matrices: list[torch.Tensor]) -> torch.Tensor:
    return PreciseMLP.apply(inputs, *matrices)


def make(sizes: NetworkSizes, points: int, louder: float) -> tuple[torch.Tensor, NetworkSamples]:
    """Weights, and samples of rays of which some have none."""
    generator, rays = torch.Generator().manual_seed(points), points // 4 + 3

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    matrices = [random(*shape) / max(shape[1], 1) ** 0.5 for shape in sizes.shapes]
    owners = torch.randint(rays, (points,), generator=generator)
    samples = NetworkSamples(
        louder * random(points, sizes.num_features),
        random(points).abs(),
        random(rays, 16),
        torch.bincount(owners, minlength=rays),
        random(points),
        random(points, 3),
    )
    return torch.cat([matrix.flatten() for matrix in matrices]), samples


def evaluate(
    function, sizes: NetworkSizes, weights: torch.Tensor, samples: NetworkSamples
) -> list[torch.Tensor]:
    """What `numba_tiles.evaluate_networks` tells, by automatic differentiation."""
    features, weights = (part.clone().requires_grad_() for part in (samples.features, weights))
    networks = sizes.cut(weights)
    geometry = function(features, [networks.density_hidden, networks.density_out])
    layers = [torch.cat([networks.color_geometry, networks.color_direction], dim=1)]
    layers += [networks.color_hidden] * (sizes.color_layers - 1) + [networks.color_out]
    along = samples.harmonics.repeat_interleave(samples.counts, dim=0)
    logits = function(torch.cat([geometry, along], dim=1), layers)[:, :3]
    exponents = (geometry[:, 0] + sizes.density_shift).clamp(max=LARGEST_EXPONENT)
    slopes = torch.autograd.grad(
        (geometry[:, 0], logits), (features, weights), (samples.by_log_density, samples.by_logits)
    )
    seen = exponents.exp() * samples.squeezes, logits.sigmoid()
    return [part.detach() for part in (*seen, *slopes)]


def changed(samples: NetworkSamples, to: torch.device | torch.dtype) -> NetworkSamples:
    """On another device or in another precision; counts have none."""
    parts = NetworkSamples(*(part.to(to) for part in samples))
    return parts._replace(counts=parts.counts.long())


def both(
    sizes: NetworkSizes, points: int, louder: float, bfloat16: bool, twin: str, device: torch.device
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """What a twin finds, and what plain torch does in double precision."""
    weights, samples = make(sizes, points, louder)
    if twin == "numba":
        found = evaluate_networks(sizes, weights, samples, bfloat16)
    else:
        function = mlp if bfloat16 else precise_mlp
        found = evaluate(function, sizes, weights.to(device), changed(samples, device))
    exact = weights.double(), changed(samples, torch.float64)
    expected = evaluate(mlp_by_torch, sizes, *exact)
    return [(part.cpu().double(), wanted) for part, wanted in zip(found, expected, strict=True)]


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize(
    ("points", "louder"),
    [(0, 1.0), (1, 1.0), (200, 1.0), (1000, 1.0), (200, 0.0), (200, 1e-6), (200, 1e4)],
)
def test_each_twins_networks_are_plain_torchs_forward_and_backward(
    name, points, louder, twin, device
) -> None:
    for found, expected in both(SIZES[name], points, louder, False, twin, device):
        assert found.isfinite().all()
        largest = float(expected.abs().max()) if expected.numel() else 0.0
        torch.testing.assert_close(found, expected, atol=1e-5 * largest, rtol=1e-3)


@pytest.mark.parametrize("name", SIZES)
def test_in_bfloat16_only_its_rounding_is_lost(name, twin, device) -> None:
    results = both(SIZES[name], 500, 1.0, True, twin, device)
    # Slopes lose more: rounding decides whether any passes a hidden value next to nothing.
    for (found, expected), most in zip(results, (0.02, 0.02, 0.1, 0.1), strict=True):
        assert 1e-4 < (found - expected).norm() / expected.norm() < most


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("points", [0, 1, 1000])
def test_triton_has_networks_of_other_shapes_too(name, points, triton) -> None:
    generator = torch.Generator().manual_seed(points)
    matrices = [
        torch.randn(rows, columns, generator=generator) / columns**0.5
        for columns, rows in pairwise(OTHERS[name])
    ]
    inputs = torch.randn(points, OTHERS[name][0], generator=generator)
    slope = torch.randn(points, OTHERS[name][-1], generator=generator)
    results = []
    for function, to in ((precise_mlp, triton), (mlp_by_torch, torch.float64)):
        given = [part.detach().to(to).requires_grad_() for part in (inputs, *matrices)]
        seen = function(given[0], given[1:])
        results.append((seen, *torch.autograd.grad(seen, given, slope.to(to))))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found.cpu().double(), expected, atol=1e-4, rtol=1e-4)
