# SPDX-License-Identifier: GPL-3.0-or-later
"""Marches rays through what is roughly known of the density and spreads their samples by it.

Plain torch, or Triton where it can run.

Lengths are in the unit frame, where the things of interest fill the cube [-1, 1]³. A guide holds
densities on cascades of grids around the origin, each with twice the half width of the one before;
a point belongs to the smallest that holds it. Rays look at the guide in steps that have one length
close to the camera and grow with the distance t further away, as pixels do.

`ray_marching_numba` has the twins for the CPU.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from .packed_samples import PackedSamples, pack
from .triton_use import uses_triton


class Guide(NamedTuple):
    """What is known of the density, cell by cell, and how rays are sampled by it.

    `density` is flat, zero in empty cells; `occupied` are its bits (see `occupied_bits`), which lie
    in caches where the densities do not. Both are tensors here, arrays for the CPU kernels. Rays
    look at them in steps of max(`shortest`, `cone` · t), all but exactly. However dense a step
    looks, its optical depth counts as at most `most_depth`: a ray may pass a cell's corner that is
    empty. `explore` is the chance that a step gets even if nothing is seen there; a ray ends where
    less than `opaque` of it is left. Of a field that moves there are `slices` guides one after
    another, each for an equal share of the times in [0, 1].
    """

    density: Any
    occupied: Any
    resolution: int
    shortest: float
    cone: float
    most_depth: float
    explore: float
    opaque: float
    samples: int
    slices: int = 1

    def as_arrays(self) -> "Guide":
        """The same for the CPU kernels."""
        return self._replace(density=self.density.numpy(), occupied=self.occupied.numpy())


def occupied_bits(density: Float[Tensor, " cells"]) -> UInt8[Tensor, " eighths"]:
    """Which cells are not empty: bit c % 8 of byte c // 8 is that of cell c."""
    shifts = torch.arange(8, dtype=torch.uint8, device=density.device)
    bits = (density > 0).to(torch.uint8).view(-1, 8) << shifts
    return bits.sum(dim=1, dtype=torch.uint8)


@dataclass(frozen=True)
class Steps:
    """The numbering of steps along a ray, from the camera on; fractions lie in between."""

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


def time_slices(times: Float[Tensor, "*batch"], slices: int) -> Int[Tensor, "*batch"]:
    """The slice of a guide that holds a time in [0, 1]."""
    return (times * slices).long().clamp(0, slices - 1)


def march(
    origins: Float[Tensor, "rays 3"],
    directions: Float[Tensor, "rays 3"],
    nears: Float[Tensor, " rays"],
    fars: Float[Tensor, " rays"],
    jitters: Float[Tensor, " rays"],
    guide: Guide,
    most_steps: int,
    slots: int,
    asked: Int[Tensor, ""] | None = None,
    times: Float[Tensor, " rays"] | None = None,
) -> PackedSamples:
    """Where rays are sampled, and how much of them each sample stands for; see `spread_samples`.

    Rays that meet nothing have no samples, the others `guide.samples` each. Only the first `asked`
    rays are looked at, all without it.
    """
    given = (origins, directions, nears, fars, jitters, guide, most_steps)
    if uses_triton(origins):
        from . import ray_marching_triton

        return ray_marching_triton.march(*given, slots, asked, times)
    t_mids, lengths = spread_samples(*given, times)
    looked_at = torch.ones_like(nears, dtype=torch.bool)
    if asked is not None:
        looked_at = torch.arange(len(nears), device=nears.device) < asked
    counts = guide.samples * (lengths.sum(dim=-1) > 0)
    return pack(t_mids, lengths, counts, looked_at, slots)


def spread_samples(
    origins: Float[Tensor, "rays 3"],
    directions: Float[Tensor, "rays 3"],
    nears: Float[Tensor, " rays"],
    fars: Float[Tensor, " rays"],
    jitters: Float[Tensor, " rays"],
    guide: Guide,
    most_steps: int,
    times: Float[Tensor, " rays"] | None = None,
) -> tuple[Float[Tensor, "rays samples"], Float[Tensor, "rays samples"]]:
    """Where rays are sampled, and how much of them each sample stands for.

    A ray's steps get as many of its samples as they seem to matter to what is seen, by the guide;
    empty steps get none and are no part of any sample's length. Lengths are zero on rays that meet
    nothing. `jitters`, in [0, 1), move everything by fractions of steps and samples.

    Source: Barron et al. 2022, "Mip-NeRF 360", sec. 3 (samples where a rough density has weight).
    Differs: the rough density is the occupancy grid's, not a network's.
    """
    steps = Steps(guide.shortest, guide.cone)
    numbers = torch.arange(most_steps + 1, device=origins.device, dtype=origins.dtype)
    edges = steps.distance((steps.at(nears) + jitters)[:, None] + numbers)
    begins, lengths = edges[:, :-1], edges.diff(dim=-1)
    middles = (edges[:, 1:] + begins) / 2
    points = origins[:, None] + middles[..., None] * directions[:, None]
    per_slice = guide.density.shape[0] // guide.slices
    cells = cell_indices(points, guide.resolution, per_slice // guide.resolution**3)
    places = cells.clamp(min=0)
    if times is not None:
        places = places + time_slices(times, guide.slices)[:, None] * per_slice
    occupied = (guide.occupied[places // 8] >> (places % 8)) & 1 > 0
    used = (middles < fars[:, None]) & (cells >= 0) & occupied
    density = guide.density[places].to(origins.dtype)
    optical_depth = (density * lengths).clamp(max=guide.most_depth) * used
    behind = torch.exp(-optical_depth.cumsum(dim=-1))
    before = torch.cat([torch.ones_like(behind[:, :1]), behind[:, :-1]], dim=-1)
    used = used & (before >= guide.opaque)
    shares = (before - behind + guide.explore) * used
    share_ends = shares.cumsum(dim=-1)
    covered_ends = (lengths * used).cumsum(dim=-1)

    places = torch.arange(guide.samples, device=origins.device, dtype=origins.dtype)
    wanted = ((places + jitters[:, None]) / (guide.samples - 1)).clamp(max=1) * share_ends[:, -1:]
    step = torch.searchsorted(share_ends, wanted).clamp(max=most_steps - 1)
    share, length = shares.gather(1, step), (lengths * used).gather(1, step)
    lacking = share_ends.gather(1, step) - wanted
    fraction = torch.where(share > 0, lacking / torch.where(share > 0, share, 1), 0)
    sample_ends = covered_ends.gather(1, step) - fraction.clamp(0, 1) * length
    sample_begins = torch.cat([torch.zeros_like(sample_ends[:, :1]), sample_ends[:, :-1]], dim=-1)
    sample_middles = (sample_begins + sample_ends) / 2
    step = torch.searchsorted(covered_ends, sample_middles).clamp(max=most_steps - 1)
    t_mids = (edges[:, 1:]).gather(1, step) - (covered_ends.gather(1, step) - sample_middles)
    return t_mids, (sample_ends - sample_begins).clamp(min=0)
