# SPDX-License-Identifier: GPL-3.0-or-later
"""Rays of the earliest views first, of all views later."""

import torch

from .ray_batches import RayBatch, RayBatches

_FEWEST_VIEWS = 3
"""That a curriculum begins with; from the authors' program."""


def views_so_far(fraction: float, share: float, num_views: int) -> int:
    """How many of the views, in the order of their times, are learned from at `fraction`.

    They grow in proportion until `share` of the budget, and are all of them from there on.

    Source: Pumarola et al. 2021, "D-NeRF", sec. 5 (curriculum), by the authors' program.
    """
    if fraction >= share:
        return num_views
    return min(num_views, max(_FEWEST_VIEWS, int(fraction / share * num_views)))


class TimeCurriculum:
    """Draws rays uniformly from the candidates of the first views in the order of their times.

    Views of one time keep their order. The candidates are those that `batches` has now.
    """

    def __init__(self, batches: RayBatches) -> None:
        self._batches = batches
        offsets = batches.pixel_offsets
        self._candidates = batches.candidates
        if self._candidates is not None:
            # A view's candidates are neighbours once they are in order.
            self._candidates = self._candidates.sort().values
            offsets = torch.searchsorted(self._candidates.cpu(), offsets)
        times = torch.tensor([view.time or 0.0 for view in batches.views], dtype=torch.float64)
        order = times.argsort(stable=True)
        counts = offsets.diff()[order]
        ends = counts.cumsum(dim=0)
        self._ends = ends.tolist()
        self._device_ends = ends.to(batches.device)
        self._shifts = (offsets[:-1][order] - (ends - counts)).to(batches.device)

    def draw(self, count: int, num_views: int, generator: torch.Generator) -> RayBatch:
        """Rays of the first `num_views` views; more where these have no candidates."""
        high = next((end for end in self._ends[num_views - 1 :] if end), 0)
        drawn = torch.randint(high, (count,), generator=generator).to(
            self._batches.device, non_blocking=True
        )
        slots = torch.searchsorted(self._device_ends, drawn, right=True)
        pixels = drawn + self._shifts.index_select(0, slots)
        if self._candidates is not None:
            pixels = self._candidates.index_select(0, pixels)
        return self._batches.rays(pixels)
