# SPDX-License-Identifier: GPL-3.0-or-later
"""The deformation of D-NeRF: how far each point is at a time from where it is at time 0."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..encodings.frequency import PositionalEncoding
from ..networks.mlp import MLP, linear
from .nerf import contract


class DNeRFWarp(nn.Module):
    """The deformation network Ψt: points and times to canonical points, those of time 0.

    At time 0 nothing moves, exactly. Points are scaled so that the longest side of `bounds` spans
    [-1, 1]; with `unbounded` the network sees them contracted.

    Source: Pumarola et al. 2021, "D-NeRF", eq. 2, sec. 4.1 (frequencies: 10 of positions, 4 of
        time) and sec. 5 (eight layers, no activation of the offset).
    Differs: the last layer begins at zero, so that nothing moves before training; the skip
        connection of the authors' program, to the sixth layer, takes the time along.

    Raises:
        ValueError: if `depth` leaves no layer for the skip connection.
    """

    center: Tensor
    half_side: Tensor

    def __init__(
        self,
        bounds: Float[Tensor, "2 3"],
        unbounded: bool = False,
        width: int = 256,
        depth: int = 8,
        position_frequencies: int = 10,
        time_frequencies: int = 4,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if depth < 3:
            raise ValueError(f"depth must be at least 3, got {depth}")
        self.unbounded = unbounded
        self.register_buffer("center", bounds.mean(dim=0))
        self.register_buffer("half_side", (bounds[1] - bounds[0]).amax() / 2)
        self.encode_points = PositionalEncoding(3, position_frequencies)
        self.encode_times = PositionalEncoding(1, time_frequencies)
        in_dim = self.encode_points.out_dim + self.encode_times.out_dim
        self.trunk = MLP(in_dim, width, depth, depth // 2 + 1, generator)
        self.to_offset = linear(width, 3, generator)
        nn.init.zeros_(self.to_offset.weight)

    def forward(
        self, points: Float[Tensor, "*batch 3"], condition: Float[Tensor, "*#batch 1"]
    ) -> Float[Tensor, "*batch 3"]:
        """Where at time 0 is what lies at `points` at the times `condition`, in [0, 1]."""
        unit_points = (points - self.center) / self.half_side
        if self.unbounded:
            unit_points = contract(unit_points) / 2
        encoded_times = self.encode_times(condition)
        encoded = torch.cat(
            [
                self.encode_points(unit_points),
                encoded_times.expand(*points.shape[:-1], encoded_times.shape[-1]),
            ],
            dim=-1,
        )
        hidden = self.trunk(encoded)
        # Fine waves of the canonical field would see the steps of an offset in bfloat16.
        with torch.autocast(points.device.type, enabled=False):
            offset = self.to_offset(hidden.to(self.to_offset.weight.dtype))
        return points + self.half_side * torch.where(condition == 0, 0, offset)
