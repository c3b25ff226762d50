# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes a field's density and color on a grid, for each frame."""

import json
import time
from collections.abc import Generator
from pathlib import Path

import numpy as np
import torch

from ..datasets.capture import View
from ..geometry.colors import srgb_to_linear
from ..meshing.density_blocks import DensityBlocks, MeanColorFn, OpacityLimits, sample_blocks
from ..methods.moment import Moment
from ..protocol.errors import JobError
from ..protocol.messages import Event, ExtractVolume, Progress, VolumeReady
from .devices import choose_device
from .field_surface import guiding_views, mesh_bounds
from .moments import frame_times
from .run_folder import RunFolder
from .trained_method import load_method
from .view_files import whole_file

_HIGHEST_RESOLUTION = 1024
_DIRECTIONS = 8
"""Cameras, far from each other, whose views of a voxel are averaged."""

_TELL_EVERY_S = 0.25


def run(job: ExtractVolume) -> Generator[Event, None, None]:
    """Samples the field at each moment; empty space is left out.

    Raises:
        JobError: where nothing is in the box at any frame, or an option is impossible.
    """
    _check(job)
    run_folder = RunFolder.open(job.run)
    output = Path(job.output).expanduser() if job.output else run_folder.outputs / "volume"
    output = output.absolute()
    yield Progress(job_id=job.job_id, stage="loading the field", done=0, total=1, unit="")
    method = load_method(run_folder, choose_device(job.device))
    bounds = mesh_bounds(job, method)
    views = yield from guiding_views(job, run_folder)
    moments = dict.fromkeys(job.frames, 0.0)
    if job.times:
        moments = frame_times(job.frames, job.times, run_folder)
    files, filled, voxel = [], 0.0, 0.0
    for number, (frame, at) in enumerate(moments.items()):
        moment = Moment(method, at)
        blocks = yield from _sampled(job, moment, bounds, views, (number, len(moments)))
        files.append(f"volume_{frame:04d}.npz")
        _write(output / files[-1], blocks, frame, at)
        filled, voxel = max(filled, blocks.share_filled), blocks.voxel
    if not filled:
        raise JobError(
            "The field stops no light within the box.",
            "Choose a larger crop box or a lower smallest opacity, or train longer.",
        )
    yield VolumeReady(
        job_id=job.job_id,
        output=str(output),
        files=tuple(files),
        frames=tuple(moments),
        voxel_size=voxel,
        share_filled=filled,
    )


def _sampled(
    job: ExtractVolume,
    moment: Moment,
    bounds: torch.Tensor,
    views: tuple[View, ...],
    place: tuple[int, int],
) -> Generator[Progress, None, DensityBlocks]:
    limits = OpacityLimits(job.smallest_opacity, job.largest_opacity)
    color_fn = _mean_color(moment, views)
    steps = sample_blocks(moment.density, color_fn, bounds, job.resolution, limits)
    started = told = time.monotonic()
    while True:
        try:
            done, total = next(steps)
        except StopIteration as finished:
            return finished.value
        now = time.monotonic()
        if now - told >= _TELL_EVERY_S or done == 0:
            told, seconds = now, now - started
            share = (place[0] + done / total) / place[1]
            yield Progress(
                job_id=job.job_id,
                stage="sampling the field",
                done=share * place[1],
                total=place[1],
                unit="frames",
                seconds=seconds,
            )


def _mean_color(moment: Moment, views: tuple[View, ...]) -> MeanColorFn:
    """Linear light of a point, the mean of how some cameras see it; a volume has one color only.

    Without cameras it is the mean over directions on all sides.
    """
    origins = torch.tensor(
        np.array([view.camera_to_world[:3, 3] for view in _spread(views)]), dtype=torch.float32
    )

    def color(points: torch.Tensor) -> torch.Tensor:
        total = torch.zeros_like(points)
        for number in range(_DIRECTIONS if not views else len(origins)):
            if views:
                towards = points - origins[number].to(points)
            else:
                towards = _direction(number).to(points).expand_as(points)
            directions = torch.nn.functional.normalize(towards, dim=-1)
            seen = moment.color(points, directions).detach().float().clamp(0, 1)
            total += _to_linear(seen)
        return total / (_DIRECTIONS if not views else len(origins))

    return color


def _to_linear(srgb: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(srgb_to_linear(srgb.cpu().numpy())).to(srgb)


def _spread(views: tuple[View, ...]) -> list[View]:
    """A few views, each as far as can be from those chosen before."""
    if len(views) <= _DIRECTIONS:
        return list(views)
    places = np.array([view.camera_to_world[:3, 3] for view in views])
    chosen, away = [0], np.linalg.norm(places - places[0], axis=-1)
    while len(chosen) < _DIRECTIONS:
        chosen.append(int(away.argmax()))
        away = np.minimum(away, np.linalg.norm(places - places[chosen[-1]], axis=-1))
    return [views[index] for index in chosen]


def _direction(number: int) -> torch.Tensor:
    """One of `_DIRECTIONS` directions spread over the sphere as on a golden spiral."""
    height = 1 - (2 * number + 1) / _DIRECTIONS
    angle = number * np.pi * (3 - 5**0.5)
    radius = (1 - height**2) ** 0.5
    return torch.tensor([radius * np.cos(angle), radius * np.sin(angle), height]).float()


def _write(path: Path, blocks: DensityBlocks, frame: int, at: float) -> None:
    """Arrays alone, which numpy reads without any pickle."""
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            lower=blocks.lower,
            voxel=np.float64(blocks.voxel),
            shape=np.array(blocks.shape, np.int32),
            corners=blocks.corners,
            density=blocks.density,
            emission=blocks.emission,
            about=np.frombuffer(json.dumps({"frame": frame, "time": at}).encode(), np.uint8),
        )


def _check(job: ExtractVolume) -> None:
    if not 8 <= job.resolution <= _HIGHEST_RESOLUTION:
        raise JobError(
            f"A volume cannot have a resolution of {job.resolution}.",
            f"Choose a number from 8 to {_HIGHEST_RESOLUTION}.",
        )
    if not 0 <= job.smallest_opacity < job.largest_opacity < 1:
        raise JobError(
            f"Opacities cannot go from {job.smallest_opacity:g} to {job.largest_opacity:g}.",
            "Choose two numbers from 0 up to, but not including, 1.",
        )
    if not job.frames:
        raise JobError("There are no frames to make a volume of.", "Name at least one.")
    for corner in (job.crop_min, job.crop_max):
        if len(corner) not in (0, 3):
            raise JobError("A corner of the crop box has three numbers.", "Give x, y and z.")
