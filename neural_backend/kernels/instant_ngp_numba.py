# SPDX-License-Identifier: GPL-3.0-or-later
"""One training step of a hash-grid field on the CPU, without an autograd graph.

A tile is a run of rays with at most `TILE` samples between them. All that is known of its samples
stays in one core's cache from marching to gradients. Only the gradients of the hash grid leave it:
they are added up level by level afterwards, each level by one thread, so that the result does not
depend on the number of threads. Matrices of samples are (features, samples).
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .compilation import jit
from .dense_numba import SPAN, add_outer, multiply, multiply_transposed
from .hash_grid_numba import add_gradient, encode
from .ray_marching_numba import spread_samples

TILE = 1024
# Rows whose starts are a power of two apart would all fall into the same few cache lines.
ROW = TILE + SPAN
MAX_RAYS = 256
RAY_ROW = MAX_RAYS + SPAN
HARMONICS = 16
MAX_SEGMENTS = 1024
BLOCK = 64
GEOMETRY = 16
LARGEST_EXPONENT = 11.0


class Networks(NamedTuple):
    """Weights of the two networks, or their gradients; the last matrix has 4 rows, one unused."""

    density_hidden: NDArray[np.float32]
    density_out: NDArray[np.float32]
    color_geometry: NDArray[np.float32]
    color_direction: NDArray[np.float32]
    color_hidden: NDArray[np.float32]
    color_out: NDArray[np.float32]


class HashTable(NamedTuple):
    """The hash grid; `contracted` says that its cube holds all of space.

    `shift` is added to the logarithm of the density.
    """

    table: NDArray[np.float32]
    resolutions: NDArray[np.int64]
    offsets: NDArray[np.int64]
    contracted: bool
    shift: float


class RayTargets(NamedTuple):
    """Rays in the unit frame, one row each, and what should be seen along them.

    Arrays here, tensors in the twins. The last three are empty where nothing is learned.
    """

    origins: Any
    directions: Any
    nears: Any
    fars: Any
    jitters: Any
    harmonics: Any
    targets: Any
    backgrounds: Any
    gains: Any


class LossSettings(NamedTuple):
    """`huber` 0 is the squared error. Closer than 1 / `inverse_near` gradients fade away.

    Samples behind an optical depth of `opaque_depth` teach nothing.
    """

    huber: float
    inverse_near: float
    opaque_depth: float


class AdamSettings(NamedTuple):
    """`step` counts from 1."""

    table_rate: float
    weight_rate: float
    beta1: float
    beta2: float
    epsilon: float
    step: int


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


def make_workspace(num_features: int, width: int) -> Workspace:
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
    )


@jit
def _place_point(x, y, z, contracted, points, s):
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
def _clear_tail(matrix, count):
    """Zeros from `count` up to the end of its SPAN, so that whole SPANs can be multiplied."""
    end = (count + SPAN - 1) // SPAN * SPAN
    for row in range(matrix.shape[0]):
        for s in range(count, end):
            matrix[row, s] = 0


@jit
def _rectify(matrix, count):
    zero = np.float32(0)
    for row in range(matrix.shape[0]):
        line = matrix[row]
        for s in range(count):
            line[s] = max(line[s], zero)


@jit
def _mask(gradient, activation, count):
    """The gradient through `_rectify`."""
    zero = np.float32(0)
    for row in range(gradient.shape[0]):
        line, seen = gradient[row], activation[row]
        for s in range(count):
            line[s] = line[s] if seen[s] > zero else zero


@jit
def _density_network(networks, shift, work, count):
    """From `features` to `hidden`, `geometry` and `density` per unit length."""
    multiply(networks.density_hidden, work.features, work.hidden, 0, count)
    _rectify(work.hidden, count)
    multiply(networks.density_out, work.hidden, work.geometry, 0, count)
    largest, shift = np.float32(LARGEST_EXPONENT), np.float32(shift)
    for s in range(count):
        work.density[s] = math.exp(min(work.geometry[0, s] + shift, largest)) * work.spread[s]


@jit
def _color_network(networks, work, num_rays, count):
    """From `geometry` and `ray_harmonics` to `rgb`; the direction's part is one product per ray."""
    multiply(networks.color_direction, work.ray_harmonics, work.ray_hidden, 0, num_rays)
    multiply(networks.color_geometry, work.geometry, work.color_first, 0, count)
    zero, one = np.float32(0), np.float32(1)
    for row in range(work.color_first.shape[0]):
        line, along = work.color_first[row], work.ray_hidden[row]
        for ray in range(num_rays):
            extra = along[ray]
            for s in range(work.firsts[ray], work.firsts[ray + 1]):
                line[s] = max(line[s] + extra, zero)
    last = work.color_first
    if networks.color_hidden.shape[0] > 0:
        _clear_tail(work.color_first, count)
        multiply(networks.color_hidden, work.color_first, work.color_second, 0, count)
        _rectify(work.color_second, count)
        last = work.color_second
    multiply(networks.color_out, last, work.rgb, 0, count)
    for channel in range(3):
        line = work.rgb[channel]
        for s in range(count):
            line[s] = one / (one + math.exp(-line[s]))


