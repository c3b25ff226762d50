# SPDX-License-Identifier: GPL-3.0-or-later
"""Samples spread evenly along rays."""

import torch
from jaxtyping import Float
from torch import Tensor

from ..kernels import process_group


def sample_stratified(
    near: Float[Tensor, " rays"],
    far: Float[Tensor, " rays"],
    num_samples: int,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "rays {num_samples}"]:
    """One sample in each of `num_samples` equal parts from `near` to `far`, in rising order.

    Drawn uniformly within its part with a `generator` on the rays' device, else in the part's
    middle.

    Source: Mildenhall et al. 2020, "NeRF", eq. 2.
    """
    shares = strata(near.shape[0], num_samples, near, generator)
    return near[:, None] + shares * (far - near)[:, None]


def strata(
    num_rays: int, num_samples: int, like: Tensor, generator: torch.Generator | None = None
) -> Float[Tensor, "rays samples"]:
    """Rising numbers in [0, 1), one in each equal part; the middles without a `generator`."""
    device, dtype = like.device, like.dtype
    firsts = torch.arange(num_samples, device=device, dtype=dtype)
    if generator is None:
        return ((firsts + 0.5) / num_samples).expand(num_rays, num_samples)
    jitter = process_group.rand(num_rays, num_samples, generator, device, dtype)
    # 63 + 0.99999999 is 64 in float32, and 1 is not in [0, 1).
    below_one = 1 - torch.finfo(dtype).eps
    return ((firsts + jitter) / num_samples).clamp(max=below_one)


def generator_for(device: torch.device, generator: torch.Generator) -> torch.Generator:
    """A generator on `device` that follows the CPU's `generator`, without a wait for the device."""
    if device.type == generator.device.type:
        return generator
    seed = int(torch.randint(2**62, (), generator=generator))
    return torch.Generator(device).manual_seed(seed)


def to_spacing(t: Float[Tensor, "*batch"], reach: float) -> Float[Tensor, "*batch"]:
    """Distances as numbers in [0, 1): evenly up to `reach`, which is 1/2, then evenly in 1/t."""
    return torch.where(t < reach, t / (2 * reach), 1 - reach / (2 * t.clamp(min=reach)))


def from_spacing(spacing: Float[Tensor, "*batch"], reach: float) -> Float[Tensor, "*batch"]:
    """The inverse of `to_spacing`."""
    behind = reach / (2 * (1 - spacing).clamp(min=torch.finfo(spacing.dtype).eps))
    return torch.where(spacing < 0.5, 2 * reach * spacing, behind)
