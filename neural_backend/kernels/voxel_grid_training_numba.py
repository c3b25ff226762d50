# SPDX-License-Identifier: GPL-3.0-or-later
"""The gradient of the voxel field's error, for CPUs: from a ray's samples to the rows it met.

Names are those of `voxel_grid_numba`.
"""

import numpy as np

from .compilation import jit
from .instructions_numba import add_to_row
from .voxel_grid_numba import MAX_SAMPLES, ONE, ZERO, harmonics, trace


@jit
def learn(
    first,
    last,
    origins,
    directions,
    rgba,
    backgrounds,
    jitters,
    gains,
    space,
    index,
    skip,
    rows,
    num_basis,
    distortion,
    surface,
    gradient,
    touched,
    gain_gradient,
    totals,
):
    """Adds the gradient of half the squared error of a span of rays to `gradient` (rows' shape).

    `rgba` is what was seen, straight alpha; both sides are shown over `backgrounds`. `gains`
    brighten the field's color, ray by ray. `distortion` weighs how far apart a ray's light comes
    from; the share `surface` of the error is that of each sample alone. `touched` marks rows with a
    gradient. `totals` gets the sum of the squared errors and the number of samples.
    """
    basis = np.empty(num_basis, np.float32)
    ids, ts = np.empty((MAX_SAMPLES, 8), np.uint32), np.empty(MAX_SAMPLES, np.float32)
    weights, samples = (
        np.empty((MAX_SAMPLES, 8), np.float32),
        np.empty((MAX_SAMPLES, 6), np.float32),
    )
    out, slope = np.empty(5, np.float32), np.zeros(rows.shape[1], np.float32)
    error_sum, num_samples = 0.0, 0
    for ray in range(first, last):
        d = directions[ray]
        harmonics(d[0], d[1], d[2], num_basis, basis)
        count = trace(
            origins[ray], d, jitters[ray], space, index, skip, rows, gradient, basis, True,
            ids, weights, ts, samples, out,
        )  # fmt: skip
        num_samples += count
        alpha, escaped = rgba[ray, 3], out[3]
        b0, b1, b2 = backgrounds[ray, 0], backgrounds[ray, 1], backgrounds[ray, 2]
        k0, k1, k2 = gains[ray, 0], gains[ray, 1], gains[ray, 2]
        t0 = rgba[ray, 0] * alpha + (ONE - alpha) * b0
        t1 = rgba[ray, 1] * alpha + (ONE - alpha) * b1
        t2 = rgba[ray, 2] * alpha + (ONE - alpha) * b2
        e0 = k0 * out[0] + escaped * b0 - t0
        e1 = k1 * out[1] + escaped * b1 - t1
        e2 = k2 * out[2] + escaped * b2 - t2
        error_sum += e0 * e0 + e1 * e1 + e2 * e2
        gain_gradient[ray, 0] = e0 * out[0]
        gain_gradient[ray, 1] = e1 * out[1]
        gain_gradient[ray, 2] = e2 * out[2]
        missed = ZERO
        if surface > ZERO:
            missed = escaped * _miss(b0, b1, b2, t0, t1, t2)
            missed += _miss_of_samples(
                count, surface, k0, k1, k2, t0, t1, t2, samples, gain_gradient[ray]
            )
        rest = _slope_distortion(count, distortion, space, ts, samples)
        _spread(
            count, rest, surface, missed, e0, e1, e2, k0, k1, k2, b0, b1, b2, t0, t1, t2, basis,
            space[12], ids, weights, ts, samples, out, slope, gradient, touched,
        )  # fmt: skip
    totals[0] = error_sum
    totals[1] = num_samples


@jit(inline=True)
def _miss(r, g, b, t0, t1, t2):
    """Half the squared error of what is seen were it all of this color."""
    return np.float32(0.5) * ((r - t0) ** 2 + (g - t1) ** 2 + (b - t2) ** 2)


@jit
def _miss_of_samples(count, surface, k0, k1, k2, t0, t1, t2, samples, by_gain):
    """The sum of what each sample alone would miss, by their weights.

    Of the slopes by the gains in `by_gain` the share `surface` becomes that of this sum.

    Source: Zhang et al. 2025, "Radiance surfaces: optimizing surface representations with a 5D
        radiance field loss" (each sample is held to the pixel's color as if it were the surface).
    """
    total, transmittance = ZERO, ONE
    for channel in range(3):
        by_gain[channel] *= ONE - surface
    for i in range(count):
        weight = transmittance * samples[i, 0]
        r, g, b = samples[i, 2], samples[i, 3], samples[i, 4]
        total += weight * _miss(k0 * r, k1 * g, k2 * b, t0, t1, t2)
        by_gain[0] += surface * weight * (k0 * r - t0) * r
        by_gain[1] += surface * weight * (k1 * g - t1) * g
        by_gain[2] += surface * weight * (k2 * b - t2) * b
        transmittance *= ONE - samples[i, 0]
    return total


