# SPDX-License-Identifier: GPL-3.0-or-later
import math

import pytest
import torch

from neural_backend.kernels.compositing import composite, composite_by_torch
from neural_backend.kernels.packed_samples import PackedSamples, pack


def make_samples(
    rays: int, most: int, thickness: float, channels: int = 3
) -> tuple[torch.Tensor, torch.Tensor, PackedSamples]:
    """Density, color and samples; some of these have no length, some no density, and some rays
    have few or were left out.
    """
    lengths = 0.1 * torch.rand(rays, most)
    lengths[:, ::5] = 0
    t_mids = 0.05 + lengths.cumsum(dim=1) - lengths / 2
    counts = torch.where(torch.rand(rays) < 0.5, most, torch.randint(0, most + 1, (rays,)))
    slots = rays * most + 3
    density = thickness * torch.rand(slots)
    density[::3] = 0
    samples = pack(t_mids, lengths, counts, torch.rand(rays) < 0.9, slots)
    return density, torch.rand(slots, channels), samples


def moved(samples: PackedSamples, to: torch.device | torch.dtype) -> PackedSamples:
    distances = samples.t_mids.to(to), samples.lengths.to(to)
    if isinstance(to, torch.device):
        samples = PackedSamples(*(part.to(to) for part in samples[:6]), samples.most)
    return samples._replace(t_mids=distances[0], lengths=distances[1])


def one_ray(lengths: torch.Tensor) -> PackedSamples:
    t_mids = lengths.cumsum(dim=0) - lengths / 2
    counts, asked = torch.tensor([len(lengths)]), torch.tensor([True])
    return pack(t_mids[None], lengths[None], counts, asked, len(lengths))


def test_a_uniform_medium_hides_as_the_exponential_of_its_depth() -> None:
    density = torch.full((50,), 2.0, dtype=torch.float64)
    rgb = torch.tensor([0.2, 0.5, 1.0], dtype=torch.float64).expand(50, 3)
    seen = composite(density, rgb, one_ray(torch.full_like(density, 0.02)))
    hidden = 1 - math.exp(-2.0)
    assert seen.accumulation.item() == pytest.approx(hidden)
    assert seen.color[0].tolist() == pytest.approx([0.2 * hidden, 0.5 * hidden, hidden])
    assert seen.weights.sum().item() == pytest.approx(hidden)
    # The mean distance of what is hit within depth 1.
    assert seen.depth.item() == pytest.approx(0.5 * (1 - 3 * math.exp(-2.0)), rel=1e-3)


def test_distortion_is_the_mean_distance_of_all_pairs_by_their_weights() -> None:
    lengths = 0.1 * torch.rand(12, dtype=torch.float64)
    samples = one_ray(lengths)
    seen = composite(20 * torch.rand(12).double(), torch.rand(12, 3).double(), samples)
    places = samples.t_mids / (1 + samples.t_mids)
    apart = (places[:, None] - places[None, :]).abs()
    pairs = (seen.weights[:, None] * seen.weights[None, :] * apart).sum()
    own = (seen.weights.square() * lengths / (1 + samples.t_mids).square()).sum() / 3
    torch.testing.assert_close(seen.distortion[0], pairs + own)


def test_rays_without_samples_see_nothing_and_slots_of_nobody_have_no_weight() -> None:
    _, _, samples = make_samples(40, 6, 1.0)
    slots = len(samples.lengths)
    thick = torch.full((slots,), 1e6, dtype=torch.float64)
    seen = composite(thick, torch.ones(slots, 3).double(), moved(samples, torch.float64))
    empty = samples.counts == 0
    assert empty.any()
    assert not seen.color[empty].any()
    assert not seen.accumulation[empty].any()
    places, inside = samples.slots()
    unused = torch.ones(slots, dtype=torch.bool)
    unused[places[inside]] = False
    assert not seen.weights[unused].any()


@pytest.mark.parametrize(("rays", "samples"), [(0, 8), (1, 1), (3, 7), (70, 32), (9, 200)])
@pytest.mark.parametrize(
    ("thickness", "channels"), [(0.0, 3), (1e-3, 3), (10.0, 3), (1e6, 3), (10.0, 1), (10.0, 4)]
)
def test_tritons_sums_and_slopes_are_those_of_the_twin(
    rays, samples, thickness, channels, triton
) -> None:
    *values, samples = make_samples(rays, samples, thickness, channels)
    values, samples = [part.to(triton) for part in values], moved(samples, triton)
    slopes = [torch.randn(rays, *shape).to(triton) for shape in ((channels,), (), (), ())]
    results = []
    for function, dtype in ((composite, torch.float32), (composite_by_torch, torch.float64)):
        density, rgb = (part.to(dtype).clone().requires_grad_() for part in values)
        seen = function(density, rgb, moved(samples, dtype))
        wanted = [slope.to(density) for slope in slopes]
        by_both = torch.autograd.grad(seen[:4], (density, rgb), wanted)
        results.append([*seen, *by_both])
    for found, expected in zip(*results, strict=True):
        assert found.isfinite().all()
        torch.testing.assert_close(found.double(), expected, atol=2e-5, rtol=2e-4)
