# SPDX-License-Identifier: GPL-3.0-or-later
import torch

from neural_backend.geometry.gradients import (
    gradient,
    smoothed_gradient,
    tetrahedron_gradient,
)


def test_the_gradient_of_a_polynomial_is_exact() -> None:
    """Quadratic terms add nothing to a ball's mean gradient, cubic ones a known amount."""
    points = torch.randn(50, 3, dtype=torch.float64)

    def value(points):
        x, y, z = points.unbind(-1)
        return 3 * x - 2 * y + x * y + 5 * z * z + x**3

    x, y, z = points.unbind(-1)
    radius = 0.3
    truth = torch.stack([3 + y + 3 * x**2 + 3 * radius**2 / 5, -2 + x, 10 * z], dim=-1)
    torch.testing.assert_close(smoothed_gradient(value, points, radius, num_points=7), truth)


def test_at_a_step_it_points_across_it() -> None:
    random = torch.Generator().manual_seed(0)
    normals = torch.nn.functional.normalize(torch.randn(200, 3, generator=random), dim=-1)
    for normal in normals:
        gradient = smoothed_gradient(
            lambda x, n=normal: (x @ n > 0).float(), torch.zeros(1, 3), 0.1
        )
        cosine = torch.nn.functional.cosine_similarity(gradient[0], normal, dim=0)
        assert cosine > 0.8


def test_no_points_have_no_gradients() -> None:
    assert smoothed_gradient(lambda x: x[:, 0], torch.zeros(0, 3), 0.1).shape == (0, 3)


def test_autograd_and_the_tetrahedron_agree_with_the_formula() -> None:
    points = torch.randn(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    slope = torch.tensor([0.3, -2.0, 0.7], dtype=torch.float64)
    expected = slope.expand(50, 3)
    torch.testing.assert_close(gradient(lambda points: points @ slope, points), expected)
    torch.testing.assert_close(
        tetrahedron_gradient(lambda points: points @ slope, points, 0.1), expected
    )
    curved = tetrahedron_gradient(lambda points: points.square().sum(dim=-1), points, 1e-4)
    torch.testing.assert_close(curved, 2 * points, atol=1e-3, rtol=0)
    batch = points.reshape(2, 25, 3)
    torch.testing.assert_close(
        gradient(lambda points: points.square().sum(dim=-1), batch), 2 * batch
    )
