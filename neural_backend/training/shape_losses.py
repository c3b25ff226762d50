# SPDX-License-Identifier: GPL-3.0-or-later
"""How far learned distances and occupancies are from those of a shape."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

DistanceFn = Callable[[Float[Tensor, "points 3"]], Float[Tensor, " points"]]


def clamped_distance_error(
    predicted: Float[Tensor, "*batch"], true: Float[Tensor, "*batch"], limit: float
) -> Float[Tensor, "*batch"]:
    """|clamp(predicted) - clamp(true)|, both to ±`limit`: all effort goes to the surface.

    Source: Park et al. 2019, "DeepSDF", eq. 4.
    """
    return (predicted.clamp(-limit, limit) - true.clamp(-limit, limit)).abs()


def code_prior(codes: Float[Tensor, "shapes latent"]) -> Float[Tensor, ""]:
    """The mean squared length of codes: minus the logarithm of a Gaussian prior, up to constants.

    Source: Park et al. 2019, "DeepSDF", eq. 9.
    """
    return codes.square().sum(dim=-1).mean()


def relative_distance_error(
    predicted: Float[Tensor, "*batch"], true: Float[Tensor, "*batch"], floor: float
) -> Float[Tensor, "*batch"]:
    """|predicted - true| as a share of the distance, plus `floor`.

    Source: Müller et al. 2022, "Instant neural graphics primitives", sec. 5.2 (MAPE).
    Differs: the share is of the true distance, which needs no gradient stopped.
    """
    return (predicted - true).abs() / (true.abs() + floor)


def distance_slopes(
    distance_fn: DistanceFn,
    points: Float[Tensor, "points 3"],
    step: float | Tensor,
) -> tuple[Float[Tensor, "points 3"], Float[Tensor, " points"]]:
    """Gradients and Laplacians of a field by central differences over `step`.

    A step as wide as a grid's cell reaches over the cell's faces, where analytic gradients jump.

    Source: Li et al. 2023, "Neuralangelo", eqs. 4 and 6.
    """
    axes = step * torch.eye(3, device=points.device, dtype=points.dtype)
    around = torch.cat([points[:, None], points[:, None] + axes, points[:, None] - axes], dim=1)
    values = distance_fn(around.reshape(-1, 3)).reshape(-1, 7)
    middle, ahead, behind = values[:, 0], values[:, 1:4], values[:, 4:]
    gradients = (ahead - behind) / (2 * step)
    laplacians = (ahead + behind - 2 * middle[:, None]).sum(dim=-1) / step**2
    return gradients, laplacians


def eikonal_error(gradients: Float[Tensor, "points 3"]) -> Float[Tensor, ""]:
    """How far slopes are from 1, squared; 0 for every signed distance.

    Source: Gropp et al. 2020, "Implicit geometric regularization for learning shapes", eq. 2.
    """
    # The norm has no gradient where a slope vanishes.
    slopes = (gradients.square().sum(dim=-1) + 1e-12).sqrt()
    return (slopes - 1).square().mean()


def occupancy_error(
    logits: Float[Tensor, "*batch"], inside: Float[Tensor, "*batch"]
) -> Float[Tensor, ""]:
    """The mean cross entropy of occupancies, given as logits.

    Source: Mescheder et al. 2019, "Occupancy networks", eq. 3.
    """
    return F.binary_cross_entropy_with_logits(logits, inside)
