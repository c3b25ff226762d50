# SPDX-License-Identifier: GPL-3.0-or-later
import math

import pytest
import torch

from neural_backend.meshing.warp_inversion import _fixed_point, _newton, invert_warp

TOLERANCE = 1e-9


def points(count: int = 50) -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.rand(count, 3, generator=random, dtype=torch.float64) * 2 - 1


def turned(angle: float):
    cos, sin = math.cos(angle), math.sin(angle)
    matrix = torch.tensor([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]], dtype=torch.float64)
    shift = torch.tensor([0.3, -0.2, 0.9], dtype=torch.float64)
    return (lambda points: points @ matrix.T + shift), (lambda points: (points - shift) @ matrix)


def solve(warp_fn, targets, starts=None):
    return invert_warp(warp_fn, targets, starts or (targets,), TOLERANCE, 1e-4)


@pytest.mark.parametrize("angle", [0.0, 0.5, math.pi / 3, 2.0, math.pi])
def test_a_rigid_motion_is_undone_exactly(angle: float) -> None:
    warp, inverse = turned(angle)
    found = solve(warp, points())
    torch.testing.assert_close(found.points, inverse(points()), atol=1e-8, rtol=0)
    assert (found.residuals <= TOLERANCE).all()


def test_fixed_point_iteration_alone_ends_at_the_limit_of_contraction() -> None:
    """x + target − R x contracts by 2 sin(angle / 2): below 60° it gets there, beyond it cannot."""
    for angle, arrives in ((0.3, True), (math.radians(75), False)):
        warp, inverse = turned(angle)
        found = _fixed_point(warp, points(), points(), TOLERANCE)
        error = (found.points - inverse(points())).norm(dim=-1).max()
        assert bool(error < 1e-6) == arrives


def test_a_bend_with_a_known_inverse_is_undone() -> None:
    """A shear that grows with height, steep enough to be no contraction."""

    def warp(points):
        x, y, z = points.unbind(dim=-1)
        return torch.stack([x + 0.8 * torch.sin(2.5 * z), y - 1.5 * z**2, z], dim=-1)

    x, y, z = points().unbind(dim=-1)
    expected = torch.stack([x - 0.8 * torch.sin(2.5 * z), y + 1.5 * z**2, z], dim=-1)
    found = solve(warp, points())
    torch.testing.assert_close(found.points, expected, atol=1e-7, rtol=0)


def test_a_stretch_by_a_large_factor_is_undone_by_newton() -> None:
    found = solve(lambda points: 5 * points, points())
    torch.testing.assert_close(found.points, points() / 5, atol=1e-9, rtol=0)


def test_a_later_start_helps_where_the_first_one_does_not() -> None:
    """Beyond a cliff the warp is constant: whoever starts there learns nothing of the way out."""

    def warp(points):
        return torch.where(points[:, :1] > 5, torch.full_like(points, 99.0), points)

    lost = torch.full_like(points(), 50.0)
    assert (solve(warp, points(), (lost,)).residuals < 1e-6).all()  # one step from 50 − (99 − x)
    flat = lambda points: torch.where(points[:, :1] > 5, points.new_tensor(9.0), points)  # noqa: E731
    helped = solve(flat, points(), (lost, points()))
    assert (helped.residuals <= TOLERANCE).all()


def test_what_has_no_solution_keeps_its_nearest_try_and_says_how_far_off_it_is() -> None:
    flat = torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)
    found = solve(lambda points: points * flat, points())
    torch.testing.assert_close(found.residuals, points()[:, 2].abs(), atol=1e-6, rtol=0)
    torch.testing.assert_close(found.points[:, :2], points()[:, :2], atol=1e-6, rtol=0)
    assert found.points.isfinite().all()


def test_a_warp_that_returns_no_numbers_does_no_harm() -> None:
    found = solve(lambda points: torch.full_like(points, torch.nan), points())
    assert found.points.isfinite().all()
    assert (found.residuals > 1e9).all()


def test_newton_steps_never_leave_a_point_worse_than_it_was() -> None:
    def rough(points):
        return points + 0.4 * torch.sin(40 * points)

    start = points()
    before = (rough(start) - points().flip(0)).norm(dim=-1)
    after = _newton(rough, points().flip(0), start, TOLERANCE, 1e-3).residuals
    assert (after <= before).all()
    assert (after < 0.9 * before).double().mean() > 0.8
