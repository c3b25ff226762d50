# SPDX-License-Identifier: GPL-3.0-or-later
"""The deformation field of Nerfies: every point has a rigid motion of its own."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..encodings.frequency import PositionalEncoding, annealing_window
from ..geometry.rigid_motion import move_by_twist
from ..networks.mlp import MLP, linear
from .nerf import contract


class SE3Warp(nn.Module):
    """Points and latent codes to canonical points, by a twist that an MLP gives for each.

    Points are scaled so that the longest side of `bounds` spans [-1, 1]; with `unbounded` the
    network sees them contracted. `alpha` counts the waves of the positional encoding that have
    eased in; it is part of the state, so that a field that is loaded bends rays as it did.

    Source: Park et al. 2021, "Nerfies", sec. 3.2 (SE(3) field), 3.5 (coarse to fine) and the
        implementation details (depth 6, width 128, skip connection at the fourth layer, 6
        frequencies, codes of 8).
    Differs: the last layers begin at zero instead of nearly so: nothing moves before training.

    Raises:
        ValueError: if `depth` leaves no layer for the skip connection.
    """

    center: Tensor
    half_side: Tensor
    alpha: Tensor

    def __init__(
        self,
        bounds: Float[Tensor, "2 3"],
        unbounded: bool = False,
        code_dim: int = 8,
        width: int = 128,
        depth: int = 6,
        num_frequencies: int = 6,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if depth < 3:
            raise ValueError(f"depth must be at least 3, got {depth}")
        self.unbounded, self.num_frequencies = unbounded, num_frequencies
        self.register_buffer("center", bounds.mean(dim=0))
        self.register_buffer("half_side", (bounds[1] - bounds[0]).amax() / 2)
        self.register_buffer("alpha", torch.zeros(()))
        self.encode_points = PositionalEncoding(3, num_frequencies)
        in_dim = self.encode_points.out_dim + code_dim
        self.trunk = MLP(in_dim, width, depth, min(4, depth - 1), generator)
        self.to_rotation = linear(width, 3, generator)
        self.to_velocity = linear(width, 3, generator)
        nn.init.zeros_(self.to_rotation.weight)
        nn.init.zeros_(self.to_velocity.weight)

    def forward(
        self, points: Float[Tensor, "*batch 3"], condition: Float[Tensor, "*#batch code"]
    ) -> Float[Tensor, "*batch 3"]:
        """Where in the canonical scene is what lies at `points` under the codes `condition`."""
        unit_points = (points - self.center) / self.half_side
        seen = contract(unit_points) / 2 if self.unbounded else unit_points
        window = annealing_window(self.alpha, self.num_frequencies)
        codes = condition.expand(*points.shape[:-1], condition.shape[-1])
        hidden = self.trunk(torch.cat([self.encode_points(seen, window), codes], dim=-1))
        # Fine waves of the canonical field would see the steps of a motion in bfloat16.
        with torch.autocast(points.device.type, enabled=False):
            hidden = hidden.to(self.to_rotation.weight.dtype)
            rotation, velocity = self.to_rotation(hidden), self.to_velocity(hidden)
            moved = move_by_twist(unit_points, rotation, velocity)
        # The difference keeps points in place exactly where nothing moves.
        return points + self.half_side * (moved - unit_points)
