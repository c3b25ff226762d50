# SPDX-License-Identifier: GPL-3.0-or-later
"""The surface that a field shows to its training cameras, fused from the depths they see."""

import math
import time
from collections.abc import Generator, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from ..datasets.capture import View
from ..datasets.ray_batches import camera_rays
from ..geometry.cameras import Intrinsics
from ..kernels.depth_fusion import DepthPictures, fused_distance
from ..meshing.isosurface import Isosurface
from ..meshing.surface import Step
from ..methods.moment import Moment
from ..rendering.image import RenderedImage
from .field_views import render_field

_STAGE = "rendering depths"
_MOST_VIEWS = 96
_MOST_PIXELS = 6_000_000
"""Of all pictures together: a quarter of a minute for the fast methods on two cores."""
_PROBE_RAYS = 2048
_BAND_CELLS = 4.0
_OPAQUE = 0.5
"""Share of light that must be stopped for a pixel to have a depth: its ray's median."""


def depth_surface(
    moment: Moment, views: Sequence[View], bounds: Float[Tensor, "2 3"], resolution: int
) -> Generator[Step, None, Isosurface]:
    """Renders depths through the views, as they are at the moment; the surface that fits them all.

    Densities say little about where a surface is, and less the darker or plainer it is; where rays
    end is what training has been about. Yields (stage, done, total).
    """
    cell = float((bounds[1] - bounds[0]).max()) / resolution
    center = bounds.mean(dim=0).cpu().numpy()
    chosen = [views[i] for i in _spread(len(views), _MOST_VIEWS)]
    cameras = [
        _pinhole(view, center, cell, _MOST_PIXELS / len(chosen), moment.time) for view in chosen
    ]
    depths = []
    for done, camera in enumerate(cameras):
        yield _STAGE, done, len(cameras)
        image = yield from _tiled(render_field(moment.method, camera), done, len(cameras))
        seen = np.where(image.alpha >= _OPAQUE, image.depth, np.inf)
        depths.append(seen.astype(np.float32))
    lenses = [camera.intrinsics for camera in cameras]
    pictures = DepthPictures.pack(
        [camera.camera_to_world for camera in cameras],
        [(one.focal_x_px, one.focal_y_px, one.center_x_px, one.center_y_px) for one in lenses],
        depths,
        bounds.device,
    )
    band = _BAND_CELLS * cell

    def distance(points: Float[Tensor, "points 3"]) -> Float[Tensor, " points"]:
        return fused_distance(points, pictures, band)

    return Isosurface(distance, 0.0, inside_above=False, bounds=bounds)


def _tiled(
    tiles: Generator[float, None, RenderedImage], done: int, total: int
) -> Generator[Step, None, RenderedImage]:
    while True:
        try:
            share = next(tiles)
        except StopIteration as finished:
            return finished.value
        yield _STAGE, done + share, total


def seconds_to_render(moment: Moment, views: Sequence[View]) -> float:
    """About how long `depth_surface` will take with these views, from a few rays of one."""
    method, view = moment.method, views[len(views) // 2]
    lens = view.intrinsics
    scale = math.sqrt(min(1.0, _PROBE_RAYS / (lens.width * lens.height)))
    small = lens.resized(max(1, round(lens.width * scale)), max(1, round(lens.height * scale)))
    rays = camera_rays(small, view.camera_to_world, moment.time, device=method.device)
    pixels = min(_MOST_PIXELS, sum(one.intrinsics.width * one.intrinsics.height for one in views))
    method.render_rays(rays[:1])  # whatever is done once
    started = time.perf_counter()
    method.render_rays(rays).depth.cpu()
    return (time.perf_counter() - started) * pixels / len(rays)


def _pinhole(
    view: View,
    center: NDArray[np.floating],
    cell: float,
    most_pixels: float,
    moment_time: float | None,
) -> View:
    """A camera in the view's place without distortion, whose pixels are as fine as the cells."""
    lens = view.intrinsics
    distance = max(float(np.linalg.norm(view.camera_to_world[:3, 3] - center)), cell)
    scale = distance / (cell * lens.focal_x_px)
    scale = min(scale, math.sqrt(most_pixels / (lens.width * lens.height)))
    size = max(2, round(lens.width * scale)), max(2, round(lens.height * scale))
    pinhole: Intrinsics = replace(lens, model="OPENCV", distortion=())
    return replace(view, intrinsics=pinhole.resized(*size), time=moment_time)


def _spread(count: int, most: int) -> list[int]:
    return np.linspace(0, count - 1, min(count, most)).astype(int).tolist()
