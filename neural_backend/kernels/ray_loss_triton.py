# SPDX-License-Identifier: GPL-3.0-or-later
"""The loss of rays in Triton, with its slopes by all that they see: one launch."""

import torch
import triton
import triton.language as tl
from jaxtyping import Bool, Float
from torch import Tensor

from .instant_ngp_types import LossSettings, MovingRayTargets, RayTargets

_RAYS = 64
"""Rays of a program: few, so that a batch is spread over all of a card."""


def ray_loss(
    color: Float[Tensor, "rays channels"],
    accumulation: Float[Tensor, " rays"],
    distortion: Float[Tensor, " rays"],
    log_gains: Float[Tensor, "rays 3"],
    rays: RayTargets | MovingRayTargets,
    looked_at: Bool[Tensor, " rays"],
    loss: LossSettings,
) -> tuple[Float[Tensor, "2"], Float[Tensor, " rays"], Float[Tensor, "rays slopes"]]:
    """The loss and the squared error, summed; each ray's squared error; and the loss's slopes by
    its color, accumulation, distortion and gains' logarithms, in this order.
    """
    count, channels = color.shape
    totals = torch.zeros(2, device=color.device)
    squares = torch.empty(count, device=color.device)
    slopes = torch.empty(count, channels + 5, device=color.device)
    if count:
        strides = color.stride(0), accumulation.stride(0), distortion.stride(0)
        _ray_loss[(triton.cdiv(count, _RAYS),)](
            color, accumulation, distortion, log_gains.contiguous(), rays.targets.contiguous(),
            rays.backgrounds.contiguous(), looked_at.view(torch.uint8), totals, squares, slopes,
            count, *strides, loss.huber, loss.distortion, loss.surface,
            CHANNELS=channels, RAYS=_RAYS, num_warps=_RAYS // 32,
        )  # fmt: skip
    return totals, squares, slopes


@triton.jit
def _cost(error, huber):
    """The square of an error, or straight beyond `huber`; and its slope."""
    size = tl.abs(error)
    straight = (huber > 0) & (size > huber)
    scale = tl.where(huber > 0, 1 / tl.where(huber > 0, huber, 1.0), 1.0)
    cost = tl.where(straight, 2 * size - huber, error * error * scale)
    return cost, tl.where(straight, tl.where(error < 0, -2.0, 2.0), 2 * error * scale)


@triton.jit(do_not_specialize=["count"])
def _ray_loss(
    color, accumulation, distortion, log_gains, targets, backgrounds, looked_at, totals, squares,
    slopes, count, color_stride, accumulation_stride, distortion_stride, huber, spread, surface,
    CHANNELS: tl.constexpr, RAYS: tl.constexpr,
):  # fmt: skip
    ray = tl.program_id(0).to(tl.int64) * RAYS + tl.arange(0, RAYS)
    alive = ray < count
    looked = tl.load(looked_at + ray, mask=alive, other=0).to(tl.float32)
    escaped = 1 - tl.load(accumulation + ray * accumulation_stride, mask=alive, other=0.0)
    of_ray = slopes + (CHANNELS + 5) * ray
    total = tl.zeros((RAYS,), tl.float32)
    squared = tl.zeros((RAYS,), tl.float32)
    behind = tl.zeros((RAYS,), tl.float32)
    by_escaped = tl.zeros((RAYS,), tl.float32)
    for channel in tl.static_range(3):
        seen = tl.load(color + ray * color_stride + channel, mask=alive, other=0.0)
        gain = tl.exp(tl.load(log_gains + 3 * ray + channel, mask=alive, other=0.0))
        background = tl.load(backgrounds + 3 * ray + channel, mask=alive, other=0.0)
        target = tl.load(targets + 3 * ray + channel, mask=alive, other=0.0)
        error = (gain * seen + escaped * background - target) * looked
        cost, slope = _cost(error, huber)
        slope *= (1 - surface) * looked
        total += (1 - surface) * cost
        squared += error * error
        by_escaped += slope * background
        tl.store(of_ray + channel, slope * gain, mask=alive)
        tl.store(of_ray + CHANNELS + 2 + channel, slope * gain * seen, mask=alive)
        alone, _ = _cost(background - target, huber)
        behind += alone * looked
    if CHANNELS > 3:
        # What samples would miss alone, and the background where it is seen alone.
        alone = tl.load(color + ray * color_stride + 3, mask=alive, other=0.0)
        total += surface * (alone + escaped * behind)
        by_escaped += surface * behind
        tl.store(of_ray + 3, tl.zeros_like(alone) + surface, mask=alive)
    apart = tl.load(distortion + ray * distortion_stride, mask=alive, other=0.0)
    total += spread * apart
    tl.store(of_ray + CHANNELS, -by_escaped, mask=alive)
    tl.store(of_ray + CHANNELS + 1, tl.zeros_like(apart) + spread, mask=alive)
    tl.store(squares + ray, squared, mask=alive)
    total = tl.sum(tl.where(alive, total, 0.0), axis=0)
    squared = tl.sum(tl.where(alive, squared, 0.0), axis=0)
    tl.atomic_add(totals, total, sem="relaxed")
    tl.atomic_add(totals + 1, squared, sem="relaxed")
