# SPDX-License-Identifier: GPL-3.0-or-later
"""The share of rays that is looked at, in Triton: a dozen launches for single numbers in one."""

import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor

from .packed_samples import PackedSamples


def adapt(
    share: Float[Tensor, ""],
    first: PackedSamples,
    second: PackedSamples,
    fill: float,
    fastest: float,
    least: float,
) -> None:
    """The twin of `ray_budget.adapt_by_torch`, of two buffers."""
    slots = len(first.rays), len(second.rays)
    _adapt[(1,)](share, first.wanted, second.wanted, *slots, fill, fastest, least)


@triton.jit
def _adapt(share, wanted, other_wanted, slots, other_slots, fill, fastest, least):
    free = slots / tl.maximum(tl.load(wanted), 1).to(tl.float32)
    other_free = other_slots / tl.maximum(tl.load(other_wanted), 1).to(tl.float32)
    change = fill * tl.minimum(free, other_free)
    change = tl.minimum(tl.maximum(change, 1 / fastest), fastest)
    tl.store(share, tl.minimum(tl.maximum(tl.load(share) * change, least), 1.0))
