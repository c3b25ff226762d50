# SPDX-License-Identifier: GPL-3.0-or-later
"""Shapes whose distances are known, measured as methods want them."""

import torch

from neural_backend.datasets.shape_set import ShapeFrame, ShapeSamples


def ball(radius=0.6):
    return lambda points: points.norm(dim=-1) - radius


def torus(radius=0.55, thickness=0.25):
    def distance(points):
        around = points[..., :2].norm(dim=-1) - radius
        return torch.stack([around, points[..., 2]], dim=-1).norm(dim=-1) - thickness

    return distance


def measured(distance_fn, name="shape", count=4000, seed=0, frame=None) -> ShapeSamples:
    """Samples of a shape about the origin; those on its surface are led there by its distance."""
    generator = torch.Generator().manual_seed(seed)
    points = (torch.rand(count, 3, generator=generator) * 2 - 1).requires_grad_()
    for _ in range(4):
        values = distance_fn(points)
        (slope,) = torch.autograd.grad(values.sum(), points)
        points = (points - values[:, None] * slope).detach().requires_grad_()
    surface = points.detach()
    near = surface + 0.1 * torch.randn(count, 3, generator=generator)
    uniform = torch.rand(count, 3, generator=generator) * 2 - 1
    return ShapeSamples(
        name, surface, near, distance_fn(near), uniform, distance_fn(uniform),
        frame or ShapeFrame(),
    )  # fmt: skip


def overlap(surface, distance_fn, cells=24) -> float:
    """IoU of what a surface encloses in the unit frame with what it should."""
    axis = (torch.arange(cells) + 0.5) / cells * 2 - 1
    points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).reshape(-1, 3)
    found, true = surface.signed(points) >= 0, distance_fn(points) < 0
    return float((found & true).sum() / (found | true).sum())
