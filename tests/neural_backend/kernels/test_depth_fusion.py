# SPDX-License-Identifier: GPL-3.0-or-later
import math

import numpy as np
import pytest
import torch

from neural_backend.kernels.depth_fusion import (
    DepthPictures,
    fused_distance,
    fused_distance_reference,
)
from tests.analytic_run import lens, looking_at_origin

BAND = 0.2
SIZE = (160, 120)


def sphere_depths(pose: np.ndarray, radius: float = 0.5) -> np.ndarray:
    """Exact z-depth of a sphere around the origin, infinite beside it."""
    one = lens(*SIZE)
    x, y = np.meshgrid(np.arange(SIZE[0]) + 0.5, np.arange(SIZE[1]) + 0.5)
    seen = np.stack(
        [
            (x - one.center_x_px) / one.focal_x_px,
            -(y - one.center_y_px) / one.focal_y_px,
            -np.ones_like(x),
        ],
        axis=-1,
    )
    directions = seen @ pose[:3, :3].T
    lengths = np.linalg.norm(directions, axis=-1)
    along = -(directions @ pose[:3, 3]) / lengths
    discriminant = along**2 - (pose[:3, 3] @ pose[:3, 3] - radius**2)
    with np.errstate(invalid="ignore"):
        hit = along - np.sqrt(discriminant)
    return np.where(discriminant > 0, hit / lengths, np.inf)


def pictures_of_a_sphere(count: int) -> DepthPictures:
    angles = np.linspace(0, 2 * math.pi, count, endpoint=False)
    heights = np.where(np.arange(count) % 2, 1.2, -1.2)
    poses = [
        looking_at_origin((2 * math.cos(a), 2 * math.sin(a), h))
        for a, h in zip(angles, heights, strict=True)
    ]
    one = lens(*SIZE)
    intrinsics = (one.focal_x_px, one.focal_y_px, one.center_x_px, one.center_y_px)
    return DepthPictures.pack(poses, [intrinsics] * count, [sphere_depths(pose) for pose in poses])


def test_the_surface_of_a_sphere_is_found_where_it_is() -> None:
    """The fused distance changes sign within a hundredth of the radius."""
    pictures = pictures_of_a_sphere(24)
    outward = torch.nn.functional.normalize(torch.randn(2000, 3), dim=-1)
    outward[:, 2] *= 0.7  # no camera looks from straight above or below
    outward = torch.nn.functional.normalize(outward, dim=-1)
    inside = fused_distance(outward * 0.49, pictures, BAND)
    outside = fused_distance(outward * 0.51, pictures, BAND)
    assert (inside < 0).float().mean() > 0.99
    assert (outside > 0).float().mean() > 0.99


def test_what_is_behind_everything_is_inside_and_what_nobody_sees_outside() -> None:
    pictures = pictures_of_a_sphere(24)
    points = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 50.0]])
    assert fused_distance(points, pictures, BAND).tolist() == pytest.approx([-BAND, BAND])


def test_empty_space_is_a_whole_band_away() -> None:
    points = torch.tensor([[0.0, 0.75, 0.0], [0.6, 0.6, 0.0]])
    pictures = pictures_of_a_sphere(1)
    assert fused_distance(points, pictures, BAND).tolist() == pytest.approx([BAND, BAND])


@pytest.mark.parametrize("band", [0.01, 0.2, 3.0])
def test_both_twins_agree_everywhere(band: float) -> None:
    pictures = pictures_of_a_sphere(7)
    points = torch.rand(5000, 3) * 5 - 2.5
    expected = fused_distance_reference(points.double(), pictures, band).float()
    found = fused_distance(points, pictures, band)
    different = (found - expected).abs() > 1e-4 * max(band, 1)
    # A point right between two pixels may fall to either.
    assert different.float().mean() < 2e-3


def test_pictures_that_see_through_everywhere_leave_nothing() -> None:
    one = lens(*SIZE)
    pictures = DepthPictures.pack(
        [looking_at_origin((2.0, 0.0, 0.5))],
        [(one.focal_x_px, one.focal_y_px, one.center_x_px, one.center_y_px)],
        [np.full((SIZE[1], SIZE[0]), np.inf)],
    )
    points = torch.rand(100, 3) - 0.5
    assert torch.equal(fused_distance(points, pictures, BAND), torch.full((100,), BAND))
    assert torch.equal(fused_distance_reference(points, pictures, BAND), torch.full((100,), BAND))


def test_no_points_are_no_distances() -> None:
    assert fused_distance(torch.zeros(0, 3), pictures_of_a_sphere(2), BAND).shape == (0,)
