# SPDX-License-Identifier: GPL-3.0-or-later
import itertools
import math

import pytest
import torch

from neural_backend.rendering.volume import (
    composite,
    composite_packed,
    packed_weights,
    ray_weights,
    rays_of_samples,
)
from tests.reference import composite_ray

RED = torch.tensor([1.0, 0.0, 0.0])


def random_rays(rays: int, samples: int, seed: int = 0) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    density = 5 * torch.rand(rays, samples, generator=generator, dtype=torch.float64)
    rgb = torch.rand(rays, samples, 3, generator=generator, dtype=torch.float64)
    lengths = torch.rand(rays, samples + 1, generator=generator, dtype=torch.float64)
    return density, rgb, lengths.cumsum(dim=-1)


@pytest.mark.parametrize("samples", [1, 7, 64])
@pytest.mark.parametrize("density", [0.0, 0.5, 1e4])
def test_uniform_fog_is_exact_however_finely_it_is_cut(density: float, samples: int) -> None:
    """For constant density the quadrature has no error: accumulation = 1 - exp(-density·length)."""
    length = 2.0
    t_edges = torch.cat([torch.zeros(1), torch.rand(samples - 1).sort().values, torch.ones(1)])
    seen = composite(
        density=torch.full((1, samples), density),
        rgb=RED.expand(1, samples, 3),
        t_edges=length * t_edges[None],
    )
    opacity = 1 - math.exp(-density * length)
    torch.testing.assert_close(seen.accumulation, torch.tensor([opacity]))
    torch.testing.assert_close(seen.rgb[0], opacity * RED)


def test_the_depth_of_fog_is_its_mean_free_path() -> None:
    """Of thick fog, finely cut: 1/σ from where it begins."""
    t_edges = torch.linspace(3, 13, 20_001, dtype=torch.float64)[None]
    density = torch.full((1, 20_000), 2.0, dtype=torch.float64)
    seen = composite(density, torch.ones(1, 20_000, 3, dtype=torch.float64), t_edges)
    assert float(seen.depth) == pytest.approx(3.5, abs=1e-5)


def test_it_agrees_with_the_slow_loop() -> None:
    density, rgb, t_edges = random_rays(20, 9)
    seen = composite(density, rgb, t_edges)
    weights = ray_weights(density, t_edges)
    for ray in range(20):
        color, accumulation, depth, shares = composite_ray(
            density[ray].tolist(), rgb[ray].tolist(), t_edges[ray].tolist()
        )
        assert seen.rgb[ray].tolist() == pytest.approx(color)
        assert float(seen.accumulation[ray]) == pytest.approx(accumulation)
        assert float(seen.depth[ray]) == pytest.approx(depth)
        assert weights[ray].tolist() == pytest.approx(shares)


def test_gradients_are_those_of_finite_differences() -> None:
    density, rgb, t_edges = random_rays(2, 4)
    inputs = tuple(tensor.requires_grad_() for tensor in (density, rgb, t_edges))

    def everything(*values: torch.Tensor) -> torch.Tensor:
        seen = composite(*values)
        return torch.cat([seen.rgb.flatten(), seen.accumulation, seen.depth])

    assert torch.autograd.gradcheck(everything, inputs)


def extreme_rays() -> tuple[torch.Tensor, ...]:
    """Empty; opaque at once; opaque, then faint; huge; infinite without length; no length."""
    density = torch.tensor(
        [[0.0, 0, 0], [1e10, 5, 5], [0, 1e10, 5], [3e38, 3e38, 3e38], [torch.inf, 1, 0], [1, 1, 1]]
    )
    t_edges = torch.tensor([0.0, 1, 2, 3]).repeat(6, 1)
    t_edges[4, 1] = 0
    t_edges[5] = 0
    return density, torch.rand(6, 3, 3), t_edges


def test_extremes_stay_finite_and_so_do_their_gradients() -> None:
    density, rgb, t_edges = extreme_rays()
    density.requires_grad_()
    seen = composite(density, rgb, t_edges)
    finite = seen.depth[seen.accumulation > 0]
    (seen.rgb.sum() + seen.accumulation.sum() + finite.sum()).backward()
    assert seen.rgb.isfinite().all()
    assert density.grad.isfinite().all()
    assert seen.accumulation.tolist() == pytest.approx([0, 1, 1, 1, 1 - math.exp(-2), 0])
    assert seen.depth.tolist()[:3] == [math.inf, 0.5, 1.5]
    assert seen.depth.tolist()[5] == math.inf


