# SPDX-License-Identifier: GPL-3.0-or-later
import math

import pytest
import torch
import torch.nn.functional as F

from neural_backend.kernels.compositing import Composited, composite, composite_by_torch
from neural_backend.kernels.instant_ngp_types import LossSettings
from neural_backend.kernels.packed_samples import PackedSamples, pack
from tests.neural_backend.kernels import numba_tiles


def make_samples(
    rays: int, most: int, thickness: float, channels: int = 3
) -> tuple[torch.Tensor, torch.Tensor, PackedSamples]:
    """Density, color and samples; some of these have no length, some no density, and some rays
    have few or were left out.
    """
    lengths = 0.1 * torch.rand(rays, most)
    lengths[torch.rand(rays, most) < 0.2] = 0
    t_mids = 0.05 + lengths.cumsum(dim=1) - lengths / 2
    counts = torch.where(torch.rand(rays) < 0.5, most, torch.randint(0, most + 1, (rays,)))
    slots = rays * (most + 3)
    density = thickness * torch.rand(slots)
    density[torch.rand(slots) < 0.3] = 0
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


SIZES = pytest.mark.parametrize(("rays", "samples"), [(0, 8), (20, 1), (3, 7), (70, 32), (9, 200)])


@SIZES
@pytest.mark.parametrize("thickness", [0.0, 1e-3, 10.0, 1e6])
def test_each_twin_shows_what_plain_torch_shows(rays, samples, thickness, twin, device) -> None:
    density, rgb, samples = make_samples(rays, samples, thickness)
    exact = density.double(), rgb.double(), moved(samples, torch.float64)
    found = show(twin, device, density, rgb, samples)
    check(found, together(composite_by_torch(*exact)), thickness)


def test_what_is_before_an_opaque_sample_is_seen_however_opaque_that_is(twin, device) -> None:
    samples = one_ray(torch.full((3,), 0.5))
    for opaque in (1e4, 1e7, 1e12):
        density = torch.tensor([2.0, 4.0, opaque])
        color, hidden = show(twin, device, density, torch.eye(3), samples)[0].split([3, 2])
        expected = [1 - math.exp(-1), math.exp(-1) - math.exp(-3), math.exp(-3)]
        assert color.tolist() == pytest.approx(expected, rel=1e-4)
        assert hidden[0].item() == pytest.approx(1)


def show(twin, device, density, rgb, samples: PackedSamples) -> torch.Tensor:
    """Red, green, blue, accumulation and weighted depth of each ray, on the CPU."""
    if twin == "numba":
        return numba_tiles.composite(density, rgb, samples)
    return together(composite(density.to(device), rgb.to(device), moved(samples, device))).cpu()


def together(seen: Composited) -> torch.Tensor:
    return torch.cat([seen.color, torch.stack(seen[1:3], dim=1)], dim=1)


@SIZES
@pytest.mark.parametrize("thickness", [0.0, 1e-3, 10.0, 1e6])
@pytest.mark.parametrize(
    "loss",
    [
        LossSettings(0.0, 1e9, math.inf, 0.0),
        LossSettings(0.1, 1 / 0.3, math.inf, 5.0),
        LossSettings(0.0, 1 / 0.3, math.inf, 0.5, surface=0.3),
        LossSettings(0.1, 1e9, math.inf, 0.0, surface=1.0),
    ],
    ids=["squares", "huber and distortion", "a share of surfaces", "surfaces"],
)
def test_each_twin_learns_what_plain_torch_learns(
    rays, samples, thickness, loss, twin, device
) -> None:
    density, rgb, samples = make_samples(rays, samples, thickness)
    pixels = torch.rand(3, rays, 3)
    pixels[0] += 0.5
    exact = density.double(), rgb.double(), moved(samples, torch.float64), pixels.double()
    expected = learn(composite_by_torch, *exact, loss)
    if twin == "numba":
        found = numba_tiles.learn(density, rgb, samples, pixels, loss)
    else:
        there = density.to(device), rgb.to(device), moved(samples, device), pixels.to(device)
        found = learn(composite, *there, loss)
    for part, wanted in zip(found, expected, strict=True):
        check(part, wanted, thickness)