@jit
def _sample_tile(batch, guide, contracted, work, first, last):
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
            guide,
            guide.samples,
            work.segments,
            work.t_mids,
            work.lengths,
            count,
        )
        _place_samples(origin, direction, contracted, work, ray - first, count, found)
        count += found
    work.firsts[last - first] = count
    return count


@jit
def _place_samples(origin, direction, contracted, work, ray, start, count):
    for s in range(start, start + count):
        t = work.t_mids[s]
        work.rays[s] = ray
        work.spread[s] = _place_point(
            origin[0] + t * direction[0],
            origin[1] + t * direction[1],
            origin[2] + t * direction[2],
            contracted,
            work.points,
            s,
        )


@jit
def _drop_hidden(work, num_rays, least):
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
def _loss_gradient(error, huber):
    """Loss of one color channel and its derivative."""
    if huber <= 0:
        return error * error, 2 * error
    size = abs(error)
    if size <= huber:
        return error * error / huber, 2 * error / huber
    return 2 * size - huber, math.copysign(2.0, error)


@jit
def _composite_ray(batch, loss, work, row, ray, d_gains):
    """Compares one ray with its target and writes `d_rgb`, and `d_geometry` of the log-density.

    Returns the squared error and the loss.
    """
    first, last = work.firsts[ray], work.firsts[ray + 1]
    rgb = work.rgb
    red = green = blue = 0.0
    behind = 1.0
    for s in range(first, last):
        left = behind * math.exp(-work.density[s] * work.lengths[s])
        weight = behind - left
        work.weights[s] = weight
        red += weight * rgb[0, s]
        green += weight * rgb[1, s]
        blue += weight * rgb[2, s]
        behind = left
    gain, background, target = batch.gains[row], batch.backgrounds[row], batch.targets[row]
    error_red = red * gain[0] + behind * background[0] - target[0]
    error_green = green * gain[1] + behind * background[1] - target[1]
    error_blue = blue * gain[2] + behind * background[2] - target[2]
    loss_red, slope_red = _loss_gradient(error_red, loss.huber)
    loss_green, slope_green = _loss_gradient(error_green, loss.huber)
    loss_blue, slope_blue = _loss_gradient(error_blue, loss.huber)
    d_gains[row, 0] = slope_red * red * gain[0]
    d_gains[row, 1] = slope_green * green * gain[1]
    d_gains[row, 2] = slope_blue * blue * gain[2]
    # What is behind a sample, seen through it, is what the sample takes away by being there.
    rest = behind * (
        slope_red * background[0] + slope_green * background[1] + slope_blue * background[2]
    )
    rest += slope_red * gain[0] * red + slope_green * gain[1] * green + slope_blue * gain[2] * blue
    slope_red, slope_green, slope_blue = (
        slope_red * gain[0],
        slope_green * gain[1],
        slope_blue * gain[2],
    )
    behind = 1.0
    for s in range(first, last):
        weight = work.weights[s]
        shown = slope_red * rgb[0, s] + slope_green * rgb[1, s] + slope_blue * rgb[2, s]
        rest -= weight * shown
        behind -= weight
        near = min(1.0, (work.t_mids[s] * loss.inverse_near) ** 2)
        weight *= near
        work.d_rgb[0, s] = slope_red * weight * rgb[0, s] * (1 - rgb[0, s])
        work.d_rgb[1, s] = slope_green * weight * rgb[1, s] * (1 - rgb[1, s])
        work.d_rgb[2, s] = slope_blue * weight * rgb[2, s] * (1 - rgb[2, s])
        depth = work.density[s] * work.lengths[s]
        work.density[s] = near * depth * (behind * shown - rest)
    squares = error_red**2 + error_green**2 + error_blue**2
    return squares, loss_red + loss_green + loss_blue


