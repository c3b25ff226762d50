# SPDX-License-Identifier: GPL-3.0-or-later
"""Captures of a few pixels in every dialect, for tests to write, bend and break."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 24, 16


def ring_of_poses(count: int, radius: float = 4.0) -> np.ndarray:
    """Cameras around the origin at two heights, in Blender's axes: (count, 4, 4)."""
    poses = np.tile(np.eye(4), (count, 1, 1))
    for index, pose in enumerate(poses):
        angle = 2 * np.pi * index / count
        back = np.array([np.cos(angle), np.sin(angle), 0.2 + 0.3 * (index % 2)])
        back /= np.linalg.norm(back)
        right = np.cross([0.0, 0.0, 1.0], back)
        right /= np.linalg.norm(right)
        pose[:3, :3] = np.stack([right, np.cross(back, right), back], axis=1)
        pose[:3, 3] = radius * back
    return poses


def write_picture(
    path: Path, size: tuple[int, int] = (WIDTH, HEIGHT), alpha: bool = True, seed: int = 0
) -> np.ndarray:
    """Random colors, the left third transparent where there is alpha; returns them as RGBA."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    pixels[..., 3] = 255
    if alpha:
        pixels[:, : size[0] // 3, 3] = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels if alpha else pixels[..., :3]).save(path)
    return pixels


def transforms_values(count: int = 9) -> dict[str, Any]:
    """What an instant-ngp transforms.json says about `images/view_0.png` and so on."""
    frames = [
        {"file_path": f"images/view_{index}.png", "transform_matrix": pose.tolist()}
        for index, pose in enumerate(ring_of_poses(count))
    ]
    lens = {"fl_x": 30.0, "fl_y": 30.0, "cx": WIDTH / 2, "cy": HEIGHT / 2, "w": WIDTH, "h": HEIGHT}
    return {**lens, "frames": frames}


def write_json(file: Path, values: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(values), encoding="utf-8")
    return file


def write_small_capture(
    folder: Path, values: dict[str, Any] | None = None, alpha: bool = True
) -> Path:
    """transforms.json and the pictures it names (a PNG where the name has no extension)."""
    values = transforms_values() if values is None else values
    for index, frame in enumerate(values["frames"]):
        name = frame["file_path"].replace("\\", "/")
        path = folder / (name if Path(name).suffix else name + ".png")
        write_picture(path, alpha=alpha, seed=index)
    write_json(folder / "transforms.json", values)
    return folder


def colmap_lines(poses: Sequence[np.ndarray], names: Sequence[str]) -> list[str]:
    """images.txt for cameras that only turn about the vertical axis of COLMAP's world, y."""
    lines = []
    for number, (pose, name) in enumerate(zip(poses, names, strict=True), start=1):
        angle, position = pose
        quaternion = (np.cos(angle / 2), 0.0, np.sin(angle / 2), 0.0)
        rotation = np.array(
            [
                [np.cos(angle), 0, np.sin(angle)],
                [0, 1, 0],
                [-np.sin(angle), 0, np.cos(angle)],
            ]
        )
        translation = -rotation @ position
        numbers = " ".join(repr(float(one)) for one in (*quaternion, *translation))
        lines += [f"{number} {numbers} 1 {name}", "1.5 2.5 -1"]
    return lines
