# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps a deformation from tearing space or from carrying the background away."""

import torch
from jaxtyping import Float
from torch import Tensor

_SMALLEST = 1e-6
"""Singular values below it have a logarithm of no meaning; the authors' program has the same."""


def elastic_energy(jacobians: Float[Tensor, "points 3 3"]) -> Float[Tensor, " points"]:
    """How much a map stretches space: the squared logarithms of its singular values, summed.

    0 for a rigid motion, 3 · log(s)² for a scaling by s.

    Source: Park et al. 2021, "Nerfies", sec. 3.3 (elastic energy by singular values).
    """
    stretches = torch.linalg.svdvals(jacobians)
    return stretches.clamp(min=_SMALLEST).log().square().sum(dim=-1)


def geman_mcclure(
    squared: Float[Tensor, " points"], scale: float = 0.03
) -> Float[Tensor, " points"]:
    """A robust loss of residuals, from their squares: quadratic below `scale`, at most 2.

    Source: Geman and McClure 1985, as in Barron 2019, "A general and adaptive robust loss
        function", with α = -2; scale 0.03 from Park et al. 2021, "Nerfies", sec. 3.3.
    """
    relative = squared / scale**2
    return 2 * relative / (relative + 4)


def squared_displacement(
    moved: Float[Tensor, "points 3"], points: Float[Tensor, "points 3"]
) -> Float[Tensor, " points"]:
    """How far points that should stand still are moved, squared.

    Source: Park et al. 2021, "Nerfies", sec. 3.4 (background regularisation).
    """
    return (moved - points).square().sum(dim=-1)
