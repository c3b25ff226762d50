# SPDX-License-Identifier: GPL-3.0-or-later
"""Multiresolution hash grid in Triton: the twin of `hash_grid_numba` for CUDA.

All levels in one launch; a point's features at a grid point lie together, so that each corner is
one vector load or one vector atomic. Tables may be of half precision; sums are of single.
"""

from functools import lru_cache
from itertools import pairwise

import torch
import triton
import triton.language as tl
from jaxtyping import Float, Int
from torch import Tensor

from .hash_grid import HashGridLayout
from .hash_grid_reference import PRIME_Y, PRIME_Z

_BLOCK = 128
_CONTENDED = 2**15
"""Levels of fewer entries get so many gradient tables that together they have this many: else all
points would wait for each other's turn at the few entries of the coarsest levels.
"""
_MOST_COPIES = 32
_Y, _Z = tl.constexpr(PRIME_Y), tl.constexpr(PRIME_Z)


def encode(
    points: Float[Tensor, "points 3"],
    table: Float[Tensor, "entries features"],
    layout: HashGridLayout,
) -> Float[Tensor, "points all_features"]:
    """The twin of `hash_grid_reference.encode`, without a graph."""
    out = torch.empty(len(points), layout.num_features, device=points.device)
    if len(points):
        grid = (triton.cdiv(len(points), _BLOCK), len(layout.resolutions))
        levels, _ = _levels(layout, points.device)
        _encode[grid](
            points.contiguous(), table, levels, out, len(points),
            FEATURES=layout.features_per_level, BLOCK=_BLOCK,
        )  # fmt: skip
    return out


def table_gradient(
    points: Float[Tensor, "points 3"],
    slope: Float[Tensor, "points all_features"],
    layout: HashGridLayout,
) -> Float[Tensor, "entries features"]:
    """The loss's slope by the table, from its `slope` by what `encode` returned."""
    levels, extra = _levels(layout, points.device)
    entries = layout.offsets[-1]
    # The table, and before it the copies of its coarse levels.
    gradients = torch.zeros(extra + entries, layout.features_per_level, device=points.device)
    if len(points):
        grid = (triton.cdiv(len(points), _BLOCK), len(layout.resolutions))
        _add_to_table[grid](
            points.contiguous(), slope.contiguous(), levels, gradients, extra, len(points),
            FEATURES=layout.features_per_level, BLOCK=_BLOCK,
        )  # fmt: skip
        largest = max(_contended_entries(layout), default=0) * layout.features_per_level
        if largest:
            _add_copies[(triton.cdiv(largest, _BLOCK), len(layout.resolutions))](
                gradients, levels, extra, layout.features_per_level, BLOCK=_BLOCK
            )
    return gradients[extra:]


def point_gradient(
    points: Float[Tensor, "points 3"],
    slope: Float[Tensor, "points all_features"],
    table: Float[Tensor, "entries features"],
    layout: HashGridLayout,
) -> Float[Tensor, "points 3"]:
    """The loss's slope by the points, from its `slope` by what `encode` returned."""
    out = torch.empty(len(points), 3, device=points.device)
    if len(points):
        levels, _ = _levels(layout, points.device)
        _slope_of_points[(triton.cdiv(len(points), _BLOCK),)](
            points.contiguous(), slope.contiguous(), table, levels, out, len(points),
            LEVELS=len(layout.resolutions), FEATURES=layout.features_per_level, BLOCK=_BLOCK,
        )  # fmt: skip
    return out


def _contended_entries(layout: HashGridLayout) -> list[int]:
    """Of each level that has copies, how many entries."""
    sizes = [last - first for first, last in pairwise(layout.offsets)]
    return [entries for entries in sizes if _extra_copies(entries)]


