# SPDX-License-Identifier: GPL-3.0-or-later
"""The rays through pixels in Triton: a lane gathers all that belongs to one ray."""

import torch
import triton
import triton.language as tl
from jaxtyping import Int
from torch import Tensor

from .pixel_rays import PixelRays, PixelTables

_RAYS = 64
"""Rays of a program: few, so that a batch is spread over all of a card."""


def pixel_rays(pixels: Int[Tensor, " rays"], tables: PixelTables) -> PixelRays:
    """The twin of `pixel_rays.pixel_rays_by_torch`, in single precision."""
    rays, device = len(pixels), pixels.device
    found = PixelRays(
        origins=torch.empty(rays, 3, device=device),
        directions=torch.empty(rays, 3, device=device),
        times=None if tables.times is None else torch.empty(rays, device=device),
        views=torch.empty(rays, dtype=torch.int64, device=device),
        rgba=torch.empty(rays, 4, device=device),
    )
    if rays:
        num_views = len(tables.first_pixels)
        colors, *others = (part.contiguous() for part in tables[:6])
        # Red, green, blue and alpha of a pixel are read as one number.
        _pixel_rays[(triton.cdiv(rays, _RAYS),)](
            pixels.contiguous(), colors.view(torch.int32), *others,
            tables.origins if tables.times is None else tables.times.contiguous(),
            found.origins, found.directions,
            found.origins if found.times is None else found.times,
            found.views, found.rgba, rays, num_views, tables.pixels_per_view,
            MOVES=tables.times is not None, ALIKE=tables.pixels_per_view > 0,
            BITS=0 if tables.pixels_per_view else (num_views - 1).bit_length(),
            RAYS=_RAYS, num_warps=_RAYS // 32,
        )  # fmt: skip
    return found


@triton.jit(do_not_specialize=["rays", "num_views", "pixels_per_view"])
def _pixel_rays(
    pixels, colors, first_pixels, lens_shifts, lens_directions, rotations, view_origins, view_times,
    origins, directions, times, views, rgba, rays, num_views, pixels_per_view,
    MOVES: tl.constexpr, ALIKE: tl.constexpr, BITS: tl.constexpr, RAYS: tl.constexpr,
):  # fmt: skip
    ray = tl.program_id(0).to(tl.int64) * RAYS + tl.arange(0, RAYS)
    alive = ray < rays
    pixel = tl.load(pixels + ray, mask=alive, other=0)
    if ALIKE:
        view = pixel // pixels_per_view
    else:
        # The last view that begins at the pixel or before it.
        view = tl.zeros_like(pixel)
        for bit in tl.static_range(BITS):
            later = view + (1 << (BITS - 1 - bit))
            first = tl.load(first_pixels + later, mask=later < num_views, other=0)
            view = tl.where((later < num_views) & (first <= pixel), later, view)
    tl.store(views + ray, view, mask=alive)

    color = tl.load(colors + pixel, mask=alive, other=0)
    for channel in tl.static_range(4):
        value = ((color >> (8 * channel)) & 255).to(tl.float32)
        tl.store(rgba + 4 * ray + channel, value * (1 / 255), mask=alive)

    lens_pixel = pixel + tl.load(lens_shifts + view, mask=alive, other=0)
    x = tl.load(lens_directions + 3 * lens_pixel, mask=alive, other=0.0)
    y = tl.load(lens_directions + 3 * lens_pixel + 1, mask=alive, other=0.0)
    z = tl.load(lens_directions + 3 * lens_pixel + 2, mask=alive, other=0.0)
    for axis in tl.static_range(3):
        row = rotations + 9 * view + 3 * axis
        turned = tl.load(row, mask=alive, other=0.0) * x
        turned += tl.load(row + 1, mask=alive, other=0.0) * y
        turned += tl.load(row + 2, mask=alive, other=0.0) * z
        tl.store(directions + 3 * ray + axis, turned, mask=alive)
        origin = tl.load(view_origins + 3 * view + axis, mask=alive, other=0.0)
        tl.store(origins + 3 * ray + axis, origin, mask=alive)
    if MOVES:
        tl.store(times + ray, tl.load(view_times + view, mask=alive, other=0.0), mask=alive)
