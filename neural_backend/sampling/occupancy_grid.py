# SPDX-License-Identifier: GPL-3.0-or-later
"""Remembers roughly how dense space is, so that samples go where something is."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..kernels.ray_marching import cell_indices, occupied_bits

DensityFn = Callable[[Float[Tensor, "points 3"]], Float[Tensor, " points"]]

# A prime, coprime to any number of cells: visits them all, each far from the one before.
_STRIDE = 7_368_787
_UNKNOWN = -1.0
_FOG = 1e-3
"""Density of cells never visited, in the guide: the same everywhere, so that samples are even."""

_NOTHING = 1e-6
"""Optical depth of a cell that never shows."""


class OccupancyGrid:
    """Cascades of cells around the origin, the first of half width 1, each twice the one before.

    `values` are the densities seen in the cells, -1 before the first visit, averaged over visits
    with weight `keep` for the past; `peaks` the highest ones, falling by `decay` at every visit, so
    that a cell with little in it is not lost. `guide` is what rays are sampled by: the values, zero
    in empty cells, whose bits are `occupied`. Nothing is read back from the device.

    Source: Müller et al. 2022, "Instant neural graphics primitives", appendix E.2.
    Differs: cells are visited in turns; the grid tells how dense space is, not only where.
    """

    def __init__(
        self,
        resolution: int,
        cascades: int,
        device: torch.device,
        keep: float = 0.5,
        decay: float = 0.9,
    ) -> None:
        if resolution % 4:
            raise ValueError(f"resolution must be a multiple of 4, got {resolution}")
        self.resolution, self.cascades = resolution, cascades
        self.keep, self.decay = keep, decay
        cells = cascades * resolution**3
        self.allowed = torch.ones(cells, dtype=torch.bool, device=device)
        self.values = torch.full((cells,), _UNKNOWN, device=device)
        self.peaks = torch.full((cells,), _UNKNOWN, device=device)
        self.guide = torch.full((cells,), _FOG, device=device)
        self.occupied = occupied_bits(self.guide)
        self.position = 0
        self._list_cells()

    def _list_cells(self) -> None:
        """Lists allowed cells, but no inner ones of larger cascades: there a smaller is asked."""
        cells = torch.arange(self.values.shape[0], device=self.values.device)
        inner = cells >= self.resolution**3
        for axis in range(3):
            index = cells // self.resolution**axis % self.resolution
            inner &= (index >= self.resolution // 4) & (index < self.resolution * 3 // 4)
        self._used = cells[~inner & self.allowed]

    def points(
        self, cells: Int[Tensor, " cells"], offsets: Float[Tensor, "cells 3"]
    ) -> Float[Tensor, "cells 3"]:
        """Positions in cells; `offsets` in [0, 1) are those in the cell."""
        size = self.resolution
        index = torch.stack([cells // size**2 % size, cells // size % size, cells % size], dim=-1)
        return ((index + offsets) * self.widths(cells)[:, None]) - torch.exp2(cells // size**3).to(
            offsets.dtype
        )[:, None]

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
        """Visits the next `visits` cells, each at a random point.

        A cell is occupied if its optical depth exceeds `threshold` or, as long as nearly all of
        space is thinner than that, half the mean.
        """
        num_used = self._used.shape[0]
        count = min(visits, num_used)
        if count == 0:
            return
        order = (self.position + torch.arange(count, device=self._used.device)) * _STRIDE
        self.position = (self.position + count) % num_used
        cells = self._used[order % num_used]
        offsets = torch.rand(count, 3, generator=generator, device=generator.device)
        offsets = offsets.to(cells.device)
        seen = density_fn(self.points(cells, offsets))
        peaks, old = self.peaks[cells], self.values[cells]
        peaks = torch.maximum(peaks * self.decay, seen)
        values = torch.where(old < 0, seen, torch.lerp(seen, old, self.keep))
        depths = peaks * self.widths(cells)
        self.peaks[cells], self.values[cells] = peaks, values
        bar = (depths.mean() / 2).clamp(_NOTHING, threshold)
        self.guide[cells] = values * (depths > bar)
        self.occupied.copy_(occupied_bits(self.guide))

    def forbid(self, empty: Bool[Tensor, " cells"]) -> None:
        """Declares cells empty for good."""
        self.allowed &= ~empty
        self.guide[empty] = 0
        self.occupied.copy_(occupied_bits(self.guide))
        self._list_cells()

    def contains(self, points: Float[Tensor, "*batch 3"]) -> Bool[Tensor, "*batch"]:
        """Which points lie in occupied cells."""
        cells = cell_indices(points, self.resolution, self.cascades)
        return (cells >= 0) & (self.guide[cells.clamp(min=0)] > 0)

    def state(self) -> dict[str, Tensor]:
        """Everything that a resumed training needs."""
        return {
            "values": self.values.clone(),
            "peaks": self.peaks.clone(),
            "guide": self.guide.clone(),
            "allowed": self.allowed.clone(),
            "position": torch.tensor(self.position),
        }

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Takes back what `state` returned."""
        device = self.values.device
        self.values = state["values"].to(device).clone()
        self.peaks = state["peaks"].to(device).clone()
        self.guide = state["guide"].to(device).clone()
        self.occupied = occupied_bits(self.guide)
        self.allowed = state["allowed"].to(device).clone()
        self.position = int(state["position"])
        self._list_cells()
