# SPDX-License-Identifier: GPL-3.0-or-later
"""What rays see of their samples: plain torch, or Triton where it can run."""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from .triton_use import uses_triton


class Composited(NamedTuple):
    """What rays see. Colors are premultiplied and of any number of channels; `depth` is the sum of
    weights times distances.

    `distortion` says how far apart along the ray the things are that it sees. No gradient passes
    through `weights`.
    """

    color: Float[Tensor, "rays channels"]
    accumulation: Float[Tensor, " rays"]
    depth: Float[Tensor, " rays"]
    distortion: Float[Tensor, " rays"]
    weights: Float[Tensor, "rays samples"]


def composite(
    density: Float[Tensor, "rays samples"],
    rgb: Float[Tensor, "rays samples channels"],
    t_mids: Float[Tensor, "rays samples"],
    lengths: Float[Tensor, "rays samples"],
) -> Composited:
    """Adds up the samples of rays, in order from the camera; differentiable in density and color.

    Source: Max 1995, "Optical models for direct volume rendering"; for the distortion Barron et al.
        2022, "Mip-NeRF 360", eq. 15, with t / (1 + t) for s.
    """
    if uses_triton(density):
        return Composited(*_TritonComposite.apply(density, rgb, t_mids, lengths))
    return composite_by_torch(density, rgb, t_mids, lengths)


def composite_by_torch(
    density: Float[Tensor, "rays samples"],
    rgb: Float[Tensor, "rays samples channels"],
    t_mids: Float[Tensor, "rays samples"],
    lengths: Float[Tensor, "rays samples"],
) -> Composited:
    """The twin of `compositing_triton`, for any device and precision."""
    optical_depth = density * lengths
    behind = torch.exp(-optical_depth.cumsum(dim=-1))
    before = F.pad(behind[:, :-1], (1, 0), value=1.0)
    # Not 1 - exp(-x) · …: that would cancel for thin samples.
    weights = before * -torch.expm1(-optical_depth)
    places = t_mids / (1 + t_mids)
    weight_before = F.pad(weights.cumsum(dim=-1)[:, :-1], (1, 0))
    moment_before = F.pad((weights * places).cumsum(dim=-1)[:, :-1], (1, 0))
    apart = 2 * (weights * (places * weight_before - moment_before)).sum(dim=1)
    within = (weights.square() * lengths / (1 + t_mids).square()).sum(dim=1) / 3
    return Composited(
        color=(weights[..., None] * rgb).sum(dim=1),
        accumulation=1 - behind[:, -1],
        depth=(weights * t_mids).sum(dim=1),
        distortion=apart + within,
        weights=weights.detach(),
    )


class _TritonComposite(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, density: Tensor, rgb: Tensor, t_mids: Tensor, lengths: Tensor
    ) -> tuple[Tensor, ...]:
        from . import compositing_triton

        given = [part.detach().contiguous() for part in (density, rgb, t_mids, lengths)]
        ctx.save_for_backward(*given)
        seen = compositing_triton.composite(*given)
        ctx.mark_non_differentiable(seen.weights)
        return tuple(seen)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, Tensor, None, None]:
        from . import compositing_triton

        return *compositing_triton.gradients(*ctx.saved_tensors, *slopes[:4]), None, None
