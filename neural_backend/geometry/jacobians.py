# SPDX-License-Identifier: GPL-3.0-or-later
"""How maps of space stretch and turn it."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

MapFn = Callable[[Float[Tensor, "points 3"]], Float[Tensor, "points 3"]]


def jacobians(map_fn: MapFn, points: Float[Tensor, "points 3"]) -> Float[Tensor, "points 3 3"]:
    """The derivatives of `map_fn` at `points`: row i are those of its i-th coordinate.

    Gradients pass on to what `map_fn` is made of. Each point must be mapped by itself.
    """
    with torch.enable_grad():
        points = points.detach().requires_grad_()
        moved = map_fn(points)
        rows = [
            torch.autograd.grad(moved[:, axis].sum(), points, create_graph=True)[0]
            for axis in range(3)
        ]
        return torch.stack(rows, dim=1)
