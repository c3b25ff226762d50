# SPDX-License-Identifier: GPL-3.0-or-later
"""The voxel field's hot loops for CPUs: one ray at a time, from marching to gradients.

A ray is marched, interpolated, composited and differentiated while its samples are still in the
processor's nearest cache; nothing of it is ever stored. Names used throughout the file:
`space` is described in `kernels.voxel_grid.Space.packed`; `index` is the grid of rows, −1 for
voxels that are not stored; `skip` counts the cells that may be jumped from a cell, 0 where it must
be sampled; `rows` holds a voxel a row: raw density, then spherical-harmonic coefficients, color by
color.
"""

import numpy as np

from .compilation import jit
from .instructions_numba import blend_rows, float_of_bits, prefetch_row

ZERO, ONE = np.float32(0.0), np.float32(1.0)
MAX_SAMPLES = 1024
"""Along one ray; the finest grid's diagonal is shorter."""
NEGLIGIBLE = np.float32(1e-3)
"""Transmittance behind which nothing is looked for."""
INVISIBLE = np.float32(-10.0)
"""Raw density of a sample whose color is not worth looking up while only rendering."""
LOOK_AHEAD = 8
"""Samples that are marched to before the first of them is looked at, so that memory can answer."""
FARTHEST = np.float32(0.995)
"""Unbounded rays end where 1 − 1/reach is larger."""
ENDLESS = np.float32(1e30)


@jit(inline=True)
def exponential(x):
    """2^n times a polynomial for the rest: 2e-7 off, several times faster than libm's."""
    y = min(max(x * np.float32(1.442695041), np.float32(-126.0)), np.float32(126.0))
    whole = np.floor(y)
    f = y - whole
    p = np.float32(1.8775767e-3)
    p = p * f + np.float32(8.9893397e-3)
    p = p * f + np.float32(5.5826318e-2)
    p = p * f + np.float32(2.4015361e-1)
    p = p * f + np.float32(6.9315308e-1)
    p = p * f + np.float32(9.9999994e-1)
    return p * float_of_bits((np.int32(whole) + np.int32(127)) << np.int32(23))


@jit(inline=True)
def _sigmoid(x):
    return ONE / (ONE + exponential(-x))


@jit
def harmonics(x, y, z, num_basis, basis):
    """Real spherical harmonics of a unit direction, to degree 2, into `basis`."""
    basis[0] = np.float32(0.28209479177387814)
    if num_basis > 1:
        basis[1] = np.float32(-0.4886025119029199) * y
        basis[2] = np.float32(0.4886025119029199) * z
        basis[3] = np.float32(-0.4886025119029199) * x
    if num_basis > 4:
        basis[4] = np.float32(1.0925484305920792) * x * y
        basis[5] = np.float32(-1.0925484305920792) * y * z
        basis[6] = np.float32(0.31539156525252005) * (np.float32(3.0) * z * z - ONE)
        basis[7] = np.float32(-1.0925484305920792) * x * z
        basis[8] = np.float32(0.5462742152960396) * (x * x - y * y)


@jit
def _march(origin, direction, t, t_end, space, index, skip, rows, gradient, room, ids, weights, ts):
    """Finds the next samples of a ray, up to `room`, and asks for their rows from memory.

    `ids` and `weights` get the eight corners of each, `ts` their distances. Returns how many there
    are and where to go on; a distance past `t_end` at the ray's end.
    """
    inverse_half, per_unit, length, shell = space[3], space[7], space[8], space[9]
    n0, n1 = np.uint32(skip.shape[0] - 1), np.uint32(skip.shape[1] - 1)
    n2 = np.uint32(skip.shape[2] - 1)
    row_stride = np.uint32(skip.shape[2])
    plane_stride = np.uint32(skip.shape[1] * skip.shape[2])
    one = np.uint32(1)
    ux = (origin[0] - space[0]) * inverse_half
    uy = (origin[1] - space[1]) * inverse_half
    uz = (origin[2] - space[2]) * inverse_half
    vx, vy = direction[0] * inverse_half, direction[1] * inverse_half
    vz = direction[2] * inverse_half
    step = length / inverse_half
    count = np.uint32(0)
    while t < t_end and count < room:
        x, y, z = ux + t * vx, uy + t * vy, uz + t * vz
        stride = step
        outside = False
        if shell > ZERO:
            reach = max(abs(x), max(abs(y), abs(z)))
            if reach > ONE:
                outside = True
                squeeze = (ONE + shell - shell / reach) / reach
                x, y, z = x * squeeze, y * squeeze, z * squeeze
                stride = step * reach * reach
                if ONE - ONE / reach > FARTHEST:
                    t = ENDLESS
                    break
        x = (x + space[4]) * per_unit
        y = (y + space[5]) * per_unit
        z = (z + space[6]) * per_unit
        ix, iy, iz = np.uint32(np.int32(x)), np.uint32(np.int32(y)), np.uint32(np.int32(z))
        if ix >= n0 or iy >= n1 or iz >= n2:
            t += stride
            continue
        jump = skip[ix, iy, iz]
        if jump > 0:
            if not outside:
                stride = step * max(ONE, np.floor(np.float32(jump) / (length * per_unit)))
            t += stride
            continue
        base = ix * plane_stride + iy * row_stride + iz
        ids[count, 0], ids[count, 1] = np.uint32(index[base]), np.uint32(index[base + one])
        base += row_stride
        ids[count, 2], ids[count, 3] = np.uint32(index[base]), np.uint32(index[base + one])
        base += plane_stride
        ids[count, 6], ids[count, 7] = np.uint32(index[base]), np.uint32(index[base + one])
        base -= row_stride
        ids[count, 4], ids[count, 5] = np.uint32(index[base]), np.uint32(index[base + one])
        for corner in range(8):
            prefetch_row(rows, ids[count, corner], np.uint32(0))
            prefetch_row(gradient, ids[count, corner], np.uint32(0))
        fx, fy, fz = x - np.float32(ix), y - np.float32(iy), z - np.float32(iz)
        gx, gy, gz = ONE - fx, ONE - fy, ONE - fz
        a, b, c, d = gx * gy, gx * fy, fx * gy, fx * fy
        weights[count, 0], weights[count, 1] = a * gz, a * fz
        weights[count, 2], weights[count, 3] = b * gz, b * fz
        weights[count, 4], weights[count, 5] = c * gz, c * fz
        weights[count, 6], weights[count, 7] = d * gz, d * fz
        ts[count] = t
        count += one
        t += stride
    return count, t


