# SPDX-License-Identifier: GPL-3.0-or-later
"""The multiresolution hash encoding as a module."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..kernels.hash_grid import HashGridLayout, hash_encode


class HashGrid(nn.Module):
    """Learned features of points in the unit cube.

    Source: Müller et al. 2022, "Instant neural graphics primitives", sec. 3.
    """

    def __init__(self, layout: HashGridLayout, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.layout = layout
        table = torch.rand(layout.offsets[-1], layout.features_per_level, generator=generator)
        self.table = nn.Parameter((table * 2 - 1) * 1e-4)

    def forward(
        self, unit_points: Float[Tensor, "points 3"]
    ) -> Float[Tensor, "points all_features"]:
        return hash_encode(unit_points, self.table, self.layout)
