# SPDX-License-Identifier: GPL-3.0-or-later
"""One training step of a hash-grid field on the CPU, without an autograd graph.

Tiles go from marching to gradients in one core's cache (see `instant_ngp_numba`). Only the
gradients of the hash grid leave it: they are added up level by level afterwards, each level by one
thread, so that the result does not depend on the number of threads.
"""

import math

import numpy as np

from .compilation import jit
from .dense_numba import add_outer, multiply_wide_transposed
from .hash_grid_numba import add_gradient
from .instant_ngp_numba import (
    clear_tail,
    color_network,
    density_network,
    drop_hidden,
    encode_tile,
    fill_harmonics,
    mask_gradient,
    passing_share,
    sample_tile,
)

BLOCK = 64


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
def _slope_distortion(work, first, last, weight_after, moment_after, scale):
    """Writes what more weight of each sample would cost to `spread`; returns what all costs.

    The cost is a square of the weights, so that the slopes, weighted, add up to twice its value.

    Source: Barron et al. 2022, "Mip-NeRF 360", eq. 15, with t / (1 + t) for s.
    """
    weight_before = moment_before = total = 0.0
    for s in range(first, last):
        weight, squeeze = work.weights[s], 1 / (1 + work.t_mids[s])
        place = work.t_mids[s] * squeeze
        weight_after -= weight
        moment_after -= weight * place
        slope = place * (weight_before - weight_after) - moment_before + moment_after
        slope = 2 * scale * (slope + weight * work.lengths[s] * squeeze * squeeze / 3)
        work.spread[s] = slope
        # As it is told, rounded: an opaque sample would feel the difference, times its depth.
        total += weight * work.spread[s]
        weight_before += weight
        moment_before += weight * place
    return total / 2


@jit
def _sample_alone(rgb, s, gain, target, huber):
    """The loss if a sample were all that is seen, and its slopes by the errors of the channels."""
    red, slope_red = _loss_gradient(gain[0] * rgb[0, s] - target[0], huber)
    green, slope_green = _loss_gradient(gain[1] * rgb[1, s] - target[1], huber)
    blue, slope_blue = _loss_gradient(gain[2] * rgb[2, s] - target[2], huber)
    return red + green + blue, slope_red, slope_green, slope_blue


@jit
def _samples_alone(work, first, last, gain, target, huber, share, by_gain):
    """The mean of `_sample_alone` by the samples' weights.

    The `share` of its slopes by the logarithms of the gains is added to `by_gain`.
    """
    total = 0.0
    for s in range(first, last):
        weight = work.weights[s]
        cost, red, green, blue = _sample_alone(work.rgb, s, gain, target, huber)
        total += weight * cost
        by_gain[0] += share * weight * red * gain[0] * work.rgb[0, s]
        by_gain[1] += share * weight * green * gain[1] * work.rgb[1, s]
        by_gain[2] += share * weight * blue * gain[2] * work.rgb[2, s]
    return total


@jit
def composite_ray(batch, loss, work, row, ray, per_ray):
    """Compares one ray with its target and writes `d_rgb`, and `d_geometry` of the log-density.

    Also writes its row of `per_ray`: the loss's slopes by the logarithms of its gains, and its
    squared error. Returns the squared error and the loss.
    """
    first, last = work.firsts[ray], work.firsts[ray + 1]
    rgb = work.rgb
    red = green = blue = 0.0
    behind, moment = 1.0, 0.0
    for s in range(first, last):
        left = behind * passing_share(work, s)
        weight = behind - left
        work.weights[s] = weight
        moment += weight * work.t_mids[s] / (1 + work.t_mids[s])
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
    share = 1 - loss.surface
    cost = share * (loss_red + loss_green + loss_blue)
    slope_red, slope_green, slope_blue = share * slope_red, share * slope_green, share * slope_blue
    per_ray[row, 0] = slope_red * red * gain[0]
    per_ray[row, 1] = slope_green * green * gain[1]
    per_ray[row, 2] = slope_blue * blue * gain[2]
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
    if loss.surface > 0:
        alone = _samples_alone(
            work, first, last, gain, target, loss.huber, loss.surface, per_ray[row]
        )
        for channel in range(3):
            missed, _ = _loss_gradient(background[channel] - target[channel], loss.huber)
            alone += behind * missed
        cost += loss.surface * alone
        rest += loss.surface * alone
    distortion = 0.0
    if loss.distortion > 0:
        distortion = _slope_distortion(work, first, last, 1 - behind, moment, loss.distortion)
        rest += 2 * distortion
    behind = 1.0
    for s in range(first, last):
        weight = work.weights[s]
        shown = slope_red * rgb[0, s] + slope_green * rgb[1, s] + slope_blue * rgb[2, s]
        if loss.distortion > 0:
            shown += work.spread[s]
        by_red, by_green, by_blue = slope_red, slope_green, slope_blue
        if loss.surface > 0:
            alone, red, green, blue = _sample_alone(rgb, s, gain, target, loss.huber)
            shown += loss.surface * alone
            by_red += loss.surface * red * gain[0]
            by_green += loss.surface * green * gain[1]
            by_blue += loss.surface * blue * gain[2]
        rest -= weight * shown
        behind -= weight
        near = min(1.0, (work.t_mids[s] * loss.inverse_near) ** 2)
        weight *= near
        work.d_rgb[0, s] = by_red * weight * rgb[0, s] * (1 - rgb[0, s])
        work.d_rgb[1, s] = by_green * weight * rgb[1, s] * (1 - rgb[1, s])
        work.d_rgb[2, s] = by_blue * weight * rgb[2, s] * (1 - rgb[2, s])
        depth = work.density[s] * work.lengths[s]
        work.density[s] = near * depth * (behind * shown - rest)
    squares = error_red**2 + error_green**2 + error_blue**2
    per_ray[row, 3] = squares
    return squares, cost + distortion


