# SPDX-License-Identifier: GPL-3.0-or-later
"""A sparse voxel grid in Triton: one lane marches one ray; to learn, it marches three times.

Nothing is kept of samples: the first march finds what the ray sees, the second, where distortion
counts, where its light comes from, and the last gives each sample its slope.
"""

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor

if TYPE_CHECKING:
    from .voxel_grid import Grid, GridRays

_RAYS = 16
"""Of a program. One warp marches them: none waits at a barrier, and few for a longer ray."""
_FARTHEST = tl.constexpr(0.995)
_OPAQUE = tl.constexpr(1e-3)
_ENDLESS = tl.constexpr(1e30)


def render(grid: "Grid", origins: Tensor, directions: Tensor) -> Float[Tensor, "rays 5"]:
    """See `kernels.voxel_grid.render`."""
    out = torch.empty(len(origins), 5, device=origins.device)
    if len(origins):
        _render[(triton.cdiv(len(origins), _RAYS),)](
            origins.contiguous(), directions.contiguous(), *_grid(grid), out, len(origins),
            CHANNELS=grid.rows.shape[1], BASIS=grid.num_basis, RAYS=_RAYS, num_warps=1,
        )  # fmt: skip
    return out


def learn(
    grid: "Grid",
    rays: "GridRays",
    gradient: Tensor,
    touched: Tensor,
    gain_gradient: Tensor,
    distortion: float = 0.0,
    surface: float = 0.0,
) -> tuple[Tensor, int]:
    """See `kernels.voxel_grid.learn`."""
    count = len(rays.origins)
    squares = torch.zeros((), device=grid.rows.device)
    if count:
        _learn[(triton.cdiv(count, _RAYS),)](
            *(part.contiguous() for part in vars(rays).values()), *_grid(grid),
            gradient, gradient.stride(0), touched, gain_gradient, squares, distortion, surface,
            count, CHANNELS=grid.rows.shape[1], BASIS=grid.num_basis, SPREADS=distortion > 0,
            ALONE=surface > 0, RAYS=_RAYS, num_warps=1,
        )  # fmt: skip
    return squares, -1


def _grid(grid: "Grid") -> tuple[object, ...]:
    """What the kernels read of a grid."""
    sizes = grid.index.shape
    space = tuple(float(number) for number in grid.space.packed())
    return grid.index, grid.skip, grid.rows, grid.rows.stride(0), *sizes, space


