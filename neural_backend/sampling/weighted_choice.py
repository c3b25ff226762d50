# SPDX-License-Identifier: GPL-3.0-or-later
"""One of a ray's samples, the likelier the more it is seen."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


@torch.no_grad()
def choose_by_weight(
    weights: Float[Tensor, "rays samples"], generator: torch.Generator
) -> Int[Tensor, " rays"]:
    """The index of one sample of each ray, drawn with probabilities in proportion to `weights`.

    Weights are not negative; of a ray without any its last sample is taken. `generator` is on
    their device.
    """
    below = weights.cumsum(dim=-1)
    random = torch.rand(len(weights), 1, generator=generator, device=weights.device)
    # The first sample whose sum exceeds the drawn one: samples without weight are never it.
    chosen = torch.searchsorted(below, random.to(below.dtype) * below[:, -1:], right=True)
    return chosen[:, 0].clamp(max=weights.shape[1] - 1)
