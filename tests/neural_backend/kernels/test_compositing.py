# SPDX-License-Identifier: GPL-3.0-or-later
import math

import pytest
import torch

from neural_backend.kernels.compositing import composite, composite_by_torch


def make_samples(
    rays: int, samples: int, thickness: float, channels: int = 3
) -> tuple[torch.Tensor, ...]:
    """Density, color, distances and lengths; some samples have no length, some no density."""
    generator = torch.Generator().manual_seed(rays + samples)
    lengths = 0.1 * torch.rand(rays, samples, generator=generator)
    lengths[:, ::5] = 0
    t_mids = 0.05 + lengths.cumsum(dim=1) - lengths / 2
    density = thickness * torch.rand(rays, samples, generator=generator)
    density[:, ::3] = 0
    return density, torch.rand(rays, samples, channels, generator=generator), t_mids, lengths


def test_a_uniform_medium_hides_as_the_exponential_of_its_depth() -> None:
    density = torch.full((1, 50), 2.0, dtype=torch.float64)
    lengths = torch.full_like(density, 0.02)
    t_mids = lengths.cumsum(dim=1) - lengths / 2
    rgb = torch.tensor([0.2, 0.5, 1.0], dtype=torch.float64).expand(1, 50, 3)
    seen = composite(density, rgb, t_mids, lengths)
    hidden = 1 - math.exp(-2.0)
    assert seen.accumulation.item() == pytest.approx(hidden)
    assert seen.color[0].tolist() == pytest.approx([0.2 * hidden, 0.5 * hidden, hidden])
    assert seen.weights.sum().item() == pytest.approx(hidden)
    # The mean distance of what is hit within depth 1.
    assert seen.depth.item() == pytest.approx(0.5 * (1 - 3 * math.exp(-2.0)), rel=1e-3)


def test_distortion_is_the_mean_distance_of_all_pairs_by_their_weights() -> None:
    density, rgb, t_mids, lengths = (part.double() for part in make_samples(4, 12, 20.0))
    seen = composite(density, rgb, t_mids, lengths)
    places = t_mids / (1 + t_mids)
    apart = (places[:, :, None] - places[:, None, :]).abs()
    pairs = (seen.weights[:, :, None] * seen.weights[:, None, :] * apart).sum(dim=(1, 2))
    own = (seen.weights.square() * lengths / (1 + t_mids).square()).sum(dim=1) / 3
    torch.testing.assert_close(seen.distortion, pairs + own)


@pytest.mark.parametrize(("rays", "samples"), [(0, 8), (1, 1), (3, 7), (70, 32), (9, 200)])
@pytest.mark.parametrize(
    ("thickness", "channels"), [(0.0, 3), (1e-3, 3), (10.0, 3), (1e6, 3), (10.0, 1), (10.0, 4)]
)
def test_tritons_sums_and_slopes_are_those_of_the_twin(
    rays, samples, thickness, channels, triton
) -> None:
    given = [part.to(triton) for part in make_samples(rays, samples, thickness, channels)]
    generator = torch.Generator().manual_seed(1)
    slopes = [
        torch.randn(rays, *shape, generator=generator).to(triton)
        for shape in ((channels,), (), (), ())
    ]
    results = []
    for function, parts in (
        (composite, given),
        (composite_by_torch, [part.double() for part in given]),
    ):
        density, rgb = parts[0].clone().requires_grad_(), parts[1].clone().requires_grad_()
        seen = function(density, rgb, *parts[2:])
        wanted = [slope.to(density) for slope in slopes]
        by_both = torch.autograd.grad(seen[:4], (density, rgb), wanted)
        results.append([*seen, *by_both])
    for found, expected in zip(*results, strict=True):
        assert found.isfinite().all()
        torch.testing.assert_close(found.double(), expected, atol=2e-5, rtol=2e-4)
