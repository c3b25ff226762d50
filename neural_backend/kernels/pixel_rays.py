# SPDX-License-Identifier: GPL-3.0-or-later
"""The rays through pixels of a capture, and their colors: plain torch, or Triton where it can run.

Pixels are numbered over all views of a capture, view by view and row by row, and lie there as
8-bit numbers; so they stay on a graphics card, too, and are gathered from there.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from .triton_use import uses_triton


class PixelTables(NamedTuple):
    """What is known of a capture's pixels and views, all on one device.

    `lens_directions` are unit directions in camera space, of all pixels of the distinct lenses:
    that of pixel p in view v is row p + `lens_shifts`[v]. `times` is None for a scene at rest.
    `pixels_per_view` is 0 where views have different numbers of pixels.
    """

    pixels: UInt8[Tensor, "pixels 4"]
    first_pixels: Int[Tensor, " views"]
    lens_shifts: Int[Tensor, " views"]
    lens_directions: Float[Tensor, "lens_pixels 3"]
    rotations: Float[Tensor, "views 3 3"]
    origins: Float[Tensor, "views 3"]
    times: Float[Tensor, " views"] | None
    pixels_per_view: int


class PixelRays(NamedTuple):
    """Rays in scene units with unit directions, and straight-alpha colors in [0, 1] along them."""

    origins: Float[Tensor, "rays 3"]
    directions: Float[Tensor, "rays 3"]
    times: Float[Tensor, " rays"] | None
    views: Int[Tensor, " rays"]
    rgba: Float[Tensor, "rays 4"]


def pixel_rays(pixels: Int[Tensor, " rays"], tables: PixelTables) -> PixelRays:
    """The rays through these pixels."""
    if uses_triton(tables.lens_directions):
        from . import pixel_rays_triton

        return pixel_rays_triton.pixel_rays(pixels, tables)
    return pixel_rays_by_torch(pixels, tables)


def pixel_rays_by_torch(pixels: Int[Tensor, " rays"], tables: PixelTables) -> PixelRays:
    """The twin of `pixel_rays_triton.pixel_rays`, for any device and precision."""
    # index_select is several times faster than indexing by a tensor.
    views = views_of(pixels, tables.first_pixels, tables.pixels_per_view)
    lens_pixels = pixels + tables.lens_shifts.index_select(0, views)
    seen = tables.lens_directions.index_select(0, lens_pixels)
    rotations = tables.rotations.index_select(0, views)
    rgba = tables.pixels.index_select(0, pixels).to(seen.dtype)
    return PixelRays(
        tables.origins.index_select(0, views),
        torch.bmm(rotations, seen[:, :, None])[:, :, 0],
        None if tables.times is None else tables.times.index_select(0, views),
        views,
        rgba.mul_(1 / 255),
    )


def views_of(
    pixels: Int[Tensor, " rays"], first_pixels: Int[Tensor, " views"], pixels_per_view: int
) -> Int[Tensor, " rays"]:
    """The view that each pixel belongs to; see `PixelTables`."""
    if pixels_per_view:
        return pixels // pixels_per_view
    return torch.searchsorted(first_pixels, pixels, right=True) - 1
