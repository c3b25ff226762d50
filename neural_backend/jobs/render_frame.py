# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders one view to raw numbers, for somebody who waits for it."""

import contextlib
import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from ..datasets.capture import View
from ..geometry.cameras import Intrinsics
from ..methods.base import Method
from ..protocol.errors import JobError
from ..protocol.messages import Event, FrameReady, Progress, RenderFrame
from ..rendering.image import RenderedImage
from .devices import choose_device
from .field_views import render_field
from .run_folder import RunFolder
from .trained_method import load_method
from .view_files import NO_DEPTH, whole_file

_TELL_EVERY_S = 0.25
_STRIP_RAYS = 1 << 21
"""Rays that are in memory at once: a large picture is rendered in strips."""

_MOST_SAMPLES = 8
_MOST_REDUCTION = 256


def run(job: RenderFrame) -> Generator[Event, None, None]:
    """Renders the view, or the asked region of it.

    Raises:
        JobError: where there is no such run, or a number is impossible.
    """
    view = _view(job)
    run_folder, device = RunFolder.open(job.run), choose_device(job.device)
    yield _progress(job, 0.0, 0.0)
    method = load_method(run_folder, device)
    started = time.monotonic()
    yield from _render(job, method, view, started)
    yield FrameReady(
        job_id=job.job_id,
        output=job.output,
        width=view.intrinsics.width // job.samples,
        height=view.intrinsics.height // job.samples,
        seconds=time.monotonic() - started,
    )


