# SPDX-License-Identifier: GPL-3.0-or-later
import math

import numpy as np
import pytest

from neural_backend.geometry.cameras import (
    Intrinsics,
    distort,
    pixel_directions,
    project,
    undistort,
)


def lens(focal_px: float = 500.0, **changes) -> Intrinsics:
    values = {"width": 64, "height": 48, "focal_x_px": focal_px, "focal_y_px": focal_px}
    return Intrinsics(**values | {"center_x_px": 32.0, "center_y_px": 24.0} | changes)


LENSES = {
    "pinhole": lens(60.0),
    "off center, tall pixels": lens(60.0, focal_y_px=80.0, center_x_px=-10.0, center_y_px=70.0),
    "long focal length": lens(1e6),
    "phone": lens(70.0, distortion=(0.0578421, -0.0805099, -0.000980296, 0.00015575)),
    "one coefficient": lens(60.0, distortion=(-0.0336422,)),
    "strong barrel": lens(45.0, distortion=(-0.2, 0.02)),
    "strong pincushion": lens(50.0, distortion=(0.4, 0.1, 0.01, -0.02)),
    "rational": lens(50.0, distortion=(0.3, -0.1, 1e-3, -2e-3, 0.02, 0.35, -0.05, 0.01)),
    "fisheye": lens(30.0, model="OPENCV_FISHEYE"),
    "action camera": lens(28.0, model="OPENCV_FISHEYE", distortion=(0.05, 0.01, -0.004, 0.0005)),
    "past 180°": lens(20.0, model="OPENCV_FISHEYE", distortion=(-0.02, 0.001)),
}


@pytest.mark.parametrize("camera", LENSES.values(), ids=LENSES.keys())
def test_the_point_along_a_pixels_direction_is_seen_in_that_pixel(camera: Intrinsics) -> None:
    x, y = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    directions = pixel_directions(camera)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=-1), 1, atol=1e-6)
    tolerance = 1e-6 * camera.focal_x_px
    for distance in (1e-3, 1.0, 1e4):
        seen = project(camera, directions * distance)
        np.testing.assert_allclose(seen, np.stack([x, y], axis=-1), atol=max(tolerance, 5e-4))


def test_a_camera_looks_along_minus_z_with_y_up() -> None:
    camera = lens(50.0)
    center = pixel_directions(camera, np.array([32.0, 24.0]))
    np.testing.assert_allclose(center, (0, 0, -1), atol=1e-7)
    right_and_up = pixel_directions(camera, np.array([42.0, 14.0]))
    expected = np.array([0.2, 0.2, -1]) / math.sqrt(1.08)
    np.testing.assert_allclose(right_and_up, expected, atol=1e-7)


def test_distortion_is_opencvs() -> None:
    """By hand, at x = 0.5, y = -0.25: r² = 0.3125, all eight coefficients in use."""
    k1, k2, p1, p2, k3, k4, k5, k6 = coefficients = (0.1, -0.2, 0.01, 0.02, 0.3, 0.05, 0.06, 0.07)
    r2 = 0.3125
    radial = (1 + k1 * r2 + k2 * r2**2 + k3 * r2**3) / (1 + k4 * r2 + k5 * r2**2 + k6 * r2**3)
    x = 0.5 * radial + 2 * p1 * 0.5 * -0.25 + p2 * (r2 + 2 * 0.25)
    y = -0.25 * radial + p1 * (r2 + 2 * 0.0625) + 2 * p2 * 0.5 * -0.25
    np.testing.assert_allclose(distort(np.array([0.5, -0.25]), coefficients), (x, y), rtol=1e-12)


def test_a_fisheye_without_coefficients_is_equidistant() -> None:
    camera = lens(20.0, model="OPENCV_FISHEYE")
    pixel = np.array([32 + 20 * math.pi / 2, 24.0])
    np.testing.assert_allclose(pixel_directions(camera, pixel), (1, 0, 0), atol=1e-6)
    behind = project(camera, np.array([1.0, 0.0, 1.0]))
    np.testing.assert_allclose(behind, (32 + 20 * 0.75 * math.pi, 24), atol=1e-9)


