# SPDX-License-Identifier: GPL-3.0-or-later
"""The samples of many rays in buffers of fixed length, without gaps between them.

Rays have as many samples as they need, and the buffers' length is known beforehand: what a step
does never depends on how many there are, and nothing is read back from the device.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .triton_use import uses_triton


class PackedSamples(NamedTuple):
    """Ray r has `counts[r]` samples, `most` at the most, in order from slot `firsts[r]` on.

    Rays that were left out, because no room was left for all of their samples or because nobody
    asked for them, have -1 there. `rays` says whose a slot is. Slots of nobody are of length 0 and
    are counted as of ray 0. `wanted` is the number of slots that would have held everything.
    """

    rays: Int[Tensor, " slots"]
    t_mids: Float[Tensor, " slots"]
    lengths: Float[Tensor, " slots"]
    firsts: Int[Tensor, " rays"]
    counts: Int[Tensor, " rays"]
    wanted: Int[Tensor, ""]
    most: int

    @property
    def looked_at(self) -> Bool[Tensor, " rays"]:
        """Which rays were not left out."""
        return self.firsts >= 0

    def slots(self) -> tuple[Int[Tensor, "rays most"], Bool[Tensor, "rays most"]]:
        """Where the samples of each ray lie, and how many of these it has."""
        column = torch.arange(self.most, device=self.firsts.device)
        inside = column < self.counts[:, None]
        return (self.firsts[:, None] + column) * inside, inside


def keep_visible(
    density: Float[Tensor, " slots"], samples: PackedSamples, slots: int, opaque_depth: float
) -> PackedSamples:
    """The samples that have an optical depth of no more than `opaque_depth` before them.

    Whatever lies behind it would cost as much as what is seen.

    Source: Müller et al. 2022, "Instant neural graphics primitives", appendix E.1.
    """
    if uses_triton(density):
        from . import packed_samples_triton

        return packed_samples_triton.keep_visible(density, samples, slots, opaque_depth)
    return keep_visible_by_torch(density, samples, slots, opaque_depth)


def keep_visible_by_torch(
    density: Float[Tensor, " slots"], samples: PackedSamples, slots: int, opaque_depth: float
) -> PackedSamples:
    """The twin of `packed_samples_triton.keep_visible`, for any device and precision."""
    if not math.isfinite(opaque_depth):
        opaque_depth = torch.finfo(density.dtype).max
    places, inside = samples.slots()
    t_mids, lengths = samples.t_mids[places], samples.lengths[places]
    optical_depth = density[places] * lengths * inside
    before = optical_depth.cumsum(dim=1) - optical_depth
    counts = (inside & (before <= opaque_depth)).sum(dim=1)
    return pack(t_mids, lengths, counts, samples.looked_at, slots)


def pack(
    t_mids: Float[Tensor, "rays most"],
    lengths: Float[Tensor, "rays most"],
    counts: Int[Tensor, " rays"],
    asked: Bool[Tensor, " rays"],
    slots: int,
) -> PackedSamples:
    """Packs the first `counts` samples of those rays that are `asked`, in the rays' order."""
    rays, most = t_mids.shape
    counts = (counts * asked).to(torch.int32)
    ends = counts.cumsum(dim=0, dtype=torch.int32)
    fits = asked & (ends <= slots)
    wanted = ends[-1] if rays else ends.sum(dtype=torch.int32)
    column = torch.arange(most, device=t_mids.device)
    inside = fits[:, None] & (column < counts[:, None])
    firsts = ends - counts
    # What belongs nowhere goes to one slot more, which is cut off.
    places = torch.where(inside, firsts[:, None] + column, slots).flatten()
    owners = torch.arange(rays, device=t_mids.device, dtype=torch.int32)

    def laid(values: Tensor) -> Tensor:
        out = values.new_zeros(slots + 1)
        return out.scatter_(0, places, values.expand(rays, most).flatten())[:slots]

    return PackedSamples(
        laid(owners[:, None]),
        laid(t_mids),
        laid(lengths),
        torch.where(fits, firsts, -1),
        counts * fits,
        wanted,
        most,
    )
