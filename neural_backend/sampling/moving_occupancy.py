# SPDX-License-Identifier: GPL-3.0-or-later
"""Remembers roughly how dense space is at which time, so that samples go where something is."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..kernels.ray_marching import time_slices
from .occupancy_grid import OccupancyGrid

MovingDensityFn = Callable[
    [Float[Tensor, "points 3"], Float[Tensor, " points"]], Float[Tensor, " points"]
]


class MovingOccupancy:
    """An occupancy grid for each of some equal slices of the times in [0, 1].

    A cell is as dense as it is on average over its slice, and occupied if its highest density, at
    any time of the slice, is high enough. `guide` holds the slices' guides one after another, and
    `occupied` their bits.
    """

    def __init__(
        self,
        slices: int,
        resolution: int,
        cascades: int,
        device: torch.device,
        keep: float = 0.5,
        decay: float = 0.9,
    ) -> None:
        self.slices = slices
        self.grids = [
            OccupancyGrid(resolution, cascades, device, keep, decay) for _ in range(slices)
        ]
        self.resolution, self.cascades = resolution, cascades
        self.turn = 0
        self._share_guide()

    def _share_guide(self) -> None:
        self.guide = torch.cat([grid.guide for grid in self.grids])
        self.occupied = torch.cat([grid.occupied for grid in self.grids])
        parts = self.guide.chunk(self.slices), self.occupied.chunk(self.slices)
        for grid, guide, occupied in zip(self.grids, *parts, strict=True):
            grid.guide, grid.occupied = guide, occupied

    def update(
        self,
        density_fn: MovingDensityFn,
        generator: torch.Generator,
        visits: int,
        threshold: float,
    ) -> None:
        """Visits the next `visits` cells of the slice whose turn it is, each at a random time."""
        turn, self.turn = self.turn, (self.turn + 1) % self.slices

        def density_in_slice(points: Tensor) -> Tensor:
            shares = torch.rand(len(points), generator=generator, device=generator.device)
            shares = shares.to(points.device)
            return density_fn(points, (turn + shares) / self.slices)

        self.grids[turn].update(density_in_slice, generator, visits, threshold)

    def forbid(self, empty: Bool[Tensor, "slices cells"]) -> None:
        """Declares cells empty for good, slice by slice."""
        for grid, part in zip(self.grids, empty, strict=True):
            grid.forbid(part)

    def contains(
        self, points: Float[Tensor, "points 3"], times: Float[Tensor, " points"]
    ) -> Bool[Tensor, " points"]:
        """Which points lie in cells that are occupied in their time's slice."""
        found = torch.zeros(len(points), dtype=torch.bool, device=points.device)
        parts = time_slices(times, self.slices)
        for part, grid in enumerate(self.grids):
            found |= (parts == part) & grid.contains(points)
        return found

    def state(self) -> dict[str, Tensor]:
        """Everything that a resumed training needs."""
        states = [grid.state() for grid in self.grids]
        stacked = {name: torch.stack([state[name] for state in states]) for name in states[0]}
        return {**stacked, "turn": torch.tensor(self.turn)}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Takes back what `state` returned."""
        self.turn = int(state["turn"])
        for part, grid in enumerate(self.grids):
            grid.load_state({name: value[part] for name, value in state.items() if name != "turn"})
        self._share_guide()
