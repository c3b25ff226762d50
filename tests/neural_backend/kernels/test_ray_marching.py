# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from neural_backend.kernels.ray_marching import (
    Guide,
    Steps,
    cell_indices,
    march,
    occupied_bits,
    spread_samples,
    time_slices,
)
from neural_backend.kernels.ray_marching_numba import spread_samples as spread_on_cpu

RESOLUTION = 16


def make_guide(cascades: int, samples: int = 12, filled: float = 0.3, **changes) -> Guide:
    generator = torch.Generator().manual_seed(cascades)
    cells = torch.rand(cascades * RESOLUTION**3, generator=generator)
    density = torch.where(cells < filled, 20 * cells, 0.0)
    values = {
        "density": density,
        "occupied": occupied_bits(density),
        "resolution": RESOLUTION,
        "shortest": 0.1,
        "cone": 1 / 16 if cascades > 1 else 0.0,
        "most_depth": 1.0,
        "explore": 0.01,
        "opaque": 1e-3,
        "samples": samples,
    }
    return Guide(**{**values, **changes})


def known_as(guide: Guide, density: torch.Tensor, **changes) -> Guide:
    """The guide with other densities, wherever these lie."""
    return guide._replace(density=density, occupied=occupied_bits(density), **changes)


def random_rays(count: int, reach: float) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(count)
    origins = (torch.rand(count, 3, generator=generator) * 2 - 1) * reach
    directions = F.normalize(torch.randn(count, 3, generator=generator), dim=-1)
    jitters = torch.rand(count, generator=generator)
    return origins, directions, torch.full((count,), 0.05), torch.full((count,), 9.0), jitters


