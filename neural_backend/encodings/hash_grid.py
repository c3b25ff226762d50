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
        self.rounded: Tensor | None = None

    def round_off(self) -> None:
        """Has `rounded`, the table in half precision, read from now on where kernels can.

        To be called again when the table was changed by others than `kernels.adam`.
        """
        if self.rounded is None:
            self.rounded = torch.empty_like(self.table, dtype=torch.half)
        self.rounded.copy_(self.table.detach())

    def forward(
        self, unit_points: Float[Tensor, "points 3"]
    ) -> Float[Tensor, "points all_features"]:
        return hash_encode(unit_points, self.table, self.layout, self.rounded)
