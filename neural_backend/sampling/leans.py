# SPDX-License-Identifier: GPL-3.0-or-later
"""Smooth random slants: backs that lean, legs that spread, seats that slope."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

_FEWEST_WAVES, _MOST_WAVES = 1.5, 4.0
"""Radians of a slant's wave for each unit of length: less than one and a half waves in the cube."""


class Leans(NamedTuple):
    """For each of some shapes a shear along each axis in turn, by waves of the other two.

    xᵢ ↦ xᵢ + Σⱼ aᵢⱼ / kᵢⱼ · (sin(kᵢⱼ xⱼ + φᵢⱼ) − sin φᵢⱼ), j ≠ i, with `slopes` a, `waves` k and
    `phases` φ, first for i = 0, then on what came of it for i = 1 and 2. Every shear can be undone
    and keeps volumes, so what was inside stays inside. The origin stays where it is.
    """

    slopes: Float[Tensor, "shapes 3 3"]
    waves: Float[Tensor, "shapes 3 3"]
    phases: Float[Tensor, "shapes 3 3"]

    def move(self, points: Float[Tensor, "shapes points 3"]) -> Float[Tensor, "shapes points 3"]:
        """Where points of the shapes come to lie."""
        axes = list(points.unbind(dim=-1))
        for axis in range(3):
            slope, wave, phase = (part[:, None, axis] for part in self)
            others = torch.stack(axes, dim=-1)
            shift = slope / wave * ((wave * others + phase).sin() - phase.sin())
            axes[axis] = axes[axis] + shift.sum(dim=-1) - shift[..., axis]
        return torch.stack(axes, dim=-1)


def draw_leans(count: int, lean: float, generator: torch.Generator, device: torch.device) -> Leans:
    """Random slants whose slopes against each of the other axes are at most `lean`."""
    random = torch.rand(3, count, 3, 3, generator=generator, device=generator.device).to(device)
    return Leans(
        slopes=lean * (2 * random[0] - 1),
        waves=_FEWEST_WAVES + (_MOST_WAVES - _FEWEST_WAVES) * random[1],
        phases=2 * torch.pi * random[2],
    )