@jit
def backpropagate(networks, gradients, work, num_rays, count):
    """From `d_rgb` and the slopes of the log-density (in `density`) to `d_features`."""
    clear_tail(work.d_rgb, count)
    last = work.color_first
    if networks.color_hidden.shape[0] > 0:
        last = work.color_second
    add_outer(work.d_rgb, last, gradients.color_out, count)
    multiply_wide_transposed(networks.color_out, work.d_rgb, work.d_wide, count, work.pairs)
    mask_gradient(work.d_wide, last, count)
    d_first, free = work.d_wide, work.d_wider
    if networks.color_hidden.shape[0] > 0:
        add_outer(work.d_wide, work.color_first, gradients.color_hidden, count)
        multiply_wide_transposed(
            networks.color_hidden, work.d_wide, work.d_wider, count, work.pairs
        )
        mask_gradient(work.d_wider, work.color_first, count)
        d_first, free = work.d_wider, work.d_wide
    add_outer(d_first, work.geometry, gradients.color_geometry, count)
    for row in range(d_first.shape[0]):
        for ray in range(num_rays):
            total = np.float32(0)
            for s in range(work.firsts[ray], work.firsts[ray + 1]):
                total += d_first[row, s]
            work.ray_hidden[row, ray] = total
    clear_tail(work.ray_hidden, num_rays)
    add_outer(work.ray_hidden, work.ray_harmonics, gradients.color_direction, num_rays)
    multiply_wide_transposed(networks.color_geometry, d_first, work.d_geometry, count, work.pairs)
    for s in range(count):
        work.d_geometry[0, s] += work.density[s]
    add_outer(work.d_geometry, work.hidden, gradients.density_out, count)
    multiply_wide_transposed(networks.density_out, work.d_geometry, free, count, work.pairs)
    mask_gradient(free, work.hidden, count)
    add_outer(free, work.features, gradients.density_hidden, count)
    multiply_wide_transposed(networks.density_hidden, free, work.d_features, count, work.pairs)


@jit
def hand_over(hashed, work, place, points, d_features, count):
    """Writes the samples' positions and gradients by level, from `place` on."""
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
    per_ray,
):
    """Learns from the rays rays[0] … rays[1] - 1; returns samples used, squared error and loss.

    Adds to `gradients`, and writes the samples' positions and gradients by level to `points` and
    `d_features` from `place` on.
    """
    first, last = rays
    num_rays = last - first
    count = sample_tile(batch, guide, hashed.contracted, work, first, last)
    encode_tile(hashed, work, count)
    density_network(networks, hashed.shift, work, count)
    count = drop_hidden(work, num_rays, loss.opaque_depth)
    for matrix in (work.features, work.hidden, work.geometry):
        clear_tail(matrix, count)
    fill_harmonics(batch, work, first, num_rays)
    color_network(networks, work, num_rays, count)
    squares = total = 0.0
    for ray in range(num_rays):
        error, cost = composite_ray(batch, loss, work, first + ray, ray, per_ray)
        squares += error
        total += cost
    if count > 0:
        backpropagate(networks, gradients, work, num_rays, count)
    hand_over(hashed, work, place, points, d_features, count)
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
    per_ray,
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
            per_ray,
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
