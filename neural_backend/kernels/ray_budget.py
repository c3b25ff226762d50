# SPDX-License-Identifier: GPL-3.0-or-later
"""How many of the rays that were drawn are looked at, so that their samples fill the buffers."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .packed_samples import PackedSamples
from .triton_use import uses_triton

_FILL = 0.95
"""Of the buffers: how many samples rays have varies a little, and what does not fit is lost."""

_FASTEST = 2.0
"""How many times as many rays there may be from one step to the next, or as few."""

_LEAST = 1 / 256


class RayBudget:
    """A share of the rays that follows what the steps before wanted; it stays on the device.

    Rays have up to so many samples, and mostly fewer: of those that are drawn, `room` is the
    share whose samples the buffers hold if each has all that it may have. More are looked at once
    it is seen that there is room for them.

    Source: Müller et al. 2022, "Instant neural graphics primitives", appendix E.1 (batches of as
        many samples each, of a varying number of rays).
    Differs: the number is never read back, and so need not be waited for.
    """

    def __init__(self, room: float, device: torch.device) -> None:
        self.room = room
        self._share = torch.full((), room, dtype=torch.float32, device=device)

    def slots(self, rays: int, most: int) -> int:
        """The length of buffers for the samples of this many rays, of `most` samples each."""
        return max(1, round(self.room * rays * most))

    def asked(self, rays: int) -> Int[Tensor, ""]:
        """How many of these rays to look at."""
        return (self._share * rays).ceil().to(torch.int32)

    def adapt(self, first: PackedSamples, second: PackedSamples) -> None:
        """Heeds how full the two buffers of a step were."""
        if uses_triton(self._share):
            from . import ray_budget_triton

            ray_budget_triton.adapt(self._share, first, second, _FILL, _FASTEST, _LEAST)
        else:
            adapt_by_torch(self._share, first, second)


def adapt_by_torch(share: Float[Tensor, ""], first: PackedSamples, second: PackedSamples) -> None:
    """The twin of `ray_budget_triton.adapt`, for any device."""
    free = [len(samples.rays) / samples.wanted.clamp(min=1) for samples in (first, second)]
    change = (_FILL * torch.minimum(*free)).clamp(1 / _FASTEST, _FASTEST)
    share.copy_((share * change).clamp(_LEAST, 1))