@triton.jit
def _basis(x, y, z, channel, BASIS: tl.constexpr):
    """By ray and channel of a row: how much it adds to its color before the sigmoid.

    A row is its raw density, then color by color the harmonics to degree 2.
    """
    x, y, z = x[:, None], y[:, None], z[:, None]
    number = ((channel - 1) // 3)[None, :]
    value = tl.where(number == 0, 0.28209479177387814, 0.0 * x)
    if BASIS > 1:
        value = tl.where(number == 1, -0.4886025119029199 * y, value)
        value = tl.where(number == 2, 0.4886025119029199 * z, value)
        value = tl.where(number == 3, -0.4886025119029199 * x, value)
    if BASIS > 4:
        value = tl.where(number == 4, 1.0925484305920792 * x * y, value)
        value = tl.where(number == 5, -1.0925484305920792 * y * z, value)
        value = tl.where(number == 6, 0.31539156525252005 * (3 * z * z - 1), value)
        value = tl.where(number == 7, -1.0925484305920792 * x * z, value)
        value = tl.where(number == 8, 0.5462742152960396 * (x * x - y * y), value)
    used = (channel >= 1) & (channel < 1 + 3 * BASIS)
    return tl.where(used[None, :], value, 0.0)


@triton.jit
def _enter(ox, oy, oz, dx, dy, dz, jitter, space):
    """Where rays begin and end, in scene units."""
    t = tl.zeros_like(jitter) + space[10]
    end = tl.zeros_like(jitter) + _ENDLESS
    if space[9] == 0:
        t, end = _between(t, end, (ox - space[0]) * space[3], dx * space[3], space[4])
        t, end = _between(t, end, (oy - space[1]) * space[3], dy * space[3], space[5])
        t, end = _between(t, end, (oz - space[2]) * space[3], dz * space[3], space[6])
    return t + jitter * (space[8] / space[3]), end


@triton.jit
def _between(t, end, start, slope, extent):
    safe = tl.where(tl.abs(slope) > 1e-12, slope, 1e-12)
    one, other = (-extent - start) / safe, (extent - start) / safe
    return tl.maximum(t, tl.minimum(one, other)), tl.minimum(end, tl.maximum(one, other))


@triton.jit
def _look(
    t, end, alive, ox, oy, oz, dx, dy, dz, index, skip, rows, row_stride, size_x, size_y, size_z,
    space, channel, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Where rays are at t: whether they are still on their way, whether there is a sample, its
    channels, the distance to the next, and what finds its corners again.
    """
    x = (ox + t * dx - space[0]) * space[3]
    y = (oy + t * dy - space[1]) * space[3]
    z = (oz + t * dz - space[2]) * space[3]
    reach = tl.full(t.shape, 1.0, tl.float32)
    if space[9] > 0:
        # See `geometry.contraction`.
        reach = tl.maximum(tl.maximum(tl.maximum(tl.abs(x), tl.abs(y)), tl.abs(z)), 1.0)
        shrink = (1 + space[9] - space[9] / reach) / reach
        x, y, z = x * shrink, y * shrink, z * shrink
    alive = alive & (t < end) & (1 - 1 / reach <= _FARTHEST)
    x, y, z = (x + space[4]) * space[7], (y + space[5]) * space[7], (z + space[6]) * space[7]
    cell_x, cell_y, cell_z = tl.floor(x), tl.floor(y), tl.floor(z)
    i, j, k = cell_x.to(tl.int32), cell_y.to(tl.int32), cell_z.to(tl.int32)
    inside = (x >= 0) & (y >= 0) & (z >= 0) & (i < size_x - 1) & (j < size_y - 1) & (k < size_z - 1)
    corner = (i.to(tl.int64) * size_y + j) * size_z + k
    jump = tl.load(skip + corner, mask=alive & inside, other=1).to(tl.int32)
    sampled = alive & inside & (jump == 0)
    u, v, w = x - cell_x, y - cell_y, z - cell_z
    features = tl.zeros((t.shape[0], CHANNELS), tl.float32)
    for number in tl.static_range(8):
        row, share = _corner(number, corner, u, v, w, index, size_y, size_z, sampled)
        places = row[:, None] * row_stride + channel
        features += share[:, None] * tl.load(rows + places, mask=sampled[:, None], other=0.0)
    jumped = tl.maximum(tl.floor(jump.to(tl.float32) / (space[8] * space[7])), 1.0)
    step = space[8] / space[3] * tl.where(reach > 1, reach * reach, jumped)
    # Rays at their end wait there for the others: far away steps grow beyond all numbers.
    return alive, sampled, features, tl.where(alive, step, 0.0), corner, u, v, w


@triton.jit
def _corner(number: tl.constexpr, corner, u, v, w, index, size_y, size_z, sampled):
    """The row of a cell's corner and its share."""
    a: tl.constexpr = number >> 2
    b: tl.constexpr = (number >> 1) & 1
    c: tl.constexpr = number & 1
    share = (u if a else 1 - u) * (v if b else 1 - v) * (w if c else 1 - w)
    place = corner + (a * size_y + b) * size_z + c
    return tl.load(index + place, mask=sampled, other=0).to(tl.int64), share


@triton.jit
def _shade(features, basis, channel, sampled, space):
    """Slope of the optical depth by the raw density, opacity, and the three colors."""
    raw = tl.sum(tl.where(channel[None, :] == 0, features, 0.0), axis=1)
    # softplus, which is raw itself where exp would overflow
    soft = tl.where(raw > 20, raw, tl.log(1 + tl.exp(tl.minimum(raw, 20.0))))
    scale = space[11] * space[8]
    depth = scale * soft
    opacity = tl.where(depth < 0.01, depth * (1 - depth * (0.5 - depth / 6)), 1 - tl.exp(-depth))
    color = features * basis
    which = (channel - 1) % 3
    used = (channel >= 1)[None, :]
    red = tl.sigmoid(tl.sum(tl.where(used & (which == 0)[None, :], color, 0.0), axis=1))
    green = tl.sigmoid(tl.sum(tl.where(used & (which == 1)[None, :], color, 0.0), axis=1))
    blue = tl.sigmoid(tl.sum(tl.where(used & (which == 2)[None, :], color, 0.0), axis=1))
    return scale * tl.sigmoid(raw), tl.where(sampled, opacity, 0.0), red, green, blue


@triton.jit
def _trace(
    t, end, alive, ox, oy, oz, dx, dy, dz, index, skip, rows, row_stride, size_x, size_y, size_z,
    space, basis, channel, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Premultiplied color, transmittance, and the sum of weight · distance."""
    red, green, blue = tl.zeros_like(t), tl.zeros_like(t), tl.zeros_like(t)
    passes, depth = tl.full(t.shape, 1.0, tl.float32), tl.zeros_like(t)
    while tl.max(alive.to(tl.int32), axis=0) > 0:
        alive, sampled, features, step, _, _, _, _ = _look(
            t, end, alive, ox, oy, oz, dx, dy, dz, index, skip, rows, row_stride,
            size_x, size_y, size_z, space, channel, CHANNELS,
        )  # fmt: skip
        _, opacity, r, g, b = _shade(features, basis, channel, sampled, space)
        weight = passes * opacity
        red, green, blue = red + weight * r, green + weight * g, blue + weight * b
        depth += weight * t
        passes *= 1 - opacity
        alive = alive & (passes >= _OPAQUE)
        t += step
    return red, green, blue, passes, depth


@triton.jit(do_not_specialize=["size_x", "size_y", "size_z", "count"])
def _render(
    origins, directions, index, skip, rows, row_stride, size_x, size_y, size_z, space, out, count,
    CHANNELS: tl.constexpr, BASIS: tl.constexpr, RAYS: tl.constexpr,
):  # fmt: skip
    ray = tl.program_id(0).to(tl.int64) * RAYS + tl.arange(0, RAYS)
    alive = ray < count
    ox, oy, oz = _vector(origins, ray, alive)
    dx, dy, dz = _vector(directions, ray, alive)
    channel = tl.arange(0, CHANNELS)
    basis = _basis(dx, dy, dz, channel, BASIS)
    half = tl.full((RAYS,), 0.5, tl.float32)
    t, end = _enter(ox, oy, oz, dx, dy, dz, half, space)
    red, green, blue, passes, depth = _trace(
        t, end, alive, ox, oy, oz, dx, dy, dz, index, skip, rows, row_stride,
        size_x, size_y, size_z, space, basis, channel, CHANNELS,
    )  # fmt: skip
    tl.store(out + 5 * ray, red, mask=alive)
    tl.store(out + 5 * ray + 1, green, mask=alive)
    tl.store(out + 5 * ray + 2, blue, mask=alive)
    tl.store(out + 5 * ray + 3, passes, mask=alive)
    tl.store(out + 5 * ray + 4, depth, mask=alive)


@triton.jit
def _vector(table, row, inside):
    x = tl.load(table + 3 * row, mask=inside, other=0.0)
    y = tl.load(table + 3 * row + 1, mask=inside, other=0.0)
    return x, y, tl.load(table + 3 * row + 2, mask=inside, other=1.0)


@triton.jit
def _place(t, space):
    """Where along a ray the distortion sees t."""
    halves = t * space[3]
    if space[9] > 0:
        return halves / (1 + halves)
    return halves


@triton.jit
def _miss(red, green, blue, target_r, target_g, target_b):
    """Half the squared error of what is seen were it all of this color."""
    off_r, off_g, off_b = red - target_r, green - target_g, blue - target_b
    return 0.5 * (off_r * off_r + off_g * off_g + off_b * off_b)


@triton.jit(do_not_specialize=["size_x", "size_y", "size_z", "count"])
def _learn(
    origins, directions, rgba, backgrounds, jitters, gains,
    index, skip, rows, row_stride, size_x, size_y, size_z, space,
    gradient, gradient_stride, touched, gain_gradient, squares, distortion, surface, count,
    CHANNELS: tl.constexpr, BASIS: tl.constexpr, SPREADS: tl.constexpr, ALONE: tl.constexpr,
    RAYS: tl.constexpr,
):  # fmt: skip
    ray = tl.program_id(0).to(tl.int64) * RAYS + tl.arange(0, RAYS)
    begun = ray < count
    ox, oy, oz = _vector(origins, ray, begun)
    dx, dy, dz = _vector(directions, ray, begun)
    channel = tl.arange(0, CHANNELS)
    basis = _basis(dx, dy, dz, channel, BASIS)
    jitter = tl.load(jitters + ray, mask=begun, other=0.0)
    start, end = _enter(ox, oy, oz, dx, dy, dz, jitter, space)
    red, green, blue, escaped, _ = _trace(
        start, end, begun, ox, oy, oz, dx, dy, dz, index, skip, rows, row_stride,
        size_x, size_y, size_z, space, basis, channel, CHANNELS,
    )  # fmt: skip

    alpha = tl.load(rgba + 4 * ray + 3, mask=begun, other=0.0)
    seen_r = tl.load(rgba + 4 * ray, mask=begun, other=0.0)
    seen_g = tl.load(rgba + 4 * ray + 1, mask=begun, other=0.0)
    seen_b = tl.load(rgba + 4 * ray + 2, mask=begun, other=0.0)
    back_r, back_g, back_b = _vector(backgrounds, ray, begun)
    gain_r, gain_g, gain_b = _vector(gains, ray, begun)
    # Behind what is opaque of the picture, and behind what the ray meets, lies the background.
    clear = escaped - (1 - alpha)
    error_r = tl.where(begun, gain_r * red + clear * back_r - seen_r * alpha, 0.0)
    error_g = tl.where(begun, gain_g * green + clear * back_g - seen_g * alpha, 0.0)
    error_b = tl.where(begun, gain_b * blue + clear * back_b - seen_b * alpha, 0.0)
    all_squares = tl.sum(error_r * error_r + error_g * error_g + error_b * error_b, axis=0)
    tl.atomic_add(squares, all_squares, sem="relaxed")
    target_r = seen_r * alpha + (1 - alpha) * back_r
    target_g = seen_g * alpha + (1 - alpha) * back_g
    target_b = seen_b * alpha + (1 - alpha) * back_b
    by_gain_r, by_gain_g, by_gain_b = error_r * red, error_g * green, error_b * blue

    # All weights and their moments along the ray, and the sum of weight times the distortion's
    # slope by it: twice the distortion, as that is of second degree in the weights. And what
    # samples miss alone, with what that says of the gains.
    total, moments, rest = tl.zeros_like(start), tl.zeros_like(start), tl.zeros_like(start)
    missed = escaped * _miss(back_r, back_g, back_b, target_r, target_g, target_b)
    if ALONE:
        by_gain_r *= 1 - surface
        by_gain_g *= 1 - surface
        by_gain_b *= 1 - surface
    if SPREADS or ALONE:
        t, alive, passes = start, begun, tl.full((RAYS,), 1.0, tl.float32)
        while tl.max(alive.to(tl.int32), axis=0) > 0:
            alive, sampled, features, step, _, _, _, _ = _look(
                t, end, alive, ox, oy, oz, dx, dy, dz, index, skip, rows, row_stride,
                size_x, size_y, size_z, space, channel, CHANNELS,
            )  # fmt: skip
            _, opacity, r, g, b = _shade(features, basis, channel, sampled, space)
            weight, place = passes * opacity, _place(t, space)
            if ALONE:
                r_alone, g_alone, b_alone = gain_r * r, gain_g * g, gain_b * b
                missed += weight * _miss(r_alone, g_alone, b_alone, target_r, target_g, target_b)
                by_gain_r += surface * weight * (r_alone - target_r) * r
                by_gain_g += surface * weight * (g_alone - target_g) * g
                by_gain_b += surface * weight * (b_alone - target_b) * b
            rest += 4 * distortion * weight * (place * total - moments)
            total += weight
            moments += weight * place
            passes *= 1 - opacity
            alive = alive & (passes >= _OPAQUE)
            t += step

    tl.store(gain_gradient + 3 * ray, by_gain_r, mask=begun)
    tl.store(gain_gradient + 3 * ray + 1, by_gain_g, mask=begun)
    tl.store(gain_gradient + 3 * ray + 2, by_gain_b, mask=begun)

    # More optical depth of a sample shows more of it, and less of what is behind it.
    behind_r = gain_r * red + escaped * back_r
    behind_g = gain_g * green + escaped * back_g
    behind_b = gain_b * blue + escaped * back_b
    before, moments_before = tl.zeros_like(start), tl.zeros_like(start)
    t, alive, passes = start, begun, tl.full((RAYS,), 1.0, tl.float32)
    which = (channel - 1) % 3
    while tl.max(alive.to(tl.int32), axis=0) > 0:
        alive, sampled, features, step, corner, u, v, w = _look(
            t, end, alive, ox, oy, oz, dx, dy, dz, index, skip, rows, row_stride,
            size_x, size_y, size_z, space, channel, CHANNELS,
        )  # fmt: skip
        by_raw, opacity, r, g, b = _shade(features, basis, channel, sampled, space)
        weight = passes * opacity
        behind_r -= weight * gain_r * r
        behind_g -= weight * gain_g * g
        behind_b -= weight * gain_b * b
        passes *= 1 - opacity
        by_depth = (
            error_r * (passes * gain_r * r - behind_r)
            + error_g * (passes * gain_g * g - behind_g)
            + error_b * (passes * gain_b * b - behind_b)
        )
        slope_r, slope_g, slope_b = error_r, error_g, error_b
        if ALONE:
            r_alone, g_alone, b_alone = gain_r * r, gain_g * g, gain_b * b
            miss = _miss(r_alone, g_alone, b_alone, target_r, target_g, target_b)
            missed -= weight * miss
            by_depth += surface * (passes * miss - missed - by_depth)
            slope_r += surface * (r_alone - target_r - error_r)
            slope_g += surface * (g_alone - target_g - error_g)
            slope_b += surface * (b_alone - target_b - error_b)
        if SPREADS:
            place = _place(t, space)
            in_front = place * before - moments_before
            before += weight
            moments_before += weight * place
            at_back = moments - moments_before - (total - before) * place
            by_weight = 2 * distortion * (in_front + at_back)
            rest -= weight * by_weight
            by_depth += passes * by_weight - rest
        nearness = tl.full((RAYS,), 1.0, tl.float32)
        if space[12] > 0:
            nearness = tl.minimum(t * t * space[12] * space[12], 1.0)
        weight *= nearness
        by_red = slope_r * gain_r * weight * r * (1 - r)
        by_green = slope_g * gain_g * weight * g * (1 - g)
        by_blue = slope_b * gain_b * weight * b * (1 - b)
        by_color = tl.where((which == 0)[None, :], by_red[:, None], by_green[:, None])
        by_color = tl.where((which == 2)[None, :], by_blue[:, None], by_color)
        by_density = (nearness * by_raw * by_depth)[:, None]
        slope = tl.where((channel == 0)[None, :], by_density, by_color * basis)
        for number in tl.static_range(8):
            row, share = _corner(number, corner, u, v, w, index, size_y, size_z, sampled)
            places = row[:, None] * gradient_stride + channel
            tl.atomic_add(
                gradient + places, share[:, None] * slope, sampled[:, None], sem="relaxed"
            )
            tl.store(touched + row, 1, mask=sampled)
        alive = alive & (passes >= _OPAQUE)
        t += step
