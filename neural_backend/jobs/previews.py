# SPDX-License-Identifier: GPL-3.0-or-later
"""Small pictures of a field while it learns, through a camera that may move meanwhile."""

import time
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image

from ..datasets.capture import Capture, View
from ..datasets.loading import load_cameras
from ..datasets.ray_batches import camera_rays
from ..methods.base import Method
from ..protocol.errors import JobError
from ..protocol.messages import Train
from .view_files import whole_file

PREVIEW_WIDTH = 256
LIVE = "live.png"
LEAST_PAUSE = 9.0
"""Previews take at most a tenth of the time: after one there is none for this many times as long as
it took.
"""


class Previews:
    """When the next preview is due, and through which camera.

    A camera that is given is read anew each time, and its picture replaces the one before. Without
    one the pictures are of a held-out camera, and all are kept.
    """

    def __init__(self, job: Train, capture: Capture, folder: Path) -> None:
        self._every_s = job.preview_seconds
        self._camera = Path(job.preview_camera) if job.preview_camera else None
        self._folder = folder
        held_out = capture.split("test", "val").views or capture.views
        self._own_view = held_out[0]
        self._next_s = 0.0
        self._free_at = 0.0
        self._problems: list[str] = []
        self._complained = False

    def due(self, seconds: float) -> bool:
        """Whether one is to be written; `seconds` are those of training."""
        on_time = self._every_s > 0 and self._next_s <= seconds
        return on_time and time.perf_counter() >= self._free_at

    def write(self, method: Method, step: int, seconds: float) -> str:
        """Writes a preview, and returns its path."""
        started = time.perf_counter()
        self._next_s = seconds + self._every_s
        name = LIVE if self._camera else f"step_{step:08d}.png"
        file = self._folder / name
        write_preview(method, self._view(), file)
        now = time.perf_counter()
        self._free_at = now + LEAST_PAUSE * (now - started)
        return str(file)

    def problems(self) -> list[str]:
        """What there is to say since the last time."""
        problems, self._problems = self._problems, []
        return problems

    def _view(self) -> View:
        if self._camera is None:
            return self._own_view
        try:
            view = load_cameras(self._camera)[0]
        except JobError as error:
            if not self._complained:
                self._complained = True
                self._problems.append(f"The previews are of a held-out camera: {error}")
            return self._own_view
        return replace(view, time=self._own_view.time) if view.time is None else view


def write_preview(method: Method, view: View, file: Path) -> None:
    """A small picture of what the field shows to a camera, as PNG with alpha."""
    lens = view.intrinsics
    width = min(PREVIEW_WIDTH, lens.width)
    lens = lens.resized(width, max(1, round(lens.height * width / lens.width)))
    rays = camera_rays(lens, view.camera_to_world, view.time, device=method.device)
    rendered = method.render_rays(rays)
    alpha = rendered.accumulation[:, None].clamp(0, 1)
    rgba = torch.cat([rendered.rgb / alpha.clamp_min(1e-6), alpha], dim=1).clamp(0, 1)
    pixels = (rgba * 255).round().byte().reshape(lens.height, lens.width, 4).cpu().numpy()
    with whole_file(file) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")
