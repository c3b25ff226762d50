# SPDX-License-Identifier: GPL-3.0-or-later
"""The same answers as the library's, by loops that are slow and plain to see."""

import math

import numpy as np
from scipy.special import lpmv


def composite_ray(density, rgb, edges, dtype=float):
    """One ray, front to back: rgb, accumulation and depth, in Python numbers."""
    transmittance, accumulation, depth = 1.0, 0.0, 0.0
    color = [0.0, 0.0, 0.0]
    weights = []
    for sigma, emitted, start, end in zip(density, rgb, edges[:-1], edges[1:], strict=True):
        alpha = 1 - math.exp(-sigma * (end - start))
        weight = transmittance * alpha
        weights.append(weight)
        color = [total + weight * channel for total, channel in zip(color, emitted, strict=True)]
        accumulation += weight
        depth += weight * (start + end) / 2
        transmittance *= 1 - alpha
    return color, accumulation, depth / accumulation if accumulation > 0 else math.inf, weights


def intersect_box_ray(origin, direction, bounds):
    """One ray and one box, a slab at a time; (0, 0) for a miss."""
    near, far = 0.0, math.inf
    for axis in range(3):
        lower, upper = bounds[0][axis], bounds[1][axis]
        if direction[axis] == 0:
            if not lower <= origin[axis] <= upper:
                return 0.0, 0.0
            continue
        first = (lower - origin[axis]) / direction[axis]
        second = (upper - origin[axis]) / direction[axis]
        near, far = max(near, min(first, second)), min(far, max(first, second))
    return (near, far) if far > near else (0.0, 0.0)


def inverse_cdf(edges, weights, quantile):
    """Where a piecewise-constant distribution has `quantile` of its mass below."""
    total = sum(weights)
    below = 0.0
    for start, end, weight in zip(edges[:-1], edges[1:], weights, strict=True):
        share = weight / total
        if share > 0 and below + share > quantile:
            return start + (quantile - below) / share * (end - start)
        below += share
    return edges[-1]


def positional_encoding(coordinates, num_frequencies):
    """Eq. 4 of NeRF for one vector: itself, all sines, all cosines."""
    sines, cosines = [], []
    for octave in range(num_frequencies):
        for value in coordinates:
            sines.append(math.sin(2**octave * math.pi * value))
            cosines.append(math.cos(2**octave * math.pi * value))
    return [*coordinates, *sines, *cosines]


def spherical_harmonic(degree, order, direction):
    """A real spherical harmonic from its definition by associated Legendre functions.

    scipy's `lpmv` already has the Condon-Shortley phase.
    """
    x, y, z = direction
    turn = math.atan2(y, x)
    size = abs(order)
    factor = math.sqrt(
        (2 * degree + 1)
        / (4 * math.pi)
        * math.factorial(degree - size)
        / math.factorial(degree + size)
    )
    along = factor * float(lpmv(size, degree, z))
    if order == 0:
        return along
    around = math.cos(size * turn) if order > 0 else math.sin(size * turn)
    return math.sqrt(2) * along * around


def unit_vectors(count, seed=0):
    """Random unit vectors, (count, 3) float64."""
    vectors = np.random.default_rng(seed).standard_normal((count, 3))
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
