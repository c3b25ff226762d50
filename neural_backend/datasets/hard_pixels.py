# SPDX-License-Identifier: GPL-3.0-or-later
"""Pixels drawn more often where a field is still wrong: small things that move, fine detail."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .ray_batches import RayBatches

_BLOCK_PX = 8
"""Errors are kept for blocks of this width and height: few enough to be met again soon."""

_KEEP = 0.8
"""What is left of a known error after each new pixel of its block."""

_FLOOR = 0.3
"""Of the mean error, which every pixel counts as well: nothing is ever left out."""


class HardPixels:
    """Draws each pixel among `choices` random ones, in proportion to the error around it.

    The error is the root of what was last seen of the mean squared error in its block, which is in
    proportion to the length of the gradient by the pixel's color.

    Source: Zhao and Zhang 2015, "Stochastic optimization with importance sampling for regularized
        loss minimization", sec. 3 (by the gradient's length); Talbot et al. 2005, "Importance
        resampling for global illumination" (a few candidates stand for all).
    Differs: the loss is not divided by the chance of a pixel, as hard pixels are meant to count
        more; candidates are resampled with equal spacing.
    """

    def __init__(self, batches: RayBatches, choices: int) -> None:
        self._batches, self._choices = batches, choices
        lenses = [view.intrinsics for view in batches.views]
        columns = torch.tensor([-(-lens.width // _BLOCK_PX) for lens in lenses])
        rows = torch.tensor([-(-lens.height // _BLOCK_PX) for lens in lenses])
        ends = (rows * columns).cumsum(dim=0)
        device = batches.device
        self._columns, self._firsts = columns.to(device), (ends - rows * columns).to(device)
        self._widths = torch.tensor([lens.width for lens in lenses], device=device)
        self._starts = batches.pixel_offsets[:-1].to(device)
        self.squared_errors = torch.zeros(int(ends[-1]), device=device)
        """Of each block; 0 where nothing is known."""

    def draw(self, count: int, generator: torch.Generator) -> Int[Tensor, " count"]:
        """Random pixels of the batches' candidates."""
        some = self._batches.draw_pixels(count * self._choices, generator)
        shift = torch.rand(1, generator=generator, dtype=torch.float64, device=generator.device).to(
            some.device
        )
        errors = self.squared_errors.index_select(0, self.blocks_of(some)).sqrt_().double()
        # Where nothing is wrong, all are alike.
        sums = (errors + _FLOOR * errors.mean() + 1e-12).cumsum(dim=0)
        places = torch.arange(count, dtype=torch.float64, device=some.device).add_(shift)
        found = torch.searchsorted(sums, places.mul_(sums[-1] / count))
        return some.index_select(0, found.clamp_(max=len(some) - 1))

    def learn(
        self,
        pixels: Int[Tensor, " rays"],
        squared_errors: Float[Tensor, " rays"],
        looked_at: Float[Tensor, " rays"] | None = None,
    ) -> None:
        """Takes note of how wrong these pixels were.

        Of those whose `looked_at` is 0, not 1, nothing is known; their errors must be 0.
        """
        blocks, known = self.blocks_of(pixels), self.squared_errors
        sums = torch.zeros_like(known).index_add_(0, blocks, squared_errors)
        each = torch.ones_like(squared_errors) if looked_at is None else looked_at
        counts = torch.zeros_like(known).index_add_(0, blocks, each)
        keep = _KEEP**counts
        known.mul_(keep).add_((1 - keep) * sums / counts.clamp_(min=1))

    def blocks_of(self, pixels: Int[Tensor, " rays"]) -> Int[Tensor, " rays"]:
        """The block that each pixel lies in, numbered over all views."""
        views = self._batches.view_of(pixels)
        inside = pixels - self._starts.index_select(0, views)
        widths = self._widths.index_select(0, views)
        rows = inside.div(widths, rounding_mode="floor")
        columns = (inside - rows * widths) // _BLOCK_PX
        first = self._firsts.index_select(0, views)
        return first + rows // _BLOCK_PX * self._columns.index_select(0, views) + columns
