# SPDX-License-Identifier: GPL-3.0-or-later
"""A field that moves in a way that is known exactly, and a run folder of it."""

import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from neural_backend.datasets.loading import load_capture
from neural_backend.datasets.ray_batches import camera_rays
from neural_backend.datasets.transforms_writing import write_transforms
from neural_backend.geometry.rays import Rays, RenderedRays
from neural_backend.jobs.run_folder import RunFolder
from neural_backend.methods import registry
from neural_backend.methods.registry import MethodRecipe
from neural_backend.training.checkpoint import SavedProgress, save_checkpoint
from tests import analytic
from tests.analytic_run import lens, looking_at_origin, write_cameras
from tests.rigid_motion import moved_rigidly


@dataclass(frozen=True)
class MovingConfig(analytic.AnalyticConfig):
    """From time 0 to 1 the solid turns about Z by `turn` and rises by `rise`."""

    turn: float = 0.0
    rise: float = 0.5
    leaves: bool = False
    """Whether it is gone from time 0.5 on."""


PRESETS = {name: MovingConfig() for name in ("draft", "standard", "final")}


class MovingMethod(analytic.AnalyticMethod):
    """A solid that moves rigidly; its warp takes it back to where it was at time 0."""

    name = "analytic_motion"
    is_dynamic = True

    def __init__(
        self, config=None, bounds=None, unbounded=False, num_views=0, device=None, times=()
    ):
        super().__init__(config or MovingConfig(), bounds, unbounded, num_views, device)
        self.times = times

    def to_canonical(self, points, times):
        angle = -self.config.turn * times
        lowered = points - self.config.rise * times[:, None] * points.new_tensor([0.0, 0.0, 1.0])
        x, y, z = lowered.unbind(dim=-1)
        cos, sin = angle.cos(), angle.sin()
        return torch.stack([cos * x - sin * y, sin * x + cos * y, z], dim=-1)

    def from_canonical(self, points: np.ndarray, time: float) -> np.ndarray:
        """The exact inverse of `to_canonical`."""
        return moved_rigidly(points, time, self.config.turn, self.config.rise)

    def density(self, points, times=None):
        times = self._or_zero(points, times)
        density = super().density(self.to_canonical(points, times))
        return density * (times < 0.5) if self.config.leaves else density

    def color(self, points, directions, times=None):
        return super().color(self.to_canonical(points, self._or_zero(points, times)), directions)

    def render_rays(self, rays: Rays, normals: bool = False) -> RenderedRays:
        """A rigid motion of the field is the opposite motion of the rays."""
        times = self._or_zero(rays.origins, rays.times)
        origins = self.to_canonical(rays.origins, times)
        ahead = self.to_canonical(rays.origins + rays.directions, times)
        still = analytic.AnalyticMethod(self.config, 10 * self._bounds)
        seen = still.render_rays(Rays(origins, ahead - origins))
        return replace(seen, normals=None)

    @staticmethod
    def _or_zero(points, times):
        return points.new_zeros(len(points)) if times is None else times


def register() -> None:
    """Makes the method known as `analytic_motion` in this process."""
    registry.METHODS["analytic_motion"] = f"{__name__}:MovingMethod"


def make_moving_run(
    folder: Path,
    size: tuple[int, int] = (24, 20),
    time_map: tuple[int, int] | None = (11, 15),
    num_views: int = 8,
    **config,
) -> RunFolder:
    """A trained run, beside a capture that an orbiting camera took over the time map's frames."""
    register()
    method = MovingMethod(MovingConfig(peak=400.0, softness=0.002, **config))
    capture = folder / "capture"
    (capture / "images").mkdir(parents=True)
    poses, names, times = [], [], []
    for index in range(num_views):
        angle, time = 2 * math.pi * index / num_views, index / (num_views - 1)
        pose = looking_at_origin((3 * math.cos(angle), 3 * math.sin(angle), 1.5))
        seen = method.render_rays(camera_rays(lens(*size), pose, time))
        rgba = torch.cat([seen.rgb, seen.accumulation[:, None]], dim=1)
        pixels = (rgba * 255).round().byte().reshape(size[1], size[0], 4).numpy()
        names.append(f"images/{index:03d}.png")
        Image.fromarray(pixels).save(capture / names[-1])
        poses.append(pose)
        times.append(time)
    file = write_cameras(capture / "transforms.json", poses, size, file_path=names, time=times)
    if time_map is not None:
        values = json.loads(file.read_text())
        start, end = time_map
        values["neural_fields"] = {"time_map": {"frame_start": start, "frame_end": end}}
        file.write_text(json.dumps(values))
    run = RunFolder.create(folder / "run")
    run.update_record(state="trained", method="analytic_motion", capture="../capture")
    recipe = MethodRecipe(
        method="analytic_motion",
        config=asdict(method.config),
        bounds=((-1.0, -1.0, -1.0), (1.0, 1.0, 1.5)),
        unbounded=False,
        num_views=num_views,
        times=tuple(times),
    )
    progress = SavedProgress(step=1, seconds=1.0, seed=0, generator=torch.Generator().get_state())
    save_checkpoint(run.checkpoints, asdict(recipe), method.state(), progress)
    write_transforms(load_capture(file, hold_out=0), run.capture_file)
    return run


def moving_method(**config) -> MovingMethod:
    """What `make_moving_run` with the same configuration has learned."""
    return MovingMethod(MovingConfig(peak=400.0, softness=0.002, **config))