def _extra_copies(entries: int) -> int:
    """Gradient tables of a level besides the one that is part of the whole."""
    return min(_MOST_COPIES, _CONTENDED // entries) - 1 if 2 * entries <= _CONTENDED else 0


@lru_cache(maxsize=16)
def _levels(layout: HashGridLayout, device: torch.device) -> tuple[Int[Tensor, "levels 5"], int]:
    """Resolution, first entry, number of entries, extra copies and where they begin, level by
    level; and how many entries all copies have.
    """
    rows, start = [], 0
    for level, resolution in enumerate(layout.resolutions):
        first, entries = layout.offsets[level], layout.offsets[level + 1] - layout.offsets[level]
        copies = _extra_copies(entries)
        rows.append([resolution, first, entries, copies, start])
        start += copies * entries
    return torch.tensor(rows, dtype=torch.int64, device=device), start


@triton.jit
def _axis(points, rows, inside, axis: tl.constexpr, scale):
    """The cell along an axis, the place in it, and whether the point is in the cube."""
    place = tl.load(points + rows * 3 + axis, mask=inside, other=0.0).to(tl.float32) * scale
    within = (place >= 0) & (place <= scale)
    place = tl.minimum(tl.maximum(place, 0.0), scale)
    cell = tl.minimum(tl.floor(place), scale - 1)
    return cell.to(tl.int32), place - cell, within


@triton.jit
def _entry(x, y, z, resolution, entries):
    """The entry of a grid point in its level: in order where all have room, else hashed.

    Source: Müller et al. 2022, "Instant neural graphics primitives", eq. 4.
    """
    side = resolution + 1
    if side * side * side <= entries:
        return (x + side * (y + side * z)).to(tl.int64)
    hashed = x.to(tl.uint32) ^ (y.to(tl.uint32) * _Y) ^ (z.to(tl.uint32) * _Z)
    return (hashed & (entries - 1).to(tl.uint32)).to(tl.int64)


@triton.jit
def _corner(number: tl.constexpr, x, y, z, along_x, along_y, along_z, resolution, entries):
    """The entry at a corner of points' cells, in its level, and the corner's weight."""
    weight = along_x if number & 1 else 1 - along_x
    weight *= along_y if number & 2 else 1 - along_y
    weight *= along_z if number & 4 else 1 - along_z
    entry = _entry(x + (number & 1), y + (number >> 1 & 1), z + (number >> 2), resolution, entries)
    return entry, weight


@triton.jit(do_not_specialize=["count"])
def _encode(points, table, levels, out, count, FEATURES: tl.constexpr, BLOCK: tl.constexpr):
    rows = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    level = tl.program_id(1)
    inside = rows < count
    resolution = tl.load(levels + 5 * level)
    first = tl.load(levels + 5 * level + 1)
    entries = tl.load(levels + 5 * level + 2)
    scale = resolution.to(tl.float32)
    x, along_x, _ = _axis(points, rows, inside, 0, scale)
    y, along_y, _ = _axis(points, rows, inside, 1, scale)
    z, along_z, _ = _axis(points, rows, inside, 2, scale)
    features = tl.arange(0, FEATURES)
    total = tl.zeros((BLOCK, FEATURES), tl.float32)
    for corner in tl.static_range(8):
        entry, weight = _corner(corner, x, y, z, along_x, along_y, along_z, resolution, entries)
        places = (first + entry)[:, None] * FEATURES + features
        total += weight[:, None] * tl.load(table + places, mask=inside[:, None], other=0.0)
    width = tl.num_programs(1) * FEATURES
    tl.store(out + rows[:, None] * width + level * FEATURES + features, total, inside[:, None])


@triton.jit(do_not_specialize=["extra", "count"])
def _add_to_table(
    points, slope, levels, gradients, extra, count, FEATURES: tl.constexpr, BLOCK: tl.constexpr
):
    rows = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    level = tl.program_id(1)
    inside = rows < count
    resolution = tl.load(levels + 5 * level)
    entries = tl.load(levels + 5 * level + 2)
    copy = tl.program_id(0) % (tl.load(levels + 5 * level + 3) + 1)
    first = extra + tl.load(levels + 5 * level + 1)
    if copy > 0:
        first = tl.load(levels + 5 * level + 4) + (copy - 1) * entries
    scale = resolution.to(tl.float32)
    x, along_x, _ = _axis(points, rows, inside, 0, scale)
    y, along_y, _ = _axis(points, rows, inside, 1, scale)
    z, along_z, _ = _axis(points, rows, inside, 2, scale)
    features = tl.arange(0, FEATURES)
    width = tl.num_programs(1) * FEATURES
    seen = tl.load(
        slope + rows[:, None] * width + level * FEATURES + features, inside[:, None], other=0.0
    )
    # Neither points without slope, as in slots of nobody, nor empty shares of points on faces need
    # a turn at an entry.
    inside &= tl.max(tl.abs(seen), axis=1) > 0
    for corner in tl.static_range(8):
        entry, weight = _corner(corner, x, y, z, along_x, along_y, along_z, resolution, entries)
        places = (first + entry)[:, None] * FEATURES + features
        some = (inside & (weight != 0))[:, None]
        tl.atomic_add(gradients + places, weight[:, None] * seen, some, sem="relaxed")


@triton.jit(do_not_specialize=["extra"])
def _add_copies(gradients, levels, extra, features, BLOCK: tl.constexpr):
    """Adds to the table what its levels' copies hold."""
    level = tl.program_id(1)
    first = tl.load(levels + 5 * level + 1)
    size = tl.load(levels + 5 * level + 2) * features
    copies = tl.load(levels + 5 * level + 3)
    start = tl.load(levels + 5 * level + 4) * features
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < tl.where(copies > 0, size, 0)
    whole = gradients + (extra + first) * features + at
    total = tl.load(whole, mask=inside, other=0.0)
    for copy in range(copies):
        total += tl.load(gradients + start + copy * size + at, mask=inside, other=0.0)
    tl.store(whole, total, mask=inside)


@triton.jit(do_not_specialize=["count"])
def _slope_of_points(
    points, slope, table, levels, out, count,
    LEVELS: tl.constexpr, FEATURES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    rows = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = rows < count
    features = tl.arange(0, FEATURES)
    by_x = tl.zeros((BLOCK,), tl.float32)
    by_y = tl.zeros((BLOCK,), tl.float32)
    by_z = tl.zeros((BLOCK,), tl.float32)
    for level in range(LEVELS):
        resolution = tl.load(levels + 5 * level)
        first = tl.load(levels + 5 * level + 1)
        entries = tl.load(levels + 5 * level + 2)
        scale = resolution.to(tl.float32)
        x, along_x, within_x = _axis(points, rows, inside, 0, scale)
        y, along_y, within_y = _axis(points, rows, inside, 1, scale)
        z, along_z, within_z = _axis(points, rows, inside, 2, scale)
        places = rows[:, None] * (LEVELS * FEATURES) + level * FEATURES + features
        seen = tl.load(slope + places, mask=inside[:, None], other=0.0)
        for corner in tl.static_range(8):
            in_x = along_x if corner & 1 else 1 - along_x
            in_y = along_y if corner & 2 else 1 - along_y
            in_z = along_z if corner & 4 else 1 - along_z
            entry = first + _entry(
                x + (corner & 1), y + (corner >> 1 & 1), z + (corner >> 2), resolution, entries
            )
            values = tl.load(
                table + entry[:, None] * FEATURES + features, mask=inside[:, None], other=0.0
            )
            share = tl.sum(values.to(tl.float32) * seen, axis=1) * scale
            by_x += tl.where(within_x, share * in_y * in_z * (1 if corner & 1 else -1), 0.0)
            by_y += tl.where(within_y, share * in_x * in_z * (1 if corner & 2 else -1), 0.0)
            by_z += tl.where(within_z, share * in_x * in_y * (1 if corner & 4 else -1), 0.0)
    tl.store(out + rows * 3, by_x, mask=inside)
    tl.store(out + rows * 3 + 1, by_y, mask=inside)
    tl.store(out + rows * 3 + 2, by_z, mask=inside)
