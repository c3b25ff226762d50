# SPDX-License-Identifier: GPL-3.0-or-later
"""A capture of a few pixels that moves: an orange ball that rises, one camera for each time."""

import json
import math
from pathlib import Path

import numpy as np
from PIL import Image

RADIUS, TRAVEL = 0.45, 0.9


def center_at(time: float) -> np.ndarray:
    """The middle of the ball; it starts low and rises evenly."""
    return np.array([0.0, 0.0, TRAVEL * (time - 0.5)])


def write_moving_capture(folder: Path, num_views: int = 24, size: int = 24) -> Path:
    """Writes transforms.json and its pictures; returns the folder."""
    (folder / "images").mkdir(parents=True)
    frames = []
    focal = 1.2 * size
    for index in range(num_views):
        time = index / (num_views - 1)
        # The golden angle: views next to each other in time look from far apart.
        pose = _looking_inwards(index * 2.399963)
        name = f"images/view_{index:02d}.png"
        Image.fromarray(picture_of_ball(pose, time, size, focal)).save(folder / name)
        frames.append({"file_path": name, "transform_matrix": pose.tolist(), "time": time})
    values = {"fl_x": focal, "fl_y": focal, "cx": size / 2, "cy": size / 2}
    values |= {"w": size, "h": size, "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(values), encoding="utf-8")
    return folder


def picture_of_ball(pose: np.ndarray, time: float, size: int, focal: float) -> np.ndarray:
    """What a camera sees of the ball at a time, as RGBA; it is darker below."""
    x, y = np.meshgrid(np.arange(size) + 0.5 - size / 2, np.arange(size) + 0.5 - size / 2)
    directions = np.stack([x / focal, -y / focal, -np.ones_like(x)], axis=-1) @ pose[:3, :3].T
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    away = pose[:3, 3] - center_at(time)
    along = -(directions @ away)
    squares = along**2 - (away @ away - RADIUS**2)
    hit = squares > 0
    distance = along - np.sqrt(np.where(hit, squares, 0))
    normals = (away + distance[..., None] * directions) / RADIUS
    light = 0.6 + 0.4 * normals[..., 2]
    image = np.zeros((size, size, 4), dtype=np.uint8)
    colors = light[..., None] * np.array([255, 128, 20])
    image[hit] = np.concatenate([colors, np.full_like(colors[..., :1], 255)], axis=-1)[hit]
    return image


def _looking_inwards(angle: float) -> np.ndarray:
    back = np.array([math.cos(angle), math.sin(angle), 0.4])
    back /= np.linalg.norm(back)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(back, right), back], axis=1)
    pose[:3, 3] = 3 * back
    return pose
