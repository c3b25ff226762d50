# SPDX-License-Identifier: GPL-3.0-or-later
"""A movie clip that Blender's own solver has solved, from tracks of known points."""

import math
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

SIZE = (320, 240)
FOCAL_PX = 300.0
NUM_FRAMES = 15


def known_cameras() -> list[np.ndarray]:
    """Camera-to-world matrices that walk around the origin and look at it."""
    cameras = []
    for number in range(NUM_FRAMES):
        angle = 0.06 * number
        position = np.array([4 * math.sin(angle), -4 * math.cos(angle), 0.5 + 0.05 * number])
        back = position / np.linalg.norm(position)
        right = np.cross([0, 0, 1], back)
        right /= np.linalg.norm(right)
        matrix = np.eye(4)
        matrix[:3, :3] = np.stack([right, np.cross(back, right), back], axis=1)
        matrix[:3, 3] = position
        cameras.append(matrix)
    return cameras


def known_points() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (20, 3))


def write_pictures(bpy: ModuleType, folder: Path) -> list[Path]:
    """Pictures f_0011.png and so on, each of its own gray."""
    files = []
    for number in range(NUM_FRAMES):
        image = bpy.data.images.new("frame", *SIZE)
        image.generated_color = (number / NUM_FRAMES,) * 3 + (1.0,)
        image.file_format = "PNG"
        files.append(folder / f"f_{number + 11:04d}.png")
        image.filepath_raw = str(files[-1])
        image.save()
        bpy.data.images.remove(image)
    return files


def bent(x: float, y: float, coefficients: tuple[float, ...]) -> tuple[float, float]:
    """A point of the image plane behind a lens with OpenCV's k1, k2, k3."""
    squared = x * x + y * y
    k1, k2, k3 = (*coefficients, 0.0, 0.0, 0.0)[:3]
    factor = 1 + squared * (k1 + squared * (k2 + squared * k3))
    return x * factor, y * factor


def solve(bpy: ModuleType, clip: Any, distortion: tuple[float, ...] = ()) -> None:
    """Tracks the known points through the known cameras and has Blender solve them."""
    tracking, (width, height) = clip.tracking, SIZE
    tracking.camera.sensor_width = 36
    tracking.camera.focal_length_pixels = FOCAL_PX
    tracking.camera.principal_point_pixels = (width / 2 + 6, height / 2 + 4)
    if distortion:
        tracking.camera.k1, tracking.camera.k2 = distortion[:2]
    for number, point in enumerate(known_points()):
        track = tracking.tracks.new(name=f"track {number}", frame=1)
        for frame, camera in enumerate(known_cameras(), start=1):
            seen = camera[:3, :3].T @ (point - camera[:3, 3])
            x, y = bent(seen[0] / -seen[2], seen[1] / -seen[2], distortion)
            place = (width / 2 + 6 + FOCAL_PX * x, height / 2 + 4 + FOCAL_PX * y)
            track.markers.insert_frame(frame, co=(place[0] / width, place[1] / height))
    tracking.objects[0].keyframe_a, tracking.objects[0].keyframe_b = 1, NUM_FRAMES
    window = bpy.context.window_manager.windows[0]
    area = window.screen.areas[0]
    area.type = "CLIP_EDITOR"
    area.spaces.active.clip = clip
    region = next(one for one in area.regions if one.type == "WINDOW")
    with bpy.context.temp_override(window=window, area=area, region=region):
        bpy.ops.clip.solve_camera()
    assert tracking.reconstruction.is_valid


def similarity(source: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Scale, rotation and shift that take points (count, 3) nearest to others.

    Source: Umeyama 1991, "Least-squares estimation of transformation parameters between two point
    patterns", eq. 40-42.
    """
    from_center, to_center = source.mean(axis=0), target.mean(axis=0)
    moved = (target - to_center).T @ (source - from_center)
    left, _, right = np.linalg.svd(moved)
    turn = np.diag([1, 1, np.sign(np.linalg.det(left @ right))])
    rotation = left @ turn @ right
    scale = np.linalg.norm(target - to_center) / np.linalg.norm(source - from_center)
    return scale, rotation, to_center - scale * rotation @ from_center
