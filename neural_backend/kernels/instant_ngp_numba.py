# SPDX-License-Identifier: GPL-3.0-or-later
"""A hash-grid field on the CPU: what it shows, sample by sample and ray by ray.

A tile is a run of rays with at most `TILE` samples between them. All that is known of its samples
stays in one core's cache. Matrices of samples are (features, samples).
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .compilation import jit
from .dense_numba import SPAN, multiply, multiply_wide, room_for_pairs
from .hash_grid_numba import encode
from .instant_ngp_types import GEOMETRY, HARMONICS, LARGEST_EXPONENT
from .ray_marching_numba import spread_samples

TILE = 1024
# Rows whose starts are a power of two apart would all fall into the same few cache lines.
ROW = TILE + SPAN
MAX_RAYS = 256
RAY_ROW = MAX_RAYS + SPAN
MAX_SEGMENTS = 1024


class Workspace(NamedTuple):
    """Room for one tile."""

    points: NDArray[np.float32]
    t_mids: NDArray[np.float32]
    lengths: NDArray[np.float32]
    spread: NDArray[np.float32]
    density: NDArray[np.float32]
    weights: NDArray[np.float64]
    rays: NDArray[np.int64]
    features: NDArray[np.float32]
    hidden: NDArray[np.float32]
    geometry: NDArray[np.float32]
    color_first: NDArray[np.float32]
    color_second: NDArray[np.float32]
    rgb: NDArray[np.float32]
    d_rgb: NDArray[np.float32]
    d_geometry: NDArray[np.float32]
    d_wide: NDArray[np.float32]
    d_wider: NDArray[np.float32]
    d_features: NDArray[np.float32]
    ray_harmonics: NDArray[np.float32]
    ray_hidden: NDArray[np.float32]
    firsts: NDArray[np.int64]
    segments: NDArray[np.float64]
    pairs: NDArray[np.uint32]


def make_workspace(num_features: int, width: int, bfloat16: bool = False) -> Workspace:
    """Memory for one thread, to be used again and again."""

    def room(*shape: int) -> NDArray[np.float32]:
        return np.zeros(shape, np.float32)

    return Workspace(
        points=room(3, ROW),
        t_mids=room(TILE),
        lengths=room(TILE),
        spread=room(TILE),
        density=room(TILE),
        weights=np.zeros(TILE),
        rays=np.zeros(TILE, np.int64),
        features=room(num_features, ROW),
        hidden=room(width, ROW),
        geometry=room(GEOMETRY, ROW),
        color_first=room(width, ROW),
        color_second=room(width, ROW),
        rgb=room(4, ROW),
        d_rgb=room(4, ROW),
        d_geometry=room(GEOMETRY, ROW),
        d_wide=room(width, ROW),
        d_wider=room(width, ROW),
        d_features=room(num_features, ROW),
        ray_harmonics=room(HARMONICS, RAY_ROW),
        ray_hidden=room(width, RAY_ROW),
        firsts=np.zeros(MAX_RAYS + 1, np.int64),
        segments=np.zeros((3, MAX_SEGMENTS)),
        pairs=room_for_pairs(max(num_features, width), ROW, bfloat16),
    )


@jit
def place_point(x, y, z, contracted, points, s):
    """Writes a point's place in the hash grid's cube; returns how much space is squeezed."""
    reach = max(abs(x), abs(y), abs(z))
    if not contracted:
        half = np.float32(0.5)
        points[0, s], points[1, s], points[2, s] = x * half + half, y * half + half, z * half + half
        return np.float32(1)
    squeeze = np.float32(1)
    if reach > 1:
        squeeze = (np.float32(2) - np.float32(1) / reach) / reach
    quarter, middle = np.float32(0.25), np.float32(0.5)
    points[0, s] = x * squeeze * quarter + middle
    points[1, s] = y * squeeze * quarter + middle
    points[2, s] = z * squeeze * quarter + middle
    return np.float32(1) / max(reach, np.float32(1))


@jit
def clear_tail(matrix, count):
    """Zeros from `count` up to the end of its SPAN, so that whole SPANs can be multiplied."""
    end = (count + SPAN - 1) // SPAN * SPAN
    for row in range(matrix.shape[0]):
        for s in range(count, end):
            matrix[row, s] = 0


@jit
def fill_harmonics(batch, work, first, num_rays):
    """Takes over what the color network is told of the directions of some rays."""
    for ray in range(num_rays):
        for row in range(HARMONICS):
            work.ray_harmonics[row, ray] = batch.harmonics[first + ray, row]
    clear_tail(work.ray_harmonics, num_rays)


@jit
def rectify(matrix, count):
    """Zero where the first `count` columns are negative."""
    zero = np.float32(0)
    for row in range(matrix.shape[0]):
        line = matrix[row]
        for s in range(count):
            line[s] = max(line[s], zero)


@jit
def mask_gradient(gradient, activation, count):
    """The gradient through a ReLU."""
    zero = np.float32(0)
    for row in range(gradient.shape[0]):
        line, seen = gradient[row], activation[row]
        for s in range(count):
            line[s] = line[s] if seen[s] > zero else zero


@jit
def density_network(networks, shift, work, count):
    """From `features` to `hidden`, `geometry` and `density` per unit length."""
    multiply_wide(networks.density_hidden, work.features, work.hidden, count, work.pairs)
    rectify(work.hidden, count)
    multiply(networks.density_out, work.hidden, work.geometry, count)
    largest, shift = np.float32(LARGEST_EXPONENT), np.float32(shift)
    for s in range(count):
        work.density[s] = math.exp(min(work.geometry[0, s] + shift, largest)) * work.spread[s]


@jit
def color_network(networks, work, num_rays, count):
    """From `geometry` and `ray_harmonics` to `rgb`; the direction's part is one product per ray."""
    multiply(networks.color_direction, work.ray_harmonics, work.ray_hidden, num_rays)
    multiply_wide(networks.color_geometry, work.geometry, work.color_first, count, work.pairs)
    zero, one = np.float32(0), np.float32(1)
    for row in range(work.color_first.shape[0]):
        line, along = work.color_first[row], work.ray_hidden[row]
        for ray in range(num_rays):
            extra = along[ray]
            for s in range(work.firsts[ray], work.firsts[ray + 1]):
                line[s] = max(line[s] + extra, zero)
    last = work.color_first
    if networks.color_hidden.shape[0] > 0:
        clear_tail(work.color_first, count)
        multiply_wide(networks.color_hidden, work.color_first, work.color_second, count, work.pairs)
        rectify(work.color_second, count)
        last = work.color_second
    multiply(networks.color_out, last, work.rgb, count)
    for channel in range(3):
        line = work.rgb[channel]
        for s in range(count):
            line[s] = one / (one + math.exp(-line[s]))


