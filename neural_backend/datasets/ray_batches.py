# SPDX-License-Identifier: GPL-3.0-or-later
"""Every pixel of a capture as a ray with its color, ready to be drawn at random."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..geometry.rays import Rays


@dataclass(frozen=True)
class RayBatch:
    """Rays and the straight-alpha colors that were seen along them, sRGB in [0, 1]; `rays.views` is always set."""

    rays: Rays
    rgba: Float[Tensor, "rays 4"]


class RayBatches:
    """The pixels of a capture's views, numbered from 0 over all views, row by row."""

    num_pixels: int
    candidates: Int[Tensor, " candidates"] | None
    """The pixels that `draw` chooses from; None for all. A method's `prepare` may set it; ignored ones are left out."""

    def rays(self, pixels: Int[Tensor, " rays"]) -> RayBatch:
        """The rays through these pixels."""

    def draw(self, count: int, generator: torch.Generator) -> RayBatch:
        """Rays through random pixels, uniformly over `candidates`."""
