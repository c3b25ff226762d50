# SPDX-License-Identifier: GPL-3.0-or-later
"""Smooth random changes of proportion: other shapes of the same kind, made from known ones."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

_FEWEST_WAVES, _MOST_WAVES = 1.5, 4.0
"""Radians of a bend's wave for each unit of length: less than one and a half waves in the cube."""


class Bends(NamedTuple):
    """For each of some shapes a map of each axis to itself, which rises everywhere.

    x ↦ (x + a / k · (sin(k x + φ) − sin φ)) · s with `swings` a, `waves` k, `phases` φ and
    `scales` s: legs grow longer, backs lower, seats thicker, and what was inside stays inside. The
    origin stays where it is.
    """

    swings: Float[Tensor, "shapes 1 3"]
    waves: Float[Tensor, "shapes 1 3"]
    phases: Float[Tensor, "shapes 1 3"]
    scales: Float[Tensor, "shapes 1 3"]

    def move(self, points: Float[Tensor, "shapes points 3"]) -> Float[Tensor, "shapes points 3"]:
        """Where points of the shapes come to lie."""
        swing = (self.waves * points + self.phases).sin() - self.phases.sin()
        return (points + self.swings / self.waves * swing) * self.scales

    def magnification(
        self, points: Float[Tensor, "shapes points 3"]
    ) -> Float[Tensor, "shapes points"]:
        """How much longer small distances become about points, the mean over the axes."""
        rise = 1 + self.swings * (self.waves * points + self.phases).cos()
        return (rise * self.scales).mean(dim=-1)


def draw_bends(
    count: int, swing: float, stretch: float, generator: torch.Generator, device: torch.device
) -> Bends:
    """Random bends: slopes change by up to the share `swing`, lengths by up to `stretch`.

    Raises:
        ValueError: where a share is not in [0, 1): space would be folded.
    """
    if not (0 <= swing < 1 and 0 <= stretch < 1):
        raise ValueError(f"shares must be in [0, 1), got {swing} and {stretch}")
    random = torch.rand(4, count, 1, 3, generator=generator, device=generator.device).to(device)
    return Bends(
        swings=swing * random[0],
        waves=_FEWEST_WAVES + (_MOST_WAVES - _FEWEST_WAVES) * random[1],
        phases=2 * torch.pi * random[2],
        scales=1 + stretch * (2 * random[3] - 1),
    )
