# SPDX-License-Identifier: GPL-3.0-or-later
"""Adding up the samples of rays in Triton, forward and backward; nothing is kept in between."""

import math

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor

from .compositing import Composited
from .packed_samples import PackedSamples
from .packed_samples_triton import lanes

_OPAQUE = tl.constexpr(90.0)
"""In single precision nothing passes an optical depth beyond this."""


def composite(
    density: Float[Tensor, " slots"],
    rgb: Float[Tensor, "slots channels"],
    samples: PackedSamples,
) -> Composited:
    """The twin of `compositing.composite_by_torch`, without a graph."""
    rays, channels = len(samples.firsts), rgb.shape[-1]
    seen = torch.empty(rays, channels + 3, device=density.device)
    weights = torch.zeros_like(density)
    if rays:
        width, block = lanes(samples.most)
        _composite[(triton.cdiv(rays, block),)](
            density, rgb, *samples[1:5], seen, weights, rays,
            CHANNELS=channels, RAYS=block, SAMPLES=width,
        )  # fmt: skip
    return Composited(seen[:, :channels], *seen[:, channels:].unbind(dim=1), weights)


def gradients(
    density: Float[Tensor, " slots"],
    rgb: Float[Tensor, "slots channels"],
    samples: PackedSamples,
    by_color: Float[Tensor, "rays channels"],
    by_accumulation: Float[Tensor, " rays"],
    by_depth: Float[Tensor, " rays"],
    by_distortion: Float[Tensor, " rays"],
    inverse_near: float = math.inf,
) -> tuple[Float[Tensor, " slots"], Float[Tensor, "slots channels"]]:
    """The loss's slopes by density and color, from those by what `composite` returned."""
    rays = len(samples.firsts)
    by_density, by_rgb = torch.zeros_like(density), torch.zeros_like(rgb)
    if rays:
        width, block = lanes(samples.most)
        fades = math.isfinite(inverse_near)
        slopes = by_color, by_accumulation, by_depth, by_distortion
        _gradients[(triton.cdiv(rays, block),)](
            density, rgb, *samples[1:5], *slopes, *(slope.stride(0) for slope in slopes),
            by_density, by_rgb, rays, inverse_near if fades else 0.0,
            CHANNELS=rgb.shape[-1], FADES=fades, RAYS=block, SAMPLES=width,
        )  # fmt: skip
    return by_density, by_rgb


@triton.jit
def _slots(firsts, counts, row, alive, SAMPLES: tl.constexpr):
    """Where the samples of rays lie, and which of these each ray has."""
    column = tl.arange(0, SAMPLES)
    inside = column < tl.load(counts + row, mask=alive, other=0)[:, None]
    return tl.load(firsts + row, mask=alive, other=0).to(tl.int64)[:, None] + column, inside


@triton.jit
def _optical_depth(density, places, inside, length):
    """That of each sample, as far as it makes a difference."""
    depth = tl.load(density + places, mask=inside, other=0.0) * length
    # Sums up to an opaque sample, less its own depth, would have lost what is before it. Not the
    # smaller of both: that would hide NaN.
    return tl.where(depth > _OPAQUE, _OPAQUE, depth)


@triton.jit
def _weigh(optical_depth):
    """What is left behind each sample, and how much each shows."""
    reached = tl.cumsum(optical_depth, axis=1)
    before = tl.exp(optical_depth - reached)
    return tl.exp(-reached), before * _hidden(optical_depth)


@triton.jit
def _hidden(optical_depth):
    """The share of the light from behind that is taken away."""
    # The first terms of 1 - exp(-x): the difference would cancel for thin samples.
    thin = optical_depth * (1 - optical_depth * (0.5 - optical_depth / 6))
    return tl.where(optical_depth < 0.01, thin, 1 - tl.exp(-optical_depth))


