# SPDX-License-Identifier: GPL-3.0-or-later
"""Remembers where space is empty, so that no samples are wasted there."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..kernels.ray_marching import cell_indices

DensityFn = Callable[[Float[Tensor, "points 3"]], Float[Tensor, " points"]]

# Coprime to the number of cells: visits them all once, each far from the one before.
_STRIDE = 7_368_787


class OccupancyGrid:
    """Cascades of cells around the origin, the first of half width 1, each twice the one before.

    `values` are the optical depths of crossing the cells, as last seen: a visit lowers a value by
    `decay` or raises it to what is there now. Cells never visited count as occupied. Nothing is
    read back from the device.

    Source: Müller et al. 2022, "Instant neural graphics primitives", appendix E.2.
    Differs: cells are visited in turns, and only a visit makes a value decay.
    """

    def __init__(
        self, resolution: int, cascades: int, device: torch.device, decay: float = 0.7
    ) -> None:
        self.resolution, self.cascades, self.decay = resolution, cascades, decay
        cells = cascades * resolution**3
        self.values = torch.full((cells,), torch.inf, device=device)
        self.occupied = torch.ones(cells, dtype=torch.uint8, device=device)
        self._used = self._cells_in_use()
        self.position = 0

    def _cells_in_use(self) -> Int[Tensor, " cells"]:
        """All but the inner cells of larger cascades, where the smaller cascade is asked."""
        cells = torch.arange(self.values.shape[0], device=self.values.device)
        inner = cells >= self.resolution**3
        for axis in range(3):
            index = cells // self.resolution**axis % self.resolution
            inner &= (index >= self.resolution // 4) & (index < self.resolution * 3 // 4)
        return cells[~inner]

    def points(
        self, cells: Int[Tensor, " cells"], offsets: Float[Tensor, "cells 3"]
    ) -> Float[Tensor, "cells 3"]:
        """Positions in cells; `offsets` in [0, 1) are those in the cell."""
        size = self.resolution
        index = torch.stack([cells // size**2 % size, cells // size % size, cells % size], dim=-1)
        scale = torch.exp2((cells // size**3).to(offsets.dtype))
        return ((index + offsets) * (2 / size) - 1) * scale[:, None]

    def widths(self, cells: Int[Tensor, " cells"]) -> Float[Tensor, " cells"]:
        """The cells' sides."""
        return torch.exp2((cells // self.resolution**3).float()) * (2 / self.resolution)

    def update(
        self,
        density_fn: DensityFn,
        generator: torch.Generator,
        visits: int,
        threshold: float,
    ) -> None:
        """Visits the next `visits` cells, each at a random point, and marks occupied cells anew.

        A cell is occupied if its optical depth exceeds `threshold` or, as long as nearly all of
        space is thinner than that, the mean.
        """
        count = min(visits, self._used.shape[0])
        order = (self.position + torch.arange(count, device=self._used.device)) * _STRIDE
        self.position = (self.position + count) % self._used.shape[0]
        cells = self._used[order % self._used.shape[0]]
        offsets = torch.rand(count, 3, generator=generator).to(cells.device)
        seen = density_fn(self.points(cells, offsets)) * self.widths(cells)
        old = self.values[cells]
        self.values[cells] = torch.where(old.isinf(), seen, torch.maximum(old * self.decay, seen))
        self.mark(threshold)

    def mark(self, threshold: float) -> None:
        """Marks the cells whose optical depth exceeds `threshold`, or the mean if that is less."""
        values = self.values[self._used]
        known = values.isfinite()
        mean = torch.where(known, values, 0).sum() / known.sum().clamp(min=1)
        bar = mean.clamp(max=threshold)
        self.occupied[self._used] = (values > bar).to(torch.uint8)

    def clear(self, empty: Bool[Tensor, " cells"]) -> None:
        """Declares cells empty until a visit finds something there."""
        self.values[empty] = 0
        self.occupied[empty] = 0

    def contains(self, points: Float[Tensor, "*batch 3"]) -> Bool[Tensor, "*batch"]:
        """Which points lie in occupied cells."""
        cells = cell_indices(points, self.resolution, self.cascades)
        return (cells >= 0) & (self.occupied[cells.clamp(min=0)] != 0)