@jit
def _backpropagate(networks, gradients, work, num_rays, count):
    """From `d_rgb` and the slopes of the log-density (in `density`) to `d_features`."""
    _clear_tail(work.d_rgb, count)
    last = work.color_first
    if networks.color_hidden.shape[0] > 0:
        last = work.color_second
    add_outer(work.d_rgb, last, gradients.color_out, count)
    multiply_transposed(networks.color_out, work.d_rgb, work.d_wide, 0, count)
    _mask(work.d_wide, last, count)
    d_first, free = work.d_wide, work.d_wider
    if networks.color_hidden.shape[0] > 0:
        add_outer(work.d_wide, work.color_first, gradients.color_hidden, count)
        multiply_transposed(networks.color_hidden, work.d_wide, work.d_wider, 0, count)
        _mask(work.d_wider, work.color_first, count)
        d_first, free = work.d_wider, work.d_wide
    add_outer(d_first, work.geometry, gradients.color_geometry, count)
    for row in range(d_first.shape[0]):
        for ray in range(num_rays):
            total = np.float32(0)
            for s in range(work.firsts[ray], work.firsts[ray + 1]):
                total += d_first[row, s]
            work.ray_hidden[row, ray] = total
    _clear_tail(work.ray_hidden, num_rays)
    add_outer(work.ray_hidden, work.ray_harmonics, gradients.color_direction, num_rays)
    multiply_transposed(networks.color_geometry, d_first, work.d_geometry, 0, count)
    for s in range(count):
        work.d_geometry[0, s] += work.density[s]
    add_outer(work.d_geometry, work.hidden, gradients.density_out, count)
    multiply_transposed(networks.density_out, work.d_geometry, free, 0, count)
    _mask(free, work.hidden, count)
    add_outer(free, work.features, gradients.density_hidden, count)
    multiply_transposed(networks.density_hidden, free, work.d_features, 0, count)


@jit
def train_tile(
    networks,
    hashed,
    guide,
    batch,
    loss,
    work,
    gradients,
    rays,
    place,
    points,
    d_features,
    d_gains,
):
    """Learns from the rays rays[0] … rays[1] - 1; returns samples used, squared error and loss.

    Adds to `gradients`, and writes the samples' positions and gradients by level to `points` and
    `d_features` from `place` on.
    """
    first, last = rays
    num_rays = last - first
    count = _sample_tile(batch, guide, hashed.contracted, work, first, last)
    encode(work.points, hashed.table, hashed.resolutions, hashed.offsets, work.features, 0, count)
    _clear_tail(work.features, count)
    _density_network(networks, hashed.shift, work, count)
    count = _drop_hidden(work, num_rays, loss.opaque_depth)
    for matrix in (work.features, work.hidden, work.geometry):
        _clear_tail(matrix, count)
    for ray in range(num_rays):
        for row in range(HARMONICS):
            work.ray_harmonics[row, ray] = batch.harmonics[first + ray, row]
    _clear_tail(work.ray_harmonics, num_rays)
    _color_network(networks, work, num_rays, count)
    squares = total = 0.0
    for ray in range(num_rays):
        error, cost = _composite_ray(batch, loss, work, first + ray, ray, d_gains)
        squares += error
        total += cost
    if count > 0:
        _backpropagate(networks, gradients, work, num_rays, count)
    levels, per_level = hashed.resolutions.shape[0], hashed.table.shape[1]
    for level in range(levels):
        for s in range(count):
            for feature in range(per_level):
                d_features[level, place + s, feature] = work.d_features[
                    level * per_level + feature, s
                ]
    for axis in range(3):
        for s in range(count):
            points[axis, place + s] = work.points[axis, s]
    return count, squares, total


@jit
def train_tiles(
    networks,
    hashed,
    guide,
    batch,
    loss,
    work,
    gradients,
    tiles,
    first,
    last,
    points,
    d_features,
    d_gains,
    used,
    sums,
):
    """`train_tile` for tiles first … last - 1: rows of `cut_tiles`."""
    squares = total = 0.0
    for tile in range(first, last):
        rays = (tiles[tile, 0], tiles[tile, 1])
        count, error, cost = train_tile(
            networks,
            hashed,
            guide,
            batch,
            loss,
            work,
            gradients,
            rays,
            tiles[tile, 2],
            points,
            d_features,
            d_gains,
        )
        used[tile] = count
        squares += error
        total += cost
    sums[0], sums[1] = squares, total


@jit
def update_level(
    hashed,
    points,
    d_features,
    tiles,
    used,
    level,
    table_gradient,
    first_moment,
    second_moment,
    adam,
):
    """Adds up one level's gradients and takes one step of Adam where any are not zero.

    Leaves `table_gradient` zero. Source: Müller et al. 2022, sec. 4, "Training".
    """
    for tile in range(tiles.shape[0]):
        place, count = tiles[tile, 2], used[tile]
        add_gradient(
            points,
            d_features[level],
            table_gradient,
            hashed.resolutions,
            hashed.offsets,
            level,
            place,
            count,
        )
    adam_rows(
        hashed.table,
        table_gradient,
        first_moment,
        second_moment,
        hashed.offsets[level],
        hashed.offsets[level + 1],
        adam,
        adam.table_rate,
    )


