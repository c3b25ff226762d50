# SPDX-License-Identifier: GPL-3.0-or-later
"""A colored ball that moves: pictures of it whose every pixel is known exactly."""

import math

import numpy as np
import torch

from neural_backend.datasets.capture import View
from neural_backend.datasets.images import LoadedViews
from neural_backend.datasets.ray_batches import RayBatches
from neural_backend.geometry.cameras import Intrinsics

RADIUS = 0.45
BOUNDS = torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])


def center_at(time: float) -> np.ndarray:
    """Once from one side to the other, and up."""
    return np.array([1.0 * time - 0.5, 0.0, 0.6 * time - 0.3])


def centers_at(times: torch.Tensor) -> torch.Tensor:
    """`center_at` of many times."""
    return torch.from_numpy(np.array([center_at(float(time)) for time in times])).float()


def views_at(times: list[float], turn: float = 0.0, size: int = 20) -> LoadedViews:
    """One view a time, from cameras that go around by the golden angle."""
    focal = 1.4 * size
    views, images = [], []
    for index, time in enumerate(times):
        angle = 2.39996 * index + turn
        back = np.array([math.cos(angle), math.sin(angle), 0.5 * math.sin(3 * angle)])
        back /= np.linalg.norm(back)
        right = np.cross([0.0, 0.0, 1.0], back)
        right /= np.linalg.norm(right)
        pose = np.eye(4)
        pose[:3, :3] = np.stack([right, np.cross(back, right), back], axis=1)
        pose[:3, 3] = 3 * back
        lens = Intrinsics(
            width=size, height=size, focal_x_px=focal, focal_y_px=focal,
            center_x_px=size / 2, center_y_px=size / 2,
        )  # fmt: skip
        view = View(name=f"{index}", intrinsics=lens, camera_to_world=pose, time=time)
        views.append(view)
        images.append(_picture(pose, size, focal, center_at(time)))
    offsets = np.arange(len(views) + 1, dtype=np.int64) * size * size
    pixels = np.concatenate([image.reshape(-1, 4) for image in images])
    return LoadedViews(views=tuple(views), pixels=pixels, offsets=offsets)


def batches_at(times: list[float], turn: float = 0.0, size: int = 20) -> RayBatches:
    """The rays of `views_at`."""
    return RayBatches(views_at(times, turn, size))


def rising_times(count: int) -> list[float]:
    """`count` times from 0 to 1."""
    return [index / (count - 1) for index in range(count)]


def unseen_psnr(method: object, batches: RayBatches) -> float:
    """Decibels over black, of rays that carry their times but no training view."""
    rays = batches.rays(torch.arange(batches.num_pixels))
    shown = method.render_rays(
        type(rays.rays)(rays.rays.origins, rays.rays.directions, rays.rays.times)
    )
    truth = rays.rgba[:, :3] * rays.rgba[:, 3:]
    return -10 * math.log10(float((shown.rgb - truth).square().mean()))


def _picture(pose: np.ndarray, size: int, focal: float, center: np.ndarray) -> np.ndarray:
    x, y = np.meshgrid(np.arange(size) + 0.5 - size / 2, np.arange(size) + 0.5 - size / 2)
    directions = np.stack([x / focal, -y / focal, -np.ones_like(x)], axis=-1) @ pose[:3, :3].T
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    origin = pose[:3, 3] - center
    along = -(directions @ origin)
    closest = origin + along[..., None] * directions
    inside = RADIUS**2 - (closest**2).sum(axis=-1)
    hit = inside > 0
    points = closest - np.sqrt(inside.clip(min=0))[..., None] * directions
    image = np.zeros((size, size, 4), dtype=np.uint8)
    image[..., :3] = ((0.5 + points / RADIUS / 2).clip(0, 1) * 255).round()
    image[..., 3] = 255
    image[~hit] = 0
    return image