@jit
def sample_tile(batch, guide, contracted, work, first, last):
    """Lists the samples of rays first … last - 1; returns how many there are."""
    count = 0
    for ray in range(first, last):
        work.firsts[ray - first] = count
        origin, direction = batch.origins[ray], batch.directions[ray]
        found = spread_samples(
            origin,
            direction,
            batch.nears[ray],
            batch.fars[ray],
            batch.jitters[ray],
            guide.density,
            guide.occupied,
            guide,
            work.segments,
            work.t_mids,
            work.lengths,
            count,
        )
        place_samples(origin, direction, contracted, work, ray - first, count, found)
        count += found
    work.firsts[last - first] = count
    return count


@jit
def place_samples(origin, direction, contracted, work, ray, start, count):
    for s in range(start, start + count):
        t = work.t_mids[s]
        work.rays[s] = ray
        work.spread[s] = place_point(
            origin[0] + t * direction[0],
            origin[1] + t * direction[1],
            origin[2] + t * direction[2],
            contracted,
            work.points,
            s,
        )


@jit
def drop_hidden(work, num_rays, least):
    """Takes samples behind an opaque front out of the tile; returns how many are left."""
    kept = 0
    for ray in range(num_rays):
        first, last = work.firsts[ray], work.firsts[ray + 1]
        work.firsts[ray] = kept
        depth = np.float32(0)
        for s in range(first, last):
            if depth > least:
                break
            depth += work.density[s] * work.lengths[s]
            work.rays[kept] = s
            kept += 1
    old = work.firsts[num_rays]
    work.firsts[num_rays] = kept
    if kept == old:
        return kept
    for matrix in (work.points, work.features, work.hidden, work.geometry):
        for row in range(matrix.shape[0]):
            line = matrix[row]
            for s in range(kept):
                line[s] = line[work.rays[s]]
    for line in (work.t_mids, work.lengths, work.spread, work.density):
        for s in range(kept):
            line[s] = line[work.rays[s]]
    return kept