@triton.jit(do_not_specialize=["rays"])
def _composite(
    density, rgb, t_mids, lengths, firsts, counts, seen, weights, rays,
    CHANNELS: tl.constexpr, RAYS: tl.constexpr, SAMPLES: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64) * RAYS + tl.arange(0, RAYS)
    alive = row < rays
    places, inside = _slots(firsts, counts, row, alive, SAMPLES)
    length = tl.load(lengths + places, mask=inside, other=0.0)
    t = tl.load(t_mids + places, mask=inside, other=0.0)
    optical_depth = _optical_depth(density, places, inside, length)
    _, weight = _weigh(optical_depth)
    tl.store(weights + places, weight, mask=inside)
    of_ray = seen + (CHANNELS + 3) * row
    for channel in tl.static_range(CHANNELS):
        color = tl.load(rgb + CHANNELS * places + channel, mask=inside, other=0.0)
        tl.store(of_ray + channel, tl.sum(weight * color, axis=1), mask=alive)
    all_depth = tl.sum(optical_depth, axis=1)
    tl.store(of_ray + CHANNELS, _hidden(all_depth), mask=alive)
    tl.store(of_ray + CHANNELS + 1, tl.sum(weight * t, axis=1), mask=alive)
    place = t / (1 + t)
    moment = weight * place
    weight_before = tl.cumsum(weight, axis=1) - weight
    moment_before = tl.cumsum(moment, axis=1) - moment
    apart = 2 * tl.sum(weight * (place * weight_before - moment_before), axis=1)
    within = tl.sum(weight * weight * length / ((1 + t) * (1 + t)), axis=1) / 3
    tl.store(of_ray + CHANNELS + 2, apart + within, mask=alive)


@triton.jit(do_not_specialize=["rays"])
def _gradients(
    density, rgb, t_mids, lengths, firsts, counts, by_color, by_accumulation, by_depth,
    by_distortion, color_stride, accumulation_stride, depth_stride, distortion_stride,
    by_density, by_rgb, rays, inverse_near,
    CHANNELS: tl.constexpr, FADES: tl.constexpr, RAYS: tl.constexpr, SAMPLES: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64) * RAYS + tl.arange(0, RAYS)
    alive = row < rays
    places, inside = _slots(firsts, counts, row, alive, SAMPLES)
    length = tl.load(lengths + places, mask=inside, other=0.0)
    t = tl.load(t_mids + places, mask=inside, other=0.0)
    optical_depth = _optical_depth(density, places, inside, length)
    behind, weight = _weigh(optical_depth)

    # By the weight of each sample. Of the distortion: the distances to all others by their weights.
    place = t / (1 + t)
    moment = weight * place
    weight_before = tl.cumsum(weight, axis=1) - weight
    moment_before = tl.cumsum(moment, axis=1) - moment
    weight_behind = tl.cumsum(weight, axis=1, reverse=True) - weight
    moment_behind = tl.cumsum(moment, axis=1, reverse=True) - moment
    distances = place * (weight_before - weight_behind) - moment_before + moment_behind
    own = weight * length / ((1 + t) * (1 + t)) / 3
    apart = tl.load(by_distortion + distortion_stride * row, mask=alive, other=0.0)[:, None]
    away = tl.load(by_depth + depth_stride * row, mask=alive, other=0.0)[:, None]
    by_weight = away * t + 2 * apart * (distances + own)
    share = tl.full((RAYS, SAMPLES), 1.0, tl.float32)
    if FADES:
        near = tl.minimum(t * inverse_near, 1.0)
        share = near * near
    for channel in tl.static_range(CHANNELS):
        slope = tl.load(by_color + color_stride * row + channel, mask=alive, other=0.0)[:, None]
        by_weight += slope * tl.load(rgb + CHANNELS * places + channel, mask=inside, other=0.0)
        by_channel = slope * weight
        if channel < 3:
            by_channel *= share
        tl.store(by_rgb + CHANNELS * places + channel, by_channel, mask=inside)

    # More optical depth shows more of a sample, and less of all behind it.
    hidden = tl.cumsum(by_weight * weight, axis=1, reverse=True) - by_weight * weight
    escaped = tl.exp(-tl.sum(optical_depth, axis=1))[:, None]
    all_hidden = tl.load(by_accumulation + accumulation_stride * row, mask=alive, other=0.0)
    slope = by_weight * behind - hidden + all_hidden[:, None] * escaped
    tl.store(by_density + places, slope * length * share, mask=inside)
