# SPDX-License-Identifier: GPL-3.0-or-later
import math

import numpy as np
import pytest
import torch

from neural_backend.geometry.jacobians import jacobians
from neural_backend.geometry.rigid_motion import move_by_twist
from neural_backend.training.deformation_losses import (
    elastic_energy,
    geman_mcclure,
    squared_displacement,
)


def test_a_rigid_motion_has_no_elastic_energy() -> None:
    """Nor has a mirror image, whose singular values are the same."""
    rotation, velocity = torch.randn(2, 3, dtype=torch.float64)
    points = torch.randn(32, 3, dtype=torch.float64)
    turned = jacobians(lambda at: move_by_twist(at, rotation, velocity), points)
    torch.testing.assert_close(elastic_energy(turned), torch.zeros(32, dtype=torch.float64))
    mirror = torch.diag(torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64))
    torch.testing.assert_close(elastic_energy(turned @ mirror), turned.new_zeros(32))


@pytest.mark.parametrize("scale", [0.01, 0.5, 1.0, 2.0, 100.0])
def test_a_scaling_has_three_times_the_squared_logarithm(scale: float) -> None:
    energy = elastic_energy(scale * torch.eye(3, dtype=torch.float64)[None])
    assert float(energy) == pytest.approx(3 * math.log(scale) ** 2)


def test_stretching_is_as_bad_as_squeezing() -> None:
    stretched = torch.diag(torch.tensor([3.0, 1.0, 1.0]))[None]
    torch.testing.assert_close(elastic_energy(stretched), elastic_energy(stretched.inverse()))


def test_the_energy_is_that_of_the_eigenvalues_of_the_strain() -> None:
    """The slow twin: singular values are the roots of the eigenvalues of JᵀJ."""
    found = torch.randn(50, 3, 3, dtype=torch.float64)
    expected = [((np.log(np.linalg.eigvalsh(one.T @ one)) / 2) ** 2).sum() for one in found.numpy()]
    np.testing.assert_allclose(elastic_energy(found).numpy(), expected)


def test_gradients_of_the_energy_are_those_of_differences() -> None:
    found = torch.eye(3, dtype=torch.float64) + 0.3 * torch.randn(4, 3, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(elastic_energy, (found.requires_grad_(),))


@pytest.mark.parametrize("kind", ["identity", "zero", "flat", "line", "huge", "tiny"])
def test_energy_and_gradients_are_finite_at_extremes(kind: str) -> None:
    found = {
        "identity": torch.eye(3),
        "zero": torch.zeros(3, 3),
        "flat": torch.diag(torch.tensor([1.0, 1.0, 0.0])),
        "line": torch.diag(torch.tensor([2.0, 0.0, 0.0])),
        "huge": 1e15 * torch.eye(3),
        "tiny": 1e-15 * torch.eye(3),
    }[kind][None].requires_grad_()
    loss = geman_mcclure(elastic_energy(found))
    loss.sum().backward()
    assert loss.isfinite().all()
    assert found.grad is not None
    assert found.grad.isfinite().all()


def test_the_robust_loss_is_square_at_first_and_at_most_two() -> None:
    assert float(geman_mcclure(torch.zeros(1))) == 0
    assert float(geman_mcclure(torch.tensor([0.03**2]))) == pytest.approx(2 / 5)
    small = torch.tensor([1e-6], dtype=torch.float64)
    assert float(geman_mcclure(small**2)) == pytest.approx(float((small / 0.03) ** 2 / 2))
    assert float(geman_mcclure(torch.tensor([1e12]))) == pytest.approx(2)
    residuals = torch.linspace(0, 5, 200)
    assert (geman_mcclure(residuals.square(), scale=1.0).diff() > 0).all()


def test_displacement_is_the_squared_distance() -> None:
    moved = torch.tensor([[1.0, 2.0, 2.0], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(
        squared_displacement(moved, torch.zeros(2, 3)), torch.tensor([9.0, 0.0])
    )
