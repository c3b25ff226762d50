# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a warp takes its points from: the inverse of a map of space, point by point.

A field that warps knows where in its canonical space lies what is at a point now. To move a
canonical mesh, the other way is needed: the point that the warp takes to a vertex.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

WarpFn = Callable[[Float[Tensor, "points 3"]], Float[Tensor, "points 3"]]

_FIXED_POINT_STEPS = 24
_CONTRACTION = 0.7
"""A step that leaves more of a residual than this is worth less than a Newton step."""
_NEWTON_STEPS = 24
_FIRST_DAMPING, _MOST_DAMPING = 1e-4, 1e4
_LESS_DAMPING, _MORE_DAMPING = 0.2, 6.0


@dataclass(frozen=True)
class Inversion:
    """`points` that a warp takes to within `residuals`, in scene units, of its targets."""

    points: Float[Tensor, "points 3"]
    residuals: Float[Tensor, " points"]


def invert_warp(
    warp_fn: WarpFn,
    targets: Float[Tensor, "points 3"],
    starts: Sequence[Float[Tensor, "points 3"]],
    tolerance: float,
    difference: float,
) -> Inversion:
    """Solves warp(x) = target for each target; what finds no solution keeps its nearest try.

    Fixed-point iteration x ← x + target − warp(x) converges where the warp differs from the
    identity by less than a contraction does: turns beyond 60° do not. What it leaves undone is
    taken on by damped Newton steps with central differences over `difference`. Each of `starts` is
    tried in turn for what the ones before it did not bring to within `tolerance`.

    Source: Park et al. 2021, "Nerfies", sec. 3 (the warp, observation to canonical); Levenberg 1944
    and Marquardt 1963 for the damping; the inversion itself is this project's.
    """
    best = Inversion(starts[0], _residual(warp_fn, starts[0], targets).norm(dim=-1))
    for start in starts:
        undone = best.residuals > tolerance
        if not undone.any():
            break
        tried = _solve(warp_fn, targets[undone], start[undone], tolerance, difference)
        best = _better(best, tried, undone)
    return best


def _solve(
    warp_fn: WarpFn,
    targets: Float[Tensor, "points 3"],
    start: Float[Tensor, "points 3"],
    tolerance: float,
    difference: float,
) -> Inversion:
    found = _fixed_point(warp_fn, targets, start, tolerance)
    undone = found.residuals > tolerance
    if undone.any():
        tried = _newton(warp_fn, targets[undone], found.points[undone], tolerance, difference)
        found = _better(found, tried, undone)
    return found


def _fixed_point(
    warp_fn: WarpFn,
    targets: Float[Tensor, "points 3"],
    start: Float[Tensor, "points 3"],
    tolerance: float,
) -> Inversion:
    """Stops, point by point, where it is done or no longer contracts; never leaves a point worse
    than it was.
    """
    points, residual = start.clone(), _residual(warp_fn, start, targets)
    moving = residual.norm(dim=-1) > tolerance
    for _ in range(_FIXED_POINT_STEPS):
        (rows,) = moving.nonzero(as_tuple=True)
        if not len(rows):
            break
        before = residual[rows].norm(dim=-1)
        tried = points[rows] - residual[rows]
        after = _residual(warp_fn, tried, targets[rows])
        size = after.norm(dim=-1)
        nearer = rows[size < before]
        points[nearer], residual[nearer] = tried[size < before], after[size < before]
        moving[rows] = (size <= _CONTRACTION * before) & (size > tolerance)
    return Inversion(points, residual.norm(dim=-1))


def _newton(
    warp_fn: WarpFn,
    targets: Float[Tensor, "points 3"],
    start: Float[Tensor, "points 3"],
    tolerance: float,
    difference: float,
) -> Inversion:
    """Each step minimizes |J δ + r|² + λ |δ|²; λ falls after a step that helps and grows after one
    that does not, so that a step is never taken away from the target.
    """
    points, residual = start.clone(), _residual(warp_fn, start, targets)
    damping = points.new_full((len(points),), _FIRST_DAMPING)
    moving = residual.norm(dim=-1) > tolerance
    identity = torch.eye(3, dtype=points.dtype, device=points.device)
    for _ in range(_NEWTON_STEPS):
        (rows,) = moving.nonzero(as_tuple=True)
        if not len(rows):
            break
        jacobian = _jacobian(warp_fn, points[rows], difference)
        normal = jacobian.mT @ jacobian + damping[rows, None, None] * identity
        gradient = jacobian.mT @ residual[rows, :, None]
        tried = points[rows] - torch.linalg.solve(normal, gradient).squeeze(-1)
        after = _residual(warp_fn, tried, targets[rows])
        helped = after.norm(dim=-1) < residual[rows].norm(dim=-1)
        points[rows[helped]], residual[rows[helped]] = tried[helped], after[helped]
        damping[rows] *= torch.where(helped, _LESS_DAMPING, _MORE_DAMPING)
        moving = (residual.norm(dim=-1) > tolerance) & (damping < _MOST_DAMPING)
    return Inversion(points, residual.norm(dim=-1))


def _jacobian(
    warp_fn: WarpFn, points: Float[Tensor, "points 3"], difference: float
) -> Float[Tensor, "points 3 3"]:
    steps = difference * torch.eye(3, dtype=points.dtype, device=points.device)
    around = torch.cat([points[:, None] + steps, points[:, None] - steps], dim=1)
    ahead, behind = warp_fn(around.reshape(-1, 3)).reshape(-1, 2, 3, 3).unbind(dim=1)
    return ((ahead - behind) / (2 * difference)).mT


def _residual(
    warp_fn: WarpFn, points: Float[Tensor, "points 3"], targets: Float[Tensor, "points 3"]
) -> Float[Tensor, "points 3"]:
    """A warp that leaves the numbers is as far off as can be."""
    return torch.nan_to_num(warp_fn(points) - targets, nan=1e10, posinf=1e10, neginf=-1e10)


def _better(found: Inversion, tried: Inversion, where: Bool[Tensor, " points"]) -> Inversion:
    points, residuals = found.points.clone(), found.residuals.clone()
    nearer = tried.residuals < residuals[where]
    (rows,) = where.nonzero(as_tuple=True)
    points[rows[nearer]] = tried.points[nearer]
    residuals[rows[nearer]] = tried.residuals[nearer]
    return Inversion(points, residuals)
