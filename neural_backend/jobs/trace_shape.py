# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws any shape by sphere tracing, a file a view."""

import time
from collections.abc import Generator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..datasets.capture import View
from ..datasets.loading import load_cameras
from ..datasets.ray_batches import camera_rays
from ..fields.shape import Shape
from ..geometry.cameras import Intrinsics
from ..meshing.isosurface import Isosurface
from ..protocol.errors import JobError
from ..protocol.messages import Event, Progress, TraceShape, ViewsReady
from ..rendering.image import RenderedImage
from ..rendering.sphere_tracing import shaded, trace_view
from .devices import choose_device
from .shape_files import isosurface, open_shape
from .view_files import write_depth, write_exr_channels, write_png

_FOCAL = 1.8
"""Focal length of the view without cameras, in widths of its picture."""


def run(job: TraceShape) -> Generator[Event, None, None]:
    """Traces and writes one view after the other.

    Raises:
        JobError: where there is no shape, it has no end, or an option is impossible.
    """
    if not 1 <= job.width <= 1 << 14:
        raise JobError(f"A view cannot be {job.width} pixels wide.", "Choose from 1 to 16384.")
    yield Progress(job_id=job.job_id, stage="loading the shape", done=0, total=1, unit="")
    device = choose_device(job.device)
    shape = open_shape(job.shape, device)
    surface = isosurface(shape, device)
    views = load_cameras(job.cameras) if job.cameras else (view_of_all(surface, job.width),)
    output = Path(job.output).expanduser().absolute()
    own = [view.frame for view in views if view.frame is not None]
    unique = len(own) == len(views) and len(set(own)) == len(own)
    numbers = own if unique else list(range(1, len(views) + 1))
    files = []
    started = time.monotonic()
    for done, (number, view) in enumerate(zip(numbers, views, strict=True)):
        seconds = time.monotonic() - started
        yield Progress(
            job_id=job.job_id,
            stage="tracing views",
            done=done,
            total=len(views),
            unit="views",
            seconds=seconds,
            eta_s=seconds * (len(views) - done) / done if done else -1.0,
        )
        image = traced_image(shape, surface, view)
        if job.depth:
            write_depth(output / f"depth_{number:04d}.exr", image.depth)
        if job.normals:
            assert image.normals is not None
            write_exr_channels(output / f"normal_{number:04d}.exr", {"RGB": image.normals})
        files.append(output / f"view_{number:04d}.png")
        write_png(files[-1], image.straight_rgba())
    yield ViewsReady(
        job_id=job.job_id,
        output=str(output),
        files=tuple(map(str, files)),
        frames=tuple(numbers),
    )


@torch.no_grad()
def traced_image(shape: Shape, surface: Isosurface, view: View) -> RenderedImage:
    """What a view sees of a shape within its surface's bounds: shaded, with z-depth and normals."""
    lens, pose = view.intrinsics, view.camera_to_world
    rays = camera_rays(lens, pose, None, None, surface.bounds.device)
    traced = trace_view(shape.distance, rays, (lens.height, lens.width), surface.bounds)
    seen = shaded(traced, rays)
    forward = torch.as_tensor(-pose[:3, 2], dtype=torch.float32, device=rays.directions.device)
    along = rays.directions @ forward
    z_depth = torch.where(traced.hit, traced.depth * along, torch.inf)

    def picture(values: torch.Tensor) -> NDArray[np.float32]:
        return values.float().cpu().numpy().reshape(lens.height, lens.width, *values.shape[1:])

    return RenderedImage(
        rgb=picture(seen.rgb),
        alpha=picture(seen.accumulation),
        depth=picture(z_depth),
        normals=picture(traced.normals),
    )


def view_of_all(surface: Isosurface, width: int) -> View:
    """A square view from the front, the right and above, as wide as the box's sphere."""
    lower, upper = surface.bounds.double().cpu().numpy()
    towards_eye = np.array([0.55, -0.7, 0.45])
    towards_eye /= np.linalg.norm(towards_eye)
    right = np.cross([0.0, 0.0, 1.0], towards_eye)
    right /= np.linalg.norm(right)
    radius = float(np.linalg.norm(upper - lower)) / 2
    # The tangent cone of the sphere fills the picture.
    distance = radius * float(np.hypot(1.0, 2 * _FOCAL))
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(towards_eye, right), towards_eye], axis=-1)
    pose[:3, 3] = (lower + upper) / 2 + distance * towards_eye
    lens = Intrinsics(
        width=width,
        height=width,
        focal_x_px=_FOCAL * width,
        focal_y_px=_FOCAL * width,
        center_x_px=width / 2,
        center_y_px=width / 2,
    )
    return View(name="view", intrinsics=lens, camera_to_world=pose)
