# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes rays `RayTargets`, in Triton: their place in the unit frame, and what they should see.

The twins lie in `methods.ray_targets`, as they need boxes, harmonics and losses.
"""

import math

import torch
import triton
import triton.language as tl
from jaxtyping import Float, Int
from torch import Tensor

from .instant_ngp_types import HARMONICS

_RAYS = 64
"""Rays of a program: few, so that a batch is spread over all of a card."""

# The factors of real spherical harmonics to degree 3, named by their polynomials.
_ROOT = 1 / math.sqrt(math.pi)
_ONE = tl.constexpr(_ROOT / 2)
_X = tl.constexpr(math.sqrt(3) * _ROOT / 2)
_XY = tl.constexpr(math.sqrt(15) * _ROOT / 2)
_ZZ = tl.constexpr(math.sqrt(5) * _ROOT / 4)
_XX_YY = tl.constexpr(math.sqrt(15) * _ROOT / 4)
_XXX = tl.constexpr(math.sqrt(35 / 2) * _ROOT / 4)
_XYZ = tl.constexpr(math.sqrt(105) * _ROOT / 2)
_XZZ = tl.constexpr(math.sqrt(21 / 2) * _ROOT / 4)
_ZZZ = tl.constexpr(math.sqrt(7) * _ROOT / 4)
_XXZ = tl.constexpr(math.sqrt(105) * _ROOT / 4)


def place(
    origins: Float[Tensor, "rays 3"],
    directions: Float[Tensor, "rays 3"],
    center: Float[Tensor, "3"],
    half: float,
    box: Float[Tensor, "2 3"],
    nearest: float,
) -> tuple[
    Float[Tensor, "rays 3"],
    Float[Tensor, " rays"],
    Float[Tensor, " rays"],
    Float[Tensor, "rays harmonics"],
]:
    """Origins, where the box begins and ends, and harmonics, as `ray_targets.place_by_torch`."""
    rays = len(origins)
    placed = torch.empty_like(origins, memory_format=torch.contiguous_format)
    nears, fars = origins.new_empty(rays), origins.new_empty(rays)
    harmonics = origins.new_empty(rays, HARMONICS)
    if rays:
        _place[(triton.cdiv(rays, _RAYS),)](
            origins.contiguous(), directions.contiguous(), center.contiguous(), box.contiguous(),
            placed, nears, fars, harmonics, half, nearest, rays,
            HARMONICS=HARMONICS, RAYS=_RAYS, num_warps=_RAYS // 32,
        )  # fmt: skip
    return placed, nears, fars, harmonics


def show(
    rgba: Float[Tensor, "rays 4"],
    random: Float[Tensor, "rays more"],
    views: Int[Tensor, " rays"],
    log_gains: Float[Tensor, "views 3"],
) -> tuple[
    Float[Tensor, " rays"],
    Float[Tensor, "rays 3"],
    Float[Tensor, "rays 3"],
    Float[Tensor, "rays 3"],
]:
    """Jitters, targets, backgrounds and gains, as `ray_targets.show_by_torch`."""
    rays = len(rgba)
    jitters = rgba.new_empty(rays)
    targets, backgrounds, gains = (rgba.new_empty(rays, 3) for _ in range(3))
    if rays:
        _show[(triton.cdiv(rays, _RAYS),)](
            rgba.contiguous(), random.contiguous(), random.shape[1], views.contiguous(),
            log_gains.contiguous(), jitters, targets, backgrounds, gains, rays,
            RAYS=_RAYS, num_warps=_RAYS // 32,
        )  # fmt: skip
    return jitters, targets, backgrounds, gains


@triton.jit
def _store_harmonics(harmonics, x, y, z, alive):
    """The real spherical harmonics to degree 3; see `encodings.spherical_harmonics`."""
    xx, yy, zz = x * x, y * y, z * z
    tl.store(harmonics, tl.zeros_like(x) + _ONE, mask=alive)
    tl.store(harmonics + 1, y * -_X, mask=alive)
    tl.store(harmonics + 2, z * _X, mask=alive)
    tl.store(harmonics + 3, x * -_X, mask=alive)
    tl.store(harmonics + 4, x * y * _XY, mask=alive)
    tl.store(harmonics + 5, y * z * -_XY, mask=alive)
    tl.store(harmonics + 6, (3 * zz - 1) * _ZZ, mask=alive)
    tl.store(harmonics + 7, x * z * -_XY, mask=alive)
    tl.store(harmonics + 8, (xx - yy) * _XX_YY, mask=alive)
    tl.store(harmonics + 9, y * (3 * xx - yy) * -_XXX, mask=alive)
    tl.store(harmonics + 10, x * y * z * _XYZ, mask=alive)
    tl.store(harmonics + 11, y * (5 * zz - 1) * -_XZZ, mask=alive)
    tl.store(harmonics + 12, z * (5 * zz - 3) * _ZZZ, mask=alive)
    tl.store(harmonics + 13, x * (5 * zz - 1) * -_XZZ, mask=alive)
    tl.store(harmonics + 14, z * (xx - yy) * _XXZ, mask=alive)
    tl.store(harmonics + 15, x * (xx - 3 * yy) * -_XXX, mask=alive)


@triton.jit(do_not_specialize=["rays"])
def _place(
    origins, directions, center, box, placed, nears, fars, harmonics, half, nearest, rays,
    HARMONICS: tl.constexpr, RAYS: tl.constexpr,
):  # fmt: skip
    ray = tl.program_id(0).to(tl.int64) * RAYS + tl.arange(0, RAYS)
    alive = ray < rays
    near = tl.zeros((RAYS,), tl.float32)
    far = tl.full((RAYS,), float("inf"), tl.float32)
    for axis in tl.static_range(3):
        world = tl.load(origins + 3 * ray + axis, mask=alive, other=0.0)
        # Rounded as torch does, or what lies in a face of the box might no longer.
        origin = tl.div_rn(world - tl.load(center + axis), tl.full((RAYS,), half, tl.float32))
        tl.store(placed + 3 * ray + axis, origin, mask=alive)
        direction = tl.load(directions + 3 * ray + axis, mask=alive, other=1.0)
        parallel = direction == 0
        slope = tl.where(parallel, 1.0, direction)
        lower = (tl.load(box + axis) - origin) / slope
        upper = (tl.load(box + 3 + axis) - origin) / slope
        # A ray along both faces lies between them for ever or never; in a face is no hit.
        never = parallel & ((lower >= 0) | (upper <= 0))
        begin = tl.where(parallel, 0.0, tl.minimum(lower, upper))
        end = tl.where(parallel, float("inf"), tl.maximum(lower, upper))
        near, far = tl.maximum(near, begin), tl.minimum(far, tl.where(never, 0.0, end))
    hit = far > near
    tl.store(nears + ray, tl.maximum(tl.where(hit, near, 0.0), nearest), mask=alive)
    tl.store(fars + ray, tl.where(hit, far, 0.0), mask=alive)
    x = tl.load(directions + 3 * ray, mask=alive, other=0.0)
    y = tl.load(directions + 3 * ray + 1, mask=alive, other=0.0)
    z = tl.load(directions + 3 * ray + 2, mask=alive, other=0.0)
    _store_harmonics(harmonics + HARMONICS * ray, x, y, z, alive)


@triton.jit(do_not_specialize=["rays"])
def _show(
    rgba, random, columns, views, log_gains, jitters, targets, backgrounds, gains, rays,
    RAYS: tl.constexpr,
):  # fmt: skip
    ray = tl.program_id(0).to(tl.int64) * RAYS + tl.arange(0, RAYS)
    alive = ray < rays
    view = tl.load(views + ray, mask=alive, other=0)
    alpha = tl.load(rgba + 4 * ray + 3, mask=alive, other=0.0)
    for channel in tl.static_range(3):
        color = tl.load(rgba + 4 * ray + channel, mask=alive, other=0.0)
        background = tl.load(random + columns * ray + channel, mask=alive, other=0.0)
        log_gain = tl.load(log_gains + 3 * view + channel, mask=alive, other=0.0)
        at = 3 * ray + channel
        tl.store(targets + at, color * alpha + (1 - alpha) * background, mask=alive)
        tl.store(backgrounds + at, background, mask=alive)
        tl.store(gains + at, tl.exp(log_gain), mask=alive)
    tl.store(jitters + ray, tl.load(random + columns * ray + 3, mask=alive, other=0.0), mask=alive)
