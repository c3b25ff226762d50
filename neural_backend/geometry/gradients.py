# SPDX-License-Identifier: GPL-3.0-or-later
"""Gradients of fields that offer values only."""

from collections.abc import Callable
from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor

ValueFn = Callable[[Float[Tensor, "points 3"]], Float[Tensor, " points"]]


def smoothed_gradient(
    value_fn: ValueFn,
    points: Float[Tensor, "points 3"],
    radius: float,
    num_points: int = 1 << 14,
) -> Float[Tensor, "points 3"]:
    """Gradient of `value_fn`, averaged over the balls of `radius` around `points`.

    By the divergence theorem that is 3 / radius times the mean of value · outward direction over
    the sphere, for which 14 directions are enough: exact for fields up to degree four. Unlike
    differences along the axes it hardly prefers any direction, so that at a step in the field it
    still points across the step. `num_points` gradients are taken at a time.

    Source: Lebedev 1976, "Quadratures on a sphere" (14 points, exact to degree 5).
    """
    directions, weights = _directions(points)
    gradients = []
    for part in points.split(num_points):
        around = part[:, None] + radius * directions
        values = value_fn(around.reshape(-1, 3)).reshape(-1, len(directions))
        gradients.append(3 / radius * (values * weights) @ directions)
    return torch.cat(gradients) if gradients else torch.zeros_like(points)


def _directions(like: Tensor) -> tuple[Tensor, Tensor]:
    axes = torch.cat([torch.eye(3), -torch.eye(3)])
    diagonals = torch.tensor(list(product((-1.0, 1.0), repeat=3))) / 3**0.5
    weights = torch.cat([torch.full((6,), 1 / 15), torch.full((8,), 3 / 40)])
    return torch.cat([axes, diagonals]).to(like), weights.to(like)


def gradient(value_fn: ValueFn, points: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
    """Gradient of a differentiable `value_fn` of points of any shape, by autograd."""
    with torch.enable_grad():
        points = points.detach().requires_grad_()
        return torch.autograd.grad(value_fn(points).sum(), points)[0]


def tetrahedron_gradient(
    value_fn: ValueFn, points: Float[Tensor, "points 3"], radius: float
) -> Float[Tensor, "points 3"]:
    """Gradient of `value_fn` by differences between the corners of a tetrahedron around `points`.

    Exact for linear fields with four values; corners lie at `radius`.

    Source: Quilez, "Normals for an SDF" (iquilezles.org/articles/normalsSDF).
    """
    corners = torch.tensor([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]]) / 3**0.5
    corners = corners.to(points)
    around = (points.T[:, None] + radius * corners.T[..., None]).flatten(1)
    values = value_fn(around.T).reshape(4, -1)
    return 3 / (4 * radius) * (values.T @ corners)
