# SPDX-License-Identifier: GPL-3.0-or-later
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neural_backend.datasets.images import load_images
from neural_backend.datasets.loading import load_capture
from neural_backend.datasets.ray_batches import RayBatches
from neural_backend.geometry.boxes import intersect_box
from neural_backend.geometry.cameras import Intrinsics, project
from neural_backend.geometry.normalization import estimate_bounds, meeting_point

LENS = Intrinsics(
    width=200, height=100, focal_x_px=200, focal_y_px=200, center_x_px=100, center_y_px=50
)


def look_at(position: np.ndarray, target: np.ndarray) -> np.ndarray:
    back = (position - target) / np.linalg.norm(position - target)
    right = np.cross((0.1, 0.2, 1.0), back)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(back, right), back], axis=1)
    pose[:3, 3] = position
    return pose


def ring(center: np.ndarray, radius: float, count: int = 24) -> np.ndarray:
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    around = np.stack([np.cos(angles), np.sin(angles), 0.3 * np.ones_like(angles)], axis=-1)
    around /= np.linalg.norm(around, axis=-1, keepdims=True)
    return np.array([look_at(center + radius * one, center) for one in around])


def wall_of_cameras(count: int = 5) -> np.ndarray:
    """Cameras on the plane z = 0 that look down, all the same way."""
    poses = np.tile(np.eye(4), (count * count, 1, 1))
    x, y = np.meshgrid(np.linspace(-1, 1, count), np.linspace(-1, 1, count))
    poses[:, 0, 3], poses[:, 1, 3] = x.ravel(), y.ravel()
    return poses


def test_cameras_around_something_meet_in_it_wherever_it_is() -> None:
    center = np.array([3.0, -7.0, 11.0])
    np.testing.assert_allclose(meeting_point(ring(center, 4.0)), center, atol=1e-9)


@pytest.mark.parametrize(("has_alpha", "half"), [(True, 4 * 0.5), (False, 4 / 2)])
def test_the_box_in_a_ring_of_cameras_is_a_cube_about_its_middle(
    has_alpha: bool, half: float
) -> None:
    center = np.array([1.0, 2.0, 3.0])
    bounds = estimate_bounds(ring(center, 4.0), [LENS] * 24, has_alpha=has_alpha)
    np.testing.assert_allclose(bounds, [center - half, center + half], atol=1e-6)


def test_the_box_of_photos_does_not_depend_on_the_units() -> None:
    for unit in (1e-3, 1e3):
        bounds = estimate_bounds(ring(np.zeros(3), 4 * unit), [LENS] * 24)
        np.testing.assert_allclose(bounds / unit, [[-2] * 3, [2] * 3], atol=1e-6)


def test_cameras_that_look_one_way_box_what_they_see_up_to_the_middle_depth() -> None:
    bounds = estimate_bounds(wall_of_cameras(), [LENS] * 25, depths=(2.0, 10.0))
    np.testing.assert_allclose(bounds, [[-3, -1.5, -6], [3, 1.5, -2]], atol=1e-6)


def test_points_box_what_is_in_front_of_a_wall_of_cameras_despite_outliers() -> None:
    points = np.random.default_rng(0).uniform((-2, -1, -6), (2, 1, -4), (2000, 3))
    points[:10] *= 1000
    bounds = estimate_bounds(wall_of_cameras(), [LENS] * 25, points=points)
    np.testing.assert_allclose(bounds, [[-2, -1, -6], [2, 1, -4]], atol=0.25)


def test_cameras_that_look_outwards_are_boxed_in_themselves() -> None:
    poses = ring(np.zeros(3), 1.0)
    poses[:, :3, 0] *= -1
    poses[:, :3, 2] *= -1
    bounds = estimate_bounds(poses, [LENS] * 24)
    assert (bounds[0] < poses[:, :3, 3].min(axis=0)).all()
    assert (bounds[1] > poses[:, :3, 3].max(axis=0)).all()


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("has_alpha", [True, False])
def test_few_or_parallel_cameras_still_get_a_finite_box(count: int, has_alpha: bool) -> None:
    for poses in (wall_of_cameras()[:count], ring(np.ones(3), 2.0)[:count]):
        bounds = estimate_bounds(poses, [LENS] * count, has_alpha=has_alpha)
        assert np.isfinite(bounds).all()
        assert (bounds[0] < bounds[1]).all()


@pytest.mark.parametrize("name", ["lego_400", "kaykit_knight_dyn_200", "ethiopian_head"])
def test_the_box_holds_every_object_shown_before_nothing(shared_data: Path, name: str) -> None:
    capture = load_capture(shared_data / name)
    some = replace(capture, views=capture.views[::10])
    batches = RayBatches(load_images(some, image_width=100))
    bounds = np.asarray(capture.bounds, dtype=np.float32)
    assert np.ptp(bounds, axis=0).max() < 3.2
    for index in range(batches.num_views):
        rays = batches.view_rays(index)
        near, far = intersect_box(rays.origins, rays.directions, batches.origins.new_tensor(bounds))
        hits = (far > near).reshape(batches.view_image(index).shape[:2])
        assert hits[batches.view_image(index)[..., 3] > 0.5].float().mean() > 0.999


def test_the_boxes_of_photos_hold_what_they_were_taken_of(shared_data: Path) -> None:
    """The fox hangs about the origin; the bonsai stands amid the ring; the door is 17–22 away."""
    fox = load_capture(shared_data / "fox").bounds
    assert (fox[0] < -1).all()
    assert (fox[1] > 1).all()
    assert np.ptp(fox, axis=0).max() < 6
    bonsai = load_capture(shared_data / "bonsai")
    for view in bonsai.views:
        pose = view.camera_to_world
        middle = (bonsai.bounds.mean(axis=0) - pose[:3, 3]) @ pose[:3, :3]
        x, y = project(view.intrinsics, middle)
        assert 200 < x < 600
        assert 80 < y < 500
    solved = load_capture(shared_data / "bonsai" / "sparse" / "0")
    np.testing.assert_allclose(solved.bounds, bonsai.bounds, atol=1e-6)
    door = load_capture(shared_data / "lund_door").bounds
    assert door[0, 2] < 17
    assert 21 < door[1, 2] < 30
    fern = load_capture(shared_data / "fern").bounds
    assert fern[0, 2] < 24
    assert fern[1, 2] > 40
