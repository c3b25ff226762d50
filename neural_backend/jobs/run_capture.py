# SPDX-License-Identifier: GPL-3.0-or-later
"""The capture that a run was trained on, found again."""

from dataclasses import replace

import numpy as np
import torch

from ..datasets.capture import Capture, View
from ..datasets.images import reduced_lens
from ..datasets.loading import load_capture
from ..geometry.cameras import pixel_directions
from ..geometry.rays import Rays
from .run_folder import RunFolder


def load_run_capture(run: RunFolder) -> Capture:
    """The capture with the splits it had in training, and lenses of the size it was trained at.

    Raises:
        JobError: where it is no longer there.
    """
    record = run.read_record()
    source = run.capture_file if run.capture_file.is_file() else run.capture_path()
    return load_capture(source, record.hold_out)


def at_training_size(run: RunFolder, views: tuple[View, ...]) -> tuple[View, ...]:
    """The views with lenses for pictures of the size that the run was trained at."""
    width = run.read_record().image_width
    return tuple(replace(view, intrinsics=reduced_lens(view, width)) for view in views)


def random_camera_rays(
    views: tuple[View, ...], count: int, device: torch.device, seed: int = 0
) -> Rays:
    """Rays through random places of the pictures of random views."""
    random = np.random.default_rng(seed)
    origins, directions, times = [], [], []
    chosen = np.bincount(random.integers(len(views), size=count), minlength=len(views))
    for view, number in zip(views, chosen, strict=True):
        size = np.array([view.intrinsics.width, view.intrinsics.height])
        seen = pixel_directions(view.intrinsics, random.random((number, 2)) * size)
        directions.append(seen @ view.camera_to_world[:3, :3].T)
        origins.append(np.tile(view.camera_to_world[:3, 3], (number, 1)))
        times.append(np.full(number, view.time or 0.0))
    moving = any(view.time is not None for view in views)
    return Rays(
        _float(np.concatenate(origins)),
        _float(np.concatenate(directions)),
        _float(np.concatenate(times)) if moving else None,
    ).to(device)


def _float(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32))
