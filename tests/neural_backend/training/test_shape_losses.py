# SPDX-License-Identifier: GPL-3.0-or-later
import math

import pytest
import torch

from neural_backend.training.shape_losses import (
    clamped_distance_error,
    code_prior,
    distance_slopes,
    eikonal_error,
    occupancy_error,
    relative_distance_error,
)


def test_clamped_distances_differ_only_near_the_surface():
    predicted = torch.tensor([0.03, 0.5, -0.5, 0.5, 0.02])
    true = torch.tensor([0.05, 9.0, -0.2, -0.3, 0.4])
    error = clamped_distance_error(predicted, true, 0.1)
    torch.testing.assert_close(error, torch.tensor([0.02, 0.0, 0.0, 0.2, 0.08]))


def test_beyond_the_clamp_nothing_is_learned():
    predicted = torch.tensor([0.3, 0.05, -2.0], requires_grad=True)
    clamped_distance_error(predicted, torch.zeros(3), 0.1).sum().backward()
    assert predicted.grad.tolist() == [0.0, 1.0, 0.0]


def test_the_prior_is_minus_the_logarithm_of_a_gaussian_up_to_constants():
    deviation = 0.7
    codes = torch.randn(5, 8, dtype=torch.float64)
    normal = torch.distributions.Normal(torch.zeros(8, dtype=torch.float64), deviation)
    logs = normal.log_prob(codes).sum(dim=-1).mean()
    constant = 8 * math.log(deviation * math.sqrt(2 * math.pi))
    expected = 2 * deviation**2 * (-logs - constant)
    torch.testing.assert_close(code_prior(codes), expected)
    assert code_prior(torch.zeros(3, 4)) == 0


def test_relative_errors_are_shares_of_the_distance():
    predicted, true = torch.tensor([1.1, -0.1, 0.02]), torch.tensor([1.0, -0.2, 0.0])
    error = relative_distance_error(predicted, true, 0.05)
    torch.testing.assert_close(error, torch.tensor([0.1 / 1.05, 0.1 / 0.25, 0.02 / 0.05]))


def test_slopes_of_quadratics_are_exact_for_any_step():
    matrix = torch.randn(3, 3, dtype=torch.float64)
    matrix = matrix + matrix.T
    points = torch.randn(20, 3, dtype=torch.float64)
    for step in (0.5, 1e-2):
        gradients, laplacians = distance_slopes(
            lambda places: ((places @ matrix) * places).sum(dim=-1), points, step
        )
        torch.testing.assert_close(gradients, 2 * points @ matrix, rtol=1e-6, atol=1e-6)
        expected = (2 * matrix.trace()).expand(20)
        torch.testing.assert_close(laplacians, expected, rtol=1e-6, atol=1e-6)


def test_the_eikonal_error_of_a_sphere_is_zero_and_its_laplacian_two_over_the_radius():
    directions = torch.nn.functional.normalize(torch.randn(50, 3, dtype=torch.float64), dim=-1)
    radii = torch.linspace(0.5, 3, 50, dtype=torch.float64)[:, None]
    gradients, laplacians = distance_slopes(
        lambda places: places.norm(dim=-1) - 1, radii * directions, 1e-4
    )
    assert float(eikonal_error(gradients)) < 1e-12
    torch.testing.assert_close(laplacians, 2 / radii[:, 0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("slope", [0.0, 0.5, 3.0])
def test_the_eikonal_error_is_the_squared_excess_of_the_slope(slope):
    gradients = torch.tensor([[0.0, slope, 0.0]], dtype=torch.float64, requires_grad=True)
    error = eikonal_error(gradients)
    torch.testing.assert_close(float(error.detach()), (slope - 1) ** 2, rtol=1e-4, atol=1e-4)
    error.backward()
    assert gradients.grad.isfinite().all()


def test_cross_entropy_is_its_definition_and_finite_at_extremes():
    logits = torch.tensor([0.3, -2.0, 1.5], dtype=torch.float64)
    inside = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    chance = 1 / (1 + torch.exp(-logits))
    expected = -(inside * chance.log() + (1 - inside) * (1 - chance).log()).mean()
    torch.testing.assert_close(occupancy_error(logits, inside), expected)
    extreme = torch.tensor([1e4, -1e4], requires_grad=True)
    error = occupancy_error(extreme, torch.tensor([0.0, 1.0]))
    error.backward()
    assert float(error.detach()) == 1e4
    assert extreme.grad.isfinite().all()
