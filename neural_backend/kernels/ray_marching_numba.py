# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the samples of rays that lie in occupied cells, on the CPU.

The twin of `ray_marching.march` in plain torch, whose docstring says what is found.
"""

import math

import numpy as np

from .compilation import jit


@jit
def step_at(t, shortest, cone):  # noqa: ANN001, ANN201
    """How many steps from the camera to distance t."""
    if cone <= 0 or t * cone < shortest:
        return t / shortest
    return 1 / cone + math.log(t * cone / shortest) / math.log1p(cone)


@jit
def distance_at(step, shortest, cone):  # noqa: ANN001, ANN201
    """The inverse of `step_at`."""
    if cone <= 0 or step * cone < 1:
        return step * shortest
    return shortest / cone * math.exp((step - 1 / cone) * math.log1p(cone))


@jit
def cascade_of(x, y, z):  # noqa: ANN001, ANN201
    """The smallest cascade, of half width 2^level, that holds a point."""
    reach = max(abs(x), abs(y), abs(z))
    level = 0
    while reach > 1:
        reach *= 0.5
        level += 1
    return level


@jit
def cell_of(x, y, z, level, resolution):  # noqa: ANN001, ANN201
    """The cell that holds a point of that cascade, as an index into the flat grid."""
    scale = 0.5 * resolution / (1 << level)
    i = min(int(x * scale + 0.5 * resolution), resolution - 1)
    j = min(int(y * scale + 0.5 * resolution), resolution - 1)
    k = min(int(z * scale + 0.5 * resolution), resolution - 1)
    return ((level * resolution + i) * resolution + j) * resolution + k


@jit
def _leave_axis(x, slope, scale, resolution):  # noqa: ANN001, ANN202
    """Distance to the next cell border along one axis."""
    place = x * scale + 0.5 * resolution
    if slope > 0:
        return (math.floor(place) + 1 - place) / (scale * slope)
    if slope < 0:
        return (math.ceil(place) - 1 - place) / (scale * slope)
    return math.inf


@jit
def march(origin, direction, at, far, grid, resolution, step, most, t_mids, lengths, start):  # noqa: ANN001, ANN201
    """Writes at most `most` of a ray's samples, from `start` on.

    `at` is the number of steps from the camera to where it begins, `step` is (shortest, cone).
    Returns how many samples there are and where the next one would begin; infinity at the ray's
    end. Samples for which there is no room are counted but not written.
    """
    shortest, cone = step
    levels = grid.shape[0] // (resolution * resolution * resolution)
    x0, y0, z0 = float(origin[0]), float(origin[1]), float(origin[2])
    dx, dy, dz = float(direction[0]), float(direction[1]), float(direction[2])
    room = t_mids.shape[0] - start
    count = 0
    while count < most:
        t = distance_at(at + 0.5, shortest, cone)
        if t >= far:
            return count, math.inf
        x, y, z = x0 + t * dx, y0 + t * dy, z0 + t * dz
        level = cascade_of(x, y, z)
        if level >= levels:
            # Outside all cascades: the ray has left them for good, or is still on its way there.
            if x * dx + y * dy + z * dz > 0:
                return count, math.inf
            at += 1
        elif grid[cell_of(x, y, z, level, resolution)]:
            if count < room:
                end = distance_at(at + 1, shortest, cone)
                t_mids[start + count] = t
                lengths[start + count] = end - distance_at(at, shortest, cone)
            count += 1
            at += 1
        else:
            scale = 0.5 * resolution / (1 << level)
            away = min(
                _leave_axis(x, dx, scale, resolution),
                _leave_axis(y, dy, scale, resolution),
                _leave_axis(z, dz, scale, resolution),
            )
            at += max(1, math.ceil(step_at(t + away, shortest, cone) - (at + 0.5)))
    return count, at


@jit
def count_samples(  # noqa: ANN201
    origins, directions, nears, fars, jitters, grid, resolution, step, most, counts, first, last
):  # noqa: ANN001
    """How many samples, up to `most`, each of the rays first … last - 1 has."""
    nowhere = np.empty(0, np.float32)
    for ray in range(first, last):
        counts[ray], _ = march(
            origins[ray],
            directions[ray],
            step_at(nears[ray], step[0], step[1]) + jitters[ray],
            fars[ray],
            grid,
            resolution,
            step,
            most,
            nowhere,
            nowhere,
            0,
        )