def test_what_is_in_front_of_an_opaque_sample_counts() -> None:
    """A running sum less its last term, 1e10 + 5 - 1e10, is 0 instead of 5."""
    weights = ray_weights(torch.tensor([[5.0, 1e10]]), torch.tensor([[0.0, 1.0, 2.0]]))
    assert weights[0].tolist() == pytest.approx([1 - math.exp(-5), math.exp(-5)])


def pack(counts: list[int], seed: int = 0) -> tuple[torch.Tensor, ...]:
    """Flat buffers whose rays have these numbers of samples, with the rays' own dense inputs."""
    density, rgb, t_edges = random_rays(len(counts), max(counts), seed)
    offsets = torch.tensor([0, *counts]).cumsum(0)
    keep = [(ray, sample) for ray, count in enumerate(counts) for sample in range(count)]
    rays, samples = torch.tensor(keep).reshape(-1, 2).T
    return (
        density[rays, samples],
        rgb[rays, samples],
        t_edges[rays, samples],
        t_edges[rays, samples + 1],
        offsets,
    )


COUNTS = [3, 0, 7, 1, 0, 12, 5, 0]


def test_packed_rays_show_what_they_show_one_by_one() -> None:
    density, rgb, t_starts, t_ends, offsets = pack(COUNTS)
    seen = composite_packed(density, rgb, t_starts, t_ends, offsets)
    for ray, (first, last) in enumerate(itertools.pairwise(offsets)):
        own = slice(int(first), int(last))
        edges = [*t_starts[own].tolist(), *t_ends[own].tolist()[-1:]]
        color, accumulation, depth, _ = composite_ray(
            density[own].tolist(), rgb[own].tolist(), edges or [0.0]
        )
        assert seen.rgb[ray].tolist() == pytest.approx(color)
        assert float(seen.accumulation[ray]) == pytest.approx(accumulation)
        assert float(seen.depth[ray]) == pytest.approx(depth)


def test_gaps_between_packed_samples_are_empty_space() -> None:
    seen = composite_packed(
        torch.tensor([1.0, 1.0]),
        RED.expand(2, 3),
        torch.tensor([0.0, 5.0]),
        torch.tensor([1.0, 6.0]),
        torch.tensor([0, 2]),
    )
    assert float(seen.accumulation) == pytest.approx(1 - math.exp(-2))


def test_gradients_of_packed_rays_are_those_of_finite_differences() -> None:
    density, rgb, t_starts, t_ends, offsets = pack([3, 0, 4, 1])

    def everything(*values: torch.Tensor) -> torch.Tensor:
        seen = composite_packed(*values, offsets)
        return torch.cat([seen.rgb.flatten(), seen.accumulation, seen.depth[offsets.diff() > 0]])

    inputs = tuple(tensor.requires_grad_() for tensor in (density, rgb, t_starts, t_ends))
    assert torch.autograd.gradcheck(everything, inputs)


def test_an_opaque_packed_ray_takes_no_digits_from_its_neighbours() -> None:
    density = torch.tensor([1e10, 1e10, 0.5, 0.25, 1e10])
    ones = torch.ones(5)
    weights = packed_weights(density, 0 * ones, ones, torch.tensor([0, 2, 4, 5]))
    alone = ray_weights(torch.tensor([[0.5, 0.25]]), torch.tensor([[0.0, 1.0, 2.0]]))
    assert torch.equal(weights[2:4], alone[0])
    assert weights[[0, 1, 4]].tolist() == [1.0, 0.0, 1.0]


def test_packed_extremes_stay_finite_and_so_do_their_gradients() -> None:
    density, rgb, t_edges = extreme_rays()
    flat = density.flatten().requires_grad_()
    offsets = 3 * torch.arange(7)
    packed = composite_packed(
        flat, rgb.flatten(0, 1), t_edges[:, :-1].flatten(), t_edges[:, 1:].flatten(), offsets
    )
    dense = composite(density, rgb, t_edges)
    torch.testing.assert_close(packed.rgb, dense.rgb)
    torch.testing.assert_close(packed.depth, dense.depth)
    (packed.rgb.sum() + packed.depth[packed.accumulation > 0].sum()).backward()
    assert flat.grad.isfinite().all()


def test_no_samples_at_all_show_nothing() -> None:
    nothing = torch.zeros(0)
    seen = composite_packed(
        nothing, torch.zeros(0, 3), nothing, nothing, torch.zeros(4, dtype=torch.long)
    )
    assert seen.accumulation.tolist() == [0, 0, 0]
    assert seen.depth.tolist() == [math.inf] * 3


def test_samples_know_their_rays() -> None:
    assert rays_of_samples(torch.tensor([0, 2, 2, 3]), 3).tolist() == [0, 0, 2]
