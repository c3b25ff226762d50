# SPDX-License-Identifier: GPL-3.0-or-later
"""Points around a box."""

import torch
from jaxtyping import Float
from torch import Tensor


def sample_box_shell(
    bounds: Float[Tensor, "2 3"],
    thickness: float,
    num_samples: int,
    generator: torch.Generator,
) -> Float[Tensor, "{num_samples} 3"]:
    """Random points between a box and the box 1 + `thickness` times as large around its middle.

    Each is on a random face, uniformly, of a box whose size is uniform between the two; with a
    `thickness` of 0 all are on the box itself. `generator` is on the bounds' device.
    """
    shape, device = (num_samples, 3), bounds.device
    places = 2 * torch.rand(shape, generator=generator, device=device) - 1
    faces = torch.randint(3, (num_samples, 1), generator=generator, device=device)
    sides = places.gather(1, faces).sign() + (places.gather(1, faces) == 0)
    sizes = 1 + thickness * torch.rand(num_samples, 1, generator=generator, device=device)
    unit_points = places.scatter(1, faces, sides) * sizes
    return bounds.mean(dim=0) + unit_points * (bounds[1] - bounds[0]) / 2
