# SPDX-License-Identifier: GPL-3.0-or-later
"""A small network that bends space, on the CPU: tiles of samples through it and back.

It reads a position in the hash grid's cube and what is told of the ray's time, and writes where in
the canonical cube the sample lies and a few features that are handed on as they are. Matrices of
samples are (features, samples), as in `instant_ngp_numba`.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .compilation import jit
from .dense_numba import add_outer, multiply, multiply_transposed
from .hash_grid_slope_numba import add_point_gradient
from .instant_ngp_numba import RAY_ROW, ROW, clear_tail, mask_gradient, rectify


class Bent(NamedTuple):
    """Room for what the deformation knows of one tile."""

    encoded: NDArray[np.float32]
    first: NDArray[np.float32]
    second: NDArray[np.float32]
    moved: NDArray[np.float32]
    d_moved: NDArray[np.float32]
    d_first: NDArray[np.float32]
    d_second: NDArray[np.float32]
    ray_conditions: NDArray[np.float32]
    ray_hidden: NDArray[np.float32]


def make_bent(inputs: int, conditions: int, width: int, outputs: int) -> Bent:
    """Memory for one thread, to be used again and again."""

    def room(rows: int, row: int = ROW) -> NDArray[np.float32]:
        return np.zeros((rows, row), np.float32)

    return Bent(
        encoded=room(inputs),
        first=room(width),
        second=room(width),
        moved=room(outputs),
        d_moved=room(outputs),
        d_first=room(width),
        d_second=room(width),
        ray_conditions=room(conditions, RAY_ROW),
        ray_hidden=room(width, RAY_ROW),
    )


@jit
def _encode_positions(points, encoded, count):
    """The position in [-1, 1], sines and cosines of its octaves, and ones for the bias.

    Source: Mildenhall et al. 2020, "NeRF", eq. 4; octaves by doubling the angle.
    """
    octaves = (encoded.shape[0] - 3) // 6
    one, two, half_turn = np.float32(1), np.float32(2), np.float32(math.pi)
    for axis in range(3):
        for s in range(count):
            encoded[axis, s] = two * points[axis, s] - one
    for axis in range(3):
        for octave in range(octaves):
            sine, cosine = encoded[3 + 6 * octave + axis], encoded[6 + 6 * octave + axis]
            if octave == 0:
                for s in range(count):
                    angle = half_turn * encoded[axis, s]
                    sine[s], cosine[s] = math.sin(angle), math.cos(angle)
                continue
            low_sine, low_cosine = encoded[6 * octave - 3 + axis], encoded[6 * octave + axis]
            for s in range(count):
                sine[s] = two * low_sine[s] * low_cosine[s]
                cosine[s] = one - two * low_sine[s] * low_sine[s]
    for row in range(3 + 6 * octaves, encoded.shape[0]):
        encoded[row, :count] = one
    clear_tail(encoded, count)


@jit
def fill_conditions(conditions, bent, first, num_rays):
    """Takes over what the deformation is told of the times of some rays."""
    for ray in range(num_rays):
        for row in range(bent.ray_conditions.shape[0]):
            bent.ray_conditions[row, ray] = conditions[first + ray, row]
    clear_tail(bent.ray_conditions, num_rays)


@jit
def bend(deformation, work, bent, num_hashed, num_rays, count):
    """Moves `work.points` into the canonical cube; writes `features` from row num_hashed on.

    Rays own the samples between `work.firsts`.
    """
    _encode_positions(work.points, bent.encoded, count)
    multiply(deformation.from_condition, bent.ray_conditions, bent.ray_hidden, num_rays)
    multiply(deformation.from_position, bent.encoded, bent.first, count)
    zero = np.float32(0)
    for row in range(bent.first.shape[0]):
        line, along = bent.first[row], bent.ray_hidden[row]
        for ray in range(num_rays):
            extra = along[ray]
            for s in range(work.firsts[ray], work.firsts[ray + 1]):
                line[s] = max(line[s] + extra, zero)
    clear_tail(bent.first, count)
    multiply(deformation.hidden, bent.first, bent.second, count)
    rectify(bent.second, count)
    multiply(deformation.out, bent.second, bent.moved, count)
    reach = np.float32(deformation.reach)
    for axis in range(3):
        for s in range(count):
            bent.moved[axis, s] *= reach
            work.points[axis, s] += bent.moved[axis, s]
    for row in range(work.features.shape[0] - num_hashed):
        for s in range(count):
            work.features[num_hashed + row, s] = bent.moved[3 + row, s]


@jit
def keep_bent(work, bent, old, kept):
    """Follows `drop_hidden`, which took `old` - `kept` samples out of the tile."""
    if kept < old:
        for matrix in (bent.encoded, bent.first, bent.second, bent.moved):
            for row in range(matrix.shape[0]):
                line = matrix[row]
                for s in range(kept):
                    line[s] = line[work.rays[s]]
    for matrix in (bent.encoded, bent.first, bent.second, bent.moved):
        clear_tail(matrix, kept)


@jit
def unbend(deformation, gradients, hashed, work, bent, rest, num_rays, count):
    """From `work.d_features` to the gradients of the deformation's weights, which are added to.

    `rest` weighs the squares of the displacements, by what the samples show; returns what they
    cost. The slope of that goes to the displacements alone.
    """
    num_hashed = hashed.resolutions.shape[0] * hashed.table.shape[1]
    for row in range(bent.d_moved.shape[0]):
        bent.d_moved[row, :count] = 0
    for row in range(work.features.shape[0] - num_hashed):
        for s in range(count):
            bent.d_moved[3 + row, s] = work.d_features[num_hashed + row, s]
    add_point_gradient(
        work.points,
        hashed.table,
        hashed.resolutions,
        hashed.offsets,
        work.d_features,
        bent.d_moved,
        0,
        count,
    )
    cost = 0.0
    for axis in range(3):
        for s in range(count):
            slope = rest * work.weights[s] * bent.moved[axis, s]
            bent.d_moved[axis, s] = (bent.d_moved[axis, s] + 2 * slope) * deformation.reach
            cost += slope * bent.moved[axis, s]
    clear_tail(bent.d_moved, count)
    add_outer(bent.d_moved, bent.second, gradients.out, count)
    multiply_transposed(deformation.out, bent.d_moved, bent.d_second, count)
    mask_gradient(bent.d_second, bent.second, count)
    add_outer(bent.d_second, bent.first, gradients.hidden, count)
    multiply_transposed(deformation.hidden, bent.d_second, bent.d_first, count)
    mask_gradient(bent.d_first, bent.first, count)
    clear_tail(bent.d_first, count)
    add_outer(bent.d_first, bent.encoded, gradients.from_position, count)
    for row in range(bent.d_first.shape[0]):
        for ray in range(num_rays):
            total = np.float32(0)
            for s in range(work.firsts[ray], work.firsts[ray + 1]):
                total += bent.d_first[row, s]
            bent.ray_hidden[row, ray] = total
    clear_tail(bent.ray_hidden, num_rays)
    add_outer(bent.ray_hidden, bent.ray_conditions, gradients.from_condition, num_rays)
    return cost
