# SPDX-License-Identifier: GPL-3.0-or-later
"""The signed distance of one shape, from a hash grid and a small network."""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ..encodings.hash_grid import HashGrid
from ..kernels.hash_grid import HashGridLayout
from ..meshing.isosurface import Isosurface
from ..networks.mlp import linear

_STEEPEST = 1.6
"""How fast a learned distance may change per unit length; true ones change by at most 1."""


class NeuralSDFField(nn.Module):
    """Signed distance, negative inside, to one shape.

    At first it is exactly the distance to a sphere around the middle of `bounds`: the network,
    whose last layer is zero, learns the difference. Features of the `levels` coarsest levels count,
    the last of them in part where `levels` is no whole number.

    Source: Müller et al. 2022, "Instant neural graphics primitives", sec. 5.2; Li et al. 2023,
        "Neuralangelo", sec. 3.2 (coarse to fine), 3.3; Gropp et al. 2020, "Implicit geometric
        regularization for learning shapes" (starting from a sphere).
    Differs: softplus instead of ReLU, whose kinks would show on the surface; the sphere is added
        rather than approximated by the first weights.
    """

    bounds: Float[Tensor, "2 3"]
    center: Float[Tensor, "3"]
    cells: Float[Tensor, " levels"]

    def __init__(
        self,
        layout: HashGridLayout,
        bounds: Float[Tensor, "2 3"],
        width: int = 64,
        depth: int = 2,
        sharpness: float = 20.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("bounds", bounds.clone())
        self.register_buffer("center", bounds.mean(dim=0))
        self.side = float((bounds[1] - bounds[0]).max())
        self.radius = self.side / 4
        self.sharpness = sharpness
        self.encoding = HashGrid(layout, generator)
        cells = torch.tensor([self.side / resolution for resolution in layout.resolutions])
        self.register_buffer("cells", cells, persistent=False)
        dims = [layout.num_features + 3, *[width] * depth]
        hidden = [linear(start, end, generator) for start, end in pairwise(dims)]
        last = linear(width, 1, generator)
        nn.init.zeros_(last.weight)
        self.layers = nn.ModuleList([*hidden, last])

    @property
    def num_levels(self) -> int:
        return len(self.encoding.layout.resolutions)

    def cell(self, levels: float | Tensor) -> float | Tensor:
        """The width of a cell of the finest level that counts; a tensor where `levels` is one."""
        if isinstance(levels, Tensor):
            place = levels.ceil().clamp(1, self.num_levels).long() - 1
            # Not `cells[place]`, which would wait for the device to read the place.
            return self.cells.index_select(0, place.reshape(1)).reshape(())
        finest = min(max(math.ceil(levels), 1), self.num_levels) - 1
        return self.side / self.encoding.layout.resolutions[finest]

    def forward(
        self,
        points: Float[Tensor, "*batch 3"],
        latent: Float[Tensor, " latent"] | None = None,
        levels: float | Tensor = math.inf,
    ) -> Float[Tensor, "*batch"]:
        flat = points.reshape(-1, 3)
        relative = (flat - self.center) / self.side
        features = self.encoding(relative + 0.5)
        if isinstance(levels, Tensor) or levels < self.num_levels:
            features = features * self._shares(levels)
        # The grid's features start a thousand times smaller than positions.
        hidden = torch.cat([features, relative], dim=-1)
        for layer in self.layers[:-1]:
            hidden = F.softplus(layer(hidden), beta=self.sharpness)
        difference = self.layers[-1](hidden)[:, 0] * self.side
        sphere = (relative * self.side).norm(dim=-1) - self.radius
        return (sphere + difference).reshape(points.shape[:-1])

    def isosurface(self, latent: Float[Tensor, " latent"] | None = None) -> Isosurface:
        return Isosurface(
            torch.no_grad()(self.forward), 0.0, False, self.bounds, steepest=_STEEPEST
        )

    def _shares(self, levels: float | Tensor) -> Float[Tensor, " all_features"]:
        numbers = torch.arange(self.num_levels, device=self.center.device)
        shares = (levels - numbers).clamp(0, 1).to(self.center)
        features = self.encoding.layout.features_per_level
        return shares[:, None].expand(-1, features).reshape(-1)