def test_what_lies_behind_a_perspective_camera_is_not_seen() -> None:
    points = np.array([[0.0, 0.0, 1.0], [0.3, 0.1, 0.0], [0.0, 0.0, -1.0]])
    seen = project(lens(), points)
    assert np.isnan(seen[:2]).all()
    np.testing.assert_allclose(seen[2], (32, 24))


@pytest.mark.parametrize(
    "camera",
    [
        lens(50.0, distortion=(-0.3,)),
        lens(20.0, model="OPENCV_FISHEYE", distortion=(-0.1, -0.02)),
    ],
    ids=["perspective", "fisheye"],
)
def test_what_lies_past_the_edge_of_a_lens_does_not_come_back_into_the_picture(
    camera: Intrinsics,
) -> None:
    """The polynomial turns back there: a point far outside would be drawn in the middle."""
    angles = np.radians(np.linspace(0, 89, 300))
    points = np.stack([np.sin(angles), np.zeros_like(angles), -np.cos(angles)], axis=-1)
    x = project(camera, points)[:, 0]
    visible = np.isfinite(x)
    assert visible[0]
    assert not visible[-1]
    assert (np.diff(x[visible]) >= 0).all()
    assert not visible[np.argmin(visible) :].any()


@pytest.mark.parametrize(
    "camera",
    [
        lens(10.0, distortion=(-0.5, 0.0, 0.05, -0.05)),
        lens(5.0, distortion=(0.3, -0.4, 0, 0, -0.3)),
        lens(1e-3, distortion=(-0.3,)),
        lens(30.0, distortion=(1e6,)),
        lens(30.0, distortion=(0, 0, 0, 0, 0, -1.0)),
        lens(3.0, model="OPENCV_FISHEYE"),
        lens(5.0, model="OPENCV_FISHEYE", distortion=(-0.5, 0.1, -0.2, 0.05)),
        lens(1e-3, model="OPENCV_FISHEYE", distortion=(1e6,)),
    ],
)
def test_even_impossible_lenses_give_finite_unit_directions(camera: Intrinsics) -> None:
    directions = pixel_directions(camera)
    assert np.isfinite(directions).all()
    np.testing.assert_allclose(np.linalg.norm(directions, axis=-1), 1, atol=1e-5)


def test_pixels_past_the_edge_of_a_lens_look_along_that_edge() -> None:
    """x(1 − 0.3x²) rises up to x = 1/√0.9, which is seen at two thirds of that."""
    camera = lens(20.0, distortion=(-0.3,))
    edge = 1 / math.sqrt(0.9)
    pixels = np.stack([32 + 20 * np.linspace(0, 1.5, 100), np.full(100, 24.0)], axis=-1)
    directions = pixel_directions(camera, pixels)
    slopes = directions[:, 0] / -directions[:, 2]
    assert (np.diff(slopes) > -1e-6).all()
    np.testing.assert_allclose(slopes[np.linspace(0, 1.5, 100) > edge * 2 / 3], edge, rtol=5e-3)


def test_tangential_terms_do_not_lead_past_the_edge_either() -> None:
    camera = lens(12.0, distortion=(-0.5, 0, 0.05, -0.05))
    directions = pixel_directions(camera)
    slopes = np.linalg.norm(directions[..., :2], axis=-1) / -directions[..., 2]
    assert slopes.max() < 1.01 / math.sqrt(1.5)


def test_undistorting_inverts_distorting_all_over_the_field_of_view() -> None:
    coefficients = (-0.2, 0.05, 0.002, -0.001)
    plane = np.random.default_rng(0).uniform(-0.8, 0.8, (1000, 2))
    back = undistort(distort(plane, coefficients), coefficients)
    np.testing.assert_allclose(back, plane, atol=1e-9)


def test_a_resized_lens_sees_the_same_directions() -> None:
    camera = LENSES["rational"]
    corners = np.array([[0.0, 0.0], [64.0, 48.0], [10.0, 20.0]])
    resized = camera.resized(32, 16)
    np.testing.assert_allclose(
        pixel_directions(resized, corners * (0.5, 1 / 3)),
        pixel_directions(camera, corners),
        atol=1e-6,
    )
    assert resized.distortion == camera.distortion
