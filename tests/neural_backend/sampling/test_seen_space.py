# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest

from neural_backend.geometry.cameras import Intrinsics, pixel_directions
from neural_backend.sampling.seen_space import count_views

LENS = Intrinsics(
    width=40, height=30, focal_x_px=35.0, focal_y_px=33.0, center_x_px=19.0, center_y_px=16.0
)


def pose(turn: float, distance: float = 4.0) -> np.ndarray:
    """A camera that looks at the origin from somewhere around it."""
    c, s = np.cos(turn), np.sin(turn)
    matrix = np.eye(4)
    matrix[:3, :3] = [[c, 0, s], [0, 1, 0], [-s, 0, c]]
    matrix[:3, 3] = matrix[:3, 2] * distance
    return matrix


def test_what_all_look_at_is_seen_by_all_and_what_is_behind_by_none():
    poses = np.array([pose(turn) for turn in (0.0, 0.4, 0.8)])
    points = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 9.0], [0.0, 50.0, 0.0]])
    assert count_views(points, [LENS] * 3, poses).tolist() == [3, 0, 0]


@pytest.mark.parametrize("distortion", [(0.0, 0.0, 0.0, 0.0), (0.1, -0.05, 0.002, -0.001)])
def test_the_pixels_of_a_picture_are_what_is_seen(distortion):
    lens = Intrinsics(**{**vars(LENS), "model": "OPENCV", "distortion": distortion})
    matrix = pose(1.1)
    along = pixel_directions(lens).reshape(-1, 3) @ matrix[:3, :3].T
    points = matrix[:3, 3] + along * np.random.default_rng().uniform(0.5, 9, (len(along), 1))
    assert (count_views(points, [lens], matrix[None]) == 1).all()
    beside = matrix[:3, 3] - along
    assert (count_views(beside, [lens], matrix[None]) == 0).all()


def test_what_is_nearer_than_asked_does_not_count():
    matrix = pose(0.0)
    points = np.array([[0.0, 0.0, 3.5], [0.0, 0.0, 2.0]])
    assert count_views(points, [LENS], matrix[None], near=1.0).tolist() == [0, 1]


def test_places_at_no_end_are_seen_by_nobody():
    points = np.array([[np.inf, 0.0, 0.0], [np.nan, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert count_views(points, [LENS], pose(0.3)[None]).tolist() == [0, 0, 1]
