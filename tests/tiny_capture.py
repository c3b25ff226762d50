# SPDX-License-Identifier: GPL-3.0-or-later
"""A capture of a few pixels: an orange ball in front of nothing, seen from a ring of cameras."""

import json
import math
from pathlib import Path

import numpy as np
from PIL import Image

RADIUS = 0.7


def write_tiny_capture(folder: Path, num_views: int = 9, size: int = 16) -> Path:
    """Writes transforms.json and its pictures; returns the folder."""
    (folder / "images").mkdir(parents=True)
    frames = []
    focal = 1.2 * size
    for index in range(num_views):
        angle = 2 * math.pi * index / num_views
        back = np.array([math.cos(angle), math.sin(angle), 0.4])
        back /= np.linalg.norm(back)
        right = np.cross([0.0, 0.0, 1.0], back)
        right /= np.linalg.norm(right)
        pose = np.eye(4)
        pose[:3, :3] = np.stack([right, np.cross(back, right), back], axis=1)
        pose[:3, 3] = 3 * back
        name = f"images/view_{index:02d}.png"
        Image.fromarray(_ball(pose, size, focal)).save(folder / name)
        frames.append({"file_path": name, "transform_matrix": pose.tolist()})
    values = {"fl_x": focal, "fl_y": focal, "cx": size / 2, "cy": size / 2}
    values |= {"w": size, "h": size, "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(values), encoding="utf-8")
    return folder


def _ball(pose: np.ndarray, size: int, focal: float) -> np.ndarray:
    x, y = np.meshgrid(np.arange(size) + 0.5 - size / 2, np.arange(size) + 0.5 - size / 2)
    directions = np.stack([x / focal, -y / focal, -np.ones_like(x)], axis=-1) @ pose[:3, :3].T
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    along = -(directions @ pose[:3, 3])
    closest = np.linalg.norm(pose[:3, 3] + along[..., None] * directions, axis=-1)
    image = np.zeros((size, size, 4), dtype=np.uint8)
    image[closest < RADIUS] = (255, 128, 20, 255)
    return image
