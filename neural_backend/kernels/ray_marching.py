# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the samples of rays that lie in occupied cells, in plain torch.

Lengths are in the unit frame, where the things of interest fill the cube [-1, 1]³. Steps have one
length close to the camera and grow with the distance t further away, as pixels do. Occupancy is
known on cascades of grids around the origin, each with twice the half width of the one before; a
point belongs to the smallest that holds it.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Steps:
    """A step at distance t is max(`shortest`, `cone` · t) long, all but exactly."""

    shortest: float
    cone: float

    def at(self, t: Tensor) -> Tensor:
        """How many steps from the camera to distance t."""
        near = t / self.shortest
        if self.cone <= 0:
            return near
        grown = (near * self.cone).clamp(min=1).log() / math.log1p(self.cone) + 1 / self.cone
        return torch.where(near * self.cone < 1, near, grown)

    def distance(self, steps: Tensor) -> Tensor:
        """The inverse of `at`."""
        near = steps * self.shortest
        if self.cone <= 0:
            return near
        grown = ((steps - 1 / self.cone).clamp(min=0) * math.log1p(self.cone)).exp()
        return torch.where(steps * self.cone < 1, near, grown * (self.shortest / self.cone))


@dataclass(frozen=True)
class PackedSamples:
    """Samples of all rays in one buffer; what follows the last ray's is unused room."""

    t_mids: Float[Tensor, " room"]
    lengths: Float[Tensor, " room"]
    ray_offsets: Int[Tensor, " rays+1"]


def cell_indices(
    points: Float[Tensor, "*batch 3"], resolution: int, cascades: int
) -> Int[Tensor, "*batch"]:
    """Places in the flat grid of cascades, -1 outside the largest."""
    reach = points.abs().amax(dim=-1)
    levels = torch.zeros_like(reach, dtype=torch.long)
    for level in range(cascades):
        levels += reach > 2.0**level
    scale = torch.exp2(-levels.to(points.dtype))[..., None]
    cells = ((points * scale + 1) * (0.5 * resolution)).long().clamp(0, resolution - 1)
    i, j, k = cells.unbind(dim=-1)
    flat = ((levels * resolution + i) * resolution + j) * resolution + k
    return torch.where(levels < cascades, flat, -1)


def march(
    origins: Float[Tensor, "rays 3"],
    directions: Float[Tensor, "rays 3"],
    nears: Float[Tensor, " rays"],
    fars: Float[Tensor, " rays"],
    jitters: Float[Tensor, " rays"],
    grid: Tensor,
    resolution: int,
    steps: Steps,
    most: int,
    room: int,
) -> PackedSamples:
    """The samples between `nears` and `fars` whose middles lie in cells that `grid` marks.

    The first begins `jitters`, in [0, 1), steps behind `nears`; at most `most` steps are tried.
    Nothing is read back from the device: samples beyond `room` are lost.
    """
    firsts = steps.at(nears) + jitters
    begins = firsts[:, None] + torch.arange(most, device=origins.device)
    t_mids = steps.distance(begins + 0.5)
    lengths = steps.distance(begins + 1) - steps.distance(begins)
    points = origins[:, None] + t_mids[..., None] * directions[:, None]
    cells = cell_indices(points, resolution, grid.shape[0] // resolution**3)
    found = (t_mids < fars[:, None]) & (cells >= 0) & (grid[cells.clamp(min=0)] != 0)
    ends = found.sum(dim=-1).cumsum(dim=0).clamp(max=room)
    places = found.flatten().cumsum(dim=0) - 1
    places = torch.where(found.flatten() & (places < room), places, room)
    packed_mids = t_mids.new_ones(room + 1).scatter(0, places, t_mids.flatten())
    packed_lengths = t_mids.new_zeros(room + 1).scatter(0, places, lengths.flatten())
    return PackedSamples(
        packed_mids[:room], packed_lengths[:room], torch.cat([ends.new_zeros(1), ends])
    )
