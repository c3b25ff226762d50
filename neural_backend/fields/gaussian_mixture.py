# SPDX-License-Identifier: GPL-3.0-or-later
"""Blobs that melt into one another: a level set of a sum of Gaussians."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from .shape import Shape, constant, length, require_positive


@dataclass(frozen=True)
class GaussianMixture(Shape):
    """Where a sum of Gaussians exceeds `level`: Σ wᵢ exp(-|p - cᵢ|² / 2σᵢ²).

    `centers` are cᵢ, `deviations` σᵢ in scene units, `weights` wᵢ > 0, all 1 if none are given.
    The distance is a bound: half a deviation away it may be several times too short.

    Source: Blinn 1982, "A generalization of algebraic surface drawing" (the sum and its level).
    Differs: outside, the distance is the larger of two that are never too long: the difference
        from the level over the steepest slope the sum can have, Σ wᵢ / (σᵢ √e), and the distance to
        the balls that must hold the surface, |p - cᵢ| ≤ σᵢ √(2 ln(Σ wᵢ / level)).
    """

    type: ClassVar[str] = "gaussian_mixture"
    centers: tuple[tuple[float, ...], ...] = ((0.0, 0.0, 0.0),)
    deviations: tuple[float, ...] = (1.0,)
    weights: tuple[float, ...] = ()
    level: float = 0.5

    def __post_init__(self) -> None:
        count = len(self.centers)
        if not count or len(self.deviations) != count or len(self.weights) not in (0, count):
            raise ValueError(
                f"a {self.type} needs a deviation for each center, and a weight for each or none, "
                f"got {count} centers, {len(self.deviations)} deviations, "
                f"{len(self.weights)} weights"
            )
        for deviation in self.deviations:
            require_positive(self, deviation=deviation)
        for weight in self.weights:
            require_positive(self, weight=weight)
        if not 0 < self.level < sum(self._weights()):
            raise ValueError(
                f"the level of a {self.type} must lie between 0 and the sum of its weights, "
                f"{sum(self._weights())}, got {self.level}"
            )

    def value(self, points: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch"]:
        """The sum of the Gaussians."""
        deviations, weights = constant(self.deviations, points), self._weights()
        parts = torch.exp(-0.5 * (self._from_centers(points) / deviations) ** 2)
        return (parts * constant(weights, points)).sum(dim=-1)

    def distance(self, points: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch"]:
        deviations = constant(self.deviations, points)
        steepest = sum(
            weight / (deviation * math.sqrt(math.e))
            for weight, deviation in zip(self._weights(), self.deviations, strict=True)
        )
        by_slope = (self.level - self.value(points)) / steepest
        from_balls = (self._from_centers(points) - self._reach() * deviations).amin(dim=-1)
        return torch.maximum(by_slope, from_balls)

    def bounds(self) -> Float[Tensor, "2 dim"]:
        centers = torch.tensor(self.centers, dtype=torch.float64)
        reach = self._reach() * torch.tensor(self.deviations, dtype=torch.float64)[:, None]
        return torch.stack([(centers - reach).amin(dim=0), (centers + reach).amax(dim=0)])

    def _weights(self) -> tuple[float, ...]:
        return self.weights or (1.0,) * len(self.centers)

    def _reach(self) -> float:
        return math.sqrt(2 * math.log(sum(self._weights()) / self.level))

    def _from_centers(
        self, points: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch gaussians"]:
        return length(points[..., None, :] - constant(self.centers, points))
