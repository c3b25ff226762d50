# SPDX-License-Identifier: GPL-3.0-or-later
"""Samples where something was seen."""

import torch
from jaxtyping import Float
from torch import Tensor

from .stratified import strata


def sample_importance(
    t_edges: Float[Tensor, "rays edges"],
    weights: Float[Tensor, "rays bins"],
    num_samples: int,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "rays {num_samples}"]:
    """Samples, in rising order, where the distribution that is constant in each bin has its mass.

    `weights` are the masses of the bins: not negative, of any sum; a ray without mass is sampled
    evenly. The draws are stratified with a `generator` on the rays' device, else evenly spaced
    quantiles. No gradient passes.

    Source: Mildenhall et al. 2020, "NeRF", sec. 5.2 (inverse transform sampling).
    Differs: the paper draws independently; strata have less variance and need no sorting.
    """
    with torch.no_grad():
        lengths = t_edges.diff(dim=-1)
        blind = weights.sum(dim=-1, keepdim=True) <= torch.finfo(weights.dtype).tiny
        mass = torch.where(blind, lengths, weights)
        # A ray without length has no mass either way; any distribution will do.
        mass = torch.where((mass.sum(dim=-1, keepdim=True) > 0), mass, 1)
        below = torch.cat([torch.zeros_like(mass[:, :1]), mass.cumsum(dim=-1)], dim=-1)
        below = below / below[:, -1:]
        quantiles = strata(t_edges.shape[0], num_samples, t_edges, generator).contiguous()
        bins = torch.searchsorted(below, quantiles, right=True) - 1
        first, last = below.gather(-1, bins), below.gather(-1, bins + 1)
        # `right=True` finds bins with first <= quantile < last, which are never empty.
        share = (quantiles - first) / (last - first)
        start = t_edges.gather(-1, bins)
        return start + share * (t_edges.gather(-1, bins + 1) - start)
