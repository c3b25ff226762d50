# SPDX-License-Identifier: GPL-3.0-or-later
"""A deformable hash-grid field in plain torch: for CUDA, and to test the CPU's kernels against."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..fields.deformable_ngp import DeformableNGPField
from ..kernels.instant_ngp import StepResult
from ..kernels.instant_ngp_types import AdamSettings, LossSettings, MovingRayTargets, RayTargets
from ..kernels.ray_budget import RayBudget
from ..kernels.ray_marching import Guide
from .instant_ngp_autograd import AutogradField, adam_size, take_adam_step
from .sample_places import place_samples

_POINTS_AT_ONCE = 2**18


class AutogradDeformableField:
    """Evaluates and trains a field wherever it lies; the twin of `FusedDeformableField`.

    `moments` are Adam's of the canonical field, `deformation_moments` those of the deformation;
    `averages`, where there are any, those of table, weights and deformation.
    """

    def __init__(
        self,
        field: DeformableNGPField,
        moments: tuple[Tensor, ...],
        deformation_moments: tuple[Tensor, ...],
        most_steps: int,
        budget: RayBudget | None = None,
        averages: tuple[Tensor, ...] = (),
    ) -> None:
        self.field, self.moments = field, deformation_moments
        self.average = averages[2] if averages else None
        self.canonical = _CanonicalField(field, moments, most_steps, budget, averages[:2])

    @torch.no_grad()
    def density(
        self, points: Float[Tensor, "points 3"], conditions: Float[Tensor, "points conditions"]
    ) -> Float[Tensor, " points"]:
        """Density per unit length at positions of the unit frame."""
        pairs = zip(points.split(_POINTS_AT_ONCE), conditions.split(_POINTS_AT_ONCE), strict=True)
        parts = [self.field.unit_density(*pair)[0] for pair in pairs]
        return torch.cat(parts) if parts else points.new_zeros(0)

    @torch.no_grad()
    def color(
        self,
        points: Float[Tensor, "points 3"],
        conditions: Float[Tensor, "points conditions"],
        harmonics: Float[Tensor, "points harmonics"],
    ) -> Float[Tensor, "points 3"]:
        """Colors at those positions, seen along directions with these harmonics."""
        given = (points, conditions, harmonics)
        pieces = zip(*(part.split(_POINTS_AT_ONCE) for part in given), strict=True)
        parts = [
            self.field.canonical.unit_color(self.field.unit_density(place, told)[1], along)
            for place, told, along in pieces
        ]
        return torch.cat(parts) if parts else points.new_zeros(0, 3)

    @torch.no_grad()
    def canonical_cube(
        self, points: Float[Tensor, "points 3"], conditions: Float[Tensor, "points conditions"]
    ) -> Float[Tensor, "points 3"]:
        """Where positions of the unit frame lie in the cube of the canonical hash grid."""
        cube, _ = self.field.canonical.to_cube(points)
        return cube + self.field.deform(cube, conditions)[0]

    def render(self, rays: MovingRayTargets, guide: Guide) -> Float[Tensor, "rays 5"]:
        """Red, green, blue, accumulation and weighted depth, in unit lengths, of each ray."""
        return self.canonical.render(rays, guide)

    def step(
        self,
        rays: MovingRayTargets,
        guide: Guide,
        loss: LossSettings,
        adam: AdamSettings,
        deformation_rate: float,
        rest: float,
    ) -> StepResult:
        """Learns from a batch of rays."""
        result, slope = self.canonical.learn(rays, guide, loss, adam, rest)
        weights = self.field.weights.detach()
        first, second = self.moments
        given = weights, slope, first, second
        size = adam_size(weights, adam, deformation_rate)
        take_adam_step(*given, adam, size, None, self.average)
        return result


class _CanonicalField(AutogradField):
    """The field at rest, seen through the deformation."""

    def __init__(
        self,
        moving: DeformableNGPField,
        moments: tuple[Tensor, ...],
        most_steps: int,
        budget: RayBudget | None,
        averages: tuple[Tensor, ...],
    ) -> None:
        super().__init__(moving.canonical, moments, most_steps, budget, averages)
        self.moving = moving

    def learn(
        self,
        rays: MovingRayTargets,
        guide: Guide,
        loss: LossSettings,
        adam: AdamSettings,
        rest: float,
    ) -> tuple[StepResult, Tensor]:
        """Takes a step of the canonical field; returns the gradient of the deformation."""
        result, slopes = self._slopes(rays, guide, loss, rest)
        self._update(slopes, adam)
        return result, slopes[2]

    def _parameters(self) -> tuple[Tensor, ...]:
        return *super()._parameters(), self.moving.weights

    def _ask(
        self,
        rays: RayTargets | MovingRayTargets,
        owners: Int[Tensor, " slots"],
        t_mids: Float[Tensor, " slots"],
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        assert isinstance(rays, MovingRayTargets)
        conditions = rays.conditions.index_select(0, owners)
        places = place_samples(rays, owners, t_mids, self.field)
        return self.moving.density_in_cube(*places, conditions)
