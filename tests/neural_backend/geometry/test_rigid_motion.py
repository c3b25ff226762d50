# SPDX-License-Identifier: GPL-3.0-or-later
import math

import numpy as np
import pytest
import torch
from scipy.linalg import expm

from neural_backend.geometry.rigid_motion import move_by_twist, twist_coefficients

ANGLES = [0.0, 1e-12, 1e-7, 1e-3, 0.5, 1 - 1e-9, 1.0, 1 + 1e-9, 2.0, math.pi, 6.0, 20.0]


def by_matrix(points: np.ndarray, rotation: np.ndarray, velocity: np.ndarray) -> np.ndarray:
    """The slow twin: the exponential of the twist's (4, 4) matrix."""
    x, y, z = rotation
    twist = np.zeros((4, 4))
    twist[:3, :3] = [[0, -z, y], [z, 0, -x], [-y, x, 0]]
    twist[:3, 3] = velocity
    moved = expm(twist) @ np.concatenate([points, np.ones((len(points), 1))], axis=1).T
    return moved[:3].T


@pytest.mark.parametrize("angle", ANGLES)
def test_points_move_where_the_matrix_exponential_says(angle: float) -> None:
    generator = torch.Generator().manual_seed(0)
    points, velocity, axis = torch.randn(3, 8, 3, generator=generator, dtype=torch.float64)
    rotation = angle * torch.nn.functional.normalize(axis[:1], dim=-1)
    moved = move_by_twist(points, rotation, velocity[:1])
    expected = by_matrix(points.numpy(), rotation[0].numpy(), velocity[0].numpy())
    np.testing.assert_allclose(moved.numpy(), expected, atol=1e-13)


def test_a_rotation_about_an_axis_through_a_point_leaves_the_axis_in_place() -> None:
    through = torch.tensor([1.0, 2.0, 0.0], dtype=torch.float64)
    rotation = torch.tensor([0.0, 0.0, math.pi / 2], dtype=torch.float64)
    velocity = -torch.linalg.cross(rotation, through)
    points = torch.tensor([[1.0, 2.0, 5.0], [2.0, 2.0, 5.0]], dtype=torch.float64)
    moved = move_by_twist(points, rotation, velocity)
    expected = torch.tensor([[1.0, 2.0, 5.0], [1.0, 3.0, 5.0]], dtype=torch.float64)
    torch.testing.assert_close(moved, expected)


def test_without_rotation_it_is_a_translation_and_without_both_nothing() -> None:
    points, velocity = torch.randn(2, 16, 3)
    zero = torch.zeros(3)
    torch.testing.assert_close(move_by_twist(points, zero, velocity), points + velocity)
    assert torch.equal(move_by_twist(points, zero, zero), points)


def test_half_a_turn_mirrors_points_at_the_axis() -> None:
    points = torch.randn(16, 3, dtype=torch.float64)
    rotation = torch.tensor([0.0, math.pi, 0.0], dtype=torch.float64)
    moved = move_by_twist(points, rotation, torch.zeros(3, dtype=torch.float64))
    torch.testing.assert_close(moved, points * torch.tensor([-1.0, 1.0, -1.0]))


def test_the_opposite_twist_moves_back() -> None:
    points, rotation, velocity = 3 * torch.randn(3, 64, 3, dtype=torch.float64)
    moved = move_by_twist(points, rotation, velocity)
    torch.testing.assert_close(move_by_twist(moved, -rotation, -velocity), points)


@pytest.mark.parametrize("angle", [0.0, 1e-20, 1e-4, 0.9999, 1.0001, math.pi, 100.0])
def test_gradients_are_those_of_differences_at_any_angle(angle: float) -> None:
    points, velocity, axis = torch.randn(3, 2, 3, dtype=torch.float64)
    rotation = angle * torch.nn.functional.normalize(axis, dim=-1)
    inputs = tuple(each.clone().requires_grad_() for each in (points, rotation, velocity))
    assert torch.autograd.gradcheck(move_by_twist, inputs)
    assert torch.autograd.gradgradcheck(move_by_twist, inputs)


@pytest.mark.parametrize("angle", [0.0, 1e-30, 1e-18, 1e-4, 1.0, 1e4])
def test_gradients_in_single_precision_are_finite(angle: float) -> None:
    rotation = torch.tensor([[angle, 0.0, 0.0]], requires_grad=True)
    moved = move_by_twist(torch.ones(1, 3), rotation, torch.ones(1, 3))
    moved.square().sum().backward()
    assert moved.isfinite().all()
    assert rotation.grad is not None
    assert rotation.grad.isfinite().all()


def test_single_precision_keeps_its_digits_through_all_small_angles() -> None:
    """The quotients alone would be off by eps / θ²: everything, below an angle of 3e-4.

    Up to an angle of 3: nearer to π the sine is nearly zero, and so is what is left of its digits.
    """
    angles = torch.logspace(-8, math.log10(3), 500, dtype=torch.float64)
    exact = twist_coefficients(angles.square())
    for single, double in zip(twist_coefficients(angles.square().float()), exact, strict=True):
        torch.testing.assert_close(single.double(), double, rtol=2e-6, atol=1e-9)
