# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from neural_backend.geometry.upright import CAMERA_DISTANCE, upright


def looking(position: np.ndarray, target: np.ndarray, roll: float = 0.0) -> np.ndarray:
    """A camera with a level horizon, but for its roll in radians."""
    back = (position - target) / np.linalg.norm(position - target)
    right = np.cross((0.0, 0.0, 1.0), back)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(back, right), back], axis=1)
    pose[:3, :3] @= Rotation.from_euler("z", roll).as_matrix()
    pose[:3, 3] = position
    return pose


def ring(random: np.random.Generator, rolls: float = 0.0) -> np.ndarray:
    """Cameras that look down from all around."""
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    places = np.stack([3 * np.cos(angles), 3 * np.sin(angles), np.full(12, 2.5)], axis=1)
    return np.array([looking(place, np.zeros(3), rolls * random.normal()) for place in places])


def distorted(random: np.random.Generator, poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same cameras in a frame of any orientation, size and place; and its rotation."""
    turn = Rotation.random(random_state=int(random.integers(1 << 30))).as_matrix()
    moved = poses.copy()
    moved[:, :3, :3] = turn @ poses[:, :3, :3]
    moved[:, :3, 3] = 0.3 * poses[:, :3, 3] @ turn.T + random.normal(size=3)
    return moved, turn


@pytest.mark.parametrize("seed", range(5))
def test_whatever_the_frame_was_the_scene_stands_upright(seed: int) -> None:
    random = np.random.default_rng(seed)
    moved, turn = distorted(random, ring(random))
    frame = upright(moved)
    np.testing.assert_allclose(frame.rotation @ turn @ [0, 0, 1], [0, 0, 1], atol=1e-9)
    found = frame.poses(moved)
    np.testing.assert_allclose(found[:, 2, 0], 0, atol=1e-9)
    assert (found[:, 2, 1] > 0).all()
    rotations = found[:, :3, :3]
    np.testing.assert_allclose(
        rotations @ rotations.transpose(0, 2, 1), np.tile(np.eye(3), (12, 1, 1)), atol=1e-9
    )
    assert np.linalg.det(rotations) == pytest.approx(1.0)


def test_the_first_camera_looks_along_y_and_the_middle_one_stands_at_the_distance() -> None:
    random = np.random.default_rng(0)
    moved, _ = distorted(random, ring(random))
    points = moved[:, :3, 3].mean(axis=0) + 0.01 * random.normal(size=(500, 3))
    frame = upright(moved, points)
    found = frame.poses(moved)
    forward = -found[0, :3, 2]
    assert forward[0] == pytest.approx(0, abs=1e-9)
    assert forward[1] > 0.5
    np.testing.assert_allclose(np.median(frame.points(points), axis=0), 0, atol=0.05)
    distances = np.linalg.norm(found[:, :3, 3], axis=-1)
    assert np.median(distances) == pytest.approx(CAMERA_DISTANCE)


def test_tilted_horizons_are_averaged() -> None:
    random = np.random.default_rng(1)
    moved, turn = distorted(random, ring(random, rolls=0.05))
    up = upright(moved).rotation @ turn @ [0, 0, 1]
    assert np.degrees(np.arccos(up[2])) < 3


def test_cameras_that_look_one_way_go_by_what_is_up_in_their_pictures() -> None:
    """From a wall of cameras the horizontals are all one, and say nothing of the vertical."""
    random = np.random.default_rng(2)
    places = np.array([(x, -4.0, z) for x in (-1, 0, 1) for z in (0.0, 0.6)])
    poses = np.array([looking(place, place + np.array([0.0, 1.0, 0.0])) for place in places])
    moved, turn = distorted(random, poses)
    up = upright(moved).rotation @ turn @ [0, 0, 1]
    assert up[2] == pytest.approx(1.0, abs=1e-6)


def test_a_first_camera_that_looks_straight_down_is_no_trouble() -> None:
    random = np.random.default_rng(3)
    poses = ring(random)
    poses[0, :3, :3] = np.eye(3)
    poses[0, :3, 3] = (0, 0, 5)
    frame = upright(poses)
    np.testing.assert_allclose(frame.rotation, np.eye(3), atol=1e-6)
