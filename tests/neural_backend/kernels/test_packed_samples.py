# SPDX-License-Identifier: GPL-3.0-or-later
import math

import pytest
import torch

from neural_backend.kernels.packed_samples import (
    PackedSamples,
    keep_visible,
    keep_visible_by_torch,
    pack,
)
from tests.neural_backend.kernels import numba_tiles


def make_samples(rays: int, most: int, slots: int) -> PackedSamples:
    """Rays with any number of samples; some were not asked for."""
    t_mids, lengths = torch.rand(2, rays, most)
    counts = torch.randint(0, most + 1, (rays,))
    return pack(t_mids, lengths, counts, torch.rand(rays) > 0.1, slots)


def to(samples: PackedSamples, device: torch.device) -> PackedSamples:
    return PackedSamples(*(part.to(device) for part in samples[:6]), samples.most)


def by_ray(samples: PackedSamples) -> list[tuple[list[float], list[float], set[int]]]:
    """Distances, lengths and owners of each ray's samples, wherever these lie."""
    rows = []
    for first, count in zip(samples.firsts.tolist(), samples.counts.tolist(), strict=True):
        mine = slice(first, first + count) if count else slice(0, 0)
        owners = set(samples.rays[mine].tolist())
        rows.append((samples.t_mids[mine].tolist(), samples.lengths[mine].tolist(), owners))
    return rows


def test_packed_samples_are_those_that_were_given_ray_by_ray() -> None:
    t_mids, lengths = torch.rand(2, 5, 4)
    counts = torch.tensor([4, 0, 2, 3, 1])
    asked = torch.tensor([True, True, True, False, True])
    samples = pack(t_mids, lengths, counts, asked, slots=9)
    assert samples.looked_at.tolist() == asked.tolist()
    assert samples.counts.tolist() == [4, 0, 2, 0, 1]
    for ray, (distances, long, owners) in enumerate(by_ray(samples)):
        count = int(counts[ray]) * int(asked[ray])
        assert distances == t_mids[ray, :count].tolist()
        assert long == lengths[ray, :count].tolist()
        assert owners == ({ray} if count else set())
    assert samples.lengths[7:].tolist() == [0.0, 0.0]
    assert int(samples.wanted) == 7


def test_rays_without_room_for_all_of_their_samples_have_none() -> None:
    samples = pack(*torch.rand(2, 3, 4), torch.tensor([4, 4, 1]), torch.ones(3) > 0, slots=6)
    assert samples.counts.tolist() == [4, 0, 0]
    assert samples.firsts.tolist() == [0, -1, -1]
    assert int(samples.wanted) == 9


@pytest.mark.parametrize(("rays", "most"), [(0, 8), (1, 1), (3, 7), (200, 32), (9, 130)])
@pytest.mark.parametrize("thickness", [0.0, 3.0, 1e6])
@pytest.mark.parametrize("opaque_depth", [0.0, 1.0, math.inf])
def test_each_twin_keeps_what_plain_torch_keeps(
    rays, most, thickness, opaque_depth, twin, device
) -> None:
    samples = make_samples(rays, most, rays * most)
    # Round numbers, whose sums are exact: no rounding decides what is seen.
    density = thickness * torch.randint(0, 3, (rays * most,))
    round_lengths = (samples.lengths * 8).round() / 8
    samples = samples._replace(lengths=round_lengths)
    slots = rays * most
    function = numba_tiles.keep_visible if twin == "numba" else keep_visible
    kept = function(density.to(device), to(samples, device), slots, opaque_depth)
    expected = keep_visible_by_torch(density.double(), samples, slots, opaque_depth)
    assert by_ray(kept) == by_ray(expected)
    assert torch.equal(kept.looked_at.cpu(), expected.looked_at)
    assert int(kept.wanted) == int(expected.wanted) == int(kept.counts.sum())
    if thickness == 0 or math.isinf(opaque_depth):
        assert torch.equal(kept.counts.cpu(), samples.counts)


def test_triton_leaves_out_rays_that_do_not_fit_and_fills_no_slot_twice(triton) -> None:
    samples = make_samples(300, 16, 300 * 16)
    density = torch.zeros(300 * 16)
    slots = int(samples.wanted) // 2
    kept = keep_visible(density.to(triton), to(samples, triton), slots, 1.0)
    assert int(kept.wanted) == int(samples.wanted)
    places, inside = kept.slots()
    assert places[inside].unique().numel() == int(kept.counts.sum())
    assert 0.9 * slots < int(kept.counts.sum()) <= slots
    every = by_ray(samples)
    for ray, found in enumerate(by_ray(to(kept, torch.device("cpu")))):
        assert found == every[ray] if kept.firsts[ray] >= 0 else not found[0]


def test_only_what_lies_behind_an_opaque_front_is_hidden() -> None:
    lengths = torch.ones(1, 5)
    samples = pack(torch.arange(5.0)[None], lengths, torch.tensor([5]), torch.ones(1) > 0, 5)
    density = torch.tensor([0.0, 2.0, 3.0, 0.0, 1.0])
    for opaque_depth, count in ((1.9, 2), (2.0, 3), (4.9, 3), (5.0, 5)):
        assert keep_visible(density, samples, 5, opaque_depth).counts.tolist() == [count]
