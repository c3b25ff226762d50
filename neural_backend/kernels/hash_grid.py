# SPDX-License-Identifier: GPL-3.0-or-later
"""Multiresolution hash grid: feature vectors at grid points, blended between them."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from . import hash_grid_reference
from .triton_use import uses_triton


@dataclass(frozen=True)
class HashGridLayout:
    """How many entries each level has, and where they lie in the one table.

    Source: Müller et al. 2022, "Instant neural graphics primitives", sec. 3, eqs. 2 and 3.
    Differs: levels are aligned to the cube's faces, so that no point needs an entry outside it.
    """

    resolutions: tuple[int, ...]
    offsets: tuple[int, ...]
    features_per_level: int

    @property
    def num_features(self) -> int:
        return len(self.resolutions) * self.features_per_level


def hash_grid_layout(
    levels: int, features_per_level: int, log2_entries: int, coarsest: int, finest: int
) -> HashGridLayout:
    """Resolutions growing geometrically from `coarsest` to `finest` cells along each side.

    Raises:
        ValueError: where a level would have no cells, or entries of a size no kernel is made for.
    """
    if features_per_level not in (2, 4):
        raise ValueError(f"features_per_level must be 2 or 4, got {features_per_level}")
    if levels < 1 or not 1 <= coarsest <= finest:
        raise ValueError(
            f"expected levels ≥ 1 and 1 ≤ coarsest ≤ finest, got {levels}, {coarsest}, {finest}"
        )
    growth = math.log(finest / coarsest) / max(1, levels - 1)
    # The small surplus keeps the finest level from being rounded down.
    resolutions = tuple(
        math.floor(coarsest * math.exp(growth * level) + 1e-6) for level in range(levels)
    )
    offsets = [0]
    for resolution in resolutions:
        offsets.append(offsets[-1] + min((resolution + 1) ** 3, 2**log2_entries))
    return HashGridLayout(resolutions, tuple(offsets), features_per_level)


def hash_encode(
    unit_points: Float[Tensor, "points 3"],
    table: Float[Tensor, "entries features"],
    layout: HashGridLayout,
    rounded: Float[Tensor, "entries features"] | None = None,
) -> Float[Tensor, "points all_features"]:
    """The features of points in the unit cube, level after level; points outside get its border's.

    Differentiable in the table and the points. In single precision Numba on the CPU and Triton on
    CUDA, plain torch elsewhere. Triton reads `rounded`, a copy of the table in lower precision,
    where there is one; gradients belong to the table all the same.
    """
    if uses_triton(table):
        return _TritonHashEncode.apply(unit_points, table, layout, rounded)
    if table.device.type == "cpu" and table.dtype == torch.float32:
        return _NumbaHashEncode.apply(unit_points, table, layout)
    return hash_grid_reference.encode(unit_points, table, layout.resolutions, layout.offsets)


class _NumbaHashEncode(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, points: Tensor, table: Tensor, layout: HashGridLayout) -> Tensor:
        from .hash_grid_threads import encode_points

        ctx.save_for_backward(points, table)
        ctx.layout, ctx.table_shape = layout, table.shape
        return torch.from_numpy(
            encode_points(
                points.detach().numpy(), table.detach().numpy(), layout.resolutions, layout.offsets
            )
        )

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, None]:
        from .hash_grid_threads import point_gradient, table_gradient

        points, table = ctx.saved_tensors
        layout = ctx.layout
        d_points = None
        if ctx.needs_input_grad[0]:
            slope = point_gradient(
                points.detach().numpy(),
                gradients[0].detach().numpy(),
                table.detach().numpy(),
                layout.resolutions,
                layout.offsets,
            )
            d_points = torch.from_numpy(slope)
        gradient = table_gradient(
            points.detach().numpy(),
            gradients[0].detach().numpy(),
            ctx.table_shape,
            layout.resolutions,
            layout.offsets,
        )
        return d_points, torch.from_numpy(gradient), None


class _TritonHashEncode(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, points: Tensor, table: Tensor, layout: HashGridLayout, rounded: Tensor | None
    ) -> Tensor:
        from . import hash_grid_triton

        read = table if rounded is None else rounded
        ctx.save_for_backward(points, read)
        ctx.layout = layout
        return hash_grid_triton.encode(points.detach(), read.detach(), layout)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        from . import hash_grid_triton

        points, read = (part.detach() for part in ctx.saved_tensors)
        d_points = None
        if ctx.needs_input_grad[0]:
            d_points = hash_grid_triton.point_gradient(points, gradients[0], read, ctx.layout)
        d_table = hash_grid_triton.table_gradient(points, gradients[0], ctx.layout)
        return d_points, d_table, None, None
