# SPDX-License-Identifier: GPL-3.0-or-later
"""All of space in a cube: the middle as it is, the rest squeezed around it."""

import torch
from jaxtyping import Float
from torch import Tensor


def contract(points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """Moves points outside the cube [-1, 1]³ into the shell between it and [-2, 2]³.

    Source: Barron et al. 2022, "Mip-NeRF 360", eq. 10.
    Differs: by the largest coordinate instead of the length, so that the result fills a cube.
    """
    reach = points.abs().amax(dim=-1, keepdim=True).clamp(min=1)
    return points * (2 - 1 / reach) / reach


def uncontract(points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """The inverse of `contract`; the border of [-2, 2]³ is infinitely far away."""
    reach = points.abs().amax(dim=-1, keepdim=True).clamp(min=1)
    return points / (reach * (2 - reach).clamp(min=torch.finfo(points.dtype).tiny))