@jit
def _slope_distortion(count, scale, space, ts, samples):
    """Fills samples[:, 5] with the slope of the distortion in each sample's weight.

    The distortion is `scale` times the sum over pairs of samples of weight · weight · distance, in
    halves of the bounds, or squeezed into [0, 1) where space is. Returns the sum of the slopes,
    each times its sample's weight.

    Source: Barron et al. 2022, "Mip-NeRF 360", eq. 15; sums along a ray as in Sun et al. 2022,
    "Improved direct voxel grid optimization", eq. 8.
    Differs: without the term of a sample's own length.
    """
    total, moment, transmittance = ZERO, ZERO, ONE
    if scale == ZERO:
        for i in range(count):
            samples[i, 5] = ZERO
        return ZERO
    for i in range(count):
        weight = transmittance * samples[i, 0]
        place = _place(ts[i], space)
        # What is in front of a sample, for now.
        samples[i, 5] = total * place - moment
        total += weight
        moment += weight * place
        transmittance *= ONE - samples[i, 0]
    rest, before, moment_before, transmittance = ZERO, ZERO, ZERO, ONE
    for i in range(count):
        weight = transmittance * samples[i, 0]
        place = _place(ts[i], space)
        before += weight
        moment_before += weight * place
        behind = (moment - moment_before) - (total - before) * place
        samples[i, 5] = np.float32(2) * scale * (samples[i, 5] + behind)
        rest += weight * samples[i, 5]
        transmittance *= ONE - samples[i, 0]
    return rest


@jit(inline=True)
def _place(t, space):
    halves = t * space[3]
    return halves / (ONE + halves) if space[9] > ZERO else halves


@jit
def _spread(
    count,
    rest,
    surface,
    missed,
    e0,
    e1,
    e2,
    k0,
    k1,
    k2,
    b0,
    b1,
    b2,
    t0,
    t1,
    t2,
    basis,
    fade,
    ids,
    weights,
    ts,
    samples,
    out,
    slope,
    gradient,
    touched,
):
    """Adds one ray's gradient, half that of the squared error, to the rows it met.

    With C the ray's color, T the transmittance behind a sample and S what is seen behind it (its
    background included), dC / d(optical depth) = T · color − S. The distortion, whose slopes in the
    weights are in samples[:, 5] and sum up to `rest`, goes the same way, and so does what samples
    miss alone, `missed` in all.
    """
    num_basis, shared = len(basis), ONE - surface
    behind0 = k0 * out[0] + out[3] * b0
    behind1 = k1 * out[1] + out[3] * b1
    behind2 = k2 * out[2] + out[3] * b2
    transmittance = ONE
    for i in range(count):
        opacity = samples[i, 0]
        r, g, b = samples[i, 2], samples[i, 3], samples[i, 4]
        weight = transmittance * opacity
        behind0 -= weight * k0 * r
        behind1 -= weight * k1 * g
        behind2 -= weight * k2 * b
        rest -= weight * samples[i, 5]
        m0, m1, m2 = k0 * r - t0, k1 * g - t1, k2 * b - t2
        miss = _miss(k0 * r, k1 * g, k2 * b, t0, t1, t2)
        missed -= weight * miss
        transmittance *= ONE - opacity
        nearness = min(ONE, ts[i] * ts[i] * fade * fade) if fade > ZERO else ONE
        slope[0] = (
            nearness
            * samples[i, 1]
            * (
                shared * e0 * (transmittance * k0 * r - behind0)
                + shared * e1 * (transmittance * k1 * g - behind1)
                + shared * e2 * (transmittance * k2 * b - behind2)
                + surface * (transmittance * miss - missed)
                + (transmittance * samples[i, 5] - rest)
            )
        )
        weight *= nearness
        h0 = (shared * e0 + surface * m0) * k0 * weight * r * (ONE - r)
        h1 = (shared * e1 + surface * m1) * k1 * weight * g * (ONE - g)
        h2 = (shared * e2 + surface * m2) * k2 * weight * b * (ONE - b)
        for k in range(num_basis):
            slope[1 + 3 * k] = h0 * basis[k]
            slope[2 + 3 * k] = h1 * basis[k]
            slope[3 + 3 * k] = h2 * basis[k]
        for corner in range(8):
            row, share = ids[i, corner], weights[i, corner]
            touched[row] = 1
            add_to_row(gradient, row, share, slope)