def check(found: torch.Tensor, expected: torch.Tensor, thickness: float) -> None:
    """Compares by the largest: what thin samples show and are told is small throughout.

    Opaque ones are told next to nothing, which rounding is not.
    """
    largest = float(F.pad(expected.abs().flatten(), (0, 1)).max())
    atol = max(1e-5 * largest, 5e-5 * min(1, thickness))
    torch.testing.assert_close(found.cpu().double(), expected, atol=atol, rtol=1e-4)


def learn(
    function,
    density: torch.Tensor,
    rgb: torch.Tensor,
    samples: PackedSamples,
    pixels: torch.Tensor,
    loss: LossSettings,
) -> tuple[torch.Tensor, ...]:
    """What `numba_tiles.learn` tells, by automatic differentiation through `function`."""
    gains, backgrounds, targets = pixels
    density, rgb, log_gains = (
        part.clone().requires_grad_() for part in (density, rgb, gains.log())
    )
    gains = log_gains.exp()
    alone = costs(gains[samples.rays] * rgb - targets[samples.rays], loss.huber)
    seen = function(density, torch.cat([rgb, alone[:, None]], dim=1), samples)
    behind = 1 - seen.accumulation
    errors = gains * seen.color[:, :3] + behind[:, None] * backgrounds - targets
    by_surfaces = seen.color[:, 3] + behind * costs(backgrounds - targets, loss.huber)
    every = (1 - loss.surface) * costs(errors, loss.huber) + loss.surface * by_surfaces
    every = samples.looked_at * (every + loss.distortion * seen.distortion)
    slopes = torch.autograd.grad(every.sum(), (density, rgb, log_gains))
    fade = (samples.t_mids * loss.inverse_near).clamp(max=1).square()
    by_log_density = slopes[0] * density * fade
    by_logits = slopes[1] * rgb * (1 - rgb) * fade[:, None]
    squares = samples.looked_at * errors.square().sum(dim=1)
    parts = every, squares, slopes[2], by_log_density, by_logits
    return tuple(part.detach() for part in parts)


def costs(errors: torch.Tensor, huber: float) -> torch.Tensor:
    """The squares of errors, or straight beyond `huber`, added up over the channels."""
    if huber == 0:
        return errors.square().sum(dim=-1)
    # Torch's own bends at the same place, and is half as steep.
    none = torch.zeros_like(errors)
    return 2 / huber * F.huber_loss(errors, none, reduction="none", delta=huber).sum(dim=-1)


@pytest.mark.parametrize(("rays", "samples"), [(0, 8), (3, 7), (70, 32)])
@pytest.mark.parametrize(
    ("thickness", "channels"), [(0.0, 3), (1e-3, 3), (10.0, 3), (1e6, 3), (10.0, 1), (10.0, 4)]
)
@pytest.mark.parametrize("inverse_near", [math.inf, 2.0])
def test_tritons_sums_and_slopes_by_each_of_them_are_those_of_the_twin(
    rays, samples, thickness, channels, inverse_near, triton
) -> None:
    """Any channels, weights of samples, and slopes by what the CPU's step has no loss of."""
    *values, samples = make_samples(rays, samples, thickness, channels)
    values, samples = [part.to(triton) for part in values], moved(samples, triton)
    slopes = [torch.randn(rays, *shape).to(triton) for shape in ((channels,), (), (), ())]
    results = []
    for function, dtype in ((composite, torch.float32), (composite_by_torch, torch.float64)):
        density, rgb = (part.to(dtype).clone().requires_grad_() for part in values)
        seen = function(density, rgb, moved(samples, dtype), inverse_near)
        wanted = [slope.to(density) for slope in slopes]
        by_both = torch.autograd.grad(seen[:4], (density, rgb), wanted)
        results.append([*seen, *by_both])
    for found, expected in zip(*results, strict=True):
        assert found.isfinite().all()
        torch.testing.assert_close(found.double(), expected, atol=2e-5, rtol=2e-4)
