# SPDX-License-Identifier: GPL-3.0-or-later
import math

import numpy as np
import pytest
import torch

from neural_backend.encodings.spherical_harmonics import CONSTANTS, spherical_harmonics
from tests.reference import spherical_harmonic, unit_vectors


def test_they_are_orthonormal_over_the_sphere() -> None:
    """Gauss-Legendre in z and even steps around integrate products of degree 8 exactly."""
    heights, weights = np.polynomial.legendre.leggauss(16)
    turns = 2 * math.pi * np.arange(32) / 32
    z = np.repeat(heights, 32)
    across = np.sqrt(1 - z**2)
    directions = np.stack(
        [across * np.cos(np.tile(turns, 16)), across * np.sin(np.tile(turns, 16)), z], axis=-1
    )
    values = spherical_harmonics(torch.from_numpy(directions), 4)
    area = torch.from_numpy(np.repeat(weights, 32)) * 2 * math.pi / 32
    products = torch.einsum("n,ni,nj->ij", area, values, values)
    torch.testing.assert_close(products, torch.eye(25, dtype=torch.float64), atol=1e-12, rtol=0)


def test_each_is_the_one_its_degree_and_order_name() -> None:
    directions = unit_vectors(20)
    values = spherical_harmonics(torch.from_numpy(directions), 4)
    truth = [
        [
            spherical_harmonic(degree, order, direction)
            for degree in range(5)
            for order in range(-degree, degree + 1)
        ]
        for direction in directions
    ]
    torch.testing.assert_close(values, torch.tensor(truth).double(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_a_lower_degree_is_the_beginning_of_a_higher_one(degree: int) -> None:
    directions = torch.from_numpy(unit_vectors(5))
    lower, all_of_them = spherical_harmonics(directions, degree), spherical_harmonics(directions, 4)
    assert lower.shape == (5, (degree + 1) ** 2)
    assert torch.equal(lower, all_of_them[:, : lower.shape[1]])


def test_the_constants_are_those_that_kernels_write_as_numbers() -> None:
    assert CONSTANTS[0] == pytest.approx((0.28209479177387814,))
    assert CONSTANTS[1] == pytest.approx((-0.4886025119029199, 0.4886025119029199, -0.488602511903))
    assert CONSTANTS[2] == pytest.approx((1.0925484, -1.0925484, 0.3153916, -1.0925484, 0.5462742))


@pytest.mark.parametrize("degree", [-1, 5])
def test_other_degrees_are_refused(degree: int) -> None:
    with pytest.raises(ValueError, match=str(degree)):
        spherical_harmonics(torch.zeros(1, 3), degree)
