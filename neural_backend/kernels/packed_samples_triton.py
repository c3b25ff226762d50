# SPDX-License-Identifier: GPL-3.0-or-later
"""Packing the samples of rays that are seen, in Triton: some rays are a program."""

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor

from .packed_samples import PackedSamples

_LANES = 512
"""Samples that a program has at hand: as many rays as have room. With 2048 so many registers are
taken that a quarter as many programs are resident, and `compositing`'s slopes overflow them (by the
machine code, not by timing).
"""


def empty_samples(rays: int, most: int, slots: int, device: torch.device) -> PackedSamples:
    """Buffers for a kernel to fill: each ray takes its slots from `wanted`, in any order."""
    firsts, counts = torch.empty(2, rays, dtype=torch.int32, device=device)
    # Nothing is the same bits in all of them: one launch fills them.
    zeros = torch.zeros(3 * slots + 1, dtype=torch.int32, device=device)
    owners, t_mids, lengths = zeros[:-1].view(3, slots).unbind()
    distances = t_mids.view(torch.float32), lengths.view(torch.float32)
    return PackedSamples(owners, *distances, firsts, counts, zeros[-1], most)


def lanes(most: int) -> tuple[int, int]:
    """Samples of a ray rounded up to a power of two, and rays of a program."""
    width = triton.next_power_of_2(most)
    return width, max(1, _LANES // width)


def keep_visible(
    density: Float[Tensor, " slots"], samples: PackedSamples, slots: int, opaque_depth: float
) -> PackedSamples:
    """The twin of `packed_samples.keep_visible_by_torch`; rays lie in any order."""
    rays = len(samples.firsts)
    kept = empty_samples(rays, samples.most, slots, density.device)
    if rays:
        width, block = lanes(samples.most)
        _keep_visible[(triton.cdiv(rays, block),)](
            density.contiguous(), *samples[1:5], *kept[:6], rays, slots, opaque_depth,
            RAYS=block, SAMPLES=width,
        )  # fmt: skip
    return kept


@triton.jit(do_not_specialize=["rays", "slots"])
def _keep_visible(
    density, t_mids, lengths, firsts, counts,
    kept_rays, kept_mids, kept_lengths, kept_firsts, kept_counts, wanted,
    rays, slots, opaque_depth, RAYS: tl.constexpr, SAMPLES: tl.constexpr,
):  # fmt: skip
    ray = tl.program_id(0) * RAYS + tl.arange(0, RAYS)
    alive = ray < rays
    first = tl.load(firsts + ray, mask=alive, other=-1)
    column = tl.arange(0, SAMPLES)
    inside = column < tl.load(counts + ray, mask=alive, other=0)[:, None]
    places = first[:, None] + column
    length = tl.load(lengths + places, mask=inside, other=0.0)
    optical_depth = tl.load(density + places, mask=inside, other=0.0) * length
    before = tl.cumsum(optical_depth, axis=1) - optical_depth
    visible = inside & (before <= opaque_depth)

    # The program takes slots for all of its rays at once.
    count = tl.sum(visible.to(tl.int32), axis=1)
    kept_first = tl.atomic_add(wanted, tl.sum(count, axis=0), sem="relaxed")
    kept_first += tl.cumsum(count, axis=0) - count
    fits = (first >= 0) & (kept_first + count <= slots)
    tl.store(kept_firsts + ray, tl.where(fits, kept_first, -1), mask=alive)
    tl.store(kept_counts + ray, tl.where(fits, count, 0), mask=alive)
    visible = visible & fits[:, None]
    kept = kept_first[:, None] + column
    t = tl.load(t_mids + places, mask=visible, other=0.0)
    tl.store(kept_mids + kept, t, mask=visible)
    tl.store(kept_lengths + kept, length, mask=visible)
    tl.store(kept_rays + kept, tl.zeros_like(kept) + ray[:, None], mask=visible)
