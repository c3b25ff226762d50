# SPDX-License-Identifier: GPL-3.0-or-later
import torch

from neural_backend.geometry.jacobians import jacobians


def test_a_linear_map_is_its_own_jacobian_everywhere() -> None:
    matrix = torch.randn(3, 3)
    found = jacobians(lambda points: points @ matrix.T + 1, torch.randn(10, 3))
    torch.testing.assert_close(found, matrix.expand(10, 3, 3))


def test_rows_are_coordinates_of_the_result_and_columns_those_of_the_point() -> None:
    points = torch.tensor([[2.0, 3.0, 5.0]])

    def mapped(at: torch.Tensor) -> torch.Tensor:
        x, y, z = at.unbind(-1)
        return torch.stack([x * y, y * y, z + x], dim=-1)

    expected = torch.tensor([[[3.0, 2.0, 0.0], [0.0, 6.0, 0.0], [1.0, 0.0, 1.0]]])
    torch.testing.assert_close(jacobians(mapped, points), expected)


def test_gradients_reach_what_the_map_is_made_of() -> None:
    """The determinant of a scaling by s grows by 3 s²."""
    scale = torch.tensor(2.0, requires_grad=True)
    with torch.no_grad():
        found = jacobians(lambda points: scale * points, torch.randn(4, 3))
    found.det().sum().backward()
    torch.testing.assert_close(scale.grad, torch.tensor(4 * 3 * 2.0**2))
