# SPDX-License-Identifier: GPL-3.0-or-later
"""What a trained field shows to a camera, as a part of a job."""

from collections.abc import Generator
from dataclasses import replace

from ..datasets.capture import View
from ..datasets.ray_batches import camera_rays
from ..geometry.rays import Rays, RenderedRays
from ..methods.base import Method
from ..methods.moment import Moment
from ..rendering.image import RenderedImage, render_view
from ..rendering.normals import normals_at_depth

_DETAILS = 256
"""Details along the longest side of the bounds, for the normals of methods that give none."""


def render_field(
    method: Method, view: View, normals: bool = False, appearance: int | None = None
) -> Generator[float, None, RenderedImage]:
    """The picture of a view; yields the finished share after each tile.

    `appearance` is the training view whose exposure or code is taken.
    """
    lens = view.intrinsics
    rays = camera_rays(lens, view.camera_to_world, view.time, appearance, method.device)
    moment = Moment(method, view.time)
    radius = float((method.bounds[1] - method.bounds[0]).max()) / _DETAILS

    def render_rays(rays: Rays, normals: bool) -> RenderedRays:
        rendered = method.render_rays(rays, normals)
        if normals and rendered.normals is None:
            found = normals_at_depth(moment.density, rays, rendered, radius)
            rendered = replace(rendered, normals=found)
        return rendered

    size = (lens.height, lens.width)
    return render_view(render_rays, rays, size, view.camera_to_world, normals)