def ask(
    twin: str, rays: tuple[torch.Tensor, ...], guide: Guide, times: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """t_mids and lengths of all rays' samples, which are where `guide` is; zeros for no sample."""
    if twin == "triton":
        samples = march(*rays, guide, 300, len(rays[0]) * guide.samples, None, times)
        places, inside = samples.slots()
        assert samples.looked_at.all()
        assert int(samples.wanted) == int(samples.counts.sum())
        owners = torch.arange(len(rays[0]), device=inside.device)[:, None].expand_as(places)
        assert torch.equal(samples.rays[places][inside].long(), owners[inside])
        return samples.t_mids[places] * inside, samples.lengths[places] * inside
    known, count = guide.as_arrays(), len(rays[0])
    t_mids, lengths = np.zeros((2, count, guide.samples), np.float32)
    segments, cells = np.zeros((3, 1024)), len(known.density) // guide.slices
    slices = torch.zeros(count) if times is None else time_slices(times, guide.slices)
    for ray, part in enumerate(slices.int().tolist()):
        spread_on_cpu(
            *(values[ray].numpy() for values in rays),
            known.density[part * cells : (part + 1) * cells],
            known.occupied[part * cells // 8 :],
            known,
            segments,
            t_mids[ray],
            lengths[ray],
            0,
        )
    return torch.from_numpy(t_mids), torch.from_numpy(lengths)


@pytest.mark.parametrize("cascades", [1, 3])
@pytest.mark.parametrize("filled", [0.0, 0.02, 0.3, 1.0])
@pytest.mark.parametrize("slices", [1, 4])
def test_each_twins_samples_are_those_of_plain_torch(cascades, filled, slices, twin, device):
    count = 40 if twin == "triton" else 200
    rays = random_rays(count, 0.9 * 2 ** (cascades - 1))
    known = make_guide(cascades, filled=filled)
    density = torch.cat([known.density.roll(number) for number in range(slices)])
    guide = known_as(known, density, slices=slices)
    times = torch.rand(count) if slices > 1 else None
    t_mids, lengths = spread_samples(*(part.double() for part in rays), guide, 300, times)
    there = [part.to(device) for part in rays], known_as(guide, density.to(device))
    when = None if times is None else times.to(device)
    found = [part.cpu().double() for part in ask(twin, *there, when)]
    met = lengths.sum(dim=-1) > 0
    assert met.any() == (filled > 0)
    # A point within rounding of a cell's border may fall to either side: a ray in a hundred.
    agree = ((found[1] - lengths).abs() < 1e-4).all(dim=-1)
    assert agree.double().mean() >= 1 - max(0.02, 1.5 / count)
    agree &= met
    torch.testing.assert_close(found[0][agree], t_mids[agree], atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["torch", "triton"])
@pytest.mark.parametrize(("slots", "asked"), [(1000, 50), (1000, 0), (1000, 17), (115, 50)])
def test_rays_that_nobody_asked_for_or_that_have_no_room_are_left_out(kind, slots, asked, request):
    there = request.getfixturevalue("triton") if kind == "triton" else torch.device("cpu")
    rays = [part.to(there) for part in random_rays(50, 0.9)]
    guide = make_guide(1, filled=0.3)
    guide = known_as(guide, guide.density.to(there))
    count = torch.tensor(asked, dtype=torch.int32, device=there)
    samples = march(*rays, guide, 300, slots, count)
    lengths = spread_samples(*rays, guide, 300)[1]
    wanted = guide.samples * (lengths[:asked].sum(dim=-1) > 0)
    assert int(samples.wanted) == int(wanted.sum())
    assert not samples.looked_at[asked:].any()
    if slots == 1000:
        assert samples.looked_at[:asked].all()
        assert torch.equal(samples.counts[:asked].long(), wanted)
    else:
        # As many as there is room for, each with all of its samples.
        assert int(samples.counts.sum()) == slots // guide.samples * guide.samples
    assert set(samples.counts.tolist()) <= {0, guide.samples}
    places, inside = samples.slots()
    assert places[inside].unique().numel() == int(samples.counts.sum())
    unused = torch.ones(slots, dtype=torch.bool, device=there)
    unused[places[inside]] = False
    assert not samples.lengths[unused].any()


def test_no_rays_have_no_samples(triton):
    rays = [part.to(triton) for part in random_rays(0, 0.9)]
    guide = make_guide(1)
    samples = march(*rays, known_as(guide, guide.density.to(triton)), 300, 10)
    assert int(samples.wanted) == 0
    assert not samples.lengths.any()


def test_bits_say_of_each_cell_whether_it_is_occupied():
    density = torch.rand(64) * (torch.rand(64) < 0.5)
    bits = np.unpackbits(occupied_bits(density).numpy(), bitorder="little")
    assert bits.tolist() == (density > 0).int().tolist()


def test_rays_through_empty_space_have_no_samples(twin, device):
    guide = known_as(make_guide(2), torch.zeros(2 * RESOLUTION**3, device=device))
    t_mids, lengths = ask(twin, [part.to(device) for part in random_rays(20, 1.0)], guide)
    assert not lengths.any()
    assert not t_mids.any()
    t_mids, lengths = spread_samples(
        *random_rays(20, 1.0), known_as(guide, guide.density.cpu()), 99
    )
    assert not lengths.any()
    assert t_mids.isfinite().all()


@pytest.mark.parametrize("direction", [(1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0)])
def test_rays_along_axes_on_faces_and_borders_are_sampled_too(direction, twin, device):
    count = 9
    origins = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 3)
    origins = torch.cat([origins, torch.zeros(1, 3)]) - torch.tensor(direction) * 0.5
    rays = (
        origins,
        torch.tensor(direction).expand(count, 3).contiguous(),
        torch.full((count,), 0.05),
        torch.full((count,), 4.0),
        torch.full((count,), 0.3),  # no step's middle lies between two cells
    )
    guide = make_guide(2, filled=1.0)
    t_mids, lengths = spread_samples(*(part.double() for part in rays), guide, 300)
    assert (lengths.sum(dim=-1) > 0).all()
    there = [part.to(device) for part in rays], known_as(guide, guide.density.to(device))
    for found, expected in zip(ask(twin, *there), (t_mids, lengths), strict=True):
        torch.testing.assert_close(found.cpu().double(), expected, atol=1e-4, rtol=1e-4)


def test_samples_lie_in_occupied_cells_and_their_lengths_add_up_to_the_occupied_part():
    guide = make_guide(1, samples=40, opaque=0.0, explore=1.0)
    rays = [part.double() for part in random_rays(50, 0.5)]
    t_mids, lengths = spread_samples(*rays, guide, most_steps=300)
    points = rays[0][:, None] + t_mids[..., None] * rays[1][:, None]
    fine = torch.arange(20_000, dtype=torch.float64) * 2e-4
    for ray in range(50):
        edges = Steps(guide.shortest, guide.cone)
        first = edges.at(rays[2][ray]) + rays[4][ray]
        number = ((fine / guide.shortest) - first).floor()
        middles = (number + first + 0.5) * guide.shortest
        cells = cell_indices(rays[0][ray] + middles[:, None] * rays[1][ray], RESOLUTION, 1)
        full = (number >= 0) & (cells >= 0) & (guide.density[cells.clamp(min=0)] > 0)
        assert abs(float(full.sum() * 2e-4 - lengths[ray].sum())) < 0.01
    # A step counts as what its middle is: half a step aside at most.
    cells = cell_indices(points, RESOLUTION, 1)
    near = guide.density[cells.clamp(min=0)] > 0
    assert near[lengths > 1e-6].double().mean() > 0.6


def test_dense_cells_get_more_samples_than_thin_ones():
    density = torch.full((RESOLUTION,) * 3, 0.1)
    density[10] = 5.0  # a wall across x
    guide = known_as(make_guide(1, samples=64), density.flatten())
    ray = (torch.tensor([[-1.0, 0.1, 0.1]]), torch.tensor([[1.0, 0.0, 0.0]]))
    t_mids, _ = spread_samples(
        *ray, torch.zeros(1), torch.full((1,), 2.0), torch.full((1,), 0.5), guide, 100
    )
    in_wall = ((t_mids > 10 / 8 - 0.1) & (t_mids < 11 / 8 + 0.1)).float().mean()
    assert 0.25 < in_wall < 0.6


@pytest.mark.parametrize("cone", [0.0, 1 / 48, 0.3])
def test_steps_are_numbered_from_zero_without_gap_and_grow_with_distance(cone):
    steps = Steps(0.02, cone)
    t = torch.linspace(0, 30, 1000, dtype=torch.float64)
    torch.testing.assert_close(steps.distance(steps.at(t)), t)
    lengths = steps.distance(torch.arange(1, 300).double()).diff()
    # Where the two kinds of steps meet, one may be a little shorter.
    assert (lengths.diff() >= -0.05 * lengths[:-1]).all()
    assert lengths[0] == pytest.approx(0.02)
