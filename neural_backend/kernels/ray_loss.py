# SPDX-License-Identifier: GPL-3.0-or-later
"""How far what rays see is from what they should see: plain torch, or Triton where it can run."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .compositing import Composited
from .instant_ngp_types import LossSettings, MovingRayTargets, RayTargets
from .triton_use import uses_triton


class RayLoss(NamedTuple):
    """The loss summed over rays, and each ray's squared error and their sum, through which no
    gradient passes. Rays that are not looked at have none.
    """

    total: Float[Tensor, ""]
    squared_error: Float[Tensor, ""]
    squared_errors: Float[Tensor, " rays"]


def ray_loss(
    seen: Composited,
    log_gains: Float[Tensor, "rays 3"],
    rays: RayTargets | MovingRayTargets,
    looked_at: Bool[Tensor, " rays"],
    loss: LossSettings,
) -> RayLoss:
    """The loss of rays; differentiable in `log_gains`, which brighten colors, and in what is seen.

    Where a share of the loss is that of samples alone, a fourth channel tells it, summed by their
    weights; what passes them all stands before the background alone.

    Source: Müller et al. 2022, "Instant neural graphics primitives", whose program has the Huber
        loss; Barron et al. 2022, "Mip-NeRF 360", eq. 15 (distortion); Zhang et al. 2025, "Radiance
        surfaces" (samples alone).
    """
    if uses_triton(log_gains):
        given = seen.color, seen.accumulation, seen.distortion, log_gains
        return RayLoss(*_TritonRayLoss.apply(*given, rays, looked_at, loss))
    return ray_loss_by_torch(seen, log_gains, rays, looked_at, loss)


def ray_loss_by_torch(
    seen: Composited,
    log_gains: Float[Tensor, "rays 3"],
    rays: RayTargets | MovingRayTargets,
    looked_at: Bool[Tensor, " rays"],
    loss: LossSettings,
) -> RayLoss:
    """The twin of `ray_loss_triton`, for any device and precision."""
    color, escaped = seen.color[:, :3], 1 - seen.accumulation
    shown = log_gains.exp() * color + escaped[:, None] * rays.backgrounds
    errors = (shown - rays.targets) * looked_at[:, None]
    total = costs(errors, loss.huber).sum()
    if loss.surface > 0:
        behind = costs(rays.backgrounds - rays.targets, loss.huber).sum(dim=-1)
        alone = seen.color[:, 3].sum() + (escaped * behind * looked_at).sum()
        total = torch.lerp(total, alone, loss.surface)
    if loss.distortion > 0:
        total = total + loss.distortion * seen.distortion.sum()
    squares = errors.detach().square().sum(dim=1)
    return RayLoss(total, squares.sum(), squares)


def costs(errors: Float[Tensor, "*shape"], huber: float) -> Float[Tensor, "*shape"]:
    """The squares of errors, or straight beyond `huber`."""
    squares = errors.square()
    if huber <= 0:
        return squares
    sizes = errors.abs()
    return torch.where(sizes <= huber, squares / huber, 2 * sizes - huber)


class _TritonRayLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        color: Tensor,
        accumulation: Tensor,
        distortion: Tensor,
        log_gains: Tensor,
        rays: RayTargets | MovingRayTargets,
        looked_at: Tensor,
        loss: LossSettings,
    ) -> tuple[Tensor, Tensor, Tensor]:
        from . import ray_loss_triton

        seen = color.detach(), accumulation.detach(), distortion.detach(), log_gains.detach()
        totals, squares, slopes = ray_loss_triton.ray_loss(*seen, rays, looked_at, loss)
        ctx.save_for_backward(slopes)
        total, squared_error = totals.unbind()
        ctx.mark_non_differentiable(squared_error, squares)
        return total, squared_error, squares

    @staticmethod
    def backward(ctx: Any, *by_results: Tensor) -> tuple[Tensor | None, ...]:
        (slopes,) = ctx.saved_tensors
        slopes = slopes * by_results[0]
        channels = slopes.shape[1] - 5
        by_accumulation, by_distortion = slopes[:, channels : channels + 2].unbind(dim=1)
        by_log_gains = slopes[:, channels + 2 :]
        return slopes[:, :channels], by_accumulation, by_distortion, by_log_gains, None, None, None
