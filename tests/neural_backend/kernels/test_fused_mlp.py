# SPDX-License-Identifier: GPL-3.0-or-later
from functools import partial

import pytest
import torch

from neural_backend.kernels.fused_mlp import (
    Gathered,
    Layers,
    color_by_torch,
    color_mlp,
    density_by_torch,
    density_mlp,
)
from neural_backend.kernels.instant_ngp import NetworkSizes
from tests.neural_backend.kernels.numba_tiles import NetworkSamples, evaluate_networks

SIZES = {
    "one color layer": NetworkSizes(32, 64, 1, 0.5),
    "two color layers": NetworkSizes(32, 64, 2, -0.5),
    "narrow": NetworkSizes(4, 16, 2, 0.0),
}
"""A field's two networks."""

OTHERS = {
    "three hidden layers": Layers(0, ((32, 20), (32, 32), (32, 32), (3, 32))),
    "narrow": Layers(5, ((16, 3), (1, 16))),
    "gathers": Layers(2, ((32, 9), (32, 5), (32, 32), (7, 32)), gathers=True),
}
"""Shapes of networks that no kernel of the CPU has."""


def be_precise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has Triton's networks multiply in single precision."""
    from neural_backend.kernels import fused_mlp_triton

    for name in ("forward", "gradients"):
        function = partial(getattr(fused_mlp_triton, name), precise=True)
        monkeypatch.setattr(fused_mlp_triton, name, function)


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
    density_of, color_of, sizes: NetworkSizes, weights: torch.Tensor, samples: NetworkSamples
) -> list[torch.Tensor]:
    """What `numba_tiles.evaluate_networks` tells, by automatic differentiation."""
    features, weights = (part.clone().requires_grad_() for part in (samples.features, weights))
    given = sizes.density_network, sizes.density_shift, samples.squeezes
    density, geometry = density_of(features, weights, *given)
    rays = torch.arange(len(samples.harmonics), device=features.device)
    along = Gathered(samples.harmonics, rays.repeat_interleave(samples.counts))
    rgb = color_of(geometry, weights, sizes.color_network, along)
    slopes = samples.by_density, samples.by_color
    found = torch.autograd.grad((density, rgb), (features, weights), slopes)
    return [part.detach() for part in (density, rgb, *found)]


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
        there = weights.to(device), changed(samples, device)
        found = evaluate(density_mlp, color_mlp, sizes, *there)
    exact = weights.double(), changed(samples, torch.float64)
    expected = evaluate(density_by_torch, color_by_torch, sizes, *exact)
    return [(part.cpu().double(), wanted) for part, wanted in zip(found, expected, strict=True)]


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize(
    ("points", "louder"),
    [(0, 1.0), (1, 1.0), (200, 1.0), (1000, 1.0), (200, 0.0), (200, 1e-6), (200, 1e4)],
)
def test_each_twins_networks_are_plain_torchs_forward_and_backward(
    name, points, louder, twin, device, monkeypatch
) -> None:
    if twin == "triton":
        be_precise(monkeypatch)
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


@pytest.mark.parametrize("layers", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("points", [0, 1, 1000])
def test_triton_has_networks_of_other_shapes_too(layers, points, triton, monkeypatch) -> None:
    be_precise(monkeypatch)
    generator = torch.Generator().manual_seed(points)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    matrices = [random(*shape).flatten() / shape[1] ** 0.5 for shape in layers.shapes]
    weights = torch.cat([random(layers.start), *matrices, random(2)])
    inputs, rows = (random(points, layers.shapes[part][1]) for part in (0, 1))
    squeeze, slope = random(points).abs(), random(points, 3)
    results = []
    for functions, to in (
        ((density_mlp, color_mlp), triton),
        ((density_by_torch, color_by_torch), torch.float64),
    ):
        given = [part.to(to).detach().requires_grad_() for part in (inputs, weights)]
        if layers.gathers:
            seen = functions[1](*given, layers, Gathered(rows.to(to)))
        else:
            density, outputs = functions[0](*given, layers, -0.5, squeeze.to(to))
            seen = torch.cat([density[:, None], outputs], dim=1)
        told = slope[:, : seen.shape[1]].to(to)
        results.append((seen, *torch.autograd.grad(seen[:, :3], given, told)))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found.cpu().double(), expected, atol=1e-4, rtol=1e-3)
