# SPDX-License-Identifier: GPL-3.0-or-later
"""What a ray gathers on its way through a density with color.

`t_edges` bound the samples of a ray, in scene units along unit directions; `density` is per scene
unit and constant between two edges. `weights` are the shares that samples have in what is seen;
those of a ray sum to its accumulation.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from ..geometry.rays import RenderedRays


def composite(
    density: Float[Tensor, "rays samples"],
    rgb: Float[Tensor, "rays samples 3"],
    t_edges: Float[Tensor, "rays samples+1"],
) -> RenderedRays:
    """Adds up the light each ray gathers from front to back, without background.

    Source: Mildenhall et al. 2020, "NeRF", eq. 3.
    """
    t_mids = (t_edges[..., 1:] + t_edges[..., :-1]) / 2
    return accumulate(ray_weights(density, t_edges), rgb, t_mids)


def ray_weights(
    density: Float[Tensor, "rays samples"], t_edges: Float[Tensor, "rays samples+1"]
) -> Float[Tensor, "rays samples"]:
    """The share of each sample in what its ray shows: T_i (1 - exp(-σ_i δ_i)) of eq. 3.

    Finite for any density from 0 to infinity, and so are its gradients.
    """
    optical_depth = _optical_depth(density, t_edges.diff(dim=-1))
    # Shift rather than subtract: cumsum - optical_depth cancels badly behind an opaque sample.
    depth_in_front = F.pad(optical_depth.cumsum(dim=-1)[..., :-1], (1, 0))
    return torch.exp(-depth_in_front) * -torch.expm1(-optical_depth)


def accumulate(
    weights: Float[Tensor, "rays samples"],
    rgb: Float[Tensor, "rays samples 3"],
    t: Float[Tensor, "rays samples"],
    normals: Float[Tensor, "rays samples 3"] | None = None,
) -> RenderedRays:
    """Sums samples, which lie at `t` along their rays, by their `weights`."""
    accumulation = weights.sum(dim=-1)
    seen_normals = None
    if normals is not None:
        seen_normals = F.normalize((weights[..., None] * normals).sum(dim=-2), dim=-1)
    return RenderedRays(
        rgb=(weights[..., None] * rgb).sum(dim=-2),
        accumulation=accumulation,
        depth=_mean_depth((weights * t).sum(dim=-1), accumulation),
        normals=seen_normals,
    )


def composite_packed(
    density: Float[Tensor, " samples"],
    rgb: Float[Tensor, "samples 3"],
    t_starts: Float[Tensor, " samples"],
    t_ends: Float[Tensor, " samples"],
    ray_offsets: Int[Tensor, " offsets"],
) -> RenderedRays:
    """`composite` for rays with different numbers of samples, all in one flat buffer.

    The samples of ray r, front to back, are those from `ray_offsets[r]` up to `ray_offsets[r + 1]`;
    there may be none, and gaps between them are empty space.
    """
    ray_of_sample = rays_of_samples(ray_offsets, density.shape[0])
    weights = packed_weights(density, t_starts, t_ends, ray_offsets)
    num_rays = ray_offsets.shape[0] - 1
    t_mids = (t_starts + t_ends) / 2
    per_sample = torch.cat(
        [weights[:, None] * rgb, weights[:, None], (weights * t_mids)[:, None]], dim=-1
    )
    sums = per_sample.new_zeros(num_rays, 5).index_add(0, ray_of_sample, per_sample)
    return RenderedRays(
        rgb=sums[:, :3], accumulation=sums[:, 3], depth=_mean_depth(sums[:, 4], sums[:, 3])
    )


def packed_weights(
    density: Float[Tensor, " samples"],
    t_starts: Float[Tensor, " samples"],
    t_ends: Float[Tensor, " samples"],
    ray_offsets: Int[Tensor, " offsets"],
) -> Float[Tensor, " samples"]:
    """`ray_weights` for samples in one flat buffer."""
    optical_depth = _optical_depth(density, t_ends - t_starts)
    ray_of_sample = rays_of_samples(ray_offsets, density.shape[0])
    firsts, ends = ray_offsets[ray_of_sample], ray_offsets[ray_of_sample + 1]
    depth_in_front = _SumInFront.apply(optical_depth, firsts, ends)
    return torch.exp(-depth_in_front) * -torch.expm1(-optical_depth)


def rays_of_samples(
    ray_offsets: Int[Tensor, " offsets"], num_samples: int
) -> Int[Tensor, " samples"]:
    """The ray that each sample of a flat buffer belongs to."""
    rays = torch.arange(ray_offsets.shape[0] - 1, device=ray_offsets.device)
    # With `output_size` nothing has to be read back from the device.
    return torch.repeat_interleave(rays, ray_offsets.diff(), output_size=num_samples)


class _SumInFront(torch.autograd.Function):
    """For each value the sum of those before it on its ray.

    Sums within the ray alone: the difference of two sums over the whole buffer would lose every
    digit behind an opaque ray.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, firsts: Tensor, ends: Tensor) -> Tensor:
        ctx.save_for_backward(ends)
        return _scan(values, firsts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (ends,) = ctx.saved_tensors
        # Read backwards, the samples behind are in front; `ends` count from the other side.
        return _scan(gradients[0].flip(0), ends.shape[0] - ends.flip(0)).flip(0), None, None


def _scan(values: Tensor, firsts: Tensor) -> Tensor:
    """Exclusive running sums that start anew at `firsts`.

    Source: Hillis and Steele 1986, "Data parallel algorithms" (a scan in log2 passes).
    """
    room = torch.arange(values.shape[0], device=values.device) - firsts
    sums = torch.where(room >= 1, _shifted(values, 1), 0)
    step = 1
    while step < values.shape[0]:
        sums = sums + torch.where(room >= step, _shifted(sums, step), 0)
        step *= 2
    return sums


def _shifted(values: Tensor, step: int) -> Tensor:
    return F.pad(values[:-step], (step, 0))


def _optical_depth(density: Tensor, lengths: Tensor) -> Tensor:
    # The bound keeps an infinite density from becoming NaN over a length of zero.
    return density.clamp(max=torch.finfo(density.dtype).max) * lengths


def _mean_depth(weighted_depth: Tensor, accumulation: Tensor) -> Tensor:
    seen = accumulation > torch.finfo(accumulation.dtype).tiny
    # Divided only where something is seen, so that no NaN enters the gradients of the other rays.
    return torch.where(seen, weighted_depth / torch.where(seen, accumulation, 1), torch.inf)
