# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest

from neural_backend.geometry.cameras import Intrinsics, project
from neural_backend.sampling.visual_hull import visual_hull

BOUNDS = np.array([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])
LENSES = {
    "pinhole": {"model": "OPENCV", "distortion": ()},
    "distorted": {"model": "OPENCV", "distortion": (-0.1, 0.05, 0.003, -0.002)},
    "fisheye": {"model": "OPENCV_FISHEYE", "distortion": (0.05, -0.01)},
}


def looking_at_origin(position: np.ndarray) -> np.ndarray:
    back = position / np.linalg.norm(position)
    right = np.cross([0.1, 0.2, 1.0], back)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3] = np.stack([right, np.cross(back, right), back, position], axis=1)
    return pose


def sphere_pictures(lens: Intrinsics, radius: float, count: int = 12):
    """Silhouettes of a sphere at the origin, from directions spread over another."""
    generator = np.random.default_rng(0)
    poses = [
        looking_at_origin(p / np.linalg.norm(p) * 4) for p in generator.normal(size=(count, 3))
    ]
    surface = generator.normal(size=(20_000, 3))
    surface *= radius / np.linalg.norm(surface, axis=1, keepdims=True)
    silhouettes = []
    for pose in poses:
        seen = np.zeros((lens.height, lens.width), dtype=bool)
        camera = (surface - pose[:3, 3]) @ pose[:3, :3]
        x, y = project(lens, camera).astype(int).T
        seen[np.clip(y, 0, lens.height - 1), np.clip(x, 0, lens.width - 1)] = True
        silhouettes.append(seen)
    return silhouettes, np.array(poses)


@pytest.mark.parametrize("kind", LENSES)
def test_a_sphere_stays_whole_and_little_around_it(kind: str) -> None:
    lens = Intrinsics(
        width=96, height=80, focal_x_px=120, focal_y_px=110, center_x_px=47, center_y_px=41,
        **LENSES[kind],
    )  # fmt: skip
    silhouettes, poses = sphere_pictures(lens, radius=0.5)
    resolution = 32
    hull = visual_hull(silhouettes, [lens] * len(poses), poses, BOUNDS, resolution)
    centers = (np.stack(np.meshgrid(*[np.arange(resolution)] * 3, indexing="ij"), -1) + 0.5) * (
        2 / resolution
    ) - 1
    distance = np.linalg.norm(centers, axis=-1)
    assert hull[distance < 0.5].all()
    assert not hull[distance > 0.75].any()


def test_pictures_larger_than_the_tables_lose_no_thin_thing() -> None:
    lens = Intrinsics(
        width=700, height=700, focal_x_px=800, focal_y_px=800, center_x_px=350, center_y_px=350
    )
    silhouettes, poses = sphere_pictures(lens, radius=0.02)
    hull = visual_hull(silhouettes, [lens] * len(poses), poses, BOUNDS, 31)
    assert hull[15, 15, 15]
    assert hull.sum() < 200


def test_empty_pictures_leave_nothing_and_no_view_shows_what_lies_behind_it() -> None:
    lens = Intrinsics(width=8, height=8, focal_x_px=8, focal_y_px=8, center_x_px=4, center_y_px=4)
    pose = looking_at_origin(np.array([0.0, 0.0, 4.0]))[None]
    empty, full = np.zeros((8, 8), dtype=bool), np.ones((8, 8), dtype=bool)
    assert not visual_hull([empty], [lens], pose, BOUNDS, 8).any()
    assert visual_hull([full], [lens], pose, BOUNDS, 8).all()
    behind = BOUNDS + np.array([0.0, 0.0, 9.0])
    assert not visual_hull([full], [lens], pose, behind, 8).any()
