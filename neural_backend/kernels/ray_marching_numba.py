# SPDX-License-Identifier: GPL-3.0-or-later
"""Spreads the samples of a ray by what is roughly known of the density, on the CPU.

The twin of `ray_marching.spread_samples`, whose docstring says where they come to lie.
"""

import math

from .compilation import jit


@jit
def step_at(t, shortest, cone):
    """How many steps from the camera to distance t."""
    if cone <= 0 or t * cone < shortest:
        return t / shortest
    return 1 / cone + math.log(t * cone / shortest) / math.log1p(cone)


@jit
def distance_at(step, shortest, cone):
    """The inverse of `step_at`."""
    if cone <= 0 or step * cone < 1:
        return step * shortest
    return shortest / cone * math.exp((step - 1 / cone) * math.log1p(cone))


@jit
def cascade_of(x, y, z):
    """The smallest cascade, of half width 2^level, that holds a point."""
    reach = max(abs(x), abs(y), abs(z))
    level = 0
    while reach > 1:
        reach *= 0.5
        level += 1
    return level


@jit
def cell_of(x, y, z, level, resolution):
    """The cell that holds a point of that cascade, as an index into the flat grid."""
    scale = 0.5 * resolution / (1 << level)
    i = min(int(x * scale + 0.5 * resolution), resolution - 1)
    j = min(int(y * scale + 0.5 * resolution), resolution - 1)
    k = min(int(z * scale + 0.5 * resolution), resolution - 1)
    return ((level * resolution + i) * resolution + j) * resolution + k


@jit
def _leave_axis(x, slope, scale, resolution):
    """Distance to the next cell border along one axis."""
    place = x * scale + 0.5 * resolution
    if slope > 0:
        return (math.floor(place) + 1 - place) / (scale * slope)
    if slope < 0:
        return (math.ceil(place) - 1 - place) / (scale * slope)
    return math.inf


@jit
def spread_samples(
    origin, direction, near, far, jitter, density, occupied, guide, segments, t_mids, lengths, start
):
    """Writes a ray's samples from `start` on; returns how many there are: `guide.samples` or none.

    `density` and `occupied` are the guide's, or those of one of its slices. `segments` is scratch
    memory of at least 3 rows.
    """
    shortest, cone, most = guide.shortest, guide.cone, guide.samples
    resolution = guide.resolution
    levels = density.shape[0] // (resolution * resolution * resolution)
    x0, y0, z0 = float(origin[0]), float(origin[1]), float(origin[2])
    dx, dy, dz = float(direction[0]), float(direction[1]), float(direction[2])
    end = distance_at(step_at(near, shortest, cone) + jitter, shortest, cone)
    bend = shortest / cone if cone > 0 else math.inf
    behind, total, covered, count = 1.0, 0.0, 0.0, 0
    while count < segments.shape[1]:
        begin = end
        if begin >= bend:
            end = begin * (1 + cone)
        elif begin + shortest <= bend:
            end = begin + shortest
        else:
            end = distance_at(step_at(begin, shortest, cone) + 1, shortest, cone)
        t = 0.5 * (begin + end)
        if t >= far:
            break
        x, y, z = x0 + t * dx, y0 + t * dy, z0 + t * dz
        level = cascade_of(x, y, z)
        if level >= levels:
            if x * dx + y * dy + z * dz > 0:
                break
            continue
        cell = cell_of(x, y, z, level, resolution)
        if (occupied[cell >> 3] >> (cell & 7)) & 1 == 0:
            continue
        length = end - begin
        left = behind * math.exp(-min(density[cell] * length, guide.most_depth))
        total += behind - left + guide.explore
        covered += length
        segments[0, count], segments[1, count], segments[2, count] = begin, covered, total
        count += 1
        behind = left
        if behind < guide.opaque:
            break
    if count == 0:
        return 0
    edge, segment = 0.0, 0
    place = 0
    for sample in range(most):
        share = min(1.0, (sample + jitter) / (most - 1)) * total
        while segment < count - 1 and segments[2, segment] < share:
            segment += 1
        share_before = segments[2, segment - 1] if segment > 0 else 0.0
        covered_before = segments[1, segment - 1] if segment > 0 else 0.0
        fraction = min(1.0, (share - share_before) / (segments[2, segment] - share_before))
        following = covered_before + fraction * (segments[1, segment] - covered_before)
        middle = 0.5 * (edge + following)
        while place < count - 1 and segments[1, place] < middle:
            place += 1
        covered_before = segments[1, place - 1] if place > 0 else 0.0
        t_mids[start + sample] = segments[0, place] + middle - covered_before
        lengths[start + sample] = following - edge
        edge = following
    return most