@jit
def query_density(networks, hashed, work, points, density, first, last):
    """Density per unit length at points first … last - 1, (points, 3) in the unit frame."""
    for start in range(first, last, TILE):
        count = min(TILE, last - start)
        for s in range(count):
            x, y, z = points[start + s, 0], points[start + s, 1], points[start + s, 2]
            work.spread[s] = place_point(x, y, z, hashed.contracted, work.points, s)
        encode_tile(hashed, work, count)
        density_network(networks, hashed.shift, work, count)
        density[start : start + count] = work.density[:count]


@jit
def query_color(networks, hashed, work, points, harmonics, rgb, first, last):
    """Color at points first … last - 1 of the unit frame; `harmonics` has a row for each."""
    for start in range(first, last, MAX_RAYS):
        count = min(MAX_RAYS, last - start)
        for s in range(count):
            x, y, z = points[start + s, 0], points[start + s, 1], points[start + s, 2]
            work.spread[s] = place_point(x, y, z, hashed.contracted, work.points, s)
            work.firsts[s] = s
            work.ray_harmonics[:, s] = harmonics[start + s]
        work.firsts[count] = count
        encode_tile(hashed, work, count)
        density_network(networks, hashed.shift, work, count)
        color_network(networks, work, count, count)
        for s in range(count):
            for channel in range(3):
                rgb[start + s, channel] = work.rgb[channel, s]


@jit
def encode_tile(hashed, work, count):
    encode(work.points, hashed.table, hashed.resolutions, hashed.offsets, work.features, 0, count)
    clear_tail(work.features, count)


@jit
def passing_share(work, s):
    """How much of the light from behind passes a sample.

    In double precision: a thin sample's weight is the difference between this and 1.
    """
    return math.exp(-np.float64(work.density[s]) * work.lengths[s])


@jit
def show_rays(work, seen, start, num_rays):
    """Adds up a tile's samples, front to back, in the rows of `seen` from `start` on."""
    for ray in range(num_rays):
        behind = 1.0
        seen[start + ray, :] = 0
        for s in range(work.firsts[ray], work.firsts[ray + 1]):
            left = behind * passing_share(work, s)
            weight = behind - left
            for channel in range(3):
                seen[start + ray, channel] += weight * work.rgb[channel, s]
            seen[start + ray, 3] += weight
            seen[start + ray, 4] += weight * work.t_mids[s]
            behind = left


@jit
def render_rays(networks, hashed, guide, batch, work, seen, first, last):
    """Fills rows first … last - 1 of `seen`: red, green, blue, accumulation, weighted depth."""
    at_once = min(TILE // guide.samples, MAX_RAYS)
    for start in range(first, last, at_once):
        end = min(start + at_once, last)
        num_rays = end - start
        count = sample_tile(batch, guide, hashed.contracted, work, start, end)
        fill_harmonics(batch, work, start, num_rays)
        encode_tile(hashed, work, count)
        density_network(networks, hashed.shift, work, count)
        count = drop_hidden(work, num_rays, 7.0)
        clear_tail(work.geometry, count)
        color_network(networks, work, num_rays, count)
        show_rays(work, seen, start, num_rays)
