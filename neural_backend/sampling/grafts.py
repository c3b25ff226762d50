# SPDX-License-Identifier: GPL-3.0-or-later
"""Shapes that are one shape on one side of a plane and another one on the other."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

_FARTHEST = 0.5
"""Of a plane from the middle of the cube, whose half side is 1."""


class Grafts(NamedTuple):
    """For each of some pairs of shapes the plane where they meet, across one of the axes."""

    axes: Int[Tensor, " shapes"]
    places: Float[Tensor, " shapes"]

    def join(
        self,
        above: tuple[Float[Tensor, "shapes points 3"], Float[Tensor, "shapes points"]],
        below: tuple[Float[Tensor, "shapes points 3"], Float[Tensor, "shapes points"]],
        generator: torch.Generator,
    ) -> tuple[Float[Tensor, "shapes points 3"], Float[Tensor, "shapes points"]]:
        """As many samples as either has, of the first above the planes, of the second below them.

        Where too few lie on their sides they are repeated; where none does, all count.
        """
        points, values = (torch.cat(pair, dim=1) for pair in zip(above, below, strict=True))
        count = above[0].shape[1]
        along = points.gather(2, self.axes[:, None, None].expand(-1, points.shape[1], 1))[..., 0]
        is_above = along > self.places[:, None]
        is_above[:, count:].logical_not_()
        kept = is_above | ~is_above.any(dim=1, keepdim=True)
        drawn = torch.rand(kept.shape, generator=generator, device=generator.device)
        chance = drawn.to(points.device)
        # In any order, those that are kept first.
        order = (chance - kept.to(chance)).argsort(dim=1)
        turn = torch.arange(count, device=points.device)[None] % kept.sum(dim=1, keepdim=True)
        index = order.gather(1, turn)
        return points.gather(1, index[..., None].expand(-1, -1, 3)), values.gather(1, index)


def draw_grafts(count: int, generator: torch.Generator, device: torch.device) -> Grafts:
    """Random planes through the middle of the cube."""
    here = generator.device
    axes = torch.randint(3, (count,), generator=generator, device=here)
    places = _FARTHEST * (2 * torch.rand(count, generator=generator, device=here) - 1)
    return Grafts(axes.to(device), places.to(device))
