# SPDX-License-Identifier: GPL-3.0-or-later
"""Marching rays in Triton: each program has all steps of one ray at hand."""

import math

import triton
import triton.language as tl
from jaxtyping import Float, Int
from torch import Tensor

from .packed_samples import PackedSamples
from .packed_samples_triton import empty_samples
from .ray_marching import Guide

_STEPS_OF_A_WARP = 512
"""A ray that one warp has at hand is marched without barriers, where four would meet at 53; with
more steps than this its registers overflow (by the machine code, not by timing).
"""


def march(
    origins: Float[Tensor, "rays 3"],
    directions: Float[Tensor, "rays 3"],
    nears: Float[Tensor, " rays"],
    fars: Float[Tensor, " rays"],
    jitters: Float[Tensor, " rays"],
    guide: Guide,
    most_steps: int,
    slots: int,
    asked: Int[Tensor, ""] | None = None,
    times: Float[Tensor, " rays"] | None = None,
) -> PackedSamples:
    """The twin of `ray_marching.march` in plain torch; rays lie in any order."""
    rays, bits = len(origins), max(1, (most_steps - 1).bit_length())
    samples = empty_samples(rays, guide.samples, slots, origins.device)
    if rays:
        per_slice = guide.density.shape[0] // guide.slices
        given = (origins, directions, nears, fars, jitters)
        _march[(rays,)](
            *(part.contiguous() for part in given),
            nears if times is None else times.contiguous(),
            guide.density, guide.occupied, samples.wanted if asked is None else asked, *samples[:6],
            guide.shortest, guide.cone, math.log1p(guide.cone), guide.most_depth, guide.explore,
            guide.opaque, guide.resolution, per_slice, guide.slices, guide.samples, most_steps,
            slots, CASCADES=per_slice // guide.resolution**3, MOVES=times is not None,
            SOME=asked is not None, GROWS=guide.cone > 0,
            BITS=bits, SAMPLES=triton.next_power_of_2(guide.samples),
            num_warps=max(1, min(8, (1 << bits) // _STEPS_OF_A_WARP)),
        )  # fmt: skip
    return samples


@triton.jit
def _number_at(t, shortest, cone, log_growth, GROWS: tl.constexpr):
    """How many steps from the camera to distance t; see `ray_marching.Steps`."""
    near = t / shortest
    if GROWS:
        grown = tl.log(tl.maximum(near * cone, 1.0)) / log_growth + 1 / cone
        return tl.where(near * cone < 1, near, grown)
    return near


@triton.jit
def _distance(steps, shortest, cone, log_growth, GROWS: tl.constexpr):
    """The inverse of `_number_at`."""
    near = steps * shortest
    if GROWS:
        grown = tl.exp(tl.maximum(steps - 1 / cone, 0.0) * log_growth) * (shortest / cone)
        return tl.where(steps * cone < 1, near, grown)
    return near


@triton.jit
def _first_not_less(ends, wanted, most_steps, BITS: tl.constexpr):
    """For each of `wanted` the first of 2^BITS ascending `ends` that is not less, `most_steps` - 1
    at most.
    """
    place = tl.zeros_like(wanted).to(tl.int32)
    for bit in tl.static_range(BITS):
        width = 1 << (BITS - 1 - bit)
        less = tl.gather(ends, place + (width - 1), axis=0) < wanted
        place = tl.where(less, place + width, place)
    place = tl.where(tl.gather(ends, place, axis=0) < wanted, place + 1, place)
    return tl.minimum(place, most_steps - 1)


@triton.jit(do_not_specialize=["slots"])
def _march(
    origins, directions, nears, fars, jitters, times, densities, occupied, asked,
    owners, t_mids, lengths, firsts, counts, wanted_slots,
    shortest, cone, log_growth, most_depth, explore, opaque,
    resolution, per_slice, slices, samples, most_steps, slots,
    CASCADES: tl.constexpr, MOVES: tl.constexpr, SOME: tl.constexpr, GROWS: tl.constexpr,
    BITS: tl.constexpr, SAMPLES: tl.constexpr,
):  # fmt: skip
    ray = tl.program_id(0).to(tl.int64)
    if SOME and ray >= tl.load(asked):
        tl.store(firsts + ray, -1)
        tl.store(counts + ray, 0)
        return
    jitter = tl.load(jitters + ray)
    far = tl.load(fars + ray)
    start = _number_at(tl.load(nears + ray), shortest, cone, log_growth, GROWS) + jitter

    number = tl.arange(0, 1 << BITS)
    # Those beyond the last would lie at infinity.
    capped = tl.minimum(number, most_steps - 1)
    begin = _distance(start + capped, shortest, cone, log_growth, GROWS)
    end = _distance(start + (capped + 1), shortest, cone, log_growth, GROWS)
    length, middle = end - begin, (begin + end) / 2
    x = tl.load(origins + 3 * ray) + middle * tl.load(directions + 3 * ray)
    y = tl.load(origins + 3 * ray + 1) + middle * tl.load(directions + 3 * ray + 1)
    z = tl.load(origins + 3 * ray + 2) + middle * tl.load(directions + 3 * ray + 2)

    # The smallest cascade that holds the step's middle, and the cell there.
    reach = tl.maximum(tl.maximum(tl.abs(x), tl.abs(y)), tl.abs(z))
    level = tl.zeros_like(number)
    scale = tl.full((1 << BITS,), 0.5, tl.float32) * resolution
    wide = 1.0
    for _ in tl.static_range(CASCADES):
        outside = reach > wide
        level += outside.to(tl.int32)
        scale = tl.where(outside, scale / 2, scale)
        wide *= 2
    half = 0.5 * resolution
    i = tl.minimum(tl.maximum(x * scale + half, 0.0), resolution - 1.0).to(tl.int32)
    j = tl.minimum(tl.maximum(y * scale + half, 0.0), resolution - 1.0).to(tl.int32)
    k = tl.minimum(tl.maximum(z * scale + half, 0.0), resolution - 1.0).to(tl.int32)
    place = ((level * resolution + i) * resolution + j) * resolution + k
    if MOVES:
        moment = (tl.load(times + ray) * slices).to(tl.int32)
        place += tl.minimum(tl.maximum(moment, 0), slices - 1) * per_slice
    near_enough = (number < most_steps) & (middle < far) & (level < CASCADES)
    # Most steps are empty: their bits are in the nearest cache, and densities are not asked for.
    eight = tl.load(occupied + place // 8, mask=near_enough, other=0).to(tl.int32)
    used = (eight >> place % 8) % 2 > 0
    density = tl.load(densities + place, mask=used, other=0.0).to(tl.float32)

    # How much each step seems to show of what is seen, and how much of the ray is looked at.
    optical_depth = tl.where(used, tl.minimum(density * length, most_depth), 0.0)
    reached = tl.cumsum(optical_depth, axis=0)
    before, behind = tl.exp(optical_depth - reached), tl.exp(-reached)
    used = used & (before >= opaque)
    share_ends = tl.cumsum(tl.where(used, before - behind + explore, 0.0), axis=0)
    covered_ends = tl.cumsum(tl.where(used, length, 0.0), axis=0)
    all_shares = tl.max(share_ends, axis=0)

    # Sample after sample ends where the next equal part of all shares does.
    sample = tl.arange(0, SAMPLES)
    wanted = tl.minimum((sample + jitter) / (samples - 1), 1.0) * all_shares
    step = _first_not_less(share_ends, wanted, most_steps, BITS)
    upper, before_it = tl.gather(share_ends, step, axis=0), tl.maximum(step - 1, 0)
    lower = tl.where(step > 0, tl.gather(share_ends, before_it, axis=0), 0.0)
    covered = tl.gather(covered_ends, step, axis=0)
    covered_lower = tl.where(step > 0, tl.gather(covered_ends, before_it, axis=0), 0.0)
    share = upper - lower
    lacking = tl.where(share > 0, (upper - wanted) / tl.where(share > 0, share, 1.0), 0.0)
    lacking = tl.minimum(tl.maximum(lacking, 0.0), 1.0)
    sample_end = covered - lacking * (covered - covered_lower)
    earlier = tl.gather(sample_end, tl.maximum(sample - 1, 0), axis=0)
    sample_begin = tl.where(sample > 0, earlier, 0.0)
    sample_middle = (sample_begin + sample_end) / 2
    step = _first_not_less(covered_ends, sample_middle, most_steps, BITS)
    t_mid = tl.gather(end, step, axis=0) - (tl.gather(covered_ends, step, axis=0) - sample_middle)
    sample_length = tl.maximum(sample_end - sample_begin, 0.0)

    # All slots of the ray at once, or none.
    count = tl.where(all_shares > 0, samples, 0)
    first = tl.atomic_add(wanted_slots, count, sem="relaxed")
    fits = first + count <= slots
    count = tl.where(fits, count, 0)
    tl.store(firsts + ray, tl.where(fits, first, -1))
    tl.store(counts + ray, count)
    inside = sample < count
    tl.store(t_mids + first + sample, t_mid, mask=inside)
    tl.store(lengths + first + sample, sample_length, mask=inside)
    tl.store(owners + first + sample, tl.zeros_like(sample) + ray.to(tl.int32), mask=inside)
