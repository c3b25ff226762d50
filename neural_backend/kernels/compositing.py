# SPDX-License-Identifier: GPL-3.0-or-later
"""What rays see of their samples: plain torch, or Triton where it can run."""

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from .packed_samples import PackedSamples
from .triton_use import uses_triton


class Composited(NamedTuple):
    """What rays see. Colors are premultiplied and of any number of channels; `depth` is the sum of
    weights times distances.

    `distortion` says how far apart along the ray the things are that it sees. No gradient passes
    through `weights`, which are those of the samples; 0 in slots of nobody.
    """

    color: Float[Tensor, "rays channels"]
    accumulation: Float[Tensor, " rays"]
    depth: Float[Tensor, " rays"]
    distortion: Float[Tensor, " rays"]
    weights: Float[Tensor, " slots"]


def composite(
    density: Float[Tensor, " slots"],
    rgb: Float[Tensor, "slots channels"],
    samples: PackedSamples,
    inverse_near: float = math.inf,
) -> Composited:
    """Adds up the samples of rays, in order from the camera; differentiable in density and color.

    Closer to the camera than 1 / `inverse_near` gradients of density and of the first three
    channels fade away (`fade_gradients`).

    Source: Max 1995, "Optical models for direct volume rendering"; for the distortion Barron et al.
        2022, "Mip-NeRF 360", eq. 15, with t / (1 + t) for s.
    """
    if uses_triton(density):
        return Composited(*_TritonComposite.apply(density, rgb, samples, inverse_near))
    return composite_by_torch(density, rgb, samples, inverse_near)


def composite_by_torch(
    density: Float[Tensor, " slots"],
    rgb: Float[Tensor, "slots channels"],
    samples: PackedSamples,
    inverse_near: float = math.inf,
) -> Composited:
    """The twin of `compositing_triton`, for any device and precision."""
    if math.isfinite(inverse_near):
        density = fade_gradients(density, samples.t_mids, inverse_near)
        color = fade_gradients(rgb[:, :3], samples.t_mids[:, None], inverse_near)
        rgb = torch.cat([color, rgb[:, 3:]], dim=1)
    places, inside = samples.slots()
    t_mids, lengths = samples.t_mids[places], samples.lengths[places] * inside
    flat, by_ray = places.flatten(), places.shape
    rgb = rgb.index_select(0, flat).unflatten(0, by_ray)
    optical_depth = density.index_select(0, flat).unflatten(0, by_ray) * lengths
    behind = torch.exp(-optical_depth.cumsum(dim=-1))
    before = F.pad(behind[:, :-1], (1, 0), value=1.0)
    # Not 1 - exp(-x) · …: that would cancel for thin samples.
    weights = before * -torch.expm1(-optical_depth)
    distances = t_mids / (1 + t_mids)
    weight_before = F.pad(weights.cumsum(dim=-1)[:, :-1], (1, 0))
    moment_before = F.pad((weights * distances).cumsum(dim=-1)[:, :-1], (1, 0))
    apart = 2 * (weights * (distances * weight_before - moment_before)).sum(dim=1)
    within = (weights.square() * lengths / (1 + t_mids).square()).sum(dim=1) / 3
    known = weights.detach().flatten()
    return Composited(
        color=(weights[..., None] * rgb).sum(dim=1),
        accumulation=1 - behind[:, -1],
        depth=(weights * t_mids).sum(dim=1),
        distortion=apart + within,
        # What lies in no slot has no weight.
        weights=torch.zeros_like(samples.lengths).index_add_(0, flat, known),
    )


def fade_gradients(
    values: Float[Tensor, "*slots"], t_mids: Float[Tensor, "*slots"], inverse_near: float
) -> Float[Tensor, "*slots"]:
    """`values`, through which closer to the camera than 1 / `inverse_near` only a share of a
    gradient passes: the square of the distance, as their pictures cover so much more.
    """
    share = (t_mids * inverse_near).clamp(max=1).square()
    return values * share + (values * (1 - share)).detach()


class _TritonComposite(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, density: Tensor, rgb: Tensor, samples: PackedSamples, inverse_near: float
    ) -> tuple[Tensor, ...]:
        from . import compositing_triton

        given = density.detach().contiguous(), rgb.detach().contiguous()
        ctx.save_for_backward(*given)
        ctx.samples, ctx.inverse_near = samples, inverse_near
        seen = compositing_triton.composite(*given, samples)
        ctx.mark_non_differentiable(seen.weights)
        return tuple(seen)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, Tensor, None, None]:
        from . import compositing_triton

        given = *ctx.saved_tensors, ctx.samples
        found = compositing_triton.gradients(*given, *slopes[:4], ctx.inverse_near)
        return *found, None, None