def _view(job: RenderFrame) -> View:
    """The camera through which exactly the rays are seen that are asked for.

    Its picture is the region, `samples` times larger and `reduction` times smaller each way.
    """
    _check(job)
    matrix = np.array(job.camera_to_world, dtype=np.float64).reshape(4, 4)
    lens = Intrinsics(
        width=job.width,
        height=job.height,
        focal_x_px=job.focal_x_px,
        focal_y_px=job.focal_y_px,
        center_x_px=job.center_x_px,
        center_y_px=job.center_y_px,
    )
    if job.region:
        left, top, right, bottom = job.region
        lens = _part(lens, left, top, right, bottom)
    width, height = (-(-size // job.reduction) * job.samples for size in (lens.width, lens.height))
    if (width, height) != (lens.width, lens.height):
        lens = lens.resized(width, height)
    return View(name="frame", intrinsics=lens, camera_to_world=matrix, time=job.time)


def _part(lens: Intrinsics, left: int, top: int, right: int, bottom: int) -> Intrinsics:
    return replace(
        lens,
        width=right - left,
        height=bottom - top,
        center_x_px=lens.center_x_px - left,
        center_y_px=lens.center_y_px - top,
    )


def _render(
    job: RenderFrame, method: Method, view: View, started: float
) -> Generator[Event, None, None]:
    """Writes the file, strip by strip, under another name until it is whole."""
    lens, told = view.intrinsics, started
    rows = max(1, _STRIP_RAYS // (lens.width * job.samples)) * job.samples
    shape = (lens.height // job.samples, lens.width // job.samples, 5)
    path = Path(job.output).expanduser()
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": shape}
        )
        for top in range(0, lens.height, rows):
            bottom = min(top + rows, lens.height)
            part = replace(view, intrinsics=_part(lens, 0, top, lens.width, bottom))
            with contextlib.closing(render_field(method, part)) as tiles:
                while True:
                    try:
                        share = next(tiles)
                    except StopIteration as finished:
                        image: RenderedImage = finished.value
                        break
                    now = time.monotonic()
                    if now - told >= _TELL_EVERY_S:
                        told = now
                        done = (top + share * (bottom - top)) / lens.height
                        yield _progress(job, done, now - started)
            file.write(pixels_of(image, job).data.cast("B"))


def pixels_of(image: RenderedImage, job: RenderFrame) -> NDArray[np.float32]:
    """(height, width, 5) numbers of a picture as the job wants them."""
    alpha = torch.from_numpy(image.alpha)[..., None]
    rgb = torch.from_numpy(image.rgb)
    if job.linear:
        # As in EXR files: the light of the straight color, in the share that covers the pixel.
        rgb = _srgb_to_linear((rgb / alpha.clamp_min(1e-6)).clamp(0, 1)) * alpha
    depth = torch.from_numpy(image.depth)[..., None]
    seen = depth.isfinite()
    weight = torch.where(seen, alpha, 0.0)
    weighted = torch.where(seen, depth, 0.0) * weight
    if job.samples > 1:
        rgb, alpha, weight, weighted = (
            _averaged(one, job.samples) for one in (rgb, alpha, weight, weighted)
        )
        depth = torch.where(weight > 0, weighted / weight.clamp_min(1e-30), NO_DEPTH)
    else:
        depth = torch.where(seen, depth, NO_DEPTH)
    if job.background:
        rgb = rgb + (1 - alpha) * torch.tensor(job.background, dtype=torch.float32)
        alpha = torch.ones_like(alpha)
    return torch.cat([rgb, alpha, depth], dim=-1).contiguous().numpy()


def _averaged(
    values: Float[Tensor, "fine_height fine_width channels"], samples: int
) -> Float[Tensor, "height width channels"]:
    height, width, channels = values.shape
    blocks = values.reshape(height // samples, samples, width // samples, samples, channels)
    return blocks.mean(dim=(1, 3))


def _srgb_to_linear(colors: Tensor) -> Tensor:
    """As `geometry.colors` does, by torch in single precision: a large picture takes a tenth."""
    bright = ((colors + 0.055) / 1.055) ** 2.4
    return torch.where(colors <= 0.04045, colors / 12.92, bright)


def _progress(job: RenderFrame, done: float, seconds: float) -> Progress:
    return Progress(
        job_id=job.job_id,
        stage="rendering" if done else "loading the field",
        done=done,
        total=1.0,
        unit="",
        seconds=seconds,
        eta_s=seconds * (1 - done) / done if done else -1.0,
    )


def _check(job: RenderFrame) -> None:
    width, height = job.width, job.height
    numbers = (job.focal_x_px, job.focal_y_px, job.center_x_px, job.center_y_px)
    matrix = job.camera_to_world
    problem = ""
    if len(matrix) != 16 or not np.isfinite((*matrix, *numbers)).all():
        problem = "its camera_to_world and lens must be 16 and 4 finite numbers"
    elif width < 1 or height < 1 or not (job.focal_x_px > 0 and job.focal_y_px > 0):
        problem = f"a picture of {width} × {height} pixels and its focal lengths must be positive"
    elif job.region and not _is_region(job.region, width, height):
        problem = f"the region {list(job.region)} does not lie in {width} × {height} pixels"
    elif not 1 <= job.samples <= _MOST_SAMPLES:
        problem = f"samples must be 1 to {_MOST_SAMPLES}, got {job.samples}"
    elif not 1 <= job.reduction <= _MOST_REDUCTION:
        problem = f"reduction must be 1 to {_MOST_REDUCTION}, got {job.reduction}"
    elif job.reduction > 1 and job.samples > 1:
        problem = "a reduced picture has one sample a pixel"
    elif len(job.background) not in (0, 3):
        problem = f"a background has three numbers, got {len(job.background)}"
    elif not 0 <= job.time <= 1:
        problem = f"time must be 0 to 1, got {job.time:g}"
    elif Path(job.output).suffix != ".npy":
        problem = f"the file must end in .npy, got {job.output!r}"
    if problem:
        raise JobError(f"The frame cannot be rendered: {problem}.", "Change that number.")


def _is_region(region: tuple[int, ...], width: int, height: int) -> bool:
    if len(region) != 4:
        return False
    left, top, right, bottom = region
    return 0 <= left < right <= width and 0 <= top < bottom <= height
