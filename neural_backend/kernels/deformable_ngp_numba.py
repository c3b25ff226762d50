# SPDX-License-Identifier: GPL-3.0-or-later
"""A hash-grid field behind a deformation on the CPU: queries, rays, and one training step.

The parts are those of `instant_ngp_numba` and `instant_ngp_training_numba`, with the network of
`deformation_numba` between the march and the hash grid. The first features are the hash grid's, the
others come from the deformation.
"""

from .compilation import jit
from .deformation_numba import bend, fill_conditions, keep_bent, unbend
from .hash_grid_numba import encode
from .instant_ngp_numba import (
    MAX_RAYS,
    TILE,
    clear_tail,
    color_network,
    density_network,
    drop_hidden,
    fill_harmonics,
    place_point,
    place_samples,
    show_rays,
)
from .instant_ngp_training_numba import backpropagate, composite_ray, hand_over
from .ray_marching_numba import spread_samples


@jit
def _sample_tile(batch, guide, contracted, work, first, last):
    """Lists the samples of rays first … last - 1, each ray by the guide's slice of its time."""
    count = 0
    cells = guide.density.shape[0] // guide.slices
    for ray in range(first, last):
        work.firsts[ray - first] = count
        origin, direction = batch.origins[ray], batch.directions[ray]
        first_cell = cells * min(max(int(batch.times[ray] * guide.slices), 0), guide.slices - 1)
        found = spread_samples(
            origin,
            direction,
            batch.nears[ray],
            batch.fars[ray],
            batch.jitters[ray],
            guide.density[first_cell : first_cell + cells],
            guide.occupied[first_cell // 8 :],
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
def _look(networks, deformation, hashed, work, bent, num_rays, count):
    """From `points` and `ray_conditions` to the density; `points` become canonical."""
    num_hashed = hashed.resolutions.shape[0] * hashed.table.shape[1]
    bend(deformation, work, bent, num_hashed, num_rays, count)
    encode(work.points, hashed.table, hashed.resolutions, hashed.offsets, work.features, 0, count)
    clear_tail(work.features, count)
    density_network(networks, hashed.shift, work, count)


@jit
def _place_points(points, conditions, hashed, work, bent, start, count):
    """Takes points of the unit frame for rays of a single sample."""
    for s in range(count):
        x, y, z = points[start + s, 0], points[start + s, 1], points[start + s, 2]
        work.spread[s] = place_point(x, y, z, hashed.contracted, work.points, s)
        work.firsts[s] = s
    work.firsts[count] = count
    fill_conditions(conditions, bent, start, count)


@jit
def query_density(
    networks, deformation, hashed, work, bent, points, conditions, density, first, last
):
    """Density per unit length at points first … last - 1, (points, 3) in the unit frame."""
    for start in range(first, last, MAX_RAYS):
        count = min(MAX_RAYS, last - start)
        _place_points(points, conditions, hashed, work, bent, start, count)
        _look(networks, deformation, hashed, work, bent, count, count)
        density[start : start + count] = work.density[:count]


@jit
def query_color(
    networks, deformation, hashed, work, bent, points, conditions, harmonics, rgb, first, last
):
    """Color at points first … last - 1 of the unit frame; `harmonics` has a row for each."""
    for start in range(first, last, MAX_RAYS):
        count = min(MAX_RAYS, last - start)
        _place_points(points, conditions, hashed, work, bent, start, count)
        for s in range(count):
            work.ray_harmonics[:, s] = harmonics[start + s]
        _look(networks, deformation, hashed, work, bent, count, count)
        color_network(networks, work, count, count)
        for s in range(count):
            for channel in range(3):
                rgb[start + s, channel] = work.rgb[channel, s]


@jit
def query_canonical(deformation, hashed, work, bent, points, conditions, canonical, first, last):
    """Where points first … last - 1 of the unit frame lie in the canonical cube."""
    num_hashed = hashed.resolutions.shape[0] * hashed.table.shape[1]
    for start in range(first, last, MAX_RAYS):
        count = min(MAX_RAYS, last - start)
        _place_points(points, conditions, hashed, work, bent, start, count)
        bend(deformation, work, bent, num_hashed, count, count)
        for s in range(count):
            for axis in range(3):
                canonical[start + s, axis] = work.points[axis, s]


@jit
def render_rays(networks, deformation, hashed, guide, batch, work, bent, seen, first, last):
    """Fills rows first … last - 1 of `seen`: red, green, blue, accumulation, weighted depth."""
    at_once = min(TILE // guide.samples, MAX_RAYS)
    for start in range(first, last, at_once):
        end = min(start + at_once, last)
        num_rays = end - start
        count = _sample_tile(batch, guide, hashed.contracted, work, start, end)
        fill_harmonics(batch, work, start, num_rays)
        fill_conditions(batch.conditions, bent, start, num_rays)
        _look(networks, deformation, hashed, work, bent, num_rays, count)
        count = drop_hidden(work, num_rays, 7.0)
        clear_tail(work.geometry, count)
        color_network(networks, work, num_rays, count)
        show_rays(work, seen, start, num_rays)


@jit
def train_tile(
    networks,
    deformation,
    hashed,
    guide,
    batch,
    loss,
    rest,
    work,
    bent,
    gradients,
    d_deformation,
    rays,
    place,
    points,
    d_features,
    per_ray,
):
    """Learns from the rays rays[0] … rays[1] - 1; returns samples used, squared error and loss.

    Adds to `gradients` and `d_deformation`, and writes the samples' canonical positions and
    gradients by level to `points` and `d_features` from `place` on. `rest` weighs displacements.
    """
    first, last = rays
    num_rays = last - first
    listed = _sample_tile(batch, guide, hashed.contracted, work, first, last)
    fill_conditions(batch.conditions, bent, first, num_rays)
    _look(networks, deformation, hashed, work, bent, num_rays, listed)
    count = drop_hidden(work, num_rays, loss.opaque_depth)
    keep_bent(work, bent, listed, count)
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
        total += unbend(deformation, d_deformation, hashed, work, bent, rest, num_rays, count)
    hand_over(hashed, work, place, points, d_features, count)
    return count, squares, total


@jit
def train_tiles(
    networks,
    deformation,
    hashed,
    guide,
    batch,
    loss,
    rest,
    work,
    bent,
    gradients,
    d_deformation,
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
    for tile in range(first, last):
        rays = (tiles[tile, 0], tiles[tile, 1])
        used[tile], error, cost = train_tile(
            networks,
            deformation,
            hashed,
            guide,
            batch,
            loss,
            rest,
            work,
            bent,
            gradients,
            d_deformation,
            rays,
            tiles[tile, 2],
            points,
            d_features,
            per_ray,
        )
        sums[0] += error
        sums[1] += cost