@jit
def trace(
    origin,
    direction,
    jitter,
    space,
    index,
    skip,
    rows,
    gradient,
    basis,
    learning,
    ids,
    weights,
    ts,
    samples,
    out,
):
    """Marches and composites one ray front to back. Returns the number of samples kept.

    `samples` gets (opacity, slope of the optical depth, r, g, b) of each, `ids` and `weights` their
    eight corners, `out` r, g, b, transmittance and the sum of weight · t.
    """
    length, density_scale = space[8], space[11]
    num_basis = np.uint32(len(basis))
    feature = np.empty(32, np.float32)
    t, t_end = space[10], ENDLESS
    if space[9] == ZERO:
        for axis in range(3):
            start = (origin[axis] - space[axis]) * space[3]
            slope = direction[axis] * space[3]
            if abs(slope) > np.float32(1e-12):
                a = (-space[4 + axis] - start) / slope
                b = (space[4 + axis] - start) / slope
                t, t_end = max(t, min(a, b)), min(t_end, max(a, b))
            elif abs(start) > space[4 + axis]:
                t_end = np.float32(-1.0)
    t += jitter * length / space[3]
    transmittance, red, green, blue, depth = ONE, ZERO, ZERO, ZERO, ZERO
    kept = np.uint32(0)
    while t < t_end and transmittance >= NEGLIGIBLE:
        room = min(np.uint32(LOOK_AHEAD), np.uint32(len(ids)) - kept)
        if room == 0:
            break
        first = kept
        found, t = _march(
            origin, direction, t, t_end, space, index, skip, rows, gradient, room,
            ids[first:], weights[first:], ts[first:],
        )  # fmt: skip
        for sample in range(first, first + found):
            i0, i1, i2, i3 = ids[sample, 0], ids[sample, 1], ids[sample, 2], ids[sample, 3]
            i4, i5, i6, i7 = ids[sample, 4], ids[sample, 5], ids[sample, 6], ids[sample, 7]
            w0, w1, w2 = weights[sample, 0], weights[sample, 1], weights[sample, 2]
            w3, w4, w5 = weights[sample, 3], weights[sample, 4], weights[sample, 5]
            w6, w7 = weights[sample, 6], weights[sample, 7]
            if not learning:
                raw = (
                    w0 * rows[i0, 0] + w1 * rows[i1, 0] + w2 * rows[i2, 0] + w3 * rows[i3, 0]
                    + w4 * rows[i4, 0] + w5 * rows[i5, 0] + w6 * rows[i6, 0] + w7 * rows[i7, 0]
                )  # fmt: skip
                if raw < INVISIBLE:
                    continue
            blend_rows(rows, ids, weights, np.uint32(sample), feature)
            raw = feature[0]
            e = exponential(-abs(raw))
            density = density_scale * (max(raw, ZERO) + np.log(ONE + e))
            opacity = ONE - exponential(-density * length)
            r, g, b = ZERO, ZERO, ZERO
            for k in range(num_basis):
                r += feature[1 + 3 * k] * basis[k]
                g += feature[2 + 3 * k] * basis[k]
                b += feature[3 + 3 * k] * basis[k]
            r, g, b = _sigmoid(r), _sigmoid(g), _sigmoid(b)
            weight = transmittance * opacity
            red += weight * r
            green += weight * g
            blue += weight * b
            depth += weight * ts[sample]
            transmittance *= ONE - opacity
            if learning:
                samples[sample, 0] = opacity
                samples[sample, 1] = (
                    length * density_scale * (ONE if raw >= ZERO else e) / (ONE + e)
                )
                samples[sample, 2], samples[sample, 3], samples[sample, 4] = r, g, b
                kept += np.uint32(1)
            if transmittance < NEGLIGIBLE:
                break
    out[0], out[1], out[2], out[3], out[4] = red, green, blue, transmittance, depth
    return kept


@jit
def render(first, last, origins, directions, space, index, skip, rows, num_basis, out):
    """Fills `out` (rays, 5) for a span of rays: premultiplied color, transmittance, depth sum."""
    basis = np.empty(num_basis, np.float32)
    ids, ts = np.empty((LOOK_AHEAD, 8), np.uint32), np.empty(LOOK_AHEAD, np.float32)
    weights, samples = np.empty((LOOK_AHEAD, 8), np.float32), np.empty((1, 5), np.float32)
    for ray in range(first, last):
        d = directions[ray]
        harmonics(d[0], d[1], d[2], num_basis, basis)
        trace(
            origins[ray], d, np.float32(0.5), space, index, skip, rows, rows, basis, False,
            ids, weights, ts, samples, out[ray],
        )  # fmt: skip
