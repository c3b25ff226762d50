# SPDX-License-Identifier: GPL-3.0-or-later
import torch

from neural_backend.fields.nerf import NeRFField
from neural_backend.fields.warped import WarpedCondition, WarpedField, warp_points

BOUNDS = torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])


def lowered(points: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
    """A warp that knows what rises by `condition`."""
    return points - condition * torch.tensor([0.0, 0.0, 1.0])


def make_field(appearance_dim: int = 0) -> NeRFField:
    return NeRFField(
        BOUNDS, width=16, depth=4, position_frequencies=2, direction_frequencies=1,
        appearance_dim=appearance_dim, generator=torch.Generator().manual_seed(0),
    )  # fmt: skip


def test_a_warped_field_shows_what_the_field_at_rest_has_where_points_came_from() -> None:
    field = make_field()
    moving = WarpedField(lowered, field)
    points, directions = torch.rand(5, 9, 3), torch.rand(5, 1, 3)
    rise = torch.rand(5, 1, 1)
    up = rise * torch.tensor([0.0, 0.0, 1.0])
    condition = WarpedCondition(rise)
    density, rgb = moving(points + up, directions, condition)
    expected_density, expected_rgb = field(points, directions)
    torch.testing.assert_close(density, expected_density)
    torch.testing.assert_close(rgb, expected_rgb)
    torch.testing.assert_close(moving.density(points + up, condition), expected_density)
    assert torch.equal(moving.bounds, BOUNDS)
    noise = torch.full((5, 9), -1e3)
    assert not moving(points, directions, condition, noise)[0].any()


def test_an_appearance_changes_the_color_and_not_the_density() -> None:
    moving = WarpedField(lowered, make_field(appearance_dim=3))
    points, directions, rise = torch.rand(5, 9, 3), torch.rand(5, 1, 3), torch.rand(5, 1, 1)
    first = moving(points, directions, WarpedCondition(rise, torch.zeros(5, 1, 3)))
    second = moving(points, directions, WarpedCondition(rise, torch.ones(5, 1, 3)))
    assert torch.equal(first[0], second[0])
    assert ((first[1] - second[1]).abs() > 1e-4).any(dim=-1).all()


def test_points_are_warped_alike_in_any_portions() -> None:
    points, rises = torch.rand(10, 3), torch.rand(10, 1)
    whole = warp_points(lowered, points, rises)
    assert torch.equal(warp_points(lowered, points, rises, points_at_once=3), whole)
    assert torch.equal(whole, lowered(points, rises))
    assert warp_points(lowered, points[:0], rises[:0]).shape == (0, 3)
