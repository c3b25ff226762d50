# SPDX-License-Identifier: GPL-3.0-or-later
"""Multiresolution hash grid in plain torch, for any device and precision."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

PRIME_Y, PRIME_Z = 2654435761, 805459861
"""Source: Müller et al. 2022, "Instant neural graphics primitives", eq. 4."""

_CORNERS = tuple((corner & 1, corner >> 1 & 1, corner >> 2 & 1) for corner in range(8))


def encode(
    points: Float[Tensor, "points 3"],
    table: Float[Tensor, "entries features"],
    resolutions: tuple[int, ...],
    offsets: tuple[int, ...],
) -> Float[Tensor, "points all_features"]:
    """The twin of `hash_grid_numba.encode`, differentiable in the table."""
    seen = []
    for level, resolution in enumerate(resolutions):
        offset, entries = offsets[level], offsets[level + 1] - offsets[level]
        places = (points * resolution).clamp(0, resolution)
        lower = places.floor().clamp(max=resolution - 1)
        i, j, k = lower.long().unbind(dim=-1)
        u, v, w = (places - lower).unbind(dim=-1)
        total = torch.zeros_like(points[:, :1])
        for x, y, z in _CORNERS:
            rows = _rows(i + x, j + y, k + z, resolution, entries) + offset
            weights = (u if x else 1 - u) * (v if y else 1 - v) * (w if z else 1 - w)
            total = total + weights[:, None] * table[rows]
        seen.append(total)
    return torch.cat(seen, dim=-1)


def _rows(
    x: Int[Tensor, " points"],
    y: Int[Tensor, " points"],
    z: Int[Tensor, " points"],
    resolution: int,
    entries: int,
) -> Int[Tensor, " points"]:
    side = resolution + 1
    if side**3 <= entries:
        return x + side * (y + side * z)
    return (x ^ (y * PRIME_Y) ^ (z * PRIME_Z)) & (entries - 1)
