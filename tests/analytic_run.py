# SPDX-License-Identifier: GPL-3.0-or-later
"""A run folder whose field is analytic, with the capture that it pretends to have learned from."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from neural_backend.datasets.ray_batches import camera_rays
from neural_backend.geometry.cameras import Intrinsics
from neural_backend.jobs.run_folder import RunFolder
from neural_backend.methods.registry import MethodRecipe
from neural_backend.training.checkpoint import SavedProgress, save_checkpoint
from tests import analytic


def looking_at_origin(position: tuple[float, float, float]) -> np.ndarray:
    """A camera at `position`, Z up; it must not stand straight above."""
    backward = np.array(position, float) / np.linalg.norm(position)
    right = np.cross((0, 0, 1), backward)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(backward, right), backward], axis=1)
    pose[:3, 3] = position
    return pose


def lens(width: int, height: int) -> Intrinsics:
    return Intrinsics(
        width=width,
        height=height,
        focal_x_px=1.2 * width,
        focal_y_px=1.2 * width,
        center_x_px=width / 2,
        center_y_px=height / 2,
    )


def write_cameras(file: Path, poses: list[np.ndarray], size: tuple[int, int], **each: list) -> Path:
    """A transforms.json; `each` adds a list of values, one a frame, under a name."""
    width, height = size
    one = lens(width, height)
    frames = [
        {"transform_matrix": pose.tolist(), **{name: values[i] for name, values in each.items()}}
        for i, pose in enumerate(poses)
    ]
    values = {
        "w": width,
        "h": height,
        "fl_x": one.focal_x_px,
        "fl_y": one.focal_y_px,
        "cx": one.center_x_px,
        "cy": one.center_y_px,
        "frames": frames,
    }
    file.write_text(json.dumps(values), encoding="utf-8")
    return file


def make_run(
    folder: Path,
    scene: str = "sphere",
    size: tuple[int, int] = (24, 20),
    softness: float = 0.002,
    peak: float = 400.0,
) -> RunFolder:
    """A trained run, beside a capture of eight exact pictures of which the first is held out."""
    analytic.register()
    config = analytic.AnalyticConfig(scene=scene, peak=peak, softness=softness)
    method = analytic.AnalyticMethod(config)
    capture = folder / "capture"
    (capture / "images").mkdir(parents=True)
    poses = [
        looking_at_origin((3 * np.cos(angle), 3 * np.sin(angle), 1.5))
        for angle in np.linspace(0, 2 * np.pi, 8, endpoint=False)
    ]
    names = []
    for index, pose in enumerate(poses):
        seen = method.render_rays(camera_rays(lens(*size), pose))
        rgba = torch.cat([seen.rgb, seen.accumulation[:, None]], dim=1)
        pixels = (rgba * 255).round().byte().reshape(size[1], size[0], 4).numpy()
        names.append(f"images/{index:03d}.png")
        Image.fromarray(pixels).save(capture / names[-1])
    write_cameras(capture / "transforms.json", poses, size, file_path=names)

    run = RunFolder.create(folder / "run")
    run.update_record(state="trained", method="analytic", capture="../capture/transforms.json")
    recipe = MethodRecipe(
        method="analytic",
        config=asdict(config),
        bounds=tuple(map(tuple, method.bounds.tolist())),
        unbounded=False,
        num_views=7,
    )
    progress = SavedProgress(step=1, seconds=1.0, seed=0, generator=torch.Generator().get_state())
    save_checkpoint(run.checkpoints, asdict(recipe), method.state(), progress)
    return run