@jit
def adam_rows(values, gradient, first_moment, second_moment, first, last, adam, rate):
    """Adam on rows first … last - 1 where the gradient is not zero; zeroes the gradient."""
    keep_first, keep_second = np.float32(adam.beta1), np.float32(adam.beta2)
    one, tiny = np.float32(1), np.float32(adam.epsilon)
    root = math.sqrt(1 - adam.beta2**adam.step)
    size = np.float32(rate * root / (1 - adam.beta1**adam.step))
    columns = values.shape[1]
    flat, slopes = values.reshape(-1), gradient.reshape(-1)
    means, squares = first_moment.reshape(-1), second_moment.reshape(-1)
    for start in range(first * columns, last * columns, BLOCK):
        end = min(start + BLOCK, last * columns)
        some = np.float32(0)
        for place in range(start, end):
            some += abs(slopes[place])
        if some == 0:
            continue
        for place in range(start, end):
            slope = slopes[place]
            mean = keep_first * means[place] + (one - keep_first) * slope
            square = keep_second * squares[place] + (one - keep_second) * slope * slope
            step = size * mean / (np.float32(math.sqrt(square)) + tiny)
            learns = slope != 0
            means[place] = mean if learns else means[place]
            squares[place] = square if learns else squares[place]
            flat[place] -= step if learns else np.float32(0)
            slopes[place] = 0


@jit
def query_density(networks, hashed, work, points, density, first, last):
    """Density per unit length at points first … last - 1, (points, 3) in the unit frame."""
    for start in range(first, last, TILE):
        count = min(TILE, last - start)
        for s in range(count):
            x, y, z = points[start + s, 0], points[start + s, 1], points[start + s, 2]
            work.spread[s] = _place_point(x, y, z, hashed.contracted, work.points, s)
        _encode_tile(hashed, work, count)
        _density_network(networks, hashed.shift, work, count)
        density[start : start + count] = work.density[:count]


@jit
def query_color(networks, hashed, work, points, harmonics, rgb, first, last):
    """Color at points first … last - 1 of the unit frame; `harmonics` has a row for each."""
    for start in range(first, last, MAX_RAYS):
        count = min(MAX_RAYS, last - start)
        for s in range(count):
            x, y, z = points[start + s, 0], points[start + s, 1], points[start + s, 2]
            work.spread[s] = _place_point(x, y, z, hashed.contracted, work.points, s)
            work.firsts[s] = s
            work.ray_harmonics[:, s] = harmonics[start + s]
        work.firsts[count] = count
        _encode_tile(hashed, work, count)
        _density_network(networks, hashed.shift, work, count)
        _color_network(networks, work, count, count)
        for s in range(count):
            for channel in range(3):
                rgb[start + s, channel] = work.rgb[channel, s]


@jit
def _encode_tile(hashed, work, count):
    encode(work.points, hashed.table, hashed.resolutions, hashed.offsets, work.features, 0, count)
    _clear_tail(work.features, count)


@jit
def render_rays(networks, hashed, guide, batch, work, seen, first, last):
    """Fills rows first … last - 1 of `seen`: red, green, blue, accumulation, weighted depth."""
    at_once = min(TILE // guide.samples, MAX_RAYS)
    for start in range(first, last, at_once):
        end = min(start + at_once, last)
        num_rays = end - start
        count = _sample_tile(batch, guide, hashed.contracted, work, start, end)
        for ray in range(num_rays):
            for row in range(HARMONICS):
                work.ray_harmonics[row, ray] = batch.harmonics[start + ray, row]
        _encode_tile(hashed, work, count)
        _density_network(networks, hashed.shift, work, count)
        count = _drop_hidden(work, num_rays, 7.0)
        _clear_tail(work.geometry, count)
        _clear_tail(work.ray_harmonics, num_rays)
        _color_network(networks, work, num_rays, count)
        for ray in range(num_rays):
            behind = 1.0
            seen[start + ray, :] = 0
            for s in range(work.firsts[ray], work.firsts[ray + 1]):
                left = behind * math.exp(-work.density[s] * work.lengths[s])
                weight = behind - left
                for channel in range(3):
                    seen[start + ray, channel] += weight * work.rgb[channel, s]
                seen[start + ray, 3] += weight
                seen[start + ray, 4] += weight * work.t_mids[s]
                behind = left
