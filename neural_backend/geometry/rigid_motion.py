# SPDX-License-Identifier: GPL-3.0-or-later
"""Rigid motions from twists: a rotation about an axis together with a shift along it."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

_TERMS = 9
"""Of the series, exact to the last digit of float64 up to an angle of 1."""


def move_by_twist(
    points: Float[Tensor, "*batch 3"],
    rotation: Float[Tensor, "*#batch 3"],
    velocity: Float[Tensor, "*#batch 3"],
) -> Float[Tensor, "*batch 3"]:
    """Where the rigid motion exp(rotation; velocity) takes `points`.

    `rotation` is the axis times the angle in radians, `velocity` what the origin begins to move
    with; a motion about an axis through c has velocity -rotation × c. Any angle is allowed, and
    all gradients are finite, at none too.

    Source: Lynch and Park 2017, "Modern robotics", sec. 3.3.3 (the matrix exponential of a screw
        axis), as in Park et al. 2021, "Nerfies", sec. 3.2.
    """
    shape = torch.broadcast_shapes(points.shape, rotation.shape, velocity.shape)
    points, rotation, velocity = (each.expand(shape) for each in (points, rotation, velocity))
    sine, cosine, rest = (each[..., None] for each in twist_coefficients(_squared(rotation)))
    # R x + G v with K = [rotation]×: x + v + K (sine x + cosine v) + K² (cosine x + rest v).
    once = torch.linalg.cross(rotation, sine * points + cosine * velocity)
    inner = torch.linalg.cross(rotation, cosine * points + rest * velocity)
    return points + velocity + once + torch.linalg.cross(rotation, inner)


def twist_coefficients(
    squared_angle: Float[Tensor, "*batch"],
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """Sin θ / θ, (1 - cos θ) / θ² and (θ - sin θ) / θ³, from θ².

    By their series below an angle of 1, where the quotients lose their digits and, at 0, their
    gradients.
    """
    near = squared_angle < 1
    small = torch.where(near, squared_angle, 0)
    # The quotients are formed everywhere: where they are not chosen they must stay finite.
    squared = torch.where(near, 1, squared_angle)
    angle = squared.sqrt()
    quotients = (
        angle.sin() / angle,
        (1 - angle.cos()) / squared,
        (angle - angle.sin()) / (squared * angle),
    )
    sine, cosine, rest = (
        torch.where(near, _series(small, first), quotient)
        for first, quotient in enumerate(quotients, start=1)
    )
    return sine, cosine, rest


def _series(squared_angle: Tensor, first: int) -> Tensor:
    """The sum over k of (-θ²)^k / (2k + first)!, by Horner's rule."""
    total = torch.zeros_like(squared_angle)
    for power in reversed(range(_TERMS)):
        total = 1 / math.factorial(2 * power + first) - squared_angle * total
    return total


def _squared(vectors: Tensor) -> Tensor:
    return (vectors * vectors).sum(dim=-1)
